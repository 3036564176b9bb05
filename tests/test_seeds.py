"""Bodies that try to hurt, each POSTed to a real service: answered as the design says, kept, and in nobody's way."""

import contextlib
import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hostile import harmful
from seed_bodies import Seed, every, huge, kept, oracle
from support import RunningService, conserved, hooklab, json_of, unpacking
from test_cli import tables_of
from test_hostile import walk

from hooklab.cli import main
from hooklab.rules import WHOLE_BODY, pack
from hooklab.tui.targets import ToBatch, ToQuarantined

FEWER = {"HOOKLAB_MAX_ELEMENTS": "1500"}
"""What lies beyond is one row of the quarantine: arrays of 100,000 elements go all the ways, and take no time."""
MUCH = 50_000
"""Characters of what a command says that are looked at."""


@dataclass
class Fed:
    """A folder whose service was sent every seed once, in order: batch 1 is the first."""

    folder: Path
    seeds: list[Seed]
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)

    def some(self) -> Iterator[tuple[int, Seed]]:
        """All of them by number, but few of those that are one thing cut at every byte."""
        for number, seed in enumerate(self.seeds, 1):
            if number % 50 == 0 or not seed.name.startswith("cut at byte"):
                yield number, seed

    def number_of(self, name: str) -> int:
        """The batch of a seed."""
        return 1 + [seed.name for seed in self.seeds].index(name)


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Fed:
    """One service for all; it has ended, cleanly, when the tests begin."""
    found = Fed(tmp_path_factory.mktemp("seeds") / "data", every())
    with RunningService(found.folder, environment=FEWER) as service:
        for seed in found.seeds:
            found.answers.append(service.post(seed.body))
        found.counters = service.settled()
        assert service.terminate() == 0
    assert b"Traceback" not in service.stderr
    return found


def run(*arguments: str, folder: Path) -> tuple[int, bytes]:
    """A command in this process, whose start would take longer than it does; gives exit code and output."""
    before, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    try:
        code = main([*arguments, "--data-dir", str(folder)])
        sys.stdout.flush()
        return code, sys.stdout.buffer.getvalue()
    finally:
        sys.stdout = before


def test_there_are_enough_of_them() -> None:
    """At least 80 are files, all of which together stay small; no two are the same."""
    assert len(kept()) >= 80
    assert sum(len(seed.body) for seed in kept()) < 300_000
    assert len({seed.body for seed in [*kept(), *huge()]}) == len(kept()) + len(huge())


def test_each_is_answered_as_the_design_says(fed: Fed) -> None:
    """200 for what is an array by its structure, 400 in one line for everything else, nothing else ever."""
    wrong = [
        (seed.name, seed.code, code)
        for seed, (code, _) in zip(fed.seeds, fed.answers, strict=True)
        if code != seed.code
    ]
    assert not wrong
    for seed, (code, said) in zip(fed.seeds, fed.answers, strict=True):
        assert said == b"" if code == 200 else said.startswith(b"expected a JSON array"), seed.name
        assert said.count(b"\n") == (code == 400), seed.name


def test_every_element_is_somewhere(fed: Fed) -> None:
    """As many elements as Python's own json finds in what was sent; conserved; each distinct bad body once."""
    elements = [oracle(seed.body) or [] for seed in fed.seeds if seed.code == 200]
    assert fed.counters["elements"] == sum(map(len, elements))
    assert fed.counters["malformed"] == len({seed.body for seed in fed.seeds if seed.code == 400})
    assert fed.counters["batches"] == len(elements)
    assert conserved(fed.counters)


def test_each_is_given_back_byte_for_byte(fed: Fed) -> None:
    """The journal has each body as it was sent, whatever that was, and so writes `batch N --raw`."""
    with contextlib.closing(unpacking(sqlite3.connect(fed.folder / "journal.db"))) as journal:
        bodies = [
            body for (body,) in journal.execute("SELECT body_of(encoding, body) FROM batches ORDER BY sequence")
        ]
    assert bodies == [seed.body for seed in fed.seeds]
    for number, seed in fed.some():
        assert run("batch", str(number), "--raw", folder=fed.folder) == (0, seed.body), seed.name


