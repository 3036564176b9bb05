"""Throughput against connections, and the projection's rate against what the store holds: points, and a picture."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench.growth import Window
from bench.report import Row

CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
SUBJECTS: Final = ("L", "N", "hooklab")
SECONDS: Final = 3
_COLOURS: Final = {"L": "#8b949e", "N": "#d29922", "hooklab": "#2f81f7", "hooklab, counted": "#3fb950"}
_NAMES: Final = {"L": "L Litestar, keeps nothing", "N": "N naive app", "hooklab": "hooklab, durable 200"}
_GREY: Final = "#7d8590"
"""Text and axes: as legible on white as on black."""
_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # letters stay letters: small, and in the reader's font
    "svg.hashsalt": "hooklab",  # the same picture of the same figures
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _GREY,
    "axes.labelcolor": _GREY,
    "axes.edgecolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class Curve(Struct, frozen=True):
    """A line: its name, and its points from left to right."""

    name: str
    points: list[tuple[float, float]]


class NoPictureError(Exception):
    """There is nothing to draw with; the text says what to do."""


def throughput(rows: Sequence[Row]) -> list[Curve]:
    """Requests a second by connections; of hooklab also what it counted, lag included, as it would for hours."""
    curves = [Curve(name, [_point(row, row.rate) for row in rows if row.subject == name]) for name in SUBJECTS]
    counted = [_point(row, _counted(row)) for row in rows if row.subject == "hooklab"]
    return [curve for curve in [*curves, Curve("hooklab, counted", counted)] if curve.points]


def _point(row: Row, rate: float) -> tuple[float, float]:
    return float(row.connections), rate


def _counted(row: Row) -> float:
    """Of the first round, which is the only one."""
    run = row.rounds[0]
    return run.load.answered / (run.load.seconds + (run.drain_seconds or 0.0))


def growth(windows: Sequence[Window]) -> Curve:
    """Thousands of reports a second by millions in the store."""
    return Curve("projection", [(one.rows / 1e6, one.rate / 1e3) for one in windows])


def have_pictures() -> None:
    """Finds out before anything is measured.

    Raises:
        NoPictureError: matplotlib is not here.
    """
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise NoPictureError(f"no picture without matplotlib ({error}); `make bench` installs it") from error


def draw(rows: Sequence[Row], windows: Sequence[Window], path: Path) -> None:
    """Writes an SVG of both, without a background of its own."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_throughput(left, throughput(rows))
        _draw_growth(right, growth(windows))
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _draw_throughput(axes: Any, curves: Sequence[Curve]) -> None:
    axes.set_title("Requests a second, 2 reports each", fontsize=11)
    for curve in curves:
        across, up = zip(*curve.points, strict=True)
        style = ":" if curve.name == "hooklab, counted" else "-"
        name = _NAMES.get(curve.name, curve.name)
        axes.plot(across, up, style, marker="o", markersize=4, color=_COLOURS[curve.name], label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(CONNECTIONS, [str(one) for one in CONNECTIONS])
    axes.set_xlabel("connections")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=_GREY, alpha=0.25)
    if curves:
        axes.legend(frameon=False, fontsize=9)


def _draw_growth(axes: Any, curve: Curve) -> None:
    axes.set_title("Thousands of reports projected a second", fontsize=11)
    if curve.points:
        across, up = zip(*curve.points, strict=True)
        axes.plot(across, up, marker=".", markersize=4, linewidth=1.2, color=_COLOURS["hooklab"])
    axes.set_xlabel("million reports in the store")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=_GREY, alpha=0.25)
