"""The search index: it finds what a full search finds, and whatever happens to it, a search is only slower."""

import asyncio
import random
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import RunningService, body_of, json_lines_of, report
from test_store import NOON, MemoryJournal

from hooklab import indexer as indexing
from hooklab import projector
from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.filters import FilterError, parse_filter
from hooklab.healing import Healer
from hooklab.indexer import Indexer
from hooklab.judging import Reading, judge_element
from hooklab.monitor import FolderMonitor
from hooklab.projector import Projector
from hooklab.store import find
from hooklab.store.base import Condition, MessageRow
from hooklab.store.fold import Quarantined
from hooklab.store.opening import open_store
from hooklab.store.read import SqliteStoreReader, id_begins, word_begins
from hooklab.store.search import SEARCH, SearchIndex, SearchView
from hooklab.store.sqlite import STORE, SqliteStore
from hooklab.store.words import COLUMNS, indexed
from hooklab.times import HOUR, SECOND
from hooklab.wire import Elements

_TEXT = st.text(st.sampled_from('aAbß İK1٣²_-:"{}é\u0301中\x00 ')) | st.text(max_size=12)
_HEX = st.text("0123456789abcdefABCDEF-", min_size=1, max_size=14)
_DIGITS = st.text("+0123456789", min_size=1, max_size=13)


@pytest.fixture(scope="module")
def tables() -> Iterator[sqlite3.Connection]:
    """A store's table of messages and an index, both empty."""
    plain = sqlite3.connect(":memory:", isolation_level=None)
    plain.executescript(STORE.schema)
    plain.executescript(SEARCH.schema)
    plain.create_function("word_begins", 2, word_begins)
    plain.create_function("id_begins", 2, id_begins)
    yield plain
    plain.close()


@settings(max_examples=400, deadline=None)
@given(
    text=st.none() | _TEXT,
    number=st.none() | _DIGITS | _TEXT,
    key=st.binary(min_size=16, max_size=16),
    rank=st.integers(-1, 5),
    seen=st.integers(0, 63),
    data=st.data(),
)
def test_the_index_gives_no_less_than_the_exact_condition(
    tables: sqlite3.Connection,
    text: str | None,
    number: str | None,
    key: bytes,
    rank: int,
    seen: int,
    data: st.DataObject,
) -> None:
    """Whatever a filter word lets through, what it asks the index for lets through too."""
    tables.execute("BEGIN")
    try:
        tables.execute(
            "INSERT INTO messages VALUES (1, ?, ?, ?, NULL, 1, 0, 1, 1, 1, 1, ?, ?, ?, 1, ?, NULL, NULL)",
            (key, rank, seen, text, number, text, text),
        )
        [row] = tables.execute(f"SELECT {COLUMNS} FROM messages")
        tables.execute("INSERT INTO words (rowid, text) VALUES (1, ?)", (indexed(row),))
        name = data.draw(st.sampled_from(["", "desc:", "custom:", "to:", "org:", "id:", "state:", "is:"]))
        parts = [one for one in (text, number, str(uuid.UUID(bytes=key))) if one]
        part = data.draw(st.sampled_from(parts))
        begin = data.draw(st.integers(0, len(part) - 1))
        end = data.draw(st.integers(begin + 1, len(part)))
        value = data.draw(st.just(part[begin:end]) | st.just(part[begin:]) | _TEXT | _HEX)
        if name in ("state:", "is:"):
            value = data.draw(st.sampled_from(["pending", "delivered", "not_delivered", "late", "repeated"]))
        try:
            where = parse_filter([name + value], NOON)
        except FilterError:
            return
        for lookup in where.lookups:
            values = {**where.values, "stuck_before": 0}
            [(exact,)] = tables.execute(f"SELECT coalesce({lookup.sql}, 0) FROM messages", values)
            found = tables.execute("SELECT rowid FROM words WHERE words MATCH ?", (lookup.asked,)).fetchall()
            assert found or not exact
    finally:
        tables.execute("ROLLBACK")


