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
"""Once the work is late it goes on for longer, and answers have no more: who never rests must not end it."""
_LATE_SECONDS: Final = 10.0
_MOMENT_SECONDS: Final = 0.001
"""The shortest that uvloop waits."""


class Pace:
    """Gives way when asked to, by time and not by rounds of the loop.

    A large request takes many rounds of the loop, and SQLite's threads wait for whoever computes: to give way for one
    round after each slice of work lets answers wait for nearly all of it.
    """

    def __init__(self, is_busy: Callable[[], bool], now: Callable[[], float] = time.monotonic) -> None:
        """Takes what says whether answers are under way, and a clock of seconds that is never set."""
        self._is_busy = is_busy
        self._now = now
        self._ends = 0.0
        self._caught_up_at = now()

    def caught_up(self) -> None:
        """Nothing is left to do: what comes now is not late yet."""
        self._caught_up_at = self._now()

    async def give_way(self) -> None:
        """Returns at once within a slice, and afterwards when answers had their turn."""
        began = self._now()
        if began < self._ends:
            return
        late = began - self._caught_up_at > _LATE_SECONDS
        busy = self._is_busy()
        until = began + (_SHARED_SECONDS if late else _ANSWERS_SECONDS)
        await asyncio.sleep(0)
        while self._is_busy() and self._now() < until:  # noqa: ASYNC110  it waits for more than one event
            await asyncio.sleep(_MOMENT_SECONDS)
        self._ends = self._now() + (_SLICE_SECONDS if busy and not late else _LONG_SLICE_SECONDS)
