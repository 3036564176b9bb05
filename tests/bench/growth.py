"""A store that grows to millions of reports by hooklab's own projector: how its rate, and the receiver's, bear it."""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from bench.cells import say
from bench.history import History
from bench.many import size
from bench.report import Run
from bench.subjects import Bench, Cell, run_in
from hooklab.files import Folder
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projector import Projector
from hooklab.store.sqlite import SqliteStore
from hooklab.times import DAY

_WINDOWS: Final = 80
_ENDS: Final = 20
"""The first and the last of so many parts of the windows are compared."""
_AT_ONCE: Final = 500
"""Batches that are appended together: more do not fit into the queue."""
_HEADERS: Final = '[["content-type","application/json"],["user-agent","arpoone/1"]]'


class Window(Struct, frozen=True):
    """A part of the growth: so many reports were there at its end, and so many a second were projected in it."""

    rows: int
    rate: float


class Grown(Struct, frozen=True, kw_only=True):
    """What became of it."""

    reports: int
    windows: list[Window]
    store_bytes: float
    """A report, with all indexes but the text search."""
    journal_bytes: float
    problems: list[str]

    def ratio(self) -> float:
        """The rate at the end by that at the beginning, medians of some windows each."""
        some = max(len(self.windows) // _ENDS, 1)
        first, last = (median(one.rate for one in part) for part in (self.windows[:some], self.windows[-some:]))
        return last / first


def grow(folder: Folder, made: History) -> Grown:
    """Fills an empty folder. Its journal keeps no more than the last batch, as after pruning."""
    return asyncio.run(_grow(folder, made))


async def _grow(folder: Folder, made: History) -> Grown:
    folder.prepare()
    store = await SqliteStore.open(folder.store)
    windows: list[Window] = []
    journal_bytes = 0.0
    step = max(made.batches // _WINDOWS, 1)
    try:
        await store.keep_settings(stuck_after=str(DAY))
        await store.mark()
        for first in range(0, made.batches, step):
            before = made.counts["reports"]
            took = await _window(folder, store, made, min(step, made.batches - first))
            rows = made.counts["reports"] - before
            if first == 0:
                journal_bytes = size(folder.journal) / rows
            _prune(folder.journal)
            if windows and rows < windows[0].rows / 2:  # only finals are left
                continue
            windows.append(Window(made.counts["reports"], rows / took))
            if len(windows) % (_WINDOWS // 10) == 0:
                say(f"  {windows[-1].rows:>12,} reports: {windows[-1].rate:,.0f}/s")
    finally:
        await store.close()
    reports = made.counts["reports"]
    return Grown(
        reports=reports,
        windows=windows,
        store_bytes=size(folder.store) / reports,
        journal_bytes=journal_bytes,
        problems=_uncounted(folder, made),
    )


async def _window(folder: Folder, store: SqliteStore, made: History, batches: int) -> float:
    """Appends and projects the next batches; seconds of the projection."""
    journal = await SqliteJournal.open(folder.journal, JournalLimits())
    try:
        for first in range(0, batches, _AT_ONCE):
            bodies = [made.next() for _ in range(min(_AT_ONCE, batches - first))]
            await asyncio.gather(
                *(journal.append(NewBatch(at, 2, "127.0.0.1", None, _HEADERS, body, False)) for at, body in bodies)
            )
        began = time.perf_counter()
        await Projector(journal, store, assumed=UTC, max_elements=10_000).catch_up()
        return time.perf_counter() - began
    finally:
        await journal.close()


def _prune(journal: Path) -> None:
    """Leaves the last batch, so that the store is not ahead of its journal."""
    with contextlib.closing(sqlite3.connect(journal)) as plain, plain:
        plain.execute("DELETE FROM batches WHERE sequence < (SELECT max(sequence) FROM batches)")


def _uncounted(folder: Folder, made: History) -> list[str]:
    """Counters of the store that are not what was made."""
    with contextlib.closing(sqlite3.connect(folder.store)) as plain:
        [found] = plain.execute(f"SELECT {', '.join(made.counts)} FROM totals")
    return [
        f"{name} is {value}, should be {wanted}"
        for (name, wanted), value in zip(made.counts.items(), found, strict=True)
        if value != wanted
    ]


def receive_on(grown: Folder, bench: Bench, cell: Cell, seeds: Sequence[tuple[int, int]]) -> dict[str, list[Run]]:
    """Loads hooklab on the grown folder and on an empty one in turn, a pair of seeds a round.

    Where the one has no search index, the other gets none either: to fill that of millions meanwhile would be a load
    of our making.
    """
    runs: dict[str, list[Run]] = {"grown": [], "empty": []}
    indexed = grown.search.exists()
    if not indexed:
        _refuse_index(grown)
    for at, pair in enumerate(seeds):
        empty = Folder(bench.folder / f"empty-{at}")
        empty.prepare()
        if not indexed:
            _refuse_index(empty)
        both = (("grown", grown, pair[0]), ("empty", empty, pair[1]))
        for name, folder, seed in both[:: -1 if at % 2 else 1]:
            runs[name].append(run_in(folder.path, cell, bench, seed))
            say(f"  {name}: {runs[name][-1].load.rate():,.0f}/s")
        shutil.rmtree(empty.path)
    return runs


def _refuse_index(folder: Folder) -> None:
    """Puts another program's file where the index would be: the service leaves that alone, and has none."""
    with contextlib.closing(sqlite3.connect(folder.search)) as plain, plain:
        plain.execute("PRAGMA application_id = 1")
        plain.execute("CREATE TABLE another (program INTEGER)")
