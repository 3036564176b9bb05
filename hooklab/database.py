"""SQLite as both files use it: how a writer and a reader are opened, and how many rows go in at once."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite
from msgspec import Struct

from hooklab.files import touch_private

_T = TypeVar("_T")

MAX_VALUES: Final = 32_766
"""Bound values in one statement: SQLite's default limit since 3.32."""
_BUSY_MS: Final = 5_000
_IO_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)


class DatabaseError(Exception):
    """A file is not what it should be; the text says which and what to do."""


class NotOursError(DatabaseError):
    """By its first bytes a file is another program's, or none at all; damage may have made it look so."""


class WalHeldError(sqlite3.OperationalError):
    """A reader did not let go of the WAL in time."""


class Kind(Struct, frozen=True):
    """What tells one of our files from another."""

    name: str
    application_id: int
    version: int
    schema: str
    synchronous: str


async def open_writer(
    path: Path, kind: Kind, *, checkpoint_pages: int, cache_kib: int = 2_000, again: bool = False
) -> aiosqlite.Connection:
    """The one connection that writes and checkpoints `path`, which is made if it is not there.

    Args:
        path: the file.
        kind: what it has to be.
        checkpoint_pages: pages of WAL after which SQLite checkpoints by itself; 0 for never.
        cache_kib: of pages that SQLite keeps in memory at most.
        again: this process had it open before, and may read it still. Then nothing but SQLite may open it: to close
            any descriptor of a file lets go of all locks that the process has on it, and another program could take
            the WAL away.

    Raises:
        DatabaseError: the file is another program's, or of another version (see `version_of`).
        sqlite3.Error: it cannot be read or written.
    """
    if not again:
        await require_ours(path, kind)
        touch_private(path)
    connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
    try:
        await connection.execute_fetchall(f"PRAGMA busy_timeout={_BUSY_MS}")
        [(empty,)] = await connection.execute_fetchall("SELECT count(*) = 0 FROM sqlite_schema")
        if empty:
            # auto_vacuum counts only before the first table, and not inside a transaction.
            await connection.execute_fetchall("PRAGMA auto_vacuum=INCREMENTAL")
        await connection.execute_fetchall("PRAGMA journal_mode=WAL")
        await connection.execute_fetchall(f"PRAGMA synchronous={kind.synchronous}")
        await connection.execute_fetchall(f"PRAGMA wal_autocheckpoint={checkpoint_pages}")
        await connection.execute_fetchall("PRAGMA journal_size_limit=33554432")
        await connection.execute_fetchall(f"PRAGMA cache_size=-{cache_kib}")
        await connection.execute_fetchall("PRAGMA temp_store=MEMORY")
        if empty:
            await connection.executescript(
                f"BEGIN IMMEDIATE; {kind.schema}; PRAGMA application_id={kind.application_id};"
                f"PRAGMA user_version={kind.version}; COMMIT"
            )
        await _check_kind(connection, path, kind)
    except BaseException:
        await connection.close()
        raise
    return connection


def header_marks(path: Path) -> tuple[int, int] | None:
    """`application_id` and `user_version` as the file's first page has them; None where it is empty or not there.

    Empty is also a file whose first page the power failed before: SQLite takes its size back by the rollback journal.

    Raises:
        DatabaseError: it is no SQLite file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return None
    if not any(head) and (not head or path.with_name(path.name + "-journal").exists()):
        return None
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise NotOursError(f"{path} is not a SQLite file")
    return int.from_bytes(head[68:72]), int.from_bytes(head[60:64])


async def require_ours(path: Path, kind: Kind) -> None:
    """Refuses another program's file before anything is changed in it, or beside it.

    A file of ours whose first pages are still in the WAL has no marks yet.

    Raises:
        DatabaseError: it is another program's.
        OSError, sqlite3.Error: it cannot be read.
    """
    marks = header_marks(path)
    if marks is None or marks[0] == kind.application_id or (marks[0] == 0 and _has_wal(path)):
        return
    if marks[0] == 0:
        # Not only read-only: to read another's WAL file would leave two files beside it.
        async with aiosqlite.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True) as connection:
            [(empty,)] = await connection.execute_fetchall("SELECT count(*) = 0 FROM sqlite_schema")
        if empty:
            return
    raise NotOursError(f"{path} is not a hooklab {kind.name}; move it away or name another --data-dir")


async def is_sound(path: Path) -> bool:
    """Whether SQLite finds nothing wrong with a closed file: one bad read may have been the disk's passing fault."""
    try:
        async with aiosqlite.connect(path) as connection:
            [(found,)] = await connection.execute_fetchall("PRAGMA quick_check(1)")
    except sqlite3.DatabaseError as error:
        if is_io(error):
            raise
        return False
    return bool(found == "ok")


def put_aside(path: Path) -> Path:
    """Renames a database and what belongs to it out of the way; nothing is deleted. Gives the new name."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    number = 0
    while (aside := path.with_name(f"{path.name}.aside-{stamp}-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def remove_database(path: Path) -> None:
    """Deletes a database file and what belongs to it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


async def open_reader(path: Path, kind: Kind) -> aiosqlite.Connection:
    """A connection that can only read `path`; read briefly, since a long read lets the WAL grow.

    Raises:
        DatabaseError: the file is not there, another program's, or of another version.
        sqlite3.Error: it cannot be read.
    """
    if not path.is_file():
        raise DatabaseError(f"{path} is not there")
    how = "mode=ro"
    if not os.access(path.parent, os.W_OK) and not _has_wal(path):
        # Reading a WAL file wants its -shm written; a copy in a read-only folder has no writer that could move.
        how = "immutable=1"
    connection = await aiosqlite.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, cached_statements=64
    )
    try:
        await connection.execute_fetchall(f"PRAGMA busy_timeout={_BUSY_MS}")
        await connection.execute_fetchall("PRAGMA query_only=1")
        await _check_kind(connection, path, kind)
    except BaseException:
        await connection.close()
        raise
    return connection


