"""The filter box, the filtered list, and pause."""

import asyncio
from typing import Any

import pytest
from textual import events
from tui_fakes import FakeMonitor, message_id, row
from tui_stage import Stage, many, stage

from hooklab.store.base import Condition, MessageRow
from hooklab.tui.screens.leave import LeaveScreen
from hooklab.tui.screens.listing import PAGE


def pending_only(where: Condition, one: MessageRow) -> bool:
    """What `state:pending` lets through; other conditions let all through."""
    return one.state == "PENDING" if "rank < 0" in where.sql else True


def mixed(count: int = 30) -> FakeMonitor:
    """Every third message is pending."""
    monitor = many(count)
    monitor.rows = [row(n, state="DELIVERED" if n % 3 else "PENDING") for n in range(1, count + 1)]
    monitor.lets_through = pending_only
    return monitor


async def typed(on: Stage, text: str) -> None:
    await on.press("slash", *text)


def ids(on: Stage) -> list[str]:
    return [one.message_id for one in on.shown.rows.items]


async def test_a_filter_shows_its_results_while_it_is_typed() -> None:
    """Only what the words let through is listed, with how many were found; Enter keeps it and leaves the box."""
    async with stage(mixed(), (120, 36)) as on:
        await typed(on, "state:pending")
        assert ids(on) == [message_id(n) for n in range(30, 0, -3)]
        assert "/ state:pending" in on.text()
        assert "10 found" in on.text()
        await on.press("enter", "j")
        assert on.selected_id == message_id(27)
        assert "/ state:pending" in on.text()


async def test_esc_takes_a_filter_back() -> None:
    """In the box Esc goes back to the filter from before; in the list it shows all messages again."""
    async with stage(mixed(), (120, 36)) as on:
        await typed(on, "state:pending")
        await on.press("enter")
        await typed(on, " since:1h")
        assert "/ state:pending since:1h" in on.text()
        await on.press("escape")
        assert "since:1h" not in on.text()
        assert "10 found" in on.text()
        await on.press("escape")
        assert len(ids(on)) == 30
        assert "found" not in on.text()


async def test_a_wrong_word_is_said_and_the_list_stays() -> None:
    """While a word is wrong the last filter that was right stays in force, and a line says what is wrong."""
    async with stage(mixed(), (120, 36)) as on:
        await typed(on, "state:pending is:lost")
        assert "is:lost is not known; write is:stuck" in on.text()
        assert len(ids(on)) == 10
        await on.press(*["backspace"] * 8, "enter")
        assert "is:lost" not in on.text()
        assert len(ids(on)) == 10


async def test_a_quote_keeps_words_together() -> None:
    """A quote that is not closed yet is said; then what is in it is one word."""
    seen: list[Any] = []

    def all_through(where: Condition, _: MessageRow) -> bool:
        seen.append(where.values)
        return True

    monitor = mixed()
    monitor.lets_through = all_through
    async with stage(monitor, (120, 36)) as on:
        await typed(on, 'custom:"order 4711')
        assert "a double quote is not closed" in on.text()
        await on.press('"')
        assert "not closed" not in on.text()
        assert seen[-1] == {"f0": "order 4711"}


async def test_a_filtered_list_stays_right() -> None:
    """What comes to match appears, what no longer matches goes, without a new search from the top."""
    async with stage(mixed()) as on:
        await typed(on, "state:pending")
        await on.press("enter")
        searches = on.monitor.asked.count("messages")
        on.monitor.add(row(31, state="PENDING"), row(32), row(27, cursor=33, state="DELIVERED"))
        await on.tick()
        assert ids(on) == [message_id(n) for n in (31, 30, 24, 21, 18, 15, 12, 9, 6, 3)]
        assert on.monitor.asked.count("messages") == searches


async def test_a_search_goes_on_until_the_screen_is_full() -> None:
    """Steps that find little are followed by further ones by themselves, until there are rows enough."""
    monitor = mixed(5 * PAGE)
    steps: list[int | None] = []
    whole = monitor.search

    async def in_small_steps(where: Condition, limit: int, before: int | None = None) -> Any:
        steps.append(before)
        return await whole(where, min(limit, 5), before)

    monitor.search = in_small_steps  # type: ignore[method-assign]
    async with stage(monitor) as on:
        await typed(on, "state:pending")
        await on.tick()
        assert len(steps) > 5
        assert len(ids(on)) >= 2 * on.shown.room
        assert "found so far" in on.text()


async def test_a_paused_list_stands_still_and_counts() -> None:
    """While it is paused nothing moves, the line at the bottom counts the reports; space follows again."""
    async with stage() as on:
        await on.press("space")
        assert "paused, 0 reports meanwhile" in on.text()
        before = ids(on)
        on.monitor.add(*(row(number) for number in range(31, 41)))
        await on.tick()
        assert ids(on) == before
        counted = 2 * 40 + 1 - 2 * 30
        assert f"paused, {counted} reports meanwhile" in on.text()
        await on.press("space")
        assert on.selected_id == message_id(40)
        assert "following" in on.text()


async def test_a_paused_list_can_be_searched_and_scrolled() -> None:
    """Older pages are loaded while it is paused, and another filter starts anew."""
    monitor = mixed(2 * PAGE)
    async with stage(monitor) as on:
        await on.press("space", "G")
        await on.tick()
        assert len(ids(on)) == 2 * PAGE
        await typed(on, "state:pending")
        await on.press("enter")
        assert len(ids(on)) == 2 * PAGE // 3
        assert "paused" in on.text()


