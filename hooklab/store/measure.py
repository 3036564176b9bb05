"""Reads what the insights are made of: sums over the store's hourly counts, never the rows of messages."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import msgspec

from hooklab import facts
from hooklab.insights import TOP, Measured, Outcomes
from hooklab.received import step_of
from hooklab.silence import Usual, silences
from hooklab.store.compact import NEW_AT, ORGANIZATION
from hooklab.times import HOUR, MINUTE, SECOND, zone

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]

_HISTORY: Final = 8 * 7 * 24 * 60
"""Minutes that tell what traffic is usual."""
_GAP: Final = 10
"""Shorter gaps, in minutes, are not looked at."""
_GAPS: Final = 500

_OURS: Final = (
    " FROM lives WHERE hour >= :since AND (:org IS NULL OR organization IN"
    " (SELECT id FROM names WHERE substr(lower(name), 1, length(:org)) = :org))"
)
_DELIVERED: Final = f"what IN ({facts.DELIVERED_IN}, {facts.DELIVERED_UNTIMED})"
_OUTCOMES: Final = (
    f"sum(count) FILTER (WHERE {_DELIVERED}),"
    f" sum(count) FILTER (WHERE what = {facts.FAILED_FOR}),"
    f" sum(count) FILTER (WHERE what = {facts.IS_PENDING})"
)
_STATES: Final = (
    f" AND what IN ({facts.IS_PENDING}, {facts.DELIVERED_IN}, {facts.DELIVERED_UNTIMED}, {facts.FAILED_FOR})"
)
_FACTS: Final = (
    f"SELECT what, detail, sum(count){_OURS} AND what <> {facts.FAILED_FOR}"
    " GROUP BY what, detail ORDER BY what, detail"
)
"""But for the reasons, which may be many: how often there is any is in the hours."""
_REASONS: Final = (
    "SELECT (SELECT name FROM names WHERE id = detail), sum(count) AS many"
    f"{_OURS} AND what = {facts.FAILED_FOR} GROUP BY detail ORDER BY many DESC, detail LIMIT {TOP}"
)
_ORGANIZATIONS: Final = (
    f"SELECT (SELECT name FROM names WHERE id = organization), count(*) OVER (), {_OUTCOMES}"
    f"{_OURS}{_STATES} GROUP BY organization ORDER BY sum(count) DESC, organization LIMIT {TOP}"
)
_HOURS: Final = f"SELECT hour, {_OUTCOMES}{_OURS}{_STATES} GROUP BY hour ORDER BY hour"
_STUCK: Final = (
    f"SELECT count(*) FROM messages WHERE rank < 0 AND {NEW_AT} < :stuck_before AND first_at >= :since_at"
    f" AND (:org IS NULL OR substr(lower({ORGANIZATION}), 1, length(:org)) = :org)"
)
_LAGS: Final = "SELECT quarters, bucket, sum(count) FROM lags WHERE hour >= :since GROUP BY 1, 2 ORDER BY 1, 2"
_RETRIES: Final = (
    "SELECT attempt, half_seconds, sum(count) FROM retries WHERE hour >= :since GROUP BY 1, 2 ORDER BY 1, 2"
)
_FIRST: Final = "SELECT min(minute) FROM minutes WHERE minute >= :from_minute"


def _by_step(what: str) -> str:
    """SQL that gives `what` of the minutes from `:from_minute` on by steps of `:step` minutes, in order.

    It goes from each step to the next one that has any. To GROUP BY would sort all the minutes first, since SQLite
    does not know that they are in the order of their steps: three times as long.
    """
    return (
        "WITH RECURSIVE steps (at) AS (SELECT min(minute) / :step FROM minutes WHERE minute >= :from_minute UNION ALL"
        " SELECT (SELECT min(minute) / :step FROM minutes WHERE minute >= (at + 1) * :step) FROM steps"
        " WHERE at IS NOT NULL)"
        f" SELECT at, (SELECT {what} FROM minutes WHERE minute >= max(at * :step, :from_minute)"
        " AND minute < (at + 1) * :step) FROM steps WHERE at IS NOT NULL"
    )


_STATUSES: Final = "sum(delivered), sum(not_delivered), sum(pending)"
_SUMS: Final = ("batches", "reports", "repeats", "late")
_RECEIVED: Final = _by_step(f"json_array({_STATUSES})")
_RECEIVED_AND_SUMS: Final = _by_step(f"json_array({_STATUSES}, {', '.join(f'sum({name})' for name in _SUMS)})")
_TOTALS: Final = f"SELECT {', '.join(_SUMS)} FROM totals"
"""The same sums of all minutes."""
_ACTIVE: Final = _by_step("sum((batches > 0) << minute % 60)")
"""Of an hour, in its lowest bit its first minute."""
_STRETCH: Final = re.compile(f"1(?:0{{0,{_GAP - 1}}}1)*")
"""Minutes with traffic, and between them none that are enough for a gap."""


async def measure(fetch: Fetch, since: int, org: str | None, now: int, stuck_after: int) -> Measured:
    """Everything since the full hour `since`; all reads must be of one moment.

    Args:
        fetch: runs a query on the store.
        since: microseconds UTC; 0 for all.
        org: the beginning of organizations' ids.
        now: microseconds UTC.
        stuck_after: microseconds.
    """
    minute = now // MINUTE
    values = {
        "since": since // HOUR,
        "since_at": since,
        "from_minute": since // MINUTE,
        "stuck_before": now - stuck_after,
        "org": org.lower() if org else None,
    }
    organizations = await fetch(_ORGANIZATIONS, values)
    [(stuck,)] = await fetch(_STUCK, values)
    stretches, usual = await _traffic(fetch, minute)
    [(first,)] = await fetch(_FIRST, values) if not since else [(since // MINUTE,)]
    step = step_of(minute if first is None else first, minute)
    received = _RECEIVED_AND_SUMS if since else _RECEIVED
    steps = [(at, *msgspec.json.decode(sums)) for at, sums in await fetch(received, {**values, "step": step})]
    if since:
        sums = [sum(column) for column in zip(*steps, strict=True)][4:] or [0] * len(_SUMS)
    else:
        [sums] = await fetch(_TOTALS, {})
    hours = [(hour, _outcomes(row)) for hour, *row in await fetch(_HOURS, values)]
    failed = sum(one.not_delivered for _, one in hours)
    settings = dict(await fetch("SELECT name, value FROM settings", {}))
    return Measured(
        facts=[*await fetch(_FACTS, values), (facts.FAILED_FOR, 0, failed)],
        reasons=await fetch(_REASONS, values),
        organizations=[(name, _outcomes(row)) for name, _, *row in organizations],
        all_organizations=organizations[0][1] if organizations else 0,
        hours=hours,
        stuck=stuck,
        lags=await fetch(_LAGS, values),
        retries=await fetch(_RETRIES, values),
        **dict(zip(_SUMS, sums, strict=True)),
        step=step,
        steps=[(at, *counts[:3]) for at, *counts in steps],
        gaps=[*_longest_gaps(stretches, since // MINUTE), *_lasting(usual, minute)],
        usual=usual,
        sent_at_key=settings.get("sent_at_key") or None,
        assumed_east=_quarters_east(settings.get("assume_timezone", "UTC"), now),
    )


async def lasting_silence(fetch: Fetch, now: int) -> str | None:
    """Since when nothing has come for longer than is usual, ISO 8601; None where it is not so."""
    minute = now // MINUTE
    _, usual = await _traffic(fetch, minute)
    return next((one.since for one in silences(_lasting(usual, minute), usual) if one.until is None), None)


def _outcomes(row: Sequence[int | None]) -> Outcomes:
    delivered, failed, pending = (count or 0 for count in row)
    return Outcomes(messages=delivered + failed + pending, delivered=delivered, not_delivered=failed, pending=pending)


async def _traffic(fetch: Fetch, minute: int) -> tuple[list[tuple[int, int]], Usual]:
    """The stretches of minutes with traffic (first and last), between which there are gaps; and what is usual."""
    rows = await fetch(_ACTIVE, {"from_minute": minute - _HISTORY, "step": 60})
    active = [(hour, bits) for hour, bits in rows if bits]
    if not active:
        return [], Usual()
    stretches: list[tuple[int, int]] = []
    for hour, bits in active:
        for found in _STRETCH.finditer(f"{bits:b}"[::-1]):
            first, last = hour * 60 + found.start(), hour * 60 + found.end() - 1
            if stretches and first - stretches[-1][1] <= _GAP:
                first = stretches.pop()[0]
            stretches.append((first, last))
    last = stretches[-1][1]
    hours = [(hour, bits.bit_count()) for hour, bits in active]
    return stretches, Usual(stretches[0][0], last, max(last, minute), hours)


def _longest_gaps(stretches: Sequence[tuple[int, int]], since: int) -> list[tuple[int, int]]:
    """Those that ended after the minute `since`; the gap that the window begins in began before."""
    gaps = [
        (before, after)
        for (_, before), (after, _) in pairwise(stretches)
        if after > since and before >= since - 24 * 60
    ]
    return sorted(gaps, key=lambda gap: gap[0] - gap[1])[:_GAPS]


def _lasting(usual: Usual, minute: int) -> list[tuple[int, int]]:
    """The gap that lasts now, if there is one."""
    if not usual.hours:
        return []
    last = usual.latest
    return [(last, minute)] if minute - last > _GAP else []


def _quarters_east(name: str, now: int) -> int | None:
    offset = datetime.fromtimestamp(now / SECOND, UTC).astimezone(zone(name)).utcoffset()
    return None if offset is None else round(offset.total_seconds() / 900)
