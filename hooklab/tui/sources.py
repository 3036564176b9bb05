"""Where the lists get their rows: three ways to page through a `Monitor`."""

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from hooklab.monitor import Monitor
from hooklab.rules import WHOLE_BODY, pack
from hooklab.store.base import ALL, BatchRow, Condition, MessageRow, QuarantineRow
from hooklab.tui.rows import Changes, Step

T = TypeVar("T")


class Source(Protocol[T]):
    """Pages of one kind of row, newest first."""

    def cursor(self, row: T) -> int:
        """Where a row stands."""

    def key(self, row: T) -> Hashable:
        """What a row is, wherever it stands."""

    async def step(self, monitor: Monitor, limit: int, before: int | None = None) -> Step[T]:
        """A bounded read, from the top or from below the cursor `before`."""

    async def newer(self, monitor: Monitor, limit: int, after: int) -> Step[T]:
        """A bounded read of what is next above the cursor `after`, newest first."""

    async def changes(self, monitor: Monitor, after: int, limit: int) -> Changes[T]:
        """What is new or other since the cursor `after`."""

    def edge(self, batch: int) -> int:
        """The greatest cursor that a row of batch `batch`, or of one before, can have."""


class Messages:
    """Messages that a condition lets through.

    Attributes:
        where: the condition.
    """

    def __init__(self) -> None:
        self.where: Condition = ALL

    def cursor(self, row: MessageRow) -> int:
        """See `Source.cursor`."""
        return row.cursor

    def key(self, row: MessageRow) -> Hashable:
        """See `Source.key`."""
        return row.message_id

    async def step(self, monitor: Monitor, limit: int, before: int | None = None) -> Step[MessageRow]:
        """See `Source.step`."""
        found = await monitor.search(replace(self.where, brief=True), limit, before)
        return Step(found.rows, found.reached, found.newest)

    async def newer(self, monitor: Monitor, limit: int, after: int) -> Step[MessageRow]:
        """See `Source.newer`."""
        found = await monitor.newer(replace(self.where, brief=True), limit, after)
        return Step(found.rows, found.reached, found.newest)

    def edge(self, batch: int) -> int:
        """See `Source.edge`."""
        return pack(batch, WHOLE_BODY)

    async def changes(self, monitor: Monitor, after: int, limit: int) -> Changes[MessageRow]:
        """See `Source.changes`."""
        changed = await monitor.changed(replace(self.where, brief=True), after, limit)
        return Changes([(one.row, one.matches) for one in changed], len(changed) < limit)


class Batches:
    """Batches, which never change."""

    def cursor(self, row: BatchRow) -> int:
        """See `Source.cursor`."""
        return row.batch

    def key(self, row: BatchRow) -> Hashable:
        """See `Source.key`."""
        return row.batch

    async def step(self, monitor: Monitor, limit: int, before: int | None = None) -> Step[BatchRow]:
        """See `Source.step`."""
        newest = [] if before is None else await monitor.batches(1)
        rows = await monitor.batches(limit, before)
        reached = rows[-1].batch if len(rows) == limit else None
        return Step(rows, reached, max((row.batch for row in (*newest, *rows)), default=0))

    async def newer(self, monitor: Monitor, limit: int, after: int) -> Step[BatchRow]:
        """See `Source.newer`."""
        rows = await monitor.batches(limit, after=after)
        return Step(rows, rows[0].batch if len(rows) == limit else None, rows[0].batch if rows else after)

    def edge(self, batch: int) -> int:
        """See `Source.edge`."""
        return batch

    async def changes(self, monitor: Monitor, after: int, limit: int) -> Changes[BatchRow]:
        """See `Source.changes`."""
        rows = await monitor.batches(limit)
        return Changes([(row, True) for row in rows if row.batch > after], _covers(rows, limit, after))


class Quarantined:
    """What is in quarantine; how often a body came grows in place."""

    def cursor(self, row: QuarantineRow) -> int:
        """See `Source.cursor`."""
        return row.id

    def key(self, row: QuarantineRow) -> Hashable:
        """See `Source.key`."""
        return row.id

    async def step(self, monitor: Monitor, limit: int, before: int | None = None) -> Step[QuarantineRow]:
        """See `Source.step`."""
        newest = [] if before is None else await monitor.quarantine(1)
        rows = await monitor.quarantine(limit, before)
        reached = rows[-1].id if len(rows) == limit else None
        return Step(rows, reached, max((row.id for row in (*newest, *rows)), default=0))

    async def newer(self, monitor: Monitor, limit: int, after: int) -> Step[QuarantineRow]:
        """See `Source.newer`."""
        rows = await monitor.quarantine(limit, after=after)
        return Step(rows, rows[0].id if len(rows) == limit else None, rows[0].id if rows else after)

    def edge(self, batch: int) -> int:
        """See `Source.edge`."""
        return pack(batch, WHOLE_BODY)

    async def changes(self, monitor: Monitor, after: int, limit: int) -> Changes[QuarantineRow]:
        """See `Source.changes`."""
        rows = await monitor.quarantine(limit)
        whole = len(rows) < limit or rows[-1].id <= after
        return Changes([(row, True) for row in rows], whole)


def _covers(rows: Sequence[BatchRow], limit: int, after: int) -> bool:
    return len(rows) < limit or rows[-1].batch <= after + 1