async def test_pasted_control_characters_do_not_reach_the_box() -> None:
    """What is pasted into the filter is cleaned like all that comes from outside."""
    async with stage(mixed()) as on:
        await on.press("slash")
        on.app.screen.query_one("#filter-text").value = "a\x1b[2Jb\u202ec"  # type: ignore[attr-defined]
        await on.pilot.pause()
        assert "a␛[2Jb\ufffdc" in on.text()


async def test_keys_are_text_while_the_box_is_open() -> None:
    """q, digits, ? and space are typed and do nothing else."""
    async with stage(mixed()) as on:
        await typed(on, "q2?")
        await on.press("space", "m")
        assert on.app.is_running
        assert on.app.screen.name == "messages"
        assert "/ q2? m" in on.text()


async def test_keys_behind_the_slash_are_text() -> None:
    """However fast they follow the slash that opens the box, they are typed into it."""
    async with stage(mixed(), owns_service=True) as on:
        for key in ("slash", "q", "s", "colon", "m"):
            on.app.post_message(events.Key(key, {"slash": "/", "colon": ":"}.get(key, key)))
        for _ in range(5):
            await on.pilot.pause()
        assert "/ qs:m" in on.text()
        assert on.app.screen.name == "messages"
        await on.press("slash")
        assert "/ qs:m/" in on.text()


async def test_enter_on_a_wrong_filter_stays_in_the_box() -> None:
    """What is wrong stays said until it is mended or taken back."""
    async with stage(mixed(), (120, 36)) as on:
        await typed(on, "state:lost")
        await on.press("enter")
        assert "state:lost is not known" in on.text()
        await on.press(*["backspace"] * 4, *"pending", "enter")
        assert "/ state:pending" in on.text()
        assert "is not known" not in on.text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state:pending", "No message matches."),
        ("foo:bar", "'foo:bar' was looked for as text"),
        ("4711", "4711 was looked for in phone numbers; custom:4711 looks in custom payloads"),
    ],
)
async def test_nothing_found_says_what_was_looked_for(text: str, said: str) -> None:
    """A word that may have been meant otherwise is explained."""
    monitor = many(5)
    monitor.lets_through = lambda *_: False
    async with stage(monitor, (120, 36)) as on:
        await typed(on, text)
        await on.press("enter")
        assert said in on.text()


async def test_digits_say_that_they_are_looked_for_in_numbers() -> None:
    """Who types an order number is told so at once, found or not; and the keys of the box are named."""
    async with stage(mixed()) as on:
        await on.press("slash", *"0012")
        assert "0012 was looked for in phone numbers; custom:0012 looks in custom payloads" in on.text()
        assert "enter keep it   esc as before" in on.lines()[-1]
        await on.press(*["backspace"] * 4)
        assert "state:not_delivered" in on.text()
        await on.press("escape")
        assert "q quit" in on.lines()[-1]


@pytest.mark.parametrize("text", ["custom:a-4790", "A-4790"])
async def test_what_was_found_in_a_payload_is_in_sight(text: str) -> None:
    """Where the column would cut it off, the payload begins near it."""
    payload = '{"campaign": "a long name of it", "order": "A-4790", "kind": "code"}'
    async with stage(many(3, custom_payload=payload), (120, 36)) as on:
        assert "A-4790" not in on.text()
        await on.press("slash", *text, "enter")
        assert on.text().count('A-4790"') == 3
        await on.press("escape")
        assert "A-4790" not in on.text()


async def test_keys_behind_enter_are_keys_again() -> None:
    """However fast they follow the Enter that closes the box, they are not typed into it."""
    async with stage(mixed(), owns_service=True) as on:
        await typed(on, "is:stuck")
        for key in ("enter", "q"):
            on.app.post_message(events.Key(key, None))
        await on.pilot.pause()
        await on.pilot.pause()
        assert isinstance(on.app.screen, LeaveScreen)


async def test_a_read_for_the_filter_before_shows_nothing() -> None:
    """What was being read when the filter became another never gets into the list of the new one."""
    monitor = mixed()
    started, go_on = asyncio.Event(), asyncio.Event()
    whole = monitor.search

    async def held_up(where: Condition, limit: int, before: int | None = None) -> Any:
        found = await whole(where, limit, before)
        if not started.is_set():
            started.set()
            await go_on.wait()
        return found

    async with stage(monitor) as on:
        monitor.search = held_up  # type: ignore[method-assign]
        screen = on.app.screen_stack[1]
        screen.filter_by("desc:message")  # type: ignore[attr-defined]
        await started.wait()
        screen.filter_by("state:pending")  # type: ignore[attr-defined]
        go_on.set()
        await on.app.workers.wait_for_complete()
        assert ids(on) == [message_id(n) for n in range(30, 0, -3)]


async def test_what_stopped_matching_while_paused_is_gone_afterwards() -> None:
    """However much came meanwhile, and however little of it matches."""
    monitor = mixed(6 * PAGE)
    async with stage(monitor) as on:
        await typed(on, "state:pending")
        await on.press("enter", "G", "g", "space")
        assert len(ids(on)) == 2 * PAGE
        others = [row(6 * PAGE + n, state="DELIVERED") for n in range(1, PAGE + 1)]
        monitor.add(*others, row(300, state="DELIVERED", cursor=8 * PAGE))
        await on.press("space")
        wanted = [message_id(n) for n in range(6 * PAGE, 0, -3) if n != 300]
        assert ids(on) == wanted[: len(ids(on))]  # all of them may be read anew: then those in sight come first
        await on.press("G", "G", "G")
        assert ids(on) == wanted
