"""The keys, the marks and the words."""

from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.filters import WORDS
from hooklab.tui.cells import EMPTY, Line, Piece, fit, line, wrap
from hooklab.tui.keymap import KEYMAP
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.widgets.keys import Keys
from hooklab.tui.widgets.scroll_lines import ScrollLines

_MARKS: Final = (
    ("✔", "good", "delivered: the final report says so"),
    ("✖", "bad", "not_delivered: the final report says so, and why"),
    ("…", "wait", "pending: no final report yet"),
    ("↻", "quiet", "a report came more than once; it counts once"),
    ("⚑", "warn", "needs a look: stuck, conflict, or a label that names another state"),
    ("●", "good", "well: reports are taken and safe on disk"),
    ("▲", "warn", "something is wrong; the line below says what"),
    ("○", "quiet", "no service runs on this data folder"),
)
_WORDS: Final = (
    ("batch", "one HTTP POST of the provider"),
    ("report", "one element of a batch: one status of one message"),
    ("message", "one SMS, known by its MessageId"),
    ("repeats", "arrivals of a report that was known; a retry of a batch, or a duplicate"),
    ("late", "a PENDING that came in a later batch than the final; changes nothing"),
    ("stuck", "pending, and nothing new for longer than stuck_after (24 h unless set)"),
    ("conflicts", "messages with both kinds of final; the later reported time decides"),
    ("quarantined", "received, but not understood; kept whole (4)"),
    ("refused", "requests that were not answered 200 since the service started"),
    ("lag", "batches on disk that are not in these figures yet"),
    ("p50 p99", "half, 99 of 100 answers of the last minutes were given within this time"),
    ("seg, came", "segments of the SMS; arrivals of its reports, repeats included"),
)


def help_lines(width: int) -> list[Line]:
    """The whole help in lines."""
    lines: list[Line] = []
    for title, rows in (
        ("keys", [(key.shown, "accent", key.does) for key in KEYMAP]),
        ("filter words", [(word, "accent", means) for word, means in WORDS]),
        ("marks", list(_MARKS)),
        ("words", [(word, "strong", means) for word, means in _WORDS]),
    ):
        lines += [line(Piece(f"  {title}", "accent")), *_rows(rows, width), EMPTY]
    lines.append(line(Piece("  times are UTC", "quiet")))
    return lines


def _rows(rows: list[tuple[str, str, str]], width: int) -> list[Line]:
    made = []
    for name, role, means in rows:
        first, *more = wrap(means, width - 19)
        made.append(line("    ", Piece(fit(name, 13), role), " ", first))
        made += [line(" " * 18, text) for text in more]
    return made


class HelpScreen(OneSize[None]):
    """Help, scrolled like everything else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,question_mark,q", "app.back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        # Held, not looked up: whoever goes back at once ends this before they are in the tree.
        self._body = ScrollLines(id="help")
        self._keys = Keys((("esc", "back"), ("j k", "scroll")))

    def compose(self) -> ComposeResult:
        """One text and the way back."""
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Keys scroll the text."""
        self._body.focus()

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wraps elsewhere, once the layout is done."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        self._body.show(help_lines(self._body.size.width))
        self._keys.show("help")
