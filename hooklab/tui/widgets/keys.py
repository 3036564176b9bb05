"""The last line: which keys there are, and where one is."""

from collections.abc import Sequence
from typing import Final

from textual import events

from hooklab.tui.cells import Piece, ends, width_of
from hooklab.tui.widgets.lines import Lines

Hint = tuple[str, str]
"""A key, and what it does."""

_GAP: Final = "   "


def hint_pieces(hints: Sequence[Hint], room: int) -> list[Piece]:
    """As many hints as `room` holds, each whole."""
    pieces: list[Piece] = [Piece(" ")]
    for key, does in hints:
        grown = [Piece(key, "accent"), Piece(f" {does}{_GAP}", "quiet")]
        if width_of(pieces) + width_of(grown) > room:
            break
        pieces += grown
    return pieces


class Keys(Lines):
    """Hints at the left, one fact at the right."""

    def __init__(self, hints: Sequence[Hint]) -> None:
        super().__init__(id="keys")
        self._hints = tuple(hints)
        self._fact = ""

    def show(self, fact: str = "", hints: Sequence[Hint] | None = None) -> None:
        """Draws the line if it changed."""
        self._fact = fact
        self._hints = self._hints if hints is None else tuple(hints)
        right = [Piece(f"{fact} ", "quiet")]
        room = self.size.width - width_of(right)
        self.draw([ends(hint_pieces(self._hints, room), right, self.size.width)])

    def on_resize(self, _event: events.Resize) -> None:
        """Another width holds other hints."""
        self.show(self._fact)
