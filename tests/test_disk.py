"""A disk that is full, fails or stalls: never a false 200, and it takes up again by itself."""

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.machine import MIB, skipping, small_disk
from faults.stage import wait_until
from support import RunningService, body_of, conserved, pair, unpacking

from hooklab import database
from hooklab.journal.base import JournalFull, JournalUnavailable, NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal

# A real full disk ------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB; skipped where this user may not mount one."""
    with skipping(), small_disk(tmp_path, 8 * MIB) as disk:
        yield disk


def test_a_full_disk_is_503_and_nothing_else_until_there_is_room_again(small: Path) -> None:
    """Loaded until the disk is full: 503 and not ready, no 200 for what is not kept; room comes, and it goes on."""
    filler = small / "filler"
    filler.write_bytes(bytes(4 * MIB))
    chance = random.Random(503)
    folder = small / "data"
    acknowledged: list[bytes] = []
    refused: list[bytes] = []
    with RunningService(folder) as service:

        def post() -> int:
            body = body_of([one for _ in range(50) for one in pair(chance)])
            status, _ = service.post(body)
            assert status in {200, 503}
            (acknowledged if status == 200 else refused).append(body)
            return status

        wait_until(lambda: post() == 503, "the first 503")
        assert acknowledged, "an empty disk takes batches"
        before = len(acknowledged)
        assert [post() for _ in range(20)].count(200) <= 5, "nearly all are refused while the disk is full"
        assert len(refused) > 15
        wait_until(lambda: service.admin("/ready")[0] == 503, "not ready")
        assert "disk" in service.admin("/ready")[1]["problem"] or "full" in service.admin("/ready")[1]["problem"]
        assert service.admin("/health")[0] == 200
        assert service.stats()["refused"]["503"] == len(refused)

        filler.unlink()
        wait_until(lambda: service.admin("/ready")[0] == 200, "ready again without being asked anything")
        assert [post() for _ in range(5)] == [200] * 5
        assert len(acknowledged) >= before + 5
        counters = service.settled()
        assert conserved(counters)
        assert service.process.poll() is None
    journal = sqlite3.connect(folder / "journal.db")
    kept = [body for (body,) in unpacking(journal).execute("SELECT body_of(encoding, body) FROM batches")]
    journal.close()
    assert len(kept) == len(set(kept))
    assert set(acknowledged) <= set(kept) <= {*acknowledged, *refused}
    assert counters["batches"] == len(kept)
    assert counters["reports"] == 100 * len(kept)
    store = sqlite3.connect(folder / "store.db")
    messages = {message.hex() for (message,) in store.execute("SELECT message_id FROM messages")}
    store.close()
    wanted = {one["MessageId"].replace("-", "") for body in acknowledged for one in json.loads(body)}
    assert wanted <= messages


# Faults put into the journal -------------------------------------------------------------------------------------


def a_batch(body: bytes = b"[]") -> NewBatch:
    """What the receiver hands over."""
    return NewBatch(1_795_000_000_000_000, 1, "127.0.0.1", None, "[]", body, malformed=False)


def bodies_in(path: Path) -> list[bytes]:
    """What is on disk, as another connection reads it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = unpacking(connection).execute("SELECT body_of(encoding, body) FROM batches ORDER BY sequence")
        return [body for (body,) in found]
    finally:
        connection.close()


class Disk:
    """A journal whose disk does as it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.free = 1 << 40
        self.journal: SqliteJournal
        self.held: HeldUp | None = None

    def room(self, path: Path) -> tuple[int, int]:
        assert path == self.path
        return self.free, 1 << 42

    async def open(self, **limits: Any) -> SqliteJournal:
        self.journal = await SqliteJournal.open(self.path, JournalLimits(**limits), room=self.room)
        return self.journal

    def held_up(self, monkeypatch: pytest.MonkeyPatch) -> "HeldUp":
        self.held = HeldUp(self.journal._insert)
        monkeypatch.setattr(self.journal, "_insert", self.held)
        return self.held

    async def close(self) -> None:
        if self.held is not None:
            self.held.go.set()
        await self.journal.close()


