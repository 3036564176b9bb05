"""Gathers the facts about both files, and leaves no trace of it."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiosqlite
from msgspec.structs import replace

from hooklab.database import is_bereft
from hooklab.health.base import MIB
from hooklab.health.databases import Bodies, Journaled, Sample, Stored
from hooklab.health.reading import (
    Alone,
    Checked,
    Disturbed,
    Unreadable,
    check,
    steadily,
    unreadable,
    untouched,
    wal_size,
)
from hooklab.insights import insights
from hooklab.journal.base import JournalError
from hooklab.journal.read import SqliteJournalReader
from hooklab.journal.schema import JOURNAL
from hooklab.store.read import SqliteStoreReader
from hooklab.store.sqlite import STORE
from hooklab.times import DAY, HOUR, MINUTE, Clock

_READ_BYTES: Final = 4 * MIB

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""


async def look_at_journal(
    path: Path, alone: Alone, *, full: bool, within: float | None, disturbed: Disturbed
) -> Journaled:
    """The facts; whatever is wrong with the file is one of them."""

    async def look(is_alone: bool) -> Journaled:
        found = Journaled(size=_size_of(path), wal=wal_size(path), bereft=is_bereft(path))
        try:
            async with untouched(path, JOURNAL, alone=is_alone) as connection:
                reader = SqliteJournalReader(connection)
                first, last = await reader.span()
                last = last or await reader.given()
                [(oldest, newest)] = await connection.execute_fetchall(
                    "SELECT (SELECT received_at FROM batches ORDER BY sequence LIMIT 1),"
                    " (SELECT received_at FROM batches ORDER BY sequence DESC LIMIT 1)"
                )
                found = replace(found, first=first, last=last, oldest=oldest, newest=newest)
                return replace(found, checked=await _check(connection, full, within, disturbed))
        except Unreadable as error:
            return replace(found, state=error.state, why=error.why)

    return await steadily(path, alone, look)


async def look_at_store(
    path: Path, clock: Clock, alone: Alone, *, full: bool, within: float | None, disturbed: Disturbed
) -> Stored:
    """The facts; whatever is wrong with the file is one of them."""

    async def look(is_alone: bool) -> Stored:
        found = Stored(size=_size_of(path), wal=wal_size(path))
        try:
            async with untouched(path, STORE, alone=is_alone) as connection:
                [(checkpoint,)] = await connection.execute_fetchall("SELECT checkpoint FROM totals")
                found = replace(found, checkpoint=checkpoint)
                found = await _with_last_day(found, connection, clock)
                return replace(found, checked=await _check(connection, full, within, disturbed))
        except Unreadable as error:
            return replace(found, state=error.state, why=error.why)

    return await steadily(path, alone, look)


async def _with_last_day(found: Stored, connection: aiosqlite.Connection, clock: Clock) -> Stored:
    now = clock()
    [(first, recent)] = await connection.execute_fetchall(
        "SELECT (SELECT min(minute) FROM minutes), (SELECT coalesce(sum(batches), 0) FROM minutes WHERE minute >= ?)",
        ((now - DAY) // MINUTE,),
    )
    hour = (now - DAY) // HOUR * HOUR
    measured = await SqliteStoreReader(connection, clock).measure(hour, None)
    lag = insights(measured, since=hour, until=now, organization=None).provider.lag
    covered = 0 if first is None else now - max(first * MINUTE, now - DAY)
    return replace(found, recent=recent, covered=covered, lag=lag)


async def _check(connection: aiosqlite.Connection, full: bool, within: float | None, disturbed: Disturbed) -> Checked:
    try:
        return await check(connection, full=full, within=within, disturbed=disturbed)
    except sqlite3.Error as error:
        found = unreadable(error)
        if found.state != "damaged":
            raise
        return Checked([found.why], 0.0)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


async def look_at_bodies(path: Path, alone: Alone, progress: Progress) -> Bodies:
    """Reads every batch, a few at a time, and compares its body with its digest."""

    async def look(is_alone: bool) -> Bodies:
        found = Bodies()
        try:
            async with untouched(path, JOURNAL, alone=is_alone) as connection:
                async for found in _bodies(SqliteJournalReader(connection)):
                    progress("bodies of the journal", found.done, found.whole)
        except (Unreadable, JournalError) as error:
            why = error.why or error.state if isinstance(error, Unreadable) else str(error)
            return replace(found, why=f"after batch {found.last:,}: {why}")
        return found

    return await steadily(path, alone, look)


async def _bodies(reader: SqliteJournalReader) -> AsyncIterator[Bodies]:
    """What is found so far, again and again."""
    first, last = await reader.span()
    found = Bodies(last=first - 1, whole=last - first + 1)
    while found.last < last and (read := await reader.read(found.last, _READ_BYTES)):
        wrong = [one.sequence for one in read if one.damaged]
        found = replace(
            found,
            batches=found.batches + len(read),
            wrong=[*found.wrong, *wrong],
            last=read[-1].sequence,
            done=read[-1].sequence - first + 1,
        )
        yield found


async def look_at_lag(journal: Path, store: Path, clock: Clock, alone: Alone) -> Sample | None:
    """How far both are now; None where one cannot be read."""
    try:
        # The journal first: the other way round the store could seem to be ahead.
        is_alone = await alone()
        async with untouched(journal, JOURNAL, alone=is_alone) as connection:
            _, last = await SqliteJournalReader(connection).span()
        async with untouched(store, STORE, alone=is_alone) as connection:
            [(checkpoint,)] = await connection.execute_fetchall("SELECT checkpoint FROM totals")
    except Unreadable:
        return None
    return Sample(clock(), last, checkpoint)
