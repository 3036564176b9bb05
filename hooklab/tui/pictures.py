"""Insights as pictures, drawn by plotext. Imported when the first is drawn: nothing else of the screen needs it.

plotext gets the coordinates of the very cells, so that all columns are equally wide, and what it drew becomes lines
with roles: a picture has the theme's colours, and only lines that changed are drawn again. A picture takes some
milliseconds, so that it is none of the work of the loop that answers keys.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

from textual_plotext import Plot

from hooklab.findings import took
from hooklab.insights import Insights, Times
from hooklab.received import MOST
from hooklab.tui.cells import Line, Piece, line

HEIGHT: Final = 8
"""Lines of a picture without the labels below."""
_LEAST: Final = MOST + 12
"""Cells below which there are no pictures: each step has one, and the scale some."""
_INDENT: Final = "   "
_WIDEST: Final = 8
_NARROWEST: Final = 40
"""Cells of a column at most, and of a picture at least."""
_CODES: Final = {"good": 2, "bad": 1, "accent": 4, "strong": 7, "rule": 8}
"""plotext's numbers of colours stand for roles."""
_ROLES: Final = {str(code): role for role, code in _CODES.items()} | {"0": "quiet"}
_STYLE: Final = re.compile(r"\x1b\[(?:38;5;)?(\d+)m")
_HALVES: Final = "hd"
"""plotext's name of the mark that has two by two dots in a cell."""
_FLOORS: Final = (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2)
"""Where the axis of rates may begin."""
_GROUPS: Final = (1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 336, 672, 8760)
"""Hours of a dash."""
_MARKS: Final = (("p50", "p50_s"), ("p95", "p95_s"), ("p99", "p99_s"))
_HOUR: Final = 3600
_EVERY: Final = (300, 600, 900, 1_800, *(hours * _HOUR for hours in (1, 2, 3, 4, 6, 12)))
"""Seconds from one time of day below a picture to the next."""
_APART: Final = 8
"""Cells from one to the next at least."""


def pictures(found: Insights, width: int) -> dict[str, list[Line]]:
    """By `Section.about`, at most `width` cells wide; those for which there is too little to show, or no room, are
    not there.
    """
    room = width - len(_INDENT) - 1
    if room < _LEAST:
        return {}
    sent = found.sent_to_final
    drawn = {
        "received": _received(found, room),
        "pending_to_final": _times(found.pending_to_final, room),
        "sent_to_final": [] if sent is None else _times(sent, room),
        "hours": _rates(found, room),
    }
    return {name: lines for name, lines in drawn.items() if lines}


