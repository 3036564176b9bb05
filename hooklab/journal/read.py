"""Reads a journal, also one that somebody else writes."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite

from hooklab.database import is_damaged, on_thread, open_reader, step
from hooklab.journal.base import JournalBatch, JournalDamaged, JournalUnavailable, digest_of
from hooklab.journal.packing import PACKINGS, RAW, Packer, is_whole, size_of
from hooklab.journal.schema import COLUMNS, JOURNAL

_BATCH: Final = f"SELECT sequence, {COLUMNS} FROM batches"
_OVERHEAD: Final = 512
"""Bytes that a batch takes beside its body, roughly."""


class SqliteJournalReader:
    """Reads a journal that somebody else may be writing."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Takes an open read-only connection."""
        self._connection = connection
        self._packer = Packer()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens `path` read-only; errors are those of `open_reader`."""
        return cls(await open_reader(path, JOURNAL))

    async def read(self, after: int, max_bytes: int) -> list[JournalBatch]:
        """See `Journal.read`."""
        return [self._batch_of(row) for row in await self._ask(lambda plain: _rows_after(plain, after, max_bytes))]

    async def get(self, sequence: int) -> JournalBatch | None:
        """See `Journal.get`."""
        rows = await self._fetch(f"{_BATCH} WHERE sequence = ?", (sequence,))
        return self._batch_of(rows[0]) if rows else None

    async def span(self) -> tuple[int, int]:
        """See `Journal.span`."""
        [(first, last)] = await self._fetch(
            # Two questions: SQLite looks up one of them in a statement, and scans for both.
            "SELECT (SELECT min(sequence) FROM batches), (SELECT max(sequence) FROM batches)",
            (),
        )
        return (await self.given() + 1 if first is None else first), last or 0

    async def given(self) -> int:
        """See `Journal.given`."""
        rows = await self._fetch("SELECT seq FROM sqlite_sequence WHERE name = 'batches'", ())
        return int(rows[0][0]) if rows else 0

    async def count(self, last: int) -> int:
        """How many batches are held up to sequence `last`."""
        [(count,)] = await self._fetch("SELECT count(*) FROM batches WHERE sequence <= ?", (last,))
        return int(count)

    def _batch_of(self, row: Any) -> JournalBatch:
        sequence, received_at, took_ms, peer, label, headers, malformed, digest, encoding, body = row
        damaged = not is_whole(body, digest)
        if encoding in PACKINGS:
            try:
                peer, headers, body = (
                    ("", "[]", self._packer.unpack_damaged(body, encoding))
                    if damaged
                    else self._packer.unpack(body, encoding)
                )
            except ValueError:
                peer, headers, damaged = "", "[]", True
        elif encoding != RAW:
            raise JournalUnavailable(
                f"batch {sequence} has an encoding that this hooklab does not know: {encoding}; use the newer hooklab"
            )
        return JournalBatch(
            sequence, received_at, took_ms, peer, label, headers, body, digest_of(body), bool(malformed), damaged
        )

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()

    async def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return await self._ask(lambda plain: step(plain, sql, values))

    async def _ask(self, work: Callable[[sqlite3.Connection], list[Any]]) -> list[Any]:
        try:
            return await on_thread(self._connection, work)
        except sqlite3.DatabaseError as error:
            if is_damaged(error):
                raise JournalDamaged(str(error)) from error
            raise


def _rows_after(plain: sqlite3.Connection, after: int, max_bytes: int) -> list[Any]:
    rows: list[Any] = []
    total = 0
    cursor = plain.execute(f"{_BATCH} WHERE sequence > ? ORDER BY sequence", (after,))
    for row in cursor:
        total += size_of(*row[-2:]) + _OVERHEAD
        if rows and total > max_bytes:
            break
        rows.append(row)
    cursor.close()  # or its read would go on
    return rows
