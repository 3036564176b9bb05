"""The command line of `make bench`."""

import argparse
from pathlib import Path
from typing import Final

from bench.subjects import NAMES
from bench.whole import PARTS

CELLS: Final = "2x1,2x32,2x128,1000x1,1000x32,1000x128"
ROUNDS: Final = 5
"""Of what gets a verdict; of the rest one, unless it is said."""
REPORTS: Final = 10_000_000
SEARCHED: Final = 5_000_000
WAITING: Final = 1_000_000


def parser() -> argparse.ArgumentParser:
    """All options; what has no default here depends on what is measured."""
    made = argparse.ArgumentParser(
        prog="make bench",
        description="Measures hooklab beside references, in one run: a table of targets, figures and verdicts.",
    )
    add = made.add_argument
    add("--part", metavar="NAME,...", type=_parts, default=list(PARTS), help=f"only these of {', '.join(PARTS)}")
    add("--reports", metavar="N", type=int, help=f"rows to grow to (default {REPORTS}; with --search {SEARCHED})")
    add("--indexed", metavar="SHARE", type=float, default=1.0, help="of --reports in the search index (default 1)")
    add("--waiting", metavar="N", type=int, default=WAITING, help=f"reports to project (default {WAITING})")
    add("--rounds", metavar="N", type=_positive, help=f"give medians of N (default {ROUNDS} for verdicts, else 1)")
    add("--json", metavar="FILE", type=Path, help="write all of it as JSON as well")
    add("--picture", metavar="FILE", type=Path, help="draw throughput and growth as an SVG")
    add("--from", dest="again", metavar="FILE", type=Path, help="measure nothing: print and draw what --json wrote")
    add("--load", choices=("wrk", "python"), help="the load generator (default: wrk where it is)")
    add("--seconds", metavar="N", type=_positive, help="of load a run (default 4; 2 from 100 reports a batch on)")
    add("--rate", metavar="N", type=_positive, help="requests a second of paced (default 70 %% of receive)")
    add("--settle", metavar="SECONDS", type=float, default=1.0, help="rest between start and load (default 1)")
    add("--drain", metavar="SECONDS", type=float, help="wait at most this long for lag 0 (default 60; cells 30)")
    add("--dir", metavar="DIR", type=Path, help="where the data lie meanwhile (default: the system's)")
    other = made.add_argument_group("Instead of it")
    add = other.add_argument
    add("--cells", action="store_true", help="every subject under several loads, in under 6 minutes")
    add("--only", metavar="RxC,...", type=cells, help=f"these cells, reports x connections (default {CELLS})")
    add("--subjects", metavar="NAME,...", type=_names, help=f"cells with only some of {', '.join(NAMES)}")
    add("--screen", action="store_true", help="what the open screen costs and how fast it answers")
    add("--search", action="store_true", help="what it takes to find messages among --reports")
    return made


def cells(text: str) -> list[tuple[int, int]]:
    """Reports a batch and connections, of each cell."""
    found = []
    for part in text.split(","):
        reports, _, connections = part.partition("x")
        found.append((_positive(reports), _positive(connections)))
    return found


def _names(text: str) -> list[str]:
    return _some_of(text, NAMES)


def _parts(text: str) -> list[str]:
    return _some_of(text, PARTS)


def _some_of(text: str, known: tuple[str, ...]) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}, only {', '.join(known)}")
    return names


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)
