"""Wide terminals: the selected message beside the list, with the text of its own screen."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from textual import events
from tui_fakes import FakeMonitor, entry, message_id, row
from tui_stage import Stage, many, stage

from hooklab.monitor import MonitorError
from hooklab.rules import pack
from hooklab.store.base import MessageDetail
from hooklab.tui.screens.batch import BatchScreen
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.timeline import message_lines
from hooklab.tui.widgets.lines import Lines
from hooklab.tui.widgets.message_pane import MessagePane

WIDE = (200, 50)


def told(count: int = 60) -> FakeMonitor:
    """Messages of which each has a timeline."""
    monitor = many(count)
    for one in monitor.rows:
        tell(monitor, int(one.message_id[-12:], 16))
    return monitor


def tell(monitor: FakeMonitor, number: int, *more: str) -> None:
    whole = row(number, custom_payload=f'{{"order":{number},"shop":"Porto"}}')
    timeline = [entry("pending", number), entry("final", number + 3, status="DELIVERED")]
    timeline += [entry("duplicate", number + 4, status="DELIVERED", description=words) for words in more]
    monitor.details[whole.message_id] = MessageDetail(message=whole, timeline=timeline)


def pane(on: Stage) -> MessagePane:
    return on.app.screen_stack[1].query_one(MessagePane)


async def shows(on: Stage, number: int) -> None:
    """Returns once the pane shows that message: the selection rests first."""
    async with asyncio.timeout(10):
        while pane(on).content == [] or f"message {message_id(number)}" not in pane(on).content[0].text:
            await asyncio.sleep(0.01)
            await on.app.workers.wait_for_complete()
            await on.pilot.pause()


@pytest.mark.parametrize("size", [(160, 45), WIDE, (240, 60)])
async def test_the_selected_message_stands_beside_the_list(size: tuple[int, int]) -> None:
    """Its facts, its payload in lines and its timeline, as its own screen has them; and it follows the selection."""
    async with stage(told(), size) as on:
        await shows(on, 60)
        text = on.text()
        for words in (
            '"order": 60,',
            "2 arrivals, in order",
            "the first report of this message",
            "+30 s",
            "3519····0055",
        ):
            assert words in text, words
        drawn = message_lines(
            on.monitor.details[message_id(60)], pane(on).size.width, revealed=False, now=on.monitor.clock()
        )
        assert [line.text for line in pane(on).content] == [line.text for line in drawn]
        await on.press("j")
        await shows(on, 59)
        assert on.selected_id == message_id(59)
        assert '"order": 59,' in on.text()
        await on.press("m")
        assert "351913000059" in "\n".join(line[size[0] // 2 :] for line in on.lines())


async def test_the_message_beside_the_list_is_live() -> None:
    """A new arrival appears; and where the list follows the newest, so does what stands beside it."""
    monitor = told()
    async with stage(monitor, WIDE) as on:
        tell(monitor, 60, "brand new")
        monitor.revision += 1
        await on.tick()
        assert "3 arrivals, in order" in on.text()
        tell(monitor, 61)
        monitor.add(row(61))
        await on.tick()
        await shows(on, 61)


async def test_a_held_key_costs_no_reads() -> None:
    """Of the messages that the selection passes by the first and the last are read, no other."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        on.monitor.asked.clear()
        await on.press(*"j" * 30)
        await shows(on, 30)
        assert on.selected_id == message_id(30)
        assert on.monitor.asked.count("message") <= 2


async def test_a_slow_read_holds_no_key_up() -> None:
    """While a message is read, the selection moves on."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        on.monitor.gate = asyncio.Event()
        await on.pilot.press(*"jjj")
        await on.pilot.pause()
        assert on.selected_id == message_id(57)
        on.monitor.gate.set()
        await shows(on, 57)


async def test_enter_opens_the_message_whole_and_esc_comes_back() -> None:
    """Enter does beside the message what it does everywhere: it opens it on a screen of its own."""
    async with stage(told(), WIDE) as on:
        await on.press("j", "enter")
        assert isinstance(on.app.screen, TimelineScreen)
        await on.press("escape")
        await shows(on, 59)


async def test_tab_moves_between_the_list_and_the_message() -> None:
    """In the message keys move from arrival to arrival and Enter opens a batch; tab or esc go back to the list."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        assert sum("▸" in line for line in on.lines()) == 1
        await on.press("tab", "j")
        assert on.selected_id == message_id(60)
        assert sum("▸" in line for line in on.lines()) == 2
        assert "tab list" in on.text()
        await on.press("enter")
        assert isinstance(on.app.screen, BatchScreen)
        assert on.app.screen._number == 63
        await on.press("escape", "tab", "j")
        assert on.selected_id == message_id(59)
        await on.press("tab", "escape", "j")
        assert on.selected_id == message_id(58)


async def test_a_long_message_scrolls_beside_the_list() -> None:
    """By page keys after tab, and by the wheel."""
    monitor = told()
    tell(monitor, 60, *(f"arrival {number}" for number in range(60)))
    async with stage(monitor, WIDE) as on:
        await shows(on, 60)
        assert "arrival 59" not in on.text()
        await on.press("tab", "G")
        assert "arrival 59" in on.text()
        await on.press("tab", "j", "k")
        await shows(on, 60)
        assert pane(on).top == 0


