"""Answers about delivery, and about how the provider behaves."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.insights import Insights
from hooklab.monitor import Monitor
from hooklab.times import HOUR, MINUTE
from hooklab.tui.insights import WINDOWS, Pictures, column_of, insight_lines
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.view import View
from hooklab.tui.widgets.head import Head, is_small
from hooklab.tui.widgets.keys import Keys
from hooklab.tui.widgets.scroll_lines import ScrollLines
from hooklab.tui.widgets.tabs import Tabs

_HINTS: Final = (("q", "quit"), ("?", "help"), ("[ ]", "window"), ("j k", "scroll"), ("1", "messages"))
_EVERY: Final = 5.0
"""Seconds between reads, at least."""
_SHARE: Final = 20
"""A read that takes long is not repeated before this many times as long."""


class InsightsScreen(LiveScreen):
    """The answers of a window; reads only while it is in front, and only what may have changed."""

    subject = "the insights"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.go('messages')", show=False),
        Binding("left_square_bracket", "window(-1)", show=False),
        Binding("right_square_bracket", "window(1)", show=False),
    ]

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        """`timer` gives seconds that only ever grow."""
        super().__init__(name="insights")
        self._head = Head()
        self._tabs = Tabs("insights")
        self._body = ScrollLines(id="insights")
        self._keys = Keys(_HINTS)
        self._timer = timer
        self._window = 1
        self._mark: tuple[int, ...] | None = None
        self._not_before = 0.0
        self._found: tuple[int, Insights] | None = None
        self._pictures: Pictures = {}
        self._drawn: int | None = None
        """The width for which the pictures are."""

    def compose(self) -> ComposeResult:
        """Like the lists."""
        yield self._head
        yield self._tabs
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Keys scroll the text."""
        self._body.focus()

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads the window if something changed and the last read is long enough ago, and draws what it gave."""
        begun = self._timer()
        if await self._read(monitor, view, begun) or self._is_redrawn():
            await self._draw()
            ended = self._timer()
            self._not_before = ended + max(_EVERY, _SHARE * (ended - begun))

    async def _read(self, monitor: Monitor, view: View, begun: float) -> bool:
        window = self._window
        mark = (window, view.now // MINUTE, *data_mark(view))
        same_window = self._mark is not None and self._mark[0] == window
        if mark == self._mark or (same_window and begun < self._not_before):
            return False
        back = WINDOWS[window][1]
        since = None if back is None else (view.now - back) // HOUR * HOUR
        found = await monitor.insights(since, None)
        if self._found is None or self._found[0] != window:
            self._pictures = {}  # those are of another window
        self._found = window, found
        self._mark = mark
        return True

    def _is_redrawn(self) -> bool:
        """Whether the pictures are of another width than there is now."""
        return self._drawn not in (None, column_of(self._body.size.width))

    async def _draw(self) -> None:
        """Pictures take a while, so that a thread draws them."""
        assert self._found is not None
        _, found = self._found
        width = column_of(self._body.size.width)
        self._pictures = await asyncio.to_thread(_drawn, found, width)
        self._drawn = width

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._head.show(view)
        self._tabs.display = not is_small(*self.app.size)
        self._tabs.show(view)
        reading = self._found is None or self._found[0] != self._window
        if self._body.size.width and self._found is not None and not reading:
            width = self._body.size.width
            pictures = {} if self._is_redrawn() else self._pictures
            self._body.show(insight_lines(self._found[1], self._window, width, pictures))
        self._keys.show("reading …" if reading else "")

    def on_resize(self, event: events.Resize) -> None:
        """Another width wants other pictures."""
        super().on_resize(event)
        self.call_after_refresh(self.monitor_app.poll)

    def action_window(self, by: int) -> None:
        """Chooses another window."""
        self._window = max(0, min(self._window + by, len(WINDOWS) - 1))
        self.show(self.monitor_app.view)
        self.monitor_app.poll()


def _drawn(found: Insights, width: int) -> Pictures:
    from hooklab.tui.pictures import pictures  # noqa: PLC0415  plotext is loaded where it is needed first

    return pictures(found, width)
