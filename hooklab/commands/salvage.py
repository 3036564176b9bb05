"""`salvage`."""

import argparse
import sqlite3
import sys

from hooklab.commands.common import CommandError, confirmed, print_line
from hooklab.config import Settings
from hooklab.database import DatabaseError
from hooklab.files import Folder, FolderLock
from hooklab.journal.salvage import finish_salvage, salvage
from hooklab.journal.schema import JOURNAL


def save(given: argparse.Namespace, settings: Settings) -> int:
    """Puts a new journal with all that can be read in the place of a damaged one, which is put aside."""
    folder = Folder(settings.data_dir)
    folder.require()
    question = f"Copy what can be read of {folder.journal} into a new journal, and put this one aside?"
    if sys.stdin.isatty() and not given.yes and not confirmed(question):
        raise CommandError("nothing was changed")
    with FolderLock(folder):
        try:
            finish_salvage(folder.journal)
            saved = salvage(folder.journal, JOURNAL)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            raise CommandError(f"nothing was changed: {error}") from error
    print_line(f"{saved.batches:,} batches saved, up to batch {saved.last:,}")
    if saved.damaged:
        print_line(f"{saved.damaged:,} of them with a damaged body, which goes to quarantine")
    if saved.missing:
        print_line(f"{saved.missing:,} could not be read, or were pruned")
    print_line(f"the file as it was is kept as {saved.aside.name}; start hooklab again")
    return 0
