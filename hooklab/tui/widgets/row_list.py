"""A list of rows, newest first: what is in sight of those that are loaded, drawn line by line."""

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from hooklab.tui import rows as held
from hooklab.tui.cells import Line, Piece, line
from hooklab.tui.rows import Rows, Step
from hooklab.tui.sources import Source
from hooklab.tui.view import View
from hooklab.tui.widgets.lines import Lines

T = TypeVar("T")

_FAR: Final = 1_000_000_000


class RowList(Lines, Generic[T], can_focus=True):
    """Keeps its selection on the same row; at the very top it follows the newest instead.

    Attributes:
        rows: what is loaded.
        selected: the index of the selected row.
        following: whether the selection is to be on the newest row, whichever that is.
        nothing: what is said where there is no row.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,ctrl+f", "page(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("g,home", "newest", show=False),
        Binding("G,end", f"move({_FAR})", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Somebody wants to see the selected row whole."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    class Moved(Message):
        """The selection moved; further rows may be wanted."""

    def __init__(self, source: Source[T]) -> None:
        super().__init__(id="rows")
        self._source = source
        self.rows = self._no_rows()
        self.selected = 0
        self.following = True
        self.nothing = ""
        self._top = 0
        self._anchor: Hashable | None = None
        self._edge = 0
        self._placed = False
        self._was_newest = True
        self._view = View()

    # what a list is made of

    def title_line(self) -> Line:
        """What the columns are called."""
        raise NotImplementedError

    def row_line(self, row: T, view: View, *, selected: bool) -> Line:
        """One row."""
        raise NotImplementedError

    @property
    def room(self) -> int:
        """How many rows fit below the titles."""
        return max(self.size.height - 1, 1)

    @property
    def wants_older(self) -> bool:
        """Whether the lower end of what is loaded is near, and not the end of all."""
        near = max(self.selected, self._top + self.room) + self.room >= len(self.rows)
        return near and self.rows.top is not None and not self.rows.complete

    @property
    def wants_newer(self) -> bool:
        """Whether the upper end of what is loaded is near, and not the newest of all."""
        return not (self.following or self.rows.newest) and self._top <= self.room

    @property
    def edge(self) -> int:
        """A cursor somewhat above what is in sight; there must have been a step."""
        at = self._top - self.room
        cursor = self.rows.cursor_at(at) if at > 0 else self.rows.above
        return cursor if cursor is not None else self.rows.top or 0

    @property
    def missed(self) -> bool:
        """Whether it was placed, nobody has moved since, and all that there is lies above that place."""
        cursor = self.rows.cursor_at(self.selected)
        return self._placed and self.rows.complete and (cursor is None or cursor > self._edge)

    def stay(self) -> None:
        """Keeps the selection on its row, whatever comes."""
        self.following = False

    @property
    def chosen(self) -> T | None:
        """The selected row."""
        return self.rows.items[self.selected] if self.selected < len(self.rows) else None

    def show(self, view: View) -> None:
        """Draws what changed in the view."""
        self._view = view
        self._redraw()

    def start_over(self) -> None:
        """Begins with rows of its own, so that nothing of the ones before gets in."""
        self.rows = self._no_rows()
        self.to_top()

    def to_top(self) -> None:
        """Follows the newest, as at the start."""
        self.selected = self._top = 0
        self.following, self._placed = True, False
        self._settle()

    def place(self, edge: int, step: Step[T]) -> None:
        """Goes to the newest row that is not above the cursor `edge`, of `step` or of what follows it.

        With nothing above it, that is to follow the newest.
        """
        if edge >= step.newest:
            self.rows.clear()
            self.rows.take_newest(step)
            self.to_top()
            return
        self.rows.begin_at(edge, step.newest)
        self.rows.take_older(step, edge + 1)
        self.following, self._placed = False, True
        self._edge = edge
        self.rows_changed()

    def rows_changed(self) -> None:
        """Finds the selected row again after the rows changed, and lets go of rows that are far away."""
        if self.following:
            self.selected = self._top = 0
        elif self._placed:
            # Until somebody moves: the row may still come, and those around it.
            self.selected = self.rows.find_cursor(self._edge)
            self._top = self.selected - self.room // 3
        else:
            found = self.rows.find(self._anchor)
            found = self.rows.find_cursor(self._edge) if found is None else found
            # At the very top new rows come into sight; elsewhere the sight stays on what it shows.
            self._top += found - self.selected if self._top or not self._was_newest else 0
            self.selected = found
        # What a tall list asks for is kept, or it would ask again.
        most = max(held.FOLLOWING_MOST if self.following else held.MOST, 4 * self.room + 2)
        gone = self.rows.cut(self._top, most)
        self.selected -= gone
        self._top -= gone
        self._was_newest = self.rows.newest
        self._settle()

    def action_newest(self) -> None:
        """Goes to the newest row and follows it; if that is not held, when it has been read."""
        if self.rows.newest:
            self.action_move(-_FAR)
            return
        self.following, self._placed = True, False
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Moves the selection by rows; to reach the newest is to follow it."""
        self._placed = False
        self.selected = max(0, min(self.selected + by, len(self.rows) - 1))
        self.following = self.selected == 0 and self.rows.newest
        self._settle()
        self.post_message(self.Moved())

    def action_page(self, by: int) -> None:
        """Moves the selection by a screenful."""
        self._top = max(0, self._top + by * self.room)
        self.action_move(by * self.room)

    def action_open(self) -> None:
        """Asks for the selected row as a whole."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def on_click(self, event: events.Click) -> None:
        """A click selects, a second one opens."""
        index = self._top + event.y - 1
        if event.y < 1 or index >= len(self.rows):
            return
        again = index == self.selected
        self.action_move(index - self.selected)
        if again:
            self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the selection."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the selection."""
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        """More room shows more rows, and may want further ones."""
        if self._placed:
            self._top = self.selected - self.room // 3
        self._settle()
        self.post_message(self.Moved())

    def _no_rows(self) -> Rows[T]:
        return Rows(self._source.cursor, self._source.key)

    def _settle(self) -> None:
        self.selected = max(0, min(self.selected, len(self.rows) - 1))
        highest = max(0, len(self.rows) - self.room)
        self._top = max(0, min(self._top, self.selected, highest))
        self._top = max(self._top, self.selected - self.room + 1)
        if not self._placed:
            self._anchor = self.rows.key_at(self.selected)
            self._edge = self.rows.cursor_at(self.selected) or 0
        self._redraw()

    def _redraw(self) -> None:
        if self.size.width:
            self.draw(self._made())

    def _made(self) -> Sequence[Line]:
        lines = [self.title_line()]
        for index, row in enumerate(self.rows.items[self._top : self._top + self.room], self._top):
            lines.append(self.row_line(row, self._view, selected=index == self.selected))
        if len(lines) <= self.room:
            lines.append(line(Piece(f"  {self._says()}", "quiet")))
        return lines

    def _says(self) -> str:
        """What stands below the last row."""
        if self.rows.top is None:
            return "" if self._view.trouble else "reading …"
        if not self.rows.complete:
            return "… loading older ones" if len(self.rows) else "… looking"
        return "" if len(self.rows) else self.nothing
