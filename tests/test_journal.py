"""The journal: one contract for every backend, and what is special to SQLite's."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hooklab.database import DatabaseError
from hooklab.journal.base import Journal, JournalFull, JournalUnavailable, NewBatch, digest_of
from hooklab.journal.read import SqliteJournalReader
from hooklab.journal.sqlite import JournalLimits, SqliteJournal


def batch(body: bytes = b"[]", **fields: Any) -> NewBatch:
    values: dict[str, Any] = {
        "received_at": 1_700_000_000_000_000,
        "took_ms": 3,
        "peer": "192.0.2.7",
        "label": None,
        "headers": '[["host", "x"]]',
        "body": body,
        "malformed": False,
    }
    return NewBatch(**{**values, **fields})


class JournalContract:
    """What every backend must do. A backend's class gives the fixture `journal` and `reopen`."""

    async def reopen(self, journal: Journal) -> Journal:
        raise NotImplementedError

    async def test_gives_back_what_was_appended(self, journal: Journal) -> None:
        """Every part of a batch comes back as it was, under sequence 1, 2, … in the order of appending."""
        first = batch(b'[{"a": 1}]', label="pending", malformed=True)
        await journal.append(first)
        await journal.append(batch(b"\x00\xff"))
        kept = await journal.read(0, 1 << 20)
        assert [one.sequence for one in kept] == [1, 2]
        assert kept[0].body == first.body
        assert (kept[0].received_at, kept[0].took_ms, kept[0].peer) == (first.received_at, 3, "192.0.2.7")
        assert (kept[0].label, kept[0].headers, kept[0].digest) == ("pending", first.headers, digest_of(first.body))
        assert kept[0].malformed
        assert not kept[1].malformed
        assert kept[1].body == b"\x00\xff"
        assert kept[1].label is None

    async def test_many_at_once_are_all_there_in_some_order(self, journal: Journal) -> None:
        """Appends that run side by side share commits; each is kept once."""
        bodies = [b"[%d]" % number for number in range(700)]
        await asyncio.gather(*(journal.append(batch(body)) for body in bodies))
        kept = await journal.read(0, 1 << 24)
        got = [one.body for one in kept]
        while len(got) < len(bodies) and kept:
            kept = await journal.read(kept[-1].sequence, 1 << 24)
            got += [one.body for one in kept]
        assert sorted(got) == sorted(bodies)

    async def test_read_is_bounded_in_bytes_but_gives_at_least_one(self, journal: Journal) -> None:
        """A read stops before it is larger than asked; a single large batch still comes."""
        for size in (100, 100, 50_000, 100):
            await journal.append(batch(b"[" + b" " * size + b"]"))
        assert [one.sequence for one in await journal.read(0, 2_000)] == [1, 2]
        assert [one.sequence for one in await journal.read(2, 2_000)] == [3]
        assert [one.sequence for one in await journal.read(3, 2_000)] == [4]
        assert await journal.read(4, 2_000) == []

    async def test_get_gives_one_or_none(self, journal: Journal) -> None:
        """A batch is found by its sequence; there is none for a number that was never given."""
        await journal.append(batch(b"[1]"))
        found = await journal.get(1)
        assert found is not None
        assert found.body == b"[1]"
        assert await journal.get(2) is None

    async def test_span_of_an_empty_and_a_filled_journal(self, journal: Journal) -> None:
        """An empty journal spans (1, 0); a filled one its first and last sequence."""
        assert await journal.span() == (1, 0)
        await journal.append(batch())
        await journal.append(batch())
        assert await journal.span() == (1, 2)

    async def test_wait_beyond_wakes_when_it_grows(self, journal: Journal) -> None:
        """Waiting ends at once where there is more, else with the next append."""
        await journal.append(batch())
        await asyncio.wait_for(journal.wait_beyond(0), 5)
        waiting = asyncio.create_task(journal.wait_beyond(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        await journal.append(batch())
        await asyncio.wait_for(waiting, 5)

    async def test_survives_closing_and_goes_on_counting(self, journal: Journal) -> None:
        """What was appended is there after reopening, and sequences go on."""
        await journal.append(batch(b"[1]"))
        again = await self.reopen(journal)
        try:
            await again.append(batch(b"[2]"))
            assert [(one.sequence, one.body) for one in await again.read(0, 1 << 20)] == [(1, b"[1]"), (2, b"[2]")]
            assert await again.span() == (1, 2)
        finally:
            await again.close()

    async def test_close_commits_what_waits_and_then_refuses(self, journal: Journal) -> None:
        """Batches in the queue are written before closing; afterwards an append says so."""
        waiting = [asyncio.create_task(journal.append(batch(b"[%d]" % number))) for number in range(20)]
        await asyncio.sleep(0)
        await journal.close()
        await asyncio.gather(*waiting)
        with pytest.raises(JournalUnavailable, match="shutting down"):
            await journal.append(batch())
        await journal.close()  # closing twice does nothing

    async def test_an_append_that_nobody_awaits_any_more_is_kept(self, journal: Journal) -> None:
        """A client that leaves cancels its wait, not the batch; the others of its group are answered."""
        gone = asyncio.create_task(journal.append(batch(b"[1]")))
        stays = asyncio.create_task(journal.append(batch(b"[2]")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stays, 10)
        assert {one.body for one in await journal.read(0, 1 << 20)} == {b"[1]", b"[2]"}


class TestSqliteJournal(JournalContract):
    """The contract on a real file."""

    limits = JournalLimits(disk_reserve=0)

    @pytest.fixture
    async def journal(self, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        opened = await SqliteJournal.open(tmp_path / "journal.db", self.limits)
        yield opened
        await opened.close()

    async def reopen(self, journal: Journal) -> Journal:
        assert isinstance(journal, SqliteJournal)
        await journal.close()
        return await SqliteJournal.open(journal._path, self.limits)

    async def test_is_a_file_with_the_marks_of_the_design(self, journal: SqliteJournal) -> None:
        """WAL, FULL, incremental vacuum, application id and version are set, and the mode is 0600."""
        await journal.append(batch())
        path = journal._path
        assert path.stat().st_mode & 0o777 == 0o600
        assert Path(f"{path}-wal").stat().st_mode & 0o777 == 0o600
        [(synchronous,)] = await journal._writer.execute_fetchall("PRAGMA synchronous")
        assert synchronous == 2
        with sqlite3.connect(path) as plain:
            marks = [plain.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "auto_vacuum")]
            assert marks == ["wal", 2]
            assert plain.execute("PRAGMA application_id").fetchone()[0] == 0x686B4C4A
            assert plain.execute("PRAGMA user_version").fetchone()[0] == 1
        plain.close()

    async def test_a_sequence_is_never_given_twice(self, journal: SqliteJournal) -> None:
        """Even after the newest batches were pruned and the file was opened anew."""
        for _ in range(3):
            await journal.append(batch())
        await journal.close()
        with sqlite3.connect(journal._path) as plain:
            plain.execute("DELETE FROM batches WHERE sequence > 1")
        plain.close()
        again = await SqliteJournal.open(journal._path, self.limits)
        try:
            await again.append(batch())
            assert [one.sequence for one in await again.read(0, 1 << 20)] == [1, 4]
            assert await again.span() == (1, 4)
        finally:
            await again.close()

    async def test_opening_moves_the_wal_into_the_file(self, tmp_path: Path) -> None:
        """What a crash left in the WAL is checkpointed and fsynced before anything is read or answered."""
        path = tmp_path / "journal.db"
        journal = await SqliteJournal.open(path, self.limits)
        await journal.append(batch(b"[1]"))
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for suffix in ("", "-wal"):
            (crashed / f"journal.db{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
        await journal.close()
        assert (crashed / "journal.db-wal").stat().st_size > 0
        again = await SqliteJournal.open(crashed / "journal.db", self.limits)
        try:
            assert (crashed / "journal.db-wal").stat().st_size == 0
            assert [one.body for one in await again.read(0, 1 << 20)] == [b"[1]"]
        finally:
            await again.close()

    async def test_a_long_wal_is_checkpointed_while_running(self, journal: SqliteJournal) -> None:
        """The WAL does not grow with what was written: it is moved into the file from time to time."""
        body = b"[" + b" " * 1_000_000 + b"]"
        for _ in range(40):
            await journal.append(batch(body))
        assert Path(f"{journal._path}-wal").stat().st_size < 34_000_000

    async def test_another_programs_file_is_refused(self, tmp_path: Path) -> None:
        """A SQLite file that is not ours is not touched; the error names it."""
        path = tmp_path / "journal.db"
        with sqlite3.connect(path) as plain:
            plain.execute("CREATE TABLE theirs (x)")
        plain.close()
        with pytest.raises(DatabaseError, match="not a hooklab journal"):
            await SqliteJournal.open(path, self.limits)

    async def test_the_queue_is_bounded_in_bytes(self, tmp_path: Path) -> None:
        """A batch that does not fit into the queue is refused at once; those in it are kept."""
        journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits(max_queue=10_000, disk_reserve=0))
        try:
            waiting = [asyncio.create_task(journal.append(batch(b"[" + b" " * 4_000 + b"]"))) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(JournalFull):
                await journal.append(batch(b"[" + b" " * 4_000 + b"]"))
            await asyncio.gather(*waiting)
            await journal.append(batch())
        finally:
            await journal.close()

    async def test_a_reader_elsewhere_sees_what_is_committed(self, journal: SqliteJournal) -> None:
        """A second connection reads along while the owner writes."""
        reader = await SqliteJournalReader.open(journal._path)
        try:
            assert await reader.span() == (1, 0)
            await journal.append(batch(b"[1]"))
            assert await reader.span() == (1, 1)
            assert [one.body for one in await reader.read(0, 1 << 20)] == [b"[1]"]
        finally:
            await reader.close()

    async def test_after_a_failed_fsync_the_wal_is_checkpointed_first(
        self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No read and no 200 before a checkpoint succeeded: what the kernel shows then proves nothing."""
        await journal.append(batch(b"[1]"))
        steps: list[str] = []
        insert = journal._insert

        async def fails(batches: Any) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        async def recorded(batches: Any) -> None:
            steps.append("insert")
            await insert(batches)

        async def checkpointed(connection: Any, mode: str) -> None:
            steps.append(mode)
            if len(steps) == 1:
                raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(journal, "_insert", fails)
        with pytest.raises(JournalUnavailable):
            await journal.append(batch(b"[2]"))
        with pytest.raises(JournalUnavailable):
            await journal.read(0, 1 << 20)
        monkeypatch.setattr(journal, "_insert", recorded)
        monkeypatch.setattr("hooklab.journal.sqlite.checkpoint", checkpointed)
        with pytest.raises(JournalUnavailable):
            await journal.append(batch(b"[3]"))
        await journal.append(batch(b"[4]"))
        assert steps == ["TRUNCATE", "TRUNCATE", "insert"]
        assert [one.body for one in await journal.read(0, 1 << 20)] == [b"[1]", b"[4]"]

    async def test_recovers_without_traffic(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """A journal that could not write tries by itself, so that readiness returns without a request."""
        insert = journal._insert

        async def fails(batches: Any) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(journal, "_insert", fails)
        with pytest.raises(JournalUnavailable):
            await journal.append(batch())
        assert journal.problem() is not None
        monkeypatch.setattr(journal, "_insert", insert)
        async with asyncio.timeout(10):
            while journal.problem() is not None:  # noqa: ASYNC110  the problem is a state, nothing to await
                await asyncio.sleep(0.05)
        await journal.append(batch())
