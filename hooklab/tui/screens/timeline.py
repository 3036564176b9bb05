"""One message, live: its facts and every arrival."""

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.monitor import Monitor
from hooklab.store.base import MessageDetail
from hooklab.tui.cells import Line, Piece, line
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.timeline import message_lines
from hooklab.tui.view import View
from hooklab.tui.widgets.head import Head
from hooklab.tui.widgets.keys import Keys
from hooklab.tui.widgets.lines import ScrollLines

_HINTS: Final = (("esc", "back"), ("?", "help"), ("j k", "scroll"), ("m", "numbers"), ("q", "quit"))


class TimelineScreen(LiveScreen):
    """The history of one message."""

    subject = "the message"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace,h,left", "app.pop_screen", show=False)]

    def __init__(self, message_id: str) -> None:
        super().__init__()
        self._message_id = message_id
        self._head = Head(brief=True)
        self._body = ScrollLines(id="timeline")
        self._keys = Keys(_HINTS)
        self._mark: tuple[int, ...] | None = None
        self._detail: MessageDetail | None = None
        self._drawn: tuple[MessageDetail | None, int, bool, bool] | None = None

    def compose(self) -> ComposeResult:
        """The status stays in sight."""
        yield self._head
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Keys scroll the history."""
        self._body.focus()

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads the message again if the store changed."""
        mark = data_mark(view)
        if mark != self._mark:
            self._detail = await monitor.message(self._message_id)
            self._mark = mark

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._head.show(view)
        state = (self._detail, self._body.size.width, view.revealed, self._mark is not None)
        if self._body.size.width and state != self._drawn:
            self._drawn = state
            self._body.show(self._made(view))
        self._keys.show(self._fact())

    def _made(self, view: View) -> list[Line]:
        if self._detail is None:
            gone = "This message is not in the store (any more)." if self._mark is not None else "reading …"
            return [line(Piece(f"   {gone}", "quiet"))]
        return message_lines(self._detail, self._body.size.width, revealed=view.revealed)

    def _fact(self) -> str:
        return "live" if self._detail is not None else ""
