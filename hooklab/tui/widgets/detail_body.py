"""One thing whole, as a text: read again when the store changed, drawn again when it or the view did."""

from typing import Generic, Protocol, TypeVar

from hooklab.monitor import Monitor
from hooklab.tui.cells import Line, Piece, line
from hooklab.tui.screens.live import data_mark
from hooklab.tui.view import View
from hooklab.tui.widgets.scroll_lines import ScrollLines

T = TypeVar("T")


class Subject(Protocol[T]):
    """What a text is about.

    Attributes:
        gone: what is said where it is not known.
    """

    gone: str

    async def read(self, monitor: Monitor) -> T | None:
        """The thing; None if it is not known."""

    def lines(self, detail: T, width: int, view: View) -> list[Line]:
        """The thing as lines."""

    def looks(self, detail: T | None, view: View) -> object:
        """What of the view the lines depend on."""


class DetailBody(ScrollLines, Generic[T]):
    """The text of a subject.

    Attributes:
        subject: what it is about; None for nothing.
        detail: what was read of it last.
    """

    def __init__(self, subject: Subject[T] | None = None) -> None:
        super().__init__(id="detail")
        self.subject = subject
        self.detail: T | None = None
        self._mark: tuple[int, ...] | None = None
        self._drawn: tuple[object, ...] | None = None
        self._view = View()

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads again if the store changed."""
        mark, subject = data_mark(view), self.subject
        if mark == self._mark or subject is None:
            return
        detail = await subject.read(monitor)
        if subject is self.subject:
            self.detail, self._mark = detail, mark

    def update(self, view: View) -> None:
        """Draws what changed."""
        self._view = view
        width = self.size.width
        looks = None if self.subject is None else self.subject.looks(self.detail, view)
        state = (self.subject, self.detail, width, self._mark is not None, looks)
        if width and state != self._drawn:
            self._drawn = state
            self.show(self._made(view))

    def on_resize(self) -> None:
        """Another width wraps elsewhere."""
        self.update(self._view)

    def _made(self, view: View) -> list[Line]:
        if self.subject is None:
            return []
        if self.detail is None:
            said = self.subject.gone if self._mark is not None else "reading …"
            return [line(Piece(f"   {said}", "quiet"))]
        return self.subject.lines(self.detail, self.size.width, view)