def test_each_is_shown_by_every_command(fed: Fed) -> None:
    """As text that does nothing to a terminal and as JSON; the lists have all of them."""
    for number, seed in list(fed.some())[::3]:  # a command takes 30 ms, and all of them are walked through as well
        code, shown = run("batch", str(number), *["--json"][: number % 2], folder=fed.folder)
        assert code == 0, seed.name
        if number % 2 == 0:
            assert not harmful(shown.decode()[:MUCH], "\n"), seed.name
            continue
        found = json.loads(shown)
        assert (found["batch"], found["bytes"]) == (number, len(seed.body)), seed.name
        assert found["elements"] == (len(oracle(seed.body) or []) if seed.code == 200 else 0), seed.name
    counts = {}
    for arguments in (["batches"], ["messages"], ["quarantine", "list"]):
        code, shown = run(*arguments, "--limit", "100000", folder=fed.folder)
        assert code == 0
        assert not harmful(shown.decode()[:MUCH], "\n")
        code, shown = run(*arguments, "--limit", "100000", "--json", folder=fed.folder)
        counts[arguments[0]] = len([json.loads(line) for line in shown.splitlines()])
    assert counts["batches"] == len(fed.seeds)
    assert counts["messages"] == fed.counters["messages"]
    for arguments in (["stats"], ["insights"], ["doctor"]):
        assert run(*arguments, folder=fed.folder)[0] == 0, arguments
    assert hooklab("export", "--format", "csv", data_dir=fed.folder).returncode == 0


def test_each_in_quarantine_is_given_back(fed: Fed) -> None:
    """`quarantine show` writes the bytes of a whole body, and of an element bytes of the body that it came in."""
    _, shown = run("quarantine", "list", "--limit", "100000", "--json", folder=fed.folder)
    rows = [json.loads(line) for line in shown.splitlines()]
    assert sum(row["index"] is None for row in rows) == fed.counters["malformed"]
    some = dict(list(fed.some())[::2])
    for row in rows:
        if row["batch"] not in some or (row["index"] or 0) % 100:
            continue
        code, raw = run("quarantine", "show", str(row["id"]), folder=fed.folder)
        body = some[row["batch"]].body
        assert code == 0
        beyond = "were not read" in row["reason"]  # the rest of an array is written as one of its own
        assert raw == body if row["index"] is None else beyond or raw in body, row


async def test_each_is_shown_on_the_screen(fed: Fed) -> None:
    """The lists, and the screen of each batch and of each body in quarantine, indented and as it came."""
    async with walk(fed.folder, (80, 24)) as on:
        for key, rows in (("1", 100), ("2", len(fed.seeds)), ("4", 100)):
            await on.press(key)
            assert await on.list(lambda row: getattr(row, "batch", None)) >= rows
        await on.press("3", "5")
        on.look("the insights")
        batches = await on.open(ToBatch(1))
        for number, seed in fed.some():
            if len(seed.body) < 2_048:
                await on.turn_both_ways(batches, number, seed.name)
        await on.open(ToQuarantined(pack(fed.number_of("nothing"), WHOLE_BODY)))
        on.look("what is in quarantine")


def test_a_rebuild_gives_the_same(fed: Fed) -> None:
    """Every row of every table but for the counters' own moment; and a retry of the quarantine changes nothing."""
    before = tables_of(fed.folder / "store.db")
    assert hooklab("rebuild", data_dir=fed.folder).returncode == 0
    assert tables_of(fed.folder / "store.db") == before
    tried = json_of("quarantine", "retry", data_dir=fed.folder)
    assert tried["healed"] == 0
    assert tried["left"] == len(before["quarantine"])
    assert tables_of(fed.folder / "store.db") == before
