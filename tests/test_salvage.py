"""A damaged journal: what can be read is saved, the damaged file is put aside, and nothing is emptied in silence."""

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from support import (
    RunningService,
    body_of,
    conserved,
    hooklab,
    json_lines_of,
    json_of,
    pair,
    report,
    spoil,
    unpacking,
)
from test_projector import rows_of

from hooklab.database import DatabaseError
from hooklab.journal.base import JournalDamaged, JournalUnavailable, NewBatch
from hooklab.journal.opening import open_journal
from hooklab.journal.packing import Packer
from hooklab.journal.pages import Pages
from hooklab.journal.read import SqliteJournalReader
from hooklab.journal.salvage import SalvageError, holds_batches, salvage
from hooklab.journal.schema import JOURNAL
from hooklab.journal.sqlite import JournalLimits, SqliteJournal

PAGE: Final = 4096
LOCKS: Final = Path("/proc/locks")
SIZES: Final = (2, 40, 700, 1_500, 4_000, 9_000, 60_000)


def a_batch(number: int, size: int) -> NewBatch:
    """What the receiver hands over; bodies of a few bytes to some overflow pages."""
    body = f'["{number}"]'.encode() + random.Random(number).randbytes(size)
    return NewBatch(1_795_000_000_000_000 + number, 1, "127.0.0.1", None, "[]", body, malformed=False)


async def fill(path: Path, count: int = 150) -> dict[int, bytes]:
    """A closed journal of `count` batches; gives them by number."""
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    chance = random.Random(count)
    batches = [a_batch(number, chance.choice(SIZES)) for number in range(1, count + 1)]
    for one in batches:
        await journal.append(one)
    await journal.close()
    return {number: one.body for number, one in enumerate(batches, start=1)}


def bodies_in(path: Path) -> dict[int, bytes]:
    """The bodies of a closed journal by number."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(unpacking(connection).execute("SELECT sequence, body_of(encoding, body) FROM batches"))
    finally:
        connection.close()


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Changes bytes in a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    """A journal that is whole, and what is in it."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    return path, asyncio.run(fill(path))


async def reopened(path: Path) -> None:
    """Opens and closes a journal as a service does; while it is open its locks are held."""
    opened = await open_journal(path)
    assert not LOCKS.exists() or str(path.stat().st_ino) in LOCKS.read_text(encoding="ascii")
    await opened.reader.close()
    await opened.writer.close()


def test_the_pages_of_a_sound_file_hold_what_sqlite_reads(sound: tuple[Path, dict[int, bytes]]) -> None:
    """Rows on leaves and on overflow pages, read without SQLite, are those that SQLite gives."""
    path, bodies = sound
    with Pages(path) as pages:
        rows = {number: values for number, values in pages.rows() if len(values) == 10}
    connection = sqlite3.connect(path)
    expected = {row[0]: list(row[1:]) for row in connection.execute("SELECT * FROM batches")}
    connection.close()
    assert {number: values[1:] for number, values in rows.items()} == expected
    packer = Packer()
    assert {number: packer.unpack(values[9])[2] for number, values in rows.items()} == bodies


