"""Silences: a gap counts when others of its kind were full, and never when they were empty too."""

import msgspec

from hooklab.silence import MinuteGap, Silence, Usual, silences
from hooklab.times import MINUTE, iso

HOURS = 24
DAY = 24 * 60
MONDAY = 20_004 * DAY  # days since 1970, which began on a Thursday


def traffic(days: int, hours: range, weekdays: range = range(7), per_hour: int = 50) -> Usual:
    """So many minutes of traffic in each of `hours` on each of `weekdays` (0 is Monday)."""
    rows = [
        (MONDAY // 60 + day * HOURS + hour, per_hour) for day in range(days) if day % 7 in weekdays for hour in hours
    ]
    return Usual(MONDAY + hours.start * 60, MONDAY + days * DAY, MONDAY + days * DAY, rows)


def found(usual: Usual, *gaps: MinuteGap) -> list[Silence]:
    return silences(gaps, usual)


def test_a_quiet_night_is_usual_and_a_quiet_noon_is_not() -> None:
    """Of an office's days: fifteen hours of the night are no silence, half an hour of the day is."""
    usual = traffic(7, range(9, 18))
    night = (MONDAY + DAY + 18 * 60, MONDAY + 2 * DAY + 9 * 60)
    noon = (MONDAY + DAY + 12 * 60, MONDAY + DAY + 12 * 60 + 31)
    [silence] = found(usual, night, noon)
    assert silence == Silence(
        since=iso((noon[0] + 1) * MINUTE) or "", until=iso(noon[1] * MINUTE), minutes=30, usual_minutes=25.0
    )


def test_a_gap_that_ends_in_the_future_is_over() -> None:
    """A clock that was set back leaves traffic ahead of now: the gap before it has its end, and lasts no longer."""
    usual = traffic(7, range(9, 18))
    noon = (MONDAY + DAY + 12 * 60, MONDAY + DAY + 12 * 60 + 31)
    [silence] = silences([noon], usual)
    assert silence.until == iso(noon[1] * MINUTE)


def test_the_gap_after_the_last_traffic_lasts() -> None:
    """Nothing came since, whatever minute it has become while the gap was being read."""
    usual = traffic(7, range(9, 18))
    last = MONDAY + 6 * DAY + 12 * 60
    usual = msgspec.structs.replace(usual, latest=last)
    [silence] = silences([(last, last + 60)], usual)
    assert silence.until is None


def test_weekends_are_learnt_in_three_weeks() -> None:
    """A business of Monday to Friday: its weekend is a silence until the history is long enough to know weeks."""
    weekend = (MONDAY + 4 * DAY + 18 * 60, MONDAY + 7 * DAY + 9 * 60)
    assert found(traffic(14, range(9, 18), range(5)), weekend)
    assert not found(traffic(28, range(9, 18), range(5)), weekend)
    monday = (MONDAY + 7 * DAY + 9 * 60, MONDAY + 7 * DAY + 12 * 60)
    assert found(traffic(28, range(9, 18), range(5)), monday)


def test_a_campaign_once_in_a_while_is_no_steady_traffic() -> None:
    """What mostly is quiet is expected to be quiet, however long; what comes every Monday is missed on a Monday."""
    once = traffic(1, range(10, 11))
    gap = (MONDAY + 660, MONDAY + 28 * DAY)
    assert not found(Usual(once.first, gap[1], gap[1], once.hours), gap)
    assert found(traffic(28, range(10, 11), range(1)), (MONDAY + 660, MONDAY + 14 * DAY))


def test_a_few_messages_an_hour_leave_gaps() -> None:
    """Where three minutes of an hour have traffic, an hour without is chance and a day without is not."""
    usual = traffic(14, range(24), per_hour=3)
    start = MONDAY + 3 * DAY
    assert not found(usual, (start, start + 60))
    assert found(usual, (start, start + DAY))


def test_many_cycles_count_like_their_parts() -> None:
    """A gap of days misses what its days together would have had."""
    usual = traffic(14, range(9, 18))
    start = MONDAY + 600
    [long] = found(usual, (start, start + 3 * DAY + 1))
    assert long.usual_minutes == 3 * 9 * 50
