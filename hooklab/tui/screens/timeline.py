"""One message, live: its facts and every arrival."""

from typing import Final

from hooklab.monitor import Monitor
from hooklab.store.base import MessageDetail
from hooklab.times import SECOND
from hooklab.tui.cells import Line
from hooklab.tui.screens.detail import DetailScreen
from hooklab.tui.timeline import message_lines
from hooklab.tui.view import View

_RECKONED: Final = 10 * SECOND
"""How often the time that a message waits is reckoned anew."""


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
        return message_lines(detail, width, revealed=view.revealed, now=view.now)

    def looks(self, view: View) -> object:
        """See `DetailScreen.looks`."""
        pending = self.detail is not None and self.detail.message.state == "PENDING"
        return view.revealed, view.now // _RECKONED if pending else None

    def copyable(self) -> tuple[str, str] | None:
        """Its id."""
        return "the message id", self._message_id
