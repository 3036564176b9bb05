"""Reads a SQLite file so that nothing changes: not the file, nor what lies beside it."""

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite
from msgspec import Struct

from hooklab.database import Kind, is_damaged, marks_of
from hooklab.files import free_and_total

_BUSY_MS: Final = 2_000
_POLL_SECONDS: Final = 0.05
_ASK_SECONDS: Final = 0.5
_FAULTS: Final = 20
_COPIED_BYTES: Final = 1 << 29
"""Files larger than this are not copied to be read."""

_T = TypeVar("_T")
Alone = Callable[[], Awaitable[bool]]
"""Whether no service has the files open now."""
Disturbed = Callable[[], Awaitable[str | None]]
"""Says why a long read should stop now; None where it may go on."""


class Unreadable(Exception):  # noqa: N818  it is a finding
    """A file cannot be read as ours."""

    def __init__(self, state: str, why: str = "") -> None:
        """`state` is one of missing, empty, closed, strange, another, newer, older, damaged, held, unseen."""
        super().__init__(f"{state}: {why}")
        self.state = state
        self.why = why


class Checked(Struct, frozen=True):
    """What SQLite's own check of a file found."""

    faults: list[str]
    seconds: float
    stopped: str | None = None
    """Why it did not come to its end, as in: it was …"""


@contextlib.asynccontextmanager
async def untouched(path: Path, kind: Kind, *, alone: bool) -> AsyncIterator[aiosqlite.Connection]:
    """A connection that reads one of our files and leaves no trace of it.

    Args:
        path: the file.
        kind: what it should be.
        alone: no service has it open, so that it may be read without locks where they would leave a trace; then it
            must be seen afterwards that none came (`steadily`).

    Raises:
        Unreadable: it is not there, cannot be read, or is none of ours; also what the block meets in it.
    """
    try:
        async with contextlib.AsyncExitStack() as stack:
            connection = await _open(path, alone, stack)
            await _require_kind(connection, kind)
            yield connection
    except (sqlite3.Error, OSError, ValueError) as error:
        raise unreadable(error) from error


async def steadily(path: Path, alone: Alone, look: Callable[[bool], Awaitable[_T]]) -> _T:
    """What `look` finds at `path`; it is told whether it is alone, and looks again if a writer came meanwhile."""
    is_alone, before = await alone(), _stamp(path)
    found = await look(is_alone)
    return await look(await alone()) if is_alone and before != _stamp(path) else found


def _stamp(path: Path) -> list[tuple[int, int, int] | None]:
    """Tells whether a file or its write-ahead log was changed."""
    stamps: list[tuple[int, int, int] | None] = []
    for one in (path, path.with_name(path.name + "-wal")):
        try:
            found = one.stat()
        except OSError:
            stamps.append(None)
        else:
            stamps.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return stamps


def unreadable(error: Exception) -> Unreadable:
    """What an error of reading says of the file."""
    if isinstance(error, PermissionError):
        return Unreadable("closed", (error.strerror or "").lower())
    if is_damaged(error) or isinstance(error, ValueError):
        return Unreadable("damaged", str(error))
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return Unreadable("held" if busy else "closed", str(error))


async def _open(path: Path, alone: bool, stack: contextlib.AsyncExitStack) -> aiosqlite.Connection:
    if not path.exists():
        raise Unreadable("missing")
    if not path.is_file():
        raise Unreadable("strange", "it is no file")
    with path.open("rb"):
        pass  # SQLite's own error would not say that it may not be read
    log = _size(path, "-wal")
    if not path.stat().st_size and not log:
        raise Unreadable("empty")
    # `mode=ro` alone makes -wal and -shm where they are not, and leaves them.
    if log is None or (alone and not log):
        return await _connect(path, "mode=ro&immutable=1", stack)
    if _size(path, "-shm") is None:
        return await _connect(await _copied(path, stack), "mode=ro", stack)
    try:
        # Of a service that was killed SQLite makes the index in memory, where it may not write the -shm.
        return await _connect(path, "mode=ro&readonly_shm=1", stack)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        # Somebody writes, and left no place in the -shm that a reader could take without writing there.
        return await _connect(path, "mode=ro", stack)


async def _copied(path: Path, stack: contextlib.AsyncExitStack) -> Path:
    """A copy elsewhere that goes with `stack`: a write-ahead log without its -shm is not read without making one."""
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hooklab-")))
    wanted = path.stat().st_size + wal_size(path)
    if wanted > _COPIED_BYTES or wanted > free_and_total(place)[0] // 2:
        raise Unreadable("unseen", f"{path.name}-wal is there without {path.name}-shm, as in a copy")
    for suffix in ("", "-wal"):
        await asyncio.to_thread(shutil.copyfile, path.with_name(path.name + suffix), place / (path.name + suffix))
    return place / path.name


def _size(path: Path, suffix: str) -> int | None:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except FileNotFoundError:
        return None


def wal_size(path: Path) -> int:
    """Bytes of a file's write-ahead log; 0 without one."""
    return _size(path, "-wal") or 0


async def _connect(path: Path, how: str, stack: contextlib.AsyncExitStack) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        await connection.execute_fetchall(f"PRAGMA busy_timeout={_BUSY_MS}")
        await connection.execute_fetchall("PRAGMA query_only=1")
        await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")
    except BaseException:
        await connection.close()
        raise
    stack.push_async_callback(connection.close)
    return connection


async def _require_kind(connection: aiosqlite.Connection, kind: Kind) -> None:
    application_id, version = await marks_of(connection)
    if application_id != kind.application_id:
        [(empty,)] = await connection.execute_fetchall("SELECT count(*) = 0 FROM sqlite_schema")
        raise Unreadable("empty" if empty and not application_id else "another")
    if version != kind.version:
        raise Unreadable("newer" if version > kind.version else "older", f"version {version}, not {kind.version}")


async def check(
    connection: aiosqlite.Connection, *, full: bool, within: float | None, disturbed: Disturbed
) -> Checked:
    """SQLite's own check of an open file.

    Args:
        connection: an open file.
        full: also whether indexes hold what tables do, which takes longer.
        within: seconds after which it stops; None for no limit.
        disturbed: asked now and then.

    Raises:
        sqlite3.Error: the file is so damaged that it cannot be checked.
    """
    began = time.monotonic()
    pragma = "integrity_check" if full else "quick_check"
    checking = asyncio.ensure_future(connection.execute_fetchall(f"PRAGMA {pragma}({_FAULTS})"))
    stopped: str | None = None
    asked = began
    try:
        while not (await asyncio.wait({checking}, timeout=_POLL_SECONDS))[0] and stopped is None:
            now = time.monotonic()
            if within is not None and now - began >= within:
                stopped = f"not finished within {within:g} s"
            elif now - asked >= _ASK_SECONDS:
                stopped, asked = await disturbed(), now
    finally:
        if not checking.done():
            await connection.interrupt()
    try:
        rows = [str(row[0]) for row in await checking]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_INTERRUPT:
            raise
        return Checked([], time.monotonic() - began, stopped)
    return Checked([] if rows == ["ok"] else rows, time.monotonic() - began)
