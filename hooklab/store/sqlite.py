"""The store in SQLite, its one writing connection: how it is opened, and how a chunk goes in."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite

from hooklab.database import (
    Kind,
    checkpoint,
    fetch_for,
    open_writer,
    put_rows,
)
from hooklab.files import fsync
from hooklab.rules import Verdict, unpack
from hooklab.store.fold import TOTALS, Changes, Held, HeldMessage, JudgedBatch, fold
from hooklab.store.rewrite import Rewrite

log = logging.getLogger("hooklab.store")

STORE: Final = Kind(
    name="store",
    application_id=0x686B4C53,  # "hkLS"
    version=3,
    schema=resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"),
    # NORMAL: what a power cut takes back, the journal gives again.
    synchronous="NORMAL",
)
_CHECKPOINT_PAGES: Final = 8_000
_PAD: Final = 64
"""Rows to a multiple of which longer lists of counts are padded."""

_MESSAGE: Final = (
    "id, message_id, rank, seen, first_final, reports, repeats, first_at, new_at, last_at, last_arrival,"
    " description, msisdn, organization_id, total_segments, custom_payload, pending_at, sent_at"
)
_MESSAGE_CHANGES: Final = (
    "rank", "seen", "first_final", "reports", "repeats", "new_at", "last_at", "last_arrival",
    "description", "msisdn", "organization_id", "total_segments", "custom_payload", "pending_at", "sent_at",
)  # fmt: skip
_UPDATE_MESSAGES: Final = (
    "UPDATE messages SET "
    + ", ".join(f"{name} = v.column{at}" for at, name in enumerate(_MESSAGE_CHANGES, start=2))
    + " FROM ("
)
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


class SqliteStore:
    """The owner of `store.db`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        """Use `open`."""
        self.path = path
        self.connection = connection
        self.alone = asyncio.Lock()
        """Held around a transaction: whoever writes shares this one connection."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens `path`, makes it if it is not there.

        Raises:
            DatabaseError: it is another program's, or of another version.
            sqlite3.Error: it cannot be opened.
        """
        return cls(path, await open_writer(path, STORE, checkpoint_pages=_CHECKPOINT_PAGES))

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
        async with self.alone, self.transaction(keep=keep):
            await self._write(fold(batches, await self._held(batches)))

    @contextlib.asynccontextmanager
    async def transaction(self, *, keep: bool = True) -> AsyncIterator[None]:
        """Takes back what was written if the block raises, or if it is not to be kept."""
        await self.fetch("BEGIN IMMEDIATE")
        try:
            yield
            await self.fetch("COMMIT" if keep else "ROLLBACK")
        except BaseException:
            if self.connection.in_transaction:
                await self.fetch("ROLLBACK")
            raise

    async def settle_on_disk(self) -> None:
        """Moves all of the WAL into the file and fsyncs it.

        Raises:
            sqlite3.OperationalError: it could not be written; closing alone would not say so.
        """
        await checkpoint(self.connection, "TRUNCATE")
        fsync(self.path)

    async def close(self) -> None:
        """Closes the connection."""
        await self.connection.close()

    async def _held(self, batches: Sequence[JudgedBatch]) -> Held:
        bodies = await fetch_for(
            self.connection,
            "SELECT digest, first, times, coalesce(last_at, (SELECT received_at FROM batches WHERE sequence = first))"
            " FROM bodies WHERE digest IN (",
            [(digest,) for digest in {batch.digest: None for batch in batches}],
            ")",
        )
        wanted = {one.report.message_id: None for batch in batches for one in batch.judged}
        rows = await fetch_for(
            self.connection,
            f"SELECT {_MESSAGE} FROM messages WHERE message_id IN (",
            [(message_id,) for message_id in wanted],
            ")",
        )
        messages = {row[1]: _held_message(row) for row in rows}
        keys = {
            (messages[one.report.message_id].id, one.report.digest): None
            for batch in batches
            for one in batch.judged
            if one.report.message_id in messages
        }
        reports = await fetch_for(
            self.connection,
            # CROSS JOIN: the values first, each looked up; SQLite would scan for `(a, b) IN (VALUES …)`.
            "SELECT message, digest FROM (",
            list(keys),
            ") AS v CROSS JOIN reports ON message = v.column1 AND digest = v.column2",
        )
        [(last,)] = await self.fetch("SELECT coalesce(max(id), 0) FROM messages")
        return Held(
            bodies={digest: (first, times, last_at) for digest, first, times, last_at in bodies},
            messages=messages,
            reports=set(reports),
            next_message=last + 1,
        )

    async def _write(self, changes: Changes) -> None:
        put, connection = put_rows, self.connection
        await self.put_messages(changes.new_messages)
        await put(
            connection,
            _UPDATE_MESSAGES,
            [_message_changes(message) for message in changes.old_messages.values()],
            ") AS v WHERE messages.id = v.column1",
        )
        await put(connection, "INSERT INTO reports", changes.reports)
        await put(connection, "INSERT INTO repeats", changes.repeats)
        await put(connection, "INSERT INTO batches", changes.batches)
        await put(
            connection,
            "INSERT INTO bodies",
            [
                (digest, first, times, None if times == 1 else last_at)
                for digest, (first, times, last_at) in changes.bodies.items()
            ],
            "ON CONFLICT (digest) DO UPDATE SET times = excluded.times, last_at = excluded.last_at",
        )
        await put(
            connection,
            "INSERT INTO quarantine",
            [(row_id, *row) for row_id, row in changes.quarantine.items()],
            "ON CONFLICT (id) DO UPDATE SET count = count + excluded.count",
        )
        await self.add_up(changes.minutes, changes.totals)
        await self.write_facts(changes)
        await self.fetch("UPDATE totals SET checkpoint = ?", (changes.checkpoint,))

    async def put_messages(self, messages: Sequence[HeldMessage]) -> None:
        """Inserts whole rows of messages."""
        rows = [_message_row(message) for message in messages]
        await put_rows(self.connection, f"INSERT INTO messages ({_MESSAGE})", rows)

    async def add_up(self, minutes: Mapping[int, Sequence[int]], totals: Mapping[str, int]) -> None:
        """Adds to the counters of minutes and to the totals."""
        await put_rows(
            self.connection,
            "INSERT INTO minutes",
            [(minute, *added) for minute, added in minutes.items()],
            "ON CONFLICT (minute) DO UPDATE SET "
            + ", ".join(f"{name} = {name} + excluded.{name}" for name in _MINUTES),
        )
        await self.fetch(
            "UPDATE totals SET " + ", ".join(f"{name} = {name} + ?" for name in TOTALS),
            [totals[name] for name in TOTALS],
        )

    async def write_facts(self, changes: Changes | Rewrite) -> None:
        """Adds to what the insights are counted from."""
        names = _padded(list(changes.names.items()), ())
        await put_rows(self.connection, "INSERT INTO names", names, "ON CONFLICT (id) DO NOTHING")
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
            tail = f"ON CONFLICT ({key}) DO UPDATE SET count = count + excluded.count"
            await put_rows(self.connection, f"INSERT INTO {table}", _padded(rows, (0,)), tail)
        if any(count < 0 for *_, count in lives):
            # A row that stands for nobody would tell how chunks fell.
            await self.fetch("DELETE FROM lives WHERE count = 0")

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return list(await self.connection.execute_fetchall(sql, values))


