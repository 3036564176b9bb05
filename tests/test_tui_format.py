"""How things are written on the screen: pure functions, no terminal."""

import json
import shlex
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from tui_fakes import NOW, URL, entry, message_id, row

from hooklab.rules import label_mismatches
from hooklab.snippets import curl_line, sms_webhooks
from hooklab.store.base import MessageRow
from hooklab.text import clean
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.tui import format as written
from hooklab.tui.cells import Piece, cut, ends, fit, foreign, plain_marks, wrap
from hooklab.tui.format import bytes_of, ordinal
from hooklab.tui.rate import Rate, bars
from hooklab.tui.rows import MOST, Changes, Rows, Step
from hooklab.tui.sources import Messages
from hooklab.wire import FIELDS, Elements, Report

SOURCE = Messages()
OUTSIDE = st.text(st.characters(codec="utf-8") | st.sampled_from("日👍🏽🇵🇹ẞ\u0301\u200d\ufe0f\uff41")).map(clean)


@given(OUTSIDE, st.integers(0, 40))
def test_text_takes_exactly_its_cells(text: str, width: int) -> None:
    """Whatever the text, `fit` takes as many cells as asked for and `cut` never more."""
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width
    assert cell_len(cut(text, width)) <= width
    assert cell_len(foreign(text, width)) == width


@given(OUTSIDE, st.integers(2, 40))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    """Every line fits, and together they are the text."""
    lines = wrap(text, width)
    assert all(cell_len(one) <= width for one in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(OUTSIDE, OUTSIDE, st.integers(0, 60))
def test_a_line_with_two_ends_fits(left: str, right: str, width: int) -> None:
    """Left and right share the width; when it is too small something is cut, nothing sticks out."""
    assert cell_len(ends([Piece(left)], [Piece(right)], width).text) <= width


def test_plain_marks_take_the_same_cells() -> None:
    """What stands in for a mark on a Linux console is as wide as the mark."""
    marks = "✔✖…↻⚑▸●▲○▁▂▃▄▅▆▇█↑↓"
    assert len(plain_marks(marks)) == cell_len(plain_marks(marks)) == len(marks)


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (0, 3, "  0"),
        (1_204_331, 11, "  1,204,331"),
        (999_999_999_999, 11, " 1,000,000M"),
        (12_345, 3, "12k"),
        (1_234, 3, " 1k"),
    ],
)
def test_numbers_keep_to_their_cells(value: int, width: int, text: str) -> None:
    """Numbers are grouped and right-aligned, and shortened rather than wider than their cell."""
    assert written.number(value, width) == text.rjust(width)


@given(st.integers(0, 10**20), st.integers(3, 14))
def test_no_number_is_wider_than_its_cell(value: int, width: int) -> None:
    """Whatever the value, the cell stays as wide as it is."""
    assert len(written.number(value, width)) == width


def test_shares_are_honest() -> None:
    """A share is never rounded to all or nothing, and nothing is shared of nothing."""
    assert written.share(999_999, 1_000_000) == " 99.9%"
    assert written.share(1, 1_000_000) == "  0.1%"
    assert written.share(1, 1) == "  100%"
    assert written.share(0, 5) == "    0%"
    assert written.share(0, 0).strip() == ""


def test_durations_in_words() -> None:
    """Durations are short, gaps have a sign, times of other days show their day."""
    values = (120_000, 3_200_000, 31 * SECOND, 12 * MINUTE, 26 * HOUR, 3 * DAY)
    assert [written.duration(value) for value in values] == ["120 ms", "3.2 s", "31 s", "12 min", "26 h", "3 d"]
    assert written.gap(NOW, NOW + 3_200_000) == "+3.2 s"
    assert written.gap(NOW, NOW - 31 * SECOND) == "clock set back"
    assert written.up_time(3 * DAY + 4 * HOUR + 12 * MINUTE) == "3 d 04:12"
    assert written.short_time(NOW, NOW) == "12:04:51"
    assert written.short_time(NOW - DAY, NOW) == "  22 Nov"
    assert written.short_time(NOW - 400 * DAY, NOW) == "Oct 2025"
    assert written.stamp(NOW) == "23 Nov 12:04:51.000"


