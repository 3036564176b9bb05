"""One thing whole: its facts, and lines that lead on to others."""

from typing import ClassVar, Final, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.monitor import Monitor
from hooklab.tui.cells import Line
from hooklab.tui.screens.live import LiveScreen
from hooklab.tui.view import View
from hooklab.tui.widgets.detail_body import DetailBody, Subject
from hooklab.tui.widgets.head import Head
from hooklab.tui.widgets.keys import Hint, Keys

T = TypeVar("T")

_HINTS: Final = (("esc", "back"), ("?", "help"), ("enter", "open"), ("j k", "move"))


class DetailScreen(LiveScreen, Generic[T]):
    """Reads one thing again when the store changed, and draws it when it or the view did."""

    gone = "This is not in the store (any more)."
    hints: tuple[Hint, ...] = ()
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace,h,left", "app.back", show=False)]

    def __init__(self, about: Subject[T] | None = None) -> None:
        """Args: `about` is the thing; without it this screen is to say itself what that is."""
        super().__init__()
        self._head = Head(brief=True)
        self._body = DetailBody(self if about is None else about)
        self._keys = Keys(self._all_hints())

    @property
    def detail(self) -> T | None:
        """What was read last."""
        return self._body.detail

    def _all_hints(self) -> tuple[Hint, ...]:
        return (*_HINTS, *self.hints, ("q", "quit"))

    async def read(self, monitor: Monitor) -> T | None:
        """The thing; None if it is not known."""
        raise NotImplementedError

    def lines(self, detail: T, width: int, view: View) -> list[Line]:
        """The thing as lines."""
        raise NotImplementedError

    def looks(self, detail: T | None, view: View) -> object:
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
        await self._body.load(monitor, view)

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._head.show(view)
        self._body.update(view)
        self._keys.show(self.fact())

    def fact(self) -> str:
        """What stands at the right of the last line."""
        return "live" if self.detail is not None else ""


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

    def looks(self, detail: T | None, view: View) -> object:
        """See `DetailScreen.looks`."""
        del detail
        return self.raw, view.revealed

    def action_raw(self) -> None:
        """Shows the body as it came, or as indented JSON again."""
        self.raw = not self.raw
        self.show(self.monitor_app.view)
        self._keys.show(self.fact(), self._all_hints())
