"""What the store writes in another form comes back as it was."""

import sqlite3
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import body_of, report
from test_projector import project
from test_store import MemoryJournal

from hooklab.store import compact
from hooklab.store.compact import DESCRIPTION, MSISDN, PEER, REPORTED_AT, Texts, number_coded, time_coded
from hooklab.times import parse_reported

_NUMBERS = st.one_of(
    st.text("0123456789+ ", max_size=18), st.integers(-9, 10**18).map(str), st.just("٣٥١"), st.just("²"), st.none()
)
_TIMES = st.one_of(
    st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")),
    st.from_regex(r"(0000|0001|1969|1970|2026|9999)-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(Z|z|\.5Z)", fullmatch=True),
    st.sampled_from(["", "2026-11-20", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"]),
)


@pytest.fixture(scope="module")
def plain() -> sqlite3.Connection:
    """A connection that knows no table but `texts`."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return connection


def read(plain: sqlite3.Connection, sql: str, column: str, value: compact.Coded) -> object:
    [(found,)] = plain.execute(f"SELECT {sql} FROM (SELECT ? AS {column})", (value,))
    return found


@given(number=_NUMBERS)
def test_a_number_comes_back_as_it_was_sent(plain: sqlite3.Connection, number: str | None) -> None:
    """Leading zeros, a plus, spaces, other digits and very long ones too."""
    assert read(plain, MSISDN, "msisdn", number_coded(number)) == number


@given(text=_TIMES)
def test_a_time_comes_back_as_it_was_sent(plain: sqlite3.Connection, text: str) -> None:
    """Whatever its form, and whether it parses or not."""
    assert read(plain, REPORTED_AT, "reported_at", time_coded(text, parse_reported(text, UTC))) == text


def test_the_usual_forms_take_little_room() -> None:
    """They are numbers; a zone or a fraction that could not be given back is not dropped."""
    assert number_coded("351912345678") == 351912345678
    assert time_coded("2026-11-22T09:31:02Z", parse_reported("2026-11-22T09:31:02Z", UTC)) == 1_795_339_862
    for other in ("2026-11-22T09:31:02+", "2026-11-22 09:31:02Z", "2026-11-22t09:31:02Z"):
        assert time_coded(other, 5) == other


def test_texts_are_numbered_once_and_in_order() -> None:
    """Those that are known keep their numbers, None stays None, and what was never kept stays as it is."""
    texts = Texts({"a": 1})
    for one in ("a", "b", None, "c", "b"):
        texts.keep(one)
    assert texts.new == [(2, "b"), (3, "c")]
    assert [texts.coded(one) for one in ("a", "b", "c", "d", None, "2")] == [1, 2, 3, "d", None, "2"]


def test_many_texts_and_long_ones_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends another text with every report, or a book, fills neither table nor memory."""
    monkeypatch.setattr(compact, "_MOST", 3)
    texts = Texts({"a": 1})
    for one in ("x" * 201, "b", "c", "d"):
        texts.keep(one)
    assert [texts.coded(one) for one in ("b", "c", "d")] == [2, 3, "d"]
    assert texts.coded("x" * 201) == "x" * 201


async def test_digits_as_a_text_are_not_taken_for_the_number_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description "1" that is not kept once is read as "1", and not as the first text that is."""
    monkeypatch.setattr(compact, "_MOST", 3)
    journal = MemoryJournal()
    said = ["one", "two", "1", "2", "1"]
    journal.add(body_of([report() | {"ReportDescription": text} for text in said]))
    path = tmp_path / "store.db"
    await project(journal, path)
    with sqlite3.connect(path) as store:
        assert [text for (text,) in store.execute(f"SELECT {DESCRIPTION} FROM messages ORDER BY id")] == said
        assert [text for (text,) in store.execute(f"SELECT {DESCRIPTION} FROM reports ORDER BY arrival")] == said
        assert store.execute(f"SELECT {PEER} FROM batches").fetchall() == [("192.0.2.7",)]
        assert len(store.execute("SELECT * FROM texts").fetchall()) == 3
    store.close()
