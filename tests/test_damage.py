"""Files that are damaged, held or emptied while or before hooklab runs."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults.stage import wait_until
from support import RunningService, body_of, hooklab, json_lines_of, json_of, pair, report, spoil
from test_journal import batch
from test_projector import rows_of
from test_store import MemoryJournal

from hooklab.config import load_settings
from hooklab.journal.base import JournalUnavailable
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projection import Projection
from hooklab.store.opening import kept_settings
from hooklab.store.sqlite import SqliteStore


def _corrupt(*_arguments: Any, **_options: Any) -> Any:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


@pytest.mark.parametrize("sound", [True, False])
async def test_a_store_that_turns_out_damaged_is_replaced_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: bool
) -> None:
    """It is put aside and filled anew by the same settings; if a check finds it sound, it is only opened anew."""
    if not sound:

        async def damaged(_: Path) -> bool:
            return False

        monkeypatch.setattr("hooklab.projection.is_sound", damaged)
    journal = MemoryJournal()
    journal.add(body_of(pair()))
    path = tmp_path / "store.db"
    settings = load_settings({"assume_timezone": "Europe/Lisbon", "max_elements": 7}, {})
    projection = await Projection.open(path, journal, settings)
    real = SqliteStore.write
    broken = projection._store

    async def write(self: SqliteStore, ready: Any, *, keep: bool = True) -> None:
        if self is broken:
            _corrupt()
        await real(self, ready, keep=keep)

    monkeypatch.setattr(SqliteStore, "write", write)
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
    assert len(list(tmp_path.glob("store.db.aside-*-0"))) == (not sound)


def test_a_page_damaged_after_opening_is_noticed_and_mended(tmp_path: Path) -> None:
    """200s go on, the store is rebuilt by itself, and all that was answered 200 is counted."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(3):
            assert service.post(body_of(pair()))[0] == 200
        service.settled()
    _damage_table(folder / "store.db", "messages")
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
    assert json_of("stats", data_dir=folder)["lag"] in (0, 4)  # stopped at once, it may leave the rest
    with RunningService(folder) as service:
        counters = service.settled()
    assert (counters["messages"], counters["reports"], counters["batches"]) == (4, 8, 4)


def _damage_table(path: Path, table: str) -> None:
    with sqlite3.connect(path) as plain:
        [(root,)] = plain.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
        [(size,)] = plain.execute("PRAGMA page_size")
    plain.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))


def test_a_page_that_only_readers_meet_is_mended_too(tmp_path: Path) -> None:
    """Who meets it is told, the running service looks the store over and rebuilds it; without one, what to do."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of([*pair(), {"MessageId": "no id"}]))
        service.settled()
    _damage_table(folder / "store.db", "quarantine")
    alone = hooklab("quarantine", "list", data_dir=folder)
    assert alone.returncode == 1
    assert b"store.db is damaged" in alone.stderr
    assert b"hooklab rebuild" in alone.stderr
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        service.settled()  # the projector does not meet it
        told = hooklab("quarantine", "list", data_dir=folder)
        assert told.returncode == 1
        assert b"looks it over now" in told.stderr
        wait_until(lambda: hooklab("quarantine", "list", data_dir=folder).returncode == 0, "a store that can be read")
        counters = service.settled()
    assert (counters["batches"], counters["messages"], counters["quarantined"]) == (2, 2, 1)
    assert len(list(folder.glob("store.db.aside-*-0"))) == 1


def test_a_damaged_page_of_the_journal_that_only_readers_meet_is_named(tmp_path: Path) -> None:
    """The batch that lies there cannot be shown: the error names the file and what saves the rest."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        service.settled()
    with RunningService(folder) as service:
        _damage_table(folder / "journal.db", "batches")
        done = hooklab("batch", "1", data_dir=folder)
        assert done.returncode == 1
        assert b"journal.db is damaged" in done.stderr
        assert b"hooklab salvage" in done.stderr


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_batch_shows_that_its_body_was_damaged_since(tmp_path: Path, share: float) -> None:
    """Also where it was counted long before the disk changed it, and where nothing of it can be unpacked."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of([report(Msisdn="351900000771")]))
        service.settled()
    spoil(folder / "journal.db", 1, share)
    done = hooklab("batch", "1", data_dir=folder)
    assert b"damaged on the disk" in done.stdout, done.stderr
    assert hooklab("batch", "1", "--json", data_dir=folder).returncode == 0


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


def _rebuild_under(fault: list[str], folder: Path) -> "subprocess.CompletedProcess[bytes]":
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *fault, sys.executable, "-m", "hooklab", "rebuild", "--yes"]
    return subprocess.run(
        [*command, "--data-dir", folder], capture_output=True, check=False, timeout=100, stdin=subprocess.DEVNULL
    )


def _can_trace() -> bool:
    try:
        return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not _can_trace(), reason="strace is not here, or may not trace")
def test_a_rebuild_that_cannot_be_written_leaves_the_old_store(tmp_path: Path) -> None:
    """A disk that fails under the new store is an error, and the old store is as it was."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(30):
            service.post(body_of(pair()))
        service.settled()
    before = rows_of(folder / "store.db")
    aside = ["-P", str(folder / "store.new.db"), "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO:when=3+"]
    done = _rebuild_under(aside, folder)
    assert done.returncode == 1
    assert done.stderr.startswith(b"hooklab: cannot rebuild: ")
    assert rows_of(folder / "store.db") == before


