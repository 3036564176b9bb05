"""Where the messages of the filter in force are written to a file."""

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input
from textual.worker import Worker

from hooklab.export.file import ExportError, ExportExistsError, check_place, place_of, proposed
from hooklab.export.job import Wish, write_file
from hooklab.export.lines import Format
from hooklab.monitor import Monitor, MonitorError
from hooklab.store.base import Condition
from hooklab.text import clean
from hooklab.times import SECOND
from hooklab.tui.cells import EMPTY, Line, Piece, cut, line, wrap
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.widgets.keys import Hint, hint_pieces
from hooklab.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from hooklab.tui.app import MonitorApp

FORMATS: Final[dict[Format, str]] = {"csv": "CSV, for spreadsheets", "jsonl": "JSON Lines, exact"}
_LONGEST: Final = 1_000
_SHOWN: Final = 0.25
"""Seconds between two counts on the screen."""
_ROOMY: Final = 16
"""Below this height the dialog is as short as it can be."""
_ASKING: Final[tuple[Hint, ...]] = (("enter", "export"), ("esc", "back"))
_RUNNING: Final[tuple[Hint, ...]] = (("esc", "cancel, and leave nothing"),)
_DONE: Final[tuple[Hint, ...]] = (("y", "copy the path"), ("esc", "back"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported.

    Attributes:
        where: the filter in force.
        words: as it was typed.
        total: how many messages there are; None where that is not known.
        masked: whether phone numbers are masked on the screen, and so in the file.
        now: microseconds UTC.
    """

    where: Condition
    words: str
    total: int | None
    masked: bool
    now: int

    @property
    def numbers(self) -> str:
        """How phone numbers are written."""
        return "phone numbers masked" if self.masked else "phone numbers whole"


def asking_lines(wanted: Wanted, form: Format, width: int) -> list[Line]:
    """What is exported, and as what; the last line is that of the formats."""
    count = "the messages" if wanted.total is None else _messages(wanted.total)
    what = f"Export {count} that match " if wanted.words else f"Export all {count}"
    words = [Piece(cut(clean(wanted.words, 400), width - len(what) - 4), "accent")] if wanted.words else []
    numbers = wrap(f"{wanted.numbers}, as on the screen: to change that go back (esc) and press m", width - 4)
    formats: list[Piece] = []
    for one, means in FORMATS.items():
        chosen = one == form
        name = means if width >= 66 else means.partition(",")[0]
        formats += [Piece("▸ " if chosen else "  ", "accent"), Piece(f"{name}   ", "strong" if chosen else "quiet")]
    return [
        line(Piece(f"  {what}", "strong"), *words),
        *(line(Piece(f"  {text}", "quiet")) for text in numbers),
        EMPTY,
        line(Piece("  format  ", "quiet"), *formats, Piece("tab", "accent")),
    ]


def running_lines(count: int, wanted: Wanted, path: Path, width: int) -> list[Line]:
    """How far it is."""
    of = "" if wanted.total is None or count > wanted.total else f" of {wanted.total:,}"
    said = line(Piece("  Exporting … ", "strong"), f"{count:,}{of}")
    return [said, *(line(Piece(f"  {text}", "quiet")) for text in wrap(f"to {_shown(path)}", width - 4))]


def done_lines(count: int, wanted: Wanted, path: Path, width: int) -> list[Line]:
    """Where it is, at the very left, so that a selection of whole lines takes nothing else with it."""
    verb = "is" if count == 1 else "are"
    return [
        line(Piece("  ✔ ", "good"), Piece(f"{_messages(count)}, {wanted.numbers}, {verb} in", "strong")),
        *(line(text) for text in wrap(_shown(path), width)),
    ]


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def _shown(path: Path) -> str:
    return clean(os.fsencode(path).decode(errors="replace"), 4_000)


def _here() -> Path:
    """The current folder; the home folder where that was taken away."""
    try:
        return Path.cwd()
    except OSError:
        return Path.home()


class ExportScreen(ModalScreen[None], OneSize[None]):
    """A few lines at the lower edge that ask, count, and say where it is; what is above stays in sight and alive.

    Attributes:
        phase: "asking", "running" or "done".
        form: the format.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority: the line that is typed in has meanings of its own for these.
        Binding("tab,shift+tab", "format", show=False, priority=True),
        Binding("enter", "go", show=False, priority=True),
        Binding("escape,ctrl+c,ctrl+q", "back", show=False, priority=True),
        Binding("y", "copy", show=False),
        Binding("q", "back", show=False),
    ]

    def __init__(self, monitor: Monitor, wanted: Wanted) -> None:
        super().__init__()
        self.phase = "asking"
        self.form: Format = "csv"
        self._monitor = monitor
        self._wanted = wanted
        self._folder = _here()
        self._above, self._below = Lines(id="export-above"), Lines(id="export-below")
        self._input = Input(self._proposal(), id="export-name", compact=True, max_length=_LONGEST)
        self._input.select_on_focus = False
        self._input.cursor_blink = False  # a blink is a write to the terminal
        self._box = Horizontal(id="export-file")
        self._trouble = ""
        self._there: Path | None = None
        self._path = Path()
        self._count = 0
        self._next = 0.0
        self._worker: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """What it is about, the name, and what there is to do."""
        with Vertical(id="export"):
            yield self._above
            with self._box:
                mark = Lines(id="export-mark")
                mark.shown = [line(Piece("  file    ", "quiet"))]
                yield mark
                yield self._input
            yield self._below

    def on_mount(self) -> None:
        """Keys are the file's name, from its end on."""
        self._input.focus()
        self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        # Now it has a width to scroll in, which it does when the cursor moves.
        self._input.action_home()
        self._input.action_end()

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wraps elsewhere."""
        self._redraw()

    # showing

    def _redraw(self) -> None:
        width, height = self.app.size
        above, below = self._made(width)
        if height < _ROOMY:
            above, below = [one for one in above if one.pieces], [one for one in below if one.pieces]
            room = max(height - 1 - (self.phase == "asking"), 2)
            below = below[-room:]
            above = above[-(room - len(below)) :] if room > len(below) else []
        else:
            above, below = [EMPTY, *above], [*below, EMPTY]
        self._box.display = self.phase == "asking"
        for widget, lines in (self._above, above), (self._below, below):
            if widget.styles.height is None or widget.styles.height.value != len(lines):
                widget.styles.height = len(lines)
            widget.draw(lines)

    def _made(self, width: int) -> tuple[list[Line], list[Line]]:
        hints = {"asking": _ASKING, "running": _RUNNING, "done": _DONE}[self.phase]
        keys = [EMPTY, line(Piece(" "), *hint_pieces(hints, width - 1))]
        if self.phase == "running":
            return running_lines(self._count, self._wanted, self._path, width), keys
        if self.phase == "done":
            return done_lines(self._count, self._wanted, self._path, width), keys
        said, role = (self._trouble, "warn") if self._trouble else (f"in {_shown(self._place())}", "quiet")
        where = [line(Piece(f"          {text}", role)) for text in wrap(clean(said, 1_000), max(width - 12, 8))]
        return asking_lines(self._wanted, self.form, width), [*where, *keys]

    def _say(self, trouble: str) -> None:
        self.phase, self._trouble = "asking", trouble
        if self.is_attached:
            self._redraw()
            self._input.focus()

    # asking

    def _proposal(self) -> str:
        stamp = datetime.fromtimestamp(self._wanted.now / SECOND, UTC).strftime("%Y%m%d-%H%M")
        return proposed(self.form, stamp, self._folder)

    def _place(self) -> Path:
        """The folder in which the file will be, as far as the name tells."""
        try:
            return place_of(self._input.value, self._folder).parent
        except ExportError:
            return self._folder

    def action_format(self) -> None:
        """The other format, and the ending that goes with it."""
        if self.phase != "asking":
            return
        before = f".{self.form}"
        self.form = "jsonl" if self.form == "csv" else "csv"
        if self._input.value.lower().endswith(before):
            self._input.value = f"{self._input.value[: -len(before)]}.{self.form}"
            self._input.cursor_position = len(self._input.value)
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """A click on the formats chooses the other one."""
        if event.widget is self._above and event.y == len(self._above.shown) - 1:
            self.action_format()

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is pasted may hold anything; and what was wrong may be mended."""
        event.stop()
        safe = clean(event.value, _LONGEST)
        if safe != event.value:
            self._input.value = safe
        elif self.phase == "asking":
            self._trouble, self._there = "", None
            if (ending := Path(safe).suffix[1:].lower()) in FORMATS:
                self.form = ending
            self._redraw()

    def action_go(self) -> None:
        """Begins, or says what is in the way; where there is a file, the second time replaces it."""
        if self.phase == "done":
            self.dismiss()
        if self.phase != "asking":
            return
        try:
            path = place_of(self._input.value, self._folder)
            replace = path == self._there
            check_place(path, replace=replace)
        except ExportExistsError as error:
            self._ask_again(path, error)
        except ExportError as error:
            self._say(str(error))
        else:
            self.phase, self._path, self._count, self._trouble, self._next = "running", path, 0, "", 0.0
            self.set_focus(None)
            self._redraw()
            self._worker = self.run_worker(partial(self._export, path, replace=replace), exit_on_error=False)

    def _ask_again(self, path: Path, error: ExportExistsError) -> None:
        self._there = path
        self._say(f"{error}: enter again replaces it, or give another name")

    # running

    async def _export(self, path: Path, *, replace: bool) -> None:
        wish = Wish(where=self._wanted.where, form=self.form, masked=self._wanted.masked)
        try:
            self._count = await write_file(self._monitor, wish, path, self._told, replace=replace, gently=True)
        except ExportExistsError as error:
            self._ask_again(path, error)
        except (ExportError, MonitorError) as error:
            self._say(str(error))
        except Exception as error:
            # This window may run the service: a fault here is shown, it never ends the process.
            self._say(f"the export failed: {type(error).__name__}: {error}")
        else:
            self.phase = "done"
            self._redraw()

    def _told(self, count: int) -> None:
        self._count = count
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + _SHOWN
            self._redraw()

    def action_back(self) -> None:
        """Cancels what runs; else goes back."""
        if self.phase == "running":
            assert self._worker is not None
            self._worker.cancel()
            self._say("cancelled; nothing is left of it")
        elif self.is_current:
            self.dismiss()

    def action_copy(self) -> None:
        """Copies where it is."""
        if self.phase == "done":
            cast("MonitorApp", self.app).copy("the path of the export", _shown(self._path))
