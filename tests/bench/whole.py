"""The whole measurement of `make bench`: its parts in turn, each measured once, whoever needs it."""

import asyncio
import time
from collections.abc import Callable, Collection
from statistics import median
from typing import Final

from msgspec import Struct

from bench import curves, verdicts
from bench.cells import Alternating, Runs, machine_of, say, seconds_of
from bench.growth import Grown, grow, receive_on
from bench.history import History
from bench.many import fill_index
from bench.projection import Projected, measure
from bench.queries import Answered, ask
from bench.report import Machine, Row, Run, head
from bench.subjects import Bench, Cell
from bench.verdicts import Verdict
from hooklab.files import Folder

PARTS: Final = ("receive", "large", "single", "paced", "projection", "growth", "queries", "disk", "serve", "curves")
_LOADS: Final[dict[str, tuple[int, int, tuple[str, ...]]]] = {
    "receive": (2, 32, ("L", "N", "hooklab")),
    "large": (1000, 16, ("J", "N", "hooklab")),
    "single": (2, 1, ("J", "hooklab")),
}
"""Reports a batch, connections, subjects."""
_PACE: Final = 0.7
"""Of what is received as fast as it goes."""


class Asked(Struct, frozen=True, kw_only=True):
    """What is to be measured, and how much of it."""

    parts: Collection[str]
    rounds: int
    seconds: int | None
    reports: int
    waiting: int
    indexed: float
    rate: int | None = None
    """Requests a second of `paced`; None for a share of what was received."""


class Measured(Struct, frozen=True, kw_only=True):
    """All of a run, as it is written."""

    machine: Machine
    took_seconds: float
    rounds: int
    totals_hold: bool
    problems: list[str]
    runs_of_hooklab: int
    runs_verified: int
    verdicts: list[Verdict]
    rows: list[Row]
    paced: list[Row]
    """The same of the runs at a pace: their rates are what was asked."""
    projection: list[Projected]
    growth: Grown | None
    received_on_growth: dict[str, list[Run]]
    queries: list[Answered]
    curve: list[Row]
    """Of throughput against connections."""