@pytest.mark.parametrize("word", ["custom:4711", 'custom:"order a-1"', "0123", "cafe", "to:351", "org:x", "id:ab"])
def test_words_are_asked_of_the_index(word: str) -> None:
    """The property above would hold of a filter that never asks."""
    [lookup] = parse_filter([word.replace('"', "")], NOON).lookups
    assert lookup.asked.startswith(('"', "("))


class Stage:
    """A folder's store that batches are projected into, its indexer, and readers with and without the index."""

    def __init__(self, folder: Folder, store: SqliteStore) -> None:
        self.folder = folder
        self.store = store
        self.journal = MemoryJournal()
        self.indexer = Indexer(folder, self, 0)
        self.checked = 0
        self.index = SearchIndex(folder.search)
        self.plain: SqliteStoreReader
        self.quick: SqliteStoreReader

    idle = True
    reached = 1
    steps_up = 0

    def check(self) -> None:
        self.checked += 1

    @classmethod
    async def open(cls, path: Path) -> "Stage":
        folder = Folder(path)
        store = await SqliteStore.open(folder.store)
        await store.mark()
        stage = cls(folder, store)
        stage.plain = await SqliteStoreReader.open(folder.store, lambda: NOON + HOUR)
        stage.quick = await SqliteStoreReader.open(folder.store, lambda: NOON + HOUR, stage.index)
        return stage

    async def close(self) -> None:
        await self.indexer.close()
        for one in (self.index, self.plain, self.quick, self.store):
            await one.close()

    async def project(self) -> None:
        await Projector(self.journal, self.store, assumed=UTC, max_elements=500).catch_up()

    async def take(self, *reports: Any) -> None:
        self.journal.add(body_of(reports))
        await self.project()

    async def fill(self) -> None:
        while await self.indexer.fill_block():
            pass

    async def entries(self) -> int:
        async with self.index.look() as view:
            return 0 if view is None else view.reach.entries

    async def found(self, *words: str, limit: int = 7) -> tuple[list[MessageRow], int]:
        """What a search in steps finds with the index, and in how many; it is what one without finds."""
        where = parse_filter(words, NOON)
        expected = await self.plain.messages(where, 1_000)
        rows: list[MessageRow] = []
        before, steps = None, 0
        while steps == 0 or before is not None:
            step = await self.quick.search(where, limit, before)
            rows += step.rows
            assert step.reached is None or before is None or step.reached < before
            before, steps = step.reached, steps + 1
        assert rows == expected
        assert await self.upwards(where, limit) == expected
        assert await self.quick.messages(where, 1_000) == expected
        assert await self.quick.messages(where, 3) == expected[:3]
        return rows, steps

    async def upwards(self, where: Condition, limit: int) -> list[MessageRow]:
        """What is found in steps from below."""
        rows: list[MessageRow] = []
        after: int | None = 0
        self.steps_up = 0
        while after is not None:
            step = await self.quick.newer(where, limit, after)
            rows = [*step.rows, *rows]
            assert step.reached is None or step.reached > after
            after = step.reached
            self.steps_up += 1
        return rows


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bounds so small that a few messages cross them."""
    for module, name, value in (
        (find, "_SLICE", 5),
        (find, "_CANDIDATES", 6),
        (find, "_PAGE", 2),
        (find, "_SAMPLE", 4),
        (find, "_MANY", 2),
        (find, "_QUICK_SAMPLE", 4),
        (find, "_QUICK_MANY", 2),
        (indexing, "NEWEST", 5),
        (indexing, "BLOCK", 3),
        (indexing, "_FETCHED", 2),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.fixture
async def stage(tmp_path: Path, small: None) -> AsyncIterator[Stage]:
    """An empty one."""
    made = await Stage.open(tmp_path)
    yield made
    await made.close()


def _report(chance: random.Random, ids: list[str]) -> dict[str, Any]:
    if not ids or chance.random() < 0.6:
        ids.append(str(uuid.UUID(int=chance.getrandbits(128))))
    return report(
        chance.choice(ids),
        chance.choice(("PENDING", "DELIVERED", "NOT_DELIVERED")),
        Msisdn=f"3519{chance.randrange(30):02d}{chance.randrange(30):02d}",
        OrganizationId=chance.choice(("acme", "ACME-2", None)),
        CustomPayload=chance.choice((None, f"order A-{chance.randrange(20)}", "rare é" if ids[3:] else "")),
    )


WORDS = [
    ("custom:A-1",),
    ("custom:rare",),
    ("custom:nothing",),
    ("351900",),
    ("0007",),
    ("to:3519",),
    ("to:35191", "custom:order"),
    ("org:acme-",),
    ("org:a", "state:pending"),
    ("state:not_delivered",),
    ("is:late",),
    ("is:repeated", "desc:handset"),
    ("id:a",),
    ("be",),
    ("since:2027-01-15T08:00:20Z",),
    ("since:2027-01-15T08:00:45Z", "state:delivered"),
    ("since:2028-01-01",),
    ("is:stuck",),
    ("desc:handset", "custom:order", "to:3519"),
]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9))
@example(seed=1)
def test_the_same_is_found_with_the_index_and_without(
    tmp_path_factory: pytest.TempPathFactory, small: None, seed: int
) -> None:
    """Also while it is being filled, while messages go on changing, and where the clock was set back in between."""

    async def story() -> None:
        chance = random.Random(seed)
        stage = await Stage.open(tmp_path_factory.mktemp("found"))
        try:
            ids: list[str] = []
            for _ in range(4):
                for _ in range(chance.randrange(1, 12)):
                    stage.journal.add(body_of([_report(chance, ids) for _ in range(chance.randrange(1, 5))]))
                    last = stage.journal.batches[-1]
                    at = NOON + (last.sequence + chance.choice((0, 0, 0, -40, 500))) * SECOND
                    stage.journal.batches[-1] = replace(last, received_at=at)
                await stage.project()
                for _ in range(chance.randrange(6)):
                    await stage.indexer.fill_block()
                for words in chance.sample(WORDS, 7):
                    await stage.found(*words)
        finally:
            await stage.close()

    asyncio.run(story())


async def _fill_with(stage: Stage, count: int = 60) -> list[dict[str, Any]]:
    """Messages of which each has an order of its own; the index reaches as far as it can."""
    reports = [report(CustomPayload=f"order A-{number}", Msisdn=f"3519{number:08d}") for number in range(count)]
    for one in reports:
        await stage.take(one)
    await stage.fill()
    return reports


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("custom:A-7",), 1),
        (("custom:A-777",), 0),
        (("00000007",), 1),
        (("0000999",), 0),
        (("state:pending",), 0),
        (("is:late",), 0),
        (("since:2027-01-15T08:00:58Z",), 3),
        (("id:ffff",), 0),
    ],
)
async def test_what_lies_deep_takes_few_steps(stage: Stage, words: tuple[str, ...], count: int) -> None:
    """What the index covers is not gone through: two steps, where there are twelve without it."""
    reports = [*await _fill_with(stage)]
    assert await stage.entries() >= 50
    rows, steps = await stage.found(*words)
    assert len(rows) == count
    assert steps <= 3
    assert stage.steps_up <= 4 or words[0].startswith("since:")  # whose place is at the newer end
    # Without an index, the same takes many steps.
    await stage.indexer.close()
    stage.folder.search.unlink()
    again, steps = await stage.found(*words)
    assert again == rows
    assert steps >= len(reports) // 5


@pytest.mark.parametrize(("word", "looked_up"), [("id:ab", False), ("ab", False), ("id:cd", True), ("cd", True)])
async def test_what_many_begin_with_is_not_looked_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, word: str, looked_up: bool
) -> None:
    """The index has such ids under thousands of words; the same is found step by step, a screenful in one."""
    await stage.take(report(f"cd000000-0000-4000-8000-{0:012}"))
    for number in range(40):
        await stage.take(report(f"ab{number:06}-0000-4000-8000-{number:012}"))
    await stage.fill()
    asked = []
    real = SearchView.candidates

    async def candidates(view: SearchView, words: str, *limits: Any, **bounds: Any) -> list[int]:
        asked.append(words)
        return await real(view, words, *limits, **bounds)

    monkeypatch.setattr(SearchView, "candidates", candidates)
    rows, _ = await stage.found(word)
    assert len(rows) == (1 if looked_up else 40)
    assert bool(asked) == looked_up


async def test_the_newest_are_left_out_and_found(stage: Stage) -> None:
    """What came since is found without being indexed."""
    await _fill_with(stage)
    before = await stage.entries()
    await stage.take(report(CustomPayload="just now"))
    assert not await stage.indexer.fill_block()
    assert await stage.entries() == before
    assert len((await stage.found("custom:just"))[0]) == 1


async def test_a_message_that_changes_is_found_by_what_it_says_now(stage: Stage) -> None:
    """Its entry of before stays, and does no harm."""
    first = report(status="PENDING", ReportDescription="First")
    await stage.take(first)
    await _fill_with(stage)
    assert len((await stage.found("desc:first"))[0]) == 1
    await stage.take({**first, "Status": "DELIVERED", "ReportDescription": "Another"})
    assert len((await stage.found("desc:another"))[0]) == 1
    for _ in range(12):
        await stage.take(report())
    await stage.fill()
    assert len((await stage.found("desc:another"))[0]) == 1
    assert (await stage.found("desc:first"))[0] == []


async def test_a_number_with_a_nul_is_found_as_sql_sees_it(stage: Stage) -> None:
    """Which is up to there: too odd for the property above to come upon by chance."""
    await stage.take(report(Msisdn="44001234\x0077"))
    await _fill_with(stage, 20)
    rows, _ = await stage.found("1234")
    assert [row.msisdn for row in rows] == ["44001234\x0077"]


async def test_an_index_of_another_store_is_not_believed(stage: Stage) -> None:
    """A store whose mark is another, as after a retry of the quarantine, is searched without until it is indexed."""
    await _fill_with(stage)
    await stage.store.fetch("UPDATE settings SET value = 'other' WHERE name = 'search'")
    _, steps = await stage.found("custom:A-7")
    assert steps > 10
    await stage.fill()
    _, steps = await stage.found("custom:A-7")
    assert steps <= 3


async def test_what_a_retry_of_the_quarantine_brings_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of an old batch: the index, which reaches further, has never heard of it."""

    def judge(elements: Elements, index: int, reading: Reading) -> Any:
        if b"strange" in elements.raws[index]:
            return Quarantined(index, elements.raws[index], "yesterday's rules did not understand this")
        return judge_element(elements, index, reading)

    with monkeypatch.context() as patch:
        patch.setattr(projector, "judge_element", judge)
        await stage.take(report(CustomPayload="strange"))
        await _fill_with(stage)
    assert (await stage.found("custom:strange"))[0] == []
    await Healer(stage.journal, stage.store, Reading(UTC), max_elements=500).retry()
    assert len((await stage.found("custom:strange"))[0]) == 1
    await stage.fill()
    rows, steps = await stage.found("custom:strange")
    assert len(rows) == 1
    assert steps <= 3


