"""The one question: stop the service, or only close the screen?"""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.screens.lower import LowerScreen

_CHOICES: Final = (
    (
        "s",
        "stop the service",
        "ctrl+c does so too; until it runs again nobody answers the provider, which then sends its reports later",
    ),
    ("d", "close the screen only", "the service runs on in this terminal, without a prompt; see `hooklab attach`"),
    ("esc", "go back", ""),
)


def question_lines(width: int, height: int) -> list[Line]:
    """The question, and each key with what it means, as far as there is room."""
    question = [
        line(Piece(f"  {text}", "strong")) for text in wrap("This window runs the service. Leave how?", width - 4)
    ]
    lines = [EMPTY, *question]
    for key, does, means in _CHOICES:
        lines.append(line(Piece(f"  {key:<4}", "accent"), does))
        lines += [line(Piece(f"      {text}", "quiet")) for text in wrap(means, width - 8) if means]
    if len(lines) < height:
        return [*lines, EMPTY]
    return [*question, *(line(Piece(f"  {key:<4}", "accent"), does) for key, does, _ in _CHOICES)]


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
        return question_lines(width, self.app.size.height)
