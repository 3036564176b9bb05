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


class Retry:
    """One retry, which goes on though nobody looks.

    Attributes:
        said: a title and a sentence about how it stands.
        over: whether it has ended.
    """

    def __init__(self) -> None:
        self.said = "Retrying the quarantine", _RUNNING
        self.over = False

    async def run(self, monitor: Monitor) -> None:
        """Has it done."""
        try:
            self.said = outcome(await monitor.retry_quarantine())
        except MonitorError as error:
            self.said = "Not retried", clean(str(error), 400)
        except Exception as error:
            # This window may run the service: a fault here is shown, it never ends the process.
            self.said = "Not retried", f"{type(error).__name__}: {clean(str(error), 400)}"
        finally:
            self.over = True


class RetryScreen(LowerScreen[None]):
    """Says how a retry stands, and what came of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss(None)", show=False)]

    def __init__(self, retry: Retry) -> None:
        super().__init__()
        self._retry = retry

    def lines(self, width: int) -> list[Line]:
        """See `LowerScreen.lines`."""
        title, sentence = self._retry.said
        lines = [EMPTY, line(Piece(f"  {title}", "strong"))]
        lines += [line(f"  {text}") for text in wrap(sentence, width - 4)]
        return [*lines, EMPTY, line(Piece("  esc", "accent"), Piece(" back", "quiet"))]
