"""The projector: exactly once whatever stops it, the same rows however chunks fall, and nothing that poisons it."""

import asyncio
import random
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from support import body_of, pair, report
from test_store import MemoryJournal, _life

from hooklab import database as database_module
from hooklab import projector as projector_module
from hooklab.journal.base import JournalUnavailable
from hooklab.pace import Pace
from hooklab.projector import Projector
from hooklab.store import sqlite as store_module
from hooklab.store.base import Prepared
from hooklab.store.fold import Changes, Folding, Held, JudgedBatch
from hooklab.store.sqlite import SqliteStore
from hooklab.wire import Elements


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Every row of every table, but for the mark by which a search index knows the one store that it is of.

    The ids of both tables are given as one: how chunks fall decides when one goes from the small to the large.
    """
    with sqlite3.connect(path) as plain:
        names = [name for (name,) in plain.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: sorted(plain.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
        found["settings"] = [row for row in found["settings"] if row[0] != "search"]
        found["ids"] = sorted([*found["ids"], *found.pop("recent_ids")])
    plain.close()
    return found


def journal_of_many(seed: int) -> MemoryJournal:
    """Some 60 batches: lives in pieces, retries, duplicates, misfits, malformed bodies and a long array."""
    chance = random.Random(seed)
    journal = MemoryJournal()
    lives = [one for _ in range(60) for one in _life(chance)]
    bodies: list[bytes] = []
    while lives:
        size = chance.choice((1, 2, 5, 12))
        elements: list[Any] = [*lives[:size], *chance.sample(lives, min(len(lives), chance.choice((0, 0, 2))))]
        lives = lives[size:]
        if chance.random() < 0.2:
            elements.insert(chance.randrange(len(elements) + 1), {"MessageId": 1})
        bodies.append(body_of(elements))
        journal.add(bodies[-1], chance.choice((None, "delivered", "pending")))
        if chance.random() < 0.2:
            journal.add(chance.choice(bodies))
        if chance.random() < 0.1:
            journal.add(chance.choice((b"{}", b"no")), malformed=True)
    journal.add(body_of([report() for _ in range(60)]))
    return journal


async def project(journal: MemoryJournal, path: Path, **options: Any) -> None:
    store = await SqliteStore.open(path)
    try:
        await Projector(journal, store, assumed=UTC, max_elements=50, **options).catch_up()
    finally:
        await store.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_rows_do_not_depend_on_how_chunks_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Chunks of one batch, of a few elements and of everything give equal tables, row by row."""
    journal = journal_of_many(seed)
    found = []
    for size in (1, 7, 100_000):
        monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", size)
        path = tmp_path / f"store-{size}.db"
        await project(journal, path)
        found.append(rows_of(path))
    assert found[0] == found[1] == found[2]
    assert found[0]["totals"][0][1] == len(journal.batches)


