"""Work on the service's loop gives way to answers, and is not ended by them."""

import asyncio

import pytest

from hooklab import pace
from hooklab.pace import Pace


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


FOR_EVER = float("inf")


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


async def test_answers_that_never_end_do_not_end_the_work() -> None:
    """It comes back though they are always under way, and sooner once the work is late."""
    busy = Busy(FOR_EVER, each=0.0001)
    one = Pace(busy.is_busy, busy.now)
    await one.give_way()
    first = busy.looks
    busy.seconds += 11
    await one.give_way()
    assert 5 <= busy.looks - first < first / 2 < 50


async def test_what_was_caught_up_with_is_not_late() -> None:
    """A new burst is answered first again, however long the one before was."""
    busy = Busy(FOR_EVER, each=0.0001)
    one = Pace(busy.is_busy, busy.now)
    busy.seconds += 11
    one.caught_up()
    await one.give_way()
    assert busy.looks > 30
