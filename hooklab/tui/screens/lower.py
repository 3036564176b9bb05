"""A few lines at the lower edge that wait for a key; what is above stays in sight and alive."""

from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from hooklab.tui.cells import Line
from hooklab.tui.widgets.lines import Lines

T = TypeVar("T")


class LowerScreen(ModalScreen[T]):
    """As many lines as its width needs."""

    def lines(self, width: int) -> list[Line]:
        """What it says in `width` cells."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """A few lines."""
        yield Lines(id="lower")

    def on_resize(self, event: events.Resize) -> None:
        """Another width wraps elsewhere."""
        lines = self.lines(event.size.width)
        body = self.query_one(Lines)
        body.styles.height = len(lines)
        body.draw(lines)