async def test_a_store_that_takes_anothers_place_has_another_mark(tmp_path: Path) -> None:
    """Settings outlive a store that is put aside; the mark is of that one file."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await store.keep_settings(stuck_after="1")
    await store.mark()
    await store.mark()
    [(mark,)] = await store.fetch("SELECT value FROM settings WHERE name = 'search'")
    await store.fetch("UPDATE totals SET checkpoint = 9")
    await store.close()
    store = await open_store(path, 5)
    assert await store.settings() == {"stuck_after": "1"}
    await store.mark()
    assert (await store.settings())["search"] != mark
    await store.close()


async def test_an_older_copy_of_the_store_is_searched_without(stage: Stage) -> None:
    """The index knows of changes that the copy has yet to see again."""
    await _fill_with(stage)
    await stage.store.fetch("UPDATE totals SET checkpoint = 20")
    _, steps = await stage.found("custom:A-7")
    assert steps > 10


async def test_a_damaged_index_is_made_anew(stage: Stage) -> None:
    """A reader that meets it searches without and says so; the indexer begins again."""
    await _fill_with(stage)
    await stage.indexer.close()
    file = stage.folder.search
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    rows, steps = await stage.found("custom:A-7")
    assert len(rows) == 1
    assert steps > 10
    assert stage.index.damaged
    with pytest.raises(sqlite3.DatabaseError):
        await stage.fill()
    await stage.indexer.close()
    await stage.fill()
    _, steps = await stage.found("custom:A-7")
    assert steps <= 3
    assert stage.checked == 0


@pytest.mark.parametrize("content", [b"no database at all", b"\0" * 5000])
async def test_what_is_no_index_is_not_in_the_way(stage: Stage, content: bytes) -> None:
    """A file that is none is replaced."""
    await _fill_with(stage)
    await stage.indexer.close()
    stage.folder.search.write_bytes(content)
    _, steps = await stage.found("custom:A-7")
    assert steps > 10
    await stage.indexer.open()
    await stage.fill()
    _, steps = await stage.found("custom:A-7")
    assert steps <= 3


async def test_another_programs_file_is_left_alone(stage: Stage) -> None:
    """There is no index then, and nothing is written into it."""
    theirs = sqlite3.connect(stage.folder.search)
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.close()
    content = stage.folder.search.read_bytes()
    for number in range(20):
        await stage.take(report(CustomPayload=f"A-{number}"))
    await stage.indexer.open()
    await asyncio.wait_for(stage.indexer.run(), 10)
    assert stage.folder.search.read_bytes() == content
    assert len((await stage.found("custom:A-7"))[0]) == 1


async def test_an_index_that_was_deleted_comes_again(stage: Stage) -> None:
    """It can be deleted at any time, also while it is open."""
    await _fill_with(stage)
    stage.folder.search.unlink()
    assert len((await stage.found("custom:A-7"))[0]) == 1
    await stage.fill()
    _, steps = await stage.found("custom:A-7")
    assert steps <= 3


async def test_entries_that_stand_for_nothing_are_not_kept_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on changing leaves entries behind; with too many of them the index is made anew."""
    monkeypatch.setattr(indexing, "NEWEST", 2)
    monkeypatch.setattr(indexing, "BLOCK", 2)
    reports = [report() for _ in range(8)]
    most = 0
    for _ in range(12):
        for one in reports:
            await stage.take(one)
        await stage.fill()
        most = max(most, await stage.entries())
    assert most <= 3 * 8 + 8
    assert await stage.entries() > 0


