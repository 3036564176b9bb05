"""`verify`."""

import argparse
import asyncio
import json
import re
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Any, Final

from msgspec.structs import asdict

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError, clock, print_json, print_line
from hooklab.config import Settings
from hooklab.database import DatabaseError
from hooklab.files import Folder
from hooklab.journal.base import JournalError
from hooklab.journal.read import SqliteJournalReader
from hooklab.simulator.truth import Truth, read_truth
from hooklab.store.base import BatchRow, QuarantineRow
from hooklab.store.read import SqliteStoreReader
from hooklab.text import mask_number
from hooklab.times import zone
from hooklab.verify.compare import compare, compare_counters, compare_minutes, missing
from hooklab.verify.model import Difference, Expected, Journaled, Reading

_PAGE: Final = 1000
_READ_BYTES: Final = 4 * 1024 * 1024
_POLL_SECONDS: Final = 0.1
_NUMBER: Final = re.compile(r"\d{9,}")


def verify(given: argparse.Namespace, settings: Settings) -> int:
    """Compares the folder with the truth; 0 if nothing differs."""
    truth = read_truth(given.truth)
    folder = Folder(settings.data_dir)
    folder.require()
    expected, differences = Expected(), list[Difference]()

    async def verifying() -> None:  # gives nothing: asyncio would write all of a large result into a text
        nonlocal expected, differences
        expected, differences = await _verify(folder, truth, given)

    try:
        asyncio.run(verifying())
    except (sqlite3.Error, OSError, ValueError, DatabaseError, JournalError) as error:
        raise CommandError(f"{folder.path} cannot be read: {error}") from error
    _print(given, truth, expected, differences)
    return 1 if differences else 0


async def _verify(folder: Folder, truth: Truth, given: argparse.Namespace) -> tuple[Expected, list[Difference]]:
    async with AsyncExitStack() as stack:
        journal = await SqliteJournalReader.open(folder.journal)
        stack.push_async_callback(journal.close)
        store = await SqliteStoreReader.open(folder.store, clock)
        stack.push_async_callback(store.close)
        last = await _wait_until_counted(folder, journal, store, given.wait)
        reading = Reading(truth, zone((await store.settings()).get("assume_timezone", "UTC")))
        async for batch in _journaled(journal, last):
            reading.add(batch)
        expected = reading.finish()
        differences = list(expected.differences)
        if expected.others and not given.others_allowed:
            differences.append(
                Difference("body", "others", "batches that the truth does not know", 0, expected.others)
            )
        ours = given.others_allowed and expected.others > 0
        differences += await _compare_messages(store, expected, only_ours=ours)
        differences += await _compare_batches(store, expected, only_ours=ours)
        differences += await _compare_quarantine(store, expected, only_ours=ours)
        counters = await store.counters(last)
        differences += compare_counters(expected, asdict(counters))
        differences += compare_minutes(expected, {one.minute: asdict(one) for one in await store.minutes(0)})
        if (await journal.span())[1] != last:
            raise CommandError("batches came meanwhile; verify again when nothing is being sent")
    return expected, differences


async def _wait_until_counted(
    folder: Folder, journal: SqliteJournalReader, store: SqliteStoreReader, seconds: float
) -> int:
    """Returns the journal's last batch once the store has it."""
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        _, last = await journal.span()
        lag = (await store.counters(last)).lag
        if not lag:
            return last
        if await ask_service(folder) is None:
            raise CommandError(f"batches not counted yet: {lag:,}; no hooklab runs on {folder.path}, start it")
        if asyncio.get_running_loop().time() > ends:
            raise CommandError(f"batches not counted yet after {seconds:g} s: {lag:,}; see --wait")
        await asyncio.sleep(_POLL_SECONDS)


async def _journaled(journal: SqliteJournalReader, last: int) -> AsyncIterator[Journaled]:
    at = 0
    while at < last and (batches := await journal.read(at, _READ_BYTES)):
        for one in batches:
            digest = sha256(one.body).hexdigest()
            yield Journaled(one.sequence, one.received_at, one.label, one.malformed, digest, one.body)
        at = batches[-1].sequence


