"""The whole measurement of `make bench`: its parts in turn, each measured once, whoever needs it."""

import time
from collections.abc import Callable, Collection
from statistics import median
from typing import Final

from msgspec import Struct

from bench import verdicts
from bench.cells import Alternating, Runs, machine_of, say, seconds_of
from bench.projection import Projected, measure
from bench.report import Machine, Row, Run, head
from bench.subjects import Bench, Cell
from bench.verdicts import Verdict

PARTS: Final = ("receive", "large", "single", "paced", "projection", "disk", "serve")
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
        self._verdicts: list[Verdict] = []

    def measure(self) -> Measured:
        """All the parts that are asked for, in the order of the table."""
        does: dict[str, Callable[[], list[Verdict]]] = {
            "receive": lambda: verdicts.receive(self._load("receive")),
            "large": lambda: verdicts.large(self._load("large")),
            "single": lambda: [verdicts.single(self._load("single"))],
            "paced": self._paced,
            "projection": lambda: verdicts.projection(self._projection()),
            "disk": self._disk,
            "serve": lambda: verdicts.serve([*self._hooklab("receive"), *self._hooklab("large")]),
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
        rate = median(run.load.rate() for run in self._hooklab("receive")) * _PACE
        cell = Cell(2, 32, seconds_of(2, self._asked.seconds), rate)
        runs = self._runs.measure(cell, ("J", "F", "hooklab"), self._asked.rounds)
        self._paced_rows = self._runs.rows(cell, runs)
        return [verdicts.paced(runs, rate)]

    def _projection(self) -> list[Projected]:
        if not self._projected:
            rounds = self._asked.rounds if "projection" in self._asked.parts else 1
            self._projected = measure(self._runs.bench.folder, self._asked.waiting, rounds)
        return self._projected

    def _disk(self) -> list[Verdict]:
        return [
            verdict
            for one in self._projection()
            for verdict in verdicts.disk(f"{one.per_batch} a batch", one.store_bytes, one.journal_bytes)
        ]

    def _measured(self) -> Measured:
        every = [*self._rows, *self._paced_rows]
        ours = [run for row in every if row.subject == "hooklab" for run in row.rounds]
        problems = [
            f"{row.reports} x {row.connections}, {row.subject}: {problem}"
            for row in every
            for run in row.rounds
            for problem in run.problems
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
    lines = [
        f"Figures: medians of {measured.rounds} alternating rounds (least to greatest); peak memory the greatest."
    ]
    lines += [f"TOTALS: {problem}" for problem in measured.problems]
    lines += _refusals([*measured.rows, *measured.paced])
    if measured.runs_of_hooklab:
        lines.append(
            f"Totals were compared after each of {measured.runs_of_hooklab} runs of hooklab, and `hooklab verify` was"
            f" clean after {measured.runs_verified}."
            if measured.totals_hold
            else "Something was lost, or counted wrong."
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
