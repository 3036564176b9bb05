"""Where the moment to jump to is typed."""

from typing import Final

from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, line, squeeze
from hooklab.tui.widgets.filter_box import LineBox

_HINT: Final = " 14:05   25 Nov 14:05   2026-11-25T14:05   2h (ago)   in UTC; enter goes there"


class TimeBox(LineBox):
    """A clock, the text, the hint."""

    class Typed(LineBox.Typed):
        """The text is another."""

    class Closed(LineBox.Closed):
        """Enter or Esc: whether to go there."""

    def __init__(self) -> None:
        super().__init__("time", " t ")

    def hint(self, trouble: str, width: int) -> Line:
        """See `LineBox.hint`."""
        said = Piece(f" {clean(trouble, 400)}", "warn") if trouble else Piece(_HINT, "quiet")
        return line(*squeeze([said], width))
