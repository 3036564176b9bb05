"""The list of messages: its columns and rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

from hooklab.store.base import MessageRow
from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, cut, fit, foreign, line
from hooklab.tui.format import STATE_WIDTH, around, needs_a_look, number, phone, short_time, stamp, state_piece
from hooklab.tui.view import View
from hooklab.tui.widgets.row_list import RowList

_LONGEST_WHY: Final = 48
"""Cells that the reasons take at most where there is something else to show."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How many cells each column has; 0 leaves it out."""

    time: int
    number: int
    state: int
    why: int
    segments: int
    arrivals: int
    custom: int
    message: int


def columns_for(width: int, *, revealed: bool) -> Columns:
    """The columns that `width` has room for."""
    tiny, roomy, wide, vast = width < 66, width >= 96, width >= 110, width >= 170
    time, phone_cells = (15 if wide else 8), (16 if revealed else 12)
    state = 1 if tiny else STATE_WIDTH
    segments, arrivals = (3 if roomy else 0), (0 if tiny else 8 if wide else 4)
    message = 36 if vast else 0
    gaps = 2 * sum(1 for cells in (segments, arrivals, message) if cells)
    rest = max(width - (2 + time + 2 + phone_cells + 2 + state + 1 + 1 + 2 + 1) - gaps, 0)
    rest -= segments + arrivals + message
    custom = max(rest - 2 - min(max(28, rest * 3 // 5), _LONGEST_WHY), 0) if roomy else 0
    why = max(rest - (custom + 2 if custom else 0), 0)
    return Columns(time, phone_cells, state, why, segments, arrivals, custom, message)


def title_line(columns: Columns) -> Line:
    """What the columns are called."""
    c = columns
    names = [(c.time, "time", False), (c.number, "number", False)]
    names += [(c.state + 2, "state" if c.state > 1 else "", False), (c.why, "why", False)]
    names += [(c.segments, "seg", True), (c.arrivals, "arrivals" if c.arrivals >= 8 else "came", True)]
    names += [(c.custom, "custom", False), (c.message, "message", False)]
    cells = [fit(name, width, right=right) for width, name, right in names if width]
    return line(Piece("  " + "  ".join(cells), "quiet"))


def row_line(row: MessageRow, columns: Columns, view: View, *, selected: bool, sought: Sequence[str] = ()) -> Line:
    """One message; of its payload what is `sought`, folded, is in sight."""
    c = columns
    when = stamp(row.last_received_at)[: c.time] if c.time > 8 else short_time(row.last_received_at, view.now)
    state = state_piece(row.state)
    pieces = [
        Piece("▸ " if selected else "  ", "accent"),
        Piece(fit(when, c.time), "quiet"),
        Piece("  " + fit(phone(row.msisdn, revealed=view.revealed), c.number)),
        Piece("  " + (state.text[:1] if c.state == 1 else fit(state.text, c.state)), state.role),
        Piece(" ⚑" if needs_a_look(row) else "  ", "warn"),
        *_why(row, c.why),
    ]
    if c.segments:
        segments = "" if row.total_segments is None else number(row.total_segments, c.segments)
        pieces.append(Piece("  " + fit(segments, c.segments, right=True), "quiet"))
    if c.arrivals:
        again = "↻" if "repeated" in row.flags else " "
        pieces.append(Piece(f"  {number(row.arrivals, c.arrivals - 1)}{again}", "quiet"))
    if c.custom:
        pieces.append(Piece("  " + fit(around(row.custom_payload, sought, c.custom), c.custom), "quiet"))
    if c.message:
        pieces.append(Piece("  " + foreign(row.message_id, c.message), "quiet"))
    return line(*pieces, selected=selected)


def _why(row: MessageRow, width: int) -> list[Piece]:
    """The description; where there is much room the flags in words at its end, so that they need no column."""
    words = " ".join(clean(flag, 20) for flag in row.flags if flag != "repeated") if width >= _LONGEST_WHY else ""
    words = cut(words, width // 2)
    room = width - cell_len(words) - (1 if words else 0)
    if room <= 0:
        return []
    said = Piece("  " + foreign(row.description, room))
    return [said, Piece(f" {words}", "warn" if needs_a_look(row) else "quiet")] if words else [said]


class MessageList(RowList[MessageRow]):
    """Messages with the newest activity first.

    Attributes:
        sought: what is looked for in custom payloads, casefolded.
    """

    sought: Sequence[str] = ()

    def title_line(self) -> Line:
        """See `RowList.title_line`."""
        return title_line(self._columns())

    def row_line(self, row: MessageRow, view: View, *, selected: bool) -> Line:
        """See `RowList.row_line`."""
        return row_line(row, self._columns(), view, selected=selected, sought=self.sought)

    def _columns(self) -> Columns:
        return columns_for(self.size.width, revealed=self._view.revealed)
