"""The journal in SQLite: a bounded queue in memory, group commit, one fsync for many answers."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite
from msgspec import Struct

from hooklab.database import Kind, checkpoint, is_full, open_reader, open_writer
from hooklab.files import free_and_total
from hooklab.journal.base import JournalBatch, JournalFull, JournalUnavailable, NewBatch

log = logging.getLogger("hooklab.journal")

_T = TypeVar("_T")

JOURNAL: Final = Kind(
    name="journal",
    application_id=0x686B4C4A,  # "hkLJ"
    version=1,
    # AUTOINCREMENT: a sequence is never given twice, even after the newest batches were pruned.
    schema="""
    CREATE TABLE batches (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at INTEGER NOT NULL,
        took_ms INTEGER NOT NULL,
        peer TEXT NOT NULL,
        label TEXT,
        headers TEXT NOT NULL,
        malformed INTEGER NOT NULL,
        digest BLOB NOT NULL,
        encoding INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    """,
    synchronous="FULL",
)
_RAW: Final = 0
"""The only encoding of a body so far: as it came."""
_COLUMNS: Final = "received_at, took_ms, peer, label, headers, malformed, digest, encoding, body"
_OVERHEAD: Final = 512
"""Bytes that a batch takes beside its body, roughly."""
_COMMIT_OVERHEAD: Final = 16 * 1024
"""Bytes that a commit adds to the WAL beside its rows, roughly: it writes whole pages."""
_MAX_ROWS: Final = 256
_CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
_PROBE_SECONDS: Final = 1.0
_EXPIRE_SECONDS: Final = 0.25
_BATCH: Final = f"SELECT sequence, {_COLUMNS} FROM batches"


class JournalLimits(Struct, frozen=True):
    """Bytes and seconds that bound the journal; the fields of `Settings` say more."""

    max_queue: int = 32 * 1024 * 1024
    max_group: int = 8 * 1024 * 1024
    commit_timeout: float = 8.0
    disk_reserve: int = 256 * 1024 * 1024


class _Waiting:
    """One batch in the queue and the answer that waits for it."""

    __slots__ = ("batch", "done", "since", "size")

    def __init__(self, batch: NewBatch, done: "asyncio.Future[None]", since: float) -> None:
        self.batch = batch
        self.done = done
        self.size = len(batch.body) + _OVERHEAD
        self.since = since

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(JournalUnavailable(why))


class SqliteJournalReader:
    """Reads a journal that somebody else may be writing."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Takes an open read-only connection."""
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens `path` read-only; errors are those of `open_reader`."""
        return cls(await open_reader(path, JOURNAL))

    async def read(self, after: int, max_bytes: int) -> list[JournalBatch]:
        """See `Journal.read`."""
        sizes = await self._fetch(
            "SELECT sequence, length(body) FROM batches WHERE sequence > ? ORDER BY sequence LIMIT 2048",
            (after,),
        )
        last, total = after, 0
        for sequence, size in sizes:
            if total and total + size > max_bytes:
                break
            last, total = sequence, total + size + _OVERHEAD
        if last == after:
            return []
        rows = await self._fetch(f"{_BATCH} WHERE sequence > ? AND sequence <= ? ORDER BY sequence", (after, last))
        return [_batch_of(row) for row in rows]

    async def get(self, sequence: int) -> JournalBatch | None:
        """See `Journal.get`."""
        rows = await self._fetch(f"{_BATCH} WHERE sequence = ?", (sequence,))
        return _batch_of(rows[0]) if rows else None

    async def span(self) -> tuple[int, int]:
        """See `Journal.span`."""
        [(first, last)] = await self._fetch(
            "SELECT (SELECT min(sequence) FROM batches), coalesce((SELECT max(sequence) FROM batches),"
            " (SELECT seq FROM sqlite_sequence WHERE name = 'batches'), 0)",
            (),
        )
        return (last + 1 if first is None else first), last

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()

    async def _fetch(self, sql: str, values: Iterable[Any]) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, values))


def _batch_of(row: Any) -> JournalBatch:
    sequence, received_at, took_ms, peer, label, headers, malformed, digest, encoding, body = row
    if encoding != _RAW:
        raise JournalUnavailable(f"batch {sequence} has an encoding that this hooklab does not know: {encoding}")
    return JournalBatch(sequence, received_at, took_ms, peer, label, headers, body, digest, bool(malformed))


class SqliteJournal:
    """The owner of `journal.db`: the one connection that writes and checkpoints it."""

    def __init__(
        self,
        path: Path,
        limits: JournalLimits,
        writer: aiosqlite.Connection,
        reader: SqliteJournalReader,
        last: int,
        room: Callable[[Path], tuple[int, int]],
    ) -> None:
        """Use `open`."""
        self._path = path
        self._limits = limits
        self._writer = writer
        self._reader = reader
        self._room = room
        self._last = last
        self._grown = asyncio.Event()
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._closed = False
        self._problem: str | None = None
        self._suspect = False  # an fsync failed: what the kernel shows may not be what is on disk
        self._since_checkpoint = 0
        self._task = asyncio.create_task(self._write_until_closed(), name="journal writer")

    @classmethod
    async def open(
        cls,
        path: Path,
        limits: JournalLimits,
        *,
        room: Callable[[Path], tuple[int, int]] = free_and_total,
    ) -> Self:
        """Opens `path`, makes it if it is not there, and checkpoints what a crash left in the WAL.

        Args:
            path: the file.
            limits: bytes and seconds.
            room: gives free bytes and size of a path's disk.

        Raises:
            DatabaseError: the file is something else.
            sqlite3.Error: it cannot be opened, or the opening checkpoint failed.
        """
        # wal_autocheckpoint is off: SQLite swallows the errors of those, and ours must be seen.
        async with contextlib.AsyncExitStack() as stack:
            writer = await open_writer(path, JOURNAL, checkpoint_pages=0)
            stack.push_async_callback(writer.close)
            await checkpoint(writer, "TRUNCATE")
            reader = await SqliteJournalReader.open(path)
            stack.push_async_callback(reader.close)
            _, last = await reader.span()
            stack.pop_all()
            return cls(path, limits, writer, reader, last, room)

    async def append(self, batch: NewBatch) -> None:
        """See `Journal.append`."""
        if self._closing:
            raise JournalUnavailable("hooklab is shutting down")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(batch, loop.create_future(), loop.time())
        if self._queue and self._queued_bytes + waiting.size > self._limits.max_queue:
            raise JournalFull("the queue is full")
        self._queue.append(waiting)
        self._queued_bytes += waiting.size
        self._wake.set()
        await waiting.done

    async def read(self, after: int, max_bytes: int) -> list[JournalBatch]:
        """See `Journal.read`."""
        if self._suspect:
            raise JournalUnavailable(self._problem or "the journal is being checked")
        return await self._ask(self._reader.read(after, max_bytes))

    async def get(self, sequence: int) -> JournalBatch | None:
        """See `Journal.get`."""
        return await self._ask(self._reader.get(sequence))

    async def span(self) -> tuple[int, int]:
        """See `Journal.span`."""
        first, _ = await self._ask(self._reader.span())
        return first, self._last

    async def _ask(self, answer: Coroutine[Any, Any, _T]) -> _T:
        """Awaits a read, whose errors are the journal's."""
        try:
            return await answer
        except (sqlite3.Error, ValueError) as error:
            why = "it is closed" if self._closed else str(error)
            raise JournalUnavailable(f"the journal cannot be read: {why}") from error

    async def wait_beyond(self, sequence: int) -> None:
        """See `Journal.wait_beyond`."""
        while self._last <= sequence:
            self._grown.clear()
            await self._grown.wait()

    async def reserve(self, sequence: int) -> None:
        """See `Journal.reserve`."""
        if sequence <= self._last:
            return
        await self._writer.execute_fetchall(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'batches', 0"
            " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'batches')"
        )
        await self._writer.execute_fetchall(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'batches'", (sequence,)
        )

    def queue_depth(self) -> int:
        """See `Journal.queue_depth`."""
        return len(self._queue)

    def problem(self) -> str | None:
        """See `Journal.problem`."""
        return "hooklab is shutting down" if self._closing else self._problem

    async def close(self) -> None:
        """See `Journal.close`."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        await self._task
        await self._reader.close()
        await self._writer.close()
        self._closed = True

    async def _write_until_closed(self) -> None:
        while self._queue or not self._closing:
            await self._wait_for_work()
            group = self._take_group()
            if group:
                await self._write_group(group)
            elif self._problem is not None and not self._closing:
                await self._try_commit(self._probe)

    async def _wait_for_work(self) -> None:
        if self._queue:
            return
        self._wake.clear()
        if self._closing:
            return
        if self._problem is None:
            await self._wake.wait()
            return
        # Ill: look by ourselves whether the disk is back, so that readiness returns without traffic
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), _PROBE_SECONDS)

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and len(group) < _MAX_ROWS:
            if group and size + self._queue[0].size > self._limits.max_group:
                break
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            size += waiting.size
            group.append(waiting)
        return group

    async def _write_group(self, group: list[_Waiting]) -> None:
        why = await self._try_commit(lambda: self._insert([waiting.batch for waiting in group]), group)
        for waiting in group:
            if why is not None:
                waiting.fail(why)
            elif not waiting.done.done():
                waiting.done.set_result(None)
        if why is None:
            self._since_checkpoint += _COMMIT_OVERHEAD + sum(waiting.size for waiting in group)
            if self._since_checkpoint >= _CHECKPOINT_BYTES:
                self._since_checkpoint = 0
                await self._try_commit(lambda: checkpoint(self._writer, "PASSIVE"))

    async def _try_commit(self, write: Callable[[], Awaitable[None]], group: Sequence[_Waiting] = ()) -> str | None:
        """Runs one write for `group`; says why it did not reach the disk, or None. Never raises."""
        self._look_again_after(group)
        try:
            self._require_room()
            if self._suspect:
                await checkpoint(self._writer, "TRUNCATE")
                self._suspect = False
            await write()
        except _NoRoom as error:
            self._set_problem(str(error))
        except (sqlite3.Error, OSError, ValueError) as error:
            if not is_full(error):
                self._suspect = True
            self._set_problem(f"the journal cannot be written: {error}")
        except Exception as error:
            # The writer must outlive anything, or every later request would wait for nobody.
            log.exception("unexpected failure while writing the journal")
            self._suspect = True
            self._set_problem(f"the journal cannot be written: {type(error).__name__}")
        else:
            self._set_problem(None)
        finally:
            self._watch.cancel()
        return self._problem

    def _look_again_after(self, group: Sequence[_Waiting]) -> None:
        self._watch = asyncio.get_running_loop().call_later(_EXPIRE_SECONDS, self._expire, group)

    def _expire(self, group: Sequence[_Waiting]) -> None:
        """Answers those who wait too long behind SQL that does not end; a thread's SQL cannot be cancelled."""
        limit = self._limits.commit_timeout
        now = asyncio.get_running_loop().time()
        overdue = [waiting for waiting in group if now - waiting.since >= limit]
        while self._queue and now - self._queue[0].since >= limit:
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            overdue.append(waiting)
        if overdue:
            self._set_problem(f"a commit takes longer than {limit:g} s")
        for waiting in overdue:
            waiting.fail(f"a commit takes longer than {limit:g} s")
        self._look_again_after(group)

    async def _insert(self, batches: list[NewBatch]) -> None:
        marks = ",".join(["(?,?,?,?,?,?,?,?,?)"] * len(batches))
        values: list[Any] = []
        for batch in batches:
            values += (
                batch.received_at,
                batch.took_ms,
                batch.peer,
                batch.label,
                batch.headers,
                batch.malformed,
                batch.digest,
                _RAW,
                batch.body,
            )
        # One statement in autocommit: one hop to the thread, one fsync.
        row = await self._writer.execute_insert(f"INSERT INTO batches ({_COLUMNS}) VALUES {marks}", values)
        assert row is not None
        self._last = row[0]
        self._grown.set()

    async def _probe(self) -> None:
        await self._writer.execute_fetchall(
            "INSERT INTO probe VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
            (int(time.time()),),
        )

    def _require_room(self) -> None:
        free, total = self._room(self._path)
        reserve = min(self._limits.disk_reserve, total // 10)
        if free < reserve:
            raise _NoRoom(f"the disk is nearly full: {free >> 20} MiB free, {reserve >> 20} MiB are kept in reserve")

    def _set_problem(self, problem: str | None) -> None:
        if problem is not None and self._problem is None:
            log.error("answering 503: %s", problem)
        elif problem is None and self._problem is not None:
            log.warning("the journal can be written again")
        self._problem = problem


class _NoRoom(Exception):  # noqa: N818  it is a state of the disk
    pass
