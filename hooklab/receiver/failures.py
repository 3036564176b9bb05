"""Who was turned away at the door, how often, and how long the next such answer waits."""

from collections import OrderedDict
from typing import Final

from hooklab.metrics import TurnedAway
from hooklab.networks import group_of
from hooklab.times import MINUTE, Clock

_FREE: Final = 5
"""So many failures are answered at once: somebody mistyped."""
_FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 2.0
"""Shorter than the drain at the end of the service, and than any provider's patience."""
_FORGET: Final = 10 * MINUTE
_REMEMBERED: Final = 1000
"""Addresses."""


class Failures:
    """Remembers the newest of those who came without a token that is right."""

    def __init__(self, clock: Clock) -> None:
        """Nobody has failed yet."""
        self._clock = clock
        self._by_group: OrderedDict[str, TurnedAway] = OrderedDict()

    def count(self, address: str, why: str) -> float:
        """Notes one failure; gives the seconds for which its answer waits.

        The wait doubles with each failure of an address from the sixth on. Only failing answers wait: whoever has the
        token is not kept waiting by others behind the same address.
        """
        now = self._clock()
        group = group_of(address)
        before = self._by_group.pop(group, None)
        recent = before is not None and 0 <= now - before.last_at < _FORGET
        count = before.count + 1 if before is not None and recent else 1
        self._by_group[group] = TurnedAway(address=address, why=why, count=count, last_at=now)
        if len(self._by_group) > _REMEMBERED:
            self._by_group.popitem(last=False)
        over = count - _FREE
        return 0.0 if over <= 0 else min(_FIRST_SECONDS * 2.0 ** min(over - 1, 16), MOST_SECONDS)

    def newest(self, most: int) -> list[TurnedAway]:
        """Who failed last, newest first; may be asked from any thread."""
        return list(self._by_group.values())[: -most - 1 : -1]
