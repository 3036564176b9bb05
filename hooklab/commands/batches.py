"""`batches` and `batch`."""

import argparse
from typing import Any

import msgspec

from hooklab.commands.common import CommandError, print_json, print_line, print_table, read, write_raw
from hooklab.config import Settings
from hooklab.store.base import BatchDetail, BatchRow
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
    number: int = given.number
    if given.raw:
        kept = read(settings, lambda monitor: monitor.kept(number))
        if kept is None:
            raise CommandError(f"the body of batch {number} is not kept here")
        write_raw(kept.body)
        return 0
    found = read(settings, lambda monitor: monitor.batch(number))
    if found is None:
        waits = read(settings, lambda monitor: monitor.kept(number)) is not None
        raise CommandError(
            f"batch {number} is in the journal and not projected yet; --raw shows its body"
            if waits
            else f"there is no batch {number} here"
        )
    if given.json:
        elements = [msgspec.structs.asdict(fate) for fate in found.elements]
        print_json({**_json(found.row), "took_ms": found.took_ms, "headers": found.headers, "became": elements})
    else:
        _print(found)
    return 0


def _print(found: BatchDetail) -> None:
    for name, value in _json(found.row).items():
        print_line(f"{name.replace('_', ' '):<12} {'-' if value is None else value}")
    if found.malformed is not None:
        print_line(f"{'not understood':<12} {found.malformed}")
    if found.body is None:
        print_line("the body is no longer kept")
        return
    print_line(f"{'took':<12} {found.took_ms} ms")
    for name, value in found.headers or []:
        print_line(f"  {name}: {value}")
    print_line()
    print_table(
        ("INDEX", "BECAME", "STATUS", "MESSAGE OR REASON"),
        [
            (fate.index, fate.became, fate.status or "-", fate.message_id or fate.reason or "-")
            for fate in found.elements
        ],
        right=(0,),
    )
    print_line()
    print(clean_lines(_pretty(found.body)))


def _json(row: BatchRow) -> dict[str, Any]:
    values = {**msgspec.structs.asdict(row), "received_at": iso(row.received_at)}
    del values["malformed"]
    return values


def _pretty(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode(errors="replace")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
