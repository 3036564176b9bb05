"""What the runs say: totals that must hold, medians, ratios, the table and the JSON. Pure."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, Final

from msgspec import Struct, field
from support import conserved

from bench.load import Load

_LABELS: Final = {
    "F": "F bare ASGI",
    "L": "L Litestar",
    "J": "J journal",
    "N": "N naive app",
    "hooklab": "hooklab",
    "hooklab+TUI": "hooklab+TUI",
}
_BEYOND: Final = ("F", "L", "J", "N")
"""What the others are compared with."""
COUNTED: Final = ("batches", "elements", "reports", "messages", "delivered", "repeats", "quarantined", "malformed")
"""Counters that only grow under a load of good batches, and that are compared with it."""


class Run(Struct, frozen=True, kw_only=True):
    """One subject, started, loaded, stopped. None is what does not apply to it."""

    load: Load
    start_seconds: float | None = None
    """From spawn to the line that says ready."""
    idle_kib: int | None = None
    peak_kib: int | None = None
    lag: int | None = None
    """Batches, when the load ended."""
    drain_seconds: float | None = None
    """From then until the lag was 0, or the limit."""
    lag_left: int = 0
    """The lag at that limit: not 0 means that it was hit."""
    batches_before: int = 0
    """That the folder held already."""
    terminal_bytes: int = 0
    """Drawn during the load."""
    verify_seconds: float | None = None
    """That `hooklab verify` took on its folder; None where that was not asked."""
    problems: list[str] = field(default_factory=list)
    """Totals that do not hold, in words."""


class Row(Struct, frozen=True, kw_only=True):
    """The rounds of one subject in one cell, and their medians; `peak_kib` and `lag_left` are the greatest."""

    subject: str
    reports: int
    connections: int
    seconds: int
    rate: float
    ratios: dict[str, float]
    """Of its rate to that of each reference in the cell."""
    p50_ms: float | None
    p99_ms: float | None
    lag: float | None
    drain_seconds: float | None
    lag_left: int
    idle_kib: float | None
    peak_kib: int | None
    terminal_kb_s: float | None
    rounds: list[Run]


class Machine(Struct, frozen=True):
    """Where it was measured."""

    date: str
    cores: int
    processor: str
    system: str
    python: str
    sqlite: str
    hooklab: str
    uvicorn: str
    file_system: str
    generator: str
    load_average: float
    """Of the last minute before it began: far above 0 something else was at work."""


class Report(Struct, frozen=True):
    """All of one `make bench`."""

    machine: Machine
    took_seconds: float
    start_seconds: dict[str, float]
    """Medians of spawn to ready, by subject."""
    totals_hold: bool
    rows: list[Row]


def mismatches(counters: dict[str, Any], load: Load, reports: int) -> list[str]:
    """What hooklab's counters say other than what was sent; `counters` is `/status`, empty if nobody answered."""
    if not counters:
        return ["/status does not answer"]
    problems = []
    journaled = counters["batches"] + counters["lag"]
    if not load.answered <= journaled <= load.most():
        problems.append(f"{journaled} batches, but {load.answered} to {load.most()} were sent")
    expected = {
        "elements": counters["batches"] * reports,
        "reports": counters["batches"] * reports,
        "messages": counters["batches"] * -(-reports // 2),
        "delivered": counters["batches"] * (reports // 2),
        "repeats": 0,
        "quarantined": 0,
    }
    problems += [
        f"{name} is {counters[name]}, should be {wanted}"
        for name, wanted in expected.items()
        if counters[name] != wanted
    ]
    if not conserved(counters):
        problems.append("elements are not reports + repeats + quarantined - malformed")
    return problems


def rows_of(reports: int, connections: int, seconds: int, runs: dict[str, list[Run]]) -> list[Row]:
    """One cell: `runs` by subject, a run a round."""
    rates = {name: median(run.load.rate() for run in rounds) for name, rounds in runs.items()}
    rows = []
    for name, rounds in runs.items():
        drawn = _median(run.terminal_bytes / run.load.seconds / 1000 for run in rounds if run.terminal_bytes)
        rows.append(
            Row(
                subject=name,
                reports=reports,
                connections=connections,
                seconds=seconds,
                rate=rates[name],
                ratios={
                    other: rates[name] / rates[other]
                    for other in _BEYOND
                    if other != name and rates.get(other, 0.0) > 0
                },
                p50_ms=_median(run.load.p50_ms for run in rounds),
                p99_ms=_median(run.load.p99_ms for run in rounds),
                lag=_median(run.lag for run in rounds),
                drain_seconds=_median(run.drain_seconds for run in rounds),
                lag_left=max(run.lag_left for run in rounds),
                idle_kib=_median(run.idle_kib for run in rounds),
                peak_kib=max((run.peak_kib for run in rounds if run.peak_kib is not None), default=None),
                terminal_kb_s=drawn,
                rounds=rounds,
            )
        )
    return rows


def report_of(machine: Machine, took_seconds: float, rows: list[Row]) -> Report:
    """Puts it together."""
    starts: dict[str, list[float]] = {}
    for row in rows:
        for run in row.rounds:
            if run.start_seconds is not None:
                starts.setdefault(row.subject, []).append(run.start_seconds)
    hold = not any(run.problems for row in rows for run in row.rounds)
    return Report(machine, took_seconds, {name: median(found) for name, found in starts.items()}, hold, rows)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def table(report: Report) -> str:
    """For a terminal of 100 columns: a head, a block of lines for each cell, and what is wrong."""
    lines = head(report.machine)
    at: tuple[int, int] | None = None
    for row in report.rows:
        if at != (row.reports, row.connections):
            at = (row.reports, row.connections)
            lines += ["", _line(_block_name(row), *_HEADINGS)]
        lines.append(_line(f" {_LABELS[row.subject]}", *_cells(row)))
    return "\n".join([*lines, "", *_foot(report)])


_NAME_WIDTH: Final = 16
_WIDTHS: Final = (12, 6, 6, 6, 6, 9, 9, 10, 8, 6, 6)
_HEADINGS: Final = ("requests/s", "of F", "of L", "of J", "of N", "p50 ms", "p99 ms", "lag", "0 in s", "idle", "peak")


def _line(name: str, *cells: str) -> str:
    # Custom cells such as 1000x1000 take their room from the first number's.
    first = cells[0].rjust(_NAME_WIDTH + _WIDTHS[0] - len(name))
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], _WIDTHS[1:], strict=True))
    return "".join((name, first, *rest)).rstrip()


