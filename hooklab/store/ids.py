"""Which message has an id: a small table of the recent ones beside a large one.

Ids come in no order. In one index of millions each new one changes a page of its own, which has to be read, written
to the WAL and later to the file. So new ones go to a small table, which stays in memory, and from there in the order
of the ids to the large one, several to a page.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from hooklab.database import Statement, fetch_now, for_rows

MOST: Final = 100_000
"""Ids that are recent: some 3 MB."""
TABLES: Final = ("recent_ids", "ids")
_AT_ONCE: Final = 6_000
"""So many leave together: one in sixteen of a range of the ids, which takes SQLite tens of milliseconds."""
_LAST: Final = b"\xff" * 17
"""Beyond every id, which has 16 bytes."""


def message_of(condition: str) -> str:
    """A subquery: the messages whose `message_id` meets a condition."""
    return f"(SELECT message FROM recent_ids WHERE {condition} UNION ALL SELECT message FROM ids WHERE {condition})"


class Settling:
    """Moves ids from the small table to the large one."""

    def __init__(self) -> None:
        """Looks how many are there when it is asked first."""
        self._recent: int | None = None
        self._after = b""

    def settle(self, plain: sqlite3.Connection, new: int) -> None:
        """Moves some if there are too many, on SQLite's thread, in the transaction in which `new` have been added."""
        if self._recent is None:
            [(self._recent,)] = plain.execute("SELECT count(*) FROM recent_ids").fetchall()
        else:
            self._recent += new
        while self._recent > MOST:
            self._recent -= self._move(plain)

    def _move(self, plain: sqlite3.Connection) -> int:
        """Moves those that come next in their order; gives how many."""
        found = plain.execute(
            "SELECT message_id FROM recent_ids WHERE message_id > ? ORDER BY message_id LIMIT 1 OFFSET ?",
            (self._after, _AT_ONCE - 1),
        ).fetchall()
        last = found[0][0] if found else _LAST
        here = "FROM recent_ids WHERE message_id > ? AND message_id <= ?"
        moved = plain.execute(f"INSERT INTO ids SELECT * {here}", (self._after, last)).rowcount
        plain.execute(f"DELETE {here}", (self._after, last))
        self._after = last if found else b""
        return moved


def for_ids(ids: Sequence[tuple[bytes, int]]) -> list[Statement]:
    """What keeps the ids of new messages, each with its message."""
    return list(for_rows("INSERT INTO recent_ids", sorted(ids)))


def keys_of(plain: sqlite3.Connection, ids: Sequence[tuple[bytes]]) -> dict[bytes, int]:
    """Of the ids that are known, their messages; on SQLite's thread."""
    return {
        message_id: message
        for table in TABLES
        for message_id, message in fetch_now(
            plain, f"SELECT message_id, message FROM {table} WHERE message_id IN (", ids, ")"
        )
    }


def messages_of(plain: sqlite3.Connection, columns: str, ids: Sequence[tuple[bytes]]) -> list[Any]:
    """Of the ids that are known, `columns` of their messages; on SQLite's thread."""
    keys = [(key,) for key in sorted(keys_of(plain, ids).values())]
    return fetch_now(plain, f"SELECT {columns} FROM messages WHERE id IN (", keys, ")")