class _Canvas:
    """Columns of equal width, `HEIGHT` lines high, with an axis at the left and labels below."""

    def __init__(self, columns: int, scale: Sequence[tuple[float, str]], room: int, above: int = 0) -> None:
        """`scale` has what stands at the left: how high, from 0 to 1, and what; `above` are more lines, for marks."""
        margin = max(len(text) for _, text in scale)
        self._room = room = room - margin - 1
        self._columns = columns
        # From three cells on all are as wide and have a gap between them; narrower ones share the room without gaps.
        self._gap = 1 if room // columns > 2 else 0
        self.cells = (
            columns * min(room // columns, max(_WIDEST, _NARROWEST // columns)) if self._gap else max(room, columns)
        )
        self._margin = margin
        self._rows = HEIGHT + above
        self._size = margin + 1 + self.cells, self._rows
        self._plot = plot = Plot()
        plot.theme("clear")
        plot.xlim(0, 1)
        plot.ylim(0, 1)
        plot.xaxes(lower=False, upper=False)
        plot.xticks([], [])
        plot.yaxes(left=True, right=False)
        rows = [max(round(high * HEIGHT) - 1, 0) for high, _ in scale]
        plot.yticks([row / (self._rows - 1) for row in rows], [text.rjust(margin) for _, text in scale])

    def bars(self, levels: Sequence[int], role: str) -> None:
        """Columns in half lines."""
        self._dots(
            [
                (2 * cell + half, level - 1)
                for at, level in enumerate(levels)
                if level
                for cell in self._cells_of(at)
                for half in (0, 1)
            ],
            role,
            _HALVES,
            fill=True,
        )

    def blocks(self, levels: Sequence[int], role: str, mark: str) -> None:
        """Columns in whole lines, of `mark`; they cover what is there."""
        dots = [(cell, level - 1) for at, level in enumerate(levels) if level for cell in self._cells_of(at)]
        self._dots(dots, role, mark, fill=True)

    def dashes(self, levels: Sequence[int | None], role: str) -> None:
        """A dash at each column's height in half lines."""
        dots = [
            (2 * cell + half, level)
            for at, level in enumerate(levels)
            if level is not None
            for cell in self._cells_of(at)
            for half in (0, 1)
        ]
        self._dots(dots, role, _HALVES)

    def points(self, spots: Sequence[tuple[int, int]], role: str, mark: str) -> None:
        """`mark` in cells, counted from the lower left."""
        self._dots(spots, role, mark)

    def say(self, text: str, cell: int, row: int, role: str) -> None:
        """Words that begin in a cell, or end before it where they would not fit."""
        fits = cell + len(text) < self.cells
        at = (cell + 1 if fits else cell - 1) / (self.cells - 1)
        where: Literal["left", "right"] = "left" if fits else "right"
        self._plot.text(text, at, row / (self._rows - 1), color=_CODES[role], alignment=where)

    def lines(self, below: Iterable[tuple[int, str]]) -> list[Line]:
        """What plotext drew, and labels that begin below cells; one that would touch that before is left out."""
        # In both ways, as Textual's widget does: the first alone is cut to the terminal's size.
        self._plot.plotsize(*self._size)
        self._plot._set_size(*self._size)  # noqa: SLF001
        rows = self._plot.build().rstrip("\n").split("\n")
        # plotext's own labels move by a cell from one run to the next: it compares texts with `is`.
        labels = ""
        for cell, text in below:
            at = self._margin + 1 + cell
            if at >= len(labels) + 2 and at + len(text) <= self._margin + 1 + self._room:
                labels = f"{labels:{at}}{text}"
        return [*(line(_INDENT, *_pieces(row)) for row in rows), line(_INDENT, Piece(labels, "quiet"))]

    def begin(self, column: int) -> int:
        """The first cell of a column."""
        return column * self.cells // self._columns

    def _cells_of(self, column: int) -> range:
        return range(self.begin(column), self.begin(column + 1) - self._gap)

    def _dots(self, dots: Sequence[tuple[int, int]], role: str, mark: str, *, fill: bool = False) -> None:
        if not dots:
            return
        fine = 2 if mark == _HALVES else 1
        self._plot.scatter(
            [x / (fine * self.cells - 1) for x, _ in dots],
            [y / (fine * self._rows - 1) for _, y in dots],
            marker=mark,
            color=_CODES[role],
            fillx=fill,
        )


def _pieces(row: str) -> Iterator[Piece]:
    """A row as plotext gives it: what has no colour is axis or label."""
    role = "quiet"
    for at, part in enumerate(_STYLE.split(row)):
        if at % 2:
            role = _ROLES.get(part, "quiet")
        else:
            yield Piece(part, role)


def _received(found: Insights, room: int) -> list[Line]:
    """Finals of each step, stacked: what was not delivered stands on the axis, so that its columns compare."""
    received = found.provider.received
    counts = {_seconds(one.start) // received.step_s: one for one in received.steps}
    if not any(one.delivered or one.not_delivered for one in received.steps):
        return []
    begins = min(counts) if found.since is None else _seconds(found.since) // received.step_s
    steps = range(begins, max(_seconds(found.until) // received.step_s, *counts) + 1)
    if not 2 <= len(steps) <= room - _WIDEST:
        return []
    held = [counts.get(at) for at in steps]
    failed = [0 if one is None else one.not_delivered for one in held]
    finals = [0 if one is None else one.delivered + one.not_delivered for one in held]
    top = _round_up(max(finals))
    canvas = _Canvas(len(steps), _scale(top), room)
    canvas.bars([_level(one, top, 2 * HEIGHT) for one in finals], "good")
    # From a quarter of a line on: a whole line for the least would make few look like many.
    canvas.blocks([math.ceil(one / top * HEIGHT - 0.25) for one in failed], "bad", "▒")
    below = _times_below(canvas, steps, received.step_s)
    legend = line(_INDENT, Piece("█", "good"), " delivered   ", Piece("▒", "bad"), " not_delivered")
    return [*canvas.lines(below), legend]


def _times(times: Times, room: int) -> list[Line]:
    """A column for each bin, and marks where the percentiles lie."""
    bins = times.histogram
    if len(bins) < 2:
        return []
    most = max(one.messages for one in bins)
    top = _round_up(most)
    canvas = _Canvas(len(bins), _scale(top), room, above=len(_MARKS))
    levels = [_level(one.messages, top, 2 * HEIGHT) for one in bins]
    canvas.bars(levels, "accent")
    for row, (name, key) in enumerate(reversed(_MARKS), HEIGHT):
        value = getattr(times, key)
        at, part = _place_of(times, value)
        cell = canvas.begin(at) + int(part * (canvas.begin(at + 1) - canvas.begin(at)))
        covered = (levels[at] + 1) // 2
        canvas.points([(cell, y) for y in range(covered, row + 1)], "strong", "│")
        canvas.say(f"{name} {took(value)}", cell, row, "strong")
    edges = [(canvas.begin(at), took(one.from_s)) for at, one in enumerate(bins)]
    return canvas.lines(edges)


def _place_of(times: Times, value: float) -> tuple[int, float]:
    """The bin of a time, and where in it: 0 at its beginning, below 1 at its end."""
    at = next(at for at, one in enumerate(times.histogram) if one.to_s is None or value < one.to_s)
    one = times.histogram[at]
    return at, 0.0 if one.to_s is None else max(value - one.from_s, 0) / (one.to_s - one.from_s)


def _rates(found: Insights, room: int) -> list[Line]:
    """A dash for each hour with finals, or for each few hours where there are more than cells."""
    hours = [(_seconds(one.hour) // _HOUR, one) for one in found.by_hour if one.delivered + one.not_delivered]
    if len(hours) < 2:
        return []
    begins = hours[0][0] if found.since is None else _seconds(found.since) // _HOUR
    ends = max(_seconds(found.until) // _HOUR, hours[-1][0])  # a clock may have run ahead
    group = next(one for one in _GROUPS if (ends // one - begins // one + 1) * 2 <= room or one == _GROUPS[-1])
    sums: dict[int, list[int]] = {}
    for hour, one in hours:
        held = sums.setdefault(hour // group, [0, 0])
        held[0] += one.delivered
        held[1] += one.delivered + one.not_delivered
    rates = {at: delivered / finals for at, (delivered, finals) in sums.items()}
    steps = range(begins // group, ends // group + 1)
    if len(steps) > room - _WIDEST:
        return []
    low = next((one for one in _FLOORS if one <= min(rates.values())), 0.0)
    scale = [(high, f"{100 * (low + high * (1 - low)):g} %") for high in (0, 0.5, 1)]
    canvas = _Canvas(len(steps), scale, room)
    levels = [round((rates[at] - low) / (1 - low) * (2 * HEIGHT - 1)) if at in rates else None for at in steps]
    canvas.dashes(levels, "good")
    return canvas.lines(_times_below(canvas, steps, group * _HOUR))


def _times_below(canvas: _Canvas, steps: range, seconds: int) -> Iterator[tuple[int, str]]:
    """Times of day, evenly spaced, where steps are parts of a day; else each day where it begins."""
    if seconds >= 3 * _HOUR:
        span = len(steps) * seconds
        written = "%d %b" if span < 300 * 24 * _HOUR else "%b %Y" if seconds < 300 * 24 * _HOUR else "%Y"
        days = [datetime.fromtimestamp(step * seconds, UTC).strftime(written) for step in (steps.start - 1, *steps)]
        yield from ((canvas.begin(at), day) for at, (before, day) in enumerate(pairwise(days)) if day != before)
        return
    spaced = (one for one in _EVERY if one % seconds == 0 and canvas.begin(one // seconds) >= _APART)
    every = next(spaced, 24 * _HOUR)
    for at, step in enumerate(steps):
        if step * seconds % every == 0:
            yield canvas.begin(at), datetime.fromtimestamp(step * seconds, UTC).strftime("%H:%M")


def _level(value: int, top: int, levels: int) -> int:
    """How many of `levels`; something is never nothing."""
    return max(round(value / top * levels), 1) if value else 0


def _round_up(value: int) -> int:
    """The next number that halves well, such as 2, 4, 6, 8, 10, 12, 20."""
    power = 1
    while value > 100 * power:
        power *= 10
    steps = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 50, 60, 80, 100)
    return next(step * power for step in steps if value <= step * power)


def _scale(top: int) -> list[tuple[float, str]]:
    return [(0, "0"), (0.5, f"{top // 2:,}"), (1, f"{top:,}")]


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
