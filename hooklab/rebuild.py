"""Projects a whole journal into a new store, which then takes the old one's place."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from hooklab.config import Settings
from hooklab.database import DatabaseError
from hooklab.files import Folder, FolderError, FolderLock
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projector import Projector
from hooklab.store.sqlite import SqliteStore
from hooklab.times import iso, zone

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
    except (FolderError, DatabaseError, sqlite3.Error, OSError) as error:
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
    if first > 1:
        began = await journal.get(first)
        since = f"; what is left begins at {iso(began.received_at)}" if began is not None else ""
        raise RebuildError(f"the journal was pruned, a rebuild would lose what is older{since}")
    kept = await _kept_settings(folder.store)
    store = await SqliteStore.open(aside)
    try:
        assumed = settings.assume_timezone or kept.get("assume_timezone") or "UTC"
        stuck = kept.get("stuck_after") or str(settings.stuck_micros())
        await store.keep_settings(assume_timezone=assumed, stuck_after=stuck)
        projector = Projector(journal, store, assumed=zone(assumed), max_elements=settings.max_elements)
        await projector.catch_up(lambda sequence: progress(sequence, last))
    finally:
        await store.close()
    return last


async def _kept_settings(path: Path) -> dict[str, str]:
    """The settings in an old store that may be damaged or gone."""
    try:
        store = await SqliteStore.open(path) if path.exists() else None
    except (DatabaseError, sqlite3.Error, OSError):
        return {}
    if store is None:
        return {}
    try:
        return await store.settings()
    except sqlite3.Error:
        return {}
    finally:
        await store.close()


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _replace(path: Path, by: Path) -> None:
    _remove(path)
    by.rename(path)
