"""The quarantine's retry: what today's rules understand becomes what a rebuild would make of it."""

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import RunningService, body_of, conserved, hooklab, json_lines_of, json_of, report
from test_store import MemoryJournal

from hooklab import projector
from hooklab.config import Settings
from hooklab.facts import FAILED_FOR as REASON
from hooklab.healing import Healer, Retried
from hooklab.journal.base import JournalBatch, JournalUnavailable
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.judging import Reading, batch_of, judge_element
from hooklab.projection import Projection
from hooklab.projector import Projector
from hooklab.store.compact import DESCRIPTION, ORGANIZATION, PEER, REPORTED_AT
from hooklab.store.fold import Judged, Quarantined
from hooklab.store.healing import SqliteHealing, bodies_before
from hooklab.store.rewrite import HeldAside, rewrite
from hooklab.store.sqlite import SqliteStore
from hooklab.wire import Elements

LIMIT = 6
IDS = [f"0f8fad5b-d9cb-469f-a165-{number:012x}" for number in range(4)]
TABLES = {
    "messages": "SELECT hex(message_id), rank, seen, final_before, reports, repeats, first_at, new_after, last_after,"
    f" last_arrival, {DESCRIPTION}, msisdn, {ORGANIZATION}, total_segments, custom_payload, pending_at, sent_at"
    " FROM messages ORDER BY 1",
    "ids": "SELECT hex(i.message_id), hex(m.message_id) FROM (SELECT * FROM ids UNION ALL SELECT * FROM recent_ids) i"
    " LEFT JOIN messages m ON m.id = i.message ORDER BY 1",
    "names": "SELECT name FROM names ORDER BY 1",
    "lives": f"SELECT l.hour, o.name, l.what, CASE WHEN l.what = {REASON} THEN r.name ELSE l.detail END, l.count"
    " FROM lives l LEFT JOIN names o ON o.id = l.organization LEFT JOIN names r ON r.id = l.detail"
    " ORDER BY 1, 2, 3, 4",
    "lags": "SELECT * FROM lags ORDER BY 1, 2, 3",
    "retries": "SELECT * FROM retries ORDER BY 1, 2, 3",
    "reports": "SELECT (SELECT hex(message_id) FROM messages m WHERE m.id = message), hex(digest), arrival, status,"
    f" {REPORTED_AT}, {DESCRIPTION}, extra FROM reports ORDER BY 1, 2",
    "repeats": "SELECT hex(m.message_id), p.arrival, hex(p.digest), p.retry FROM repeats p"
    " JOIN messages m ON m.id = p.message ORDER BY 1, 2",
    "batches": f"SELECT sequence, received_at, {PEER}, label, bytes, elements, new, repeats, quarantined, retry_of,"
    " attempt FROM batches ORDER BY sequence",
    "bodies": "SELECT * FROM bodies ORDER BY digest",
    "quarantine": "SELECT * FROM quarantine ORDER BY id",
    "minutes": "SELECT * FROM minutes ORDER BY minute",
    "totals": "SELECT * FROM totals",
}
Picky = Callable[[int, bytes], bool]
"""Whether yesterday's rules did not understand an element (its index, its bytes)."""


def rows_of(path: Path) -> dict[str, list[Any]]:
    """All that a store holds but for the integer keys, which nobody sees."""
    connection = sqlite3.connect(path)
    try:
        return {name: connection.execute(sql).fetchall() for name, sql in TABLES.items()}
    finally:
        connection.close()


def yesterday(patch: pytest.MonkeyPatch, picky: Picky, *, bodies: bool = False) -> None:
    """Rules that understand less than today's; with `bodies` no body that was answered 400 either."""

    def judge(elements: Elements, index: int, reading: Reading) -> Judged | Quarantined:
        if picky(index, elements.raws[index]):
            return Quarantined(index, elements.raws[index], "yesterday's rules did not understand this")
        return judge_element(elements, index, reading)

    patch.setattr(projector, "judge_element", judge)
    if bodies:
        blind = "yesterday's rules saw no array"
        patch.setattr(projector, "why_whole", lambda batch, **_: blind if batch.malformed else None)


