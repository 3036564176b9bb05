"""Every POST as it came, newest first."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from hooklab.store.base import BatchRow
from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.sources import Batches
from hooklab.tui.targets import ToBatch
from hooklab.tui.widgets.batch_list import BatchList
from hooklab.tui.widgets.row_list import RowList


class BatchesScreen(ListScreen[BatchRow]):
    """The list of batches, live."""

    subject = "the batches"
    hints = (
        ("q", "quit"),
        ("?", "help"),
        ("enter", "open"),
        ("space", "pause"),
        ("t", "time"),
        ("y", "copy number"),
        ("g", "newest"),
        ("1", "messages"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.go('messages')", show=False)]

    def __init__(self) -> None:
        source = Batches()
        super().__init__("batches", source, BatchList(source))
        self.list.nothing = "No batch came yet."

    def when(self, row: BatchRow) -> int | None:
        """See `ListScreen.when`."""
        return row.received_at

    def total(self) -> int:
        """See `ListScreen.total`."""
        return max(self._view.counters.batches, len(self.list.rows))

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Enter on a batch opens it."""
        self.monitor_app.follow(ToBatch(event.row.batch))

    def copyable(self) -> tuple[str, str] | None:
        """The number of the selected batch."""
        chosen = self.list.chosen
        return None if chosen is None else ("the batch's number", str(chosen.batch))
