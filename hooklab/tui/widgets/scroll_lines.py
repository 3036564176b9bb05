"""A text of lines of which a window is shown; some of its lines lead somewhere."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from hooklab.tui.cells import Line, pointed_at
from hooklab.tui.targets import Target
from hooklab.tui.widgets.lines import Lines


class ScrollLines(Lines, can_focus=True):
    """Scrolled by keys and wheel. A move goes to the next line that leads somewhere if that is in sight, as in a
    text browser, and scrolls otherwise; Enter follows it.

    Attributes:
        content: all lines.
        top: the index of the first line in sight.
        chosen: the index of the selected line, None where none in sight leads anywhere.
        points: whether the selected line is marked.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", show=False),
        Binding("k,up", "step(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "page(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("g,home", "move(-1000000)", show=False),
        Binding("G,end", "move(1000000)", show=False),
        Binding("enter", "follow", show=False),
    ]

    class Followed(Message):
        """Somebody wants to see what a line leads to."""

        def __init__(self, target: Target) -> None:
            super().__init__()
            self.target = target

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self.content: list[Line] = []
        self.top = 0
        self.chosen: int | None = None
        self.points = True

    @property
    def room(self) -> int:
        """How many lines are in sight."""
        return max(self.size.height, 1)

    @property
    def target(self) -> Target | None:
        """What the selected line leads to."""
        return None if self.chosen is None else self.content[self.chosen].target

    def show(self, lines: Sequence[Line]) -> None:
        """Takes new content; window and selection stay where they are as far as they can."""
        held = self.target
        self.content = list(lines)
        if held is not None:
            self.chosen = next((at for at, one in enumerate(self.content) if one.target == held), None)
        self.action_move(0)

    def action_move(self, by: int) -> None:
        """Moves the window by lines; the selection stays if it stays in sight."""
        self._scroll(by)
        sight = self._in_sight()
        if self.chosen not in sight or abs(by) > len(self.content):
            self.chosen = self._first_of(reversed(sight) if by > 0 else sight)
        self._redraw()

    def action_step(self, by: int) -> None:
        """Goes to the next line that leads somewhere, or scrolls by a line."""
        found = self._next(by)
        if found is None:
            self._scroll(by)
            found = self._next(by)
        if found is not None:
            self.chosen = found
        elif self.chosen not in self._in_sight():
            self.chosen = self._first_of(self._in_sight())
        self._redraw()

    def action_page(self, by: int) -> None:
        """Moves the window by its height."""
        self.action_move(by * max(self.room - 1, 1))

    def action_follow(self) -> None:
        """Opens what the selected line leads to."""
        if self.target is not None:
            self.post_message(self.Followed(self.target))

    def on_resize(self) -> None:
        """A larger window shows more."""
        self.action_move(0)

    def on_click(self, event: events.Click) -> None:
        """A click opens what a line leads to."""
        at = self.top + event.y
        if at < len(self.content) and self.content[at].target is not None:
            self.chosen = at
            self._redraw()
            self.action_follow()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves three lines."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves three lines."""
        event.stop()
        self.action_move(-3)

    def _scroll(self, by: int) -> None:
        self.top = max(0, min(self.top + by, len(self.content) - self.room))

    def _in_sight(self) -> range:
        return range(self.top, min(self.top + self.room, len(self.content)))

    def _next(self, by: int) -> int | None:
        """The nearest line in sight that leads somewhere, in the direction of `by`."""
        sight = self._in_sight()
        if by > 0:
            return self._first_of(range(sight.start if self.chosen is None else self.chosen + 1, sight.stop))
        return self._first_of(range((sight.stop if self.chosen is None else self.chosen) - 1, sight.start - 1, -1))

    def _first_of(self, indexes: Iterable[int]) -> int | None:
        return next((at for at in indexes if self.content[at].target is not None), None)

    def _redraw(self) -> None:
        shown = self.content[self.top : self.top + self.room]
        if self.points and self.chosen is not None and 0 <= self.chosen - self.top < len(shown):
            shown[self.chosen - self.top] = pointed_at(shown[self.chosen - self.top])
        self.draw(shown)