async def healed(path: Path, journal: MemoryJournal, heal: int = 1) -> tuple[Retried, dict[str, list[Any]]]:
    """Projects by the rules in force, then retries by today's."""
    store = await SqliteStore.open(path)
    try:
        await Projector(journal, store, assumed=UTC, max_elements=LIMIT).catch_up()
        done = Retried()
        for _ in range(heal):
            done = await Healer(journal, store, Reading(UTC), max_elements=LIMIT).retry()
    finally:
        await store.close()
    return done, rows_of(path)


def compared(journal: MemoryJournal, picky: Picky, *, bodies: bool = False) -> Retried:
    """Asserts that a retry of what yesterday's rules left equals a projection by today's."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        _, wanted = asyncio.run(healed(Path(place) / "today.db", journal, heal=0))
        yesterday(patch, picky, bodies=bodies)
        done, found = asyncio.run(healed(Path(place) / "healed.db", journal))
    for name, rows in wanted.items():
        assert found[name] == rows, name
    return done


element = st.builds(
    lambda number, status, minute, fields: {**report(IDS[number], status), "ReportDateTime": minute, **fields},
    st.integers(0, 3),
    st.sampled_from(["PENDING", "DELIVERED", "NOT_DELIVERED"]),
    st.sampled_from(["2026-11-22T09:31:00Z", "2026-11-22T09:32:00Z", "never"]),
    st.sampled_from([{}, {}, {"TotalSegments": 2}, {"Status": "LOST"}, {"MessageId": 7}, {"CustomPayload": "b"}]),
)
batches = st.lists(
    st.tuples(
        st.lists(element, max_size=LIMIT + 2),
        st.sampled_from([None, "delivered", "pending"]),
        st.booleans(),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(0, 2**32), st.booleans())
def test_a_retry_equals_a_rebuild(drawn: list[Any], seed: int, bodies: bool) -> None:
    """Whatever was not understood yesterday, however often it came and whatever came around it: row by row."""
    journal = MemoryJournal()
    sent: list[tuple[bytes, bool]] = []
    for elements, label, malformed, again in drawn:
        body, flagged = body_of(elements), malformed and bodies
        known = dict(sent).get(body, flagged)  # a body is answered the same each time
        sent.append((body, known))
        journal.add(body, label, malformed=known)
        if again and len(sent) > 1:
            body, known = sent[(seed + again) % len(sent)]
            journal.add(body, label, malformed=known)
    chance = random.Random(seed)
    missed = {(index, body) for body, _ in sent for index in range(LIMIT) if chance.random() < 0.4}
    raws = {raw for index, body in missed for raw in Elements(body, LIMIT).raws[index : index + 1]}
    compared(journal, lambda _, raw: raw in raws, bodies=bodies)


def test_what_is_still_not_understood_stays(tmp_path: Path) -> None:
    """It keeps its place with today's reason; counts say what was tried, healed and left."""
    journal = MemoryJournal()
    journal.add(body_of([report(), {"MessageId": 1}, report()]))
    journal.add(b"{}", malformed=True)
    with pytest.MonkeyPatch.context() as patch:
        yesterday(patch, lambda *_: True)
        done, rows = asyncio.run(healed(tmp_path / "store.db", journal))
    assert (done.tried, done.healed, done.left) == (4, 2, 2)
    assert [row[1] for row in rows["quarantine"]] == [
        "MessageId is not a UUID: 1",
        "the body is JSON, but an object and not an array",
    ]


def test_an_earlier_arrival_takes_the_place_of_a_later_one() -> None:
    """A report that was stored when it came again becomes the repeat of the one that is healed; kinds follow."""
    journal = MemoryJournal()
    pending, final = report(IDS[0], "PENDING"), report(IDS[0], "DELIVERED")
    journal.add(body_of([final]), "pending")
    journal.add(body_of([pending]))
    journal.add(body_of([final, pending]))
    first = True

    def once(_: int, raw: bytes) -> bool:
        nonlocal first
        missed, first = first and b'"DELIVERED"' in raw, False
        return missed

    assert compared(journal, once).healed == 1