class Whole:
    """Measures; what was measured for one part is there for another."""

    def __init__(self, asked: Asked, bench: Bench, check: Callable[[], None]) -> None:
        """`check` is asked between two runs whether to go on."""
        self._asked = asked
        self._runs = Alternating(bench, check, verified=True)
        self._machine = machine_of(bench)
        self._began = time.perf_counter()
        self._loads: dict[str, Runs] = {}
        self._rows: list[Row] = []
        self._paced_rows: list[Row] = []
        self._projected: list[Projected] = []
        self._folder = Folder(bench.folder / "grown")
        self._grown: Grown | None = None
        self._received: Runs = {}
        self._curve: list[Row] = []
        self._answered: list[Answered] = []
        self._verdicts: list[Verdict] = []

    def measure(self) -> Measured:
        """All the parts that are asked for, in the order of the table."""
        does: dict[str, Callable[[], list[Verdict]]] = {
            "receive": lambda: verdicts.receive(self._load("receive")),
            "large": lambda: verdicts.large(self._load("large")),
            "single": lambda: [verdicts.single(self._load("single"))],
            "paced": self._paced,
            "projection": lambda: verdicts.projection(self._projection()),
            "growth": lambda: verdicts.growth(self._growth(), self._received_on_growth()),
            "queries": lambda: verdicts.queries(self._asked_on_growth()),
            "disk": self._disk,
            "serve": lambda: verdicts.serve([*self._hooklab("receive"), *self._hooklab("large")]),
            "curves": self._curves,
        }
        for part in PARTS:
            if part in self._asked.parts:
                say(f"{part}:")
                self._verdicts += does[part]()
        return self._measured()

    def _load(self, name: str, only: tuple[str, ...] = ()) -> Runs:
        if name not in self._loads:
            reports, connections, subjects = _LOADS[name]
            cell = Cell(reports, connections, seconds_of(reports, self._asked.seconds))
            runs = self._runs.measure(cell, only or subjects, self._asked.rounds)
            self._loads[name] = runs
            self._rows += self._runs.rows(cell, runs)
        return self._loads[name]

    def _hooklab(self, name: str) -> list[Run]:
        """Its runs in one of the loads: those that are there, or some without the references."""
        return self._load(name, ("hooklab",))["hooklab"]

    def _paced(self) -> list[Verdict]:
        asked = self._asked.rate
        rate = asked or median(run.load.rate() for run in self._hooklab("receive")) * _PACE
        cell = Cell(2, 32, seconds_of(2, self._asked.seconds), rate)
        runs = self._runs.measure(cell, ("J", "F", "hooklab"), self._asked.rounds)
        self._paced_rows = self._runs.rows(cell, runs)
        return [verdicts.paced(runs, f"{rate:,.0f}/s" + ("" if asked else f", {100 * _PACE:.0f} %"))]

    def _projection(self) -> list[Projected]:
        if not self._projected:
            rounds = self._asked.rounds if "projection" in self._asked.parts else 1
            self._projected = measure(self._runs.bench.folder, self._asked.waiting, rounds)
        return self._projected

    def _growth(self) -> Grown:
        if self._grown is None:
            self._history = History(self._asked.reports, time.time_ns() // 1000)
            self._grown = grow(self._folder, self._history)
            self._index(self._history)
            # Before anything is received on it, since then others are the newest.
            if "queries" in self._asked.parts:
                self._answered = ask(self._folder, self._history, indexed=self._asked.indexed > 0)
        return self._grown

    def _index(self, made: History) -> None:
        """As the service does in its idle time: without it, what few messages match takes a scan."""
        if self._asked.indexed:
            say("  the search index")
            asyncio.run(fill_index(self._folder, int(made.messages * self._asked.indexed), lambda _: None))

    def _received_on_growth(self) -> dict[str, list[Run]]:
        seeds = [(self._runs.seed(), self._runs.seed()) for _ in range(self._asked.rounds)]
        cell = Cell(2, 32, seconds_of(2, self._asked.seconds))
        self._received = receive_on(self._folder, self._runs.bench, cell, seeds)
        return self._received

    def _asked_on_growth(self) -> list[Answered]:
        self._growth()
        return self._answered

    def _disk(self) -> list[Verdict]:
        found = [(f"{one.per_batch} a batch", one.store_bytes, one.journal_bytes) for one in self._projection()]
        if self._grown is not None:
            found.append(("grown", self._grown.store_bytes, self._grown.journal_bytes))
        return [verdict for one in found for verdict in verdicts.disk(*one)]

    def _curves(self) -> list[Verdict]:
        """No line of the table: a picture."""
        for connections in curves.CONNECTIONS:
            cell = Cell(2, connections, self._asked.seconds or curves.SECONDS)
            self._curve += self._runs.rows(cell, self._runs.measure(cell, curves.SUBJECTS, 1))
        return []

    def _measured(self) -> Measured:
        every = [*self._rows, *self._paced_rows, *self._curve]
        ours = [run for row in every if row.subject == "hooklab" for run in row.rounds]
        ours += [run for runs in self._received.values() for run in runs]
        problems = [
            f"{row.reports} x {row.connections}, {row.subject}: {problem}"
            for row in every
            for run in row.rounds
            for problem in run.problems
        ]
        problems += [f"growth: {problem}" for problem in self._grown.problems] if self._grown else []
        problems += [
            f"{name}: {one}" for name, runs in self._received.items() for run in runs for one in run.problems
        ]
        return Measured(
            machine=self._machine,
            took_seconds=time.perf_counter() - self._began,
            rounds=self._asked.rounds,
            totals_hold=not problems,
            problems=problems,
            runs_of_hooklab=len(ours),
            runs_verified=sum(run.verify_seconds is not None for run in ours),
            verdicts=self._verdicts,
            rows=self._rows,
            paced=self._paced_rows,
            projection=self._projected,
            growth=self._grown,
            received_on_growth=self._received,
            queries=self._answered,
            curve=self._curve,
        )


def table(measured: Measured) -> str:
    """For a terminal of 100 columns."""
    return "\n".join(
        [
            *head(measured.machine),
            "",
            verdicts.table(measured.verdicts),
            "",
            *_foot(measured),
        ]
    )


def _foot(measured: Measured) -> list[str]:
    rounds = "one round" if measured.rounds == 1 else f"medians of {measured.rounds} alternating rounds"
    lines = [f"Figures: {rounds} (least to greatest); peak memory the greatest."]
    lines += [f"TOTALS: {problem}" for problem in measured.problems]
    lines += _refusals([*measured.rows, *measured.paced, *measured.curve])
    if measured.runs_of_hooklab:
        lines.append(
            f"Totals were compared after each of {measured.runs_of_hooklab} runs of hooklab; `hooklab verify` read"
            f" {measured.runs_verified} of them."
        )
    took = f"Took {measured.took_seconds:.0f} s."
    return [*lines, f"All totals hold. {took}" if measured.totals_hold else f"TOTALS DO NOT HOLD: see above. {took}"]


def _refusals(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        refused = sum(run.load.refused for run in row.rounds)
        failed = sum(run.load.failed for run in row.rounds)
        if refused or failed:
            where = f"{row.reports} x {row.connections}, {row.subject}"
            lines.append(f"{where}: {refused} answers other than 200, {failed} connections failed")
    return lines
