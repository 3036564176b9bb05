"""Home: the head, the newest messages, and the empty start before there are any."""

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.monitor import Monitor
from hooklab.snippets import curl_line, sms_webhooks
from hooklab.store.base import ALL
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.view import View
from hooklab.tui.widgets.empty_start import EmptyStart
from hooklab.tui.widgets.head import Head
from hooklab.tui.widgets.keys import Keys
from hooklab.tui.widgets.message_list import MessageList

PAGE: Final = 200
CATCH_UP: Final = 2_000
"""Rows read at most to join what arrived with what is on the screen."""

_HINTS: Final = (
    ("q", "quit"),
    ("?", "help"),
    ("enter", "open"),
    ("j k", "move"),
    ("g", "newest"),
    ("m", "numbers"),
)
_ROOMY: Final = 34
"""Below this height the empty start takes the room of counters that are all zero."""
_EMPTY_HINTS: Final = (("q", "quit"), ("?", "help"), ("y", "copy the curl line"), ("j k", "scroll"))


def _all_zero(view: View) -> bool:
    c = view.counters
    return not any((*data_mark(view), c.batches, c.malformed, *(c.refused or {}).values()))


class MessagesScreen(LiveScreen):
    """The newest messages, live."""

    subject = "the messages"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy('curl')", show=False),
        Binding("Y", "copy('snippet')", show=False),
        Binding("j,down", "scroll_empty(1)", show=False),
        Binding("k,up", "scroll_empty(-1)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._head = Head()
        self._list = MessageList()
        self._empty = EmptyStart()
        self._keys = Keys(_HINTS)
        self._mark: tuple[int, ...] | None = None
        self._stuck = 0
        self._view = View()

    def compose(self) -> ComposeResult:
        """Top to bottom, in the order in which an eye needs it."""
        yield self._head
        yield self._list
        yield self._empty
        yield self._keys

    def on_mount(self) -> None:
        """Nothing is known yet, so neither list nor empty start."""
        self._list.display = self._empty.display = False

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads the newest page if something changed, and the next older one if the end is near."""
        mark = data_mark(view)
        if mark != self._mark:
            await self._load_newest(monitor, view)
            self._mark = mark
        if self._list.wants_more:
            rows = self._list.rows
            before = rows.items[-1].cursor
            rows.take_older(await monitor.messages(ALL, PAGE, before), PAGE, before)
            self._list.rows_changed()

    async def _load_newest(self, monitor: Monitor, view: View) -> None:
        shown, rows = self._list, self._list.rows
        if rows.behind and not shown.following:
            return
        limit = max(PAGE, shown.room)
        if view.counters.stuck != self._stuck:  # time alone changed rows, perhaps any of them
            limit = max(limit, min(len(rows), CATCH_UP))
        page = await monitor.messages(ALL, limit)
        if not shown.following and not rows.joins(page, limit):
            limit = CATCH_UP
            page = await monitor.messages(ALL, limit)
        if shown.following or rows.joins(page, limit):
            rows.take_newest(page, limit, following=shown.following)
            self._stuck = view.counters.stuck
        else:
            rows.behind = True
        shown.rows_changed()

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._view = view
        known = self._mark is not None
        empty = known and not self._list.rows.items and not view.counters.messages
        if self._empty.display != empty or self._list.display == empty:
            self._empty.display = empty
            self._list.display = not empty
            if not empty:
                self._list.focus()
        self._head.brief = empty and self.size.height < _ROOMY and _all_zero(view)
        self._head.show(view)
        if empty:
            self._empty.show(view.hook_url)
        else:
            self._list.show(view)
        self._show_keys()

    def _show_keys(self) -> None:
        if self._empty.display:
            self._keys.show("waiting for reports", _EMPTY_HINTS)
        elif self._list.rows.behind:
            self._keys.show("many newer: g", _HINTS)
        elif self._list.following:
            self._keys.show("following", _HINTS)
        else:
            total = max(self._view.counters.messages, len(self._list.rows))
            self._keys.show(f"{self._list.selected + 1:,} of {total:,}", _HINTS)

    def on_message_list_moved(self) -> None:
        """The selection moved: say where it is, and see whether rows are wanted."""
        self._show_keys()
        if self._list.following and self._list.rows.behind:
            self._mark = None
        if self._mark is None or self._list.wants_more:
            self.monitor_app.poll()

    def on_message_list_opened(self, event: MessageList.Opened) -> None:
        """Enter on a message opens its timeline."""
        self.app.push_screen(TimelineScreen(event.message_id))

    def action_copy(self, what: str) -> None:
        """Copies a part of the empty start to the terminal's clipboard, without the line breaks of the screen."""
        if self._empty.display and self._view.hook_url:
            make = curl_line if what == "curl" else sms_webhooks
            self.app.copy_to_clipboard(make(self._view.hook_url))
            self._keys.show("copied, if your terminal allows it", _EMPTY_HINTS)

    def action_scroll_empty(self, by: int) -> None:
        """Scrolls the empty start."""
        if self._empty.display:
            self._empty.scroll_relative(y=by, animate=False)
