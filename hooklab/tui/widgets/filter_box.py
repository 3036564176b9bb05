"""Where a filter is typed: one line, and below it what the words are or what is wrong with them."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, line, squeeze, width_of
from hooklab.tui.widgets.lines import Lines

_WORDS = (
    "state:pending",
    "state:not_delivered",
    "is:stuck",
    "is:conflict",
    "since:1h",
    "to:3519",
    "desc:absent",
    "custom:4711",
    "or the end of a number",
)
_LONGEST = 400


def hint_line(trouble: str, width: int) -> Line:
    """Examples of filter words, or what is wrong with those that were typed."""
    if trouble:
        return line(*squeeze([Piece(f" {clean(trouble, 400)}", "warn")], width))
    pieces: list[Piece] = []
    for word in _WORDS:
        grown = [*pieces, Piece("   " if pieces else " "), Piece(word, "quiet")]
        if width_of(grown) >= width:
            break
        pieces = grown
    return line(*pieces)


class FilterBox(Vertical):
    """Hidden until it is opened. It says what was typed; what that means is the screen's."""

    class Typed(Message):
        """The text is another; not yet accepted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """Enter or Esc: whether the text is to stay in force."""

        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self) -> None:
        super().__init__(id="filter")
        self._input = Input(id="filter-text", compact=True, max_length=_LONGEST, select_on_focus=False)
        self._input.cursor_blink = False  # a blink is a write to the terminal
        self._hint = Lines(id="filter-hint")
        self._trouble = ""

    def compose(self) -> ComposeResult:
        """A slash, the text, the hint."""
        with Horizontal(id="filter-line"):
            mark = Lines(id="filter-mark")
            mark.shown = [line(Piece(" / ", "accent"))]
            yield mark
            yield self._input
        yield self._hint

    def open(self, text: str) -> None:
        """Shows the box with `text` to change."""
        self._input.value = text
        self._input.cursor_position = len(text)
        self.display = True
        self._input.focus()
        self.say("")

    def say(self, trouble: str) -> None:
        """What is wrong with the text, or nothing."""
        self._trouble = trouble
        self._hint.draw([hint_line(trouble, self.size.width)])

    def on_resize(self) -> None:
        """Another width holds more."""
        self.say(self._trouble)

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is pasted may hold anything."""
        event.stop()
        safe = clean(event.value, _LONGEST)
        if safe != event.value:
            self._input.value = safe
        elif self.display:
            self.post_message(self.Typed(safe))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps it."""
        event.stop()
        self.post_message(self.Closed(keep=True))

    def on_key(self, event: Key) -> None:
        """Esc takes it back."""
        if event.key == "escape":
            event.stop()
            self.post_message(self.Closed(keep=False))
