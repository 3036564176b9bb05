"""Opens the journal, and first puts right what a crash or a bad disk did to it."""

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite
from msgspec import Struct
from msgspec.structs import replace

from hooklab.database import NotOursError, WalHeldError, checkpoint, is_bereft, is_damaged, open_writer
from hooklab.files import fsync, touch_private
from hooklab.journal.base import JournalDamaged
from hooklab.journal.pages import Row
from hooklab.journal.read import SqliteJournalReader
from hooklab.journal.salvage import (
    SalvageError,
    batches_in_wal,
    cut_off_frames,
    finish_salvage,
    holds_batches,
    salvage,
)
from hooklab.journal.schema import JOURNAL

log = logging.getLogger("hooklab.journal")


class Opened(Struct, frozen=True):
    """A journal's two connections.

    Attributes:
        writer: the one that writes and checkpoints.
        reader: reads what is committed.
        last: the last number that is held; 0 for none.
        held: somebody reads, and the opening checkpoint could not be done: it has to be before the next 200.
    """

    writer: aiosqlite.Connection
    reader: SqliteJournalReader
    last: int
    held: bool


async def reopen_journal(path: Path) -> Opened:
    """Opens a journal that this process had open a moment ago, and that a check found sound.

    Raises:
        DatabaseError, sqlite3.Error, OSError: as `open_journal`.
    """
    return await _connect(path, again=True)


async def open_journal(path: Path) -> Opened:
    """Opens `path`, makes it if it is not there, and checkpoints what a crash left in the WAL.

    What can be read of a damaged journal is saved into a new one; the damaged one is put aside.

    Raises:
        DatabaseError: the file is something else, or damaged and nothing can be saved.
        sqlite3.Error, OSError: it cannot be opened, or the opening checkpoint failed for another reason than readers.
    """
    if (aside := finish_salvage(path)) is not None:
        log.error("%s was damaged: the file that takes its place was ready; it is kept as %s", path, aside.name)
    if is_bereft(path):
        log.error(
            "%s-wal is not there, though hooklab did not end well: the newest batches were in it. If there is a copy:"
            " stop hooklab before it takes new ones, put it back, and start again",
            path,
        )
    try:
        return await _open(path)
    except NotOursError as error:
        if not await asyncio.to_thread(holds_batches, path):
            raise
        why = str(error)
    except JournalDamaged as error:
        why = str(error)
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        why = str(error)
    return await open_salvaged(path, why)


async def open_salvaged(path: Path, why: str) -> Opened:
    """Saves what can be read of a journal that is damaged, and opens that; errors are those of `open_journal`."""
    log.info("%s is damaged (%s): saving what can be read", path, why)  # what follows says it, or the error does
    saved = await asyncio.to_thread(salvage, path, JOURNAL)
    log.error(
        "%s: %d batches saved, %d of them with a damaged body; %d are missing up to batch %d. The damaged file is"
        " kept as %s: keep it until you know that nothing is missed, and look after the disk",
        path, saved.batches, saved.damaged, saved.missing, saved.last, saved.aside.name,
    )  # fmt: skip
    return await _open(path)


async def _open(path: Path) -> Opened:
    wal = path.with_name(path.name + ".damaged-wal")
    opened = await _connect(path, wal)
    if not wal.exists() or opened.held:
        return opened
    await _close(opened)
    # Nobody may have the journal open while it is read otherwise than by SQLite: see `open_writer`.
    rows = await asyncio.to_thread(batches_in_wal, path, wal)
    opened = await _connect(path)
    try:
        await _take(rows, opened.writer, path, wal)
        return replace(opened, last=(await opened.reader.span())[1])
    except BaseException:
        await _close(opened)
        raise


async def _connect(path: Path, wal: Path | None = None, *, again: bool = False) -> Opened:
    """Both connections, after the opening checkpoint; first a damaged WAL is kept as `wal`, where that is told."""
    # wal_autocheckpoint is off: SQLite swallows the errors of those, and ours must be seen.
    async with contextlib.AsyncExitStack() as stack:
        writer = await open_writer(path, JOURNAL, checkpoint_pages=0, again=again)
        stack.push_async_callback(writer.close)
        if wal is not None and not wal.exists():  # there may be one of an opening that did not come to its end
            await _keep_damaged_wal(writer, path, wal)
        held = False
        try:
            await checkpoint(writer, "TRUNCATE")
        except WalHeldError:
            held = True
        reader = await SqliteJournalReader.open(path)
        stack.push_async_callback(reader.close)
        _, last = await reader.span()
        stack.pop_all()
        return Opened(writer, reader, last, held)


async def _close(opened: Opened) -> None:
    await opened.reader.close()
    await opened.writer.close()


async def _keep_damaged_wal(writer: aiosqlite.Connection, path: Path, copy: Path) -> None:
    """Keeps a copy of the WAL if it has transactions that SQLite does not see, since a frame before is damaged.

    SQLite reads a WAL up to the first frame whose checksum is wrong, and takes that for the end without a word.
    """
    # PASSIVE leaves the WAL as it is.
    [(_, recognized, _)] = await writer.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
    if not cut_off_frames(path, max(recognized, 0)):
        return
    partial = path.with_name(path.name + ".copying-wal")
    try:
        touch_private(partial)
        await asyncio.to_thread(shutil.copyfile, path.with_name(path.name + "-wal"), partial)
        fsync(partial)
        partial.rename(copy)
        fsync(path.parent)
    except OSError as error:
        raise SalvageError(
            f"{path}-wal is damaged, and a copy of it cannot be kept: {error.strerror}; make room, then start again"
        ) from error


async def _take(rows: Sequence[Row], writer: aiosqlite.Connection, path: Path, wal: Path) -> None:
    """Takes those of `rows`, from the damaged `wal`, that are not in the journal."""
    new = 0
    await writer.execute_fetchall("BEGIN IMMEDIATE")
    for number, values in rows:
        new += await _insert(writer, [number, *values[1:]])
    await writer.execute_fetchall("COMMIT")
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = wal.with_name(f"{path.name}-wal.aside-{stamp}-{rows[-1][0] if rows else 0}")
    wal.replace(aside)
    what = f"was damaged: {new} batches behind the damage were saved" if new else "ends in a write that is not whole"
    log.warning(
        "%s-wal %s, as after a power cut; if there was none, look after the disk. It is kept as %s",
        path, what, aside.name,
    )  # fmt: skip


async def _insert(writer: aiosqlite.Connection, values: list[Any]) -> int:
    marks = ",".join("?" * len(values))
    before = writer.total_changes
    await writer.execute_fetchall(f"INSERT OR IGNORE INTO batches VALUES ({marks})", values)
    return writer.total_changes - before