async def test_a_stop_between_any_two_statements_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An abort after each statement of a chunk in turn, then going on from the checkpoint, gives the same rows."""
    journal = journal_of_many(4)
    monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", 40)
    await project(journal, tmp_path / "whole.db")
    whole = rows_of(tmp_path / "whole.db")
    statements = 0
    abort_at = 0
    step = database_module.step

    def step_or_abort(plain: sqlite3.Connection, sql: str, values: Any) -> list[Any]:
        nonlocal statements
        found = step(plain, sql, values)
        if sql != "ROLLBACK":
            statements += 1
            if statements == abort_at:
                raise KeyError("stopped here")
        return found

    monkeypatch.setattr(database_module, "step", step_or_abort)
    path = tmp_path / "aborted.db"
    done = False
    aborts = reached = 0
    while not done:
        abort_at += 1
        statements = abort_at  # beyond it: this look at the checkpoint is not to be aborted
        store = await SqliteStore.open(path)
        if (checkpoint := await store.checkpoint()) > reached:
            reached, abort_at = checkpoint, 1
        statements = 0
        try:
            # Straight at the store: the projector would take this for poison.
            done = await _project_plainly(journal, store)
        except KeyError:
            aborts += 1
            if store.connection.in_transaction:
                await store.connection.rollback()
        finally:
            await store.close()
    assert aborts > 60
    assert rows_of(path) == whole


async def _project_plainly(journal: MemoryJournal, store: SqliteStore) -> bool:
    judge = Projector(journal, store, assumed=UTC, max_elements=50)
    chunk: list[JudgedBatch] = []
    for batch in await journal.read(await store.checkpoint(), 0):
        chunk.append(await judge._judge(batch))
        if sum(one.elements for one in chunk) > 40:
            await store.project(chunk)
            chunk = []
    if chunk:
        await store.project(chunk)
    return True


class _Poisoned(Elements):
    """Elements whose third one makes the judge fail, as an unforeseen value might."""

    def __getitem__(self, index: Any) -> Any:
        if index == 2:
            raise ZeroDivisionError
        return super().__getitem__(index)


async def test_an_element_that_breaks_the_judge_is_quarantined_alone(tmp_path: Path) -> None:
    """Its neighbours are stored, the reason begins with `internal:`, and projection goes on."""
    journal = MemoryJournal()
    journal.add(body_of([*pair(), *pair()]))
    journal.add(body_of(pair()))
    path = tmp_path / "store.db"
    await project(journal, path, split=_Poisoned)
    rows = rows_of(path)
    [(row_id, reason, elements, count, raw)] = rows["quarantine"]
    assert reason.startswith("internal: ZeroDivisionError")
    assert (row_id, elements, count) == (1 << 22 | 2, 1, 1)
    assert b'"PENDING"' in raw
    assert len(rows["reports"]) == 5
    assert rows["totals"][0][1] == 2


def _breaking(error: Exception, is_bad: Callable[[list[JudgedBatch]], bool]) -> type[Folding]:
    """A folding that fails over what is bad, as SQLite might over a value."""

    class Breaking(Folding):
        def __init__(self, held: Held) -> None:
            super().__init__(held)
            self.added: list[JudgedBatch] = []

        def add(self, batch: JudgedBatch) -> None:
            self.added.append(batch)
            super().add(batch)

        def finish(self) -> Changes:
            if is_bad(self.added):
                raise error
            return super().finish()

    return Breaking


def _breaks_on(*message_ids: str) -> type[Folding]:
    """Fails over all these messages together."""
    wanted = {one.replace("-", "") for one in message_ids}

    def is_bad(batches: list[JudgedBatch]) -> bool:
        return wanted <= {one.report.message_id.hex() for batch in batches for one in batch.judged}

    return _breaking(OverflowError("Python int too large to convert to SQLite INTEGER"), is_bad)


async def test_an_element_that_cannot_be_written_is_found_and_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk is halved down to the batch and the element; everything else is stored as if it had not been."""
    journal = MemoryJournal()
    poison = report()
    for number in range(12):
        elements = [*pair(), *pair(), *pair()]
        if number == 7:
            elements.insert(3, poison)
        journal.add(body_of(elements))
    monkeypatch.setattr(store_module, "Folding", _breaks_on(poison["MessageId"]))
    path = tmp_path / "store.db"
    await project(journal, path)
    rows = rows_of(path)
    [(row_id, reason, *_, raw)] = rows["quarantine"]
    assert row_id == 8 << 22 | 3
    assert reason.startswith("internal: OverflowError")
    assert poison["MessageId"].encode() in raw
    assert len(rows["reports"]) == 72
    assert rows["totals"][0][1] == 12
    assert [row[0] for row in rows["batches"]] == sorted(range(1, 13), key=lambda at: repr((at,)))


async def test_elements_that_fail_only_together_are_quarantined_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no single element is to blame, the batch's elements go to quarantine and projection goes on."""
    journal = MemoryJournal()
    both = [report(), report()]
    journal.add(body_of(both))
    journal.add(body_of(pair()))
    monkeypatch.setattr(store_module, "Folding", _breaks_on(*(one["MessageId"] for one in both)))
    path = tmp_path / "store.db"
    await project(journal, path)
    rows = rows_of(path)
    assert len(rows["quarantine"]) == 2
    assert len(rows["reports"]) == 2


async def test_a_batch_that_cannot_be_written_in_any_part_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even then one row of quarantine counts for its elements, and the next batch is projected."""
    journal = MemoryJournal()
    journal.add(body_of(pair()))
    journal.add(body_of(pair()))

    def is_bad(batches: list[JudgedBatch]) -> bool:
        return any(batch.sequence == 1 and len(batch.quarantined) != 1 for batch in batches)

    monkeypatch.setattr(store_module, "Folding", _breaking(ValueError(), is_bad))
    path = tmp_path / "store.db"
    await project(journal, path)
    rows = rows_of(path)
    [(_, reason, elements, _, raw)] = rows["quarantine"]
    assert (reason[:20], elements) == ("internal: ValueError", 2)
    assert raw == journal.batches[0].body
    assert len(rows["reports"]) == 2


async def test_a_disk_that_fails_is_waited_for_and_not_taken_for_poison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I/O errors of either file delay projection; nothing is quarantined, nothing skipped."""
    monkeypatch.setattr(projector_module, "_RETRY_SECONDS", 0.001)
    journal = MemoryJournal()
    journal.add(body_of(pair()))
    store = await SqliteStore.open(tmp_path / "store.db")
    failures = [sqlite3.OperationalError("database or disk is full"), OSError(5, "I/O"), JournalUnavailable("fsync")]
    real = store.write

    async def write_or_fail(ready: Prepared, *, keep: bool = True) -> None:
        if failures:
            raise failures.pop()
        await real(ready, keep=keep)

    monkeypatch.setattr(store, "write", write_or_fail)
    running = Projector(journal, store, assumed=UTC, max_elements=50)
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(10):
        while await store.checkpoint() < 1:  # noqa: ASYNC110  a state of the file, nothing to await
            await asyncio.sleep(0)
    running.finish(5)
    await task
    await store.close()
    rows = rows_of(tmp_path / "store.db")
    assert (failures, rows["quarantine"], len(rows["reports"])) == ([], [], 2)


