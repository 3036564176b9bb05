"""The store: one contract for every backend, through the projector and the reader, and what is SQLite's own."""

import asyncio
import random
import sqlite3
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from support import Report, body_of, conserved, pair, report
from test_journal import batch

from hooklab.filters import parse_filter
from hooklab.journal.base import JournalBatch, digest_of
from hooklab.metrics import Counters, Signs
from hooklab.projector import Projector
from hooklab.rules import WHOLE_BODY, pack
from hooklab.store import find
from hooklab.store.base import ALL, MessageDetail, MessageRow, Store, StoreError, StoreReader
from hooklab.store.compact import NEW_AT
from hooklab.store.fold import JudgedBatch
from hooklab.store.ids import TABLES
from hooklab.store.opening import open_store
from hooklab.store.read import SqliteStoreReader, word_begins
from hooklab.store.sqlite import SqliteStore
from hooklab.times import HOUR, MINUTE, SECOND
from hooklab.wire import parse_uuid

NOON = 1_800_000_000 * SECOND
"""When the first batch of a test is received; each next one comes a second later."""


class MemoryJournal:
    """A journal for the projector, without a disk."""

    def __init__(self) -> None:
        self.batches: list[JournalBatch] = []
        self.now: int | None = None

    def add(self, body: bytes, label: str | None = None, *, malformed: bool = False) -> None:
        new = batch(body, label=label, malformed=malformed)
        at = len(self.batches) + 1
        received_at = self.now or NOON + at * SECOND
        self.batches.append(
            JournalBatch(at, received_at, 1, new.peer, label, new.headers, body, digest_of(body), malformed)
        )

    def is_busy(self) -> bool:
        return False

    async def append(self, batch: Any) -> None:
        raise NotImplementedError

    async def read(self, after: int, max_bytes: int) -> list[JournalBatch]:
        return self.batches[after:]

    async def get(self, sequence: int) -> JournalBatch | None:
        return self.batches[sequence - 1]

    async def span(self) -> tuple[int, int]:
        return 1, len(self.batches)

    async def given(self) -> int:
        return len(self.batches)

    async def reserve(self, sequence: int) -> None:
        pass

    async def wait_beyond(self, sequence: int) -> None:
        if len(self.batches) <= sequence:
            await asyncio.get_running_loop().create_future()

    def queue_depth(self) -> int:
        return 0

    def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        pass


class Bench:
    """A store, its reader, and a journal to fill it from."""

    def __init__(self, store: Store, reader: StoreReader) -> None:
        self.store = store
        self.reader = reader
        self.journal = MemoryJournal()

    async def take(self, *batches: Sequence[Any] | bytes, label: str | None = None) -> Counters:
        for one in batches:
            self.journal.add(one if isinstance(one, bytes) else body_of(one), label)
        return await self.project()

    async def take_malformed(self, body: bytes) -> Counters:
        self.journal.add(body, malformed=True)
        return await self.project()

    async def project(self) -> Counters:
        await Projector(self.journal, self.store, assumed=UTC, max_elements=5).catch_up()
        counters = await self.reader.counters(len(self.journal.batches))
        assert conserved({name: getattr(counters, name) for name in counters.__struct_fields__})
        assert counters.lag == 0
        return counters

    async def show(self, message_id: str) -> MessageDetail:
        key = parse_uuid(message_id)
        assert key is not None
        found = await self.reader.message(key)
        assert found is not None
        return found


