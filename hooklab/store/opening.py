"""Opens the store by the opening rule of the design's section 5, and asks one that may be old, damaged or gone."""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import aiosqlite

from hooklab.database import DatabaseError, header_marks, is_io, marks_of, open_reader, put_aside
from hooklab.store.base import StoreError
from hooklab.store.sqlite import STORE, SqliteStore

log = logging.getLogger("hooklab.store")


async def open_store(path: Path, given: int) -> SqliteStore:
    """Opens the store for a journal that gave the sequences up to `given`, by the design's opening rule (section 5).

    A store that is ahead of its journal, damaged, or of an older version is put aside; an empty one takes its
    place and the projector fills it again.

    Raises:
        StoreError: it was made by a newer hooklab, or is no store at all.
    """
    why = await _why_unusable(path, given)
    if why is None:
        return await SqliteStore.open(path)
    log.warning("%s %s: put aside, and rebuilt from the journal", path, why)
    kept = await kept_settings(path)
    put_aside(path)
    store = await SqliteStore.open(path)
    await store.keep_settings(**kept)
    return store


async def projected(path: Path) -> int:
    """How far a store is; 0 for one that is gone or cannot be read."""
    return await _ask(path, "SELECT checkpoint FROM totals")


async def batches_known(path: Path) -> int:
    """How many batches a store knows; 0 for one that is gone or cannot be read."""
    return await _ask(path, "SELECT count(*) FROM batches")


async def understood(path: Path, sequences: Sequence[int]) -> int:
    """How many of `sequences` a store knows with elements in them; 0 for one that is gone or cannot be read."""
    asked = ",".join(map(str, sequences))
    return await _ask(path, f"SELECT count(*) FROM batches WHERE sequence IN ({asked}) AND elements > 0")


async def _ask(path: Path, sql: str) -> int:
    try:
        reader = await open_reader(path, STORE)
    except (DatabaseError, sqlite3.Error, OSError):
        return 0
    try:
        [(number,)] = await reader.execute_fetchall(sql)
    except (sqlite3.Error, ValueError):
        return 0
    finally:
        await reader.close()
    return int(number)


async def kept_settings(path: Path) -> dict[str, str]:
    """The settings in a store that may be old, damaged or gone, as far as they can be read."""
    if not path.exists():
        return {}
    try:
        async with aiosqlite.connect(path) as connection:
            rows = await connection.execute_fetchall("SELECT name, value FROM settings")
    except sqlite3.Error:
        return {}
    kept = {name: value for name, value in rows if isinstance(name, str) and isinstance(value, str)}
    kept.pop("search", None)  # the mark of that one store
    return kept


async def _why_unusable(path: Path, given: int) -> str | None:
    try:
        if header_marks(path) is None:
            return None
    except DatabaseError:
        return "is damaged (it does not begin as a SQLite file)"
    try:
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            application_id, version = await marks_of(connection)
        finally:
            await connection.close()
        if application_id == STORE.application_id and version < STORE.version:
            return f"has the older version {version}"
        store = await SqliteStore.open(path)
        try:
            checkpoint = await store.checkpoint()
        finally:
            await store.close()
    except DatabaseError as error:
        raise StoreError(str(error)) from error
    except (sqlite3.DatabaseError, ValueError) as error:
        if is_io(error):
            raise StoreError(f"{path} cannot be opened: {error}") from error
        return f"is damaged ({error})"
    if checkpoint > given:
        return f"is at batch {checkpoint}, beyond the journal's last, {given}"
    return None
