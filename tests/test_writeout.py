"""The store's WAL goes to the disk bit by bit, and nothing rests on it."""

import asyncio
import os
import threading
from datetime import UTC
from pathlib import Path
from typing import Final

import pytest
from support import body_of, report
from test_store import MemoryJournal

from hooklab.projector import Projector
from hooklab.store import writeout
from hooklab.store.sqlite import SqliteStore
from hooklab.store.writeout import WriteOut

LOCKS: Final = Path("/proc/locks")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of what Python had the disk write."""
    found: list[int] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        found.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return found


async def test_a_backlog_is_written_out_while_it_is_projected(
    tmp_path: Path, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that the store has grown by some, its WAL goes to the disk, and the locks of the store stay."""
    monkeypatch.setattr(writeout, "_EVERY_REPORTS", 3_000)
    journal = MemoryJournal()
    for _ in range(8):
        journal.add(body_of([report() for _ in range(1_000)]))
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    try:
        await Projector(journal, store, assumed=UTC, max_elements=1_000).catch_up()
        await store._write_out.end()
        wal = path.with_name("store.db-wal").stat().st_ino
        assert set(written) == {wal}
        assert 1 <= len(written) <= 2  # one that is under way when the next begins does for both
        assert not LOCKS.exists() or str(path.stat().st_ino) in LOCKS.read_text(encoding="ascii")
    finally:
        await store.close()


async def test_a_little_is_left_to_sqlite(tmp_path: Path, written: list[int]) -> None:
    """Where little comes, the disk is not asked for anything more."""
    journal = MemoryJournal()
    store = await SqliteStore.open(tmp_path / "store.db")
    for _ in range(5):
        journal.add(body_of([report() for _ in range(20)]))
        await Projector(journal, store, assumed=UTC, max_elements=1_000).catch_up()
    await store.close()
    assert written == []


async def test_one_at_a_time_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a slow disk writes, more is asked for without effect; `end` returns when it has written."""
    begun, end, asked = threading.Event(), threading.Event(), 0

    def fdatasync(_: int) -> None:
        nonlocal asked
        asked += 1
        begun.set()
        assert end.wait(20)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    wal = tmp_path / "store.db-wal"
    wal.touch()
    one = WriteOut(wal)
    await one.end()  # nothing is under way
    one.add(2_000)
    assert await asyncio.to_thread(begun.wait, 20)
    one.add(2_000)
    ending = asyncio.create_task(one.end())
    await asyncio.sleep(0)
    assert not ending.done()
    end.set()
    await ending
    assert asked == 1
    one.add(2_000)
    await one.end()
    assert asked == 2


@pytest.mark.parametrize("there", [False, True])
async def test_what_fails_is_sqlites_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
    """No WAL, or a disk that fails: nothing is raised here."""

    def fail(_: int) -> None:
        raise OSError(5, "I/O")

    monkeypatch.setattr(os, "fdatasync", fail)
    wal = tmp_path / "store.db-wal"
    if there:
        wal.touch()
    one = WriteOut(wal)
    one.add(2_000)
    await one.end()
