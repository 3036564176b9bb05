"""The insights on the screen: the figures of the JSON, windows, sizes, and when it reads."""

import re

import msgspec
import pytest
from test_insights import Bench, Campaign
from tui_fakes import NOW, FakeClock, FakeMonitor, row
from tui_stage import many, stage

from hooklab import facts
from hooklab.findings import findings, percent, took
from hooklab.insights import Insights, Measured, Outcomes, insights
from hooklab.silence import Usual
from hooklab.store.read import SqliteStoreReader
from hooklab.times import HOUR, MINUTE
from hooklab.tui.insights import WINDOWS, insight_lines
from hooklab.tui.screens.insights import InsightsScreen

MEASURED = Measured(
    facts=[
        (facts.IS_PENDING, 0, 29),
        (facts.DELIVERED_IN, 200, 800),
        (facts.DELIVERED_IN, 240, 100),
        (facts.DELIVERED_UNTIMED, facts.NO_PENDING, 5),
        (facts.FAILED_FOR, 0, 74),
        (facts.FAILED_IN, 300, 70),
        (facts.FAILED_UNTIMED, facts.NO_TIME, 3),
        (facts.FAILED_UNTIMED, facts.BACKWARDS, 1),
        (facts.IN_CONFLICT, 0, 2),
        (facts.SENT_BEFORE, 220, 600),
        (facts.SENT_AFTER, 0, 4),
    ],
    reasons=[("Absent \x1b[2Jsubscriber", 50), (None, 20)],
    organizations=[
        ("7c9e6679-7425-40de-944b-e07fc1f90ae7", Outcomes(messages=1008, delivered=905, not_delivered=74))
    ],
    all_organizations=3,
    hours=[(NOW // HOUR - back, Outcomes(messages=10, delivered=9, not_delivered=1)) for back in range(30, 0, -1)],
    stuck=7,
    lags=[(-4, -300, 90), (0, 20, 10)],
    retries=[(2, 120, 30), (2, 121, 4), (3, 600, 8)],
    batches=500,
    reports=1900,
    repeats=80,
    late=12,
    gaps=[(NOW // MINUTE - 60, NOW // MINUTE)],
    usual=Usual(
        NOW // MINUTE - 600,
        NOW // MINUTE - 60,
        NOW // MINUTE,
        [(NOW // HOUR - back, 50) for back in range(10, 1, -1)],
    ),
    sent_at_key="sent",
)


def monitor() -> FakeMonitor:
    made = many(3)
    made.measured = MEASURED
    return made


def told() -> Insights:
    return insights(MEASURED, since=None, until=NOW, organization=None)


@pytest.mark.parametrize("width", [38, 80, 118, 200])
def test_lines_never_pass_the_edge(width: int) -> None:
    """At every width all text stands within it, and nothing of a control character is left."""
    for line in insight_lines(told(), 1, width):
        assert len(line.text) <= width, line.text
        assert line.text.isprintable()


@pytest.mark.parametrize("width", [60, 120])
def test_every_figure_is_that_of_the_json(width: int) -> None:
    """Counts, shares and times that JSON gives stand on the screen, in the wording for people."""
    found = told()
    text = re.sub(r"[\s━]+", " ", " ".join(line.text for line in insight_lines(found, 1, width)))
    times, sent, provider = found.pending_to_final, found.sent_to_final, found.provider
    assert sent is not None
    assert provider.lag.clock_off is not None
    assert provider.lag.p50_s is not None
    for said in (
        f"{percent(found.delivery_rate)} of 979 messages with a final",
        f"{percent(found.delivered_share)} of all 1,008",
        f"Half within {took(times.p50_s)}, 90 % within {took(times.p90_s)}",
        f"99 % within {took(sent.p99_s)}",
        "9 messages with a final have no such time: 5 had no PENDING, 3 no time that can be read, 1 a final",
        "7 messages stuck",
        "2 messages in conflict",
        "Absent ␛[2Jsubscriber 50 67.6 %",
        "(no description) 20 27.0 %",
        "other reasons 4 5.4 %",
        "2 other organizations had fewer messages",
        "6 older hours",
        "375 messages with a final tell none",
        f"repeated 80 {percent(provider.repeated_share)}",
        f"late 12 {percent(provider.late_share)}",
        "up to 3 times",
        "attempt 2 34 half 60 s 90 % 60 s",
        f"Half at least {took(-provider.lag.p50_s)} before the time they tell, 90 % at least",
        f"99 % within {took(provider.lag.p99_s)}",
        f"{percent(provider.lag.clock_off.share)} of the reports tell a time about 60 min ahead",
        "Etc/GMT-1",
        "nothing came since",
    ):
        assert said in text, said


def test_a_share_and_a_time_read_well() -> None:
    """A part is never rounded to nothing or to all; times have two figures or three."""
    assert [percent(value) for value in (None, 0, 0.00001, 0.5, 0.99999, 1)] == [
        "-", "0.0 %", "0.1 %", "50.0 %", "99.9 %", "100.0 %",
    ]  # fmt: skip
    assert [took(value) for value in (None, 0, 0.25, 1, 8.44, 59, 300, 7200, 86_400 * 4)] == [
        "-", "0 s", "250 ms", "1 s", "8.4 s", "59 s", "5 min", "2 h", "4.0 d",
    ]  # fmt: skip


def test_nothing_is_said_of_nothing() -> None:
    """Without messages and batches one sentence stands there."""
    empty = insights(Measured(), since=NOW, until=NOW, organization=None)
    assert [section.says for section in findings(empty)] == ["Nothing came in this window."]


async def test_brackets_change_the_window() -> None:
    """`[` and `]` choose among the windows, which begin at a full hour, and stop at the ends."""
    async with stage(monitor(), (80, 24)) as on:
        await on.press("5")
        assert "delivery" in on.text()
        await on.press("left_square_bracket", "left_square_bracket")
        for _ in range(6):
            await on.press("right_square_bracket")
        starts = [None if back is None else (NOW - back) // HOUR * HOUR for _, back in WINDOWS]
        assert on.monitor.windows == [starts[1], starts[0], *starts[1:]]
        assert "all that is known" in on.text()
        assert "reading" not in on.text()


async def test_it_reads_while_in_front_and_not_too_often() -> None:
    """News within seconds of the last read wait; hidden it reads nothing; after a while it reads again."""
    clock = [100.0]
    async with stage(monitor(), (80, 24)) as on:
        screen = on.app.get_screen("insights")
        assert isinstance(screen, InsightsScreen)
        screen._timer = lambda: clock[0]
        await on.press("5")
        on.monitor.add(row(50))
        await on.tick()
        assert on.monitor.asked.count("insights") == 1
        clock[0] += 6
        await on.tick()
        assert on.monitor.asked.count("insights") == 2
        await on.press("1")
        on.monitor.add(row(51))
        clock[0] += 60
        await on.tick(60)
        assert on.monitor.asked.count("insights") == 2
        await on.press("5")
        assert on.monitor.asked.count("insights") == 3


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 36), (200, 50)])
async def test_it_fits_every_size(size: tuple[int, int]) -> None:
    """The window and the delivery rate are in sight, and the end can be reached."""
    async with stage(monitor(), size) as on:
        await on.press("5")
        assert "24 h" in on.text()
        assert "92.4 % of" in on.text()
        await on.press("G")
        assert "nothing came since" in on.text()


async def test_a_real_store_answers_the_screen(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a store measured goes through JSON and to the screen alike."""
    bench = Bench(tmp_path_factory.mktemp("store") / "store.db")
    campaign = Campaign(3, 300)
    campaign.into(bench.journal)
    bench.now += 9 * HOUR
    found = await bench.ask()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Insights) == found
    reader = await SqliteStoreReader.open(bench.path, FakeClock(bench.now))
    fake = many(1)
    fake.measured = await reader.measure(0, None)
    await reader.close()
    async with stage(fake, (120, 36)) as on:
        await on.press("5")
        assert f"{percent(found.delivery_rate)} of" in on.text()
