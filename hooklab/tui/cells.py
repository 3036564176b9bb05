"""Lines made of pieces, and text cut and wrapped by the cells it takes on a terminal. Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from hooklab.text import clean
from hooklab.tui.targets import Target

ROLES: Final = ("accent", "strong", "quiet", "rule", "good", "bad", "wait", "warn")
"""What a piece can be; how each looks is the stylesheet's."""

_PLAIN: Final = str.maketrans(
    {"✔": "√", "✖": "x", "…": "~", "↻": "&", "⚑": "!", "▸": ">", "→": ">", "●": "•", "▁": "_", "▂": "_", "▃": "▄"}
    | {"▅": "▄", "▆": "▄", "▇": "█", "↑": "^", "↓": "v", "━": "="}
)


class Piece(NamedTuple):
    """Text that is safe to show, and its role ("" is plain)."""

    text: str
    role: str = ""


class Line(NamedTuple):
    """One line of the screen; the selected one has a ground of its own, and one with a target leads somewhere."""

    pieces: tuple[Piece, ...] = ()
    selected: bool = False
    target: Target | None = None

    @property
    def text(self) -> str:
        """What the line says, without looks."""
        return "".join(piece.text for piece in self.pieces)


EMPTY: Final = Line()


def line(*pieces: Piece | str, selected: bool = False, target: Target | None = None) -> Line:
    """A line of pieces; a bare string is plain text."""
    made = (Piece(piece) if isinstance(piece, str) else piece for piece in pieces)
    return Line(tuple(piece for piece in made if piece.text), selected, target)


def pointed_at(one: Line) -> Line:
    """A line as it looks when it is selected: with a ground, and a mark where it has room at its beginning."""
    first, *others = one.pieces or (Piece(""),)
    if first.text.startswith("  "):
        first = Piece("▸" + first.text[1:], "accent" if not first.text.strip() else first.role)
    return Line((first, *others), selected=True, target=one.target)


def plain_marks(text: str) -> str:
    """`text` with the marks that a Linux console's font has not replaced by ones that it has."""
    return text.translate(_PLAIN)


def width_of(pieces: Iterable[Piece]) -> int:
    """The cells that pieces take."""
    return sum(cell_len(piece.text) for piece in pieces)


def cut(text: str, width: int) -> str:
    """Safe text in at most `width` cells; what is missing is shown as ``…``."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip(" ") + "…"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Safe text in exactly `width` cells."""
    shown = cut(text, width)
    room = " " * (width - cell_len(shown))
    return room + shown if right else shown + room


def foreign(value: str | None, width: int) -> str:
    """Text from outside: cleaned, and in exactly `width` cells."""
    return fit(clean(value or "", width * 4 + 16), max(width, 0))


def ends(left: Iterable[Piece], right: Iterable[Piece], width: int) -> Line:
    """A line with something at either end; where both do not fit the left is cut."""
    right = tuple(right)
    room = width - width_of(right)
    if room < 0:
        return line(*squeeze(right, width))
    kept = squeeze(left, room)
    return line(*kept, Piece(" " * (room - width_of(kept))), *right)


def fitted(pieces: Iterable[Piece], width: int) -> list[Piece]:
    """Pieces in exactly `width` cells."""
    kept = squeeze(pieces, width)
    return [*kept, Piece(" " * (width - width_of(kept)))]


def squeeze(pieces: Iterable[Piece], width: int) -> list[Piece]:
    """As much of `pieces` as `width` cells hold."""
    kept: list[Piece] = []
    for piece in pieces:
        text = cut(piece.text, width)
        if text:
            kept.append(Piece(text, piece.role))
        width -= cell_len(text)
        if text != piece.text:
            break
    return kept


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces where there are any; nothing is lost."""
    width = max(width, 2)
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        grown = f"{current} {word}" if current else word
        if cell_len(grown) <= width:
            current = grown
            continue
        if current:
            lines.append(current)
        *whole, current = chop_cells(word, width) or [""]
        lines.extend(whole)
    lines.append(current)
    return lines
