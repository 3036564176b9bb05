"""Messages as CSV and JSON Lines, the paging through them, and the file that they go to."""

import asyncio
import csv
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tui_fakes import FakeClock, FakeMonitor, message_id, row

from hooklab.export.file import ExportError, ExportExistsError, ExportFile, place_of, proposed
from hooklab.export.job import Wish, write_file
from hooklab.export.lines import KEYS, cell, header, is_dangerous, lines_of, values_of
from hooklab.export.pages import pages
from hooklab.monitor import MonitorError
from hooklab.store.base import ALL, Changed, Condition, Found
from hooklab.text import clean_cell

_beginnings = st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "'", '"', " ", "\uff1d", "\u200b", "'='"])
_texts = st.builds("{}{}".format, _beginnings, st.text(max_size=20))
_HARMFUL: Final = set(
    map(chr, (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), 0x2066, 0x2069))
)
_ROW: Final = row(1)


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def unprefixed(text: str) -> str:
    """The documented way back."""
    return text[1:] if text.startswith("'") and is_dangerous(text[1:]) else text


# lines


@settings(deadline=None)
@given(_texts, _texts, _texts)
def test_csv_reads_back(description: str, msisdn: str, payload: str) -> None:
    """Whatever is in it, a row is one row, and its cells are the texts but for harmful characters and the prefix."""
    made = lines_of([row(1, description=description, msisdn=msisdn, custom_payload=payload), _ROW], "csv")
    first, second = read_csv(made)
    told = dict(zip(KEYS, first, strict=True))
    for name, text in (("description", description), ("msisdn", msisdn), ("custom_payload", payload)):
        assert unprefixed(told[name]) == clean_cell(text)
        assert told[name][:1] not in set("=-@\t\r\n\uff1d")
        assert not _HARMFUL & set(told[name].replace("\r\n", "\n"))
    assert second[0] == message_id(1)


@settings(deadline=None)
@given(_texts, _texts)
def test_json_lines_are_exact(description: str, payload: str) -> None:
    """Each line parses to the very texts, one line a message."""
    made = lines_of([row(1, description=description, custom_payload=payload, flags=["late"]), _ROW], "jsonl")
    first, second = map(json.loads, made.decode().split("\n")[:-1])
    assert (first["description"], first["custom_payload"], first["flags"]) == (description, payload, ["late"])
    assert second == values_of(_ROW)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ('"=1"', '\'"=1"'),
        ("  =1", "'  =1"),
        ("\t1", "'\t1"),
        ("\r\n=1", "'\r\n=1"),
        ("\uff1dcmd|x", "'\uff1dcmd|x"),
        ("'=1", "''=1"),
        ("+351913462111", "+351913462111"),
        ("351913462111", "351913462111"),
        ("+351913462111+1", "'+351913462111+1"),
        ("+3519134621112345", "'+3519134621112345"),
        ("00042", "00042"),
        ("order=1", "order=1"),
        ("it's", "it's"),
        ("a\x1b[2Jb\x00c\rd", "a␛[2Jb␀c␍d"),
        ("a\u202eb", "a\ufffdb"),
        ("one\r\ntwo\nthree", "one\r\ntwo\nthree"),
    ],
)
def test_cells(text: str, written: str) -> None:
    """Formulas get a prefix, numbers stay whole, and nothing in a cell obeys a terminal."""
    assert cell(text) == written


def test_what_csv_looks_like() -> None:
    """A header, lines that end in CR LF, text in quotes and counts without, nothing for what is not known."""
    shown = row(1, description='say "no"', flags=["late", "repeated"], final_at=None, msisdn="0351913462111")
    made = header("csv") + lines_of([shown], "csv")
    first, second, rest = made.decode().split("\r\n")
    assert first == ",".join(f'"{name}"' for name in KEYS)
    assert second == (
        f'"{message_id(1)}","DELIVERED","late repeated","say ""no""","7c9e6679-7425-40de-944b-e07fc1f90ae7",'
        '"0351913462111",1,"order 1","2026-11-23T12:03:51.000000Z","2026-11-23T12:04:21.000000Z","",2'
    )
    assert rest == ""
    assert header("jsonl") == b""


def test_masked_numbers() -> None:
    """The number goes, and so does one under a usual name in the custom payload."""
    shown = row(1, msisdn="351913462111", custom_payload='{"to":"351913462111","order":4711}')
    for form in ("csv", "jsonl"):
        made = lines_of([shown], form, masked=True).decode()
        assert "351913462111" not in made
        assert "3519····2111" in made
        assert "4711" in made


# pages


async def all_of(monitor: FakeMonitor, size: int) -> list[str]:
    found: list[str] = []
    async for rows in pages(monitor, ALL, size):
        assert len(rows) <= size
        found += [one.message_id for one in rows]
    return found


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 100])
async def test_pages_are_everything_newest_first(count: int) -> None:
    """In reads of a bounded size, whether or not they come out even."""
    monitor = FakeMonitor(FakeClock(), [row(number) for number in range(1, count + 1)])
    assert await all_of(monitor, 7) == [message_id(number) for number in range(count, 0, -1)]


