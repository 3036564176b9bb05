"""One message, live: its facts and every arrival."""

from hooklab.monitor import Monitor
from hooklab.store.base import MessageDetail
from hooklab.tui.cells import Line
from hooklab.tui.screens.detail import DetailScreen
from hooklab.tui.timeline import message_lines
from hooklab.tui.view import View


class TimelineScreen(DetailScreen[MessageDetail]):
    """The history of one message."""

    subject = "the message"
    gone = "This message is not in the store (any more)."
    hints = (("y", "copy id"), ("m", "numbers"))

    def __init__(self, message_id: str) -> None:
        super().__init__()
        self._message_id = message_id

    async def read(self, monitor: Monitor) -> MessageDetail | None:
        """See `DetailScreen.read`."""
        return await monitor.message(self._message_id)

    def lines(self, detail: MessageDetail, width: int, view: View) -> list[Line]:
        """See `DetailScreen.lines`."""
        return message_lines(detail, width, revealed=view.revealed)

    def looks(self, view: View) -> object:
        """See `DetailScreen.looks`."""
        return view.revealed

    def copyable(self) -> tuple[str, str] | None:
        """Its id."""
        return "the message id", self._message_id
