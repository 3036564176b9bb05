"""Insights in words for a person, the same on the screen and on the command line. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from hooklab.insights import (
    MANY,
    Hour,
    Insights,
    Lag,
    Organization,
    PendingToFinal,
    Provider,
    Reason,
    SentToFinal,
    Times,
)
from hooklab.text import clean

HOURS: Final = 24
"""So many of the newest hours are listed; JSON has all."""
_LABEL: Final = 40
_UNITS: Final = ((1.0, 0.001, "ms"), (100.0, 1.0, "s"), (6000.0, 60.0, "min"), (172_800.0, 3600.0, "h"))
_RETRIES: Final = 8
_SILENCES: Final = 5


PICTURES: Final = ("received", "pending_to_final", "sent_to_final", "hours")
"""What a screen that can draw shows as a picture in place of the rows."""


class Row(Struct, frozen=True):
    """A name, its figures (each a right-aligned column), and how long its bar is, from 0 to 1."""

    label: str
    figures: tuple[str, ...]
    bar: float | None = None
    role: str = ""
    """What it is of: good, bad, wait, or nothing of these."""


class Section(Struct, frozen=True):
    """One question and its answer."""

    title: str
    says: str = ""
    """What stands before the rows."""
    rows: list[Row] = []
    warns: list[str] = []
    """Sentences that want a look."""
    notes: list[str] = []
    """What one must know to read it rightly."""
    of_rows: list[str] = []
    """What one must know beside to read the rows."""
    about: str = ""
    """What a picture can show of it: a name of PICTURES, or nothing."""


def findings(found: Insights) -> list[Section]:
    """All sections that have something to say."""
    if not found.messages and not found.provider.batches:
        return [Section("insights", "Nothing came in this window.")]
    sections = [
        _delivery(found),
        _received(found.provider, all_organizations=found.organization is not None),
        _pending_to_final(found.pending_to_final),
        *([] if found.sent_to_final is None else [_sent_to_final(found.sent_to_final)]),
        _reasons(found.failure_reasons, found.other_reasons),
        _organizations(found.by_organization, found.other_organizations),
        _hours(found),
        _provider(found.provider, all_organizations=found.organization is not None),
        _retries(found.provider),
        _lag(found.provider.lag),
        _silences(found.provider),
    ]
    return [one for one in sections if one.says or one.rows or one.warns]


def window_of(found: Insights) -> str:
    """Since when, and whose."""
    since = "all that is known" if found.since is None else f"from {_moment(found.since)} UTC on"
    return since if found.organization is None else f"{since}, organizations {clean(found.organization, _LABEL)}…"


def widths_of(rows: Sequence[Row]) -> tuple[int, list[int]]:
    """The width of the widest label, and that of each column of figures."""
    columns = zip(*(row.figures for row in rows), strict=True)
    return max((len(row.label) for row in rows), default=0), [max(map(len, column)) for column in columns]


def percent(share: float | None) -> str:
    """``91.4 %``; a part is never rounded to nothing or to all."""
    if share is None:
        return "-"
    permille = round(share * 1000)
    if 0 < share < 1:
        permille = min(max(permille, 1), 999)
    return f"{permille / 10:.1f} %"


def took(seconds: float | None) -> str:
    """``120 ms``, ``3.2 s``, ``12 min``, ``26 h``, ``3 d``."""
    if seconds is None:
        return "-"
    if seconds == 0:
        return "0 s"
    for limit, unit, name in _UNITS:
        if seconds < limit:
            value = seconds / unit
            shown = f"{value:.1f}".removesuffix(".0") if value < 10 and name != "ms" else f"{value:.0f}"
            return f"{shown} {name}"
    return f"{seconds / 86_400:.1f} d"


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _delivery(found: Insights) -> Section:
    if not found.messages:
        return Section("delivery", "No message was first heard of in this window.")
    finals = found.delivered + found.not_delivered
    warns = []
    if found.stuck:
        warns.append(f"{_many(found.stuck, 'message')} stuck: pending, with nothing new for too long")
    if found.conflicts:
        warns.append(f"{_many(found.conflicts, 'message')} in conflict: both kinds of final came")
    return Section(
        "delivery",
        f"{percent(found.delivery_rate)} of {_many(finals, 'message')} with a final were delivered,"
        f" {percent(found.delivered_share)} of all {found.messages:,}.",
        [
            _state(name, count, found.messages, role)
            for name, count, role in (
                ("delivered", found.delivered, "good"),
                ("not_delivered", found.not_delivered, "bad"),
                ("pending", found.pending, "wait"),
            )
        ],
        warns,
    )


def _state(name: str, count: int, whole: int, role: str) -> Row:
    return Row(name, (f"{count:,}", percent(count / whole)), count / whole, role)


def _received(provider: Provider, *, all_organizations: bool) -> Section:
    steps = provider.received.steps
    delivered, failed = sum(one.delivered for one in steps), sum(one.not_delivered for one in steps)
    if not delivered and not failed:
        return Section("finals received", "No final was received in this window." if provider.batches else "")
    most = max(steps, key=lambda one: one.delivered + one.not_delivered)
    return Section(
        f"finals received, {took(provider.received.step_s)} a column",
        f"{_many(delivered, 'report')} said DELIVERED, {failed:,} NOT_DELIVERED; the most,"
        f" {most.delivered + most.not_delivered:,}, came in the {took(provider.received.step_s)} from"
        f" {_moment(most.start)} on.",
        notes=[
            "New reports by the time of receiving; a message in several segments may have a final for each.",
            *(["Told over all organizations."] if all_organizations else []),
        ],
        about="received",
    )


def _percentiles(times: Times) -> str:
    if not times.messages:
        return "No message has such a time."
    return (
        f"Half within {took(times.p50_s)}, 90 % within {took(times.p90_s)}, 95 % within {took(times.p95_s)},"
        f" 99 % within {took(times.p99_s)}."
    )


def _histogram(times: Times) -> list[Row]:
    most = max((one.messages for one in times.histogram), default=1)
    return [
        Row(
            f"{took(one.from_s)} and more" if one.to_s is None else f"{took(one.from_s)} to {took(one.to_s)}",
            (f"{one.messages:,}", percent(one.messages / times.messages)),
            one.messages / most,
        )
        for one in times.histogram
    ]


def _pending_to_final(times: PendingToFinal) -> Section:
    reasons = [
        f"{count:,} {why}"
        for count, why in (
            (times.without_pending, "had no PENDING"),
            (times.without_time, "no time that can be read"),
            (times.backwards, "a final reported before the first PENDING"),
        )
        if count
    ]
    without = times.without_pending + times.without_time + times.backwards
    notes = ["By reported times: the payload does not say when a message was sent."]
    if without:
        notes.append(f"{_many(without, 'message')} with a final have no such time: {', '.join(reasons)}.")
    return Section(
        f"from first PENDING to final, {_many(times.messages, 'message')}",
        _percentiles(times),
        _histogram(times),
        [],
        notes,
        about="pending_to_final",
    )


def _sent_to_final(times: SentToFinal) -> Section:
    key = clean(times.key, _LABEL)
    notes = [f"The time of sending is what the custom payload tells under {key}."]
    if times.without_time:
        notes.append(f"{_many(times.without_time, 'message')} with a final tell none that can be read.")
    if times.backwards:
        notes.append(f"{_many(times.backwards, 'message')} tell one after the final's: a clock is wrong.")
    title = f"from sent to final, {_many(times.messages, 'message')}"
    return Section(title, _percentiles(times), _histogram(times), [], notes, about="sent_to_final")


def _reasons(reasons: Sequence[Reason], others: int) -> Section:
    rows = [
        Row(
            clean(one.description or "(no description)", _LABEL),
            (f"{one.messages:,}", percent(one.share)),
            one.share,
            "bad",
        )
        for one in reasons
    ]
    if others:
        failed = others + sum(one.messages for one in reasons)
        rows.append(Row("other reasons", (f"{others:,}", percent(others / failed)), others / failed, "bad"))
    return Section("why not delivered", "", rows)


def _organizations(organizations: Sequence[Organization], others: int) -> Section:
    rows = [
        Row(
            clean(one.organization_id or "(no organization)", _LABEL),
            (f"{one.messages:,}", percent(one.delivery_rate)),
            one.delivery_rate,
            "good",
        )
        for one in organizations
    ]
    notes = [f"{_many(others, 'other organization')} had fewer messages."] if others else []
    return Section("delivery rate by organization", "", rows, [], notes)


def _hours(found: Insights) -> Section:
    shown = found.by_hour[-HOURS:]
    most = max((one.messages for one in shown), default=1)
    older = len(found.by_hour) - len(shown)
    return Section(
        "delivery rate by hour",
        _worst_hour(found.by_hour),
        [
            Row(_moment(one.hour), (f"{one.messages:,}", percent(one.delivery_rate)), one.messages / most)
            for one in shown
        ],
        [],
        [
            "By the hour in which a message was first heard of.",
        ],
        [
            "The bar is how many messages.",
            *([f"{_many(older, 'older hour')} with messages: hooklab insights --json."] if older else []),
        ],
        "hours",
    )


def _worst_hour(hours: Sequence[Hour]) -> str:
    """Of the hours that have enough finals for a rate to say anything."""
    known = [one for one in hours if one.delivery_rate is not None and one.delivered + one.not_delivered >= MANY]
    if len(known) < 2:
        return ""
    worst = min(known, key=lambda one: one.delivery_rate or 0)
    return (
        f"Lowest in the hour from {_moment(worst.hour)}: {percent(worst.delivery_rate)} of"
        f" {_many(worst.delivered + worst.not_delivered, 'final')}."
    )


def _provider(provider: Provider, *, all_organizations: bool) -> Section:
    arrivals = provider.reports + provider.repeats
    rows = [
        Row("repeated", (f"{provider.repeats:,}", percent(provider.repeated_share)), provider.repeated_share),
        Row("late", (f"{provider.late:,}", percent(provider.late_share)), provider.late_share),
    ]
    return Section(
        "how the provider sends",
        f"{provider.batches:,} batch{'' if provider.batches == 1 else 'es'} with {_many(arrivals, 'report')}.",
        rows if arrivals else [],
        [],
        ["The provider's behaviour is told over all organizations."] if all_organizations else [],
    )


def _retries(provider: Provider) -> Section:
    if not provider.retries:
        return Section("retries", "No body came twice." if provider.batches else "")
    most = max(one.batches for one in provider.retries)
    rows = [
        Row(
            f"attempt {one.attempt}",
            (f"{one.batches:,}", f"half {took(one.p50_s)}", f"90 % {took(one.p90_s)}"),
            one.batches / most,
        )
        for one in provider.retries[:_RETRIES]
    ]
    return Section(
        "retries: how long after the attempt before",
        f"The same body came up to {provider.most_attempts:,} times.",
        rows,
        [],
        ["An attempt that never reached the disk is not seen, so that an interval may span it."],
    )


def _lag(lag: Lag) -> Section:
    if not lag.reports:
        return Section("from reported to received")
    warns = []
    if lag.clock_off is not None:
        off = lag.clock_off
        way = "behind" if off.offset_s > 0 else "ahead"
        warns.append(
            f"{percent(off.share)} of the reports tell a time about {took(abs(off.offset_s))} {way}: probably the"
            " provider's local time."
        )
        if off.assume_timezone is not None:
            warns.append(
                f"If those times name no zone, set assume_timezone to the provider's, such as {off.assume_timezone}"
                " (a name like Europe/Lisbon follows summer time), and run hooklab rebuild."
            )
    return Section(
        f"from reported to received, {_many(lag.reports, 'new report')}",
        f"Half {_lagged(lag.p50_s)}, 90 % {_lagged(lag.p90_s)}, 99 % {_lagged(lag.p99_s)}.",
        [],
        warns,
    )


def _lagged(seconds: float | None) -> str:
    """Below zero the time reported is still to come: the provider's clock is ahead of ours."""
    if seconds is None or seconds >= 0:
        return f"within {took(seconds)}"
    return f"at least {took(-seconds)} before the time they tell"


def _silences(provider: Provider) -> Section:
    return Section("silences", "", [], list(_silent(provider)))


def _silent(provider: Provider) -> Iterator[str]:
    for one in provider.silences[:_SILENCES]:
        usual = f"usually {one.usual_minutes:,.0f} of its {one.minutes:,} minutes have some"
        if one.until is None:
            yield f"nothing came since {_moment(one.since)}; {usual}"
        else:
            yield f"nothing came from {_moment(one.since)} for {took(one.minutes * 60)}; {usual}"
    more = len(provider.silences) - _SILENCES
    if more > 0:
        yield f"{_many(more, 'older silence')}: hooklab insights --json"
