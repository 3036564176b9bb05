"""Reported times in the spellings that a provider may choose, and our own."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooklab import times
from hooklab.times import iso, parse_duration, parse_reported, zone

LISBON: Final = zone("Europe/Lisbon")
FIRST: Final = -62_135_596_800_000_000
LAST: Final = 253_402_300_799_999_999

ACCEPTED: list[tuple[str, str]] = [
    ("2026-11-20T09:31:02Z", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20t09:31:02z", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20 09:31:02", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20T09:31:02", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20T09:31", "2026-11-20T09:31:00.000000Z"),
    ("2026-11-20 09:31Z", "2026-11-20T09:31:00.000000Z"),
    ("2026-11-20T09:31:02.1Z", "2026-11-20T09:31:02.100000Z"),
    ("2026-11-20T09:31:02.000001", "2026-11-20T09:31:02.000001Z"),
    ("2026-11-20T09:31:02.1234567Z", "2026-11-20T09:31:02.123456Z"),
    ("2026-11-20T09:31:02.123456789Z", "2026-11-20T09:31:02.123456Z"),
    ("2026-11-20T09:31:02.999999999Z", "2026-11-20T09:31:02.999999Z"),
    ("2026-11-20T09:31:02+00:00", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20T09:31:02-00:00", "2026-11-20T09:31:02.000000Z"),
    ("2026-11-20T09:31:02+01:00", "2026-11-20T08:31:02.000000Z"),
    ("2026-11-20T09:31:02+0130", "2026-11-20T08:01:02.000000Z"),
    ("2026-11-20T09:31:02-05", "2026-11-20T14:31:02.000000Z"),
    ("2026-11-20T00:30:00.5+05:45", "2026-11-19T18:45:00.500000Z"),
    ("2026-12-31T23:59:59-23:59", "2027-01-01T23:58:59.000000Z"),
    ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"),
    ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
    ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
    ("0001-01-01T12:00:00+12:00", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31T11:59:59-12:00", "9999-12-31T23:59:59.000000Z"),
]

REFUSED: list[str] = [
    "",
    " ",
    "now",
    "2026-11-20",
    "2026-11-20T09",
    "09:31:02",
    "20/11/2026 09:31:02",
    "20-11-2026T09:31:02Z",
    "2026/11/20T09:31:02Z",
    "26-11-20T09:31:02Z",
    "20261120T093102Z",
    "2026-11-20T09:31:02,5Z",
    "2026-11-20T09:31:02.1234567890Z",
    "2026-11-20T09:31.5Z",
    "2026-11-20T09:31:02 Z",
    "2026-11-20T09:31:02 +01:00",
    "2026-11-20  09:31:02",
    " 2026-11-20T09:31:02Z",
    "2026-11-20T09:31:02Z\n",
    "2026-11-20T09:31:02Z+01:00",
    "2026-11-20T09:31:02+1:00",
    "2026-11-20T09:31:02+24:00",
    "2026-11-20T09:31:02+01:60",
    "2026-11-20T09:31:02 Europe/Lisbon",
    "2026-11-20T09:31:02\u221201:00",
    "2026-11-20T09:31:60Z",
    "2026-11-20T09:60:00Z",
    "2026-11-20T24:00:00Z",
    "2026-02-29T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-00-01T12:00:00Z",
    "2026-11-31T12:00:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-2026-11-20T09:31:02Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59.5-00:01",
    "1795167062",
    "/Date(1795167062000)/",
    "\uff12026-11-20T09:31:02Z",
    "\u0662\u0660\u0662\u0666-11-20T09:31:02Z",
    "2026-11-20T09:31:02Z\0",
]


@pytest.mark.parametrize(("text", "wanted"), ACCEPTED)
def test_accepted_times(text: str, wanted: str) -> None:
    """ISO 8601 with T or a space, up to 9 fractional digits cut to 6, and Z, an offset or nothing."""
    assert iso(parse_reported(text, UTC)) == wanted


@pytest.mark.parametrize("text", REFUSED)
def test_refused_times(text: str) -> None:
    """Anything else, and what leaves the years 1 to 9999, counts as a time that cannot be parsed."""
    assert parse_reported(text, UTC) is None
    assert parse_reported(text, LISBON) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-15T12:00:00", "2026-01-15T12:00:00.000000Z"),
        ("2026-07-15T12:00:00", "2026-07-15T11:00:00.000000Z"),
        ("2026-07-15 00:30", "2026-07-14T23:30:00.000000Z"),
        ("2026-07-15T12:00:00Z", "2026-07-15T12:00:00.000000Z"),
        ("2026-07-15T12:00:00+02:00", "2026-07-15T10:00:00.000000Z"),
        ("2026-03-29T00:59:59", "2026-03-29T00:59:59.000000Z"),
        ("2026-03-29T02:00:00", "2026-03-29T01:00:00.000000Z"),
        ("2026-10-25T00:59:59", "2026-10-24T23:59:59.000000Z"),
        ("2026-10-25T01:30:00", "2026-10-25T00:30:00.000000Z"),
        ("2026-10-25T02:00:00", "2026-10-25T02:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_without_zone_is_read_in_the_assumed_one(text: str, wanted: str) -> None:
    """Lisbon is at UTC in winter and an hour ahead in summer; a zone that is named is obeyed."""
    assert iso(parse_reported(text, LISBON)) == wanted


@pytest.mark.parametrize("name", ["Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"])
def test_the_ends_of_time_in_any_zone_do_no_harm(name: str) -> None:
    """Where the assumed zone carries a time out of the years 1 to 9999 it counts as unparsable; nothing raises."""
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"):
        value = parse_reported(text, zone(name))
        assert value is None or FIRST <= value <= LAST
    assert parse_reported("0001-01-01T00:00:00", zone("Asia/Tokyo")) is None
    assert parse_reported("9999-12-31T23:59:59", zone("America/New_York")) is None


@given(st.integers(FIRST, LAST))
def test_our_own_times_make_the_round_trip(micros: int) -> None:
    """What `iso` writes is read back to the microsecond, and looks as Python's own text does."""
    text = iso(micros)
    assert text is not None
    assert parse_reported(text, LISBON) == micros
    written = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert text == written.isoformat(timespec="microseconds").replace("+00:00", "Z")


