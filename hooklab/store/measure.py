"""Reads what the insights are made of: sums over the store's hourly counts, never the rows of messages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

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
    f"SELECT what, CASE what WHEN {facts.FAILED_FOR} THEN 0 ELSE detail END AS kept, sum(count)"
    f"{_OURS} GROUP BY what, kept ORDER BY what, kept"
)
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
_SUMS: Final = (
    "SELECT coalesce(sum(batches), 0), coalesce(sum(reports), 0), coalesce(sum(repeats), 0), coalesce(sum(late), 0)"
    " FROM minutes WHERE minute >= :since_minute"
)
_FIRST: Final = "SELECT min(minute) FROM minutes WHERE minute >= :since_minute"
_STEPS: Final = (
    "SELECT minute / :step, sum(delivered), sum(not_delivered), sum(pending) FROM minutes"
    " WHERE minute >= :since_minute GROUP BY 1 ORDER BY 1"
)
_USUAL: Final = (
    "SELECT min(minute), max(minute), minute / 60, count(*) FROM minutes"
    " WHERE minute >= :history AND batches > 0 GROUP BY minute / 60 ORDER BY minute / 60"
)
_LONG_GAPS: Final = (
    "SELECT before, minute FROM (SELECT minute, lag(minute) OVER (ORDER BY minute) AS before FROM minutes"
    " WHERE minute >= :gaps_since AND batches > 0)"
    f" WHERE minute - before > {_GAP} AND minute > :since_minute ORDER BY minute - before DESC LIMIT {_GAPS}"
)


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
        "since_minute": since // MINUTE,
        # The gap that the window begins in began before.
        "gaps_since": max(since // MINUTE - 24 * 60, minute - _HISTORY),
        "history": minute - _HISTORY,
        "stuck_before": now - stuck_after,
        "org": org.lower() if org else None,
    }
    organizations = await fetch(_ORGANIZATIONS, values)
    [sums] = await fetch(_SUMS, values)
    [(stuck,)] = await fetch(_STUCK, values)
    usual = _usual(await fetch(_USUAL, values), minute)
    [(first,)] = await fetch(_FIRST, values) if not since else [(since // MINUTE,)]
    step = step_of(minute if first is None else first, minute)
    settings = dict(await fetch("SELECT name, value FROM settings", {}))
    return Measured(
        facts=await fetch(_FACTS, values),
        reasons=await fetch(_REASONS, values),
        organizations=[(name, _outcomes(row)) for name, _, *row in organizations],
        all_organizations=organizations[0][1] if organizations else 0,
        hours=[(hour, _outcomes(row)) for hour, *row in await fetch(_HOURS, values)],
        stuck=stuck,
        lags=await fetch(_LAGS, values),
        retries=await fetch(_RETRIES, values),
        **dict(zip(("batches", "reports", "repeats", "late"), sums, strict=True)),
        step=step,
        steps=await fetch(_STEPS, {**values, "step": step}),
        gaps=[*await fetch(_LONG_GAPS, values), *_lasting(usual, minute)],
        usual=usual,
        sent_at_key=settings.get("sent_at_key") or None,
        assumed_east=_quarters_east(settings.get("assume_timezone", "UTC"), now),
    )


async def lasting_silence(fetch: Fetch, now: int) -> str | None:
    """Since when nothing has come for longer than is usual, ISO 8601; None where it is not so."""
    minute = now // MINUTE
    usual = _usual(await fetch(_USUAL, {"history": minute - _HISTORY}), minute)
    return next((one.since for one in silences(_lasting(usual, minute), usual) if one.until is None), None)


def _outcomes(row: Sequence[int | None]) -> Outcomes:
    delivered, failed, pending = (count or 0 for count in row)
    return Outcomes(messages=delivered + failed + pending, delivered=delivered, not_delivered=failed, pending=pending)


def _usual(rows: Sequence[Any], minute: int) -> Usual:
    if not rows:
        return Usual()
    last = max(row[1] for row in rows)
    return Usual(rows[0][0], last, max(last, minute), [(hour, active) for _, _, hour, active in rows])


def _lasting(usual: Usual, minute: int) -> list[tuple[int, int]]:
    """The gap that lasts now, if there is one."""
    if not usual.hours:
        return []
    last = usual.latest
    return [(last, minute)] if minute - last > _GAP else []


def _quarters_east(name: str, now: int) -> int | None:
    offset = datetime.fromtimestamp(now / SECOND, UTC).astimezone(zone(name)).utcoffset()
    return None if offset is None else round(offset.total_seconds() / 900)
