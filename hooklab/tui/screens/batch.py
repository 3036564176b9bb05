"""One POST: how it came, what each element became, its body."""

from hooklab.monitor import Monitor
from hooklab.store.base import BatchDetail
from hooklab.tui.batch import batch_lines
from hooklab.tui.cells import Line
from hooklab.tui.screens.detail import BodyScreen
from hooklab.tui.view import View


class BatchScreen(BodyScreen[BatchDetail]):
    """One batch. It never changes, so it is read until it is there and then no more."""

    subject = "the batch"
    gone = "This batch is not in the store (yet, or any more)."
    hints = (("y", "copy number"),)

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    async def read(self, monitor: Monitor) -> BatchDetail | None:
        """See `DetailScreen.read`."""
        return self.detail or await monitor.batch(self._number)

    def lines(self, detail: BatchDetail, width: int, view: View) -> list[Line]:
        """See `DetailScreen.lines`."""
        return batch_lines(detail, width, raw=self.raw, revealed=view.revealed)

    def fact(self) -> str:
        """See `DetailScreen.fact`."""
        return ""

    def copyable(self) -> tuple[str, str] | None:
        """Its number."""
        return "the batch's number", str(self._number)