def test_a_service_fills_its_index_and_finds_by_it(tmp_path: Path) -> None:
    """In its idle time, without being asked; another process finds by it."""
    count = indexing.NEWEST + indexing.BLOCK + 1
    made = [report(CustomPayload=f"order A-{number}!") for number in range(count)]

    async def entries() -> int:
        index = SearchIndex(tmp_path / "search.db")
        try:
            async with index.look() as view:
                return 0 if view is None else view.reach.entries
        finally:
            await index.close()

    with RunningService(tmp_path) as service:
        for at in range(0, count, 1_000):
            assert service.post(body_of(made[at : at + 1_000]))[0] == 200
        service.settled()
        while asyncio.run(entries()) < indexing.BLOCK:  # the test's timeout bounds it
            time.sleep(0.05)
        assert (tmp_path / "search.db").stat().st_mode & 0o077 == 0
        assert [one["message_id"] for one in json_lines_of("messages", "A-17!", data_dir=tmp_path)] == [
            made[17]["MessageId"]
        ]
    assert not (tmp_path / "search.db-wal").exists()


async def test_a_damaged_index_is_told_to_the_service(tmp_path: Path) -> None:
    """A reader in another process cannot make it anew."""
    with RunningService(tmp_path) as service:
        assert service.post(body_of([report()]))[0] == 200
        service.settled()
        (tmp_path / "search.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
        monitor = FolderMonitor(Folder(tmp_path), lambda: NOON, no_service)
        try:
            while (tmp_path / "search.db").exists():  # the test's timeout bounds it
                assert len((await monitor.search(parse_filter(["desc:handset"], NOON), 5)).rows) == 1
                await asyncio.sleep(0.05)
        finally:
            await monitor.close()
