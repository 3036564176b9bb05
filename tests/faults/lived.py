"""Lives of a process on a disk that keeps a record: the real journal, store and projector under a load of batches."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from lives import stream
from support import body_of, pair

from faults.recorded import Event, Record, recording
from hooklab.config import Settings
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projection import Projection
from hooklab.wire import NotAnArray, check_array

LIMITS: Final = JournalLimits(disk_reserve=0)
_CLIENTS: Final = 5


class Load(NamedTuple):
    """A record, and all that was posted meanwhile."""

    events: list[Event]
    posted: Counter[bytes]


class Life(NamedTuple):
    """What a process does from its start to its end, in one folder with those before it.

    Attributes:
        posts: how many batches it is sent.
        killed_after: so many events; otherwise it ends well.
        before: the kill waits for this operation (`sync NAME`).
    """

    posts: int
    killed_after: int | None = None
    before: str = ""


def some_lives(chance: random.Random) -> list[Life]:
    """Most are killed, many of them just before a commit's fsync; some are sent nothing."""
    return [
        Life(
            chance.choice((0, 180, 180)),
            chance.randrange(1500) if chance.random() < 0.7 else None,
            chance.choice(("", "sync journal.db-wal")),
        )
        for _ in range(6)
    ]


async def record_load(place: Path, seed: str, lives: Sequence[Life] = (), **disk: Any) -> Load:
    """The lives of a process in one folder, under a load of batches.

    Args:
        place: an empty folder.
        seed: of the load, and of the lives if none are given.
        lives: one after another.
        disk: goes to `Record`.
    """
    chance = random.Random(seed)
    folder = place / "0"
    folder.mkdir()
    record = Record(folder, **disk)
    posted: Counter[bytes] = Counter()
    bodies = _bodies(chance)
    with recording(record), _small_thresholds():
        for number, life in enumerate(lives or some_lives(chance), start=1):
            if life.killed_after is not None:
                record.kill_after(life.killed_after, place / str(number), life.before)
            await _live(record, life.posts, bodies, posted, chance)
            record.spare()
    return Load(record.events, posted)


@contextlib.contextmanager
def _small_thresholds() -> Iterator[None]:
    """Checkpoints every few commits, so that they and fresh starts of the WAL belong to every record."""
    with (
        mock.patch("hooklab.journal.sqlite._CHECKPOINT_BYTES", 40 * 1024),
        mock.patch("hooklab.store.sqlite._CHECKPOINT_PAGES", 12),
        mock.patch("hooklab.projector._GATHER_SECONDS", 0.002),
        mock.patch("hooklab.projector._CHUNK_ELEMENTS", 10),
        mock.patch("hooklab.pace._ANSWERS_SECONDS", 0.0),
    ):
        yield


def _bodies(chance: random.Random) -> Iterator[tuple[str | None, bytes]]:
    for post in stream(chance, 1_795_000_000.0, busy=3):
        yield post.label, post.body
        if chance.random() < 0.03:  # several pages long
            yield None, body_of([one for _ in range(chance.randrange(10, 100)) for one in pair(chance)])


async def _live(
    record: Record,
    posts: int,
    bodies: Iterator[tuple[str | None, bytes]],
    posted: Counter[bytes],
    chance: random.Random,
) -> None:
    """A life of the process, which ends when enough was posted or when it is killed."""
    folder = record.folder
    journal = await SqliteJournal.open(folder / "journal.db", LIMITS)
    await journal._writer.execute_fetchall(f"PRAGMA journal_size_limit={64 * 1024}")
    projection = await Projection.open(folder / "store.db", journal, Settings())
    projecting = asyncio.create_task(projection.run())
    left = iter(range(posts))

    async def client() -> None:
        for _ in left:
            if record.folder != folder:
                return
            label, body = next(bodies)
            posted[body] += 1
            await journal.append(batch_of(body, label))
            record.acknowledge(folder, body)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.uniform(0, 0.01))

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    projection.finish(10 if chance.random() < 0.7 else 0)
    await projecting
    await projection.close()
    await journal.close()


def batch_of(body: bytes, label: str | None = None) -> NewBatch:
    return NewBatch(
        received_at=time.time_ns() // 1000,
        took_ms=1,
        peer="192.0.2.7",
        label=label,
        headers="[]",
        body=body,
        malformed=_is_malformed(body),
    )


def _is_malformed(body: bytes) -> bool:
    try:
        check_array(body)
    except NotAnArray:
        return True
    return False
