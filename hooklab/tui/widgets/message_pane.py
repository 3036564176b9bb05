"""A message beside the list: the text of its own screen."""

from typing import Final

from hooklab.monitor import Monitor, MonitorError
from hooklab.store.base import MessageDetail
from hooklab.times import SECOND
from hooklab.tui.cells import Line
from hooklab.tui.timeline import message_lines
from hooklab.tui.view import View
from hooklab.tui.widgets.detail_body import DetailBody

_RECKONED: Final = 10 * SECOND
"""How often the time that a message waits is reckoned anew."""


class OneMessage:
    """The history of one message. See `Subject`."""

    gone = "This message is not in the store (any more)."

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id

    async def read(self, monitor: Monitor) -> MessageDetail | None:
        """See `Subject.read`."""
        return await monitor.message(self.message_id)

    def lines(self, detail: MessageDetail, width: int, view: View) -> list[Line]:
        """See `Subject.lines`."""
        after = None if view.snapshot is None else view.snapshot.signs.stuck_after
        return message_lines(detail, width, revealed=view.revealed, now=view.now, stuck_after=after)

    def looks(self, detail: MessageDetail | None, view: View) -> object:
        """See `Subject.looks`."""
        pending = detail is not None and detail.message.state == "PENDING"
        return view.revealed, view.now // _RECKONED if pending else None


class MessagePane(DetailBody[MessageDetail]):
    """Shows one message after the other; what it leads to is marked while it has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.points = False
        self._shows: str | None = None

    def look_at(self, message_id: str | None) -> None:
        """Another message, or none. What is shown of the one before stays until this one is read."""
        if message_id == self._shows:
            return
        self._shows = message_id
        self.subject = None if message_id is None else OneMessage(message_id)
        self._mark = None

    @property
    def shows(self) -> str | None:
        """The id of the message that it is to show."""
        return self._shows

    async def load(self, monitor: Monitor, view: View) -> None:
        """See `DetailBody.load`; a message that was not shown before is shown from its beginning."""
        another = self._mark is None
        try:
            await super().load(monitor, view)
        except MonitorError:
            if another:  # not the one before under the name of this one
                self.detail = None
                super().update(view)
            raise
        if another and self._mark is not None:
            self.top, self.chosen = 0, None

    def update(self, view: View) -> None:
        """Draws what changed, once what is to be shown has been read."""
        if self._mark is not None or self.subject is None or not self.content:
            super().update(view)

    def action_follow(self) -> None:
        """Opens what a line leads to, once the lines are of the message that is selected."""
        if self._mark is not None:
            super().action_follow()

    def on_focus(self) -> None:
        """Keys move here: say where."""
        self.points = True
        self.action_move(0)

    def on_blur(self) -> None:
        """Keys move elsewhere."""
        self.points = False
        self.action_move(0)
