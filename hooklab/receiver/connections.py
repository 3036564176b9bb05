"""How many connections may be open, of one peer and of all; and who goes when there are too many."""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from hooklab.networks import Networks, group_of, is_loopback

_FOR_ONE_LOOK: Final = 16
"""A look at all connections finds room for a share of one in so many: under a flood of new ones each would look."""
_LOOK_SECONDS: Final = 20e-6
"""For each connection, until the next look after one that found nobody: ten times what it takes."""


class ConnectionLimits(Struct, frozen=True):
    """Connections that may be open at the same time."""

    most: int
    """All together."""
    per_peer: int
    """Of one address (of IPv6, one /64). This machine's own and named proxies have no such limit: many stand behind
    them.
    """


class Open(Protocol):
    """A connection as it is counted."""

    def waits_since(self) -> float | None:
        """Since when it has said nothing that wants an answer, in the loop's time; None where an answer is due."""

    def give_way(self) -> None:
        """Ends it, for another."""


class Connections:
    """Counts them. One that is over a limit is refused, or takes the place of one that only waits."""

    def __init__(
        self, limits: ConnectionLimits, proxies: Networks, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """None is open."""
        self.limits = limits
        self._clock = clock
        self._next: list[Open] = []
        self._looks_again = 0.0
        self._proxies = proxies
        self._open: dict[Open, str] = {}
        self._of_group: Counter[str] = Counter()

    def change(self, limits: ConnectionLimits, proxies: Networks) -> None:
        """Others from now on; what is open stays."""
        self.limits, self._proxies = limits, proxies

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def admit(self, one: Open, peer: str) -> bool:
        """Counts a new one; False: it may not stay."""
        group = group_of(peer)
        if self._of_group[group] >= self.limits.per_peer and not (is_loopback(peer) or peer in self._proxies):
            return False
        if len(self._open) >= self.limits.most and not self._make_room(group):
            return False
        self._open[one] = group
        self._of_group[group] += 1
        return True

    def leave(self, one: Open) -> None:
        """It is closed; says nothing of one that was never admitted."""
        group = self._open.pop(one, None)
        if group is not None:
            self._of_group[group] -= 1
            if not self._of_group[group]:
                del self._of_group[group]

    def _make_room(self, group: str) -> bool:
        """Ends one that waits: of those who have most, the one that has waited longest."""
        if self._end_next(group):
            return True
        if self._clock() < self._looks_again:
            return False
        self._look()
        found = self._end_next(group)
        if not found:
            self._looks_again = self._clock() + len(self._open) * _LOOK_SECONDS
        return found

    def _end_next(self, group: str) -> bool:
        """Nobody pushes out one who has fewer connections than he: an attacker ends his own."""
        while self._next:
            victim = self._next[-1]
            whose = self._open.get(victim)
            if whose is None or victim.waits_since() is None:
                self._next.pop()
                continue
            if whose != group and self._of_group[whose] < self._of_group[group]:
                return False
            self._next.pop()
            self.leave(victim)
            victim.give_way()
            return True
        return False

    def _look(self) -> None:
        waiting = [
            (-self._of_group[group], since, number, one)
            for number, (one, group) in enumerate(self._open.items())
            if (since := one.waits_since()) is not None
        ]
        wanted = max(len(self._open) // _FOR_ONE_LOOK, 1)
        self._next = [one for *_, one in heapq.nsmallest(wanted, waiting)][::-1]
