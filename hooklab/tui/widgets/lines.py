"""The one way in which this screen draws: lines of pieces, and only those that changed."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from hooklab.tui.cells import EMPTY, ROLES, Line, plain_marks


class Lines(Widget):
    """Shows lines through Textual's line API. Text reaches the terminal as it is, never as markup."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{role}" for role in ROLES} | {"line--selected"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self.shown: list[Line] = []

    def draw(self, lines: Sequence[Line]) -> None:
        """Shows `lines` from the top; lines equal to those on the screen are not drawn again."""
        before, self.shown = self.shown, list(lines)
        changed = [
            Region(0, y, self.size.width, 1)
            for y in range(max(len(before), len(lines)))
            if y >= len(before) or y >= len(lines) or before[y] != lines[y]
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """One line as Textual wants it."""
        line = self.shown[y] if y < len(self.shown) else EMPTY
        ground = self.rich_style
        if line.selected:
            ground += self.get_component_rich_style("line--selected", partial=True)
        plain = getattr(self.app, "plain_marks", False)
        segments = []
        for text, role in line.pieces:
            style = ground
            if role:
                style += self.get_component_rich_style(f"line--{role}", partial=True)
            segments.append(Segment(plain_marks(text) if plain else text, style))
        return Strip(segments).adjust_cell_length(self.size.width, ground)