def is_bereft(path: Path) -> bool:
    """Whether the WAL of a file was taken away: SQLite never leaves a -shm without a -wal."""
    shm, wal = (path.with_name(path.name + suffix) for suffix in ("-shm", "-wal"))
    return shm.exists() and not wal.exists()


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


async def _check_kind(connection: aiosqlite.Connection, path: Path, kind: Kind) -> None:
    application_id, version = await marks_of(connection)
    if application_id != kind.application_id:
        raise NotOursError(f"{path} is not a hooklab {kind.name}; move it away or name another --data-dir")
    if version != kind.version:
        hint = "use the newer hooklab" if version > kind.version else "start hooklab once to bring it up to date"
        raise DatabaseError(f"{path} has version {version}, this hooklab reads {kind.version}; {hint}")


async def marks_of(connection: aiosqlite.Connection) -> tuple[int, int]:
    """`application_id` and `user_version` of an open file."""
    [(application_id,)] = await connection.execute_fetchall("PRAGMA application_id")
    [(version,)] = await connection.execute_fetchall("PRAGMA user_version")
    return application_id, version


async def checkpoint(connection: aiosqlite.Connection, mode: str) -> None:
    """Moves the WAL into the file and fsyncs it: TRUNCATE all of it, PASSIVE what no reader holds.

    Raises:
        sqlite3.OperationalError: it failed.
        WalHeldError: TRUNCATE was asked for, and readers did not let go in time.
    """
    [(busy, _, _)] = await connection.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")
    if busy and mode != "PASSIVE":
        raise WalHeldError("another program reads the file, and its WAL cannot be checkpointed until that lets go")


Statement = tuple[str, Sequence[Any]]
"""SQL and the values bound to it."""


def for_rows(head: str, rows: Sequence[Sequence[Any]], tail: str = "") -> Iterator[Statement]:
    """The statements that run ``head VALUES (…),(…) tail`` over `rows`, which are equally long."""
    # Slices whose row count is a power of two keep the number of prepared statements small.
    at = 0
    while at < len(rows):
        width = len(rows[at])
        size = 1 << min(len(rows) - at, MAX_VALUES // width, 1024).bit_length() - 1
        values = list(chain.from_iterable(rows[at : at + size]))
        yield _many(head, width, size, tail), values
        at += size


@lru_cache(maxsize=512)
def _many(head: str, width: int, size: int, tail: str) -> str:
    # Always the same object, so that looking up what SQLite has prepared compares no long texts.
    marks = "(" + ",".join("?" * width) + ")"
    return f"{head} VALUES {','.join([marks] * size)} {tail}"


async def put_rows(
    connection: aiosqlite.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = ""
) -> None:
    """Runs ``head VALUES (…),(…) tail`` over `rows`, which are equally long."""
    await fetch_for(connection, head, rows, tail)


async def fetch_for(
    connection: aiosqlite.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = ""
) -> list[Any]:
    """Like `put_rows`, for a statement that gives rows back."""
    found = await run(connection, list(for_rows(head, rows, tail))) if rows else []
    return list(chain.from_iterable(found))


def fetch_now(plain: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = "") -> list[Any]:
    """Like `fetch_for`, on SQLite's thread."""
    return [row for sql, values in for_rows(head, rows, tail) for row in step(plain, sql, values)]


async def on_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Runs `work` on the thread of a connection.

    It is one hop, and each costs as much as a hundred rows. aiosqlite has no public name for it, hence the narrow
    range in `pyproject.toml`.
    """
    return await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call, no-any-return]  # noqa: SLF001


async def run(connection: aiosqlite.Connection, statements: Sequence[Statement]) -> list[list[Any]]:
    """Runs statements one after another, in one hop to SQLite's thread; gives the rows of each."""
    return await on_thread(connection, lambda plain: [step(plain, sql, values) for sql, values in statements])


async def run_as_one(
    connection: aiosqlite.Connection,
    statements: Sequence[Statement],
    afterwards: Callable[[sqlite3.Connection], None],
    *,
    keep: bool = True,
) -> None:
    """Runs statements in one transaction, which is taken back if one fails, or if it is not to be kept.

    Where it is kept, `afterwards` is part of it.
    """
    await on_thread(connection, lambda plain: _run_as_one(plain, statements, afterwards, keep))


def _run_as_one(
    plain: sqlite3.Connection,
    statements: Sequence[Statement],
    afterwards: Callable[[sqlite3.Connection], None],
    keep: bool,
) -> None:
    step(plain, "BEGIN IMMEDIATE", ())
    try:
        for sql, values in statements:
            step(plain, sql, values)
        if keep:
            afterwards(plain)
        step(plain, "COMMIT" if keep else "ROLLBACK", ())
    except BaseException:
        if plain.in_transaction:
            step(plain, "ROLLBACK", ())
        raise


def step(plain: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """One statement, on SQLite's thread."""
    return plain.execute(sql, values).fetchall()


def is_io(error: BaseException) -> bool:
    """Whether an error is of the disk or of another connection, and not of what was written."""
    if isinstance(error, (OSError, MemoryError)):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return (
        isinstance(error, sqlite3.DatabaseError)
        and (code is None or code & 0xFF in _IO_CODES)
        and not isinstance(
            error,
            (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError),
        )
    )


def is_damaged(error: BaseException) -> bool:
    """Whether an error says that the file itself is no longer what SQLite wrote."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full: nothing was written then, and nothing is in doubt."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