def test_payloads_are_pretty_only_where_they_are_json() -> None:
    """JSON objects are indented with their numbers as sent; anything else stays one text."""
    assert written.pretty_payload('{"a":1.50,"b":[1e3]}') == [
        "{",
        '  "a": 1.50,',
        '  "b": [',
        "    1e3",
        "  ]",
        "}",
    ]
    assert written.pretty_payload("{order: 1}") == ["{order: 1}"]
    assert written.pretty_payload("12") == ["12"]
    assert written.pretty_payload("[" * 5_000) == ["[" * 5_000]
    assert written.pretty_payload('{"\ud800":1}') == ['{"\ufffd":1}']


def test_a_first_final_that_stands_decides() -> None:
    """Without a conflict the first final is said to decide, and a PENDING beside it is explained."""
    timeline = [
        entry("final", 5, status="DELIVERED", index=1),
        entry("pending", 5, index=0),
        entry("retry", 9),
        entry("duplicate", 9, index=4),
    ]
    first, beside, again, twice = written.sentences(timeline, "DELIVERED")
    assert first == "DELIVERED: this decides the state"
    assert "within one batch the order means nothing" in beside
    assert "in a retry of batch 5" in again
    assert "another batch (first in batch 5)" in twice


def test_a_conflict_that_does_not_decide_says_so() -> None:
    """When the first final keeps the state, the second is said to be the other."""
    timeline = [entry("final", 1, status="DELIVERED"), entry("conflict", 2, status="NOT_DELIVERED")]
    assert written.sentences(timeline, "DELIVERED")[1].endswith("conflict; by reported time the other decides")


def test_a_repeat_in_one_batch_is_told_as_that() -> None:
    """The same report twice in one POST is not called another batch."""
    timeline = [entry("pending", 1), entry("duplicate", 1, index=1)]
    assert written.sentences(timeline, "PENDING")[1] == "the same report twice in one batch; changes nothing"


def test_the_sample_is_a_documented_report() -> None:
    """What the curl line sends has all eight fields, is understood, and is the same report each time."""
    words = shlex.split(curl_line(URL))
    assert "\n" not in curl_line(URL)
    assert words[-1] == URL
    (judged,) = Elements(words[-2].encode(), 10)
    assert isinstance(judged, Report)
    assert judged.extra is None
    assert sorted(json.loads(words[-2])[0]) == sorted(FIELDS)
    assert UUID(bytes=judged.message_id).version == 4


def test_the_snippet_is_what_the_provider_documents() -> None:
    """Three enabled URLs, each with the label that names its state."""
    snippet = json.loads(sms_webhooks(URL))
    assert snippet == {
        "smsWebhooks": {
            state: {"url": f"{URL}/{state}", "enabled": True} for state in ("delivered", "not_delivered", "pending")
        }
    }
    labels = [hook["url"].rpartition("/")[2] for hook in snippet["smsWebhooks"].values()]
    assert [label_mismatches(label, code) for label, code in zip(labels, (1, 2, 0), strict=True)] == [False] * 3


def test_a_rate_survives_a_rebuild() -> None:
    """A total that falls starts anew instead of showing nonsense."""
    rate = Rate()
    assert rate.per_second() is None
    for second in range(5):
        rate.add(NOW + second * SECOND, 100 + 10 * second)
    assert rate.per_second() == 10
    assert rate.history(NOW + 5 * SECOND)[-4:] == (10, 10, 10, 10)
    rate.add(NOW + 5 * SECOND, 0)
    assert rate.per_second() is None


@given(st.lists(st.integers(0, 10**9), max_size=90), st.integers(0, 100), st.integers(1, 3))
def test_bars_take_their_room(values: list[int], width: int, height: int) -> None:
    """Bars are as wide and high as asked for, and something is never drawn as nothing."""
    drawn = bars(tuple(values), width, height)
    assert [len(one) for one in drawn] == [width] * height
    shown = values[-width:] if width else []
    for value, bar in zip(reversed(shown), reversed(drawn[-1]), strict=False):
        assert (bar == "▁") == (value == 0)


def rows_of(*cursors: int, reached: int | None = None) -> Rows[MessageRow]:
    rows = Rows(SOURCE.cursor, SOURCE.key)
    rows.take_newest(step(*cursors, reached=reached))
    return rows


