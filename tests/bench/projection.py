"""A journal that nobody has projected, against plain inserts of its rows (S)."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench.bodies import after, template
from bench.many import size
from hooklab.files import Folder
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projector import Projector
from hooklab.store.sqlite import SqliteStore
from hooklab.times import SECOND

_BEGIN: Final = 1_800_000_000 * SECOND
_AT_ONCE: Final = 16 * 1024 * 1024
"""Bytes that are appended together: more does not fit into the queue at once."""
_PLAIN: Final = 100_000
"""Rows of one table in a transaction of S."""
_HEADERS: Final = '[["content-type","application/json"],["user-agent","arpoone/1"]]'
_SCHEMA: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('totals', 'settings')"


class Projected(Struct, frozen=True, kw_only=True):
    """Reports a second, each a median; of one kind of batch."""

    per_batch: int
    reports: int
    hooklab: float
    plain: float
    ratios: list[float]
    """Of each round."""
    store_bytes: float
    """A report, with all indexes."""
    journal_bytes: float


def measure(place: Path, reports: int, rounds: int, kinds: Sequence[int] = (2, 1000)) -> list[Projected]:
    """Makes a journal for each kind of batch, and projects and inserts its rows in turn."""
    found = []
    for per_batch in kinds:
        journal = place / f"journal-{per_batch}"
        journal.mkdir()
        asyncio.run(_fill(Folder(journal), reports // per_batch, per_batch))
        projected: list[float] = []
        plain: list[float] = []
        for at in range(rounds):
            store, copy = place / f"store-{per_batch}-{at}.db", place / f"plain-{per_batch}-{at}.db"
            projected.append(asyncio.run(_project(Folder(journal), store)))
            plain.append(_insert(store, copy))
            print(
                f"  {per_batch} a batch, round {at + 1}: {reports / projected[-1]:,.0f} reports/s,"
                f" S {reports / plain[-1]:,.0f}",
                file=sys.stderr,
                flush=True,
            )
            bytes_a_report = size(store) / reports
            for one in (store, copy):
                _remove(one)
        found.append(
            Projected(
                per_batch=per_batch,
                reports=reports,
                hooklab=reports / statistics.median(projected),
                plain=reports / statistics.median(plain),
                ratios=[other / one for one, other in zip(projected, plain, strict=True)],
                store_bytes=bytes_a_report,
                journal_bytes=size(Folder(journal).journal) / reports,
            )
        )
        shutil.rmtree(journal)
    return found


async def _fill(folder: Folder, batches: int, per_batch: int) -> None:
    folder.prepare()
    journal = await SqliteJournal.open(folder.journal, JournalLimits())
    made = template(per_batch, 7)
    number = random.Random(per_batch).randrange(1 << 28)
    try:
        step = min(_AT_ONCE // len(made.body(number)), 256)
        for first in range(0, batches, step):
            waiting = []
            for at in range(first, min(first + step, batches)):
                body = made.body(number)
                number = after(number)
                one = NewBatch(_BEGIN + at * 1_000, 2, "127.0.0.1", None, _HEADERS, body, False)
                waiting.append(journal.append(one))
            await asyncio.gather(*waiting)
    finally:
        await journal.close()


async def _project(folder: Folder, path: Path) -> float:
    journal = await SqliteJournal.open(folder.journal, JournalLimits())
    store = await SqliteStore.open(path)
    try:
        began = time.perf_counter()
        await Projector(journal, store, assumed=UTC, max_elements=10_000).catch_up()
        return time.perf_counter() - began
    finally:
        await store.close()
        await journal.close()


def _insert(store: Path, copy: Path) -> float:
    """Seconds for what S does with the rows of a store; that they are read is not counted."""
    asyncio.run(_empty(copy))
    with contextlib.closing(sqlite3.connect(store)) as source, contextlib.closing(sqlite3.connect(copy)) as plain:
        plain.isolation_level = None
        plain.execute("PRAGMA journal_mode=WAL")
        plain.execute("PRAGMA synchronous=NORMAL")
        took = 0.0
        for rows, sql in _rows(source):
            began = time.perf_counter()
            plain.execute("BEGIN")
            plain.executemany(sql, rows)
            plain.execute("COMMIT")
            took += time.perf_counter() - began
        return took


async def _empty(path: Path) -> None:
    await (await SqliteStore.open(path)).close()


def _rows(source: sqlite3.Connection) -> Iterator[tuple[list[Any], str]]:
    for (name,) in list(source.execute(_SCHEMA)):
        cursor = source.execute(f"SELECT * FROM {name}")
        sql = f"INSERT INTO {name} VALUES ({', '.join('?' * len(cursor.description))})"
        while rows := cursor.fetchmany(_PLAIN):
            yield rows, sql


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
