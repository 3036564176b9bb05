"""How long work on the service's loop goes on before answers have their turn."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_SLICE_SECONDS: Final = 0.0003
_ANSWERS_SECONDS: Final = 0.006
"""While answers are under way they have the loop for so long after each slice of work, if they want it."""
_LONG_SLICE_SECONDS: Final = 0.001
_SHARED_SECONDS: Final = 0.001
"""The later the work is, the longer its slices and the shorter the turns of answers: they find where both keep up."""
_LATE_SECONDS: Final = 10.0
"""As late as this slices and turns are equal: who never rests must not end the work."""
_PATIENCE_SECONDS: Final = 10.0
"""For so long what waits since before the start goes on waiting for those who ask now."""
_MOMENT_SECONDS: Final = 0.001
"""The shortest that uvloop waits."""


def _wall_clock() -> int:
    return time.time_ns() // 1000


class Pace:
    """Gives way when asked to, by time and not by rounds of the loop.

    A large request takes many rounds of the loop, and SQLite's threads wait for whoever computes: to give way for one
    round after each slice of work lets answers wait for nearly all of it.
    """

    def __init__(
        self,
        is_busy: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], int] = _wall_clock,
    ) -> None:
        """Takes what says whether answers are under way, a clock of seconds that is never set, and the wall's."""
        self._is_busy = is_busy
        self._now = now
        self._clock = clock
        self._ends = 0.0
        self._caught_up_at = now()
        self._received_at = clock()

    def caught_up(self) -> None:
        """Nothing is left to do: what comes now is not late yet."""
        self._caught_up_at = self._now()

    def reached(self, received_at: int) -> None:
        """The work is at what came then, microseconds UTC."""
        self._received_at = received_at

    async def give_way(self) -> None:
        """Returns at once within a slice, and afterwards when answers had their turn."""
        began = self._now()
        if began < self._ends:
            return
        late = self._lateness(began)
        busy = self._is_busy()
        until = began + _between(_ANSWERS_SECONDS, _SHARED_SECONDS, late)
        await asyncio.sleep(0)
        while self._is_busy() and self._now() < until:  # noqa: ASYNC110  it waits for more than one event
            await asyncio.sleep(_MOMENT_SECONDS)
        self._ends = self._now() + (
            _between(_SLICE_SECONDS, _LONG_SLICE_SECONDS, late) if busy else _LONG_SLICE_SECONDS
        )

    def _lateness(self, now: float) -> float:
        """0 where slices are shortest and turns longest, 1 where they are equal."""
        behind = now - self._caught_up_at
        waited = (self._clock() - self._received_at) / 1_000_000
        if waited > behind:  # it waits since before the start, or a clock was set
            waited = behind - _PATIENCE_SECONDS
        return min(max(waited / _LATE_SECONDS, 0.0), 1.0)


def _between(early: float, late: float, lateness: float) -> float:
    return early + (late - early) * lateness
