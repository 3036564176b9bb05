"""The one question: stop the service?"""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.widgets.lines import Lines

_QUESTION = "Stop the service?"
_MEANS = "Until it runs again nobody answers the provider, which then sends its reports later."


def question_lines(width: int) -> list[Line]:
    """The question, what a yes means, and the keys."""
    lines = [EMPTY, line(Piece(f"  {_QUESTION}", "strong"))]
    lines += [line(Piece(f"  {text}", "quiet")) for text in wrap(_MEANS, width - 4)]
    keys = Piece("  y", "accent"), Piece(" stop it   ", "quiet"), Piece("n", "accent"), Piece(" go back", "quiet")
    return [*lines, line(*keys), EMPTY]


class ConfirmStop(ModalScreen[bool]):
    """Asks at the lower edge; what is above stays in sight and alive."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,Y", "dismiss(True)", show=False),
        Binding("n,N,escape,q", "dismiss(False)", show=False),
        Binding("ctrl+c", "dismiss(True)", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        """A few lines."""
        yield Lines(id="confirm")

    def on_resize(self, event: events.Resize) -> None:
        """As many lines as the width needs."""
        lines = question_lines(event.size.width)
        body = self.query_one(Lines)
        body.styles.height = len(lines)
        body.draw(lines)
