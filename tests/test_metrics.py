"""Counters, the latency of answers, and the frozen pieces that a screen is given."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooklab.metrics import (
    EMPTY_SNAPSHOT,
    Counters,
    LatencyHistogram,
    ServiceStatus,
    with_service,
)
from hooklab.times import DAY, MINUTE, SECOND


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = 1_795_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        """The present."""
        return self.now


def filled(seconds: list[float]) -> LatencyHistogram:
    """A histogram of some answers, given at one moment."""
    histogram = LatencyHistogram(FakeClock())
    for one in seconds:
        histogram.record(one)
    return histogram


def test_without_answers_there_is_no_quantile() -> None:
    """A service that has answered nothing has no latency, rather than one of zero."""
    histogram = filled([])
    assert histogram.quantile_ms(0.5) is None
    assert histogram.quantile_ms(0.99) is None


@settings(deadline=None)
@given(st.lists(st.floats(2e-6, 16.0), min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_a_bucket_of_the_exact_one(seconds: list[float], share: float) -> None:
    """From 2 µs to 16 s a quantile differs from the exact one by less than a bucket is wide (9 %)."""
    found = filled(seconds).quantile_ms(share)
    ordered = sorted(seconds)
    rank = next(place for place in range(1, len(ordered) + 1) if place >= share * len(ordered))
    exact = ordered[rank - 1] * 1000
    assert found is not None
    assert exact / 1.06 < found < exact * 1.06


def test_p50_and_p99_are_told_apart() -> None:
    """One slow answer in fifty is seen by p99 and not by p50."""
    histogram = filled([0.004] * 98 + [0.200] * 2)
    assert histogram.quantile_ms(0.50) == pytest.approx(4, rel=0.06)
    assert histogram.quantile_ms(0.98) == pytest.approx(4, rel=0.06)
    assert histogram.quantile_ms(0.99) == pytest.approx(200, rel=0.06)


@pytest.mark.parametrize(("seconds", "below", "above"), [(0.0, 0.0, 0.002), (1e-9, 0.0, 0.002), (-1.0, 0.0, 0.002)])
def test_times_too_short_to_measure_are_counted(seconds: float, below: float, above: float) -> None:
    """Nothing, and a time set back during an answer, count as the shortest time."""
    found = filled([seconds]).quantile_ms(0.5)
    assert found is not None
    assert below < found < above


@pytest.mark.parametrize("seconds", [17.0, 3600.0, 1e9])
def test_times_too_long_to_measure_are_counted(seconds: float) -> None:
    """What takes longer than the last bucket counts there."""
    found = filled([seconds]).quantile_ms(0.5)
    assert found is not None
    assert 15_000 < found < 17_000


@settings(deadline=None)
@given(st.integers(0, 3 * MINUTE), st.lists(st.integers(0, 4 * MINUTE), max_size=8))
@example(0, [2 * MINUTE - 1])
@example(MINUTE - 1, [])
def test_answers_leave_after_one_to_two_minutes(before: int, asked: list[int]) -> None:
    """An answer is seen for a minute at least and for less than two, however often or rarely somebody asks."""
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    clock.now += before
    histogram.record(0.01)
    recorded_at = clock.now
    for age in sorted([*asked, MINUTE - 1, 2 * MINUTE]):
        clock.now = recorded_at + age
        seen = histogram.quantile_ms(0.5) is not None
        assert seen or age >= MINUTE
        assert not seen or age < 2 * MINUTE


def test_old_answers_make_room_for_new_ones() -> None:
    """While answers go on, the quantile follows those of the last two minutes."""
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    for _ in range(100):
        histogram.record(1.0)
    for _ in range(24):
        clock.now += 5 * SECOND
        histogram.record(0.001)
    assert histogram.quantile_ms(1.0) == pytest.approx(1, rel=0.06)


def test_both_halves_count() -> None:
    """Answers of this minute and of the one before are taken together."""
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    histogram.record(1.0)
    clock.now += MINUTE
    histogram.record(0.001)
    assert histogram.quantile_ms(0.5) == pytest.approx(1, rel=0.06)
    assert histogram.quantile_ms(1.0) == pytest.approx(1000, rel=0.06)


def test_after_a_long_silence_nothing_old_is_left() -> None:
    """Nobody asked for an hour: what was recorded before is gone at once."""
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    histogram.record(1.0)
    clock.now += 60 * MINUTE
    assert histogram.quantile_ms(0.5) is None


def test_a_clock_set_back_does_not_keep_old_answers() -> None:
    """The clock jumps back a day: answers still leave within two minutes of the new time."""
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    histogram.record(1.0)
    clock.now -= DAY
    for _ in range(3):
        histogram.record(0.001)
        clock.now += MINUTE
    assert histogram.quantile_ms(1.0) == pytest.approx(1, rel=0.06)
    clock.now += 2 * MINUTE
    assert histogram.quantile_ms(1.0) is None


def test_no_jump_of_the_clock_breaks_it() -> None:
    """Whatever the clock does, there is an answer that was recorded, or none."""
    dice = random.Random(7)
    clock = FakeClock()
    histogram = LatencyHistogram(clock)
    for _ in range(500):
        clock.now += dice.choice([0, 1, SECOND, MINUTE - 1, MINUTE, 2 * MINUTE, DAY, -1, -SECOND, -MINUTE, -DAY])
        histogram.record(0.005)
        assert histogram.quantile_ms(0.5) == pytest.approx(5, rel=0.06)


def test_the_service_completes_the_counters() -> None:
    """`with_service` fills in the service's own four and leaves the store's as they are."""
    held = Counters(batches=3, elements=8, reports=5, repeats=2, quarantined=1, lag=4)
    status = ServiceStatus(
        version="1",
        pid=7,
        started_at=0,
        hook_url="http://127.0.0.1:8080/hooks/x",
        ready=True,
        refused={"404": 2},
        ack_p50_ms=1.5,
        ack_p99_ms=6.5,
        queue_depth=9,
    )
    completed = with_service(held, status)
    own = {"refused": {"404": 2}, "ack_p50_ms": 1.5, "ack_p99_ms": 6.5, "queue_depth": 9}
    for name in Counters.__struct_fields__:
        assert getattr(completed, name) == own.get(name, getattr(held, name))
    assert held.refused is None


def test_without_a_service_its_counters_are_null() -> None:
    """The store alone leaves the service's four null: nothing is made up."""
    held = Counters(batches=3)
    assert with_service(held, None) == held
    assert [held.refused, held.ack_p50_ms, held.ack_p99_ms, held.queue_depth] == [None] * 4


def test_the_counters_have_the_names_of_the_design() -> None:
    """The names are a contract: `stats --json`, the API, the metrics and the screen use them."""
    lifetime = [
        "batches",
        "malformed",
        "retries",
        "elements",
        "reports",
        "repeats",
        "duplicates",
        "late",
        "quarantined",
    ]
    held = ["messages", "delivered", "not_delivered", "pending", "stuck", "conflicts", "lag"]
    service = ["refused", "ack_p50_ms", "ack_p99_ms", "queue_depth"]
    assert sorted(Counters.__struct_fields__) == sorted(lifetime + held + service)


def test_the_empty_snapshot_knows_nothing() -> None:
    """Before the first snapshot a screen shows zeros and no service."""
    assert EMPTY_SNAPSHOT.counters == Counters()
    assert EMPTY_SNAPSHOT.service is None
    with pytest.raises(AttributeError):
        EMPTY_SNAPSHOT.taken_at = 1  # type: ignore[misc]
