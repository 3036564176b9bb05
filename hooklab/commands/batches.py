"""`batches` and `batch`."""

import argparse
import json
import sys
from typing import Any

import msgspec

from hooklab.commands.common import CommandError, print_json, print_line, print_table, read
from hooklab.config import Settings
from hooklab.journal.base import JournalBatch
from hooklab.store.base import BatchRow
from hooklab.text import clean_lines
from hooklab.times import iso


def batches(given: argparse.Namespace, settings: Settings) -> int:
    """Requests as they came, newest first."""
    rows = read(settings, lambda monitor: monitor.batches(given.limit))
    if given.json:
        for row in rows:
            print_json(_json(row))
        return 0
    print_table(
        ("BATCH", "RECEIVED", "PEER", "LABEL", "BYTES", "ELEMENTS", "NEW", "REPEATS", "QUARANTINED", "AGAIN"),
        [
            (
                row.batch,
                (iso(row.received_at) or "")[:23].replace("T", " "),
                row.peer,
                row.label or "-",
                row.bytes,
                row.elements,
                row.new,
                row.repeats,
                row.quarantined,
                "-" if row.retry_of is None else f"batch {row.retry_of}, attempt {row.attempt}",
            )
            for row in rows
        ],
        right=(0, 4, 5, 6, 7, 8),
    )
    return 0


def batch(given: argparse.Namespace, settings: Settings) -> int:
    """One request; `--raw` writes its body byte for byte."""
    row, kept = read(settings, lambda monitor: monitor.batch(given.number))
    if given.raw:
        sys.stdout.buffer.write(_kept(given.number, kept).body)
        return 0
    if row is None:
        waiting = kept is not None
        raise CommandError(
            f"batch {given.number} is in the journal and not projected yet; --raw shows its body"
            if waiting
            else f"there is no batch {given.number} here"
        )
    if given.json:
        print_json({**_json(row), "took_ms": kept and kept.took_ms, "headers": kept and json.loads(kept.headers)})
        return 0
    for name, value in _json(row).items():
        print_line(f"{name.replace('_', ' '):<12} {'-' if value is None else value}")
    if kept is None:
        print_line("the body is no longer kept")
        return 0
    print_line(f"{'took':<12} {kept.took_ms} ms")
    for name, value in json.loads(kept.headers):
        print_line(f"  {name}: {value}")
    print_line()
    print(clean_lines(_pretty(kept.body)))
    return 0


def _kept(number: int, kept: JournalBatch | None) -> JournalBatch:
    if kept is None:
        raise CommandError(f"the body of batch {number} is not kept here")
    return kept


def _json(row: BatchRow) -> dict[str, Any]:
    return {**msgspec.structs.asdict(row), "received_at": iso(row.received_at)}


def _pretty(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode(errors="replace")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
