"""Times: ours in microseconds UTC, the provider's as sent and, where they parse, in the same unit."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

Clock = Callable[[], int]
"""Gives the present as microseconds since 1970-01-01 UTC."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  arithmetic between naive times, no clock involved
_MIN = -62_135_596_800 * SECOND  # 0001-01-01T00:00:00Z
_MAX = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999Z

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{0,9}))?)?"
    r"(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?",
    re.ASCII,
)
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)", re.ASCII)
_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def zone(name: str) -> tzinfo:
    """The zone called `name`, such as ``UTC`` or ``Europe/Lisbon``.

    Raises:
        ValueError: there is no zone of that name.
    """
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        msg = f"no time zone is called {name!r}; use a name such as UTC or Europe/Lisbon"
        raise ValueError(msg) from error


def parse_reported(text: str, assumed: tzinfo) -> int | None:
    """Microseconds UTC of a ``ReportDateTime``, None where it cannot be parsed (design, section 4).

    ISO 8601 with ``T`` or a space, 0 to 9 fractional digits (cut to 6), ``Z``, an offset or nothing; without
    either the time is read in `assumed`. Seconds may be left out.
    """
    # Reports come in the order of their times, more or less: mostly only the seconds are others than before.
    if len(text) == 20 and text[19] == "Z" and (seconds := _SECONDS.get(text[17:19])) is not None:
        minute = _parse_minute(text[:17])
        return None if minute is None else minute + seconds
    return _parse(text, assumed)


_SECONDS = {f"{second:02d}": second * SECOND for second in range(60)}


@lru_cache(maxsize=1024)
def _parse_minute(text: str) -> int | None:
    return _parse(f"{text}00Z", UTC)


def _parse(text: str, assumed: tzinfo) -> int | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zulu, sign, off_hours, off_minutes = found.groups()
    micros = int((fraction or "")[:6].ljust(6, "0"))
    try:
        # The zone is added as a number below: arithmetic on aware times overflows at the years 1 and 9999.
        naive = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros)  # noqa: DTZ001
        if zulu or (sign is None and assumed is UTC):
            offset = timedelta()
        elif sign is None:
            offset = naive.replace(tzinfo=assumed).utcoffset() or timedelta()
        else:
            if int(off_hours) > 23 or int(off_minutes or 0) > 59:
                return None
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes or 0))
            if sign == "-":
                offset = -offset
    except (ValueError, OverflowError):
        return None
    value = ((naive - _NAIVE_EPOCH) - offset) // timedelta(microseconds=1)
    return value if _MIN <= value <= _MAX else None


def iso(micros: int | None) -> str | None:
    """``2026-11-22T09:31:02.120000Z`` of microseconds UTC; None stays None."""
    if micros is None:
        return None
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


@lru_cache(maxsize=64)
def parse_duration(text: str) -> int | None:
    """Microseconds of ``90s``, ``30m``, ``1h`` or ``7d``; None for anything else."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None
