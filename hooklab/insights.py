"""What the store has counted, as answers about delivery and about how the provider behaves. Pure.

`Measured` is what a store reads, `Insights` the answers: `insights --json` is this, key for key, and the screen shows
the same figures. Times that end in `_s` are seconds; shares lie between 0 and 1; what cannot be told is None.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from hooklab import facts
from hooklab.histogram import Counted, edges, quantile, total
from hooklab.received import CountedStep, Received, received
from hooklab.silence import MinuteGap, Silence, Usual, silences
from hooklab.times import HOUR, iso

TOP: Final = 20
"""So many reasons and organizations are named; the rest is counted."""
_EDGES: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800)
_TIMES: Final = (("p50_s", 0.5), ("p90_s", 0.9), ("p95_s", 0.95), ("p99_s", 0.99))
_HOUR_QUARTERS: Final = 4
_FARTHEST: Final = 14 * _HOUR_QUARTERS
"""No zone is farther from UTC."""
MANY: Final = 20
"""Below so many nothing is concluded from a share."""
_NOTED: Final = 0.2
"""A share from which on a clock that is off is worth a word."""


class Outcomes(Struct, frozen=True, kw_only=True):
    """Messages by their state."""

    messages: int = 0
    delivered: int = 0
    not_delivered: int = 0
    pending: int = 0


class Measured(Struct, frozen=True, kw_only=True):
    """What a store has counted since an hour."""

    facts: Sequence[tuple[int, int, int]] = ()
    """What, detail and how many, each once; without the details of reasons."""
    reasons: Sequence[tuple[str | None, int]] = ()
    """The most frequent ones."""
    organizations: Sequence[tuple[str | None, Outcomes]] = ()
    """Those with the most messages."""
    all_organizations: int = 0
    hours: Sequence[tuple[int, Outcomes]] = ()
    stuck: int = 0
    lags: Sequence[tuple[int, int, int]] = ()
    """Quarters of an hour off, bucket of tenths of a second, and how many."""
    retries: Sequence[tuple[int, int, int]] = ()
    """Attempt, half seconds since the attempt before, and how many, in order."""
    batches: int = 0
    reports: int = 0
    repeats: int = 0
    late: int = 0
    step: int = 60
    """Minutes."""
    steps: Sequence[CountedStep] = ()
    """In order."""
    gaps: Sequence[MinuteGap] = ()
    usual: Usual = Usual()
    sent_at_key: str | None = None
    assumed_east: int | None = 0
    """Quarters of an hour by which the zone of times that name none is east of UTC now."""


class Bin(Struct, frozen=True, kw_only=True):
    """Messages that took from `from_s` to less than `to_s` seconds; None for any longer."""

    from_s: int
    to_s: int | None
    messages: int


class Times(Struct, frozen=True, kw_only=True):
    """How long messages took."""

    messages: int
    """That have such a time."""
    p50_s: float | None = None
    p90_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    histogram: list[Bin] = []


class PendingToFinal(Times, frozen=True, kw_only=True):
    """From the first PENDING to the final, by reported times."""

    without_pending: int
    """Messages with a final and no PENDING."""
    without_time: int
    """A time that cannot be parsed, or none."""
    backwards: int
    """The final's time lies before that of the first PENDING."""


class SentToFinal(Times, frozen=True, kw_only=True):
    """From the time of sending that the custom payload tells to the final."""

    key: str
    without_time: int
    """Messages with a final whose payload tells no time that can be parsed."""
    backwards: int


class Reason(Struct, frozen=True, kw_only=True):
    """Why messages were not delivered; the share is of those that were not."""

    description: str | None
    messages: int
    share: float


class Organization(Outcomes, frozen=True, kw_only=True):
    """What became of an organization's messages; None for those that name none."""

    organization_id: str | None
    delivery_rate: float | None
    """Of those with a final."""


class Hour(Outcomes, frozen=True, kw_only=True):
    """What became of the messages first heard of in an hour."""

    hour: str
    delivery_rate: float | None


class Retry(Struct, frozen=True, kw_only=True):
    """Bodies that came for the `attempt`-th time, and how long after the attempt before."""

    attempt: int
    batches: int
    p50_s: float | None
    p90_s: float | None


