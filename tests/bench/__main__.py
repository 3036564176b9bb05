"""`make bench`."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from bench.cells import Alternating, machine_of, seconds_of
from bench.curves import NoPictureError, draw, have_pictures
from bench.load import LoadError, wrk_is_here
from bench.options import CELLS, REPORTS, ROUNDS, SEARCHED, cells, parser
from bench.report import Report, Row, report_of
from bench.report import table as cells_table
from bench.screen import table as screen_table
from bench.screen import watch
from bench.search import search
from bench.search import table as search_table
from bench.subjects import NAMES, Bench, Cell, end_left_over
from bench.whole import Asked, Measured, Whole
from bench.whole import table as whole_table

_SECONDS_WATCHED: Final = 6
"""Of the load with `--screen`: some of them are for the keys."""
_DRAIN: Final = 60.0
_DRAIN_OTHERS: Final = 30.0
"""Seconds that are waited for lag 0: less where all is to take under 6 minutes, since no verify follows."""
Done = tuple[Any, str, bool]
"""What was found, the same for a person, and whether it holds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives 0 when all totals hold, 1 when not, 2 for a wrong use, 130 after Ctrl-C."""
    given = parser().parse_args(arguments)
    if given.load == "wrk" and not wrk_is_here():
        print("bench: wrk is not here; --load python needs nothing else", file=sys.stderr)
        return 2
    if given.again is not None:
        return _print_again(given)
    generator = given.load or ("wrk" if wrk_is_here() else "python")
    interrupt = _Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt.come)
    try:
        # Found out now and not after minutes.
        if given.picture is not None:
            have_pictures()
            given.picture.touch()
        if given.json is not None:
            given.json.touch()
        with tempfile.TemporaryDirectory(prefix="hooklab-bench-", dir=given.dir) as folder:
            does = _does(given)
            limit = given.drain if given.drain is not None else _DRAIN if does is _whole else _DRAIN_OTHERS
            bench = Bench(Path(folder), generator, given.settle, limit)
            try:
                found, text, holds = does(bench, given, interrupt.check)
            finally:
                end_left_over(Path(folder))
    except KeyboardInterrupt:
        print("bench: interrupted; all is stopped and removed", file=sys.stderr)
        return 130
    except (LoadError, NoPictureError, OSError, AssertionError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(text)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0 if holds else 1


def _does(given: argparse.Namespace) -> Callable[[Bench, argparse.Namespace, Callable[[], None]], Done]:
    if given.search:
        return _search
    if given.screen:
        return _screen
    return _cells if given.cells or given.only or given.subjects else _whole


def _whole(bench: Bench, given: argparse.Namespace, check: Callable[[], None]) -> Done:
    asked = Asked(
        parts=given.part,
        rounds=given.rounds or ROUNDS,
        seconds=given.seconds,
        reports=given.reports or REPORTS,
        waiting=given.waiting,
        indexed=given.indexed,
        rate=given.rate,
    )
    found = Whole(asked, bench, check).measure()
    if given.picture is not None:
        _draw(found, given.picture)
    return found, whole_table(found), found.totals_hold


def _print_again(given: argparse.Namespace) -> int:
    """Table and picture of a measurement that was written as JSON."""
    try:
        found = msgspec.json.decode(given.again.read_bytes(), type=Measured)
        if given.picture is not None:
            have_pictures()
            _draw(found, given.picture)
    except (NoPictureError, OSError, msgspec.MsgspecError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(whole_table(found))
    return 0 if found.totals_hold else 1


def _draw(found: Measured, path: Path) -> None:
    draw(found.curve, [] if found.growth is None else found.growth.windows, path)


def _search(bench: Bench, given: argparse.Namespace, check: Callable[[], None]) -> Done:
    done = search(bench.folder / "data", given.reports or SEARCHED, given.indexed)
    return done, search_table(done), done.holds


def _screen(bench: Bench, given: argparse.Namespace, check: Callable[[], None]) -> Done:
    only = given.only or [(2, 32), (1000, 32)]
    found = watch(only, given.seconds or _SECONDS_WATCHED, given.rounds or 1, bench)
    return found, screen_table(found), all(one.holds for one in found)


def _cells(bench: Bench, given: argparse.Namespace, check: Callable[[], None]) -> Done:
    report = _measure_cells(bench, given, check)
    return report, cells_table(report), report.totals_hold


def _measure_cells(bench: Bench, given: argparse.Namespace, check: Callable[[], None]) -> Report:
    machine = machine_of(bench)
    began = time.perf_counter()
    runs = Alternating(bench, check, verified=False)
    rows: list[Row] = []
    for reports, connections in given.only or cells(CELLS):
        cell = Cell(reports, connections, seconds_of(reports, given.seconds))
        rows += runs.rows(cell, runs.measure(cell, given.subjects or NAMES, given.rounds or 1))
    return report_of(machine, time.perf_counter() - began, rows)


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


if __name__ == "__main__":
    sys.exit(main())
