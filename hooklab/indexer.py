"""Fills the search index from the store, a little at a time, when nothing else is to be done, and slowly otherwise.

The newest messages are left out: every search looks through those anyway, and most of what changes still is there.
Whatever happens to the index, it is made anew; whatever hinders that, the service goes on without.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiosqlite

from hooklab.database import DatabaseError, header_marks, is_damaged, open_reader, remove_database
from hooklab.files import Folder, free_and_total
from hooklab.store.compact import LAST_AT
from hooklab.store.search import MARK, SEARCH, Reach, SearchWriter
from hooklab.store.sqlite import STORE
from hooklab.store.words import COLUMNS, indexed

log = logging.getLogger("hooklab.indexer")

NEWEST: Final = 10_000
"""Messages that are left out: what a step of a search looks through."""
BLOCK: Final = 1_000
"""Messages that go in at once."""
_BLOCK_BYTES: Final = 1_000_000
_FETCHED: Final = 100
_SLICE_SECONDS: Final = 0.002
_REST_IDLE: Final = 0.5
_REST_BUSY: Final = 19.0
"""Rest after each block, as a multiple of what it took."""
_WAIT_SECONDS: Final = 2.0
_TROUBLE_SECONDS: Final = 60.0
_GROWN: Final = 3
"""Entries for each message from which on the index is made anew: what goes on changing leaves some behind."""


class Projecting(Protocol):
    """What the indexer has to know of the projection."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to project."""

    @property
    def reached(self) -> int:
        """The last batch that was projected."""

    def check(self) -> None:
        """Has the store looked over."""


