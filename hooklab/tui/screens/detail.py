"""One thing whole: its facts, and lines that lead on to others."""

from typing import ClassVar, Final, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.monitor import Monitor
from hooklab.tui.cells import Line, Piece, line
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.view import View
from hooklab.tui.widgets.head import Head
from hooklab.tui.widgets.keys import Hint, Keys
from hooklab.tui.widgets.scroll_lines import ScrollLines

T = TypeVar("T")

_HINTS: Final = (("esc", "back"), ("?", "help"), ("enter", "open"), ("j k", "move"))


class DetailScreen(LiveScreen, Generic[T]):
    """Reads one thing again when the store changed, and draws it when it or the view did."""

    gone = "This is not in the store (any more)."
    hints: tuple[Hint, ...] = ()
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace,h,left", "app.back", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self.detail: T | None = None
        self._head = Head(brief=True)
        self._body = ScrollLines(id="detail")
        self._keys = Keys(self._all_hints())
        self._mark: tuple[int, ...] | None = None
        self._drawn: tuple[object, ...] | None = None

    def _all_hints(self) -> tuple[Hint, ...]:
        return (*_HINTS, *self.hints, ("q", "quit"))

    async def read(self, monitor: Monitor) -> T | None:
        """The thing; None if it is not known."""
        raise NotImplementedError

    def lines(self, detail: T, width: int, view: View) -> list[Line]:
        """The thing as lines."""
        raise NotImplementedError

    def looks(self, view: View) -> object:
        """What of the view the lines depend on."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The status stays in sight."""
        yield self._head
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Keys scroll the text."""
        self._body.focus()

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads again if the store changed."""
        mark = data_mark(view)
        if mark != self._mark:
            self.detail = await self.read(monitor)
            self._mark = mark

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._head.show(view)
        width = self._body.size.width
        state = (self.detail, width, self._mark is not None, self.looks(view))
        if width and state != self._drawn:
            self._drawn = state
            self._body.show(self._made(view))
        self._keys.show(self.fact())

    def fact(self) -> str:
        """What stands at the right of the last line."""
        return "live" if self.detail is not None else ""

    def _made(self, view: View) -> list[Line]:
        if self.detail is None:
            return [line(Piece(f"   {self.gone if self._mark is not None else 'reading …'}", "quiet"))]
        return self.lines(self.detail, self._body.size.width, view)


class BodyScreen(DetailScreen[T]):
    """One thing with a body, which is shown as indented JSON or as it came.

    Attributes:
        raw: whether it is shown as it came.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "raw", show=False)]

    raw = False

    def _all_hints(self) -> tuple[Hint, ...]:
        return (
            *_HINTS,
            ("r", "indented" if self.raw else "as it came"),
            ("m", "numbers"),
            *self.hints,
            ("q", "quit"),
        )

    def looks(self, view: View) -> object:
        """See `DetailScreen.looks`."""
        return self.raw, view.revealed

    def action_raw(self) -> None:
        """Shows the body as it came, or as indented JSON again."""
        self.raw = not self.raw
        self.show(self.monitor_app.view)
        self._keys.show(self.fact(), self._all_hints())