def _block_name(row: Row) -> str:
    return f"{row.reports} x {row.connections}"


def _cells(row: Row) -> Sequence[str]:
    drain = _show(row.drain_seconds, _number)
    return (
        _number(row.rate),
        *(_show(row.ratios.get(other), _ratio) for other in _BEYOND),
        _show(row.p50_ms, _number),
        _show(row.p99_ms, _number),
        _show(row.lag, lambda lag: f"{lag:,.0f}"),
        f">{drain}" if row.lag_left else drain,
        _show(row.idle_kib, lambda kib: f"{kib / 1024:.0f}"),
        _show(row.peak_kib, lambda kib: f"{kib / 1024:.0f}"),
    )


def _show(value: float | None, how: Callable[[float], str]) -> str:
    return "" if value is None else how(value)


def _number(value: float) -> str:
    """Three figures, more only where they stand before the point."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def head(machine: Machine) -> list[str]:
    """What and where, and why the numbers may look good or bad."""
    versions = f"{machine.system}, Python {machine.python}, SQLite {machine.sqlite}, uvicorn {machine.uvicorn}"
    lines = [
        f"hooklab {machine.hooklab}, {machine.date}: {machine.cores} cores, {machine.processor}",
        f"{versions}, data on {machine.file_system}, load by {machine.generator}",
    ]
    if machine.file_system in {"tmpfs", "ramfs"}:
        lines.append(
            f"Data on {machine.file_system}: an fsync costs nothing there, so J, N and hooklab look too good."
        )
    if machine.load_average > 0.5:
        lines.append(f"The machine was not idle when it began (load average {machine.load_average:.1f}).")
    return lines


def _foot(report: Report) -> list[str]:
    seconds = dict.fromkeys(f"{row.seconds} s of {row.reports} reports" for row in report.rows)
    rounds = max((len(row.rounds) for row in report.rows), default=0)
    lines = [
        "Blocks: reports a batch x connections. of F ...: requests/s as a share of that reference's.",
        "lag: batches on disk and not yet counted when the load ended; 0 in s: from then until none were.",
        "idle, peak: resident MiB. J: batches a second spent in SQLite; its p50 and p99 are of commits.",
        f"Load a run: {', '.join(seconds)} a batch; "
        + ("one round." if rounds == 1 else f"medians of {rounds} rounds (peak: the greatest)."),
    ]
    if report.start_seconds:
        starts = (f"{name} {seconds:.2f} s" for name, seconds in report.start_seconds.items())
        lines.append(f"Ready after, median: {', '.join(starts)}.")
    drawn = [row.terminal_kb_s for row in report.rows if row.terminal_kb_s is not None]
    if drawn:
        lines.append(f"The TUI drew {_number(min(drawn))} to {_number(max(drawn))} KB/s in 120x36 under load.")
    for row in report.rows:
        lines += _remarks(row)
    took = f"Took {report.took_seconds:.0f} s."
    lines.append(f"All totals hold. {took}" if report.totals_hold else f"TOTALS DO NOT HOLD: see above. {took}")
    return lines


def _remarks(row: Row) -> list[str]:
    where = f"{_block_name(row)}, {_LABELS[row.subject]}"
    lines = [f"TOTALS: {where}: {problem}" for run in row.rounds for problem in run.problems]
    refused = sum(run.load.refused for run in row.rounds)
    failed = sum(run.load.failed for run in row.rounds)
    if refused or failed:
        lines.append(f"{where}: {refused} answers other than 200, {failed} connections failed")
    if row.lag_left:
        lines.append(f"{where}: waited no longer for the lag, which was still {row.lag_left:,}")
    return lines


def file_system(path: str, mounts: str) -> str:
    """The kind of file system that an absolute `path` is on; `mounts` is the text of `/proc/mounts`."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = point in {"/", path} or path.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # of mounts on one place the last one is seen
            best, kind = point, fields[2]
    return kind


def progress(row: Row) -> str:
    """One line while it runs."""
    lag = "" if row.lag is None else f", lag {row.lag:,.0f}, 0 in {_show(row.drain_seconds, _number)} s"
    return f"{_block_name(row):>10}  {_LABELS[row.subject]:<12} {_number(row.rate):>8}/s{lag}"
