"""Projects a whole journal into a new store, which then takes the old one's place."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from hooklab.config import Settings
from hooklab.database import DatabaseError, open_reader
from hooklab.files import Folder, FolderError, FolderLock
from hooklab.journal.base import JournalError
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projection import settle
from hooklab.store.sqlite import STORE, SqliteStore, kept_settings
from hooklab.times import iso

Progress = Callable[[int, int], None]
"""Is told the last batch done, and the last there is."""


class RebuildError(Exception):
    """It cannot be rebuilt; the text says why. The old store is as it was."""


async def rebuild(settings: Settings, folder: Folder, progress: Progress) -> int:
    """Projects the whole journal into a new store, which then takes the old one's place; gives the last batch.

    The old store stays until the new one is whole.

    Raises:
        RebuildError: a service runs, the journal was pruned, or a file cannot be used.
    """
    aside = folder.store.with_name("store.new.db")
    try:
        with FolderLock(folder):
            _remove(aside)
            journal = await SqliteJournal.open(folder.journal, JournalLimits())
            try:
                last = await _rebuild_from(journal, aside, settings, folder, progress)
            finally:
                await journal.close()
            _replace(folder.store, aside)
    except (FolderError, DatabaseError, JournalError, sqlite3.Error, OSError) as error:
        raise RebuildError(f"cannot rebuild: {error}") from error
    return last


async def _rebuild_from(
    journal: SqliteJournal,
    aside: Path,
    settings: Settings,
    folder: Folder,
    progress: Progress,
) -> int:
    first, last = await journal.span()
    projected = await _projected(folder.store)
    if projected > last:
        raise RebuildError(
            f"the store is at batch {projected}, beyond the journal's last, {last}: what lies between would be lost;"
            f" put the right {folder.journal.name} back, or move {folder.store.name} away to begin without it"
        )
    if first > 1:
        began = await journal.get(first)
        since = f"; what is left begins at {iso(began.received_at)}" if began is not None else ""
        raise RebuildError(f"the journal was pruned, a rebuild would lose what is older{since}")
    store = await SqliteStore.open(aside)
    try:
        force = settle(await kept_settings(folder.store), settings, anew=True)
        await store.keep_settings(**force.as_kept())
        await force.projector(journal, store).catch_up(lambda sequence: progress(sequence, last))
    finally:
        await store.close()
    return last


async def _projected(path: Path) -> int:
    """How far the present store is; 0 for one that is gone or cannot be read."""
    try:
        reader = await open_reader(path, STORE)
    except (DatabaseError, sqlite3.Error, OSError):
        return 0
    try:
        [(sequence,)] = await reader.execute_fetchall("SELECT checkpoint FROM totals")
    except (sqlite3.Error, ValueError):
        return 0
    finally:
        await reader.close()
    return int(sequence)


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _replace(path: Path, by: Path) -> None:
    _remove(path)
    by.rename(path)