def _padded(rows: list[Any], nothing: tuple[int, ...]) -> list[Any]:
    """`rows` with the last one repeated, its end being `nothing`, up to a number that goes in few statements.

    A hop to SQLite's thread costs as much as a hundred rows that change nothing.
    """
    if not rows:
        return rows
    count = len(rows)
    wanted = 1 << (count - 1).bit_length() if count <= _PAD else -(-count // _PAD) * _PAD
    last = rows[-1]
    return rows + [(*last[: len(last) - len(nothing)], *nothing)] * (wanted - count)


def _held_message(row: Any) -> HeldMessage:
    (
        key,
        message_id,
        rank,
        seen,
        first_final,
        reports,
        repeats,
        first_at,
        new_at,
        last_at,
        last_arrival,
        *said,
    ) = row
    verdict = Verdict(rank, seen, *said)
    return HeldMessage(
        key, message_id, verdict, first_final, reports, repeats, first_at, new_at, last_at, last_arrival
    )


def _message_row(message: HeldMessage) -> tuple[Any, ...]:
    said = message.verdict
    return (
        message.id,
        message.message_id,
        said.rank,
        said.seen,
        message.first_final,
        message.reports,
        message.repeats,
        message.first_at,
        message.new_at,
        message.last_at,
        message.last_arrival,
        said.description,
        said.msisdn,
        said.organization_id,
        said.total_segments,
        said.custom_payload,
        said.pending_at,
        said.sent_at,
    )


def _message_changes(message: HeldMessage) -> tuple[Any, ...]:
    row = _message_row(message)
    return (row[0], *row[2:7], *row[8:])
