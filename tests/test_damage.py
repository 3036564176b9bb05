"""Files that are damaged, held or emptied while or before hooklab runs."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support import RunningService, body_of, hooklab, json_of, pair
from test_projector import rows_of
from test_store import MemoryJournal

from hooklab.config import load_settings
from hooklab.journal.base import JournalUnavailable
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projection import Projection
from hooklab.store.sqlite import SqliteStore


def _corrupt(*_arguments: Any, **_options: Any) -> Any:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


async def test_a_store_that_turns_out_damaged_is_replaced_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put aside, filled anew from the journal by the same settings, and projection goes on."""
    journal = MemoryJournal()
    journal.add(body_of(pair()))
    path = tmp_path / "store.db"
    settings = load_settings({"assume_timezone": "Europe/Lisbon", "max_elements": 7}, {})
    projection = await Projection.open(path, journal, settings)
    real = SqliteStore.project
    broken = projection._store

    async def project(self: SqliteStore, batches: Any, *, keep: bool = True) -> None:
        if self is broken:
            _corrupt()
        await real(self, batches, keep=keep)

    monkeypatch.setattr(SqliteStore, "project", project)
    running = asyncio.create_task(projection.run())
    async with asyncio.timeout(20):
        while projection._store is broken or not await projection._store.checkpoint():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    projection.finish(5)
    await running
    await projection.close()
    rows = rows_of(path)
    assert len(rows["reports"]) == 2
    assert rows["quarantine"] == []
    assert ("assume_timezone", "Europe/Lisbon") in rows["settings"]
    assert ("max_elements", "7") in rows["settings"]
    assert len(list(tmp_path.glob("store.db.aside-*-0"))) == 1


def test_a_page_damaged_after_opening_is_noticed_and_mended(tmp_path: Path) -> None:
    """200s go on, the store is rebuilt by itself, and all that was answered 200 is counted."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(3):
            assert service.post(body_of(pair()))[0] == 200
        service.settled()
    with sqlite3.connect(folder / "store.db") as plain:
        [(root,)] = plain.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'")
        [(size,)] = plain.execute("PRAGMA page_size")
    plain.close()
    with (folder / "store.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
    assert json_of("stats", data_dir=folder)["lag"] in (0, 4)  # stopped at once, it may leave the rest
    with RunningService(folder) as service:
        counters = service.settled()
    assert (counters["messages"], counters["reports"], counters["batches"]) == (4, 8, 4)


def test_a_store_that_is_held_does_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    """SIGTERM ends it with 0 though another program holds the store; the rest is projected at the next start."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        service.settled()
        holder = sqlite3.connect(folder / "store.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert service.post(body_of(pair()))[0] == 200
        assert service.terminate() == 0
        holder.execute("ROLLBACK")
        holder.close()
    with RunningService(folder) as service:
        assert service.settled()["messages"] == 2


def test_rebuild_refuses_a_journal_that_lacks_what_the_store_has(tmp_path: Path) -> None:
    """An emptied or older journal would lose what only the store knows: nothing is changed, the reason is said."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        service.settled()
    before = rows_of(folder / "store.db")
    (folder / "journal.db").write_bytes(b"")
    done = hooklab("rebuild", data_dir=folder)
    assert done.returncode == 1
    assert b"beyond the journal's last, 0" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert rows_of(folder / "store.db") == before


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    """Reading after close is JournalUnavailable, as the protocol says."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits())
    await journal.close()
    for ask in (journal.read(0, 1000), journal.get(1), journal.span()):
        with pytest.raises(JournalUnavailable, match="closed"):
            await ask
