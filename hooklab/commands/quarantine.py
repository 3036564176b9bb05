"""`quarantine list`, `show` and `retry`."""

import argparse
import asyncio
import sqlite3

from hooklab.commands.common import CommandError, print_json, print_line, print_table, read, write_raw
from hooklab.config import Settings
from hooklab.database import DatabaseError
from hooklab.files import Folder, FolderLock
from hooklab.healing import Retried
from hooklab.journal.base import JournalError
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.monitor import order_retry
from hooklab.projection import Projection
from hooklab.store.base import StoreError

_KEYS = ("id", "batch", "index", "reason", "count")


def list_rows(given: argparse.Namespace, settings: Settings) -> int:
    """What could not be understood, newest first."""
    rows = read(settings, lambda monitor: monitor.quarantine(given.limit))
    if given.json:
        for row in rows:
            print_json({name: getattr(row, name) for name in _KEYS})
    elif not rows:
        print_line("nothing is in quarantine")
    else:
        print_table(
            ("ID", "BATCH", "INDEX", "COUNT", "REASON"),
            [(row.id, row.batch, "body" if row.index is None else row.index, row.count, row.reason) for row in rows],
            right=(0, 1, 2, 3),
        )
    return 0


def show(given: argparse.Namespace, settings: Settings) -> int:
    """The raw bytes of one row, as they came."""
    found = read(settings, lambda monitor: monitor.quarantined(given.row))
    if found is None:
        raise CommandError(f"nothing in quarantine has the id {given.row}; see: hooklab quarantine list")
    write_raw(found.raw)
    return 0


def retry(given: argparse.Namespace, settings: Settings) -> int:
    """Everything once more through today's rules: by the running service, or here where none runs."""
    folder = Folder(settings.data_dir)
    folder.require()
    done = order_retry(folder)
    if done is None:
        done = _retry_here(folder, settings)
    if given.json:
        print_json(done)
    elif not done.tried:
        print_line("nothing is in quarantine")
    else:
        print_line(f"{done.healed:,} of {done.tried:,} understood now, {done.left:,} stay in quarantine")
    return 0


def _retry_here(folder: Folder, settings: Settings) -> Retried:
    async def retrying() -> Retried:
        journal = await SqliteJournal.open(folder.journal, JournalLimits())
        try:
            projection = await Projection.open(folder.store, journal, settings)
            try:
                return await projection.retry_quarantine()
            finally:
                await projection.close()
        finally:
            await journal.close()

    try:
        with FolderLock(folder):
            return asyncio.run(retrying())
    except (DatabaseError, JournalError, StoreError, sqlite3.Error, OSError) as error:
        raise CommandError(f"the quarantine cannot be retried: {error}") from error
