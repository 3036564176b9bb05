"""The line between head and list: which screens there are, which one this is, and the filter in force."""

from typing import Final

from textual import events

from hooklab.text import clean
from hooklab.tui.cells import Line, Piece, cut, line, width_of
from hooklab.tui.notices import notices
from hooklab.tui.view import View
from hooklab.tui.widgets.lines import Lines

SCREENS: Final = (("1", "messages"), ("2", "batches"), ("3", "problems"), ("4", "quarantine"), ("5", "insights"))
"""The numbered screens: key and name."""
_ROOMY: Final = 60


def tabs_line(view: View, current: str, *, words: str, found: str, width: int) -> Line:
    """``─ 1 Messages ─ 2 Batches ───── / state:pending ── 212 found ─``, shortened where it does not fit."""
    left: list[Piece] = []
    # Where there is no room for both, the filter says more than the titles that `?` lists too.
    for key, name in SCREENS if width >= _ROOMY or not words else ():
        here = name == current
        title = name if width >= (100 if words else _ROOMY) or here else name[:4]
        left += [
            Piece("─ ", "rule"),
            Piece(key, "accent"),
            Piece(f" {title.capitalize()}", "strong" if here else "quiet"),
        ]
        if name in _raised(view):
            left.append(Piece(" ⚑", "warn"))
        left.append(Piece(" "))
    found_piece = [Piece(f" {found} ", "quiet"), Piece("─", "rule")] if found else []
    room = width - width_of(left) - width_of(found_piece) - 4
    right: list[Piece] = []
    if words and room > 8:
        right = [Piece(" / ", "accent"), Piece(cut(clean(words, 400), room - 3), "strong"), Piece(" ")]
    right += found_piece
    rule = Piece("─" * max(width - width_of(left) - width_of(right), 0), "rule")
    return line(*left, rule, *right)


def _raised(view: View) -> set[str]:
    """The screens that have something that needs a look."""
    counters, raised = view.counters, set()
    now_wrong = any(one.about in {"disk", "silence", "lag"} for one in notices(view))
    if counters.stuck or counters.conflicts or now_wrong or (view.service is not None and view.service.problem):
        raised.add("problems")
    if counters.quarantined:
        raised.add("quarantine")
    return raised


class Tabs(Lines):
    """One line; a click on a title goes there."""

    def __init__(self, current: str) -> None:
        super().__init__(id="tabs")
        self._current = current
        self._view = View()
        self._words = self._found = ""

    def show(self, view: View, words: str = "", found: str = "") -> None:
        """Draws the line if it changed."""
        self._view, self._words, self._found = view, words, found
        if self.size.width:
            self.draw([tabs_line(view, self._current, words=words, found=found, width=self.size.width)])

    def on_resize(self, _event: events.Resize) -> None:
        """Another width holds other titles."""
        self.show(self._view, self._words, self._found)

    async def on_click(self, event: events.Click) -> None:
        """Goes to the screen whose title was clicked."""
        at = 0
        for piece in self.shown[0].pieces if self.shown else ():
            at += width_of([piece])
            if piece.text == "─ " or piece.text.startswith(" /"):
                continue
            if event.x < at:
                name = next((name for key, name in SCREENS if key == piece.text or self._names(piece, name)), None)
                if name is not None:
                    await self.run_action(f"app.go('{name}')")
                return

    @staticmethod
    def _names(piece: Piece, name: str) -> bool:
        word = piece.text.strip().lower()
        return len(word) > 3 and name.startswith(word)
