"""`rebuild`."""

import argparse
import asyncio
import sys

from hooklab.commands.common import CommandError, confirmed, print_line
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.rebuild import RebuildError
from hooklab.rebuild import rebuild as rebuild_store


def rebuild(given: argparse.Namespace, settings: Settings) -> int:
    """Projects the journal again; the old store stays until the new one is whole."""
    folder = Folder(settings.data_dir)
    folder.require()
    question = f"Replace the store in {folder.path} by one projected from the journal?"
    if sys.stdin.isatty() and not given.yes and not confirmed(question):
        raise CommandError("nothing was changed")

    shown = sys.stderr.isatty()

    def progress(done: int, last: int) -> None:
        if shown:
            print(f"\rbatch {done:,} of {last:,}", end="", file=sys.stderr, flush=True)

    try:
        last = asyncio.run(rebuild_store(settings, folder, progress))
    except RebuildError as error:
        raise CommandError(str(error)) from error
    finally:
        if shown:
            print(file=sys.stderr)
    print_line(f"rebuilt from {last:,} batches")
    return 0
