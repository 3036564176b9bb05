"""The quarantine once more through today's rules, and what came of it."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from hooklab.healing import Retried
from hooklab.monitor import Monitor, MonitorError
from hooklab.text import clean
from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.screens.lower import LowerScreen

_RUNNING = "Everything in quarantine is judged once more, by the rules of this version. It goes on if you go back."
_NO_SERVICE = "No service runs on this data folder; without one, `hooklab quarantine retry` does it."


def outcome(done: Retried | None) -> tuple[str, str]:
    """A title and a sentence about what was done; None is said where no service runs."""
    if done is None:
        return "Not retried", _NO_SERVICE
    if not done.tried:
        return "Nothing to retry", "Nothing is in quarantine."
    if not done.healed:
        return f"{done.tried:,} retried", "None is understood by this version either; all stay as they are."
    stay = f"; {done.left:,} stay in quarantine" if done.left else ""
    return f"{done.tried:,} retried", f"{done.healed:,} understood now, and counted where they belong{stay}."


class RetryScreen(LowerScreen[None]):
    """Begins when it opens, and says what came of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss(None)", show=False)]

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self._monitor = monitor
        self._said = "Retrying the quarantine", _RUNNING

    def on_mount(self) -> None:
        """Has it done."""
        # Of the app, since it is to be seen to its end though the screen is left.
        self.app.run_worker(self._retry(), exit_on_error=False)

    async def _retry(self) -> None:
        try:
            self._said = outcome(await self._monitor.retry_quarantine())
        except MonitorError as error:
            self._said = "Not retried", clean(str(error), 400)
        if self.is_current:
            self.redraw()

    def lines(self, width: int) -> list[Line]:
        """See `LowerScreen.lines`."""
        title, sentence = self._said
        lines = [EMPTY, line(Piece(f"  {title}", "strong"))]
        lines += [line(f"  {text}") for text in wrap(sentence, width - 4)]
        return [*lines, EMPTY, line(Piece("  esc", "accent"), Piece(" back", "quiet"))]
