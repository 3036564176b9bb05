"""The list of what could not be understood: its columns and rows."""

from dataclasses import dataclass

from hooklab.store.base import QuarantineRow
from hooklab.tui.cells import Line, Piece, fit, foreign, line
from hooklab.tui.format import NOTHING, short_time, stamp
from hooklab.tui.view import View
from hooklab.tui.widgets.row_list import RowList


@dataclass(frozen=True, slots=True)
class Columns:
    """How many cells each column has; 0 leaves it out."""

    time: int
    batch: int
    element: int
    count: int
    reason: int


def columns_for(width: int) -> Columns:
    """The columns that `width` has room for."""
    tiny, wide = width < 66, width >= 110
    time, batch = (15 if wide else 8), (11 if wide else 9)
    element, count = (0 if tiny else 10), (6 if wide else 0)
    taken = 2 + sum(cells + 2 for cells in (time, batch, element, count) if cells)
    return Columns(time, batch, element, count, max(width - taken - 1, 0))


def what_it_is(row: QuarantineRow) -> str:
    """``element 3`` or ``whole body``."""
    return "whole body" if row.index is None else f"element {row.index:,}"


def quarantine_line(row: QuarantineRow, c: Columns, view: View, *, selected: bool) -> Line:
    """One thing in quarantine."""
    at = row.received_at
    when = NOTHING if at is None else stamp(at)[: c.time] if c.time > 8 else short_time(at, view.now)
    pieces = [
        Piece("▸ " if selected else "  ", "accent"),
        Piece(fit(when, c.time), "quiet"),
        Piece("  " + fit(f"{row.batch:,}", c.batch, right=True)),
    ]
    if c.element:
        pieces.append(Piece("  " + fit(what_it_is(row), c.element), "quiet"))
    if c.count:
        pieces.append(Piece("  " + fit(f"{row.count:,}", c.count, right=True), "quiet"))
    return line(*pieces, Piece("  " + foreign(row.reason, c.reason)), selected=selected)


class QuarantineList(RowList[QuarantineRow]):
    """What could not be understood, newest first."""

    def title_line(self) -> Line:
        """See `RowList.title_line`."""
        c = columns_for(self.size.width)
        names = [(c.time, "time", False), (c.batch, "batch", True), (c.element, "what", False)]
        names += [(c.count, "came", True), (c.reason, "why it was not understood", False)]
        cells = [fit(name, width, right=right) for width, name, right in names if width]
        return line(Piece("  " + "  ".join(cells), "quiet"))

    def row_line(self, row: QuarantineRow, view: View, *, selected: bool) -> Line:
        """See `RowList.row_line`."""
        return quarantine_line(row, columns_for(self.size.width), view, selected=selected)