def test_what_cannot_be_written_stays_and_its_neighbours_do_not(tmp_path: Path) -> None:
    """A retry that fails for one element heals the others of its batch."""
    journal = MemoryJournal()
    journal.add(body_of([report(one) for one in IDS]))
    poison = bytes.fromhex(IDS[2].replace("-", ""))
    apply = SqliteHealing.apply

    async def fails(self: SqliteHealing, changes: Any) -> None:
        if any(message.message_id == poison for message in changes.messages):
            raise sqlite3.IntegrityError("made to fail")
        await apply(self, changes)

    with pytest.MonkeyPatch.context() as patch:
        yesterday(patch, lambda *_: True)
        patch.setattr(SqliteHealing, "apply", fails)
        done, rows = asyncio.run(healed(tmp_path / "store.db", journal))
    assert (done.healed, done.left) == (3, 1)
    assert len(rows["messages"]) == 3


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), JournalUnavailable("gone")])
def test_a_fault_of_the_disk_is_no_fault_of_an_element(tmp_path: Path, error: Exception) -> None:
    """It ends the retry, and what is in quarantine stays as it is."""
    journal = MemoryJournal()
    journal.add(body_of([report(one) for one in IDS]))

    async def fails(self: SqliteHealing, changes: Any) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        yesterday(patch, lambda *_: True)
        patch.setattr(SqliteHealing, "apply", fails)
        with pytest.raises(type(error)):
            asyncio.run(healed(tmp_path / "store.db", journal))
    assert len(rows_of(tmp_path / "store.db")["quarantine"]) == 4


async def test_ten_thousand_odd_elements_keep_nobody_waiting(tmp_path: Path) -> None:
    """They are tried again in a moment, all together, and the service's loop has its turns meanwhile."""
    journal = MemoryJournal()
    journal.add(b"[" + b"0," * 9_999 + b"0]")
    store = await SqliteStore.open(tmp_path / "store.db")
    try:
        await Projector(journal, store, assumed=UTC, max_elements=10_000).catch_up()
        retrying = asyncio.create_task(Healer(journal, store, Reading(UTC), max_elements=10_000).retry())
        longest, looked = 0.0, time.monotonic()
        while not retrying.done():
            await asyncio.sleep(0.001)
            longest, looked = max(longest, time.monotonic() - looked), time.monotonic()
        assert await retrying == Retried(tried=10_000, healed=0, left=10_000)
    finally:
        await store.close()
    assert longest < 1.0


def test_a_body_that_came_a_thousand_times_is_looked_at_once(tmp_path: Path) -> None:
    """As long as it is not understood, the others of its kind are not even read: there may be any number of them."""

    class Counting(MemoryJournal):
        read_again = 0

        async def get(self, sequence: int) -> JournalBatch | None:
            self.read_again += 1
            return await super().get(sequence)

    journal = Counting()
    for _ in range(1000):
        journal.add(b"{}", malformed=True)
    done, rows = asyncio.run(healed(tmp_path / "store.db", journal))
    assert (done.tried, done.left) == (1, 1)
    assert [row[3] for row in rows["quarantine"]] == [1000]
    assert journal.read_again == 1


def test_a_flood_of_distinct_bodies_is_not_searched_for_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for a body's copies goes through all batches: done for none that came once, or is not understood."""
    journal = MemoryJournal()
    for at in range(20):
        journal.add(body_of([report()]), malformed=True)
        journal.add(b"{%d" % at, malformed=True)
        journal.add(b"{%d" % at, malformed=True)
    yesterday(monkeypatch, lambda *_: False, bodies=True)
    monkeypatch.setattr(SqliteHealing, "same_body", None)
    done, _ = asyncio.run(healed(tmp_path / "store.db", journal))
    assert (done.tried, done.healed, done.left) == (40, 20, 20)


# through the doors

_OLD = """
import sys
from hooklab import projector
from hooklab.judging import judge_element
from hooklab.store.fold import Quarantined
def judge(elements, index, reading):
    if b"NEW" in elements.raws[index]:
        return Quarantined(index, elements.raws[index], "not understood yet")
    return judge_element(elements, index, reading)
projector.judge_element = judge
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


class OldService(RunningService):
    """A service that does not understand elements with NEW in them."""

    def command(self) -> list[str]:
        """With yesterday's rules put in."""
        return [sys.executable, "-c", _OLD, *super().command()[3:]]


