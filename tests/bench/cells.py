"""Runs subjects in turn, and says on what machine."""

import datetime as dt
import importlib.metadata
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.report import Machine, Row, Run, file_system, progress, rows_of
from bench.subjects import Bench, Cell, run_subject

_SECONDS: Final = 4
_SECONDS_LARGE: Final = 2
"""Of the load, and less where batches are large: they leave a lag that takes several times as long to drain."""
_LARGE: Final = 100
_VERIFIED: Final = 400_000
"""Reports of a run that `verify` reads in some 20 s; of longer ones it reads the first round's."""
Runs = dict[str, list[Run]]
"""By subject, a run a round."""


def say(text: str) -> None:
    """A line for who waits."""
    print(text, file=sys.stderr, flush=True)


def seconds_of(reports: int, wanted: int | None = None) -> int:
    """How long a load lasts."""
    return wanted or (_SECONDS_LARGE if reports >= _LARGE else _SECONDS)


class Alternating:
    """Gives every run a seed of its own, so that no body comes twice."""

    def __init__(self, bench: Bench, check: Callable[[], None], *, verified: bool) -> None:
        """Runs in the folder of `bench`; `check` is asked after each whether to go on."""
        self.bench = bench
        self._check = check
        self._verified = verified
        self._seed = 0

    def seed(self) -> int:
        """The next one."""
        self._seed += 1
        return self._seed

    def measure(self, cell: Cell, subjects: Sequence[str], rounds: int) -> Runs:
        """So many rounds of one cell.

        Raises:
            LoadError: the generator failed.
        """
        runs: Runs = {name: [] for name in subjects}
        for at in range(rounds):
            most = 0 if not self._verified else _VERIFIED if at else sys.maxsize
            # Every other round backwards, so that a machine that gets slower is no one's disadvantage.
            for name in subjects[:: -1 if at % 2 else 1]:
                run = run_subject(name, cell, msgspec.structs.replace(self.bench, verify=most), self.seed())
                self._check()
                runs[name].append(run)
                for row in self.rows(cell, {name: [run]}):
                    say(progress(row))
        return runs

    def rows(self, cell: Cell, runs: Runs) -> list[Row]:
        """Their medians."""
        return rows_of(cell.reports, cell.connections, cell.seconds, runs)


def machine_of(bench: Bench) -> Machine:
    """Where it is measured."""
    return Machine(
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        hooklab=importlib.metadata.version("hooklab"),
        uvicorn=importlib.metadata.version("uvicorn"),
        file_system=file_system(str(bench.folder.resolve()), Path("/proc/mounts").read_text()),
        generator=bench.generator,
        load_average=os.getloadavg()[0],
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
