"""Answers about delivery as lines: every figure is that of `hooklab insights --json`. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
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
_NONE: Final[Mapping[str, Sequence[Line]]] = MappingProxyType({})


Pictures = Mapping[str, Sequence[Line]]
"""Lines in place of the rows of sections, by `Section.about`."""


def column_of(width: int) -> int:
    """The width of a column: all of it, or half where there is room for two."""
    return width if width < _TWO_COLUMNS else (width - _GAP) // 2


def insight_lines(found: Insights, window: int, width: int, pictures: Pictures = _NONE) -> list[Line]:
    """All answers, in two columns where there is room; `pictures` are as wide as a column."""
    sections = findings(found)
    lines = [*_window(found, window, width), EMPTY]
    column = column_of(width)
    if column == width:
        return lines + _stacked(sections, width, pictures)
    heights = [len(_stacked([one], column, pictures)) + 1 for one in sections]
    middle = min(range(1, len(heights) + 1), key=lambda at: max(sum(heights[:at]), sum(heights[at:])))
    left, right = _stacked(sections[:middle], column, pictures), _stacked(sections[middle:], column, pictures)
    return lines + [
        line(*fitted(one.pieces, column + _GAP), *other.pieces)
        for one, other in zip_longest(left, right, fillvalue=EMPTY)
    ]


def _window(found: Insights, window: int, width: int) -> Iterator[Line]:
    pieces = []
    for at, (name, _) in enumerate(WINDOWS):
        pieces.append(Piece(f" [{name}]", "strong") if at == window else Piece(f"  {name} ", "quiet"))
    since = Piece(f"   {window_of(found)}", "quiet")
    if width_of([*pieces, since]) <= width:
        yield line(*pieces, since)
    else:
        yield line(*pieces)
        yield line(Piece(cut(f" {window_of(found)}", width), "quiet"))


def _stacked(sections: Sequence[Section], width: int, pictures: Pictures) -> list[Line]:
    lines: list[Line] = []
    for section in sections:
        picture = pictures.get(section.about)
        lines += [EMPTY, *_section(section, width, picture)] if lines else _section(section, width, picture)
    return lines


def _section(section: Section, width: int, picture: Sequence[Line] | None) -> Iterator[Line]:
    first, *more = wrap(section.title, width - 2)
    yield line(Piece(f" {first}", "accent"))
    yield from (line(Piece(f" {text}", "accent")) for text in more)
    if section.says:
        yield from _wrapped(section.says, "", width)
    for text in section.warns:
        first, *more = wrap(text, width - len(_INDENT) - 1)
        yield line(Piece(" ⚑ ", "warn"), first)
        yield from (line(_INDENT, one) for one in more)
    yield from _rows(section.rows, width) if picture is None else picture
    for text in section.notes if picture is not None else [*section.notes, *section.of_rows]:
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