@pytest.mark.parametrize("running", [True, False])
def test_retry_by_the_service_and_without_one(tmp_path: Path, running: bool) -> None:
    """The running service carries it out, or the command itself where none runs; the counters hold, and a rebuild
    changes nothing.
    """
    folder = tmp_path / "data"
    new = [report(IDS[0], "PENDING", CustomPayload="NEW"), report(IDS[1], "DELIVERED", CustomPayload="NEW")]
    with OldService(folder) as service:
        service.post(body_of([report(IDS[0], "DELIVERED"), *new]))
        service.post(body_of([*new, 17]))
        assert service.settled()["quarantined"] == 5
    if running:
        with RunningService(folder) as service:
            done = json_of("quarantine", "retry", data_dir=folder)
            counters = service.settled()
    else:
        done = json_of("quarantine", "retry", data_dir=folder)
        counters = json_of("stats", data_dir=folder)
    assert done == {"tried": 5, "healed": 4, "left": 1}
    assert (counters["quarantined"], counters["reports"], counters["repeats"]) == (1, 3, 2)
    assert conserved(counters)
    kinds = [one["kind"] for one in json_of("show", IDS[0], data_dir=folder)["timeline"]]
    assert kinds == ["final", "pending", "duplicate"]
    before = rows_of(folder / "store.db")
    assert hooklab("rebuild", "--yes", data_dir=folder).returncode == 0
    assert rows_of(folder / "store.db") == before
    [left] = json_lines_of("quarantine", data_dir=folder)
    assert left["reason"] == "the element is not an object"


def test_retry_says_what_it_did(tmp_path: Path) -> None:
    """In words; an empty quarantine too; a folder that is held by a service that does not answer is an error."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        assert b"nothing is in quarantine" in hooklab("quarantine", "retry", data_dir=folder).stdout
        service.post(json.dumps({"a": 1}).encode())
        service.post(body_of([1]))
        service.settled()
        assert hooklab("quarantine", "retry", data_dir=folder).stdout == (
            b"0 of 2 understood now, 2 stay in quarantine\n"
        )
        (folder / "hooklab.sock").unlink()
        refused = hooklab("quarantine", "retry", data_dir=folder)
        assert refused.returncode == 1
        assert b"already runs" in refused.stderr


def test_a_repeat_is_a_retry_also_where_the_first_batch_is_not_looked_at() -> None:
    """How often a body came before the batches that are folded anew decides between retry and duplicate."""
    assert bodies_before({3: (3, 1), 5: (2, 3), 9: (2, 4)}, [(3, b"a"), (5, b"b"), (9, b"b")]) == {b"b": (2, 2, None)}
    journal = MemoryJournal()
    journal.add(body_of([report(IDS[0])]))
    elements = Elements(journal.batches[0].body, LIMIT)
    one = judge_element(elements, 0, Reading(UTC))
    assert isinstance(one, Judged)
    alone = [batch_of(replace(journal.batches[0], sequence=4), 2, [one, replace(one, index=1)], [])]
    digest = alone[0].digest
    assert [row[3] for row in rewrite(alone, alone, HeldAside({}, {}, 1, {})).repeats] == [0]
    assert [row[3] for row in rewrite(alone, alone, HeldAside({digest: (2, 2, None)}, {}, 1, {})).repeats] == [1]


async def test_who_asks_while_a_retry_runs_gets_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one pass at a time, however often it is asked for; the next one is another."""
    begun, go_on = asyncio.Semaphore(0), asyncio.Semaphore(0)
    passes = 0

    async def retry(_: Healer) -> Retried:
        nonlocal passes
        passes += 1
        number = passes
        begun.release()
        await go_on.acquire()
        return Retried(tried=number)

    monkeypatch.setattr(Healer, "retry", retry)
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits())
    projection = await Projection.open(tmp_path / "store.db", journal, Settings())
    try:
        several = [asyncio.create_task(projection.retry_quarantine()) for _ in range(3)]
        await begun.acquire()
        several[0].cancel()  # who asked goes away: the others still get it
        go_on.release()
        assert await several[1] == await several[2] == Retried(tried=1)
        again = asyncio.create_task(projection.retry_quarantine())
        await begun.acquire()
        go_on.release()
        assert await again == Retried(tried=2)
    finally:
        await projection.close()
        await journal.close()
