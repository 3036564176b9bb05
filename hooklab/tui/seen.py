"""What only somebody who watches can tell of a service: since when something is so. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from hooklab.metrics import Snapshot

_BEHIND: Final = 100
"""Batches on disk and not in the figures that are worth a word."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; times are microseconds UTC but where it says otherwise, None for "not seen".

    Attributes:
        refused: requests refused at the last look, None before it.
        refused_at: when their number was last seen to grow.
        behind_since: since when many batches wait to be projected, by the clock that nobody sets (`View.ticks`).
        wrong: what kept the service from answering 200 at the last look.
        wrong_since: when that was first seen, where it was seen to begin.
    """

    refused: int | None = None
    refused_at: int | None = None
    behind_since: int | None = None
    wrong: bool | None = None
    wrong_since: int | None = None


NOT_SEEN: Final = Seen()


def look(seen: Seen, snapshot: Snapshot, now: int, ticks: int) -> Seen:
    """What is known after another look, at `now` of the one clock and `ticks` of the other."""
    counters, service = snapshot.counters, snapshot.service
    refused = None if counters.refused is None else sum(counters.refused.values())
    grown = refused is not None and seen.refused is not None and refused > seen.refused
    wrong = None if service is None else service.problem is not None
    behind = ticks if seen.behind_since is None else seen.behind_since
    begun = now if wrong and seen.wrong is False else seen.wrong_since
    return replace(
        seen,
        refused=refused,
        refused_at=now if grown else seen.refused_at,
        behind_since=behind if counters.lag >= _BEHIND else None,
        wrong=wrong,
        wrong_since=begun if wrong else None,
    )