def step(*cursors: int, reached: int | None = None, newest: int | None = None) -> Step[MessageRow]:
    return Step([row(cursor) for cursor in cursors], reached, newest or max(cursors, default=0))


def cursors(rows: Rows[MessageRow]) -> list[int]:
    return [one.cursor for one in rows.items]


def test_rows_are_bounded() -> None:
    """However much is loaded, no more than so many rows are held; what was cut off can be loaded again."""
    rows = rows_of(*range(MOST + 500, 0, -1))
    assert rows.cut(0, MOST) == 0
    assert (len(rows), rows.items[0].cursor, rows.newest) == (MOST, MOST + 500, True)
    assert not rows.complete
    assert rows.reached == rows.items[-1].cursor
    rows = rows_of(*range(MOST + 500, 0, -1))
    assert rows.cut(MOST, MOST) == 500
    assert (rows.above, rows.items[0].cursor, rows.newest) == (MOST, MOST, False)
    assert rows.complete


def test_a_window_grows_at_both_ends() -> None:
    """Amid all rows older ones are appended and newer ones put on top, each once, until there are none."""
    rows = rows_of(20, 19, reached=19)
    rows.begin_at(10, 20)
    rows.take_older(step(10, 9, reached=9), 11)
    rows.take_newer(step(12, 11, reached=12), 10)
    assert (cursors(rows), rows.above, rows.reached) == ([12, 11, 10, 9], 12, 9)
    assert [rows.find_cursor(cursor) for cursor in (99, 12, 10, 9, 1)] == [0, 0, 2, 3, 3]
    rows.take_newer(step(99), 7)  # read for another window
    moved = replace(row(9), cursor=13)
    rows.take_newer(Step([moved], None, 20), 12)
    assert (cursors(rows), rows.newest) == ([13, 12, 11, 10], True)


def test_changes_beyond_a_window_take_rows_from_it_alone() -> None:
    """Amid all rows, what is new is left out, and what moved up beyond the window is no longer in it."""
    rows = rows_of(20, reached=20)
    rows.begin_at(10, 20)
    rows.take_older(step(10, 9, 8, reached=8), 11)
    rows.take_changes(Changes([(row(22), True), (replace(row(9), cursor=21), True)], whole=True))
    assert (cursors(rows), rows.top, rows.above) == ([10, 8], 22, 10)


def test_a_page_read_with_an_old_cursor_is_dropped() -> None:
    """When the rows changed while a page was read, that page is not appended."""
    rows = rows_of(9, 8, reached=8)
    rows.take_older(step(5), 6)
    assert cursors(rows) == [9, 8]
    rows.take_older(step(7), 8)
    assert cursors(rows) == [9, 8, 7]
    assert rows.complete


def test_changes_go_to_their_places() -> None:
    """What is new comes on top, what moved stands once, what no longer matches goes, the rest stays."""
    rows = rows_of(9, 8, 7, reached=7)
    moved = replace(row(8), cursor=12)
    gone = replace(row(9), cursor=11)
    rows.take_changes(Changes([(row(13), True), (moved, True), (gone, False)], whole=True))
    assert [(one.cursor, one.message_id) for one in rows.items] == [
        (13, message_id(13)),
        (12, message_id(8)),
        (7, message_id(7)),
    ]
    assert (rows.top, rows.reached) == (13, 7)


def test_the_newest_join_what_is_held_or_take_its_place() -> None:
    """A newest page that reaches down to what is held is put on top of it; one that does not replaces it."""
    rows = rows_of(5, 4, 3, reached=3)
    assert rows.joins(step(8, 7, 5, reached=5))
    rows.take_newest(step(8, 7, 5, reached=5))
    assert (cursors(rows), rows.reached) == ([8, 7, 5, 4, 3], 3)
    assert not rows.joins(step(20, 19, reached=19))
    rows.take_newest(step(20, 19, reached=19))
    assert (cursors(rows), rows.reached) == ([20, 19], 19)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (4_194_304, "4.2 MB"),
        (2_000_000_000, "2.0 GB"),
    ],
)
def test_bytes_are_written_short(size: int, said: str) -> None:
    """At most three digits and a unit."""
    assert bytes_of(size) == said


def test_ordinals() -> None:
    """1st, 2nd, 3rd, 11th, 21st."""
    assert [ordinal(value) for value in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )
