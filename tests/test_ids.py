"""The two tables of ids: wherever an id lies, it is found, and it lies in one of them."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import body_of, pair
from test_projector import journal_of_many, project, rows_of
from test_store import MemoryJournal

from hooklab import projector as projector_module
from hooklab.filters import parse_filter
from hooklab.projector import Projector
from hooklab.store import ids as module
from hooklab.store.ids import Settling, for_ids, keys_of
from hooklab.store.read import SqliteStoreReader
from hooklab.store.sqlite import STORE, SqliteStore
from hooklab.wire import parse_uuid


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids leave the small table from the fourth on, two together."""
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "_AT_ONCE", 2)


def counts(path: Path) -> tuple[int, int]:
    """How many ids are in the large and in the small table."""
    with closing(sqlite3.connect(path)) as plain:
        [found] = plain.execute("SELECT (SELECT count(*) FROM ids), (SELECT count(*) FROM recent_ids)")
    return found[0], found[1]


@given(
    groups=st.lists(st.lists(st.integers(0, 300), max_size=12), max_size=15),
    alike=st.booleans(),
    restarts=st.sets(st.integers(0, 15)),
)
@settings(deadline=None)
def test_every_id_is_in_one_table_and_the_small_one_stays_small(
    groups: list[list[int]], alike: bool, restarts: set[int]
) -> None:
    """Whatever the ids are, also if all begin alike, and though a service in between forgets how many there were."""
    with pytest.MonkeyPatch.context() as patch, closing(sqlite3.connect(":memory:")) as plain:
        patch.setattr(module, "MOST", 10)
        patch.setattr(module, "_AT_ONCE", 4)
        plain.executescript(STORE.schema)
        settling = Settling()
        known: dict[bytes, int] = {}
        for at, group in enumerate(groups):
            new = {_id(number, alike=alike): number + 1 for number in group}
            new = {key: value for key, value in new.items() if key not in known}
            for sql, values in for_ids(list(new.items())):
                plain.execute(sql, values)
            if at in restarts:
                settling = Settling()
            settling.settle(plain, len(new))
            known |= new
            found = [dict(plain.execute(f"SELECT * FROM {table}").fetchall()) for table in module.TABLES]
            assert len(found[0]) <= 10
            assert len(found[0]) + len(found[1]) == len(known)
            assert {**found[0], **found[1]} == known
            assert keys_of(plain, [(_id(number, alike=alike),) for number in range(301)]) == known


def _id(number: int, *, alike: bool) -> bytes:
    return number.to_bytes(16) if alike else random.Random(number).randbytes(16)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_what_is_stored_does_not_depend_on_where_ids_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """With ids on their way from chunk to chunk, all tables are as without."""
    journal = journal_of_many(5)
    monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", size)
    await project(journal, tmp_path / "moved.db")
    monkeypatch.setattr(module, "MOST", 100_000)
    await project(journal, tmp_path / "whole.db")
    assert rows_of(tmp_path / "moved.db") == rows_of(tmp_path / "whole.db")
    large, small = counts(tmp_path / "moved.db")
    assert small <= 3
    assert large > 20
    assert counts(tmp_path / "whole.db") == (0, large + small)


@pytest.mark.usefixtures("few")
async def test_a_message_is_found_by_its_id_in_either_table(tmp_path: Path) -> None:
    """By the whole id and by its beginning; and it is the same one when it comes again."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    journal = MemoryJournal()
    messages = [pair() for _ in range(9)]
    for reports in messages:
        journal.add(body_of([reports[0]]))
        await _catch_up(journal, store)
    assert min(counts(path)) > 0
    for reports in messages:
        journal.add(body_of([reports[1]]))
    await _catch_up(journal, store)
    assert sum(counts(path)) == 9
    reader = await SqliteStoreReader.open(path, lambda: 0)
    for reports in messages:
        message_id = reports[0]["MessageId"]
        key = parse_uuid(message_id)
        assert key is not None
        detail = await reader.message(key)
        assert detail is not None
        assert (detail.message.message_id, detail.message.arrivals) == (message_id, 2)
        page = await reader.timeline(key, 10, None)
        assert page is not None
        assert len(page.entries) == 2
        found = await reader.search(parse_filter([f"id:{message_id[:10]}", "state:delivered"], 0), 5)
        assert [row.message_id for row in found.rows] == [message_id]
    await reader.close()
    await store.close()


@pytest.mark.usefixtures("few")
async def test_what_is_taken_back_leaves_ids_where_they_were(tmp_path: Path) -> None:
    """A trial, and a chunk that fails at its end: the next one counts anew, and goes on as if nothing had been."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    journal = MemoryJournal()
    for _ in range(5):
        journal.add(body_of(pair()))
    await _catch_up(journal, store)
    before = counts(path)
    for _ in range(5):
        journal.add(body_of(pair()))
    projector = Projector(journal, store, assumed=UTC, max_elements=50)
    projector._read_to = 5
    chunk = await projector._next_chunk()
    await store.project(chunk, keep=False)
    assert counts(path) == before
    ready = await store.prepare(chunk)
    with pytest.raises(sqlite3.OperationalError):
        await store.write(replace(ready, statements=[*ready.statements, ("INSERT INTO nowhere VALUES (1)", ())]))
    assert counts(path) == before
    await store.project(chunk)
    assert sum(counts(path)) == 10
    assert counts(path)[1] <= 3
    await store.close()


async def _catch_up(journal: MemoryJournal, store: SqliteStore) -> None:
    await Projector(journal, store, assumed=UTC, max_elements=50).catch_up()
