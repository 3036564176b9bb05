"""A data folder with millions of reports, made row by row and as the projector would leave it, from a seed.

Two reports a message, 50 a batch, spread over 30 days up to `END`: PENDING, and in one of the next batches how it
ended, but for few that still wait. The journal is empty: no service is to be started on it.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hooklab.files import Folder
from hooklab.indexer import Indexer
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.rules import LATE, REPEATED, SEEN_DELIVERED, SEEN_NOT_DELIVERED, SEEN_PENDING, pack, rank_of
from hooklab.store.sqlite import SqliteStore
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.wire import DELIVERED, NOT_DELIVERED, PENDING

END: Final = 1_800_000_000 * SECOND
SPAN: Final = 30 * DAY
SEED: Final = 6
_HALF: Final = 25
"""New messages in a batch, and as many that end."""
_LATER: Final = 3
"""Batches from a message's first report to its last."""
_AT_ONCE: Final = 5_000
ORGANIZATIONS: Final = [f"{number:08x}-52a4-4c43-9d8e-0c9a53d1b7aa" for number in (0x6F1A3C1E, 0x7B, 0xC0FFEE, 0xA9)]
RARE: Final = "0dd00000-52a4-4c43-9d8e-0c9a53d1b7aa"
"""An organization of which some 50 messages are long gone."""
WHY: Final = ("Absent subscriber", "Number unassigned", "Rejected by operator")


def order_of(message: int) -> int:
    """The order number of a message: each once, in no order."""
    return message * 7_368_787 % 9_999_991


def number_of(message: int) -> str:
    """The phone number of a message; some have the same."""
    return f"3519{message * 48_271 % 99_999_989:08d}"