async def test_whatever_page_is_damaged_the_batches_on_the_others_are_saved(
    sound: tuple[Path, dict[int, bytes]], tmp_path: Path
) -> None:
    """Each page in turn is overwritten: all batches but those on it are there, byte for byte, and no other is."""
    path, bodies = sound
    pages = path.stat().st_size // PAGE
    assert pages > 100
    lost_most = 0
    for number in [0, 1, 2, 3, *random.Random(1).sample(range(4, pages), 40)]:
        damaged = tmp_path / f"page{number}.db"
        shutil.copyfile(path, damaged)
        overwrite(damaged, number * PAGE, random.Random(number).randbytes(PAGE))
        before = damaged.read_bytes()
        saved = salvage(damaged, JOURNAL)
        found = bodies_in(damaged)
        right = {key: body for key, body in found.items() if bodies.get(key) == body}
        lost_most = max(lost_most, len(bodies) - len(right))
        # A body whose overflow page is damaged is kept as it is now, and known to be damaged.
        assert len(found) - len(right) == saved.damaged
        assert saved.batches == len(found)
        assert set(found) <= set(bodies)
        assert saved.aside.read_bytes() == before
    # The b-tree's own pages hold nothing but pointers: with one of those gone, nothing is lost.
    assert 1 <= lost_most <= 12


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.5, 0.97, 0.9999])
async def test_a_journal_that_was_cut_off_keeps_what_lies_before(
    sound: tuple[Path, dict[int, bytes]], tmp_path: Path, kept: float
) -> None:
    """Opening it saves what is there, puts the file aside, and gives no number a second time."""
    source, bodies = sound
    path = tmp_path / "journal.db"
    shutil.copyfile(source, path)
    os.truncate(path, int(path.stat().st_size * kept) // PAGE * PAGE)
    damaged = path.read_bytes()
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    await journal.append(a_batch(1000, 10))
    _, last = await journal.span()
    await journal.close()
    found = bodies_in(path)
    number, new = found.popitem()
    assert (number, new) == (last, a_batch(1000, 10).body)
    assert last > max(found)
    assert {key: bodies[key] for key in found} == found
    assert len(found) >= int(len(bodies) * kept * 0.8) - 3
    [aside] = tmp_path.glob("journal.db.aside-*")
    assert aside.read_bytes() == damaged


def zero_head(path: Path) -> None:
    """The first bytes by which a file is known are gone."""
    overwrite(path, 0, bytes(100))


def wrong_marks(path: Path) -> None:
    """The number that says whose file it is has changed."""
    overwrite(path, 68, b"\xff\xff\xff\xff")


def first_page(path: Path) -> None:
    """The whole page with the schema is gone."""
    overwrite(path, 0, os.urandom(PAGE))


def everything_but_one_leaf(path: Path) -> None:
    """One page is left."""
    with Pages(path) as pages:
        number = next(
            at
            for at in range(2, pages.count)
            if (page := pages._page(at + 1))[0] == 0x0D and len([*pages._rows_of(page, 0)]) > 1
        )
    size = path.stat().st_size
    overwrite(path, 0, bytes(number * PAGE))
    overwrite(path, (number + 1) * PAGE, bytes(size - (number + 1) * PAGE))


@pytest.mark.parametrize("harm", [zero_head, wrong_marks, first_page])
async def test_a_journal_that_sqlite_does_not_know_any_more_is_saved_whole(
    sound: tuple[Path, dict[int, bytes]], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """Its batches tell that it was one: the first page alone costs none of them."""
    source, bodies = sound
    path = tmp_path / "journal.db"
    shutil.copyfile(source, path)
    harm(path)
    await reopened(path)
    assert bodies_in(path) == bodies
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_single_page_is_enough(sound: tuple[Path, dict[int, bytes]], tmp_path: Path) -> None:
    """Of a file of zeroes but for one page the batches on that page are saved."""
    source, bodies = sound
    path = tmp_path / "journal.db"
    shutil.copyfile(source, path)
    everything_but_one_leaf(path)
    assert holds_batches(path)
    saved = salvage(path, JOURNAL)
    found = bodies_in(path)
    assert saved.batches == len(found) >= 1
    assert {key: bodies[key] for key in found if key in bodies} == found


async def test_a_file_with_nothing_to_save_is_left_as_it_is(tmp_path: Path) -> None:
    """Garbage is refused with its name and what to do, and is not touched."""
    path = tmp_path / "journal.db"
    garbage = b"\x0d" + random.Random(3).randbytes(50 * PAGE)
    path.write_bytes(garbage)
    with pytest.raises(DatabaseError, match="is not a SQLite file"):
        await open_journal(path)
    with pytest.raises(SalvageError, match="no batch in it can be read"):
        salvage(path, JOURNAL)
    assert path.read_bytes() == garbage
    assert [one.name for one in tmp_path.iterdir()] == ["journal.db"]


async def test_a_copy_that_cannot_be_written_changes_nothing(
    sound: tuple[Path, dict[int, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for it the damaged file stays, and the error says what is needed."""
    path = tmp_path / "journal.db"
    shutil.copyfile(sound[0], path)
    first_page(path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hooklab.journal.salvage.fsync", full)
    with pytest.raises(SalvageError, match=r"No space left.*room"):
        await open_journal(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["journal.db"]


@pytest.mark.parametrize("step", [1, 2])
async def test_a_crash_between_saving_and_swapping_loses_nothing(
    sound: tuple[Path, dict[int, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The whole copy is there under its own name: the next opening puts it in place, and no empty one is made."""
    path = tmp_path / "journal.db"
    shutil.copyfile(sound[0], path)
    first_page(path)

    class Crash(BaseException):
        pass

    calls = 0

    def crash(_: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == step + 1:  # after the copy has its name; after the damaged file has another
            raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("hooklab.journal.salvage.fsync", crash)
        with pytest.raises(Crash):
            await open_journal(path)
    assert (tmp_path / "journal.db.salvaged").exists()
    await reopened(path)
    assert bodies_in(path) == sound[1]
    assert len(list(tmp_path.glob("journal.db.aside-*"))) == 1
    assert not (tmp_path / "journal.db.salvaged").exists()


# The WAL -----------------------------------------------------------------------------------------------------------


async def killed(path: Path, count: int = 60) -> dict[int, bytes]:
    """A journal as `kill -9` leaves it: all of its batches but the first few are in the WAL."""
    living = path.with_name("living.db")
    journal = await SqliteJournal.open(living, JournalLimits(disk_reserve=0))
    chance = random.Random(count)
    batches = [a_batch(number, chance.choice(SIZES)) for number in range(1, count + 1)]
    for one in batches:
        await journal.append(one)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{living}{suffix}", f"{path}{suffix}")
    await journal.close()
    return {number: one.body for number, one in enumerate(batches, start=1)}


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.99])
async def test_batches_behind_a_damaged_frame_of_the_wal_are_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    """SQLite drops all that follows such a frame and says nothing: here at most what was on that page is lost."""
    path = tmp_path / "journal.db"
    bodies = await killed(path)
    wal = path.with_name("journal.db-wal")
    before = bytearray(wal.read_bytes())
    at = int(len(before) * share)
    before[at : at + 8] = bytes(byte ^ 0xFF for byte in before[at : at + 8])
    wal.write_bytes(before)
    await reopened(path)
    found = bodies_in(path)
    assert {key: bodies[key] for key in found} == found
    assert len(found) >= len(bodies) - 1
    [aside] = tmp_path.glob("journal.db-wal.aside-*")
    assert aside.read_bytes() == bytes(before)
    said = "behind the damage were saved" if share < 0.99 else "ends in a write that is not whole"
    assert said in caplog.text
    assert aside.name in caplog.text


async def test_a_wal_that_ends_in_the_middle_of_a_write_is_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kill does that: what was answered is there, nothing is put aside, nothing is said."""
    path = tmp_path / "journal.db"
    bodies = await killed(path)
    wal = path.with_name("journal.db-wal")
    os.truncate(wal, wal.stat().st_size - 2_000)
    await reopened(path)
    found = bodies_in(path)
    assert {key: bodies[key] for key in found} == found
    assert len(found) == len(bodies) - 1
    assert caplog.text == ""
    assert not list(tmp_path.glob("*aside*"))


async def test_a_damaged_journal_is_saved_with_what_its_wal_holds(tmp_path: Path) -> None:
    """A file that SQLite cannot open does not take its WAL with it."""
    path = tmp_path / "journal.db"
    bodies = await killed(path)
    first_page(path)
    await reopened(path)
    assert bodies_in(path) == bodies
    assert len(list(tmp_path.glob("journal.db.aside-*"))) == 2


def test_a_journal_whose_wal_is_gone_says_so_and_goes_on(tmp_path: Path) -> None:
    """All of its batches were in the WAL: the store is put aside, nothing lags for ever, no number comes again."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(3):
            service.post(body_of(pair()))
        service.settled()
        service.kill()
    (folder / "journal.db-wal").unlink()
    with RunningService(folder) as service:
        counters = service.settled()
        assert (counters["lag"], counters["batches"]) == (0, 0)
        service.post(body_of(pair()))
        assert service.settled()["batches"] == 1
        service.terminate()
    assert b"journal.db-wal is not there, though hooklab did not end well" in service.stderr
    assert b"store.db is at batch 3, beyond the journal's last, 0: put aside" in service.stderr
    assert [row["batch"] for row in json_lines_of("batches", data_dir=folder)] == [4]


# A running journal --------------------------------------------------------------------------------------------------


async def test_a_running_journal_that_turns_out_damaged_saves_itself(tmp_path: Path) -> None:
    """The read that meets the damage says so; then what can be read is there, and new batches get new numbers."""
    path = tmp_path / "journal.db"
    bodies = await fill(path)
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    try:
        overwrite(path, 20 * PAGE, bytes(20 * PAGE))
        with pytest.raises(JournalUnavailable, match="malformed"):
            await journal.read(0, 1 << 30)
        async with asyncio.timeout(20):
            while journal.problem() is not None or not list(tmp_path.glob("journal.db.aside-*")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        read = await journal.read(0, 1 << 30)
        whole = {one.sequence: one.body for one in read if not one.damaged}
        assert {key: bodies[key] for key in whole} == whole
        assert len(bodies) * 0.5 < len(whole) < len(bodies)
        await journal.append(a_batch(5000, 10))
        assert (await journal.span())[1] == len(bodies) + 1
    finally:
        await journal.close()


@pytest.mark.skipif(not LOCKS.exists(), reason="locks are not listed here")
async def test_a_passing_fault_of_the_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that finds the file sound has it opened anew, nothing is put aside, and its locks are held.

    A reader in this process keeps SQLite from asking for them anew: without them another program may take the WAL.
    """
    path = tmp_path / "journal.db"
    await fill(path, 5)
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    reader = await SqliteJournalReader.open(path)
    assert await reader.span() == (1, 5)
    try:

        async def fail(*_: Any) -> Any:
            raise JournalDamaged("database disk image is malformed")

        monkeypatch.setattr(journal._reader, "read", fail)
        with pytest.raises(JournalUnavailable):
            await journal.read(0, 1000)
        async with asyncio.timeout(20):
            while journal.problem() is not None or journal._damage is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(await journal.read(0, 1 << 20)) == 5
        assert not list(tmp_path.glob("*aside*"))
        assert str(path.stat().st_ino) in LOCKS.read_text(encoding="ascii")
    finally:
        await reader.close()
        await journal.close()


# Through the doors --------------------------------------------------------------------------------------------------


def test_a_service_starts_on_a_damaged_journal_and_says_what_it_did(tmp_path: Path) -> None:
    """It is ready, names the file and where the old one is, counts what was saved, and takes new reports."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(40):
            assert service.post(body_of(pair()))[0] == 200
        service.settled()
    overwrite(folder / "journal.db", 0, os.urandom(PAGE))
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
        counters = service.settled()
        service.terminate()
    assert (counters["batches"], counters["reports"], counters["messages"]) == (41, 82, 41)
    [aside] = folder.glob("journal.db.aside-*")
    assert f"{folder / 'journal.db'}: 40 batches saved".encode() in service.stderr
    assert aside.name.encode() in service.stderr
    assert b"Traceback" not in service.stderr


def test_a_body_that_the_disk_changed_is_not_believed(tmp_path: Path) -> None:
    """One flipped bit in a body goes to quarantine whole; neighbours count, and a retry leaves it there."""
    folder = tmp_path / "data"
    bodies = [body_of([report(Msisdn=f"35190000077{number}"), report()]) for number in range(3)]
    with RunningService(folder) as service:
        for body in bodies:
            service.post(body)
        service.settled()
    spoil(folder / "journal.db", 2)
    for part in folder.glob("store.db*"):
        part.unlink()
    with RunningService(folder) as service:
        service.settled()
    counters = json_of("stats", data_dir=folder)
    assert (counters["batches"], counters["reports"], counters["malformed"], counters["quarantined"]) == (2, 4, 1, 1)
    assert conserved(counters)
    [row] = json_lines_of("quarantine", "list", data_dir=folder)
    assert (row["batch"], row["index"]) == (2, None)
    assert "damaged on the disk" in row["reason"]
    before = rows_of(folder / "store.db")
    assert hooklab("quarantine", "retry", data_dir=folder).returncode == 0
    assert rows_of(folder / "store.db") == before


def test_salvage_by_hand_copies_what_can_be_read(tmp_path: Path) -> None:
    """For damage that no start meets: it says what it saved, is refused while a service runs, leaves the store."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(30):
            service.post(body_of([one for _ in range(40) for one in pair()]))
        service.settled()
        refused = hooklab("salvage", data_dir=folder)
    assert refused.returncode == 1
    assert b"already runs" in refused.stderr
    with Pages(folder / "journal.db") as pages:
        found = [at for at in range(2, pages.count) if pages._page(at)[0] == 0x0D]
        rows = {at: [row for row in pages._rows_of(pages._page(at), 0) if len(row[1]) == 10] for at in found}
    hurt = [at for at in found if rows[at]][1]
    overwrite(folder / "journal.db", (hurt - 1) * PAGE, bytes(PAGE))
    before = rows_of(folder / "store.db")
    done = hooklab("salvage", "--yes", data_dir=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0] == f"{30 - len(rows[hurt])} batches saved, up to batch 30"
    assert lines[1] == f"{len(rows[hurt])} could not be read, or were pruned"
    [aside] = folder.glob("journal.db.aside-*")
    assert aside.name in lines[2]
    assert rows_of(folder / "store.db") == before
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        assert service.settled()["batches"] == 31


@pytest.mark.parametrize("harm", ["leaf", "body"])
def test_a_rebuild_does_not_lose_what_only_the_store_knows(tmp_path: Path, harm: str) -> None:
    """With a batch, or its right body, gone from the journal it is refused; the store stays and goes on."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        for _ in range(30):
            # Random, so that it does not shrink and lies on pages of its own.
            odd = {"Noise": random.randbytes(6_000).hex()}
            service.post(body_of([one for _ in range(39) for one in pair()] + [one | odd for one in pair()]))
        service.settled()
    with Pages(folder / "journal.db") as pages:
        if harm == "leaf":
            found = [at for at in range(2, pages.count) if pages._page(at)[0] == 0x0D]
            rows = {at: [len(row[1]) for row in pages._rows_of(pages._page(at), 0)] for at in found}
            hurt = [at for at in found if rows[at][-1:] == [10]][1]  # in the middle
        else:
            hurt = next(at for at in range(pages.count - 1, 5, -1) if pages._page(at)[0] == 0)
    overwrite(folder / "journal.db", (hurt - 1) * PAGE + 2_000, os.urandom(100))
    if harm == "leaf":
        overwrite(folder / "journal.db", (hurt - 1) * PAGE, bytes(PAGE))
        overwrite(folder / "journal.db", 0, bytes(100))
    with RunningService(folder) as service:
        counters = service.settled()
        assert (counters["batches"], counters["reports"]) == (30, 2400)
    before = rows_of(folder / "store.db")
    done = hooklab("rebuild", "--yes", data_dir=folder)
    assert done.returncode == 1
    assert b"that the store knows: a rebuild would lose what" in done.stderr
    assert rows_of(folder / "store.db") == before
