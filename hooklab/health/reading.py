"""Reads a SQLite file so that nothing changes: not the file, nor what lies beside it."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite
from msgspec import Struct

from hooklab.database import Kind, is_damaged, marks_of

_BUSY_MS: Final = 2_000
_POLL_SECONDS: Final = 0.05
_ASK_SECONDS: Final = 0.5
_FAULTS: Final = 20

_T = TypeVar("_T")
Disturbed = Callable[[], Awaitable[str | None]]
"""Says why a long read should stop now; None where it may go on."""


class Unreadable(Exception):  # noqa: N818  it is a finding
    """A file cannot be read as ours."""

    def __init__(self, state: str, why: str = "") -> None:
        """`state` is one of missing, empty, closed, strange, another, newer, older, damaged, held."""
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
async def untouched(path: Path, kind: Kind) -> AsyncIterator[aiosqlite.Connection]:
    """A connection that reads one of our files and leaves no trace.

    Raises:
        Unreadable: it is not there, cannot be read, or is none of ours; also what the block meets in it.
    """
    try:
        connection = await _open(path)
        try:
            await _require_kind(connection, kind)
            yield connection
        finally:
            await connection.close()
    except (sqlite3.Error, OSError, ValueError) as error:
        raise unreadable(error) from error


async def steadily(path: Path, look: Callable[[], Awaitable[_T]]) -> _T:
    """What `look` finds at `path`; it looks again if a writer came meanwhile, where no lock keeps one out."""
    before = _stamp(path)
    found = await look()
    return found if before in (None, _stamp(path)) else await look()


def _stamp(path: Path) -> tuple[int, int, int, bool] | None:
    """Tells whether a file that nobody has open was changed; None where somebody has, and SQLite's locks hold."""
    wal = _size(path, "-wal") is not None
    if wal and _size(path, "-shm") is not None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, wal


def unreadable(error: Exception) -> Unreadable:
    """What an error of reading says of the file."""
    if isinstance(error, PermissionError):
        return Unreadable("closed", (error.strerror or "").lower())
    if is_damaged(error) or isinstance(error, ValueError):
        return Unreadable("damaged", str(error))
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return Unreadable("held" if busy else "closed", str(error))


async def _open(path: Path) -> aiosqlite.Connection:
    if not path.exists():
        raise Unreadable("missing")
    if not path.is_file():
        raise Unreadable("strange", "it is no file")
    size = path.stat().st_size
    with path.open("rb"):
        pass  # SQLite's own error would not say that it may not be read
    if not size and not _size(path, "-wal"):
        raise Unreadable("empty")
    how, pragmas = _way_to_read(path)
    try:
        return await _connect(path, how, pragmas)
    except sqlite3.OperationalError as error:
        # Somebody writes, and left no place in the -shm that a reader could take without writing there.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY or not _size(path, "-shm"):
            raise
        return await _connect(path, "mode=ro", [])


def _way_to_read(path: Path) -> tuple[str, list[str]]:
    """`mode=ro` alone makes -wal and -shm where they are not, and leaves them."""
    if _size(path, "-shm") is not None and _size(path, "-wal") is not None:
        # Of a service that runs, or was killed: its index is read, or made in memory where nobody keeps it.
        return "mode=ro&readonly_shm=1", []
    if _size(path, "-wal"):
        # A copy without its -shm: nobody can have it open, so that no lock is needed, and the index is in memory.
        return "mode=ro&vfs=unix-none", ["PRAGMA locking_mode=EXCLUSIVE"]
    return "mode=ro&immutable=1", []


def _size(path: Path, suffix: str) -> int | None:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except FileNotFoundError:
        return None


def wal_size(path: Path) -> int:
    """Bytes of a file's write-ahead log; 0 without one."""
    return _size(path, "-wal") or 0


def is_bereft(path: Path) -> bool:
    """Whether a file has a -shm and no -wal, which SQLite deletes last."""
    return _size(path, "-shm") is not None and _size(path, "-wal") is None


async def _connect(path: Path, how: str, pragmas: list[str]) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        for pragma in [*pragmas, f"PRAGMA busy_timeout={_BUSY_MS}", "PRAGMA query_only=1"]:
            await connection.execute_fetchall(pragma)
        await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")
    except BaseException:
        await connection.close()
        raise
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