async def _compare_messages(store: SqliteStoreReader, expected: Expected, *, only_ours: bool) -> list[Difference]:
    differences: list[Difference] = []
    waiting, at = dict(expected.messages), 0
    while page := await store.histories(at, _PAGE):
        for number, found in page:
            row: dict[str, Any] = {**asdict(found.message), "timeline": [asdict(one) for one in found.timeline]}
            row["flags"] = [name for name in row["flags"] if name != "stuck"]  # a matter of the clock
            wanted = waiting.pop(found.message.message_id, None)
            if wanted is not None or not only_ours:
                differences += compare("message", found.message.message_id, wanted, row)
            at = number
    return differences + missing("message", waiting)


async def _compare_batches(store: SqliteStoreReader, expected: Expected, *, only_ours: bool) -> list[Difference]:
    differences: list[Difference] = []
    waiting = dict(expected.batches)
    before: int | None = None
    page: list[BatchRow]
    while page := await store.batches(_PAGE, before):
        for row in page:
            wanted = waiting.pop(row.batch, None)
            if wanted is not None or not only_ours:
                differences += compare("batch", str(row.batch), wanted, asdict(row))
        before = page[-1].batch
    return differences + missing("batch", waiting)


async def _compare_quarantine(store: SqliteStoreReader, expected: Expected, *, only_ours: bool) -> list[Difference]:
    differences: list[Difference] = []
    waiting = dict(expected.quarantine)
    before: int | None = None
    page: list[QuarantineRow]
    while page := await store.quarantine(_PAGE, before):
        for row in page:
            key = (row.batch, -1 if row.index is None else row.index)
            where = f"batch {row.batch}, index {row.index}"
            if key not in waiting:
                differences += [] if only_ours else compare("quarantine", where, None, {})
                continue
            kept = await store.quarantined(row.id)
            # As text: true is not 1 here.
            wanted = {"element": json.dumps(waiting.pop(key)), "count": 1}
            found = {"element": _spelled(kept.raw if kept is not None else b""), "count": row.count}
            differences += compare("quarantine", where, wanted, found)
        before = page[-1].id
    return differences + missing("quarantine", (f"batch {batch}, index {index}" for batch, index in waiting))


def _spelled(raw: bytes) -> str:
    """A JSON value as Python writes it; what is none as it is."""
    try:
        return json.dumps(json.loads(raw))
    except ValueError:
        return raw.decode(errors="replace")


def _print(given: argparse.Namespace, truth: Truth, expected: Expected, differences: list[Difference]) -> None:
    kinds: dict[str, list[Difference]] = defaultdict(list)
    for one in differences:
        kinds[one.kind].append(one)
    shown = [one for some in kinds.values() for one in some[: given.limit]]
    summary = {
        "differences": {kind: len(some) for kind, some in kinds.items()},
        "messages": len(expected.messages),
        "batches": len(expected.batches),
        "others": expected.others,
        "posts": sum(body.posts for body in truth.bodies.values()),
        "acknowledged": sum(body.acknowledged for body in truth.bodies.values()),
        "reports": expected.counters["reports"],
        "repeats": expected.counters["repeats"],
    }
    if given.json:
        print_json({**summary, "shown": [{**asdict(one), **_masked(one)} for one in shown]})
        return
    for one in shown:
        values = _masked(one)
        expected_text, found_text = (_short(values[name]) for name in ("expected", "found"))
        print_line(f"{one.kind} {one.where}: {one.what}: expected {expected_text}, found {found_text}")
    for kind, some in kinds.items():
        if len(some) > given.limit:
            print_line(f"{kind}: {len(some) - given.limit:,} more differences")
    if differences:
        ending = "" if len(differences) == 1 else "s"
        print(f"hooklab: {len(differences):,} difference{ending} from the truth", file=sys.stderr)
        return
    others = f", and {expected.others:,} batches of others" if expected.others else ""
    print_line(
        f"as the truth says: {summary['messages']:,} messages, {summary['reports']:,} reports and"
        f" {summary['repeats']:,} repeats in {summary['batches']:,} batches{others};"
        f" {summary['acknowledged']:,} acknowledged of {summary['posts']:,} POSTs"
    )


def _masked(one: Difference) -> dict[str, Any]:
    """Both values with nothing in them that could be a phone number."""
    return {"expected": _mask(one.what, one.expected), "found": _mask(one.what, one.found)}


def _mask(what: str, value: Any) -> Any:
    if what.lower().endswith("msisdn"):
        return mask_number(str(value)) if isinstance(value, str | int) and value != "nothing" else value
    if isinstance(value, dict):
        return {name: _mask(name, one) for name, one in value.items()}
    if what == "element" and isinstance(value, str):
        return _NUMBER.sub(lambda found: mask_number(found[0]), value)
    return value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
