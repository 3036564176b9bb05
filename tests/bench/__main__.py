"""`make bench`."""

import argparse
import datetime as dt
import importlib.metadata
import os
import platform
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from bench.load import LoadError, wrk_is_here
from bench.projection import measure
from bench.projection import table as projection_table
from bench.report import Machine, Report, Row, Run, file_system, progress, report_of, rows_of, table
from bench.screen import table as screen_table
from bench.screen import watch
from bench.search import search
from bench.search import table as search_table
from bench.subjects import NAMES, Bench, Cell, end_left_over, run_subject

_CELLS: Final = "2x1,2x32,2x128,1000x1,1000x32,1000x128"
_SECONDS: Final = 4
_SECONDS_LARGE: Final = 2
"""Of the load, and less where batches are large: they leave a lag that takes several times as long to drain."""
_LARGE: Final = 100
_SECONDS_WATCHED: Final = 6
"""Of the load with `--screen`: some of them are for the keys."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives 0 when all totals hold, 1 when not, 2 for a wrong use, 130 after Ctrl-C."""
    given = _parser().parse_args(arguments)
    if given.load == "wrk" and not wrk_is_here():
        print("bench: wrk is not here; --load python needs nothing else", file=sys.stderr)
        return 2
    generator = given.load or ("wrk" if wrk_is_here() else "python")
    interrupt = _Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt.come)
    try:
        if given.json is not None:
            given.json.touch()  # found out now and not after minutes
        with tempfile.TemporaryDirectory(prefix="hooklab-bench-", dir=given.dir) as folder:
            if given.search:
                return _search(Path(folder), given)
            bench = Bench(Path(folder), generator, given.settle, given.drain)
            try:
                if given.screen:
                    return _screen(bench, given)
                if given.projection:
                    return _projection(bench, given)
                report = _measure(given, bench, interrupt)
            finally:
                end_left_over(Path(folder))
    except KeyboardInterrupt:
        print("bench: interrupted; all is stopped and removed", file=sys.stderr)
        return 130
    except (LoadError, OSError, AssertionError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(table(report))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0 if report.totals_hold else 1


def _search(folder: Path, given: argparse.Namespace) -> int:
    done = search(folder / "data", given.reports, given.indexed)
    print(search_table(done))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(done)) + b"\n")
    return 0 if done.holds else 1


def _screen(bench: Bench, given: argparse.Namespace) -> int:
    only = given.only if given.only != _cells(_CELLS) else [(2, 32), (1000, 32)]
    found = watch(only, given.seconds or _SECONDS_WATCHED, given.rounds, bench)
    print(screen_table(found))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0 if all(one.holds for one in found) else 1


def _projection(bench: Bench, given: argparse.Namespace) -> int:
    found = measure(bench.folder, min(given.reports, 1_000_000), given.rounds)
    print(projection_table(found))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0 if all(one.holds for one in found) else 1


class _Interrupt:
    """A signal ends all as Ctrl-C does, through every `finally`; also one that came where Python swallows that."""

    def __init__(self) -> None:
        self._came = False

    def come(self, number: int, frame: object) -> NoReturn:
        """Handles a signal."""
        self._came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Ends if one came."""
        if self._came:
            raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures hooklab beside references, in one run.")
    parser.add_argument("--load", choices=("wrk", "python"), help="the load generator (default: wrk where it is)")
    parser.add_argument(
        "--only", metavar="RxC,...", type=_cells, default=_CELLS, help=f"reports x connections (default {_CELLS})"
    )
    parser.add_argument(
        "--subjects", metavar="NAME,...", type=_names, default=",".join(NAMES), help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=_positive,
        help=f"of load a run (default {_SECONDS}; {_SECONDS_LARGE} from {_LARGE} reports a batch on)",
    )
    parser.add_argument("--rounds", metavar="N", type=_positive, default=1, help="give medians of N (default 1)")
    parser.add_argument(
        "--settle", metavar="SECONDS", type=float, default=1.0, help="rest between start and load (default 1)"
    )
    parser.add_argument(
        "--drain", metavar="SECONDS", type=float, default=30.0, help="wait at most this long for lag 0 (default 30)"
    )
    parser.add_argument(
        "--dir", metavar="DIR", type=Path, help="where the data lie meanwhile (default: the system's)"
    )
    parser.add_argument(
        "--search", action="store_true", help="measure instead what it takes to find messages among --reports"
    )
    parser.add_argument(
        "--projection", action="store_true", help="measure instead how fast a journal is projected that nobody has"
    )
    parser.add_argument(
        "--screen", action="store_true", help="measure instead what the open screen costs and how fast it answers"
    )
    parser.add_argument("--reports", metavar="N", type=int, default=5_000_000, help="for --search (default 5000000)")
    parser.add_argument(
        "--indexed", metavar="SHARE", type=float, default=1.0, help="of it in the search index (default 1; 0: none)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all of it as JSON as well")
    return parser


def _cells(text: str) -> list[tuple[int, int]]:
    found = []
    for part in text.split(","):
        reports, _, connections = part.partition("x")
        found.append((_positive(reports), _positive(connections)))
    return found


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}, only {', '.join(NAMES)}")
    return names


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)


def _measure(given: argparse.Namespace, bench: Bench, interrupt: _Interrupt) -> Report:
    machine = _machine(bench)
    began = time.perf_counter()
    rows: list[Row] = []
    seed = 0
    for reports, connections in given.only:
        seconds = given.seconds or (_SECONDS_LARGE if reports >= _LARGE else _SECONDS)
        cell = Cell(reports, connections, seconds)
        runs: dict[str, list[Run]] = {name: [] for name in given.subjects}
        for round_number in range(given.rounds):
            # Every other round backwards, so that a machine that gets slower is no one's disadvantage.
            for name in given.subjects[:: -1 if round_number % 2 else 1]:
                seed += 1
                run = run_subject(name, cell, bench, seed)
                interrupt.check()
                runs[name].append(run)
                [row] = rows_of(reports, connections, seconds, {name: [run]})
                print(progress(row), file=sys.stderr, flush=True)
        rows += rows_of(reports, connections, seconds, runs)
    return report_of(machine, time.perf_counter() - began, rows)


def _machine(bench: Bench) -> Machine:
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


if __name__ == "__main__":
    sys.exit(main())
