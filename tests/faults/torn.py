"""The power fails at any moment: the disk drops or tears whatever hooklab's own statements had not synced.

The real journal, store and projector run on a VFS that records what they ask of the disk; `Platter` makes of it what
a disk may hold after a power cut, and that is opened again.
"""

import asyncio
import contextlib
import logging
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from support import body_of, pair, unpacking
from test_projector import rows_of

from faults.lived import LIMITS, Load, batch_of, record_load
from faults.platter import Platter
from faults.stage import Figures
from hooklab.config import Settings
from hooklab.database import DatabaseError, Kind
from hooklab.journal.schema import JOURNAL
from hooklab.journal.sqlite import SqliteJournal
from hooklab.projection import Projection

CUTS_A_RECORD: Final = 200
_MAKING: Final = 60
"""Events in which the files are made, roughly."""
_AFTER: Final = body_of(pair(random.Random("after the cut")))


class Cut(NamedTuple):
    """A power cut.

    Attributes:
        folder: what the disk held; the caller's until the next cut is asked for.
        acknowledged: until then.
        posted: all the while.
        moment: after which event it was, for a message.
    """

    folder: Path
    acknowledged: Counter[bytes]
    posted: Counter[bytes]
    moment: str


def cuts(load: Load, place: Path, number: int, seed: str, *, near_end: int | None = None) -> Iterator[Cut]:
    """So many power cuts at random moments of a record, or of its last `near_end` events."""
    chance = random.Random(seed)
    size = len(load.events)
    if near_end is None:
        # One in ten while the files are made: those are few of all moments, and the likeliest to be forgotten.
        moments = Counter(1 + chance.randrange(_MAKING if chance.random() < 0.1 else size) for _ in range(number))
    else:
        moments = Counter(size - chance.randrange(near_end) for _ in range(number))
    platter = Platter()
    acknowledged: Counter[bytes] = Counter()
    for at, event in enumerate(load.events, start=1):
        if event.what == "acknowledged":
            acknowledged[event.data] += 1
        else:
            platter.take(event)
        for _ in range(moments[at]):
            folder = place / "cut"
            platter.cut(folder, chance)
            yield Cut(folder, acknowledged, load.posted, f"event {at}, {event.what} {event.name}")
            shutil.rmtree(folder)


class Found(NamedTuple):
    """What a disk held after a power cut.

    Attributes:
        lost: batches that had been acknowledged and are not in the journal.
        sound: whether SQLite finds nothing wrong with the store.
    """

    lost: int
    sound: bool


def examine(cut: Cut) -> Found:
    """Looks at a disk with plain SQLite.

    Raises:
        AssertionError, sqlite3.DatabaseError: more is broken than a batch that is lost or a store to be rebuilt.
    """
    last, bodies = read_journal(cut.folder / "journal.db")
    kept = Counter(bodies)
    assert kept <= cut.posted, "the journal holds what nobody posted"
    return Found((cut.acknowledged - kept).total(), is_sound(cut.folder / "store.db", last))


def read_journal(path: Path) -> tuple[int, list[bytes]]:
    if not path.exists():
        return 0, []
    with _plain(path) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the journal is damaged"
        if not journal.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return 0, []
        rows = (
            unpacking(journal)
            .execute("SELECT sequence, body_of(encoding, body), body, digest FROM batches ORDER BY sequence")
            .fetchall()
        )
        [(given,)] = journal.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")
    sequences = [sequence for sequence, _, _, _ in rows]
    assert sequences == sorted(set(sequences)), "a sequence is there twice"
    assert not sequences or sequences[-1] <= given, "a sequence could be given again"
    assert all(blake2b(stored, digest_size=16).digest()[: len(digest)] == digest for _, _, stored, digest in rows)
    return given, [body for _, body, _, _ in rows]


def _plain(path: Path) -> "contextlib.closing[sqlite3.Connection]":
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")  # nobody wants this disk to last
    return contextlib.closing(connection)


def is_sound(path: Path, journal_last: int) -> bool:
    if not path.exists():
        return True
    try:
        with _plain(path) as store:
            if store.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return False
            if not store.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return True
            [(checkpoint,)] = store.execute("SELECT checkpoint FROM totals")
    except sqlite3.DatabaseError:
        return False
    assert checkpoint <= journal_last, "the store is ahead of the journal"
    return True


