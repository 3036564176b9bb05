"""What needs a look, worst first."""

from typing import ClassVar, Final

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.filters import parse_filter
from hooklab.monitor import Monitor
from hooklab.store.base import MessageRow
from hooklab.tui.problems import KINDS, SHOWN, Troubled, problem_lines
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.targets import ToMessage, ToQuarantined
from hooklab.tui.view import View
from hooklab.tui.widgets.head import Head, is_small
from hooklab.tui.widgets.keys import Keys
from hooklab.tui.widgets.scroll_lines import ScrollLines
from hooklab.tui.widgets.tabs import Tabs

_HINTS: Final = (
    ("q", "quit"),
    ("?", "help"),
    ("enter", "open"),
    ("j k", "move"),
    ("y", "copy id"),
    ("1", "messages"),
)


class ProblemsScreen(LiveScreen):
    """Groups of problems; each line opens the thing itself."""

    subject = "the problems"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.go('messages')", show=False)]

    def __init__(self) -> None:
        super().__init__(name="problems")
        self._head = Head()
        self._tabs = Tabs("problems")
        self._body = ScrollLines(id="problems")
        self._keys = Keys(_HINTS)
        self._mark: tuple[int, ...] | None = None
        self._found = Troubled()

    def compose(self) -> ComposeResult:
        """Like the lists."""
        yield self._head
        yield self._tabs
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Keys move among the lines."""
        self._body.focus()

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads a few of each group if something changed."""
        mark = data_mark(view)
        if mark == self._mark:
            return
        messages: dict[str, list[MessageRow]] = {}
        for word in KINDS:
            where = replace(parse_filter([word], view.now), brief=True)
            if word == "is:stuck":  # from the oldest on: those wait for longest
                messages[word] = (await monitor.newer(where, SHOWN + 1, 0)).rows[::-1]
            else:
                messages[word] = (await monitor.search(where, SHOWN + 1)).rows
        self._found = Troubled(messages, await monitor.quarantine(SHOWN + 1))
        self._mark = mark

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._head.show(view)
        self._tabs.display = not is_small(*self.app.size)
        self._tabs.show(view)
        if self._body.size.width and self._mark is not None:
            self._body.show(problem_lines(view, self._found, self._body.size.width))
        self._keys.show("" if self._mark is not None else "reading …")

    def copyable(self) -> tuple[str, str] | None:
        """The id of what the selected line leads to."""
        match self._body.target:
            case ToMessage(message_id):
                return "the message id", message_id
            case ToQuarantined(row_id):
                return "its id", str(row_id)
            case _:
                return None
