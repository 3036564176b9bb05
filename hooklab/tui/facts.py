"""Named facts in two columns, as the screens of one thing have them. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.cells import cell_len

from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, cut, fit, line, squeeze, width_of, wrap
from hooklab.tui.format import NOTHING
from hooklab.tui.targets import Target

NAMES: Final = 16
"""Cells of the column of names."""
_BLOCK_LINES: Final = 60
_BEFORE: Final = 2
"""Pieces of a fact before what it says: the margin and the name."""


def rule(title: str, width: int) -> Line:
    """A line across with a title in it."""
    text = cut(f" {title} ", max(width - 4, 0))
    return line(Piece(" ──", "rule"), Piece(text, "accent"), Piece("─" * (width - 4 - cell_len(text)), "rule"))


def fact(name: str, pieces: Iterable[Piece], target: Target | None = None) -> Line:
    """One line: the name, then what it is."""
    return line("   ", Piece(fit(name, NAMES), "quiet"), *pieces, target=target)


def text_fact(name: str, value: str | None, room: int) -> Iterator[Line]:
    """Text from outside, wrapped to `room` cells."""
    yield from block(name, [clean(value, 4_000)] if value else [NOTHING], room)


def block(name: str, texts: Iterable[str], room: int) -> Iterator[Line]:
    """Lines that are safe to show, wrapped to `room` cells without losing their indent."""
    lines = [part for text in texts for part in indented(text, room)]
    for at, text in enumerate(lines[:_BLOCK_LINES]):
        yield fact("" if at else name, [Piece(text)])
    if len(lines) > _BLOCK_LINES:
        more = f"… {len(lines) - _BLOCK_LINES:,} more lines: hooklab show prints all"
        yield fact("", [Piece(more, "quiet")])


def folded(lines: Iterable[Line], width: int) -> Iterator[Line]:
    """Facts that are too wide for the screen in two lines, the name above; other lines stay as they are."""
    for one in lines:
        if len(one.pieces) > _BEFORE and width_of(one.pieces) > width and len(one.pieces[1].text) == NAMES:
            yield Line(one.pieces[:_BEFORE])
            yield line("     ", *squeeze(one.pieces[_BEFORE:], width - 5), target=one.target)
        else:
            yield one


def indented(text: str, room: int) -> list[str]:
    """`text` wrapped to `room` cells; what goes on keeps the indent of pretty-printed JSON."""
    bare = text.lstrip(" ")
    indent = " " * min(len(text) - len(bare), room // 2)
    return [indent + part for part in wrap(bare, room - len(indent))]
