"""What waits for its commit, and how a group of it goes in."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from hooklab.journal.base import JournalUnavailable, NewBatch
from hooklab.journal.packing import PACKED, Packer, seal_of
from hooklab.journal.schema import COLUMNS

OVERHEAD: Final = 512
"""Bytes that a batch takes beside its body, roughly."""
_SMALL: Final = 8 * 1024


class Waiting:
    """One batch in the queue and the answer that waits for it.

    Attributes:
        frame: it packed; None while that is left to SQLite's thread.
        size: bytes that it holds in memory.
        since: when it came, by the loop's time.
    """

    __slots__ = ("batch", "done", "frame", "since", "size")

    def __init__(self, batch: NewBatch, done: "asyncio.Future[None]", since: float, packer: Packer) -> None:
        """Packs it if it is small; a large one takes longer to pack than to get to SQLite's thread."""
        self.batch = batch
        self.done = done
        self.size = len(batch.body) + OVERHEAD
        self.since = since
        self.frame: bytes | None = None
        if len(batch.body) < _SMALL:
            self.frame = packer.pack(batch.peer, batch.headers, batch.body)

    def written(self) -> int:
        """Bytes that it took on the disk, roughly, once it is there."""
        return OVERHEAD + len(self.frame or b"")

    def fail(self, why: str) -> None:
        """Has `JournalUnavailable` raised where the answer waits."""
        if not self.done.done():
            self.done.set_exception(JournalUnavailable(why))


def insert(plain: sqlite3.Connection, group: Sequence[Waiting], packer: Packer) -> int:
    """Writes a group in one statement, on SQLite's thread, whose `packer` it is; gives the last sequence."""
    values: list[Any] = []
    for waiting in group:
        one = waiting.batch
        frame = waiting.frame
        if frame is None:
            frame = waiting.frame = packer.pack(one.peer, one.headers, one.body)
        values += (one.received_at, one.took_ms, "", one.label, "", one.malformed, seal_of(frame), PACKED, frame)
    last = plain.execute(_insertion(len(group)), values).lastrowid
    assert last is not None
    return last


@lru_cache(maxsize=512)
def _insertion(rows: int) -> str:
    marks = ",".join(["(?,?,?,?,?,?,?,?,?)"] * rows)
    return f"INSERT INTO batches ({COLUMNS}) VALUES {marks}"
