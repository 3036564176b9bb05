"""One thing in quarantine: why, where from, and its bytes."""

from hooklab.monitor import Monitor
from hooklab.store.base import QuarantineDetail
from hooklab.tui.cells import Line
from hooklab.tui.quarantined import quarantined_lines
from hooklab.tui.screens.detail import BodyScreen
from hooklab.tui.view import View


class QuarantinedScreen(BodyScreen[QuarantineDetail]):
    """One element or body that could not be understood."""

    subject = "the quarantine"
    gone = "This is not in quarantine (any more)."
    hints = (("y", "copy id"),)

    def __init__(self, row_id: int) -> None:
        super().__init__()
        self._row_id = row_id

    async def read(self, monitor: Monitor) -> QuarantineDetail | None:
        """See `DetailScreen.read`."""
        return await monitor.quarantined(self._row_id)

    def lines(self, detail: QuarantineDetail, width: int, view: View) -> list[Line]:
        """See `DetailScreen.lines`."""
        return quarantined_lines(detail, width, raw=self.raw, revealed=view.revealed)

    def copyable(self) -> tuple[str, str] | None:
        """Its id."""
        return "its id", str(self._row_id)
