"""What is wrong and since when, in the head, on the problems and on the titles."""

import re

import pytest
from tui_fakes import NOW, URL, FakeMonitor, status
from tui_stage import many, stage

from hooklab.metrics import Counters, Signs, Snapshot
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.tui.seen import NOT_SEEN, look

MIB = 1 << 20


def troubled() -> FakeMonitor:
    """Everything at once."""
    monitor = many(30)
    monitor.counters = {"stuck": 3, "conflicts": 16, "quarantined": 2}
    monitor.service = status(disk_reserve=256 * MIB)
    monitor.signs = Signs(
        last_at=NOW - 10 * HOUR,
        silent=True,
        stuck_since=NOW - 26 * HOUR,
        quarantined_at=NOW - 30 * MINUTE,
        conflict_at=NOW - MINUTE,
        disk_free=300 * MIB,
        disk_size=100_000 * MIB,
    )
    return monitor


async def test_while_nothing_is_wrong_the_url_stands_there() -> None:
    """Counters that grew long ago are no news."""
    monitor = troubled()
    monitor.counters["stuck"] = 0
    monitor.signs = Signs(quarantined_at=NOW - 2 * HOUR, conflict_at=NOW - DAY, disk_free=900 * MIB)
    async with stage(monitor) as on:
        assert on.lines()[1].startswith(f" {URL.rpartition('/')[0]}/••••")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("disk_free", "disk nearly full, 315 MB left"),
        ("silent", "silent since 02:04, which is not usual"),
        ("stuck_since", "3 stuck, the first since 22 Nov 10:04"),
        ("quarantined_at", "2 in quarantine, the last at 11:34"),
        ("conflict_at", "16 in conflict, the last at 12:03"),
    ],
)
@pytest.mark.parametrize("width", [80, 120])
async def test_each_sign_is_told_with_its_time(left: str, said: str, width: int) -> None:
    """In the line below the state, whole at 80 columns, and up time stays where it is."""
    monitor = troubled()
    kept = {name: getattr(monitor.signs, name) for name in (left, "last_at", "disk_size")}
    monitor.signs = Signs(**kept)
    async with stage(monitor, (width, 30)) as on:
        assert on.lines()[1].startswith(f" ⚑ {said}")
        assert "up 3 d 04:23" in on.lines()[1]


async def test_the_worst_comes_first_and_the_rest_is_counted() -> None:
    """At 80 columns one and how many more; at 200 all of them; at 40 the first as far as it goes."""
    async with stage(troubled()) as on:
        assert on.lines()[1].startswith(" ⚑ disk nearly full, 315 MB left · 4 more ")
        await on.pilot.resize_terminal(240, 50)
        await on.tick()
        line = on.lines()[1]
        places = [line.index(word) for word in ("disk", "silent", "stuck", "quarantine", "conflict")]
        assert places == sorted(places)
        await on.pilot.resize_terminal(40, 10)
        await on.tick()
        assert "● well ⚑ disk" in on.lines()[0]


async def test_a_problem_tells_since_when_if_that_was_seen() -> None:
    """A service that begins to answer 503 while somebody watches has its time; one that did before has none."""
    monitor = many(3)
    async with stage(monitor) as on:
        monitor.service = status(problem="the disk is full")
        await on.tick()
        await on.tick(seconds=120)
        assert "the disk is full (since 12:04)" in on.text()
    monitor = many(3)
    monitor.service = status(problem="the disk is full")
    async with stage(monitor) as on:
        await on.tick()
        assert "answers 503 " in on.text()
        assert "(since" not in on.text()


async def test_refusals_are_told_when_they_grow() -> None:
    """Not those from before somebody watched; for an hour."""
    monitor = many(3)
    monitor.service = status(refused={"404": 4})
    async with stage(monitor) as on:
        await on.tick()
        assert "the last at" not in on.text()
        monitor.service = status(refused={"404": 4, "413": 1})
        await on.tick(seconds=60)
        assert "5 refused, the last at 12:05" in on.text()
        await on.tick(seconds=3700)
        assert "the last at" not in on.text()


async def test_being_behind_is_told_once_it_lasts() -> None:
    """A moment's lag is none; that somebody sets the clock makes it no longer."""
    monitor = many(3)
    monitor.counters = {"lag": 1_204}
    async with stage(monitor) as on:
        assert "behind" not in on.text()
        await on.tick(seconds=40)
        for hour in (3600, -7200):
            monitor.clock.set_by(hour)
            await on.tick()
            assert "1,204 batches behind for 40 s" in on.text()
        monitor.counters = {"lag": 3}
        await on.tick()
        assert "behind" not in on.text()


async def test_problems_explain_what_is_wrong_now() -> None:
    """Disk and silence stand there with what one can do, and the title of the screen is flagged."""
    monitor = troubled()
    monitor.counters = {}
    async with stage(monitor, (120, 36)) as on:
        assert "Problems ⚑" in on.text()
        await on.press("3")
        text = re.sub(r"\s+", " ", on.text())
        for words in ("⚑ disk nearly full", "Make room", "⚑ silent since 02:04", "Does the hook URL still lead here"):
            assert words in text, words


def test_what_is_seen_goes_with_the_service() -> None:
    """Where a service is gone or was started anew, with fewer refusals, nothing grew."""

    def taken(refused: int | None, lag: int = 0) -> Snapshot:
        counters = Counters(refused=None if refused is None else {"404": refused}, lag=lag)
        return Snapshot(taken_at=NOW, counters=counters)

    seen = look(NOT_SEEN, taken(7), NOW, 0)
    seen = look(seen, taken(None), NOW + SECOND, SECOND)
    seen = look(seen, taken(2), NOW + 2 * SECOND, 2 * SECOND)
    assert seen.refused_at is None
    assert look(seen, taken(3), NOW + 3 * SECOND, 3 * SECOND).refused_at == NOW + 3 * SECOND