class HeldUp:
    """Stands before the journal's insert and lets it go on when told to."""

    def __init__(self, insert: Callable[[Any], Any]) -> None:
        self._insert = insert
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.groups: list[int] = []

    async def __call__(self, batches: Any) -> None:
        self.begun.set()
        self.groups.append(len(batches))
        await self.go.wait()
        await self._insert(batches)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A journal to put faults into; closed in the end."""
    made = Disk(tmp_path / "journal.db")
    await made.open()
    yield made
    await made.close()


async def until_well(journal: SqliteJournal, seconds: float = 10.0) -> None:
    """Waits, without asking anything of it, until the journal says that all is well."""
    async with asyncio.timeout(seconds):
        while journal.problem() is not None:  # noqa: ASYNC110  a journal tells nobody that it is well again
            await asyncio.sleep(0.02)


async def test_a_disk_below_its_reserve_is_refused_and_says_so(disk: Disk) -> None:
    """Too little room: JournalUnavailable, the reason in words with the sizes, and well again by itself."""
    journal = disk.journal
    await journal.append(a_batch(b"[1]"))
    assert journal.problem() is None
    disk.free = 200 * MIB
    with pytest.raises(JournalUnavailable, match="200 MiB free, 256 MiB are kept in reserve"):
        await journal.append(a_batch(b"[2]"))
    assert journal.problem() == "the disk is nearly full: 200 MiB free, 256 MiB are kept in reserve"
    assert [one.body for one in await journal.read(0, 1000)] == [b"[1]"]  # what is there can be read all the while
    disk.free = 256 * MIB
    await until_well(journal)
    await journal.append(a_batch(b"[3]"))
    assert bodies_in(disk.path) == [b"[1]", b"[3]"]


async def test_a_small_disk_keeps_a_tenth_in_reserve(tmp_path: Path) -> None:
    """Of 256 MiB and 10 % of the disk the lesser counts."""
    free = [99]
    journal = await SqliteJournal.open(
        tmp_path / "journal.db", JournalLimits(), room=lambda _: (free[0] * MIB, 1000 * MIB)
    )
    try:
        with pytest.raises(JournalUnavailable):
            await journal.append(a_batch())
        free[0] = 100
        await journal.append(a_batch())
    finally:
        await journal.close()


@pytest.mark.parametrize(
    "fault",
    [
        sqlite3.OperationalError("disk I/O error"),
        OSError(5, "Input/output error"),
        sqlite3.DatabaseError("whatever"),
        RuntimeError("351900000123 must not be shown"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_failed_commit_refuses_its_own_group_alone(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Whatever a commit raises, who waited for it gets JournalUnavailable, and the next group is on disk."""
    journal, real = disk.journal, disk.journal._insert
    failing = [True]

    async def insert(batches: Any) -> None:
        if failing:
            failing.clear()
            raise fault
        await real(batches)

    monkeypatch.setattr(journal, "_insert", insert)
    group = await asyncio.gather(
        *(journal.append(a_batch(b'["lost %d"]' % number)) for number in range(3)), return_exceptions=True
    )
    assert [type(one) for one in group] == [JournalUnavailable] * 3
    problem = journal.problem()
    assert problem is not None
    assert problem.startswith("the journal cannot be written: ")
    assert "351900000123" not in problem
    assert all(str(one) == problem for one in group)
    with pytest.raises(JournalUnavailable):  # after a failed fsync nothing that is read proves anything
        await journal.read(0, 1000)
    await journal.append(a_batch(b'["kept"]'))
    assert journal.problem() is None
    assert [one.body for one in await journal.read(0, 1000)] == [b'["kept"]']
    assert bodies_in(disk.path) == [b'["kept"]']