@given(st.datetimes(), st.sampled_from(["T", " "]), st.integers(-1439, 1439))
def test_times_with_an_offset_are_read_as_python_reads_them(naive: datetime, between: str, minutes: int) -> None:
    """Any date with any offset of whole minutes gives Python's microseconds, or nothing outside of its years."""
    sign = "-" if minutes < 0 else "+"
    text = f"{naive.isoformat(between, 'microseconds')}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    since = naive - datetime(1970, 1, 1) - timedelta(minutes=minutes)  # noqa: DTZ001  arithmetic between naive times
    wanted = since // timedelta(microseconds=1)
    assert parse_reported(text, LISBON) == (wanted if FIRST <= wanted <= LAST else None)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """Whatever stands in a ReportDateTime, it is a time or it is not."""
    value = parse_reported(text, LISBON)
    assert value is None or FIRST <= value <= LAST


def test_iso_of_nothing_is_nothing() -> None:
    """A time that is not known has no text."""
    assert iso(None) is None


@pytest.mark.parametrize("name", ["UTC", "utc", "Z", "Europe/Lisbon", "America/Sao_Paulo"])
def test_zones_that_there_are(name: str) -> None:
    """A zone is found by its name; UTC in any letter case."""
    assert datetime(2026, 1, 1, tzinfo=zone(name)).utcoffset() is not None


@pytest.mark.parametrize(
    "name", ["", "Lisbon", "Europe", "Mars/Base", "../etc/passwd", "/etc/passwd", "a\0b", "x" * 5000]
)
def test_a_zone_that_there_is_not_is_named(name: str) -> None:
    """An unknown name, a folder and a path are a ValueError that says which name and what to write instead."""
    with pytest.raises(ValueError, match=r"no time zone is called .*Europe/Lisbon"):
        zone(name)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0s", 0),
        ("90s", 90 * times.SECOND),
        ("30m", 30 * times.MINUTE),
        ("1h", 3_600_000_000),
        ("24h", times.DAY),
        ("7d", 7 * 86_400_000_000),
        ("007d", 7 * times.DAY),
        ("999999d", 999_999 * times.DAY),
        ("", None),
        ("7", None),
        ("d", None),
        ("-1h", None),
        ("+1h", None),
        ("1.5h", None),
        ("1 h", None),
        (" 1h", None),
        ("1h ", None),
        ("1h\n", None),
        ("1H", None),
        ("1w", None),
        ("1h30m", None),
        ("1000000s", None),
        ("\u0661h", None),
    ],
)
def test_durations(text: str, micros: int | None) -> None:
    """A whole number of seconds, minutes, hours or days; nothing else."""
    assert parse_duration(text) == micros