async def test_v_hides_and_shows_the_message() -> None:
    """Hidden, it costs no reads, and the list has all the width; the key and the last line bring it back."""
    async with stage(told(), WIDE) as on:
        await on.press("tab", "v")
        assert not pane(on).display
        assert on.shown.size.width == 200
        assert "v timeline" in on.lines()[-1]
        on.monitor.asked.clear()
        await on.press("j")
        assert on.selected_id == message_id(59)
        assert "message" not in on.monitor.asked
        await on.press("v")
        await shows(on, 59)
        assert "v hide it" in on.lines()[-1]


async def test_narrow_terminals_read_no_message() -> None:
    """Below 160 columns the list is alone, and tab does nothing."""
    async with stage(told(), (159, 45)) as on:
        await on.press("j", "tab", "j")
        assert on.selected_id == message_id(58)
        assert "message" not in on.monitor.asked
        assert not pane(on).display


@pytest.mark.parametrize("keys", [(), tuple("jjj"), ("t", *"1m", "enter"), ("tab",)], ids=["top", "3", "jump", "tab"])
async def test_resizing_loses_neither_selection_nor_following(keys: tuple[str, ...]) -> None:
    """From wide to tiny and back the same message is selected, in sight, and followed or not as before."""
    monitor = FakeMonitor(many(1).clock, [])
    monitor.rows = [row(number, cursor=pack(number, 0)) for number in range(1, 3_001)]
    monitor.batch_times = {1_500: 0}
    async with stage(monitor, WIDE) as on:
        await on.press(*keys)
        selected, following = on.selected_id, on.shown.following
        for size in ((80, 24), (40, 10), (10, 3), (120, 36), (240, 60), (40, 10), WIDE):
            await on.pilot.resize_terminal(*size)
            await on.pilot.pause()
            await on.tick()
            assert (on.selected_id, on.shown.following) == (selected, following), size
            assert on.shown._top <= on.shown.selected < on.shown._top + on.shown.room
        if following:
            monitor.add(row(3_001, cursor=pack(3_001, 0)))
            await on.tick()
            assert on.selected_id == message_id(3_001)
        at = on.shown.selected
        await on.press("j")
        assert on.shown.selected == at + 1


async def test_nothing_is_drawn_beside_the_list_when_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the clock renders its line alone, and reads no message."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        await on.tick(seconds=1)
        on.monitor.asked.clear()
        drawn: list[tuple[str, int]] = []
        render: Callable[[Lines, int], Any] = Lines.render_line

        def counted(self: Lines, y: int) -> Any:
            drawn.append((self.id or "", y))
            return render(self, y)

        monkeypatch.setattr(Lines, "render_line", counted)
        await on.tick(seconds=1)
        assert set(drawn) == {("head", 0)}
        assert set(on.monitor.asked) == {"snapshot"}


async def test_flags_stand_in_words_where_there_is_room() -> None:
    """In a wide list alone, at the end of the reason and not in a column of their own."""
    monitor = told()
    monitor.rows[-1] = replace(monitor.rows[-1], flags=["conflict", "late", "repeated"])
    async with stage(monitor, WIDE) as on:
        await on.press("v")
        (found,) = [line for line in on.lines() if message_id(60) in line]
        assert "conflict late" in found
        assert found.index("Message") - found.index("delivered") < 20


async def test_what_somebody_reads_beside_the_list_stays() -> None:
    """Going there from the newest row stops following: news come above it."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        await on.press("tab")
        tell(on.monitor, 61)
        on.monitor.add(row(61))
        await on.tick()
        assert pane(on).has_focus
        assert on.selected_id == message_id(60)
        assert f"message {message_id(60)}" in pane(on).content[0].text


async def test_enter_beside_the_list_is_about_the_selected_message() -> None:
    """Also where it was selected a moment ago, and the one before is still shown."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        on.monitor.gate = asyncio.Event()
        for key in ("j", "j", "tab", "enter"):
            on.app.post_message(events.Key(key, key if len(key) == 1 else None))
            for _ in range(4):
                await on.pilot.pause(0)
        assert pane(on).has_focus
        assert on.app.screen.name == "messages"
        on.monitor.gate.set()
        await shows(on, 58)
        await on.press("enter")
        assert isinstance(on.app.screen, BatchScreen)


async def test_what_cannot_be_read_is_not_shown_as_another() -> None:
    """The one before goes."""
    async with stage(told(), WIDE) as on:
        await shows(on, 60)
        on.monitor.failure, on.monitor.failing = MonitorError("odd"), {"message"}
        await on.press("j", "tab")
        await on.tick()
        assert message_id(60) not in pane(on).content[0].text
        assert "reading" in pane(on).content[0].text
        on.monitor.failure = None
        await on.tick()
        await shows(on, 59)


async def test_v_on_a_narrow_terminal_changes_nothing() -> None:
    """There is nothing to hide; a wider one has it."""
    async with stage(told(), (100, 40)) as on:
        await on.press("v")
        await on.pilot.resize_terminal(*WIDE)
        await on.tick()
        assert pane(on).display
