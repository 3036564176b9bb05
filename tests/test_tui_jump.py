"""Going to a time, and on from there in both directions."""

import random

import pytest
from tui_fakes import NOW, FakeClock, FakeMonitor, batch, message_id, quarantined, row
from tui_stage import Stage, stage

from hooklab.rules import INDEX_BITS, pack
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.tui import rows as held
from hooklab.tui.moment import MomentError, parse_moment
from hooklab.tui.screens.listing import PAGE, ListScreen
from hooklab.tui.screens.timeline import TimelineScreen

NOON = NOW - 4 * MINUTE - 51 * SECOND
MONDAY = NOON - 12 * HOUR
"""2026-11-23, a Monday, at 00:00."""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("12:00", NOON),
        ("12:04:51", NOW),
        ("9:30", MONDAY + 9 * HOUR + 30 * MINUTE),
        ("14:05", MONDAY - DAY + 14 * HOUR + 5 * MINUTE),
        ("21 Nov 14:05", MONDAY - 2 * DAY + 14 * HOUR + 5 * MINUTE),
        (" 21  november, 14:05:06 ", MONDAY - 2 * DAY + 14 * HOUR + 5 * MINUTE + 6 * SECOND),
        ("Nov 21, 2025 14:05", MONDAY - 367 * DAY + 14 * HOUR + 5 * MINUTE),
        ("25 Nov", MONDAY - 363 * DAY),
        ("25 nov 2026", MONDAY + 2 * DAY),
        ("2026-11-22", MONDAY - DAY),
        ("2026-11-22T09:30", MONDAY - DAY + 9 * HOUR + 30 * MINUTE),
        ("2026-11-22 09:30:00+01:00", MONDAY - DAY + 8 * HOUR + 30 * MINUTE),
        ("2h", NOW - 2 * HOUR),
        ("90s ago", NOW - 90 * SECOND),
        ("7D", NOW - 7 * DAY),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, at: int) -> None:
    """How long ago, a time of today or yesterday, a day of this year or the last, or ISO 8601; all in UTC."""
    assert parse_moment(text, NOW) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "25:00",
        "12:61",
        "31 Feb",
        "1 Foo 12:00",
        "29 Feb",
        "2h 30m",
        "12",
        "0 Nov",
        "1 Nov 0000",
        "800000d",
        "999999999d",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """And the words say what would be one."""
    with pytest.raises(MomentError, match="25 Nov 14:05"):
        parse_moment(text, NOW)


def history(count: int) -> FakeMonitor:
    """A message each second up to now, each in a batch of its own."""
    rows = [
        row(number, cursor=pack(number, 0), last_received_at=NOW - (count - number) * SECOND)
        for number in range(1, count + 1)
    ]
    return FakeMonitor(FakeClock(), rows)


async def go(on: Stage, text: str) -> None:
    await on.press("t", *text, "enter")


async def test_t_goes_to_a_time_and_g_returns() -> None:
    """The newest message of that moment or before is selected amid its neighbours; g follows the newest again."""
    async with stage(history(3_000), (120, 36)) as on:
        await go(on, "12:00")
        assert on.selected_id == message_id(3_000 - 291)
        lines = on.lines()
        (at,) = [at for at, line in enumerate(lines) if line.startswith("▸")]
        assert "23 Nov 12:00:00" in lines[at]
        assert "23 Nov 12:00:01" in lines[at - 1]
        assert "23 Nov 11:59:59" in lines[at + 1]
        assert "at 23 Nov 12:00:00.000, newest: g" in lines[-1]
        on.monitor.add(row(3_001, cursor=pack(3_001, 0)))
        await on.tick()
        assert on.selected_id == message_id(3_000 - 291)
        await on.press("g")
        assert on.selected_id == message_id(3_001)
        assert "following" in on.text()


@pytest.mark.parametrize(("text", "number"), [("2h", 1), ("1m", 940), ("2026-12-01", 1_000), ("0s", 1_000)])
async def test_a_time_before_or_after_all_is_the_first_or_last(text: str, number: int) -> None:
    """Before everything the oldest is selected; from the newest on it is followed."""
    async with stage(history(1_000)) as on:
        await go(on, text)
        assert on.selected_id == message_id(number)
        assert on.shown.following == (number == 1_000)


