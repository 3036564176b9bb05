"""Paging through messages while reports go on coming: short reads, each message once."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from hooklab.monitor import Monitor, MonitorError
from hooklab.store.base import Condition, Found, MessageRow
from hooklab.store.compact import CUT

_T = TypeVar("_T")

PAGE: Final = 500
"""Messages of one read: some 10 ms."""
_LONG_PAGE: Final = 16
"""The same where custom payloads are long."""
_LONG: Final = 2_000
"""Characters of a custom payload from which on the next ones are expected to be long too."""
_BUCKETS: Final = 1 << 14
_TRIES: Final = 4
_AGAIN: Final = 0.25
"""Seconds after which a read that failed is tried again: a store that is replaced (a rebuild) fails once."""


async def pages(monitor: Monitor, where: Condition, size: int = PAGE) -> AsyncIterator[list[MessageRow]]:
    """Messages that `where` lets through, at most `size` at once, each message once, as it is when it is read.

    Newest activity first. A message that gets a report meanwhile moves to the top, where this has been already: such
    ones, and new ones, come behind the others, again newest first. So each message that was there at the beginning
    and goes on matching is given. Keeps 8 bytes a message, and may give empty pages where a search finds nothing.

    Raises:
        MonitorError: the data cannot be read, also when it is tried again.
    """
    given = _Given()
    reader = _Reader(monitor, where, size)
    floor = 0
    while True:
        before: int | None = None
        top: int | None = None
        while True:
            step = await reader.step(before)
            top = step.newest if top is None else top
            yield given.take([row for row in step.rows if row.cursor > floor], known=floor > 0)
            before = step.reached
            if before is None or before <= floor:
                break
        floor = top
        # What came since is in one read, that of one moment, or so much that it wants to be paged through as well.
        changed = await _patiently(lambda floor=floor: monitor.changed(reader.brief, floor, size))  # type: ignore[misc]
        if len(changed) < size and not any(_is_cut(one.row) for one in changed):
            yield given.take([one.row for one in changed if one.matches], known=True)
            return


class _Reader:
    """Reads whole messages, as many at once as is cheap: where texts are long a few, which may still be megabytes."""

    def __init__(self, monitor: Monitor, where: Condition, size: int) -> None:
        self._monitor = monitor
        self._where = where
        self._size = size
        self._are_long = False
        self.brief = replace(where, brief=True)

    async def step(self, before: int | None) -> Found:
        """The next ones below the cursor `before`."""
        if not self._are_long:
            step = await self._read(self.brief, self._size, before)
            self._are_long = any(_is_cut(row) for row in step.rows)
        if self._are_long:
            step = await self._read(self._where, min(self._size, _LONG_PAGE), before)
            self._are_long = any(len(row.custom_payload or "") > _LONG for row in step.rows)
        return step

    async def _read(self, where: Condition, size: int, before: int | None) -> Found:
        return await _patiently(lambda: self._monitor.search(where, size, before))


def _is_cut(row: MessageRow) -> bool:
    """Whether a list may have less of its texts than there is; one that ends so by itself is read once more."""
    return any((text or "").endswith(CUT) for text in (row.custom_payload, row.description))


class _Given:
    """Which messages were given, by a hash of 64 bits that nobody who chooses ids can foresee."""

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}

    def take(self, rows: Sequence[MessageRow], *, known: bool) -> list[MessageRow]:
        """Those that were not given yet, which now they are; only where some may be `known` is it looked at."""
        fresh = []
        for row in rows:
            mark = hash(row.message_id)
            bucket = self._buckets.setdefault(mark % _BUCKETS, array("q"))
            if not (known and mark in bucket):
                bucket.append(mark)
                fresh.append(row)
        return fresh


async def _patiently(read: Callable[[], Awaitable[_T]]) -> _T:
    for _ in range(_TRIES - 1):
        try:
            return await read()
        except MonitorError:
            await asyncio.sleep(_AGAIN)
    return await read()