class Made:
    """What is in the folder: how many messages, and ids to look for."""

    def __init__(self, messages: int, *, end: int = END, later: int = _LATER) -> None:
        """Of so many messages, the last of their batches received at `end` and `later` ones than the last new."""
        self.messages = messages
        self.end = end
        self.batches = -(-messages // _HALF) + later
        self.ids: dict[int, bytes] = {}

    def received_at(self, batch: int) -> int:
        """When a batch was received, microseconds UTC."""
        return self.end - SPAN + SPAN * batch // self.batches


def make(folder: Folder, reports: int, say: Callable[[str], None]) -> Made:
    """Fills an empty folder."""
    made = Made(reports // 2)
    folder.prepare()
    asyncio.run(_make_files(folder))
    plain = sqlite3.connect(folder.store, isolation_level=None)
    try:
        plain.execute("PRAGMA synchronous=OFF")
        plain.execute("PRAGMA cache_size=-400000")
        indexes = plain.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'messages'")
        later = [(name, sql) for name, sql in indexes if sql is not None]
        for name, _ in later:
            plain.execute(f"DROP INDEX {name}")
        _fill(plain, made, say)
        for name, sql in later:
            say(f"index {name}")
            plain.execute(sql)
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        plain.close()
    return made


async def _make_files(folder: Folder) -> None:
    await (await SqliteJournal.open(folder.journal, JournalLimits())).close()
    store = await SqliteStore.open(folder.store)
    await store.keep_settings(stuck_after=str(DAY))
    await store.mark()
    await store.close()


def _fill(plain: sqlite3.Connection, made: Made, say: Callable[[str], None]) -> None:
    chance = random.Random(SEED)
    counts = {"delivered": 0, "not_delivered": 0, "late": 0, "repeats": 0}
    for first in range(0, made.messages, _AT_ONCE):
        messages: list[tuple[Any, ...]] = []
        reports: list[tuple[Any, ...]] = []
        repeats: list[tuple[Any, ...]] = []
        for message in range(first, min(first + _AT_ONCE, made.messages)):
            row, its_reports, its_repeats = _message(made, message, chance, counts)
            messages.append(row)
            reports += its_reports
            repeats += its_repeats
        plain.execute("BEGIN")
        plain.executemany(f"INSERT INTO messages VALUES ({','.join('?' * 18)})", messages)
        plain.executemany("INSERT INTO reports VALUES (?, ?, ?, ?, NULL, ?, NULL)", reports)
        plain.executemany("INSERT INTO repeats VALUES (?, ?, ?, 0)", repeats)
        plain.execute("COMMIT")
        if first % 500_000 == 0:
            say(f"{first:,} messages")
    plain.execute("BEGIN")
    plain.executemany(
        "INSERT INTO batches VALUES (?, ?, '127.0.0.1', NULL, 9000, 50, 50, 0, 0, NULL, 1)", _batches(made)
    )
    minute = END // MINUTE
    for at in range(24 * HOUR // MINUTE):
        plain.execute("INSERT INTO minutes VALUES (?, 2, 100, 100, 0, 0, 46, 4, 50, 0)", (minute - at,))
    plain.execute(
        "UPDATE totals SET checkpoint = ?, batches = ?, elements = ?, reports = ?, repeats = ?, duplicates = ?,"
        " messages = ?, delivered = ?, not_delivered = ?, late = ?",
        (
            made.batches,
            made.batches,
            2 * made.messages + counts["repeats"],
            2 * made.messages,
            counts["repeats"],
            counts["repeats"],
            made.messages,
            counts["delivered"],
            counts["not_delivered"],
            counts["late"],
        ),
    )
    plain.execute("COMMIT")


def _batches(made: Made) -> Iterator[tuple[int, int]]:
    return ((batch, made.received_at(batch)) for batch in range(1, made.batches + 1))


def _message(
    made: Made, message: int, chance: random.Random, counts: dict[str, int]
) -> tuple[tuple[Any, ...], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    batch, place = divmod(message, _HALF)
    began, ends = pack(batch + 1, place), pack(batch + 1 + _LATER, _HALF + place)
    first_at, last_at = made.received_at(batch + 1), made.received_at(batch + 1 + _LATER)
    key = chance.getrandbits(128).to_bytes(16)
    if message % (made.messages // 40 or 1) == 7:
        made.ids[message] = key
    luck = chance.random()
    waits, fails = luck < 0.0005, luck > 0.93
    status = PENDING if waits else NOT_DELIVERED if fails else DELIVERED
    seen = SEEN_PENDING | {PENDING: 0, DELIVERED: SEEN_DELIVERED, NOT_DELIVERED: SEEN_NOT_DELIVERED}[status]
    late, again = not waits and 0.5 < luck < 0.501, 0.6 < luck < 0.61
    seen |= (LATE if late else 0) | (REPEATED if again else 0)
    why = "Accepted by operator" if waits else chance.choice(WHY) if fails else "Delivered to handset"
    org = RARE if message < 500_000 and message % 10_000 == 3 else ORGANIZATIONS[message % 7 % 4]
    kind = "winter-sale" if message % 50_000 == 11 else "confirmation"
    payload = f'{{"order":"A-{order_of(message)}","kind":"{kind}"}}'
    counts["delivered"] += status == DELIVERED
    counts["not_delivered"] += status == NOT_DELIVERED
    counts["late"] += late
    counts["repeats"] += again
    digest = key[:8] * 2
    rank = rank_of(status, last_at - SECOND)
    last = (first_at, first_at, began) if waits and not again else (last_at, last_at, ends)
    row = (
        *(message + 1, key, rank, seen, None if waits else ends, 1 if waits else 2, int(again), first_at, *last),
        *(why, number_of(message), org, 1, payload, first_at - SECOND, None),
    )
    reports: list[tuple[Any, ...]] = [(message + 1, digest, began, PENDING, None)]
    if not waits:
        reports.append((message + 1, digest[::-1] + b"\1", ends, status, why))
    return row, reports, [(message + 1, ends + 100, digest)] if again else []


class _Idle:
    idle, reached = True, 1

    def check(self) -> None:
        """Nobody looks it over."""


async def fill_index(folder: Folder, most: int, say: Callable[[str], None]) -> int:
    """Indexes as the service does, without its rests; gives how many messages."""
    indexer = Indexer(folder, _Idle(), 0)
    blocks = 0
    try:
        while blocks * 1_000 < most and await indexer.fill_block():
            blocks += 1
            if blocks % 500 == 0:
                say(f"{blocks * 1_000:,} indexed")
    finally:
        await indexer.close()
    return blocks * 1_000


def size(path: Path) -> int:
    """Bytes of a file of SQLite's and its WAL."""
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
