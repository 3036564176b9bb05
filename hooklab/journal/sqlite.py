"""The journal in SQLite: a bounded queue in memory, group commit, one fsync for many answers."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from msgspec import Struct

from hooklab.database import DatabaseError, checkpoint, is_damaged, is_full, is_sound, on_thread
from hooklab.files import free_and_total
from hooklab.journal.base import JournalBatch, JournalDamaged, JournalFull, JournalUnavailable, NewBatch
from hooklab.journal.opening import Opened, open_journal, open_salvaged, reopen_journal
from hooklab.journal.packing import Packer
from hooklab.journal.waiting import Waiting, insert

log = logging.getLogger("hooklab.journal")

_T = TypeVar("_T")

_COMMIT_OVERHEAD: Final = 16 * 1024
"""Bytes that a commit adds to the WAL beside its rows, roughly: it writes whole pages."""
_MAX_ROWS: Final = 256
_MOMENT_SECONDS: Final = 0.002
_CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
_PROBE_SECONDS: Final = 1.0
_EXPIRE_SECONDS: Final = 0.25
_OVERDUE_SECONDS: Final = 10.0
"""Whoever waits for so much longer than the longest commit was forgotten."""
_HELD: Final = "another program reads the journal, and keeps it from being checkpointed"
_MENDS: Final = 3
"""How often a running journal may turn out damaged before it is left alone: each time leaves a copy behind."""


class JournalLimits(Struct, frozen=True):
    """Bytes and seconds that bound the journal; the fields of `Settings` say more."""

    max_queue: int = 32 * 1024 * 1024
    max_group: int = 8 * 1024 * 1024
    commit_timeout: float = 8.0
    disk_reserve: int = 256 * 1024 * 1024


class SqliteJournal:
    """The owner of `journal.db`: the one connection that writes and checkpoints it."""

    def __init__(
        self, path: Path, limits: JournalLimits, opened: Opened, room: Callable[[Path], tuple[int, int]]
    ) -> None:
        """Use `open`."""
        self._path = path
        self._limits = limits
        self._writer = opened.writer
        self._reader = opened.reader
        self._room = room
        self._last = opened.last
        self._grown = asyncio.Event()
        self._packer = Packer()
        self._writers_packer = Packer()
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._committing = False
        self._appended_at = 0.0
        self._closing = False
        self._closed = False
        self._problem: str | None = None
        # An fsync failed: what the kernel shows may not be what is on disk. So before the opening checkpoint.
        self._suspect = opened.held
        self._damage: str | None = None
        self._mended = 0
        self._since_checkpoint = 0
        self._set_problem(_HELD if opened.held else None)
        self._task = asyncio.create_task(self._write_until_closed(), name="journal writer")

    @classmethod
    async def open(
        cls,
        path: Path,
        limits: JournalLimits,
        *,
        room: Callable[[Path], tuple[int, int]] = free_and_total,
    ) -> Self:
        """Opens `path` as `open_journal` does, whose errors are raised.

        Args:
            path: the file.
            limits: bytes and seconds.
            room: gives free bytes and size of a path's disk.
        """
        return cls(path, limits, await open_journal(path), room)

    def limit(self, limits: JournalLimits) -> None:
        """From now on these; what waits already stays."""
        self._limits = limits

    async def append(self, batch: NewBatch) -> None:
        """See `Journal.append`."""
        if self._closing:
            raise JournalUnavailable("hooklab is shutting down")
        if self._damage is not None:
            raise JournalUnavailable(self._damage)
        loop = asyncio.get_running_loop()
        waiting = Waiting(batch, loop.create_future(), loop.time(), self._packer)
        if self._queue and self._queued_bytes + waiting.size > self._limits.max_queue:
            raise JournalFull("the queue is full")
        self._appended_at = waiting.since
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

    async def given(self) -> int:
        """See `Journal.given`."""
        return await self._ask(self._reader.given())

    async def count(self, last: int) -> int:
        """How many batches are held up to sequence `last`."""
        return await self._ask(self._reader.count(last))

    async def _ask(self, answer: Coroutine[Any, Any, _T]) -> _T:
        """Awaits a read, whose errors are the journal's."""
        try:
            return await answer
        except JournalDamaged as error:
            self._notice_damage(error)
            raise JournalUnavailable(f"the journal cannot be read: {self._damage}") from error
        except (sqlite3.Error, ValueError) as error:
            why = "it is closed" if self._closed else self._damage or str(error)
            raise JournalUnavailable(f"the journal cannot be read: {why}") from error

    async def wait_beyond(self, sequence: int) -> None:
        """See `Journal.wait_beyond`."""
        while self._last <= sequence:
            self._grown.clear()
            await self._grown.wait()

    async def reserve(self, sequence: int) -> None:
        """See `Journal.reserve`."""
        if sequence > self._last:
            await self._reserve(sequence)

    async def _reserve(self, sequence: int) -> None:
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

    def is_busy(self) -> bool:
        """See `Journal.is_busy`."""
        if self._queue or self._committing:
            return True
        # Between two groups nothing waits for an instant, though many are on their way.
        return asyncio.get_running_loop().time() - self._appended_at < _MOMENT_SECONDS

    def problem(self) -> str | None:
        """See `Journal.problem`."""
        return "hooklab is shutting down" if self._closing else self._problem

    def answers(self) -> bool:
        """Whether who waits is answered in the end, be it with 503; else only a new process helps."""
        if self._task.done() and not self._closing:
            return False
        waits = asyncio.get_running_loop().time() - self._queue[0].since if self._queue else 0.0
        return waits < self._limits.commit_timeout + _OVERDUE_SECONDS

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
            if self._damage is not None:
                await self._mend(self._damage)
                continue
            group = self._take_group()
            if group:
                await self._write_group(group)
            elif self._problem is not None and not self._closing:
                await self._try_commit(self._probe)

    async def _wait_for_work(self) -> None:
        if self._queue or (self._damage is not None and self._mended < _MENDS):
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

    def _take_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        size = 0
        while self._queue and len(group) < _MAX_ROWS:
            if group and size + self._queue[0].size > self._limits.max_group:
                break
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            size += waiting.size
            group.append(waiting)
        return group

    async def _write_group(self, group: list[Waiting]) -> None:
        self._committing = True
        why = await self._try_commit(lambda: self._insert(group), group)
        self._committing = False
        for waiting in group:
            if why is not None:
                waiting.fail(why)
            elif not waiting.done.done():
                waiting.done.set_result(None)
        if why is None:
            self._since_checkpoint += _COMMIT_OVERHEAD + sum(waiting.written() for waiting in group)
            if self._since_checkpoint >= _CHECKPOINT_BYTES:
                self._since_checkpoint = 0
                await self._try_commit(lambda: checkpoint(self._writer, "PASSIVE"))

    def _notice_damage(self, error: Exception) -> None:
        if self._damage is None:
            self._damage = f"{self._path.name} is damaged: {error}"
            self._wake.set()

    async def _mend(self, damage: str) -> None:
        """Opens the file anew, and saves what can be read of it if a check finds it damaged. Never raises."""
        self._set_problem(damage)
        while self._queue:
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            waiting.fail(damage)
        if self._mended >= _MENDS:
            return
        self._mended += 1
        try:
            await self._reader.close()
            await self._writer.close()
            sound = await is_sound(self._path)
            opened = await (reopen_journal(self._path) if sound else open_salvaged(self._path, damage))
            self._writer, self._reader, self._suspect = opened.writer, opened.reader, opened.held
            await self._reserve(self._last)
            self._last = max(self._last, opened.last)
        except (sqlite3.Error, OSError, ValueError, DatabaseError, JournalDamaged) as error:
            log.error("%s", error)  # noqa: TRY400  the reason says it all
            self._set_problem(str(error))
            return
        self._damage = None
        self._set_problem(_HELD if opened.held else None)

    async def _try_commit(self, write: Callable[[], Awaitable[None]], group: Sequence[Waiting] = ()) -> str | None:
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
            if is_damaged(error):
                self._notice_damage(error)
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

    def _look_again_after(self, group: Sequence[Waiting]) -> None:
        self._watch = asyncio.get_running_loop().call_later(_EXPIRE_SECONDS, self._expire, group)

    def _expire(self, group: Sequence[Waiting]) -> None:
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

    async def _insert(self, group: Sequence[Waiting]) -> None:
        # One statement in autocommit: one hop to the thread, one fsync.
        self._last = await on_thread(self._writer, lambda plain: insert(plain, group, self._writers_packer))
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
