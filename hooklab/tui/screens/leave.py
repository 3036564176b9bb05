"""The one question: stop the service, or only close the screen?"""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.screens.lower import LowerScreen

_CHOICES: Final = (
    ("s", "stop the service", "until it runs again nobody answers the provider, which then sends its reports later"),
    (
        "d",
        "close the screen, let the service run",
        "in this terminal, without a prompt; `hooklab attach` shows it again",
    ),
    ("esc", "go back", ""),
)


def question_lines(width: int) -> list[Line]:
    """The question, and each key with what it means."""
    lines = [EMPTY, line(Piece("  This window runs the service. Leave how?", "strong"))]
    for key, does, means in _CHOICES:
        lines.append(line(Piece(f"  {key:<4}", "accent"), does))
        lines += [line(Piece(f"      {text}", "quiet")) for text in wrap(means, width - 8) if means]
    return [*lines, EMPTY]


class LeaveScreen(LowerScreen[str | None]):
    """Gives "stop", "detach", or None to go back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,S", "dismiss('stop')", show=False),
        Binding("d,D", "dismiss('detach')", show=False),
        Binding("escape,q,n", "dismiss(None)", show=False),
        Binding("ctrl+c", "dismiss('stop')", show=False, priority=True),
    ]

    def lines(self, width: int) -> list[Line]:
        """See `LowerScreen.lines`."""
        return question_lines(width)
