"""How many connections may be open, of one peer and of all; and who goes when there are too many."""

from collections import Counter
from typing import Protocol

from msgspec import Struct

from hooklab.networks import Networks, group_of, is_loopback


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

    def __init__(self, limits: ConnectionLimits, proxies: Networks) -> None:
        """None is open."""
        self.limits = limits
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
        if len(self._open) >= self.limits.most and not self._make_room():
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

    def _make_room(self) -> bool:
        """Ends one that waits: of those who have most, the one that has waited longest."""
        waiting = [
            (-self._of_group[group], since, one)
            for one, group in self._open.items()
            if (since := one.waits_since()) is not None
        ]
        if not waiting:
            return False
        _, _, victim = min(waiting, key=lambda found: found[:2])
        self.leave(victim)
        victim.give_way()
        return True
