"""A few lines at the lower edge that wait for a key; what is above stays in sight and alive."""

from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from hooklab.tui.cells import Line
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.widgets.lines import Lines

T = TypeVar("T")


class LowerScreen(ModalScreen[T], OneSize[T]):
    """As many lines as its width needs."""

    def __init__(self) -> None:
        super().__init__()
        self._body = Lines(id="lower")

    def lines(self, width: int) -> list[Line]:
        """What it says in `width` cells."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """A few lines."""
        yield self._body

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wraps elsewhere."""
        self.redraw()

    def redraw(self) -> None:
        """Says what it has to say now."""
        lines = self.lines(self.app.size.width)
        self._body.styles.height = len(lines)
        self._body.draw(lines)

    async def action_dismiss(self, result: T | None = None) -> None:
        """Answers once: keys typed fast come here when it is answered already."""
        if self.is_current:
            await super().action_dismiss(result)
