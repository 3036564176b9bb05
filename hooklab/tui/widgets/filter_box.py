"""Where a filter is typed: one line, and below it what the words are or what is wrong with them."""

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
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


def hint_line(trouble: str, note: str, width: int) -> Line:
    """Examples of filter words, or what is wrong with those that were typed, or to be known of them."""
    if trouble or note:
        return line(*squeeze([Piece(f" {clean(trouble or note, 400)}", "warn" if trouble else "quiet")], width))
    pieces: list[Piece] = []
    for word in _WORDS:
        grown = [*pieces, Piece("   " if pieces else " "), Piece(word, "quiet")]
        if width_of(grown) >= width:
            break
        pieces = grown
    return line(*pieces)


class _Text(Input):
    """An input that lets go of the keys at once: those typed right behind Enter are not text any more."""

    class Left(Message):
        """Enter or Esc."""

        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self, name: str) -> None:
        super().__init__(id=f"{name}-text", compact=True, max_length=_LONGEST, select_on_focus=False)
        self.cursor_blink = False  # a blink is a write to the terminal
        self.taking = False

    async def _on_key(self, event: events.Key) -> None:
        """Not by bindings: those run at the app, which may have sent the next keys here already."""
        if self.taking and event.key not in {"enter", "escape"}:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        if self.taking:
            self.taking = False
            self.screen.set_focus(None)
            self.post_message(self.Left(keep=event.key == "enter"))
        else:
            self.app.post_message(events.Key(event.key, event.character))


class LineBox(Vertical):
    """One line to type in, hidden until it is opened. It says what was typed; what that means is the screen's."""

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

    def __init__(self, name: str, mark: str) -> None:
        """Takes a name for its parts, and the mark before the text in three cells."""
        super().__init__(id=name, classes="box")
        self._mark = mark
        self._input = _Text(name)
        self._hint = Lines(id=f"{name}-hint")
        self._trouble = ""
        self.note = ""

    def hint(self, trouble: str, width: int) -> Line:
        """Examples of what can be typed, or what is wrong with what was."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The mark, the text, the hint."""
        with Horizontal(id=f"{self.id}-line", classes="box-line"):
            mark = Lines(id=f"{self.id}-mark")
            mark.shown = [line(Piece(self._mark, "accent"))]
            yield mark.add_class("box-mark")
            yield self._input
        yield self._hint.add_class("box-hint")

    def open(self, text: str) -> None:
        """Shows the box with `text` to change."""
        self._input.value = text
        self._input.cursor_position = len(text)
        self.display = True
        self.say("")
        self.take_on()

    def take_on(self) -> None:
        """Takes keys as text, from this very moment on."""
        self._input.taking = True
        self.screen.set_focus(self._input)

    @property
    def text(self) -> str:
        """What was typed."""
        return self._input.value

    @property
    def wrong(self) -> bool:
        """Whether something is wrong with the text."""
        return bool(self._trouble)

    def say(self, trouble: str, note: str = "") -> None:
        """What is wrong with the text, or to be known of it, or nothing."""
        self._trouble, self.note = trouble, note
        self._hint.draw([self.hint(trouble, self.size.width)])

    def on_resize(self) -> None:
        """Another width holds more."""
        self.say(self._trouble, self.note)

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is pasted may hold anything."""
        event.stop()
        safe = clean(event.value, _LONGEST)
        if safe != event.value:
            self._input.value = safe
        elif self.display:
            self.post_message(self.Typed(safe))

    @on(_Text.Left)
    def _left(self, event: _Text.Left) -> None:
        """Enter keeps it, Esc takes it back."""
        event.stop()
        self.post_message(self.Closed(keep=event.keep))


class FilterBox(LineBox):
    """A slash, the words, the hint."""

    class Typed(LineBox.Typed):
        """The words are others; not yet accepted."""

    class Closed(LineBox.Closed):
        """Enter or Esc: whether the words are to stay in force."""

    def __init__(self) -> None:
        super().__init__("filter", " / ")

    def hint(self, trouble: str, width: int) -> Line:
        """See `LineBox.hint`."""
        return hint_line(trouble, self.note, width)
