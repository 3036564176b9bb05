"""What is asked, what was found, and whether that is enough: the table of `make bench`. Pure."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from bench.growth import Grown
from bench.projection import Projected
from bench.queries import BY_ID, Answered, worst
from bench.report import Run

_MOST_LAG: Final = 2.0
"""Seconds from the end of the load until all is counted."""
_MIB: Final = 1024
_WIDTHS: Final = (38, 22, 25)


class Verdict(Struct, frozen=True, kw_only=True):
    """One line: in words for a person, and the numbers for a program."""

    part: str
    what: str
    target: str
    figure: str
    met: bool
    value: float
    bound: float
    values: list[float]
    """Of the rounds, where there are any."""


def at_least(part: str, what: str, values: Sequence[float], bound: float, unit: str) -> Verdict:
    """The median of some ratios against the least it may be."""
    value = median(values)
    return Verdict(
        part=part,
        what=what,
        target=f"at least {_bound(bound)} {unit}",
        figure=f"{_short(value)}{_spread(values)}",
        met=value >= bound,
        value=value,
        bound=bound,
        values=list(values),
    )


def at_most(
    part: str, what: str, values: Sequence[float], bound: float, unit: str, *, worst: bool = False
) -> Verdict:
    """The median, or the greatest, of some amounts against the most it may be."""
    value = max(values) if worst else median(values)
    return Verdict(
        part=part,
        what=what,
        target=f"at most {_bound(bound)} {unit}",
        figure=f"{_short(value)}{_spread(values)}",
        met=value <= bound,
        value=value,
        bound=bound,
        values=list(values),
    )


def ratios(runs: Sequence[Run], others: Sequence[Run]) -> list[float]:
    """Of the rates of runs that alternated, round by round; of a reference that answered nothing, none."""
    return [
        one.load.rate() / other.load.rate() if other.load.rate() else 0.0
        for one, other in zip(runs, others, strict=True)
    ]


def receive(runs: dict[str, list[Run]]) -> list[Verdict]:
    """2 reports a batch, 32 connections."""
    ours = runs["hooklab"]
    of_l = ratios(ours, runs["L"])
    plain = at_least("receive", "2 a batch, 32 connections: rate", of_l, 0.6, "of L")
    drains = [run.drain_seconds or 0.0 for run in ours]
    lag = median(drains)
    counted = at_least("receive", "the same, and seconds until lag 0", of_l, 0.5, "of L")
    with_lag = Verdict(
        part="receive",
        what=counted.what,
        target=f"{counted.target}, {_MOST_LAG:g} s",
        figure=f"{_short(counted.value)}, {_short(lag)} s (to {_short(max(drains))})",
        met=counted.met and lag < _MOST_LAG and not any(run.lag_left for run in ours),
        value=lag,
        bound=_MOST_LAG,
        values=drains,
    )
    return [plain, with_lag, at_least("receive", "the same against N", ratios(ours, runs["N"]), 4.0, "times N")]


def large(runs: dict[str, list[Run]]) -> list[Verdict]:
    """1000 reports a batch, 16 connections."""
    ours = runs["hooklab"]
    return [
        at_least("large", "1000 a batch, 16 connections: rate", ratios(ours, runs["J"]), 0.6, "of J"),
        at_least("large", "the same against N", ratios(ours, runs["N"]), 6.0, "times N"),
    ]


def single(runs: dict[str, list[Run]]) -> Verdict:
    """One connection, one request at a time."""
    commits = [run.load.p50_ms or 0.0 for run in runs["J"]]
    answers = [_or_endless(run.load.p50_ms) for run in runs["hooklab"]]
    commit = median(commits)
    what = f"1 connection: median (J's {_short(commit)} ms)"
    return at_most("single", what, answers, commit + 0.6, "ms")


def paced(runs: dict[str, list[Run]], pace: str) -> Verdict:
    """The slowest hundredth at a pace, such as ``6,000/s, 70 %`` of what was received, beside what F gives then."""
    bound = max(10 * median(run.load.p50_ms or 0.0 for run in runs["J"]), 15.0)
    tails = [_or_endless(run.load.p99_ms) for run in runs["hooklab"]]
    bare = median(_or_endless(run.load.p99_ms) for run in runs["F"])
    return at_most("paced", f"p99 at {pace} (F's {_short(bare)} ms)", tails, bound, "ms")


def projection(found: Sequence[Projected]) -> list[Verdict]:
    """A journal that nobody has projected, against S."""
    return [
        at_least("projection", f"projection, {one.per_batch} a batch: rate", one.ratios, 0.8, "of S") for one in found
    ]


def growth(grown: Grown, received: dict[str, list[Run]]) -> list[Verdict]:
    """Projection and receiving with many reports in the store against the same with few or none."""
    rows = f"at {grown.reports / 1e6:.3g} million reports"
    return [
        at_least("growth", f"projection {rows}", [grown.ratio()], 0.7, "of empty"),
        at_least("growth", f"receiving {rows}", ratios(received["grown"], received["empty"]), 0.95, "of empty"),
    ]


def queries(found: list[Answered]) -> list[Verdict]:
    """The slowest kind of question, and a message by its id."""
    [by_id] = [one for one in found if one.kind == BY_ID]
    slowest = worst(found)
    return [
        at_most("queries", f"p95, slowest: {slowest.kind}"[:38], [slowest.p95], 50.0, "ms"),
        at_most("queries", f"p95: {by_id.kind}", [by_id.p95], 5.0, "ms"),
    ]


def disk(name: str, store_bytes: float, journal_bytes: float) -> list[Verdict]:
    """Bytes a report."""
    return [
        at_most("disk", f"store, bytes a report, {name}", [store_bytes], 150.0, "bytes"),
        at_most("disk", f"journal, bytes a report, {name}", [journal_bytes], 100.0, "bytes"),
    ]


def serve(runs: Sequence[Run]) -> list[Verdict]:
    """Start and memory of all runs of hooklab under full load."""
    starts = [run.start_seconds for run in runs if run.start_seconds is not None]
    idle = [run.idle_kib / _MIB for run in runs if run.idle_kib is not None]
    peak = [run.peak_kib / _MIB for run in runs if run.peak_kib is not None]
    return [
        at_most("serve", "serve: start to ready", starts, 0.7, "s"),
        at_most("serve", "serve: idle memory", idle, 60.0, "MiB"),
        at_most("serve", "serve: peak memory under full load", peak, 160.0, "MiB", worst=True),
    ]


def _or_endless(value: float | None) -> float:
    """What was never answered took for ever."""
    return float("inf") if value is None else value


def _short(value: float) -> str:
    """Two figures after the point, fewer of what is large."""
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}" if abs(value) < 99.95 else f"{value:,.0f}"


def _bound(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _spread(values: Sequence[float]) -> str:
    return f" ({_short(min(values))} to {_short(max(values))})" if len(values) > 1 else ""


def table(verdicts: Sequence[Verdict]) -> str:
    """A line each, for a terminal of 100 columns."""
    lines = [_line("", "target", "figure", "verdict")]
    lines += [_line(one.what, one.target, one.figure, "met" if one.met else "NOT MET") for one in verdicts]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    *first, last = cells
    return "".join(cell.ljust(width) + "  " for cell, width in zip(first, _WIDTHS, strict=True)) + last
