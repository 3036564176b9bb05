"""What was copied, whole and alone on its lines: not every terminal lets a program copy."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from hooklab.text import clean_lines
from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.screens.lower import LowerScreen

_ELSE = "Copied, if your terminal allows it. If it does not, select it here, in most terminals with Shift held down:"


class CopiedScreen(LowerScreen[None]):
    """Shows the text until a key is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,space,y,Y,q", "dismiss(None)", show=False),
    ]

    def __init__(self, what: str, text: str) -> None:
        super().__init__()
        self._what = what
        self._text = text

    def lines(self, width: int) -> list[Line]:
        """See `LowerScreen.lines`."""
        lines = [EMPTY, line(Piece(f"  {self._what}", "strong"))]
        lines += [line(Piece(f"  {text}", "quiet")) for text in wrap(_ELSE, width - 4)]
        lines.append(EMPTY)
        # At the very left, so that a selection of whole lines takes nothing else with it.
        lines += [line(part) for text in clean_lines(self._text).split("\n") for part in wrap(text, width)]
        return [*lines, EMPTY, line(Piece("  esc", "accent"), Piece(" back", "quiet"))]