class StoreContract:
    """What every backend must do. A backend's class gives the fixture `bench`, whose clock stands at `self.now`."""

    now = NOON + HOUR

    async def test_starts_empty(self, bench: Bench) -> None:
        """Nothing is counted, found or projected in a new store."""
        assert await bench.store.checkpoint() == 0
        assert await bench.reader.counters(0) == Counters()
        assert await bench.reader.messages(ALL, 10) == []
        assert await bench.reader.batches(10) == []
        assert await bench.reader.quarantine(10) == []
        assert await bench.reader.message(uuid.uuid4().bytes) is None

    async def test_counts_the_common_pair(self, bench: Bench) -> None:
        """PENDING and DELIVERED of one message in one batch: two reports, one message, delivered."""
        counters = await bench.take(pair())
        assert counters == Counters(batches=1, elements=2, reports=2, messages=1, delivered=1)
        assert await bench.store.checkpoint() == 1

    async def test_one_message_as_the_design_says(self, bench: Bench) -> None:
        """Attributes, times and timeline of a message that came in two batches."""
        message_id = str(uuid.uuid4())
        await bench.take([report(message_id, "PENDING", ReportDateTime="2026-11-22 09:31:00+01:00")], label="pending")
        await bench.take([report(message_id, "NOT_DELIVERED", ReportDateTime="2026-11-22T09:31:02.1234567")])
        found = await bench.show(message_id.upper())
        message = found.message
        assert (message.message_id, message.state, message.flags) == (message_id, "NOT_DELIVERED", [])
        assert (message.description, message.msisdn) == ("Absent subscriber", "351900000123")
        assert (message.total_segments, message.custom_payload) == (1, '{"order": 4711}')
        assert (message.first_received_at, message.last_received_at) == (NOON + SECOND, NOON + 2 * SECOND)
        assert message.final_at == 1_795_339_862_123_456
        assert message.arrivals == 2
        first, last = found.timeline
        assert (first.kind, first.status, first.reported_at) == ("pending", "PENDING", "2026-11-22 09:31:00+01:00")
        assert (first.batch, first.index, first.label, first.received_at) == (1, 0, "pending", NOON + SECOND)
        assert (last.kind, last.status, last.label) == ("final", "NOT_DELIVERED", None)

    async def test_a_retried_batch_changes_nothing_but_repeats(self, bench: Bench) -> None:
        """The same body again: retries and repeats are counted, each arrival is on the timeline as `retry`."""
        reports = pair()
        before = await bench.take(reports)
        after = await bench.take(reports, reports)
        assert (after.retries, after.repeats, after.duplicates) == (2, 4, 0)
        assert (after.reports, after.messages, after.delivered) == (before.reports, before.messages, before.delivered)
        found = await bench.show(reports[0]["MessageId"])
        assert [one.kind for one in found.timeline] == ["pending", "final"] + ["retry"] * 4
        assert found.message.flags == ["repeated"]
        rows = await bench.reader.batches(10)
        assert [(row.batch, row.retry_of, row.attempt, row.new, row.repeats) for row in rows] == [
            (3, 1, 3, 0, 2),
            (2, 1, 2, 0, 2),
            (1, None, 1, 2, 0),
        ]

    async def test_a_regrouped_report_is_a_duplicate(self, bench: Bench) -> None:
        """The same report in another batch, or twice in one, is a `duplicate`."""
        reports = pair()
        await bench.take(reports)
        counters = await bench.take([reports[1], *pair()], [reports[0], reports[0]])
        assert (counters.retries, counters.repeats, counters.duplicates) == (0, 3, 3)
        found = await bench.show(reports[0]["MessageId"])
        assert [one.kind for one in found.timeline] == ["pending", "final", "duplicate", "duplicate", "duplicate"]

    async def test_twice_in_one_new_batch(self, bench: Bench) -> None:
        """The second of two equal elements of a first batch is a duplicate already."""
        one = report()
        counters = await bench.take([one, one])
        assert (counters.reports, counters.repeats, counters.duplicates) == (1, 1, 1)

    async def test_late_only_after_a_final_of_an_earlier_batch(self, bench: Bench) -> None:
        """A PENDING behind its final in one batch is not late; in a later batch it is, and the state stays."""
        pending, final = pair()
        counters = await bench.take([final, pending])
        assert counters.late == 0
        counters = await bench.take([{**pending, "ReportDateTime": "2026-11-22T09:31:01Z"}])
        assert (counters.late, counters.delivered, counters.pending) == (1, 1, 0)
        found = await bench.show(final["MessageId"])
        assert [one.kind for one in found.timeline] == ["final", "pending", "late"]
        assert found.message.flags == ["late"]

    async def test_conflict_and_final_again(self, bench: Bench) -> None:
        """Another final of the same kind is `final-again`, one of the other kind `conflict`; the newest decides."""
        message_id = str(uuid.uuid4())
        await bench.take([report(message_id, "DELIVERED", ReportDateTime="2026-11-22T10:00:00Z")])
        await bench.take([report(message_id, "DELIVERED", ReportDateTime="2026-11-22T10:00:01Z")])
        counters = await bench.take([report(message_id, "NOT_DELIVERED", ReportDateTime="2026-11-22T10:00:02Z")])
        assert (counters.conflicts, counters.delivered, counters.not_delivered) == (1, 0, 1)
        found = await bench.show(message_id)
        assert [one.kind for one in found.timeline] == ["final", "final-again", "conflict"]
        assert (found.message.state, found.message.flags) == ("NOT_DELIVERED", ["conflict"])
        counters = await bench.take([report(message_id, "DELIVERED", ReportDateTime="2026-11-22T10:00:02Z")])
        assert (counters.conflicts, counters.delivered, counters.not_delivered) == (1, 1, 0)

    async def test_a_label_that_names_another_state_is_flagged_and_not_believed(self, bench: Bench) -> None:
        """The payload's Status decides; the message carries `label_mismatch`."""
        one = report(status="DELIVERED")
        await bench.take([one], label="not-delivered")
        found = await bench.show(one["MessageId"])
        assert (found.message.state, found.message.flags) == ("DELIVERED", ["label_mismatch"])

    async def test_a_repeat_under_a_wrong_label_is_flagged(self, bench: Bench) -> None:
        """The flag looks at every arrival, since it shows a wrong URL in the provider's request."""
        one = report(status="DELIVERED")
        await bench.take([one], label="delivered")
        await bench.take([one], label="pending")
        assert (await bench.show(one["MessageId"])).message.flags == ["label_mismatch", "repeated"]

    async def test_misfits_go_to_quarantine_alone(self, bench: Bench) -> None:
        """Neighbours are stored; the misfit is kept with its index, its reason and its bytes."""
        good = pair()
        counters = await bench.take([good[0], {"MessageId": "abc", "Status": "DELIVERED"}, good[1]])
        assert (counters.elements, counters.reports, counters.quarantined, counters.malformed) == (3, 2, 1, 0)
        [row] = await bench.reader.quarantine(10)
        assert (row.id, row.batch, row.index, row.count) == (pack(1, 1), 1, 1, 1)
        assert row.reason == "MessageId is not a UUID: 'abc'"
        kept = await bench.reader.quarantined(row.id)
        assert kept is not None
        assert (kept.row, kept.raw) == (row, b'{"MessageId": "abc", "Status": "DELIVERED"}')
        assert await bench.reader.quarantined(row.id + 1) is None
        assert await bench.reader.quarantined_in(1) == {1: row.reason}

    async def test_a_misfit_that_comes_again_is_kept_again(self, bench: Bench) -> None:
        """Quarantined elements are one per arrival, also in a retried batch."""
        counters = await bench.take([1], [1], [2, 1])
        assert (counters.elements, counters.quarantined, counters.retries) == (4, 4, 1)
        assert [(row.batch, row.index) for row in await bench.reader.quarantine(10)] == [
            (3, 1),
            (3, 0),
            (2, 0),
            (1, 0),
        ]

    async def test_a_malformed_body_is_shown_once_with_a_count(self, bench: Bench) -> None:
        """However often it comes; `malformed` counts distinct bodies, `batches` and `elements` do not count them."""
        await bench.take_malformed(b"{}")
        await bench.take_malformed(b"{}")
        counters = await bench.take_malformed(b"nonsense")
        assert (counters.batches, counters.malformed, counters.quarantined, counters.elements) == (0, 2, 2, 0)
        assert counters.retries == 0
        rows = await bench.reader.quarantine(10)
        assert [(row.id, row.batch, row.index, row.count) for row in rows] == [
            (pack(3, WHOLE_BODY), 3, None, 1),
            (pack(1, WHOLE_BODY), 1, None, 2),
        ]
        assert [row.reason for row in rows] == [
            "the body is not JSON",
            "the body is JSON, but an object and not an array",
        ]
        kept = await bench.reader.quarantined(rows[1].id)
        assert kept is not None
        assert kept.raw == b"{}"

    async def test_a_malformed_body_that_comes_twice_in_one_chunk(self, bench: Bench) -> None:
        """Counting does not depend on how chunks fall."""
        for _ in range(3):
            bench.journal.add(b"{}", malformed=True)
        counters = await bench.project()
        assert (counters.malformed, counters.quarantined) == (1, 1)
        assert [row.count for row in await bench.reader.quarantine(10)] == [3]

    async def test_what_lies_beyond_the_limit_is_one_remainder(self, bench: Bench) -> None:
        """Of more than max_elements (5 here) the rest is one row that counts for all its elements."""
        counters = await bench.take([report() for _ in range(8)])
        assert (counters.elements, counters.reports, counters.quarantined) == (8, 5, 3)
        [row] = await bench.reader.quarantine(10)
        assert (row.index, row.reason) == (5, "3 elements beyond the first 5 of one array were not read")
        kept = await bench.reader.quarantined(row.id)
        assert kept is not None
        assert kept.raw.count(b"MessageId") == 3

    async def test_a_search_looks_at_few_messages_a_step(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step says how far down it looked, also where it found nothing; the last that it is the last."""
        monkeypatch.setattr(find, "_SLICE", 3)
        reports = [report(Msisdn=f"35190000000{number % 5}") for number in range(10)]
        await bench.take(*([one] for one in reports))
        where = parse_filter(["0004"], NOON)
        found: list[str] = []
        before, steps = None, 0
        while True:
            step = await bench.reader.search(where, 1, before)
            assert step.newest == pack(10, 0)
            found += [row.message_id for row in step.rows]
            before, steps = step.reached, steps + 1
            if before is None:
                break
        assert found == [reports[9]["MessageId"], reports[4]["MessageId"]]
        assert steps > 3

    async def test_a_search_for_few_goes_straight_to_them(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What an index finds takes one step, however deep it lies."""
        monkeypatch.setattr(find, "_SLICE", 3)
        first = report()
        await bench.take([first], [report(first["MessageId"], "NOT_DELIVERED")], label="pending")
        await bench.take(*([report()] for _ in range(10)))
        for word in ("is:conflict", "is:label_mismatch", f"id:{first['MessageId'][:8]}"):
            step = await bench.reader.search(parse_filter([word], NOON), 5)
            assert [row.message_id for row in step.rows] == [first["MessageId"]]
            assert step.reached is None

    @pytest.mark.parametrize("words", [[], ["desc:rare"], ["is:label_mismatch"]])
    async def test_a_search_goes_upwards_too(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, words: list[str]
    ) -> None:
        """Steps up from the oldest find what steps down from the newest do, each once."""
        monkeypatch.setattr(find, "_SLICE", 3)
        for at in range(11):
            rare = at % 4 == 1
            await bench.take(
                [report(ReportDescription="rare" if rare else "usual")], label="pending" if rare else None
            )
        where, after = parse_filter(words, NOON), 0
        found: list[MessageRow] = []
        while True:
            step = await bench.reader.newer(where, 2, after)
            found = [*step.rows, *found]
            assert step.newest == pack(11, 0)
            if step.reached is None:
                break
            assert step.reached > after
            after = step.reached
        assert found == await bench.reader.messages(where, 100)
        assert len(found) == (3 if words else 11)

    async def test_batches_page_both_ways(self, bench: Bench) -> None:
        """Those next above a number are given newest first, as all are."""
        await bench.take(*([report()] for _ in range(6)))
        assert [row.batch for row in await bench.reader.batches(2, after=2)] == [4, 3]
        assert [row.batch for row in await bench.reader.batches(9, after=4)] == [6, 5]
        assert [row.batch for row in await bench.reader.batches(2, before=4)] == [3, 2]
        await bench.take(*([{"MessageId": word}] for word in ("a", "b", "c")))
        assert [row.batch for row in await bench.reader.quarantine(2, after=pack(6, 0))] == [8, 7]

    async def test_a_moment_has_its_place(self, bench: Bench) -> None:
        """The last batch at or before a moment is found, whichever numbers are missing."""
        assert await bench.reader.batch_at(NOON) == 0
        times = [NOON + number * MINUTE for number in range(40)]
        for at in times:
            bench.journal.now = at
            await bench.take([report()])
        places = [await bench.reader.batch_at(at + shift) for at in times for shift in (-1, 0, 1)]
        assert places == [number + (shift >= 0) for number in range(40) for shift in (-1, 0, 1)]

    async def test_a_moment_has_a_place_where_the_clock_was_set_back(self, bench: Bench) -> None:
        """Of the several places that a moment has then, one is given: before it or at it, and after it."""
        minutes = [0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
        for at in minutes:
            bench.journal.now = NOON + at * MINUTE
            await bench.take([report()])
        for wanted in range(7):
            place = await bench.reader.batch_at(NOON + wanted * MINUTE)
            assert minutes[place - 1] <= wanted
            assert place == len(minutes) or minutes[place] > wanted

    async def test_signs_say_since_when(self, bench: Bench) -> None:
        """The last batch, what is stuck for longest, the newest in quarantine and in conflict have their times."""
        assert await bench.reader.signs() == Signs(stuck_after=self.stuck_after)
        one = report()
        bench.journal.now = self.now - 2 * self.stuck_after
        await bench.take([report(status="PENDING")], [{"MessageId": "abc"}])
        bench.journal.now = self.now - MINUTE
        await bench.take([one], [report(one["MessageId"], "NOT_DELIVERED")], [report(status="PENDING")])
        assert await bench.reader.signs() == Signs(
            stuck_after=self.stuck_after,
            last_at=self.now - MINUTE,
            stuck_since=self.now - self.stuck_after,
            quarantined_at=self.now - 2 * self.stuck_after,
            conflict_at=self.now - MINUTE,
        )

    async def test_what_is_no_news_is_no_sign(self, bench: Bench) -> None:
        """A report that comes again makes no old conflict a new one; a body that is answered 400 ends no silence."""
        one = report()
        bench.journal.now = self.now - 5 * HOUR
        await bench.take([one], [report(one["MessageId"], "NOT_DELIVERED")])
        before = await bench.reader.signs()
        bench.journal.now = self.now
        await bench.take([one], label="pending")
        again = await bench.reader.signs()
        assert (again.conflict_at, before.conflict_at) == (self.now - 5 * HOUR,) * 2
        bench.journal.now = self.now + 2 * HOUR
        await bench.take_malformed(b"{}")
        assert (await bench.reader.signs()).last_at == again.last_at

    async def test_a_silence_is_a_sign_where_it_is_not_usual(self, bench: Bench) -> None:
        """After a steady stream it is one once nothing has come for long; after a single batch it is none."""
        bench.journal.now = self.now - 5 * HOUR
        await bench.take([report()])
        assert not (await bench.reader.signs()).silent
        for minute in range(300, 60, -1):
            bench.journal.now = self.now - minute * MINUTE
            await bench.take([report()])
        assert (await bench.reader.signs()).silent
        bench.journal.now = self.now
        await bench.take([report()])
        assert not (await bench.reader.signs()).silent

    async def test_what_changed_since_a_cursor(self, bench: Bench) -> None:
        """Every message with later activity is given, newest first, with whether the filter lets it through now."""
        one, two, three = report(status="PENDING"), report(status="PENDING"), report(status="PENDING")
        await bench.take([one], [two], [three])
        [newest, *_] = await bench.reader.messages(ALL, 1)
        assert await bench.reader.changed(ALL, newest.cursor, 10) == []
        await bench.take([report(one["MessageId"], "DELIVERED")], [two])
        changed = await bench.reader.changed(parse_filter(["state:pending"], NOON), newest.cursor, 10)
        assert [(change.row.message_id, change.matches) for change in changed] == [
            (two["MessageId"], True),
            (one["MessageId"], False),
        ]

    async def test_newest_activity_first_with_pages(self, bench: Bench) -> None:
        """Any arrival, a repeat too, brings a message to the top; `before` gives what follows."""
        reports = [report() for _ in range(4)]
        await bench.take(*([one] for one in reports))
        await bench.take([reports[1], reports[3]])
        rows = await bench.reader.messages(ALL, 3)
        ids = [one["MessageId"] for one in reports]
        assert [row.message_id for row in rows] == [ids[3], ids[1], ids[2]]
        rest = await bench.reader.messages(ALL, 3, before=rows[-1].cursor)
        assert [row.message_id for row in rest] == [ids[0]]

    async def test_stuck_is_pending_with_nothing_new_for_too_long(self, bench: Bench) -> None:
        """A repeat is nothing new; a final ends it."""
        waiting = report(status="PENDING", ReportDateTime="x")
        fresh = report(status="PENDING")
        await bench.take([waiting], [fresh])
        await bench.take([waiting])
        assert self.stuck_after < self.now - NOON
        counters = await bench.reader.counters(3)
        assert (counters.pending, counters.stuck) == (2, 2)
        assert (await bench.show(waiting["MessageId"])).message.flags == ["repeated", "stuck"]
        counters = await bench.take([{**fresh, "Status": "DELIVERED"}])
        assert (counters.pending, counters.stuck) == (1, 1)

    stuck_after = 30 * MINUTE

    async def test_minutes_add_up(self, bench: Bench) -> None:
        """Per-minute counters hold what the minute brought, by the time of receiving."""
        await bench.take(pair(), [report(status="NOT_DELIVERED"), 1])
        [minute] = await bench.reader.minutes(0)
        assert minute.minute == (NOON + SECOND) // MINUTE
        assert (minute.batches, minute.elements, minute.reports, minute.quarantined) == (2, 4, 3, 1)
        assert (minute.delivered, minute.not_delivered, minute.pending) == (1, 1, 1)
        assert await bench.reader.minutes(minute.minute + 1) == []

    async def test_a_try_leaves_nothing_behind(self, bench: Bench) -> None:
        """`keep=False` writes and takes it back."""
        judged = JudgedBatch(1, NOON, "p", None, b"d" * 16, 2, 0, [], [])
        await bench.store.project([judged], keep=False)
        assert await bench.store.checkpoint() == 0
        assert await bench.reader.batches(10) == []

    async def test_order_grouping_and_repetition_change_no_state(self, bench: Bench) -> None:
        """Whatever the order, the grouping and the repetitions, state, conflict and attributes are the same."""
        seed = random.Random(11)
        lives = [_life(seed) for _ in range(30)]
        ids = [life[0]["MessageId"] for life in lives]
        await bench.take(*lives)
        first = {one: await bench.show(one) for one in ids}
        shuffled = [one for life in lives for one in life for _ in range(seed.choice((1, 1, 2)))]
        seed.shuffle(shuffled)
        renamed = {one: str(uuid.UUID(int=seed.getrandbits(128), version=4)) for one in ids}
        again = [{**one, "MessageId": renamed[one["MessageId"]]} for one in shuffled]
        while again:
            size = seed.choice((1, 2, 3, 5))
            await bench.take(again[:size])
            again = again[size:]
        for old, new in renamed.items():
            then, now = first[old].message, (await bench.show(new)).message
            for name in ("state", "description", "msisdn", "organization_id", "total_segments", "final_at"):
                assert getattr(then, name) == getattr(now, name), name
            assert then.custom_payload == now.custom_payload
            assert ("conflict" in then.flags) == ("conflict" in now.flags)

    async def test_lone_values_that_databases_dislike(self, bench: Bench) -> None:
        """NUL in texts, numbers beyond 64 bits and empty strings are kept or counted as missing, never refused."""
        one = report(Msisdn="", ReportDescription="a\x00b", TotalSegments=10**30, CustomPayload="\U0001f600")
        counters = await bench.take([one])
        assert (counters.reports, counters.quarantined) == (1, 0)
        message = (await bench.show(one["MessageId"])).message
        assert (message.msisdn, message.description, message.total_segments) == ("", "a\x00b", None)
        assert message.custom_payload == "\U0001f600"


def _life(seed: random.Random) -> list[Report]:
    message_id = str(uuid.UUID(int=seed.getrandbits(128), version=4))
    times = [f"2026-11-22T09:31:0{number}Z" for number in range(4)] + ["not a time"]
    return [
        report(
            message_id,
            seed.choice(("PENDING", "DELIVERED", "NOT_DELIVERED")),
            ReportDateTime=seed.choice(times),
            ReportDescription=seed.choice(("a", "b", "c")),
            Msisdn=seed.choice(("351900000123", "351900000124")),
            TotalSegments=seed.choice((1, 2, None)),
        )
        for _ in range(seed.choice((1, 2, 3, 4)))
    ]


class TestSqliteStore(StoreContract):
    """The contract on a real file."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.keep_settings(stuck_after=str(self.stuck_after))
        reader = await SqliteStoreReader.open(tmp_path / "store.db", lambda: self.now)
        yield Bench(store, reader)
        await reader.close()
        await store.close()

    @pytest.mark.parametrize(
        ("word", "index"),
        [
            ("is:stuck", "messages_pending"),
            ("is:conflict", "messages_in_conflict"),
            ("is:label_mismatch", "messages_mismatched"),
        ],
    )
    async def test_a_narrow_search_uses_its_own_index(self, bench: Bench, word: str, index: str) -> None:
        """With values bound, as they are in life: SQLite then plans otherwise than with literals."""
        reader = bench.reader
        assert isinstance(reader, SqliteStoreReader)
        plans: list[str] = []
        fetch = reader._fetch

        async def explained(sql: str, values: Any = ()) -> list[Any]:
            plans.extend(row[3] for row in await fetch(f"EXPLAIN QUERY PLAN {sql}", values))
            return await fetch(sql, values)

        reader._fetch = explained  # type: ignore[method-assign]
        await reader.search(parse_filter([word], NOON), 5)
        assert any(f"INDEX {index}" in plan for plan in plans)
        assert not any("messages_by_activity" in plan and "COVERING" not in plan for plan in plans)

    async def test_an_id_is_looked_up_in_both_its_tables(self, bench: Bench) -> None:
        """Also a beginning of one, with whatever else is asked; and nothing else is looked at."""
        reader = bench.reader
        assert isinstance(reader, SqliteStoreReader)
        plans: list[str] = []
        fetch = reader._fetch

        async def explained(sql: str, values: Any = ()) -> list[Any]:
            plans.extend(row[3] for row in await fetch(f"EXPLAIN QUERY PLAN {sql}", values))
            return await fetch(sql, values)

        reader._fetch = explained  # type: ignore[method-assign]
        await reader.search(parse_filter(["id:11111111", "state:pending", "since:1h"], NOON), 5)
        assert {one for one in plans if "ids" in one} == {
            f"SEARCH {table} USING PRIMARY KEY (message_id>? AND message_id<?)" for table in TABLES
        }
        assert "SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)" in plans
        assert not any(
            "messages" in one and ("SCAN" in one or "INDEX" in one) and "COVERING" not in one for one in plans
        )

    async def test_queries_of_the_hot_path_use_indexes(self, bench: Bench) -> None:
        """No lookup of the projector and no newest-first page scans a table."""
        assert isinstance(bench.store, SqliteStore)
        for sql in (
            "SELECT message FROM ids WHERE message_id IN (VALUES (1),(2))",
            "SELECT message FROM recent_ids WHERE message_id IN (VALUES (1),(2))",
            "SELECT 1 FROM messages WHERE id IN (VALUES (1),(2))",
            "SELECT 1 FROM (VALUES (1, 2)) AS v CROSS JOIN reports ON message = column1 AND digest = column2",
            "SELECT 1 FROM bodies WHERE digest IN (VALUES (1),(2))",
            "SELECT 1 FROM messages WHERE 1 AND last_arrival < 5 ORDER BY last_arrival DESC LIMIT 9",
            f"SELECT count(*) FROM messages WHERE rank < 0 AND {NEW_AT} < 5",
            f"SELECT min({NEW_AT}) FROM messages WHERE rank < 0",
            "SELECT message, digest, arrival FROM reports WHERE message = 1",
        ):
            plan = await bench.store.fetch(f"EXPLAIN QUERY PLAN {sql}")
            details = [row[3] for row in plan]
            scanned = {one.split()[1] for one in details if one.startswith("SCAN")}
            assert not scanned & {"messages", "reports", "bodies", "ids", "recent_ids"}, (sql, details)
            assert any("SEARCH" in one for one in details), (sql, details)


async def test_a_store_ahead_of_its_journal_is_put_aside(tmp_path: Path) -> None:
    """Its checkpoint cannot be trusted: an empty store takes its place, the old one is kept."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await store.project([JudgedBatch(7, NOON, "p", None, b"d" * 16, 2, 0, [], [])])
    await store.close()
    store = await open_store(path, 7)
    assert await store.checkpoint() == 7
    await store.close()
    store = await open_store(path, 6)
    assert await store.checkpoint() == 0
    await store.close()
    assert len([one for one in tmp_path.iterdir() if "aside" in one.name]) == 1


async def test_a_damaged_or_older_store_is_put_aside_and_a_newer_one_refused(tmp_path: Path) -> None:
    """What the journal can give again is rebuilt; what a newer hooklab wrote is left alone."""
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    path.write_bytes(b"garbage" * 2000)
    await (await open_store(path, 0)).close()
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA user_version = 0")
    plain.close()
    await (await open_store(path, 0)).close()
    assert len([one for one in tmp_path.iterdir() if "aside" in one.name]) == 2
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA user_version = 99")
    plain.close()
    with pytest.raises(StoreError, match="newer"):
        await open_store(path, 0)


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("Absent subscriber", "sub", True),
        ("Absent subscriber", "scriber", False),
        ('{"order": 4711}', "4711", True),
        ('{"order": 4711}', "711", False),
        ("resubmit, sub", "sub", True),
        ("ÄRGER", "ärg", True),
        (None, "x", False),
        ("a-b", "-b", True),
    ],
)
def test_words_begin_after_what_is_no_letter(text: str | None, word: str, found: bool) -> None:
    """A filter word matches the beginnings of words, letter case aside."""
    assert word_begins(text, word) is found
