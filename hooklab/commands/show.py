"""`stats`, `messages` and `show`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from hooklab.commands.common import CommandError, clock, print_json, print_line, print_table, read
from hooklab.config import Settings
from hooklab.export.lines import json_line, values_of
from hooklab.filters import HELP, is_known, parse_filter, taken_for
from hooklab.monitor import FolderMonitor
from hooklab.store.base import TimelineEntry
from hooklab.text import clean
from hooklab.times import iso
from hooklab.wire import parse_uuid


def stats(given: argparse.Namespace, settings: Settings) -> int:
    """The counters of the design's section 4."""
    counters = read(settings, lambda monitor: monitor.snapshot()).counters
    values = msgspec.structs.asdict(counters)
    if given.json:
        print_json(values)
        return 0
    width = max(len(name) for name in values)
    for name, value in values.items():
        print_line(f"{name:<{width}}  {_counter(value)}")
    return 0


def _counter(value: Any) -> str:
    if value is None:
        return "- (no service runs)"
    if isinstance(value, dict):
        return ", ".join(f"{code}: {count:,}" for code, count in value.items()) or "none"
    return f"{value:>12,}" if isinstance(value, int) else f"{value:>12}"


def messages(given: argparse.Namespace, settings: Settings) -> int:
    """Messages that the filter words let through."""
    where = parse_filter(given.words, clock())
    rows = read(settings, lambda monitor: monitor.messages(where, given.limit))
    if given.json:
        for row in rows:
            print_json(values_of(row))
        return 0
    _hint(given.words, len(rows), given.limit)
    print_table(
        ("LAST RECEIVED", "MESSAGE", "NUMBER", "STATE", "FLAGS", "SEG", "ARRIVALS", "DESCRIPTION"),
        [
            (
                _short(row.last_received_at),
                row.message_id,
                row.msisdn or "-",
                row.state,
                ",".join(row.flags) or "-",
                "-" if row.total_segments is None else row.total_segments,
                row.arrivals,
                row.description or "-",
            )
            for row in rows
        ],
        right=(5, 6),
    )
    return 0


def _hint(words: list[str], found: int, limit: int) -> None:
    """Says on stderr what a reader of the table might take wrongly."""
    if found == limit:
        print(f"hooklab: only the newest {limit} are shown; --limit N shows more", file=sys.stderr)
    odd = [word for word in words if not is_known(word)]
    if not found and odd:
        print(f"hooklab: nothing matched; {taken_for(clean(odd[0], 60))}; words are {HELP}", file=sys.stderr)


def show(given: argparse.Namespace, settings: Settings) -> int:
    """One message with its timeline."""
    if parse_uuid(given.message_id) is None:
        raise CommandError(f"{clean(given.message_id, 80)!r} is not a message id: it wants a UUID")
    if not read(settings, lambda monitor: _show(monitor, given.message_id, json=given.json)):
        raise CommandError(f"no message {given.message_id} is known here")
    return 0


async def _show(monitor: FolderMonitor, message_id: str, *, json: bool) -> bool:
    """Prints page after page: one message may have a million arrivals."""
    found = await monitor.message(message_id)
    if found is None:
        return False
    values = values_of(found.message)
    if json:
        sys.stdout.buffer.write(json_line(values)[:-1].encode() + b',"timeline":[')
        between = b""
        async for page in monitor.timeline(message_id):
            sys.stdout.buffer.write(between + ",".join(json_line(_entry_json(one)) for one in page).encode())
            between = b","
        sys.stdout.buffer.write(b"]}\n")
        return True
    for name, value in values.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        print_line(f"{name.replace('_', ' '):<18} {'-' if shown in (None, '') else shown}")
    print_line()
    heads = ["RECEIVED", "KIND", "STATUS", "REPORTED", "BATCH", "INDEX", "LABEL", "DESCRIPTION"]
    async for page in monitor.timeline(message_id):
        _print_arrivals(heads, page)
        heads = []
    return True


def _print_arrivals(heads: Sequence[str], page: Sequence[TimelineEntry]) -> None:
    print_table(
        heads,
        [
            (
                _short(one.received_at),
                one.kind,
                one.status,
                one.reported_at or "-",
                one.batch,
                one.index,
                one.label or "-",
                one.description or "-",
            )
            for one in page
        ],
        right=(4, 5),
    )


def _short(micros: int) -> str:
    return (iso(micros) or "-")[:23].replace("T", " ")


def _entry_json(entry: TimelineEntry) -> dict[str, Any]:
    return {**msgspec.structs.asdict(entry), "received_at": iso(entry.received_at)}