async def go_on(cut: Cut) -> bool:
    """Starts hooklab there, has it take one more batch and catch up; its store must be as if projected anew.

    Says whether it put a file aside.
    """
    folder = cut.folder
    path = folder / "journal.db"
    journal = await SqliteJournal.open(path, LIMITS)
    try:
        await journal.append(batch_of(_AFTER))
        for name in ("store.db", "fresh.db"):
            projection = await Projection.open(folder / name, journal, Settings())
            try:
                projection.finish(60)
                await projection.run()
            finally:
                await projection.close()
    finally:
        await journal.close()
    found, fresh = rows_of(folder / "store.db"), rows_of(folder / "fresh.db")
    assert found == fresh, "the store is not what the journal says"
    last, bodies = read_journal(path)
    assert bodies[-1] == _AFTER
    assert cut.acknowledged <= Counter(bodies[:-1]) <= cut.posted, "hooklab lost or made something at its start"
    assert found["totals"][0][1] == last, "not all was projected"
    return any(folder.glob("*.aside-*"))


def judge(load: Load, place: Path, number: int, seed: str, *, every: int) -> Figures:
    """Cuts the power so often; nothing may be lost. Goes on with hooklab on one disk of `every`, and on odd ones.

    Raises:
        AssertionError: a promise is broken.
    """
    figures: Counter[str] = Counter()
    for at, cut in enumerate(cuts(load, place, number, seed)):
        copy = cut.folder.with_name("again")
        shutil.copytree(cut.folder, copy)
        try:
            found = examine(cut)
            assert not found.lost, f"{found.lost} acknowledged batches are lost"
            if at % every == 0 or not found.sound or _is_odd(copy):
                figures["put_aside"] += asyncio.run(go_on(cut._replace(folder=copy)))
                figures["went_on"] += 1
        except (AssertionError, sqlite3.Error, DatabaseError) as error:
            raise AssertionError(f"power cut after {cut.moment}: {type(error).__name__}: {error}") from error
        shutil.rmtree(copy)
        figures["cuts"] += 1
        figures["unsound_stores"] += not found.sound
    return dict(figures)


def _is_odd(folder: Path) -> bool:
    """Whether a file has bytes, but not those that a SQLite file begins with."""
    heads = [path.read_bytes()[:6] for path in folder.glob("*.db")]
    return any(head not in {b"", b"SQLite"} for head in heads)


def broken_in(load: Load, place: Path, number: int, seed: str, *, near_end: int | None = None) -> int:
    """Of so many power cuts, those after which a promise is broken: mostly something acknowledged is lost."""
    losing = 0
    for cut in cuts(load, place, number, seed, near_end=near_end):
        try:
            losing += bool(examine(cut).lost)
        except (AssertionError, sqlite3.DatabaseError):
            losing += 1
    return losing


def with_synchronous(how: str) -> Any:
    """Within it, the journal is opened with another `PRAGMA synchronous`."""
    kind = Kind(JOURNAL.name, JOURNAL.application_id, JOURNAL.version, JOURNAL.schema, how)
    return mock.patch("hooklab.journal.opening.JOURNAL", kind)


def run(place: Path, *, cuts: int = 5_000, every: int = 1, seed: str = "torn") -> Figures:
    """Cuts the power `cuts` times, over fresh records; then the same without the journal's fsync, which must lose."""
    logging.disable(logging.CRITICAL)  # every start after a torn write would say so
    try:
        return _run(place, cuts, every, seed)
    finally:
        logging.disable(logging.NOTSET)


def _run(place: Path, cuts: int, every: int, seed: str) -> Figures:
    totals: Counter[str] = Counter()
    for number in range(-(-cuts // CUTS_A_RECORD)):
        name = f"{seed}{number}"
        with _folder(place, name) as folder:
            load = asyncio.run(record_load(folder, name))
            totals["records"] += 1
            totals["events"] += len(load.events)
            totals["acknowledged"] += sum(event.what == "acknowledged" for event in load.events)
            totals["journal_checkpoints"] += _checkpoints(load, "journal.db")
            totals["store_checkpoints"] += _checkpoints(load, "store.db")
            totals.update(judge(load, folder, min(CUTS_A_RECORD, cuts - totals["cuts"]), name, every=every))
    with _folder(place, "normal") as folder:
        with with_synchronous("NORMAL"):
            load = asyncio.run(record_load(folder, seed))
        losing = broken_in(load, folder, CUTS_A_RECORD, seed)
    assert losing, "without an fsync for each commit nothing was lost: this campaign would not notice"
    return {**totals, "lost": 0, "of_200_cuts_with_synchronous_normal_lose": losing}


@contextlib.contextmanager
def _folder(place: Path, name: str) -> Iterator[Path]:
    folder = place / name
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def _checkpoints(load: Load, name: str) -> int:
    return sum(event.what == "sync" and event.name == name for event in load.events)
