"""What the quarantine's retry reads and writes in the SQLite store, on its one writing connection."""

from collections.abc import Sequence

from msgspec import Struct

from hooklab.database import fetch_for, on_thread, put_rows, run
from hooklab.rules import WHOLE_BODY, pack, unpack
from hooklab.store.fold import BodyRow
from hooklab.store.ids import TABLES, for_ids, keys_of
from hooklab.store.rewrite import Rewrite
from hooklab.store.sqlite import SqliteStore, for_facts, for_messages, for_sums, for_texts


class InQuarantine(Struct, frozen=True):
    """One row of the quarantine, without its bytes."""

    id: int
    reason: str
    elements: int
    count: int


class SqliteHealing:
    """The store as the retry needs it. All calls want `SqliteStore.alone` held."""

    def __init__(self, store: SqliteStore) -> None:
        """Works on the writer of `store`."""
        self._store = store

    async def next_batch(self, after: int) -> int | None:
        """The first batch after `after` that has something in quarantine."""
        [(row_id,)] = await self._store.fetch(
            "SELECT min(id) FROM quarantine WHERE id > ?", (pack(after, WHOLE_BODY),)
        )
        return None if row_id is None else unpack(row_id)[0]

    async def in_quarantine(self, batch: int) -> list[InQuarantine]:
        """What of one batch is in quarantine, in order."""
        rows = await self._store.fetch(
            "SELECT id, reason, elements, count FROM quarantine WHERE id BETWEEN ? AND ? ORDER BY id",
            (pack(batch, 0), pack(batch, WHOLE_BODY)),
        )
        return [InQuarantine(*row) for row in rows]

    async def same_body(self, first: int) -> list[int]:
        """The batches with the body of batch `first`, itself included, in order."""
        rows = await self._store.fetch(
            "SELECT sequence FROM batches WHERE sequence = ? OR retry_of = ? ORDER BY sequence", (first, first)
        )
        return [sequence for (sequence,) in rows]

    async def attempts(self, batches: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Of each batch the first one with its body, and which attempt it is."""
        rows = await fetch_for(
            self._store.connection,
            "SELECT sequence, coalesce(retry_of, sequence), attempt FROM batches WHERE sequence IN (",
            [(sequence,) for sequence in batches],
            ")",
        )
        return {sequence: (first, attempt) for sequence, first, attempt in rows}

    async def arrivals(self, message_ids: Sequence[bytes]) -> tuple[dict[bytes, int], list[int], int]:
        """Of the messages that are held their keys, all their arrivals, and the key that the next new one gets."""
        asked = [(message_id,) for message_id in message_ids]
        keys = await on_thread(self._store.connection, lambda plain: keys_of(plain, asked))
        found: list[int] = []
        for table in ("reports", "repeats"):
            rows = await fetch_for(
                self._store.connection,
                f"SELECT arrival FROM {table} WHERE message IN (",
                [(key,) for key in keys.values()],
                ")",
            )
            found += [arrival for (arrival,) in rows]
        [(last,)] = await self._store.fetch("SELECT coalesce(max(id), 0) FROM messages")
        return keys, sorted(found), last + 1

    async def texts(self) -> dict[str, int]:
        """The texts that are kept once, with their numbers."""
        return await self._store.texts()

    async def name_reason(self, row_id: int, reason: str) -> None:
        """Gives another reason to what stays."""
        await self._store.fetch("UPDATE quarantine SET reason = ? WHERE id = ?", (reason, row_id))

    async def apply(self, changes: Rewrite) -> None:
        """Writes all of it in one transaction; nothing if it raises."""
        async with self._store.transaction():
            await self._write(changes)

    async def _write(self, changes: Rewrite) -> None:
        connection = self._store.connection
        # Messages change that had no new arrival: a search index of before must not be believed (search.py).
        await self._store.fetch("UPDATE settings SET value = hex(randomblob(16)) WHERE name = 'search'")
        touched = [(message.id,) for message in changes.messages]
        for table in ("reports", "repeats"):
            await put_rows(connection, f"DELETE FROM {table} WHERE message IN (", touched, ")")
        await put_rows(connection, "DELETE FROM messages WHERE id IN (", touched, ")")
        ids = [(message.message_id,) for message in changes.messages]
        for table in TABLES:
            await put_rows(connection, f"DELETE FROM {table} WHERE message_id IN (", ids, ")")
        await put_rows(connection, "DELETE FROM quarantine WHERE id IN (", [(row,) for row in changes.gone], ")")
        await run(
            connection,
            [
                *for_texts(changes.texts),
                *for_messages(changes.messages, changes.texts),
                *for_ids([(one.message_id, one.id) for one in changes.messages]),
            ],
        )
        await put_rows(connection, "INSERT INTO reports", changes.reports)
        await put_rows(connection, "INSERT INTO repeats", changes.repeats)
        await put_rows(
            connection,
            "INSERT OR REPLACE INTO quarantine",
            [(row_id, *row) for row_id, row in changes.quarantine.items()],
        )
        await put_rows(
            connection,
            "UPDATE batches SET elements = elements + v.column2, new = new + v.column3,"
            " repeats = repeats + v.column4, quarantined = quarantined + v.column5 FROM (",
            changes.batches,
            ") AS v WHERE batches.sequence = v.column1",
        )
        await run(connection, [*for_sums(changes.minutes, changes.totals), *for_facts(changes)])
        for key in [key for key, by in changes.lags.items() if by < 0]:  # a row that counts nothing is none
            await self._store.fetch(
                "DELETE FROM lags WHERE hour = ? AND quarters = ? AND bucket = ? AND count = 0", key
            )


def bodies_before(attempts: dict[int, tuple[int, int]], digests: Sequence[tuple[int, bytes]]) -> dict[bytes, BodyRow]:
    """Of each body (sequence, digest; in order) how often it came before the first of these batches, if it did.

    When it came last is left out: what these batches say of retries stays as it is.
    """
    before: dict[bytes, BodyRow] = {}
    seen: set[bytes] = set()
    for sequence, digest in digests:
        first, attempt = attempts[sequence]
        if digest not in seen and attempt > 1:
            before[digest] = (first, attempt - 1, None)
        seen.add(digest)
    return before
