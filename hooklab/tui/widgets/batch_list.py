"""The list of batches: its columns and rows."""

from dataclasses import dataclass
from typing import Final

from hooklab.store.base import BatchRow
from hooklab.tui.batch import became_in_short
from hooklab.tui.cells import Line, Piece, fit, fitted, foreign, line
from hooklab.tui.format import bytes_of, short_time, stamp
from hooklab.tui.view import View
from hooklab.tui.widgets.row_list import RowList

_BECAME: Final = 52
"""Cells at most of what became of a batch: more would only be a gap."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How many cells each column has; 0 leaves it out."""

    time: int
    batch: int
    elements: int
    became: int
    size: int
    label: int
    peer: int


def columns_for(width: int) -> Columns:
    """The columns that `width` has room for."""
    tiny, wide = width < 66, width >= 110
    time, batch, elements = (15 if wide else 8), 9, (8 if wide else 0)
    size, label, peer = (8 if wide else 0), (0 if tiny else 13), (15 if wide else 0)
    taken = 2 + sum(cells + 2 for cells in (time, batch, elements, size, label, peer) if cells)
    return Columns(time, batch, elements, min(max(width - taken - 1, 0), _BECAME), size, label, peer)


class BatchList(RowList[BatchRow]):
    """Batches, newest first."""

    def title_line(self) -> Line:
        """See `RowList.title_line`."""
        c = columns_for(self.size.width)
        names = [(c.time, "time", False), (c.batch, "batch", True), (c.elements, "elements", True)]
        names += [(c.became, "became", False), (c.size, "size", True), (c.label, "label", False)]
        names += [(c.peer, "peer", False)]
        cells = [fit(name, width, right=right) for width, name, right in names if width]
        return line(Piece("  " + "  ".join(cells), "quiet"))

    def row_line(self, row: BatchRow, view: View, *, selected: bool) -> Line:
        """See `RowList.row_line`."""
        c = columns_for(self.size.width)
        when = stamp(row.received_at)[: c.time] if c.time > 8 else short_time(row.received_at, view.now)
        pieces = [
            Piece("▸ " if selected else "  ", "accent"),
            Piece(fit(when, c.time), "quiet"),
            Piece("  " + fit(f"{row.batch:,}", c.batch, right=True)),
        ]
        if c.elements:
            pieces.append(Piece("  " + fit(f"{row.elements:,}", c.elements, right=True)))
        pieces += [Piece("  "), *fitted(became_in_short(row), c.became)]
        if c.size:
            pieces.append(Piece("  " + fit(bytes_of(row.bytes), c.size, right=True), "quiet"))
        if c.label:
            pieces.append(Piece("  " + foreign(row.label, c.label), "quiet"))
        if c.peer:
            pieces.append(Piece("  " + foreign(row.peer, c.peer), "quiet"))
        return line(*pieces, selected=selected)
