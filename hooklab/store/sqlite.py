"""The store in SQLite, its one writing connection: how it is opened, and how a chunk goes in."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite

from hooklab.database import (
    Kind,
    Statement,
    checkpoint,
    fetch_now,
    for_rows,
    on_thread,
    open_writer,
    put_rows,
    run_as_one,
    step,
)
from hooklab.files import fsync
from hooklab.rules import unpack
from hooklab.store.base import Outdated, Prepared
from hooklab.store.compact import DESCRIPTION, FIRST_FINAL, LAST_AT, MSISDN, NEW_AT, ORGANIZATION, Texts, number_coded
from hooklab.store.fold import TOTALS, Changes, Folding, Held, HeldMessage, JudgedBatch, succeeding
from hooklab.store.ids import Settling, for_ids, messages_of
from hooklab.store.rewrite import Rewrite
from hooklab.store.writeout import WriteOut

log = logging.getLogger("hooklab.store")

STORE: Final = Kind(
    name="store",
    application_id=0x686B4C53,  # "hkLS"
    version=5,
    schema=resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"),
    # NORMAL: what a power cut takes back, the journal gives again.
    synchronous="NORMAL",
)
_CHECKPOINT_PAGES: Final = 16_000
_CACHE_KIB: Final = 48_000
"""Bodies come in no order, nor do ids: many pages of their tables change, and would be read again for each."""
_READ: Final = ", ".join(
    {
        "description": DESCRIPTION,
        "msisdn": MSISDN,
        "organization_id": ORGANIZATION,
        "new_at": NEW_AT,
        "last_at": LAST_AT,
        "first_final": FIRST_FINAL,
        # Of a thousand messages it may be gigabytes: it stays where it is, and is merged there.
        "custom_payload": "NULL",
    }.get(name, name)
    for name in HeldMessage.__struct_fields__
)
_RENAMED: Final = {"new_at": "new_after", "last_at": "last_after", "first_final": "final_before"}
_COLUMNS: Final = tuple(_RENAMED.get(name, name) for name in HeldMessage.__struct_fields__)
_MESSAGE: Final = ", ".join(_COLUMNS)
_KEPT: Final = frozenset({"id", "message_id", "first_at", "custom_payload"})
"""Columns of a message that never change, or in another way."""
# OR ROLLBACK, which is what follows anyway: to take back one statement SQLite keeps in memory all pages as they were,
# and a message with a huge payload has many.
_UPDATE_MESSAGES: Final = (
    "UPDATE OR ROLLBACK messages SET "
    + ", ".join(f"{name} = v.column{at}" for at, name in enumerate(_COLUMNS, start=1) if name not in _KEPT)
    + " FROM ("
)
# As `rules.absorb` merges it, but one at a time: an update has all that it sets in memory before it sets any.
_UPDATE_PAYLOADS: Final = "UPDATE OR ROLLBACK messages SET custom_payload = v.column2 FROM ("
_WHERE_GREATER: Final = ") AS v WHERE messages.id = v.column1 AND coalesce(messages.custom_payload < v.column2, true)"
_ID_COLUMN: Final = HeldMessage.__struct_fields__.index("id") + 1
"""Its number, which is also the place of `message_id` in a row."""
_MINUTES: Final = (
    "batches",
    "elements",
    "reports",
    "repeats",
    "quarantined",
    "delivered",
    "not_delivered",
    "pending",
    "late",
)


_BODIES: Final = (
    "SELECT digest, first, times, coalesce(last_at, (SELECT received_at FROM batches WHERE sequence = first))"
    " FROM bodies WHERE digest IN ("
)
# CROSS JOIN: the values first, each looked up; SQLite would scan for `(a, b) IN (VALUES …)`.
_REPORTS: Final = "SELECT message, digest FROM ("
_AS_V: Final = ") AS v CROSS JOIN reports ON message = v.column1 AND digest = v.column2"
_LAST_MESSAGE: Final = "SELECT coalesce(max(id), 0) FROM messages"


async def _at_once() -> None:
    """Gives way to nobody."""


class SqliteStore:
    """The owner of `store.db`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        """Use `open`."""
        self.path = path
        self.connection = connection
        self.alone = asyncio.Lock()
        """Held around a transaction: whoever writes shares this one connection."""
        self._texts: dict[str, int] | None = None
        self._generation = 0
        self._settling = Settling()
        self._write_out = WriteOut(path.with_name(f"{path.name}-wal"))

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens `path`, makes it if it is not there.

        Raises:
            DatabaseError: it is another program's, or of another version.
            sqlite3.Error: it cannot be opened.
        """
        return cls(path, await open_writer(path, STORE, checkpoint_pages=_CHECKPOINT_PAGES, cache_kib=_CACHE_KIB))

    async def checkpoint(self) -> int:
        """See `Store.checkpoint`."""
        [(sequence,)] = await self.fetch("SELECT checkpoint FROM totals")
        return int(sequence)

    async def settings(self) -> dict[str, str]:
        """See `Store.settings`."""
        return dict(await self.fetch("SELECT name, value FROM settings"))

    async def keep_settings(self, **values: str) -> None:
        """Writes settings by name, so that every command uses those in force."""
        rows = list(values.items())
        await put_rows(
            self.connection,
            "INSERT INTO settings (name, value)",
            rows,
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )

    async def mark(self) -> None:
        """Gives the store its mark, by which a search index is known to be of it, if it has none yet."""
        await self.fetch("INSERT OR IGNORE INTO settings (name, value) VALUES ('search', hex(randomblob(16)))")

    async def bodies_in_quarantine(self, reason: str) -> list[int]:
        """The batches whose whole body is in quarantine for `reason`."""
        rows = await self.fetch("SELECT id FROM quarantine WHERE reason = ?", (reason,))
        return [unpack(row)[0] for (row,) in rows]

    async def project(self, batches: Sequence[JudgedBatch], *, keep: bool = True) -> None:
        """See `Store.project`."""
        async with self.alone:
            await self._write(await self.prepare(batches), keep=keep)

    async def prepare(
        self,
        batches: Sequence[JudgedBatch],
        before: Prepared | None = None,
        give_way: Callable[[], Awaitable[None]] = _at_once,
    ) -> Prepared:
        """See `Store.prepare`."""
        generation = self._generation
        held = await self._held(batches)
        if before is not None:
            held = succeeding(before.held, before.changes, held)
        folding = Folding(held)
        for batch in batches:
            folding.add(batch)
            await give_way()
        changes = folding.finish()
        statements = []
        for statement in _all_of(changes):
            statements.append(statement)
            await give_way()
        return Prepared(batches, held, changes, statements, generation)

    async def write(self, ready: Prepared, *, keep: bool = True) -> None:
        """See `Store.write`."""
        async with self.alone:
            await self._write(ready, keep=keep)

    async def _write(self, ready: Prepared, *, keep: bool) -> None:
        if ready.generation != self._generation:
            raise Outdated
        new = len(ready.changes.new_messages)
        try:
            await run_as_one(
                self.connection, ready.statements, lambda plain: self._settling.settle(plain, new), keep=keep
            )
        except BaseException:
            self._settling = Settling()  # what it knew of was taken back
            raise
        self._write_out.add(len(ready.changes.reports))
        if keep and self._texts is not None:
            # Only now: what was prepared may never be written, and its texts must not be taken for known then.
            self._texts = {**self._texts, **ready.changes.texts.numbers()}

    async def texts(self) -> dict[str, int]:
        """The texts that are kept once, with their numbers."""
        if self._texts is not None:
            return self._texts
        generation = self._generation
        texts = {text: number for number, text in await self.fetch("SELECT id, text FROM texts")}
        if generation == self._generation:
            self._texts = texts
        return texts

    @contextlib.asynccontextmanager
    async def transaction(self, *, keep: bool = True) -> AsyncIterator[None]:
        """Takes back what was written if the block raises, or if it is not to be kept."""
        self._outdate()
        await self.fetch("BEGIN IMMEDIATE")
        try:
            yield
            await self.fetch("COMMIT" if keep else "ROLLBACK")
        except BaseException:
            if self.connection.in_transaction:
                await self.fetch("ROLLBACK")
            raise
        finally:
            self._outdate()

    def _outdate(self) -> None:
        """What was prepared may not be written any more: it does not know of what is written now."""
        self._generation += 1
        self._texts = None
        self._settling = Settling()

    async def settle_on_disk(self) -> None:
        """Moves all of the WAL into the file and fsyncs it.

        Raises:
            sqlite3.OperationalError: it could not be written; closing alone would not say so.
        """
        await checkpoint(self.connection, "TRUNCATE")
        fsync(self.path)

    async def close(self) -> None:
        """Closes the connection."""
        await self._write_out.end()
        await self.connection.close()

    async def _held(self, batches: Sequence[JudgedBatch]) -> Held:
        """What is held of what `batches` touch."""
        texts = await self.texts()
        digests = list({(batch.digest,): None for batch in batches})
        reports = {(one.report.message_id, one.report.digest): None for batch in batches for one in batch.judged}
        bodies, rows, known, last = await on_thread(self.connection, lambda plain: _look_up(plain, digests, reports))
        return Held(
            bodies={digest: (first, times, last_at) for digest, first, times, last_at in bodies},
            messages={row[_ID_COLUMN]: HeldMessage(*row) for row in rows},
            reports=known,
            next_message=last + 1,
            texts=texts,
            wanted={message_id for message_id, _ in reports},
        )

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return list(await self.connection.execute_fetchall(sql, values))


def _look_up(
    plain: sqlite3.Connection, digests: Sequence[tuple[bytes]], reports: Collection[tuple[bytes, bytes]]
) -> tuple[list[Any], list[Any], set[tuple[int, bytes]], int]:
    """The rows of bodies and messages that are held, the reports (message, digest) that are, and the last message."""
    wanted = list({(message_id,): None for message_id, _ in reports})
    rows = messages_of(plain, _READ, wanted)
    known: set[tuple[int, bytes]] = set()
    if rows:
        keys = {row[_ID_COLUMN]: row[_ID_COLUMN - 1] for row in rows}
        asked = [(keys[message_id], digest) for message_id, digest in reports if message_id in keys]
        known.update(fetch_now(plain, _REPORTS, asked, _AS_V))
    [(last,)] = step(plain, _LAST_MESSAGE, ())
    return fetch_now(plain, _BODIES, digests, ")"), rows, known, last


def _all_of(changes: Changes) -> Iterator[Statement]:
    """What writes all of a chunk."""
    yield from for_texts(changes.texts)
    yield from for_messages(changes.new_messages, changes.texts)
    yield from for_ids([(one.message_id, one.id) for one in changes.new_messages])
    old = [_row(message, changes.texts) for message in changes.old_messages.values()]
    yield from for_rows(_UPDATE_MESSAGES, old, f") AS v WHERE messages.id = v.column{_ID_COLUMN}")
    payloads = [
        (one.id, one.custom_payload) for one in changes.old_messages.values() if one.custom_payload is not None
    ]
    yield from for_rows(_UPDATE_PAYLOADS, payloads, _WHERE_GREATER)
    yield from for_rows("INSERT INTO reports", changes.reports)
    yield from for_rows("INSERT INTO repeats", changes.repeats)
    yield from for_rows("INSERT INTO batches", changes.batches)
    yield from for_rows(
        "INSERT INTO bodies",
        [
            (digest, first, times, None if times == 1 else last_at)
            for digest, (first, times, last_at) in changes.bodies.items()
        ],
        "ON CONFLICT (digest) DO UPDATE SET times = excluded.times, last_at = excluded.last_at",
    )
    yield from for_rows(
        "INSERT INTO quarantine",
        [(row_id, *row) for row_id, row in changes.quarantine.items()],
        "ON CONFLICT (id) DO UPDATE SET count = count + excluded.count",
    )
    yield from for_sums(changes.minutes, changes.totals)
    yield from for_facts(changes)
    yield "UPDATE totals SET checkpoint = ?", (changes.checkpoint,)


def for_texts(texts: Texts) -> Iterator[Statement]:
    """What keeps new texts."""
    yield from for_rows("INSERT INTO texts", texts.new)


def for_messages(messages: Sequence[HeldMessage], texts: Texts) -> Iterator[Statement]:
    """What inserts whole rows of messages."""
    yield from for_rows(f"INSERT INTO messages ({_MESSAGE})", [_row(message, texts) for message in messages])


def _row(one: HeldMessage, texts: Texts) -> tuple[Any, ...]:
    """The row of a message: its fields, but for those that compact.py writes in another way."""
    first_final, first_at, last_arrival = one.first_final, one.first_at, one.last_arrival
    return (
        one.rank,
        one.seen,
        texts.coded(one.description),
        number_coded(one.msisdn),
        texts.coded(one.organization_id),
        one.total_segments,
        one.custom_payload,
        one.pending_at,
        one.sent_at,
        one.id,
        one.message_id,
        None if first_final is None else last_arrival - first_final,
        one.reports,
        one.repeats,
        first_at,
        one.new_at - first_at,
        one.last_at - first_at,
        last_arrival,
    )


def for_sums(minutes: Mapping[int, Sequence[int]], totals: Mapping[str, int]) -> Iterator[Statement]:
    """What adds to the counters of minutes and to the totals."""
    yield from for_rows(
        "INSERT INTO minutes",
        [(minute, *added) for minute, added in minutes.items()],
        "ON CONFLICT (minute) DO UPDATE SET " + ", ".join(f"{name} = {name} + excluded.{name}" for name in _MINUTES),
    )
    sums = ", ".join(f"{name} = {name} + ?" for name in TOTALS)
    yield f"UPDATE totals SET {sums}", [totals[name] for name in TOTALS]


def for_facts(changes: Changes | Rewrite) -> Iterator[Statement]:
    """What adds to what the insights are counted from."""
    yield from for_rows("INSERT INTO names", list(changes.names.items()), "ON CONFLICT (id) DO NOTHING")
    lives = [
        (hour, organization, what, detail, count)
        for (hour, organization), facts in changes.lives.items()
        for (what, detail), count in facts.items()
        if count
    ]
    lags = [(*key, count) for key, count in changes.lags.items()]
    retries = [(*key, count) for key, count in changes.retries.items()]
    for table, key, rows in (
        ("lives", "hour, organization, what, detail", lives),
        ("lags", "hour, quarters, bucket", lags),
        ("retries", "hour, attempt, half_seconds", retries),
    ):
        yield from for_rows(
            f"INSERT INTO {table}", rows, f"ON CONFLICT ({key}) DO UPDATE SET count = count + excluded.count"
        )
    if any(count < 0 for *_, count in lives):
        # A row that stands for nobody would tell how chunks fell.
        yield "DELETE FROM lives WHERE count = 0", ()