async def test_a_burst_after_a_rest_is_not_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is told where the work is, and that nothing was left to do before: a rest is no lateness."""
    told: list[str] = []

    class Told(Pace):
        def caught_up(self) -> None:
            told.append("caught up")

        def reached(self, received_at: int) -> None:
            told.append(f"at {received_at}")

    class Woken(MemoryJournal):
        came = asyncio.Event()

        async def wait_beyond(self, sequence: int) -> None:
            while len(self.batches) <= sequence:
                self.came.clear()
                await self.came.wait()

    monkeypatch.setattr(projector_module, "Pace", Told)
    journal = Woken()
    store = await SqliteStore.open(tmp_path / "store.db")
    running = Projector(journal, store, assumed=UTC, max_elements=50)
    task = asyncio.create_task(running.run())
    while not running.idle:  # noqa: ASYNC110  a state, nothing to await
        await asyncio.sleep(0)
    assert told == []
    journal.add(body_of(pair()))
    journal.came.set()
    async with asyncio.timeout(10):
        while running.reached < 1:  # noqa: ASYNC110  a state, nothing to await
            await asyncio.sleep(0)
    running.finish(30)
    await task
    await store.close()
    assert told[:2] == ["caught up", f"at {journal.batches[0].received_at}"]


async def test_finish_projects_what_is_there_and_no_longer_than_asked(tmp_path: Path) -> None:
    """With time it ends when all is projected; without, it ends at once and the rest waits for the next start."""
    journal = journal_of_many(5)
    store = await SqliteStore.open(tmp_path / "store.db")
    hurried = Projector(journal, store, assumed=UTC, max_elements=50)
    hurried.finish(0)
    await hurried.run()
    assert await store.checkpoint() == 0
    patient = Projector(journal, store, assumed=UTC, max_elements=50)
    task = asyncio.create_task(patient.run())
    await asyncio.sleep(0)
    patient.finish(30)
    await task
    assert await store.checkpoint() == len(journal.batches)
    await store.close()


async def test_a_retry_of_the_quarantine_between_two_chunks_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was prepared before somebody else wrote is not written, but prepared anew: the same rows as without."""
    monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", 5)
    journal = journal_of_many(6)
    await project(journal, tmp_path / "plain.db")
    store = await SqliteStore.open(tmp_path / "store.db")
    prepare, between = store.prepare, 0

    async def prepare_and_write(*arguments: Any) -> Prepared:
        nonlocal between
        ready = await prepare(*arguments)
        if len(arguments) == 3 and between < 9:  # ahead, as only a backlog has it
            between += 1
            async with store.alone, store.transaction():
                await store.keep_settings(other=str(between))
        return ready

    monkeypatch.setattr(store, "prepare", prepare_and_write)
    await Projector(journal, store, assumed=UTC, max_elements=50).catch_up()
    await store.close()
    found, wanted = rows_of(tmp_path / "store.db"), rows_of(tmp_path / "plain.db")
    assert (found.pop("settings"), wanted.pop("settings"), between) == ([("other", "9")], [], 9)
    assert found == wanted


async def test_texts_of_what_was_prepared_and_not_written_are_not_taken_for_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write fails while the next chunk is prepared, all that is said of messages and reports is there."""
    monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", 2)
    journal = MemoryJournal()
    for number in range(12):
        journal.add(body_of([one | {"ReportDescription": f"Said by {number}"} for one in pair()]))
    await project(journal, tmp_path / "plain.db")
    wanted = rows_of(tmp_path / "plain.db")
    assert len(wanted["texts"]) == 14
    for failing in range(12):
        path = tmp_path / f"{failing}.db"
        store = await SqliteStore.open(path)
        write, written = store.write, -1

        async def write_or_fail(ready: Prepared, write: Any = write, failing: int = failing) -> None:
            nonlocal written
            written += 1
            if written == failing:
                raise ValueError("not this time")
            await write(ready)

        monkeypatch.setattr(store, "write", write_or_fail)
        await Projector(journal, store, assumed=UTC, max_elements=50).catch_up()
        await store.close()
        assert rows_of(path) == wanted


async def test_what_is_known_of_one_message_is_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunk after chunk on one message remembers the reports of two, however many there are: it may be a million."""
    journal = MemoryJournal()
    one = str(uuid.uuid4())
    for batch in range(20):
        reports = [report(one, "PENDING", ReportDescription=f"{batch} {at}") for at in range(1000)]
        journal.add(body_of([*reports, reports[0]]))
    remembered = []
    prepare = SqliteStore.prepare

    async def watched(self: SqliteStore, *arguments: Any) -> Prepared:
        ready = await prepare(self, *arguments)
        remembered.append(len(ready.held.reports))
        return ready

    monkeypatch.setattr(SqliteStore, "prepare", watched)
    store = await SqliteStore.open(tmp_path / "store.db")
    try:
        await Projector(journal, store, assumed=UTC, max_elements=10_000).catch_up()
        [(reports, repeats)] = await store.fetch("SELECT reports, repeats FROM totals")
    finally:
        await store.close()
    assert (reports, repeats) == (20_000, 20)
    assert len(remembered) >= 8
    assert max(remembered) < 6_000