@pytest.mark.skipif(not _can_trace(), reason="strace is not here, or may not trace")
def test_a_rebuild_killed_at_its_swap_leaves_a_store(tmp_path: Path) -> None:
    """There is no moment without a store: its settings outlive a SIGKILL at the rename, and nothing is left over."""
    folder = tmp_path / "data"
    with RunningService(folder, "--assume-timezone", "Europe/Lisbon") as service:
        service.post(body_of(pair()))
        service.settled()
    killed = _rebuild_under(["-e", "inject=rename,renameat,renameat2:signal=KILL:when=1"], folder)
    assert killed.returncode != 0
    with RunningService(folder) as service:
        assert service.settled()["reports"] == 2
    assert ("assume_timezone", "Europe/Lisbon") in rows_of(folder / "store.db")["settings"]
    assert not list(folder.glob("store.new.db*"))


def test_numbers_are_not_given_again_after_an_older_journal_was_put_back(tmp_path: Path) -> None:
    """A store that saw batch 3 keeps the numbers up to it from coming again, though the journal ends at 1."""
    folder, older = tmp_path / "data", tmp_path / "older.db"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
    older.write_bytes((folder / "journal.db").read_bytes())
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        service.post(body_of(pair()))
        service.settled()
    (folder / "journal.db").write_bytes(older.read_bytes())
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        assert service.settled()["reports"] == 4
    assert [row["batch"] for row in json_lines_of("batches", data_dir=folder)] == [4, 1]


def test_another_programs_journal_is_not_touched(tmp_path: Path) -> None:
    """It is refused before a byte of it, or its mode, is changed."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    path = folder / "journal.db"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE theirs (x)")
    plain.close()
    path.chmod(0o640)
    before = path.read_bytes()
    done = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder)
    assert done.returncode == 1
    assert b"is not a hooklab journal" in done.stderr
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (before, 0o640)


async def test_many_small_commits_do_not_let_the_wal_grow(tmp_path: Path) -> None:
    """A commit writes whole pages: the WAL is checkpointed by what it takes, not by what was posted."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits(disk_reserve=0))
    try:
        for _ in range(3_000):
            await journal.append(batch())
        assert (tmp_path / "journal.db-wal").stat().st_size < 32 * 2**20
    finally:
        await journal.close()


async def test_settings_that_are_no_text_are_not_taken_over(tmp_path: Path) -> None:
    """A damaged store may hold anything under its settings; what is text is kept, and nothing fails."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE settings (name, value)")
        rows = [("assume_timezone", "UTC"), (None, "x"), (b"y", "x"), ("max_elements", 3.5)]
        plain.executemany("INSERT INTO settings VALUES (?, ?)", rows)
    plain.close()
    assert await kept_settings(path) == {"assume_timezone": "UTC"}
