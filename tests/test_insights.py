"""Insights: a campaign whose truth is known, through the projector, the store and the reader."""

import math
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import body_of, report
from test_journal import batch
from test_projector import rows_of
from test_store import MemoryJournal

from hooklab import projector as projector_module
from hooklab.insights import Insights, insights
from hooklab.journal.base import JournalBatch, digest_of
from hooklab.projector import Projector
from hooklab.store.read import SqliteStoreReader
from hooklab.store.sqlite import SqliteStore
from hooklab.times import DAY, HOUR, MINUTE, SECOND, iso, zone
from hooklab.wire import parse_uuid

START = 1_800_000_000 * SECOND // HOUR * HOUR
ORGANIZATIONS = [f"{digit * 8}-52a4-4c43-9d8e-0c9a53d1b7aa" for digit in "abc"]
REASONS = ["Absent subscriber", "Unknown subscriber", "Handset memory full"]
WAITS = (60, 300, 1800)
"""Seconds that the provider waits before it sends a body again."""
SENT_BEFORE = 2.5


def at(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


class TimedJournal(MemoryJournal):
    """A journal whose batches are received when a test says."""

    def receive(self, received_at: int, reports: Sequence[Any]) -> None:
        new = batch(body_of(reports))
        self.batches.append(
            JournalBatch(
                len(self.batches) + 1,
                received_at,
                1,
                "p",
                None,
                new.headers,
                new.body,
                digest_of(new.body),
                malformed=False,
            )
        )


class Bench:
    """A store, and what was put in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = TimedJournal()
        self.now = START

    async def ask(self, since: int | None = None, org: str | None = None, **options: Any) -> Insights:
        """Projects what the journal has, and asks."""
        store = await SqliteStore.open(self.path)
        try:
            await store.keep_settings(assume_timezone="UTC", sent_at_key=options.get("sent_at_key", ""))
            await Projector(self.journal, store, assumed=UTC, max_elements=1000, **options).catch_up()
            reader = await SqliteStoreReader.open(self.path, lambda: self.now)
            try:
                measured = await reader.measure(since or 0, org)
            finally:
                await reader.close()
        finally:
            await store.close()
        return insights(measured, since=since, until=self.now, organization=org)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "store.db")


class Campaign:
    """Lives of messages over some hours: log-normal times, weighted reasons, retried batches, late PENDINGs.

    Attributes:
        lives: seconds from PENDING to final, of the messages that have both.
        states, reasons, organizations: how many messages of each.
        waits: seconds between arrivals of a body, by attempt.
    """

    def __init__(self, seed: int, messages: int, hours: int = 6) -> None:
        self.chance = random.Random(seed)
        self.lives: list[float] = []
        self.states: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.organizations: Counter[str] = Counter()
        self.hours: Counter[int] = Counter()
        self.waits: dict[int, list[float]] = {}
        self.late = self.repeats = self.without_pending = self.unreadable = self.sent_unknown = 0
        self.reports: list[tuple[int, Any]] = []
        for number in range(messages):
            self._live(number, START + number * hours * HOUR // messages)
        self.reports.sort(key=lambda one: one[0])

    def _live(self, number: int, begins: int) -> None:
        chance = self.chance
        organization = chance.choices(ORGANIZATIONS, (6, 3, 1))[0]
        self.organizations[organization] += 1
        sent = begins - int(SENT_BEFORE * SECOND)
        tells = chance.random() < 0.8
        common = {
            "message_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "OrganizationId": organization,
            "CustomPayload": f'{{"meta": {{"sent": {sent // 1000}}}}}' if tells else "order 4711",
        }
        dice = chance.random()
        state = "PENDING" if dice < 0.05 else "NOT_DELIVERED" if dice < 0.15 else "DELIVERED"
        self.states[state] += 1
        if state == "PENDING":
            self.reports.append((begins, report(**common, status="PENDING", ReportDateTime=at(begins))))
            return
        self.sent_unknown += not tells
        life = math.exp(chance.gauss(math.log(9), 1.1))
        ends = begins + int(life * SECOND)
        reason = chance.choices(REASONS, (6, 3, 1))[0] if state == "NOT_DELIVERED" else "Delivered"
        self.reasons[reason] += state == "NOT_DELIVERED"
        final = report(**common, status=state, ReportDateTime=at(ends), ReportDescription=reason)
        self.reports.append((ends, final))
        what = chance.random()
        if what < 0.1:
            self.without_pending += 1
        elif what < 0.12:
            self.unreadable += 1
            self.reports.append((begins, report(**common, status="PENDING", ReportDateTime="yesterday")))
        else:
            self.lives.append(life)
            self.reports.append((begins, report(**common, status="PENDING", ReportDateTime=at(begins))))
            if what > 0.97:
                self.late += 1
                late = report(**common, status="PENDING", ReportDateTime=at(ends + 1), ReportDescription="late")
                self.reports.append((ends + 5 * MINUTE, late))

    def into(self, journal: TimedJournal) -> None:
        """A post for each minute, two seconds after its end; a fifth of them comes again, and of those a fifth."""
        posts: list[tuple[int, list[Any]]] = []
        for minute, reports in groupby(self.reports, lambda one: one[0] // MINUTE):
            received, body = (minute + 1) * MINUTE + 2 * SECOND, [one for _, one in reports]
            posts.append((received, body))
            for attempt, wait in enumerate(WAITS, 2):
                if self.chance.random() >= 0.2:
                    break
                waited = wait + self.chance.random() * 4
                self.waits.setdefault(attempt, []).append(waited)
                self.repeats += len(body)
                received += int(waited * SECOND)
                posts.append((received, body))
        for received, body in sorted(posts, key=lambda one: one[0]):
            journal.receive(received, body)


def nearest(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@pytest.fixture
async def told(bench: Bench) -> tuple[Campaign, Insights, Bench]:
    campaign = Campaign(7, 4000)
    campaign.into(bench.journal)
    bench.now = START + 8 * HOUR
    return campaign, await bench.ask(sent_at_key="meta.sent"), bench


async def test_a_campaign_is_told_as_it_was(told: tuple[Campaign, Insights, Bench]) -> None:
    """States, reasons and organizations are those put in, percentiles within 5 % (p99: 10 %)."""
    campaign, found, _ = told
    assert (found.messages, found.conflicts) == (4000, 0)
    states = {"DELIVERED": found.delivered, "NOT_DELIVERED": found.not_delivered, "PENDING": found.pending}
    assert states == campaign.states
    finals = found.delivered + found.not_delivered
    assert found.delivery_rate == found.delivered / finals
    assert found.delivered_share == found.delivered / 4000
    assert {one.description: one.messages for one in found.failure_reasons} == dict(+campaign.reasons)
    assert sum(one.share for one in found.failure_reasons) == pytest.approx(1)
    assert {one.organization_id: one.messages for one in found.by_organization} == campaign.organizations
    assert sum(one.messages for one in found.by_hour) == 4000
    times = found.pending_to_final
    assert times.messages == len(campaign.lives) == sum(one.messages for one in times.histogram)
    assert (times.without_pending, times.without_time) == (campaign.without_pending, campaign.unreadable)
    assert times.messages + times.without_pending + times.without_time == finals
    for name, share, within in (
        ("p50_s", 0.5, 0.05),
        ("p90_s", 0.9, 0.05),
        ("p95_s", 0.95, 0.05),
        ("p99_s", 0.99, 0.1),
    ):
        assert getattr(times, name) == pytest.approx(nearest(campaign.lives, share), rel=within), name


async def test_the_histogram_holds_what_was_put_in(told: tuple[Campaign, Insights, Bench]) -> None:
    """Each bin is within two points of the share of lives between its edges."""
    campaign, found, _ = told
    lives = campaign.lives
    for one in found.pending_to_final.histogram:
        inside = sum(one.from_s <= life < (one.to_s or math.inf) for life in lives)
        assert one.messages / len(lives) == pytest.approx(inside / len(lives), abs=0.02)


async def test_the_time_of_sending_is_read_from_the_payload(told: tuple[Campaign, Insights, Bench]) -> None:
    """Sent-to-final is the life and what passed before the PENDING; who tells no time is counted."""
    campaign, found, _ = told
    assert found.sent_to_final is not None
    assert found.sent_to_final.key == "meta.sent"
    assert found.sent_to_final.without_time == campaign.sent_unknown
    assert found.sent_to_final.p50_s == pytest.approx(nearest(campaign.lives, 0.5) + SENT_BEFORE, rel=0.1)


async def test_the_provider_is_told_as_it_behaved(told: tuple[Campaign, Insights, Bench]) -> None:
    """Retry intervals by attempt within a second, how many tries, late and repeated shares, lag."""
    campaign, found, bench = told
    provider = found.provider
    assert provider.batches == len(bench.journal.batches)
    assert [(one.attempt, one.batches) for one in provider.retries] == [
        (attempt, len(waits)) for attempt, waits in campaign.waits.items()
    ]
    for one in provider.retries:
        assert one.p50_s == pytest.approx(nearest(campaign.waits[one.attempt], 0.5), abs=1)
        assert one.p90_s == pytest.approx(nearest(campaign.waits[one.attempt], 0.9), abs=1)
    assert provider.most_attempts == max(campaign.waits)
    assert provider.late == campaign.late
    assert provider.reports == len(campaign.reports)
    assert provider.repeats == campaign.repeats
    assert provider.lag.p50_s is not None
    assert 2 <= provider.lag.p50_s <= 62
    assert provider.lag.clock_off is None


async def test_a_window_and_an_organization_narrow_the_messages(told: tuple[Campaign, Insights, Bench]) -> None:
    """`since` takes the messages first heard of from that hour on, `org` those of the organizations that begin so."""
    campaign, _, bench = told
    half = await bench.ask(START + 3 * HOUR, sent_at_key="meta.sent")
    assert half.messages == pytest.approx(2000, abs=30)
    assert half.by_hour[0].hour == half.since == iso(START + 3 * HOUR)
    ours = await bench.ask(org="AAAA", sent_at_key="meta.sent")
    assert ours.messages == campaign.organizations[ORGANIZATIONS[0]]
    assert [one.organization_id for one in ours.by_organization] == ORGANIZATIONS[:1]
    assert (await bench.ask(org="Absent", sent_at_key="meta.sent")).messages == 0
    assert (await bench.ask(START + 9 * HOUR, sent_at_key="meta.sent")).messages == 0


async def test_a_window_that_has_all_says_what_all_time_says(told: tuple[Campaign, Insights, Bench]) -> None:
    """Though what the provider sent is added up from minutes there, and for all time is at hand."""
    _, found, bench = told
    window = await bench.ask(START - 30 * HOUR, sent_at_key="meta.sent")
    assert window.since is not None
    provider = replace(window.provider, received=found.provider.received)  # its steps are longer
    assert replace(window, since=None, provider=provider) == found


async def test_stuck_messages_are_those_of_the_window(told: tuple[Campaign, Insights, Bench]) -> None:
    """Pending with nothing new for longer than stuck_after, of the messages that count."""
    campaign, found, bench = told
    assert found.stuck == 0
    bench.now = START + 2 * DAY
    assert (await bench.ask(sent_at_key="meta.sent")).stuck == campaign.states["PENDING"]
    ours = await bench.ask(org=ORGANIZATIONS[2], sent_at_key="meta.sent")
    assert ours.stuck == ours.pending > 0
    half = await bench.ask(START + 3 * HOUR, sent_at_key="meta.sent")
    assert 0 < half.stuck == half.pending < campaign.states["PENDING"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_counts_do_not_depend_on_how_chunks_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A message that changes its state, reason or organization leaves no trace of what it was."""
    chance = random.Random(seed)
    journal = TimedJournal()
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(30)]
    for number in range(120):
        journal.receive(
            START + number * MINUTE,
            [
                report(
                    chance.choice(ids),
                    chance.choice(("PENDING", "DELIVERED", "NOT_DELIVERED")),
                    ReportDateTime=at(START + chance.randrange(10_000) * SECOND),
                    ReportDescription=chance.choice((*REASONS, "x" * 300, None)),
                    OrganizationId=chance.choice((*ORGANIZATIONS, None)),
                )
                for _ in range(chance.randrange(1, 6))
            ],
        )
    found = []
    for size in (1, 7, 100_000):
        monkeypatch.setattr(projector_module, "_CHUNK_ELEMENTS", size)
        bench = Bench(tmp_path / f"{size}.db")
        bench.journal = journal
        answers = await bench.ask()
        found.append((answers, rows_of(bench.path)))
    assert found[0] == found[1] == found[2]
    answers, rows = found[0]
    assert all(count > 0 for *_, count in rows["lives"])
    assert answers.messages == len(rows["messages"]) == len({parse_uuid(one) for one in ids})
    [totals] = rows["totals"]
    assert (answers.delivered, answers.not_delivered, answers.conflicts) == totals[-3:]


