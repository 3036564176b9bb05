"""The timeline of one message, and text from outside wherever it is shown."""

import re

import pytest
from hostile import HOSTILE
from hostile_stage import FAR, harmless
from msgspec.structs import replace
from tui_fakes import NOW, FakeClock, FakeMonitor, entry, message_id, row, status
from tui_stage import Stage, many, stage, story

from hooklab.monitor import MonitorError
from hooklab.store.base import MessageDetail, MessageRow
from hooklab.times import SECOND
from hooklab.tui.screens.messages import MessagesScreen
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.widgets.message_pane import OneMessage

# the timeline


async def test_enter_opens_the_timeline_with_every_kind_in_words() -> None:
    """The facts of the message and a sentence for each arrival are shown; Esc goes back to the list."""
    async with stage(story(), (120, 70)) as on:
        await on.press("enter")
        text = re.sub(r"\s+", " ", on.text())
        for said in (
            f"message {message_id(3)}",
            "✔ delivered",
            "both kinds of final came",
            "a PENDING came after the final",
            "a report came more than once",
            "nothing new for too long",
            "another state than the report",
            "3519····0003",
            "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "2026-11-23 12:04:20.000 UTC",
            '"price": 1.50',
            "the first report of this message: it is on its way",
            "the same report again, in a retry of batch 1; changes nothing",
            "NOT_DELIVERED: the first final, overruled",
            'The URL\'s label says "delivered"',
            "came after the final",
            "NOT_DELIVERED again",
            "a second final of the other kind: conflict; by reported time this one decides",
            "the same report again, in another batch (first in batch 6); changes nothing",
            "no words for",
            "? novel",
            "+10 s",
            "reported 2026-11-23T12:09:00Z · batch 7, element 3",
        ):
            assert said in text, said
        await on.press("escape")
        assert isinstance(on.app.screen, MessagesScreen)


async def test_the_timeline_is_live() -> None:
    """An arrival that comes while the timeline is open appears on it."""
    monitor = story()
    async with stage(monitor, (120, 70)) as on:
        await on.press("enter")
        old = monitor.details[message_id(3)]
        newer = entry("duplicate", 99, description="fresh from the wire")
        monitor.details[message_id(3)] = MessageDetail(message=old.message, timeline=[*old.timeline, newer])
        monitor.revision += 1
        await on.tick()
        assert "fresh from the wire" in on.text()
        assert "9 arrivals" in on.text()


async def test_the_timeline_scrolls_and_reveals() -> None:
    """At 80x24 the last arrival is reached by keys, and `m` shows the number here too."""
    async with stage(story()) as on:
        await on.press("enter")
        await on.press("m")
        assert "351913000003" in on.text()
        await on.press("G")
        assert "? novel" in on.text()
        await on.press("g")
        assert f"message {message_id(3)}" in on.text()


async def test_a_pending_message_says_how_long_it_waits() -> None:
    """Since when it is known, and since when nothing new came; a final one does not wait."""
    monitor = many(2)
    waits = replace(monitor.rows[0], state="PENDING", cursor=9, first_received_at=NOW - 7200 * SECOND)
    monitor.rows[0] = waits
    monitor.details[waits.message_id] = MessageDetail(
        message=waits, timeline=[entry("pending", 1), entry("retry", 9)]
    )
    monitor.details[message_id(2)] = MessageDetail(message=monitor.rows[1], timeline=[entry("final", 1)])
    async with stage(monitor, (100, 30)) as on:
        await on.press("enter")
        assert re.search(r"waiting +for 2 h; nothing new for 59 min", on.text())
        await on.tick(seconds=120)
        assert re.search(r"waiting +for 2 h; nothing new for 61 min", on.text())
        await on.press("escape", "j", "enter")
        assert "waiting" not in on.text()


async def test_a_message_that_is_gone_says_so() -> None:
    """A message that was forgotten meanwhile is not an empty screen."""
    async with stage() as on:
        await on.press("enter")
        assert "This message is not in the store" in on.text()


async def test_ten_thousand_arrivals_stay_within_bounds() -> None:
    """Of a very long history the first and the last are shown, and how many are between."""
    monitor = many(1)
    timeline = [entry("pending", 1), *(entry("retry", number) for number in range(2, 10_001))]
    monitor.details[message_id(1)] = MessageDetail(message=monitor.rows[0], timeline=timeline)
    async with stage(monitor) as on:
        await on.press("enter")
        assert "10,000 arrivals" in on.text() or await _found_below(on, "10,000 arrivals")
        await on.press("G")
        assert "batch 10,000" in on.text()
        assert await _found_above(on, "9,500 more arrivals between")


async def test_a_million_arrivals_are_told_by_their_ends() -> None:
    """The store gives only those that are shown; what is counted are all."""
    monitor = many(1)
    timeline = [entry("pending", number) for number in range(1, 501)]
    monitor.details[message_id(1)] = MessageDetail(message=monitor.rows[0], timeline=timeline, hidden=999_500)
    async with stage(monitor) as on:
        await on.press("enter")
        assert "1,000,000 arrivals" in on.text() or await _found_below(on, "1,000,000 arrivals")
        await on.press("G")
        assert await _found_above(on, "999,500 more arrivals between")


async def _found_below(on: Stage, text: str) -> bool:
    await on.press("pagedown")
    return text in on.text()


async def _found_above(on: Stage, text: str) -> bool:
    for _ in range(200):
        if text in on.text():
            return True
        await on.press("pageup")
    return False


# whatever comes from outside


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)])
async def test_hostile_text_is_harmless_everywhere(size: tuple[int, int]) -> None:
    """As id, state, flag, kind, label and the words of a problem, too, which a real store only gives harmlessly."""
    monitor = FakeMonitor(FakeClock(), [_bad_row(at, text) for at, text in enumerate(HOSTILE.values(), 1)])
    for one in monitor.rows:
        text = one.message_id
        arrival = entry(text, 1, status=text, reported_at=text, label=text, description=text)
        monitor.details[text] = MessageDetail(message=one, timeline=[arrival, replace(arrival, kind="final")])
    async with stage(monitor, size) as on:
        await on.press("m")
        for name, text in HOSTILE.items():
            monitor.service = status(problem=text)
            on.app._snapshot = await monitor.snapshot()
            on.app._publish()
            on.shown.action_move(1)
            harmless(on.app, name)
        await on.press("enter")
        screen = on.app.screen
        assert isinstance(screen, TimelineScreen)
        for name, text in HOSTILE.items():
            screen._body.subject, screen._body._mark = OneMessage(text), None
            await screen.load(monitor, on.app.view)
            screen.show(on.app.view)
            for by in (-FAR, FAR):
                screen._body.action_move(by)
                harmless(on.app, name)


def _bad_row(number: int, text: str) -> MessageRow:
    fields = dict.fromkeys(
        ("message_id", "state", "description", "organization_id", "msisdn", "custom_payload"), text
    )
    return row(number, **fields, flags=[text, "stuck"])


async def test_hostile_text_in_a_failure_is_harmless() -> None:
    """The words of a failing monitor and the hook URL are outside text as well."""
    monitor = FakeMonitor(FakeClock())
    monitor.service = status(hook_url="http://x/hooks/[/]\x1b]52;c;A\x07\u202e")
    async with stage(monitor) as on:
        harmless(on.app, "the hook URL")
        monitor.failure = MonitorError("".join(HOSTILE.values()))
        await on.tick()
        harmless(on.app, "a failure")
