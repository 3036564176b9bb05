"""A screen that is fed: the app reads for it, it never reads by itself."""

from typing import TYPE_CHECKING, cast

from textual import events

from hooklab.monitor import Monitor
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.view import View

if TYPE_CHECKING:
    from hooklab.tui.app import MonitorApp


class LiveScreen(OneSize[None]):
    """Gets its rows in `load` (one at a time, the app sees to that) and draws in `show`.

    Attributes:
        subject: what it reads, for the sentence "cannot read ...".
    """

    subject = "the data"

    @property
    def monitor_app(self) -> "MonitorApp":
        """The app, by its own type."""
        return cast("MonitorApp", self.app)

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads what this screen shows if that may have changed; may raise MonitorError."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Draws what changed."""
        raise NotImplementedError

    def copyable(self) -> tuple[str, str] | None:
        """What `y` copies: what it is, and the text; None where there is nothing to copy."""
        return None

    def on_resize(self, _event: events.Resize) -> None:
        """Another size wants another layout, once the widgets know theirs."""
        self.call_after_refresh(lambda: self.show(self.monitor_app.view))

    def on_screen_resume(self) -> None:
        """Back in front: as fresh as any."""
        self.show(self.monitor_app.view)
        self.monitor_app.poll()


def data_mark(view: View) -> tuple[int, ...]:
    """Changes whenever the store's messages may have; the service's own figures are not in it."""
    c, files = view.counters, 0 if view.snapshot is None else view.snapshot.files
    held = c.messages, c.delivered, c.not_delivered, c.pending, c.stuck, c.conflicts
    return files, c.batches, c.malformed, c.elements, c.reports, c.repeats, c.late, c.quarantined, *held