async def test_one_can_scroll_through_everything_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to the oldest and up to the newest again, with no more rows held than a bound, each met once in order."""
    monkeypatch.setattr(held, "MOST", 450)
    count = 1_300
    async with stage(history(count), (80, 60)) as on:
        for key, last in (("G", 1), ("pageup", count)):
            seen, most = [], 0
            while on.selected_id != message_id(last):
                await on.press(key)
                rows = on.shown.rows.items
                most = max(most, len(rows))
                first = rows[0].cursor >> INDEX_BITS
                assert [one.cursor >> INDEX_BITS for one in rows] == list(range(first, first - len(rows), -1))
                seen.append(on.selected_id)
            assert most == 450
            assert seen == sorted(set(seen), reverse=key == "G")
            assert on.shown.following == (key == "pageup")
        assert not on.shown.rows.complete


async def test_a_wrong_time_is_said_and_the_box_stays() -> None:
    """The line below says what would be one, until it is mended; the list stays."""
    async with stage(history(1_000)) as on:
        before = on.selected_id
        await go(on, "soon")
        assert "'soon' is no time; write 14:05, 25 Nov 14:05" in on.text()
        assert on.selected_id == before
        await on.press(*["backspace"] * 4)
        assert "no time" not in on.text()
        await on.press(*"1m", "enter")
        assert on.selected_id == message_id(940)
        assert "in UTC" not in on.text()


async def test_g_leads_to_the_newest_of_a_paused_list() -> None:
    """Also from another time; then it stands still there."""
    async with stage(history(3_000), (120, 36)) as on:
        await go(on, "12:00")
        await on.press("space", "g")
        assert on.selected_id == message_id(3_000)
        on.monitor.add(row(3_001, cursor=pack(3_001, 0)))
        await on.tick()
        assert on.selected_id == message_id(3_000)


async def test_that_nothing_is_there_is_told_once_all_was_looked_at() -> None:
    """A filter's first hit may lie far above what the first step looks at."""
    monitor = history(3_000)
    monitor.lets_through = lambda _, one: one.cursor >> INDEX_BITS == 2_900
    monitor.slice = 500
    async with stage(monitor, (120, 36)) as on:
        await on.press("slash", *"desc:x", "enter")
        await go(on, "20m")
        for _ in range(8):
            await on.tick()
        assert "nothing before 23 Nov 11:44:51 under this filter" in on.text()


async def test_esc_leaves_the_box_and_the_list_as_they_were() -> None:
    """Nothing moves; keys are keys again, and those behind t are text in one burst."""
    async with stage(history(1_000)) as on:
        await on.press("j", *"t1m/t", "escape")
        assert on.selected_id == message_id(999)
        await on.press("j")
        assert on.selected_id == message_id(998)
        await on.press("t", "enter")
        assert on.selected_id == message_id(998)


async def test_a_message_amid_old_ones_opens_and_copies() -> None:
    """Enter works there as anywhere."""
    async with stage(history(3_000)) as on:
        await go(on, "30m")
        assert on.app.screen.copyable() == ("the message id", message_id(1_200))  # type: ignore[attr-defined]
        await on.press("enter")
        assert isinstance(on.app.screen, TimelineScreen)


async def test_a_filter_stays_in_force_at_another_time() -> None:
    """Only what it lets through is found there."""
    monitor = history(3_000)
    monitor.lets_through = lambda _, one: one.cursor >> INDEX_BITS in {5, 70, 2_900}
    async with stage(monitor, (120, 36)) as on:
        await on.press("slash", *"desc:x", "enter")
        await go(on, "1m")
        assert on.selected_id == message_id(2_900)
        await go(on, "20m")
        assert on.selected_id == message_id(70)
        await on.press("j")
        assert on.selected_id == message_id(5)
        await go(on, "11:00")
        assert on.selected_id == message_id(5)
        assert "nothing before 23 Nov 11:00:00 under this filter; esc shows all" in on.text()
        await on.press("k")
        assert "nothing before" not in on.text()


async def test_a_message_that_moves_up_leaves_the_old_rows() -> None:
    """News of a message far above take it from where it stood; the next takes its place."""
    async with stage(history(3_000)) as on:
        await go(on, "20m")
        on.monitor.add(row(1_801, cursor=pack(3_001, 0)))
        await on.tick()
        assert message_id(1_801) not in [one.message_id for one in on.shown.rows.items]
        assert on.selected_id == message_id(1_800)


async def test_batches_and_quarantine_go_to_a_time_too() -> None:
    """The same key in the other lists."""
    monitor = history(5)
    monitor.hold(*(batch(number) for number in range(1, 4 * PAGE)))
    monitor.hold(*(quarantined(number) for number in range(1, 4 * PAGE)))
    monitor.batch_times = {number: NOW - HOUR + number * SECOND for number in range(1, 4 * PAGE)}
    async with stage(monitor) as on:
        for key in "24":
            await on.press(key)
            await go(on, "50m")
            screen = on.app.screen
            assert isinstance(screen, ListScreen)
            assert screen.list.chosen is not None
            assert screen.list.chosen.batch == 600
            await on.press("g")
            assert screen.list.following


@pytest.mark.parametrize("seed", range(4))
async def test_the_selection_stays_while_rows_come_at_either_end(seed: int) -> None:
    """Whatever is loaded above and below, one line down or up goes to the very next message."""
    chance = random.Random(seed)
    async with stage(history(9_000)) as on:
        await go(on, f"{chance.randrange(20, 130)}m")
        at = int(on.selected_id[-12:], 16)
        for _ in range(40):
            by = chance.choice((1, -1, 15, -15))
            await on.press({1: "j", -1: "k", 15: "pagedown", -15: "pageup"}[by])
            room = on.shown.room
            at -= by if abs(by) == 1 else room * by // 15
            assert on.selected_id == message_id(at)
