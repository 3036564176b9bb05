"""Work on the service's loop gives way to answers, and is not ended by them."""

import asyncio

import pytest

from hooklab import pace
from hooklab.pace import Pace

FOR_EVER = float("inf")
WALL = 1_764_000_000_000_000


class Busy:
    """Answers that are under way for so many looks, each of which takes some seconds of a clock of its own."""

    def __init__(self, looks: float, each: float = 0.0) -> None:
        self.left = looks
        self.looks = 0
        self.seconds = 100.0
        self._each = each

    def is_busy(self) -> bool:
        self.looks += 1
        self.left -= 1
        self.seconds += self._each
        return self.left >= 0

    def now(self) -> float:
        return self.seconds

    def clock(self) -> int:
        return int(self.seconds * 1_000_000) + WALL


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_MOMENT_SECONDS", 0)


async def test_within_a_slice_it_goes_on_at_once() -> None:
    """Nobody else runs before the slice is over, and then they do."""
    ran: list[int] = []
    busy = Busy(0)
    one = Pace(busy.is_busy, busy.now)
    await one.give_way()  # the first slice begins
    asyncio.get_running_loop().call_soon(ran.append, 1)
    for _ in range(100):
        await one.give_way()
    assert ran == []
    busy.seconds += 1
    await one.give_way()
    assert ran == [1]


async def test_answers_that_need_many_rounds_have_their_turn() -> None:
    """While they are under way it waits, for rounds without number, and no longer than they are."""
    busy = Busy(201)
    await Pace(busy.is_busy, busy.now).give_way()
    assert busy.looks == 202


async def turn(late: float, *, behind: float = 3_600) -> int:
    """How many looks long the turn of answers that never end is.

    The work is late by `late` seconds, and was not caught up for `behind`.
    """
    busy = Busy(FOR_EVER, each=0.0001)
    one = Pace(busy.is_busy, busy.now, busy.clock)
    busy.seconds += behind
    one.reached(busy.clock() - int(late * 1_000_000))
    await one.give_way()
    return busy.looks


async def test_answers_that_never_end_do_not_end_the_work() -> None:
    """It comes back though they are always under way, the sooner the later the work is, and never at once."""
    turns = [await turn(late) for late in (0, 2, 5, 9, 10_000)]
    assert turns == sorted(set(turns), reverse=True)
    assert 50 < turns[0] < 70
    assert 5 < turns[-1] < 15
    assert abs(await turn(11) - turns[-1]) <= 1


async def test_its_slices_grow_with_its_lateness() -> None:
    """Late work goes on for longer before answers have their turn again."""

    async def slice_of(late: float) -> int:
        busy = Busy(FOR_EVER)
        one = Pace(busy.is_busy, lambda: busy.seconds + busy.looks / 1000, busy.clock)
        busy.seconds += 3_600
        one.reached(busy.clock() - int(late * 1_000_000))
        await one.give_way()
        looks, steps = busy.looks, 0
        while busy.looks == looks:
            busy.seconds += 0.00001
            steps += 1
            await one.give_way()
        return steps

    early, late = await slice_of(0), await slice_of(20)
    assert 25 < early < 35
    assert 95 < late < 105


async def test_what_waited_since_before_the_start_is_not_late_at_once() -> None:
    """Whoever starts with hours of backlog answers first for ten seconds, and is late bit by bit after them."""
    for seconds in (0, 5, 10):  # as long as its patience
        assert await turn(3_600, behind=seconds) == await turn(0)
    assert await turn(3_600, behind=15) == await turn(5)
    assert await turn(3, behind=15) == await turn(3)


async def test_a_clock_that_was_set_back_makes_nothing_late() -> None:
    """What seems to come from the future is not late."""
    assert await turn(-3_600, behind=30) == await turn(0)


async def test_what_was_caught_up_with_is_not_late() -> None:
    """A new burst is answered first again, however long the one before was."""
    busy = Busy(FOR_EVER, each=0.0001)
    one = Pace(busy.is_busy, busy.now, busy.clock)
    one.reached(busy.clock())
    busy.seconds += 21
    one.caught_up()
    await one.give_way()
    assert busy.looks == await turn(0)
