"""`quarantine list` and `quarantine show`."""

import argparse
import sys

from hooklab.commands.common import CommandError, print_json, print_line, print_table, read
from hooklab.config import Settings

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
    sys.stdout.buffer.write(found.raw)
    return 0
