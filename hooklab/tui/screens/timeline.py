"""One message, live: its facts and every arrival."""

from hooklab.store.base import MessageDetail
from hooklab.tui.screens.detail import DetailScreen
from hooklab.tui.widgets.message_pane import OneMessage


class TimelineScreen(DetailScreen[MessageDetail]):
    """The history of one message."""

    subject = "the message"
    hints = (("y", "copy id"), ("m", "numbers"))

    def __init__(self, message_id: str) -> None:
        super().__init__(OneMessage(message_id))
        self._message_id = message_id

    def copyable(self) -> tuple[str, str] | None:
        """Its id."""
        return "the message id", self._message_id