class Moving(FakeMonitor):
    """Before each of the first reads some messages get new activity, and new ones come.

    Attributes:
        moves: for each read the numbers of the messages.
    """

    moves: list[list[int]]
    cursor = 1000

    def _move(self) -> None:
        for number in self.moves.pop(0) if self.moves else ():
            self.cursor += 1
            self.add(row(number, cursor=self.cursor))

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        found = await super().search(where, limit, before)
        self._move()
        return found

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        self._move()
        return await super().changed(where, after, limit)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 45), max_size=15), max_size=12))
def test_each_message_comes_once_whatever_moves(moves: list[list[int]]) -> None:
    """Messages that get reports while the pages are read are neither lost nor given twice."""
    monitor = Moving(FakeClock(), [row(number) for number in range(1, 41)])
    monitor.moves = [list(one) for one in moves]
    found = asyncio.run(all_of(monitor, 7))
    assert len(found) == len(set(found))
    assert set(found) >= {message_id(number) for number in range(1, 41)}


async def test_a_read_that_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is being replaced fails for a moment; one that goes on failing is said."""
    monkeypatch.setattr("hooklab.export.pages._AGAIN", 0)
    monitor = FakeMonitor(FakeClock(), [row(number) for number in range(1, 11)])
    whole, failures = monitor.search, [MonitorError("gone"), MonitorError("gone")]

    async def failing(*asked: Any) -> Found:
        if failures:
            raise failures.pop()
        return await whole(*asked)

    monitor.search = failing  # type: ignore[method-assign, assignment]
    assert len(await all_of(monitor, 7)) == 10
    failures += [MonitorError("gone")] * 9
    with pytest.raises(MonitorError, match="gone"):
        await all_of(monitor, 7)


# the file


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    """Not before, only for its owner, and nothing beside it afterwards."""
    path = tmp_path / "x.csv"
    file = ExportFile(path, replace=False)
    file.write(b"one")
    assert not path.exists()
    (aside,) = tmp_path.iterdir()
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    file.write(b"two")
    file.finish()
    file.discard()
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["x.csv"]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    """Unless it is to be replaced; also one that came while the export was written, and with a file system that
    knows no links.
    """
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(ExportExistsError, match="is there already"):
        ExportFile(path, replace=False)
    file = ExportFile(tmp_path / "y.csv", replace=False)
    (tmp_path / "y.csv").write_text("theirs")
    with pytest.raises(ExportExistsError, match="by now"):
        file.finish()
    file.discard()
    assert (tmp_path / "y.csv").read_text() == "theirs"
    assert names(tmp_path) == ["x.csv", "y.csv"]
    file = ExportFile(path, replace=True)
    file.write(b"new")
    file.discard()
    assert path.read_text() == "mine"
    file = ExportFile(path, replace=True)
    file.write(b"new")
    file.finish()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["x.csv", "y.csv"]


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There too a file is named, and none replaced."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "x.csv"
    ExportFile(path, replace=False).finish()
    assert names(tmp_path) == ["x.csv"]
    file = ExportFile(tmp_path / "y.csv", replace=False)
    (tmp_path / "y.csv").write_text("theirs")
    with pytest.raises(ExportExistsError):
        file.finish()
    file.discard()
    assert (tmp_path / "y.csv").read_text() == "theirs"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/x.csv", "missing cannot|missing/x.csv cannot be written: No such file"),
        (".", "is a folder"),
        ("file/x.csv", "is no folder|Not a directory"),
        ("/dev/full", "is no plain file"),
        ("data/x.csv", "is a data folder of hooklab"),
        ("n" * 300, "File name too long"),
        ("", "no name"),
        ("~nobody-of-that-name/x.csv", "is no path"),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, name: str, said: str) -> None:
    """Each is refused in words, and nothing is made."""
    (tmp_path / "file").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.db").write_text("")
    with pytest.raises(ExportError, match=said):
        ExportFile(place_of(name, tmp_path), replace=True)
    assert names(tmp_path) == ["data", "file"]


def test_home_and_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~ is the home folder; what is proposed lies here, or there where this cannot be written."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert place_of(" ~/x.csv ", tmp_path) == tmp_path / "home" / "x.csv"
    assert place_of("a/../x.csv", tmp_path) == tmp_path / "x.csv"
    assert proposed("csv", "20261125-1432", tmp_path) == "hooklab-messages-20261125-1432.csv"
    (tmp_path / "hooklab-messages-20261125-1432.csv").touch()
    assert proposed("csv", "20261125-1432", tmp_path) == "hooklab-messages-20261125-1432-2.csv"
    assert proposed("jsonl", "20261125-1432", tmp_path / "gone") == "~/hooklab-messages-20261125-1432.jsonl"


async def test_a_job_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Between two pages, and after some were written."""
    monitor = FakeMonitor(FakeClock(), [row(number) for number in range(1, 2001)])
    wish = Wish(where=ALL, form="csv", masked=False)
    reached = asyncio.Event()

    def told(_: int) -> None:
        monitor.gate = asyncio.Event()
        reached.set()

    job = asyncio.create_task(write_file(monitor, wish, tmp_path / "x.csv", told, replace=False))
    await reached.wait()
    assert len(names(tmp_path)) == 1
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert names(tmp_path) == []