class Indexer:
    """One task; `run` ends when it is cancelled, or when the index can never be had."""

    def __init__(self, folder: Folder, projecting: Projecting, disk_reserve: int) -> None:
        """Opens nothing yet; where less than twice `disk_reserve` is free, nothing is written."""
        self._folder = folder
        self._projecting = projecting
        self._reserve = disk_reserve
        self._writer: SearchWriter | None = None
        self._store: aiosqlite.Connection | None = None
        self._inode = 0
        self._damaged = self._troubled = False

    def reserve(self, disk_reserve: int) -> None:
        """From now on this much."""
        self._reserve = disk_reserve

    async def open(self) -> None:
        """Opens an index that is there."""
        if _is_old(self._folder.search):
            self._damaged = True
        elif self._folder.search.exists():
            try:
                self._writer = await SearchWriter.open(self._folder.search)
            except (DatabaseError, sqlite3.Error, OSError) as error:
                self._damaged = is_damaged(error)
                log.warning("the search index cannot be opened: %s", error)

    async def run(self) -> None:
        """Fills the index, and keeps it filled."""
        reached = -1
        while True:
            if self._projecting.reached == reached and not self._damaged:
                await asyncio.sleep(_WAIT_SECONDS)
                continue
            began, seen = time.perf_counter(), self._projecting.reached
            try:
                more = await self.fill_block()
            except (DatabaseError, sqlite3.Error, OSError, ValueError) as error:
                if isinstance(error, DatabaseError) or "no such module" in str(error):
                    log.warning("there is no search index, and some searches take longer: %s", error)
                    return
                await self._recover(error)
            except Exception:  # whatever it is: the service goes on
                log.exception("there is no search index any more, and some searches take longer")
                return
            else:
                self._troubled &= more
                reached = -1 if more else seen
                rest = _REST_IDLE if self._projecting.idle else _REST_BUSY
                await asyncio.sleep((time.perf_counter() - began) * rest if more else _WAIT_SECONDS)

    async def _recover(self, error: Exception) -> None:
        if not self._troubled:
            log.warning("the search index waits: %s", error)
        await self.close()
        if self._troubled or not self._damaged:
            await asyncio.sleep(_TROUBLE_SECONDS)
        self._troubled = True

    async def fill_block(self) -> bool:
        """Puts one block of messages in; gives False if there is none to put in.

        Raises:
            DatabaseError: the file is another program's, or a newer hooklab's.
            sqlite3.Error, OSError: a file cannot be read or written.
        """
        await self._drop_if_unfit()
        free, total = free_and_total(self._folder.path)
        if free < 2 * min(self._reserve, total // 10):
            return False
        try:
            found = await self._look()
        except sqlite3.DatabaseError as error:
            if is_damaged(error):
                self._projecting.check()
            raise
        if found is None:
            return False
        rows, reach = found
        if not rows:
            await self._begin_anew()
            return True
        entries = await _entries(rows)
        try:
            if self._writer is None:
                self._writer = await SearchWriter.open(self._folder.search)
            await self._writer.add(entries, max(row[1] for row in rows), reach)
        except sqlite3.DatabaseError as error:
            self._damaged = is_damaged(error)
            raise
        return True

    async def _look(self) -> tuple[list[Any], Reach] | None:
        """The next block with what the index stands for when it is in; no rows: it is to be made anew; None: wait."""
        store = await self._reader()
        if store is None:
            return None
        await store.execute_fetchall("BEGIN")  # one moment
        try:
            [(mark, checkpoint)] = await store.execute_fetchall(MARK)
            if mark is None:
                return None
            reach = Reach(mark, 0, 0, 0)
            if self._writer is not None and self._writer.reach is not None:
                reach = self._writer.reach
            [(messages,)] = await store.execute_fetchall("SELECT messages FROM totals")
            if not reach.holds_for(mark, checkpoint) or reach.entries > _GROWN * max(messages, NEWEST):
                return [], reach
            rows = await self._next(store, reach.arrival)
        finally:
            await store.execute_fetchall("ROLLBACK")
        return (rows, Reach(mark, rows[-1][0], checkpoint, reach.entries + len(rows))) if rows else None

    async def _next(self, store: aiosqlite.Connection, after: int) -> list[Any]:
        """The next messages by activity that are not among the newest; none until there are enough of them."""
        newest = "SELECT last_arrival FROM messages ORDER BY last_arrival DESC LIMIT 1 OFFSET ?"
        ceiling = list(await store.execute_fetchall(newest, (NEWEST,)))
        if not ceiling:
            return []
        between = (after, ceiling[0][0])
        enough = "SELECT 1 FROM messages WHERE last_arrival > ? AND last_arrival <= ? LIMIT 1 OFFSET ?"
        if not list(await store.execute_fetchall(enough, (*between, BLOCK - 1))):
            return []
        rows: list[Any] = []
        size = 0
        async with store.execute(
            f"SELECT last_arrival, {LAST_AT}, {COLUMNS} FROM messages INDEXED BY messages_by_activity"
            " WHERE last_arrival > ? AND last_arrival <= ? ORDER BY last_arrival LIMIT ?",
            (*between, BLOCK),
        ) as cursor:
            while size < _BLOCK_BYTES and (some := list(await cursor.fetchmany(_FETCHED))):
                rows += some
                size += sum(len(row[4] or "") + len(row[5] or "") for row in some)
        return rows

    def check(self) -> None:
        """Has the index made anew, since a reader found it damaged."""
        self._damaged = True

    async def _drop_if_unfit(self) -> None:
        if self._damaged:
            log.warning("the search index is damaged, or of an older version: it is made anew")
            await self._begin_anew()
            self._damaged = False
        elif self._writer is not None and not self._folder.search.exists():  # somebody deleted it, as one may
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        remove_database(self._folder.search)

    async def _reader(self) -> aiosqlite.Connection | None:
        try:
            inode = self._folder.store.stat().st_ino
        except FileNotFoundError:
            return None
        if self._store is not None and inode != self._inode:
            await self._store.close()
            self._store = None
        if self._store is None:
            try:
                self._store, self._inode = await open_reader(self._folder.store, STORE), inode
            except DatabaseError:  # it is being replaced
                return None
        return self._store

    async def close(self) -> None:
        """Lets go of both files."""
        writer, store = self._writer, self._store
        self._writer = self._store = None
        for file in (writer, store):
            if file is not None:
                await file.close()


async def _entries(rows: Sequence[Any]) -> list[tuple[int, str]]:
    entries = []
    slice_ends = time.perf_counter() + _SLICE_SECONDS
    for arrival, _, *row in rows:
        entries.append((arrival, indexed(row)))
        if time.perf_counter() > slice_ends:
            await asyncio.sleep(0)  # answers go first
            slice_ends = time.perf_counter() + _SLICE_SECONDS
    return entries


def _is_old(path: Path) -> bool:
    """Whether a file is an index that this version does not read; or no SQLite file by its first page."""
    try:
        marks = header_marks(path)
    except DatabaseError:
        return True
    return marks is not None and marks[0] == SEARCH.application_id and marks[1] < SEARCH.version
