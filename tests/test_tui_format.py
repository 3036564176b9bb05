"""How things are written on the screen: pure functions, no terminal."""

import json
import shlex
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tui_fakes import NOW, URL, entry, row

from hooklab.rules import label_mismatches
from hooklab.snippets import curl_line, sms_webhooks
from hooklab.text import clean
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.tui import format as written
from hooklab.tui.cells import Piece, cut, ends, fit, foreign, plain_marks, wrap
from hooklab.tui.rate import Rate, bars
from hooklab.tui.rows import MOST, Rows
from hooklab.wire import FIELDS, Elements, Report

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
    assert written.gap(NOW, NOW - 31 * SECOND) == "-31 s"
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


def test_a_rate_survives_a_rebuild_and_a_clock_set_back() -> None:
    """A total that falls or a clock that goes back starts anew instead of showing nonsense."""
    rate = Rate()
    assert rate.per_second() is None
    for second in range(5):
        rate.add(NOW + second * SECOND, 100 + 10 * second)
    assert rate.per_second() == 10
    assert rate.history(NOW + 5 * SECOND)[-4:] == (10, 10, 10, 10)
    rate.add(NOW + 5 * SECOND, 0)
    assert rate.per_second() is None
    rate.add(NOW, 5)
    assert rate.per_second() is None


@given(st.lists(st.integers(0, 10**9), max_size=90), st.integers(0, 100), st.integers(1, 3))
def test_bars_take_their_room(values: list[int], width: int, height: int) -> None:
    """Bars are as wide and high as asked for, and something is never drawn as nothing."""
    drawn = bars(tuple(values), width, height)
    assert [len(one) for one in drawn] == [width] * height
    shown = values[-width:] if width else []
    for value, bar in zip(reversed(shown), reversed(drawn[-1]), strict=False):
        assert (bar == "▁") == (value == 0)


def test_rows_are_bounded() -> None:
    """However much is loaded, no more than so many rows are held, and big texts are not held at all."""
    rows = Rows()
    page = [row(number, custom_payload="x" * 65_536) for number in range(MOST + 500, 0, -1)]
    rows.take_newest(page, len(page), following=False)
    assert len(rows) == MOST
    assert not rows.complete
    assert all(len(one.custom_payload or "") < 1_000 for one in rows.items)


def test_a_page_read_with_an_old_cursor_is_dropped() -> None:
    """When the rows changed while a page was read, that page is not appended."""
    rows = Rows()
    rows.take_newest([row(9), row(8)], 2, following=True)
    rows.take_older([row(5)], 2, 6)
    assert [one.cursor for one in rows.items] == [9, 8]
    rows.take_older([row(7)], 2, 8)
    assert [one.cursor for one in rows.items] == [9, 8, 7]
    assert rows.complete