class ClockOff(Struct, frozen=True, kw_only=True):
    """Reports whose own time is off by the same quarters of an hour: they tell another zone's time."""

    offset_s: int
    """How far the reported times are behind; negative where they are ahead."""
    share: float
    """Of the new reports with a time."""
    assume_timezone: str | None
    """A zone that would put it right, None where there is none of whole hours."""


class Lag(Struct, frozen=True, kw_only=True):
    """From reported to received, of new reports."""

    reports: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    clock_off: ClockOff | None


class Provider(Struct, frozen=True, kw_only=True):
    """How the provider sends, whatever organization it is for."""

    batches: int
    reports: int
    repeats: int
    repeated_share: float | None
    """Of all arrivals of reports."""
    late: int
    late_share: float | None
    """Of the reports."""
    received: Received
    """The new reports among them."""
    most_attempts: int
    retries: list[Retry]
    lag: Lag
    silences: list[Silence]


class Insights(Outcomes, frozen=True, kw_only=True):
    """All answers."""

    since: str | None
    """The full hour from which on messages and arrivals count; None for all."""
    until: str
    organization: str | None
    """The beginning of the organizations' ids that count; None for all. `provider` always counts all."""
    stuck: int
    conflicts: int
    delivery_rate: float | None
    """Of the messages with a final."""
    delivered_share: float | None
    """Of all messages."""
    pending_to_final: PendingToFinal
    sent_to_final: SentToFinal | None
    """None while no `sent_at_key` is set."""
    failure_reasons: list[Reason]
    other_reasons: int
    """Messages that failed for another reason."""
    by_organization: list[Organization]
    other_organizations: int
    """How many there are beside."""
    by_hour: list[Hour]
    """Hours with messages, oldest first."""
    provider: Provider


def insights(found: Measured, *, since: int | None, until: int, organization: str | None) -> Insights:
    """The answers to what was measured; `since` (a full hour) and `until` are microseconds UTC."""
    counts: dict[int, int] = {}
    for what, _, count in found.facts:
        counts[what] = counts.get(what, 0) + count
    delivered = counts.get(facts.DELIVERED_IN, 0) + counts.get(facts.DELIVERED_UNTIMED, 0)
    failed, pending = counts.get(facts.FAILED_FOR, 0), counts.get(facts.IS_PENDING, 0)
    finals = delivered + failed
    return Insights(
        since=iso(since),
        until=iso(until) or "",
        organization=organization,
        messages=finals + pending,
        delivered=delivered,
        not_delivered=failed,
        pending=pending,
        stuck=found.stuck,
        conflicts=counts.get(facts.IN_CONFLICT, 0),
        delivery_rate=_share(delivered, finals),
        delivered_share=_share(delivered, finals + pending),
        pending_to_final=_pending_to_final(found),
        sent_to_final=_sent_to_final(found, finals) if found.sent_at_key else None,
        failure_reasons=[
            Reason(description=text, messages=count, share=count / failed) for text, count in found.reasons if count
        ],
        other_reasons=failed - sum(count for _, count in found.reasons),
        by_organization=[
            Organization(organization_id=name, delivery_rate=_rate(one), **_as_dict(one))
            for name, one in found.organizations
        ],
        other_organizations=found.all_organizations - len(found.organizations),
        by_hour=[
            Hour(hour=iso(hour * HOUR) or "", delivery_rate=_rate(one), **_as_dict(one)) for hour, one in found.hours
        ],
        provider=_provider(found),
    )


def _as_dict(one: Outcomes) -> dict[str, int]:
    return {name: getattr(one, name) for name in Outcomes.__struct_fields__}


def _rate(one: Outcomes) -> float | None:
    return _share(one.delivered, one.delivered + one.not_delivered)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _counted(found: Measured, *wanted: int) -> Counted:
    merged: dict[int, int] = {}
    for what, detail, count in found.facts:
        if what in wanted:
            merged[detail] = merged.get(detail, 0) + count
    return sorted(merged.items())


def _pending_to_final(found: Measured) -> PendingToFinal:
    without = dict(_counted(found, facts.DELIVERED_UNTIMED, facts.FAILED_UNTIMED))
    counted = _counted(found, facts.DELIVERED_IN, facts.FAILED_IN)
    return PendingToFinal(
        messages=total(counted),
        **_percentiles(counted),
        histogram=_bins(counted),
        without_pending=without.get(facts.NO_PENDING, 0),
        without_time=without.get(facts.NO_TIME, 0),
        backwards=without.get(facts.BACKWARDS, 0),
    )


def _sent_to_final(found: Measured, finals: int) -> SentToFinal:
    counted = _counted(found, facts.SENT_BEFORE)
    backwards = total(_counted(found, facts.SENT_AFTER))
    return SentToFinal(
        key=found.sent_at_key or "",
        messages=total(counted),
        **_percentiles(counted),
        histogram=_bins(counted),
        without_time=finals - total(counted) - backwards,
        backwards=backwards,
    )


def _percentiles(counted: Counted) -> Mapping[str, float | None]:
    return {name: _in_seconds(quantile(counted, share), 1000) for name, share in _TIMES}


def _in_seconds(value: float | None, per_second: int) -> float | None:
    return None if value is None else round(value / per_second, 3)


def _bins(counted: Counted) -> list[Bin]:
    """Milliseconds by the edges that people think in, from the first to the last that has any."""
    counts = [0] * (len(_EDGES) + 1)
    for bucket, count in counted:
        middle = sum(edges(bucket)) / 2000
        counts[bisect_right(_EDGES, middle)] += count
    filled = [at for at, count in enumerate(counts) if count]
    return [
        Bin(from_s=_EDGES[at - 1] if at else 0, to_s=_EDGES[at] if at < len(_EDGES) else None, messages=counts[at])
        for at in (range(filled[0], filled[-1] + 1) if filled else ())
    ]


def _provider(found: Measured) -> Provider:
    retries = _retries(found.retries)
    return Provider(
        batches=found.batches,
        reports=found.reports,
        repeats=found.repeats,
        repeated_share=_share(found.repeats, found.reports + found.repeats),
        late=found.late,
        late_share=_share(found.late, found.reports),
        received=received(found.step, found.steps),
        most_attempts=max((one.attempt for one in retries), default=1 if found.batches else 0),
        retries=retries,
        lag=_lag(found.lags, found.assumed_east),
        silences=silences(found.gaps, found.usual),
    )


def _retries(rows: Sequence[tuple[int, int, int]]) -> list[Retry]:
    by_attempt: dict[int, list[tuple[int, int]]] = {}
    for attempt, waited, count in rows:
        by_attempt.setdefault(attempt, []).append((waited, count))
    return [
        Retry(attempt=attempt, batches=total(waits), p50_s=_wait(waits, 0.5), p90_s=_wait(waits, 0.9))
        for attempt, waits in by_attempt.items()
    ]


def _wait(waits: Counted, share: float) -> float | None:
    """Half seconds are counted one by one, so that no bucket blurs them."""
    wanted, seen = share * total(waits), 0
    for waited, count in waits:
        seen += count
        if seen >= wanted:
            return waited / 2
    return None


def _lag(rows: Sequence[tuple[int, int, int]], assumed_east: int | None) -> Lag:
    merged: dict[int, int] = {}
    off: dict[int, int] = {}
    for quarters, bucket, count in rows:
        merged[bucket] = merged.get(bucket, 0) + count
        off[quarters] = off.get(quarters, 0) + count
    lags = sorted(merged.items())
    return Lag(
        reports=total(lags),
        p50_s=_in_seconds(quantile(lags, 0.5), 10),
        p90_s=_in_seconds(quantile(lags, 0.9), 10),
        p99_s=_in_seconds(quantile(lags, 0.99), 10),
        clock_off=_clock_off(off, assumed_east),
    )


def _clock_off(off: Mapping[int, int], assumed_east: int | None) -> ClockOff | None:
    """The commonest offset, if it is that of at least a fifth of the reports."""
    reports = sum(off.values())
    count, quarters = max(((count, quarters) for quarters, count in off.items() if quarters), default=(0, 0))
    if count < MANY or count < reports * _NOTED or abs(quarters) > _FARTHEST:
        return None
    zone = None
    if assumed_east is not None:
        # A time that is read as if it were of `assumed_east` and is late by an hour was told an hour farther west.
        east, rest = divmod(assumed_east - quarters, _HOUR_QUARTERS)
        zone = None if rest else "UTC" if not east else f"Etc/GMT{-east:+d}"
    return ClockOff(offset_s=quarters * 900, share=count / reports, assume_timezone=zone)
