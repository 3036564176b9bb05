"""The search index, `search.db`: which messages may hold a word, by their last arrival. Nothing in it is exact.

It has every message with its last arrival up to `reach` under the words that it had when the store was at
`checkpoint`. A message never changes without a later arrival, but where the quarantine is retried or the store made
anew: then the store's mark (the setting `search`) is another, and the index is made anew. So for a store with that
mark, at that checkpoint or beyond, what it gives holds all that match among those up to `reach`; what has gone on
since, or was never there, is found out by asking the store.
"""

import contextlib
import logging
import sqlite3
from asyncio import Lock
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite
from msgspec import Struct

from hooklab.database import DatabaseError, Kind, is_damaged, open_reader, open_writer

log = logging.getLogger("hooklab.store")

SEARCH: Final = Kind(
    name="search index",
    application_id=0x686B4C57,  # "hkLW"
    version=1,
    schema="""
CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none, tokenize='ascii');
INSERT INTO words (words, rank) VALUES ('automerge', 8);
CREATE TABLE blocks (                -- messages by activity, some 1,000 each
    low INTEGER PRIMARY KEY,         -- the first last_arrival
    high INTEGER NOT NULL,           -- the last one
    top INTEGER NOT NULL             -- the latest last_at
) STRICT;
CREATE TABLE reach (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    mark TEXT NOT NULL,              -- of the store
    arrival INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL,
    entries INTEGER NOT NULL         -- messages that were put in, each as often as it was
) STRICT
""",
    # What a power cut takes back is indexed again.
    synchronous="NORMAL",
)
_CHECKPOINT_PAGES: Final = 4_000
MARK: Final = "SELECT (SELECT value FROM settings WHERE name = 'search'), checkpoint FROM totals"
"""In the store: what an index is held against."""


class Unusable(Exception):  # noqa: N818  not an error: it is searched without
    """The index cannot be used now."""


class Reach(Struct, frozen=True):
    """What the index stands for."""

    mark: str
    arrival: int
    checkpoint: int
    entries: int

    def holds_for(self, mark: str | None, checkpoint: int) -> bool:
        """Whether it can be believed of a store with this mark that is at `checkpoint`."""
        return self.mark == mark and self.checkpoint <= checkpoint


class SearchView(Struct, frozen=True):
    """One moment of the index, that of `SearchIndex.look`. All raise `Unusable`."""

    reach: Reach
    connection: aiosqlite.Connection
    index: "SearchIndex"

    async def candidates(
        self, asked: str, limit: int, *, before: int | None = None, after: int | None = None
    ) -> list[int]:
        """Last arrivals of messages that may be what is `asked` for: next below `before`, or next above `after`."""
        beyond, order = ("rowid < ?", "DESC") if after is None else ("rowid > ?", "ASC")
        rows = await self._fetch(
            f"SELECT rowid FROM words WHERE words MATCH ? AND {beyond} ORDER BY rowid {order} LIMIT ?",
            (asked, before if after is None else after, limit),
        )
        return [arrival for (arrival,) in rows]

    async def below(self, before: int, since: int) -> int | None:
        """A bound below `before` above which no message came last at `since` or later; None: none at all does."""
        rows = await self._fetch(
            "SELECT high FROM blocks WHERE low < ? AND top >= ? ORDER BY low DESC LIMIT 1", (before, since)
        )
        return min(before, rows[0][0] + 1) if rows else None

    async def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return list(await self.connection.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            self.index.damaged |= is_damaged(error)
            raise Unusable from error


class SearchIndex:
    """Looks at an index that may be absent, locked, damaged or replaced at any time: then there is none.

    Attributes:
        damaged: that was met since somebody last set it to False.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._inode: int | None = None
        self._one_at_a_time = Lock()
        self.damaged = False

    @contextlib.asynccontextmanager
    async def look(self) -> AsyncIterator[SearchView | None]:
        """The index as it is now, for as long as the block runs; None where there is none that can be read."""
        async with self._one_at_a_time:
            view = None
            try:
                view = await self._view()
            except (sqlite3.Error, DatabaseError, OSError, ValueError) as error:
                await self._drop(damaged=is_damaged(error))
            try:
                yield view
            finally:
                if view is not None:
                    await self._end(view.connection)

    async def _view(self) -> SearchView | None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            inode = None
        if inode is None or inode != self._inode:
            await self._drop()
        if inode is None:
            return None
        if self._connection is None:
            self._connection, self._inode = await open_reader(self._path, SEARCH), inode
        connection = self._connection
        await connection.execute_fetchall("BEGIN")
        rows = list(await connection.execute_fetchall("SELECT mark, arrival, checkpoint, entries FROM reach"))
        if not rows:
            await self._end(connection)
            return None
        return SearchView(Reach(*rows[0]), connection, self)

    async def _end(self, connection: aiosqlite.Connection) -> None:
        try:
            await connection.execute_fetchall("ROLLBACK")
        except (sqlite3.Error, ValueError):
            await self._drop()

    async def _drop(self, *, damaged: bool = False) -> None:
        connection, self._connection, self._inode = self._connection, None, None
        self.damaged |= damaged
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        """Closes the connection. A second call does nothing."""
        await self._drop()


class SearchWriter:
    """The one connection that fills the index."""

    def __init__(self, connection: aiosqlite.Connection, reach: Reach | None) -> None:
        """Use `open`."""
        self._connection = connection
        self.reach = reach

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens `path`, makes it if it is not there; the errors are those of `open_writer`."""
        # Should the locks be lost by that, and then the WAL, a reader sees an older `reach`, which is as true.
        connection = await open_writer(path, SEARCH, checkpoint_pages=_CHECKPOINT_PAGES)
        try:
            rows = list(await connection.execute_fetchall("SELECT mark, arrival, checkpoint, entries FROM reach"))
        except BaseException:
            await connection.close()
            raise
        return cls(connection, Reach(*rows[0]) if rows else None)

    async def add(self, entries: Sequence[tuple[int, str]], top: int, reach: Reach) -> None:
        """Puts in messages (last arrival, words) in order, of which the latest `last_at` is `top`, all or nothing."""
        connection = self._connection
        await connection.execute_fetchall("BEGIN IMMEDIATE")
        try:
            await connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", entries)
            await connection.execute_fetchall(
                "INSERT INTO blocks (low, high, top) VALUES (?, ?, ?)", (entries[0][0], entries[-1][0], top)
            )
            await connection.execute_fetchall(
                "INSERT OR REPLACE INTO reach (id, mark, arrival, checkpoint, entries) VALUES (1, ?, ?, ?, ?)",
                (reach.mark, reach.arrival, reach.checkpoint, reach.entries),
            )
            await connection.execute_fetchall("COMMIT")
        except BaseException:
            if connection.in_transaction:
                await connection.execute_fetchall("ROLLBACK")
            raise
        self.reach = reach

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()
