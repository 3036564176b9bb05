"""The list of messages: what it shows, what it keeps, what it draws."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tui_fakes import batch, message_id, quarantined, row
from tui_stage import many, stage, story

from hooklab.store.base import Condition, Found
from hooklab.tui.screens.listing import CATCH_UP, PAGE
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.widgets.lines import Lines
from hooklab.tui.widgets.message_list import MessageList


async def test_the_list_shows_what_a_message_is() -> None:
    """Time, masked number, state, reason, segments, arrivals with ↻ and custom payload stand in one row."""
    monitor = many(1, state="NOT_DELIVERED", description="Absent subscriber", total_segments=3, arrivals=7)
    monitor.rows = [replace(monitor.rows[0], flags=["conflict", "repeated"], custom_payload="order 4711")]
    async with stage(monitor, (120, 36)) as on:
        (found,) = [line for line in on.lines() if "Absent subscriber" in line]
        assert "23 Nov 12:04:21" in found
        assert "3519····0001" in found
        assert "✖ not_delivered ⚑" in found
        assert re.search(r"\b3 +7↻  order 4711", found)


async def test_new_messages_appear_on_top_and_the_top_follows() -> None:
    """With the selection at the very top, it goes to the newest message."""
    async with stage() as on:
        on.monitor.add(row(31, description="brand new"))
        await on.tick()
        assert on.selected_id == message_id(31)
        (found,) = [line for line in on.lines() if "brand new" in line]
        assert found.startswith("▸")


async def test_new_messages_come_into_sight_without_taking_the_selection() -> None:
    """With the top of the list in sight new messages appear there; the selection stays on its message."""
    async with stage() as on:
        await on.press(*"jjj")
        on.monitor.add(row(31, description="brand new"))
        await on.tick()
        assert on.selected_id == message_id(27)
        lines = on.lines()
        new = next(at for at, text in enumerate(lines) if "brand new" in text)
        assert lines[new + 4].startswith("▸")
        assert "5 of 31" in on.text()
        await on.press("g")
        assert on.selected_id == message_id(31)


async def test_new_messages_do_not_move_a_scrolled_list() -> None:
    """Scrolled down, the selected message stays selected and on the same line of the screen."""
    async with stage() as on:
        await on.press("pagedown", "k", "k")
        before = on.selected_id
        at = [line.startswith("▸") for line in on.lines()].index(True)
        on.monitor.add(*(row(number) for number in range(31, 41)))
        await on.tick()
        assert on.selected_id == before
        assert [line.startswith("▸") for line in on.lines()].index(True) == at
        assert len(on.shown.rows) == 40


async def test_a_row_is_updated_in_place_and_stands_once() -> None:
    """New activity moves a message to the top, with its new state, and leaves no second row behind."""
    async with stage() as on:
        await on.press(*"jjj")
        chosen = on.selected_id
        on.monitor.add(row(5, cursor=99, state="NOT_DELIVERED", description="Absent subscriber"))
        await on.tick()
        ids = [one.message_id for one in on.shown.rows.items]
        assert len(ids) == len(set(ids)) == 30
        assert ids[0] == message_id(5)
        assert "Absent subscriber" in on.text()
        assert on.selected_id == chosen


async def test_the_selected_message_keeps_the_selection_when_it_moves_itself() -> None:
    """The selection goes with its message to the top, and does not start to follow others from there."""
    async with stage() as on:
        await on.press(*"jjj")
        on.monitor.add(row(27, cursor=99))
        await on.tick()
        on.monitor.add(row(50, cursor=100))
        await on.tick()
        assert on.selected_id == message_id(27)


async def test_scrolling_loads_further_pages() -> None:
    """Going down loads page after page through cursors, each message once and in order, to the last."""
    async with stage(many(3 * PAGE + 7)) as on:
        assert len(on.shown.rows) == PAGE
        for _ in range(5):
            await on.press("G")
        assert on.selected_id == message_id(1)
        assert [one.cursor for one in on.shown.rows.items] == list(range(3 * PAGE + 7, 0, -1))
        assert on.monitor.asked.count("older") == 3
        assert f"{3 * PAGE + 7} of {3 * PAGE + 7}" in on.text()


async def test_more_than_a_page_at_once_is_joined() -> None:
    """When more arrives between two ticks than a page holds, nothing is missing between new and old rows."""
    async with stage(many(50)) as on:
        await on.press("j")
        on.monitor.add(*(row(number) for number in range(51, 51 + 2 * PAGE)))
        await on.tick()
        assert on.selected_id == message_id(49)
        assert [one.cursor for one in on.shown.rows.items] == list(range(50 + 2 * PAGE, 0, -1))


async def test_who_moves_while_a_flood_is_read_misses_nothing() -> None:
    """What came is in the list without anything more to come."""
    async with stage(many(300)) as on:
        search, monitor = on.monitor.search, on.monitor

        async def moves(where: Condition, limit: int, before: int | None = None) -> Found:
            on.shown.stay()
            return await search(where, limit, before)

        monitor.search = moves  # type: ignore[method-assign]
        monitor.add(*(row(number) for number in range(301, 601)))
        await on.tick()
        await on.tick()
        assert on.selected_id == message_id(300)
        assert on.shown.rows.items[0].message_id == message_id(600)


async def test_a_flood_leaves_the_selection_and_says_so() -> None:
    """When too much arrives to join, the list stays as it is, says that there is newer, and g shows it."""
    async with stage(many(50)) as on:
        await on.press("j")
        newest = 51 + CATCH_UP + PAGE
        on.monitor.add(*(row(number) for number in range(51, newest)))
        await on.tick()
        assert on.selected_id == message_id(49)
        assert "newest: g" in on.text()
        await on.press("g")
        assert on.selected_id == message_id(newest - 1)
        assert "following" in on.text()


async def test_pages_and_arrows_move_the_selection_into_sight() -> None:
    """PageDown, PageUp and arrows move the selection, and it is always on the screen."""
    async with stage(many(100)) as on:
        for key in ("pagedown", "pagedown", "down", "pageup", "up", "G", "pageup", "home", "end"):
            await on.press(key)
            assert sum(line.startswith("▸") for line in on.lines()) == 1, key


async def test_a_click_selects_and_a_second_opens() -> None:
    """The mouse does what Enter does."""
    async with stage() as on:
        await on.pilot.click(MessageList, offset=(10, 4))
        await on.pilot.pause()
        assert on.shown.selected == 3
        await on.pilot.click(MessageList, offset=(10, 4))
        await on.pilot.pause()
        assert isinstance(on.app.screen, TimelineScreen)


async def test_numbers_are_masked_until_m_reveals_them() -> None:
    """`m` shows numbers whole, and masks them again."""
    async with stage() as on:
        assert "3519····0030" in on.text()
        assert "351913000030" not in on.text()
        await on.press("m")
        assert "351913000030" in on.text()
        await on.press("m")
        assert "351913000030" not in on.text()


# nothing is drawn when nothing changed


@pytest.mark.parametrize("keys", ["", "2", "3", "4", "5", "\r", "2\r", "4\r", "?"])
async def test_nothing_is_drawn_when_nothing_changed(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    """On no screen do ticks without news render a line or read rows; a second of the clock renders its line alone."""
    monitor = story()
    monitor.hold(batch(1), quarantined(1))
    async with stage(monitor) as on:
        await on.press(*({"\r": "enter", "?": "question_mark"}.get(key, key) for key in keys))
        await on.tick(seconds=1)
        asked = [what for what in on.monitor.asked if what != "snapshot"]
        drawn: list[tuple[str, int]] = []
        render: Callable[[Lines, int], Any] = Lines.render_line

        def counted(self: Lines, y: int) -> Any:
            drawn.append((self.id or "", y))
            return render(self, y)

        monkeypatch.setattr(Lines, "render_line", counted)
        for _ in range(5):
            on.app._tick()
            await on.tick()
        assert drawn == []
        await on.tick(seconds=1)
        assert set(drawn) == (set() if keys == "?" else {("head", 0)})
        assert [what for what in on.monitor.asked if what != "snapshot"] == asked


async def test_rows_that_arrive_above_draw_no_row_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the list scrolled down, messages that arrive above change no line of it."""
    async with stage(many(100)) as on:
        await on.press("pagedown", "pagedown", "pagedown")
        drawn: list[str] = []
        render: Callable[[Lines, int], Any] = Lines.render_line

        def noted(self: Lines, y: int) -> Any:
            drawn.append(self.id or "")
            return render(self, y)

        monkeypatch.setattr(Lines, "render_line", noted)
        on.monitor.add(row(101))
        await on.tick()
        assert drawn
        assert "rows" not in drawn


async def test_other_files_are_read_from_the_top() -> None:
    """Where the store was replaced, also by one whose rows come earlier, nothing of the old one stays."""
    async with stage(many(50)) as on:
        await on.press("j")
        on.monitor.rows = [row(number, cursor=number - 1_000) for number in range(1_001, 1_010)]
        on.monitor.files += 1
        await on.tick()
        assert [one.cursor for one in on.shown.rows.items] == list(range(9, 0, -1))
