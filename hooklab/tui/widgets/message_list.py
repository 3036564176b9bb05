"""The list of messages, newest activity first: a window on rows, drawn line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from hooklab.store.base import MessageRow
from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, fit, foreign, line
from hooklab.tui.format import STATE_WIDTH, needs_a_look, number, phone, short_time, stamp, state_piece
from hooklab.tui.rows import Rows
from hooklab.tui.view import View
from hooklab.tui.widgets.lines import Lines

_FAR: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Columns:
    """How many cells each column has; 0 leaves it out."""

    time: int
    number: int
    state: int
    flags: int
    why: int
    segments: int
    arrivals: int
    custom: int
    message: int


def columns_for(width: int, *, revealed: bool) -> Columns:
    """The columns that `width` has room for."""
    tiny, wide, vast = width < 66, width >= 110, width >= 170
    time, phone_cells = (15 if wide else 8), (16 if revealed else 12)
    state, flags = (1 if tiny else STATE_WIDTH), (26 if vast else 1)
    segments, arrivals = (3 if wide else 0), (0 if tiny else 8 if wide else 4)
    message = 36 if vast else 0
    gaps = 2 * sum(1 for cells in (segments, arrivals, message) if cells)
    rest = max(width - (2 + time + 2 + phone_cells + 2 + state + 1 + flags + 2 + 1) - gaps, 0)
    rest -= segments + arrivals + message
    custom = max(rest - 2 - max(30, rest * 3 // 5), 0) if wide else 0
    why = max(rest - (custom + 2 if custom else 0), 0)
    return Columns(time, phone_cells, state, flags, why, segments, arrivals, custom, message)


def title_line(columns: Columns) -> Line:
    """What the columns are called."""
    c = columns
    names = [(c.time, "time", False), (c.number, "number", False)]
    names += [(c.state + 1 + c.flags, "state" if c.state > 1 else "", False), (c.why, "why", False)]
    names += [(c.segments, "seg", True), (c.arrivals, "arrivals" if c.arrivals >= 8 else "came", True)]
    names += [(c.custom, "custom", False), (c.message, "message", False)]
    cells = [fit(name, width, right=right) for width, name, right in names if width]
    return line(Piece("  " + "  ".join(cells), "quiet"))


def row_line(row: MessageRow, columns: Columns, view: View, *, selected: bool) -> Line:
    """One message."""
    c = columns
    when = stamp(row.last_received_at)[: c.time] if c.time > 8 else short_time(row.last_received_at, view.now)
    state = state_piece(row.state)
    pieces = [
        Piece("▸ " if selected else "  ", "accent"),
        Piece(fit(when, c.time), "quiet"),
        Piece("  " + fit(phone(row.msisdn, revealed=view.revealed), c.number)),
        Piece("  " + (state.text[:1] if c.state == 1 else fit(state.text, c.state)), state.role),
        Piece(" " + fit(_flags(row, c.flags), c.flags), "warn" if needs_a_look(row) else "quiet"),
        Piece("  " + foreign(row.description, c.why) if c.why else ""),
    ]
    if c.segments:
        segments = "" if row.total_segments is None else number(row.total_segments, c.segments)
        pieces.append(Piece("  " + fit(segments, c.segments, right=True), "quiet"))
    if c.arrivals:
        again = "↻" if "repeated" in row.flags else " "
        pieces.append(Piece(f"  {number(row.arrivals, c.arrivals - 1)}{again}", "quiet"))
    if c.custom:
        pieces.append(Piece("  " + foreign(row.custom_payload, c.custom), "quiet"))
    if c.message:
        pieces.append(Piece("  " + foreign(row.message_id, c.message), "quiet"))
    return line(*pieces, selected=selected)


def _flags(row: MessageRow, width: int) -> str:
    mark = "⚑" if needs_a_look(row) else ""
    if width < 4:
        return mark
    words = " ".join(flag for flag in row.flags if flag != "repeated")
    return clean(f"{mark} {words}" if mark else f"  {words}" if words else "", 80)


class MessageList(Lines, can_focus=True):
    """Keeps its selection on the same message; at the very top it follows the newest instead.

    Attributes:
        rows: what is loaded.
        selected: the index of the selected row.
        following: whether the selection is at the top because somebody wants it there.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "page(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("g,home", f"move({-_FAR})", show=False),
        Binding("G,end", f"move({_FAR})", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Somebody wants to see a message whole."""

        def __init__(self, message_id: str) -> None:
            super().__init__()
            self.message_id = message_id

    class Moved(Message):
        """The selection moved; further rows may be wanted."""

    def __init__(self) -> None:
        super().__init__(id="messages")
        self.rows = Rows()
        self.selected = 0
        self.following = True
        self._top = 0
        self._anchor: str | None = None
        self._view = View()

    @property
    def room(self) -> int:
        """How many rows fit below the titles."""
        return max(self.size.height - 1, 1)

    @property
    def wants_more(self) -> bool:
        """Whether the end of what is loaded is near."""
        near = max(self.selected, self._top + self.room) + self.room >= len(self.rows)
        return near and len(self.rows) > 0 and not self.rows.complete and not self.rows.full

    def show(self, view: View) -> None:
        """Draws what changed in the view."""
        self._view = view
        self._redraw()

    def rows_changed(self) -> None:
        """Finds the selected message again after the rows changed."""
        if self.following:
            self.selected = self._top = 0
        else:
            found = self.rows.find(self._anchor)
            if found is not None:
                # At the upper edge new rows come into sight; further down the window stays on what it shows.
                self._top += found - self.selected if self._top else 0
                self.selected = found
        self._settle()

    def action_move(self, by: int) -> None:
        """Moves the selection by rows; to reach the top is to follow the newest."""
        self.selected = max(0, min(self.selected + by, len(self.rows) - 1))
        self.following = self.selected == 0
        self._settle()
        self.post_message(self.Moved())

    def action_page(self, by: int) -> None:
        """Moves the selection by a screenful."""
        self._top = max(0, self._top + by * self.room)
        self.action_move(by * self.room)

    def action_open(self) -> None:
        """Asks for the selected message's timeline."""
        if self.selected < len(self.rows):
            self.post_message(self.Opened(self.rows.items[self.selected].message_id))

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
        self._settle()
        self.post_message(self.Moved())

    def _settle(self) -> None:
        self.selected = max(0, min(self.selected, len(self.rows) - 1))
        highest = max(0, len(self.rows) - self.room)
        self._top = max(0, min(self._top, self.selected, highest))
        self._top = max(self._top, self.selected - self.room + 1)
        self._anchor = self.rows.items[self.selected].message_id if len(self.rows) else None
        self._redraw()

    def _redraw(self) -> None:
        if self.size.width:
            self.draw(self._made())

    def _made(self) -> Sequence[Line]:
        columns = columns_for(self.size.width, revealed=self._view.revealed)
        lines = [title_line(columns)]
        for index, row in enumerate(self.rows.items[self._top : self._top + self.room], self._top):
            lines.append(row_line(row, columns, self._view, selected=index == self.selected))
        if len(lines) <= self.room and not self.rows.complete:
            says = "… loading older messages" if len(self.rows) else "" if self._view.trouble else "reading …"
            lines.append(line(Piece(f"  {says}", "quiet")))
        return lines
