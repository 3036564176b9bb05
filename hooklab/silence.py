"""Gaps in what comes in that are longer than is usual for that traffic. Pure.

What is usual is told by other days: an hour of the day (of the week, once there are three weeks) that mostly had
traffic is expected to have it, as many minutes of it as on average. A gap is a silence when the minutes that it was
expected to have are so many that it is no chance. A night that is always quiet, and a campaign once in a while, are
none.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from hooklab.times import MINUTE, iso

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_MOSTLY: Final = 0.5
_EXPECTED: Final = 10.0
"""Minutes with traffic that a gap would usually have; by chance it has none once in e^10 = 22,000 times."""
_SHOWN: Final = 20

MinuteGap = tuple[int, int]
"""The last minute with traffic before a gap and the first one after it (or now), since 1970 UTC."""


class Usual(Struct, frozen=True):
    """The traffic that others are held against."""

    first: int = 0
    """The first minute with traffic that is looked at, the last one, and the present one."""
    latest: int = 0
    last: int = 0
    hours: Sequence[tuple[int, int]] = ()
    """Hours since 1970 UTC that had traffic, and in how many of their minutes."""


class Silence(Struct, frozen=True, kw_only=True):
    """Nothing came from one moment to another, though something usually does."""

    since: str
    until: str | None
    """None while it lasts."""
    minutes: int
    usual_minutes: float
    """How many of them usually have traffic."""


def silences(gaps: Sequence[MinuteGap], usual: Usual) -> list[Silence]:
    """Of `gaps` those that are not usual, newest first, at most 20; what begins at the last traffic lasts."""
    expected = _Expected(usual)
    found = []
    for before, after in sorted(gaps, reverse=True):
        missed = expected.between(before + 1, after)
        if missed >= _EXPECTED:
            # The clock may have been set back: a gap before traffic of "later" is over all the same.
            lasts = before >= usual.latest
            found.append(
                Silence(
                    since=iso((before + 1) * MINUTE) or "",
                    until=None if lasts else iso(after * MINUTE),
                    minutes=after - before - 1,
                    usual_minutes=round(missed, 1),
                )
            )
    return found[:_SHOWN]


class _Expected:
    """How likely a minute is to have traffic, by its place in the cycle that the history is long enough to show."""

    def __init__(self, usual: Usual) -> None:
        span = usual.last - usual.first + 1
        self._cycle = _WEEK if span >= 3 * _WEEK else _DAY if span >= 3 * _DAY else _HOUR
        self._places = _places(usual, self._cycle)

    def between(self, start: int, end: int) -> float:
        """Minutes that usually have traffic from `start` to before `end`."""
        whole, rest = divmod(end - start, self._cycle)
        full = sum(self._places.values()) * _HOUR * whole
        at, missed = end - rest, 0.0
        while at < end:
            until = min(end, (at // _HOUR + 1) * _HOUR)
            missed += (until - at) * self._places.get(at % self._cycle // _HOUR, 0.0)
            at = until
        return full + missed


def _places(usual: Usual, cycle: int) -> Mapping[int, float]:
    minutes: dict[int, int] = {}
    present: dict[int, int] = {}
    for hour, active in usual.hours:
        place = hour * _HOUR % cycle // _HOUR
        minutes[place] = minutes.get(place, 0) + active
        present[place] = present.get(place, 0) + 1
    # Hours in which nothing came have no row: how often each place came by is counted from the span.
    first, last = usual.first // _HOUR, usual.last // _HOUR
    length = cycle // _HOUR
    places = {}
    for place, active in minutes.items():
        times = (last - place) // length - (first - 1 - place) // length
        if present[place] >= times * _MOSTLY:
            places[place] = active / (times * _HOUR)
    return places
