"""A message's history, read by pieces: one message may have a million arrivals, and each read stays short."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from hooklab import rules
from hooklab.rules import Arrival
from hooklab.store.base import TimelineEntry
from hooklab.store.compact import DESCRIPTION, FIRST_FINAL, REPORTED_AT
from hooklab.wire import STATUSES

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]

FIRST: Final = 100
LAST: Final = 400
"""Of a longer history so many arrivals from its beginning and its end are told with the message."""

COLUMNS: Final = f"a.arrival, a.retry, r.status, {REPORTED_AT}, {DESCRIPTION}, b.received_at, b.label"
# The arrivals first: only of those that are told the rest is looked up.
_PART: Final = (
    f"SELECT {COLUMNS} FROM (SELECT arrival, digest, retry FROM"
    " (SELECT arrival, digest, NULL AS retry FROM reports WHERE message = :message AND arrival > :after"
    "  UNION ALL SELECT arrival, digest, retry FROM repeats WHERE message = :message AND arrival > :after)"
    " ORDER BY arrival {order} LIMIT :limit) a"
    " CROSS JOIN reports r ON r.message = :message AND r.digest = a.digest"
    " LEFT JOIN batches b ON b.sequence = a.arrival >> 22 ORDER BY a.arrival"
)
_FIRST_FINAL: Final = (
    "SELECT arrival, status FROM reports WHERE message = :message"
    f" AND arrival = (SELECT {FIRST_FINAL} FROM messages WHERE id = :message)"
)
_REPEATS: Final = {None: None, 0: "duplicate", 1: "retry"}


class Page(Struct, frozen=True):
    """Arrivals that follow each other, in order."""

    entries: list[TimelineEntry]
    reached: int
    """The arrival of the last one: give it as `after` of the next page."""
    final: Arrival | None
    """The first final up to there, for the next page."""


async def page(fetch: Fetch, message: int, after: int, limit: int, final: Arrival | None) -> Page:
    """The next arrivals of a message (its number) after `after`; `final` is its first final up to there."""
    rows = await _part(fetch, message, after, limit)
    entries = entries_of(rows, final)
    if final is None:
        found = (at for at, one in enumerate(entries) if one.kind == "final")
        at = next(found, None)
        final = None if at is None else Arrival(rows[at][0], rows[at][2])
    return Page(entries, rows[-1][0] if rows else after, final)


async def ends(fetch: Fetch, message: int) -> list[TimelineEntry]:
    """The `FIRST` and the `LAST` arrivals of a message that has more."""
    first = await _part(fetch, message, -1, FIRST)
    last = await _part(fetch, message, -1, LAST, "DESC")
    final = None
    for arrival, status in await fetch(_FIRST_FINAL, {"message": message}):
        final = Arrival(arrival, status) if arrival < last[0][0] else None
    return [*entries_of(first), *entries_of(last, final)]


async def _part(fetch: Fetch, message: int, after: int, limit: int, order: str = "") -> list[Any]:
    return await fetch(_PART.format(order=order), {"message": message, "after": after, "limit": limit})


def entries_of(rows: Sequence[Any], final: Arrival | None = None) -> list[TimelineEntry]:
    """Rows of `COLUMNS`, in order, as a timeline; `final` is the first final before them."""
    named = rules.kinds((Arrival(arrival, status, _REPEATS[retry]) for arrival, retry, status, *_ in rows), final)
    entries: list[TimelineEntry] = []
    for kind, row in zip(named, rows, strict=True):
        arrival, _, status, reported_at, description, received_at, label = row
        batch, index = rules.unpack(arrival)
        entries.append(
            TimelineEntry(
                kind=kind,
                status=STATUSES[status],
                reported_at=reported_at,
                received_at=received_at,
                batch=batch,
                index=index,
                label=label,
                description=description,
            )
        )
    return entries