async def test_a_failed_commit_heals_without_traffic(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody posts: the journal looks by itself whether the disk is back, so that readiness returns."""
    journal = disk.journal

    async def fail(_: list[NewBatch]) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(journal, "_insert", fail)
        with pytest.raises(JournalUnavailable):
            await journal.append(a_batch())
    assert journal.problem() == "the journal cannot be written: disk I/O error"
    await until_well(journal)
    assert await journal.read(0, 1000) == []


async def test_after_a_failed_commit_a_checkpoint_must_succeed_before_the_next_200(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the WAL cannot be brought to the file, nothing is taken and nothing can be read."""
    journal, real = disk.journal, database.checkpoint
    modes: list[str] = []

    async def fail(_: list[NewBatch]) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def failing_checkpoint(connection: Any, mode: str) -> None:
        modes.append(mode)
        raise sqlite3.OperationalError("the WAL stays")

    async def counting_checkpoint(connection: Any, mode: str) -> None:
        modes.append(mode)
        await real(connection, mode)

    await journal.append(a_batch(b"[1]"))
    with monkeypatch.context() as broken:
        broken.setattr(journal, "_insert", fail)
        with pytest.raises(JournalUnavailable):
            await journal.append(a_batch(b"[2]"))
    with monkeypatch.context() as broken:
        broken.setattr("hooklab.journal.sqlite.checkpoint", failing_checkpoint)
        for body in (b"[3]", b"[4]"):
            with pytest.raises(JournalUnavailable, match="the WAL stays"):
                await journal.append(a_batch(body))
            with pytest.raises(JournalUnavailable):
                await journal.read(0, 1000)
    assert modes
    assert set(modes) == {"TRUNCATE"}
    modes.clear()
    monkeypatch.setattr("hooklab.journal.sqlite.checkpoint", counting_checkpoint)
    await journal.append(a_batch(b"[5]"))
    assert modes == ["TRUNCATE"]
    assert bodies_in(disk.path) == [b"[1]", b"[5]"]


async def test_a_commit_that_stalls_is_answered_in_time_and_so_are_those_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """commit_timeout bounds the wait of the group and of the queue; once the disk moves, it goes on by itself."""
    disk = Disk(tmp_path / "journal.db")
    journal = await disk.open(commit_timeout=0.5)
    try:
        held = disk.held_up(monkeypatch)
        began = asyncio.get_running_loop().time()
        first = asyncio.create_task(journal.append(a_batch(b'["first"]')))
        await held.begun.wait()
        behind = [asyncio.create_task(journal.append(a_batch(b'["behind %d"]' % number))) for number in range(3)]
        answers = await asyncio.wait_for(asyncio.gather(first, *behind, return_exceptions=True), 5)
        took = asyncio.get_running_loop().time() - began
        assert [type(answer) for answer in answers] == [JournalUnavailable] * 4
        assert 0.5 <= took < 5
        assert journal.problem() == "a commit takes longer than 0.5 s"
        assert journal.queue_depth() == 0
        later = asyncio.create_task(journal.append(a_batch(b'["later"]')))
        await asyncio.sleep(0)
        held.go.set()
        await asyncio.wait_for(later, 5)
        assert journal.problem() is None
        # The commit that was under way did reach the disk (its 503 brings a retry); those dropped from the queue not.
        assert bodies_in(disk.path) == [b'["first"]', b'["later"]']
    finally:
        await disk.close()


async def test_the_queue_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JournalFull beyond max_queue bytes, at once; what had a place is kept, and there is room again after."""
    disk = Disk(tmp_path / "journal.db")
    journal = await disk.open(max_queue=10_000, max_group=5_000)
    try:
        held = disk.held_up(monkeypatch)
        large = b"[" + b" " * 3_000 + b"]"
        first = asyncio.create_task(journal.append(a_batch(large)))
        await held.begun.wait()
        queued = [asyncio.create_task(journal.append(a_batch(large))) for _ in range(2)]
        await asyncio.sleep(0)
        assert journal.queue_depth() == 2
        with pytest.raises(JournalFull):
            await journal.append(a_batch(large))
        small = asyncio.create_task(journal.append(a_batch(b"[]")))
        await asyncio.sleep(0)
        assert journal.queue_depth() == 3
        assert journal.problem() is None  # a full queue is not a disk that fails
        held.go.set()
        await asyncio.wait_for(asyncio.gather(first, *queued, small), 5)
        await journal.append(a_batch(large))
        assert len(bodies_in(disk.path)) == 5
        assert max(held.groups) * 3_000 <= 5_000 + 3_000, "a group is bounded in bytes"
    finally:
        await disk.close()


async def test_many_requests_share_one_commit(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What queued while one commit was under way goes to disk with the next one, in order."""
    held = disk.held_up(monkeypatch)
    first = asyncio.create_task(disk.journal.append(a_batch(b"[0]")))
    await held.begun.wait()
    rest = [asyncio.create_task(disk.journal.append(a_batch(b"[%d]" % number))) for number in range(1, 101)]
    await asyncio.sleep(0)
    held.go.set()
    await asyncio.wait_for(asyncio.gather(first, *rest), 10)
    assert held.groups == [1, 100]
    assert bodies_in(disk.path) == [b"[%d]" % number for number in range(101)]


async def test_closing_commits_what_waits_and_refuses_what_comes_after(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close() lets nobody down who was let in; later appends are refused, and a second close does nothing."""
    journal, held = disk.journal, disk.held_up(monkeypatch)
    first = asyncio.create_task(journal.append(a_batch(b"[1]")))
    await held.begun.wait()
    queued = [asyncio.create_task(journal.append(a_batch(b"[2]"))) for _ in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalUnavailable, match="shutting down"):
        await journal.append(a_batch(b"[3]"))
    assert journal.problem() == "hooklab is shutting down"
    held.go.set()
    await asyncio.wait_for(closing, 5)
    await asyncio.gather(first, *queued)
    assert bodies_in(disk.path) == [b"[1]", b"[2]", b"[2]", b"[2]"]
    with pytest.raises(JournalUnavailable):
        await journal.append(a_batch(b"[4]"))
    await journal.close()


async def test_a_client_that_leaves_does_not_take_the_others_with_it(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append that is cancelled while its commit is under way harms neither its group nor the writer."""
    held = disk.held_up(monkeypatch)
    leaving = asyncio.create_task(disk.journal.append(a_batch(b"[1]")))
    await held.begun.wait()
    staying = asyncio.create_task(disk.journal.append(a_batch(b"[2]")))
    queued = asyncio.create_task(disk.journal.append(a_batch(b"[3]")))
    await asyncio.sleep(0)
    leaving.cancel()
    queued.cancel()
    held.go.set()
    await asyncio.wait_for(staying, 5)
    await disk.journal.append(a_batch(b"[4]"))
    kept = bodies_in(disk.path)
    assert [body for body in kept if body != b"[3]"] == [b"[1]", b"[2]", b"[4]"]


def test_a_program_that_reads_the_journal_does_not_keep_a_service_from_starting(tmp_path: Path) -> None:
    """It answers 503 and says why until the reader lets go, and then goes on by itself."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
        service.settled()
        service.kill()  # what it wrote is in the WAL
    reader = sqlite3.connect(folder / "journal.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM batches").fetchall()
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 503
        code, said = service.admin("/ready")
        assert (code, "reads the" in said["problem"]) == (503, True)
        reader.close()
        wait_until(lambda: service.admin("/ready")[0] == 200, "ready once nobody reads")
        assert service.post(body_of(pair()))[0] == 200
        assert service.settled()["batches"] == 2