async def test_a_provider_that_sends_local_time_is_named(bench: Bench) -> None:
    """Reports two hours ahead of their arrival: the warning says so, and which zone would put it right."""
    for number in range(40):
        received = START + number * MINUTE
        ahead = at(received + 2 * HOUR - 3 * SECOND)[:19]
        bench.journal.receive(received, [report(ReportDateTime=ahead)])
    found = await bench.ask()
    off = found.provider.lag.clock_off
    assert off is not None
    assert (off.offset_s, off.share, off.assume_timezone) == (-7200, 1.0, "Etc/GMT-2")
    again = Bench(bench.path.with_name("again.db"))
    again.journal = bench.journal
    store = await SqliteStore.open(again.path)
    await Projector(again.journal, store, assumed=zone("Etc/GMT-2"), max_elements=9).catch_up()
    await store.close()
    assert (await again.ask()).provider.lag.clock_off is None


async def test_a_gap_in_steady_traffic_is_a_silence(bench: Bench) -> None:
    """Forty minutes of nothing in traffic of every minute, and the silence that lasts now; a short pause is none."""
    for minute in range(300):
        if not (100 <= minute < 140 or 200 <= minute < 205):
            bench.journal.receive(START + minute * MINUTE, [report()])
    bench.now = START + 330 * MINUTE
    silences = (await bench.ask()).provider.silences
    assert [(one.since, one.until, one.minutes) for one in silences] == [
        (iso(START + 300 * MINUTE), None, 30),
        (iso(START + 100 * MINUTE), iso(START + 140 * MINUTE), 40),
    ]


async def test_no_reports_no_answers(bench: Bench) -> None:
    """An empty store gives zeros and None, never a fault."""
    found = await bench.ask()
    assert (found.messages, found.delivery_rate, found.provider.batches) == (0, None, 0)
    assert found.pending_to_final.p50_s is None
    assert found.provider.silences == []
