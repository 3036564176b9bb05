"""Answers about delivery as lines: every figure is that of `hooklab insights --json`. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from hooklab.findings import Row, Section, findings, widths_of, window_of
from hooklab.insights import Insights
from hooklab.times import DAY, HOUR
from hooklab.tui.cells import EMPTY, Line, Piece, cut, fit, fitted, line, width_of, wrap

WINDOWS: Final = (("1 h", HOUR), ("24 h", DAY), ("7 d", 7 * DAY), ("30 d", 30 * DAY), ("all", None))
"""What `[` and `]` choose from: name, and how far back in microseconds; None for all."""
_TWO_COLUMNS: Final = 140
_GAP: Final = 4
_BAR: Final = 40
_LEAST_BAR: Final = 5
_INDENT: Final = "   "


def insight_lines(found: Insights, window: int, width: int) -> list[Line]:
    """All answers, in two columns where there is room."""
    sections = findings(found)
    lines = [*_window(found, window, width), EMPTY]
    if width < _TWO_COLUMNS:
        return lines + _stacked(sections, width)
    half = (width - _GAP) // 2
    heights = [len(_stacked([one], half)) + 1 for one in sections]
    middle = min(range(1, len(heights) + 1), key=lambda at: max(sum(heights[:at]), sum(heights[at:])))
    left, right = _stacked(sections[:middle], half), _stacked(sections[middle:], half)
    return lines + [
        line(*fitted(one.pieces, half + _GAP), *other.pieces)
        for one, other in zip_longest(left, right, fillvalue=EMPTY)
    ]


def _window(found: Insights, window: int, width: int) -> Iterator[Line]:
    pieces = [Piece(" [", "accent")]
    for at, (name, _) in enumerate(WINDOWS):
        pieces.append(Piece(f" {name} ", "strong" if at == window else "quiet"))
    pieces.append(Piece("]", "accent"))
    since = Piece(f"   {window_of(found)}", "quiet")
    if width_of([*pieces, since]) <= width:
        yield line(*pieces, since)
    else:
        yield line(*pieces)
        yield line(Piece(cut(f" {window_of(found)}", width), "quiet"))


def _stacked(sections: Sequence[Section], width: int) -> list[Line]:
    lines: list[Line] = []
    for section in sections:
        lines += [EMPTY, *_section(section, width)] if lines else _section(section, width)
    return lines


def _section(section: Section, width: int) -> Iterator[Line]:
    first, *more = wrap(section.title, width - 2)
    yield line(Piece(f" {first}", "accent"))
    yield from (line(Piece(f" {text}", "accent")) for text in more)
    if section.says:
        yield from _wrapped(section.says, "", width)
    for text in section.warns:
        first, *more = wrap(text, width - len(_INDENT) - 1)
        yield line(Piece(" ⚑ ", "warn"), first)
        yield from (line(_INDENT, one) for one in more)
    yield from _rows(section.rows, width)
    for text in section.notes:
        yield from _wrapped(text, "quiet", width)


def _wrapped(text: str, role: str, width: int) -> Iterator[Line]:
    return (line(_INDENT, Piece(one, role)) for one in wrap(text, width - len(_INDENT) - 1))


def _rows(rows: Sequence[Row], width: int) -> Iterator[Line]:
    label, columns = widths_of(rows)
    taken = len(_INDENT) + sum(columns) + 2 * len(columns) + 1
    label = max(min(label, width - taken), 6)
    room = min(width - taken - label - 2, _BAR)
    for row in rows:
        figures = "".join(f"  {text:>{wide}}" for text, wide in zip(row.figures, columns, strict=True))
        pieces = [Piece(_INDENT), Piece(fit(row.label, label), "" if row.role == "" else row.role), Piece(figures)]
        if row.bar is not None and room >= _LEAST_BAR:
            pieces.append(Piece("  " + _bar(row.bar, room), row.role or "accent"))
        yield line(*pieces)


def _bar(share: float, room: int) -> str:
    """A bar of at most `room` cells; something is never nothing."""
    return "━" * min(max(round(share * room), 1 if share > 0 else 0), room)
