"""Projects a whole journal into a new store, which then takes the old one's place."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from hooklab.config import Settings
from hooklab.database import DatabaseError, header_marks, put_aside, remove_database
from hooklab.files import Folder, FolderError, FolderLock, fsync
from hooklab.journal.base import JournalError
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.judging import DAMAGED
from hooklab.projection import settle
from hooklab.store.opening import batches_known, kept_settings, projected, understood
from hooklab.store.sqlite import STORE, SqliteStore
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
    aside = folder.new_store
    try:
        with FolderLock(folder):
            _require_ours(folder.store)
            remove_database(aside)
            journal = await SqliteJournal.open(folder.journal, JournalLimits())
            try:
                last = await _rebuild_from(journal, aside, settings, folder, progress)
            finally:
                await journal.close()
            await _replace(folder.store, aside)
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
    reached = await projected(folder.store)
    if reached > last:
        raise RebuildError(
            f"the store is at batch {reached}, beyond the journal's last, {last}: what lies between would be lost;"
            f" put the right {folder.journal.name} back, or move {folder.store.name} away to begin without it"
        )
    if first > 1:
        began = await journal.get(first)
        since = f"; what is left begins at {iso(began.received_at)}" if began is not None else ""
        raise RebuildError(f"the journal was pruned, a rebuild would lose what is older{since}")
    _require_all(await batches_known(folder.store) - await journal.count(reached), folder)
    store = await SqliteStore.open(aside)
    try:
        force = settle(await kept_settings(folder.store), settings, anew=True)
        await store.keep_settings(**force.as_kept())
        await force.projector(journal, store).catch_up(lambda sequence: progress(sequence, last))
        _require_all(await understood(folder.store, await store.bodies_in_quarantine(DAMAGED)), folder)
        await store.settle_on_disk()
    finally:
        await store.close()
    return last


def _require_all(lacking: int, folder: Folder) -> None:
    """A journal that was damaged may lack what only the store still knows."""
    if lacking > 0:
        raise RebuildError(
            f"the journal lacks {lacking:,} batch{'' if lacking == 1 else 'es'} that the store knows: a rebuild would"
            f" lose what they held; move {folder.store.name} away to begin without them"
        )


def _require_ours(path: Path) -> None:
    """What another program or a newer hooklab wrote is not ours to replace."""
    try:
        marks = header_marks(path)
    except DatabaseError:
        return  # damaged: put aside below
    if marks is not None and (marks[0] not in (0, STORE.application_id) or marks[1] > STORE.version):
        raise RebuildError(f"{path} is another program's, or a newer hooklab's; move it away first")


async def _replace(path: Path, by: Path) -> None:
    """One rename puts the new store in the old one's place: there is no moment without a store."""
    if by.with_name(by.name + "-wal").exists():
        raise RebuildError(f"{by} could not be written whole; the old store is as it was")
    try:
        # Whatever the old WAL holds must not be taken for the new store's: its last connection removes it.
        await (await SqliteStore.open(path)).close()
    except (DatabaseError, sqlite3.Error):
        put_aside(path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    by.replace(path)
    fsync(path.parent)
