"""What could not be understood, newest first."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from hooklab.store.base import QuarantineRow
from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.sources import Quarantined
from hooklab.tui.targets import ToQuarantined
from hooklab.tui.widgets.quarantine_list import QuarantineList
from hooklab.tui.widgets.row_list import RowList


class QuarantineScreen(ListScreen[QuarantineRow]):
    """The list of what is in quarantine, live."""

    subject = "the quarantine"
    hints = (
        ("q", "quit"),
        ("?", "help"),
        ("enter", "open"),
        ("space", "pause"),
        ("R", "retry"),
        ("t", "time"),
        ("y", "copy id"),
        ("g", "newest"),
        ("1", "messages"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.go('messages')", show=False),
        Binding("R", "app.retry", show=False),
    ]

    def __init__(self) -> None:
        source = Quarantined()
        super().__init__("quarantine", source, QuarantineList(source))
        self.list.nothing = "Nothing is in quarantine: all that came was understood."

    def when(self, row: QuarantineRow) -> int | None:
        """See `ListScreen.when`."""
        return row.received_at

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Enter opens it."""
        self.monitor_app.follow(ToQuarantined(event.row.id))

    def copyable(self) -> tuple[str, str] | None:
        """The id of the selected row."""
        chosen = self.list.chosen
        return None if chosen is None else ("its id", str(chosen.id))
