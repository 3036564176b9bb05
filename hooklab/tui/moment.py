"""A moment as somebody types it. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hooklab.text import clean
from hooklab.times import DAY, MINUTE, parse_duration, parse_reported
from hooklab.tui.format import MONTHS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
_MONTH: Final = r"(?P<month>[a-z]{3})[a-z]*\.?"
_DAY_FIRST: Final = re.compile(
    rf"(?P<day>\d{{1,2}})\.? {_MONTH}(?: (?P<year>\d{{4}}))?(?:,? {_CLOCK})?", re.ASCII | re.IGNORECASE
)
_MONTH_FIRST: Final = re.compile(
    rf"{_MONTH} (?P<day>\d{{1,2}})(?:,? (?P<year>\d{{4}}))?(?:,? {_CLOCK})?", re.ASCII | re.IGNORECASE
)
_TODAY: Final = re.compile(_CLOCK, re.ASCII)
_ISO_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
HELP: Final = "14:05, 25 Nov 14:05, 2026-11-25T14:05, or 2h for two hours ago"


class MomentError(ValueError):
    """The text is no moment; the message says what would be."""


def parse_moment(text: str, now: int) -> int:
    """Microseconds UTC of what was typed: how long ago, a time of day, a day with or without one, or ISO 8601.

    What names no day is today's, or yesterday's where today's is yet to come; what names no year, this one's or the
    last one's.

    Raises:
        MomentError: it is none of these.
    """
    said = " ".join(text.split())
    ago = parse_duration(said.lower().removesuffix("ago").strip())
    found = _of_iso(said) if ago is None else now - ago
    found = _of_words(said, now) if found is None else found
    if found is None or found < 0:  # nothing was received before 1970
        raise MomentError(f"{clean(said, 40)!r} is no time; write {HELP}" if said else f"write {HELP}")
    return found


def _of_iso(said: str) -> int | None:
    return parse_reported(f"{said}T00:00" if _ISO_DAY.fullmatch(said) else said, UTC)


def _of_words(said: str, now: int) -> int | None:
    today = _EPOCH + timedelta(microseconds=now)
    names = None
    for form in (_TODAY, _DAY_FIRST, _MONTH_FIRST):
        found = form.fullmatch(said)
        if found is not None:
            names = found.groupdict()
            break
    if names is None:
        return None
    hour, minute, second = (int(names[name] or 0) for name in ("hour", "minute", "second"))
    try:
        if "day" not in names:
            at = _micros(today.replace(hour=hour, minute=minute, second=second, microsecond=0))
            return at if at < now + MINUTE else at - DAY
        month = MONTHS.index(str(names["month"]).capitalize()) + 1
        year = int(names["year"] or today.year)
        at = _micros(datetime(year, month, int(str(names["day"])), hour, minute, second, tzinfo=UTC))
        if names["year"] is None and at >= now + MINUTE:
            at = _micros(datetime(year - 1, month, int(str(names["day"])), hour, minute, second, tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return at


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
