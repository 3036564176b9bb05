"""A numbered screen with a list: the head, the titles of the screens, the rows, the keys."""

import asyncio
from typing import ClassVar, Final, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.monitor import Monitor
from hooklab.tui.format import stamp
from hooklab.tui.moment import MomentError, parse_moment
from hooklab.tui.rows import Rows
from hooklab.tui.screens.live import LiveScreen, data_mark
from hooklab.tui.sources import Source
from hooklab.tui.view import View
from hooklab.tui.widgets.head import Head, is_small
from hooklab.tui.widgets.keys import Hint, Keys
from hooklab.tui.widgets.row_list import RowList
from hooklab.tui.widgets.tabs import Tabs
from hooklab.tui.widgets.time_box import TimeBox

T = TypeVar("T")

PAGE: Final = 200
CATCH_UP: Final = 2_000
"""Rows read at most to join what arrived with what is on the screen."""
_BREATH: Final = 0.02
"""Seconds between the steps of a search, so that it takes half a core at most: answers go first."""


class ListScreen(LiveScreen, Generic[T]):
    """Loads what its list wants, follows the newest, and stands still while it is paused.

    Attributes:
        name: one of `tabs.SCREENS`.
        paused: the counter `elements` when the list was paused, None while it is live.
    """

    hints: tuple[Hint, ...] = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", show=False),
        # With priority it is done before the next key is handed on: what follows in one burst is text.
        Binding("t", "jump", show=False, priority=True),
    ]

    def __init__(self, name: str, source: Source[T], rows: RowList[T]) -> None:
        super().__init__(name=name)
        self.source = source
        self.list = rows
        self.paused: int | None = None
        self.filter_words = ""
        self._head = Head()
        self._tabs = Tabs(name)
        self._time = TimeBox()
        self._keys = Keys(self.hints)
        self._mark: tuple[int, ...] | None = None
        self._when: int | None = None
        self._jumped: int | None = None
        self._stuck = self._files = self._elements = 0
        self._view = View()

    def compose(self) -> ComposeResult:
        """Top to bottom, in the order in which an eye needs it."""
        yield self._head
        yield self._tabs
        yield self.list
        yield self._time
        yield self._keys

    def on_mount(self) -> None:
        """Keys move in the list."""
        self.list.focus()

    # reading

    async def load(self, monitor: Monitor, view: View) -> None:
        """Reads what changed, and the next rows at an end that is near."""
        if view.snapshot is not None and view.snapshot.files != self._files:
            self._files = view.snapshot.files
            self.list.start_over()
            self._when = None
        # Whoever starts over meanwhile gets other rows: what is read for these then reaches nobody.
        rows = self.list.rows
        if self._when is not None:
            await self._go_back(self._when, rows, monitor, view)
        elif rows.top is None:
            rows.take_newest(await self.source.step(monitor, max(PAGE, self.list.room)))
            self._loaded(rows, view)
        elif self.list.following and not rows.newest:
            if await self._begin_again(rows, monitor):
                self._loaded(rows, view)
        elif self.paused is None and data_mark(view) != self._mark:
            await self._catch_up(rows, monitor, view)
            self._loaded(rows, view)
        if rows is self.list.rows:
            await self._page(rows, monitor)

    async def _page(self, rows: Rows[T], monitor: Monitor) -> None:
        """Reads on at the ends that are near."""
        if self.list.wants_older and (before := rows.reached) is not None:
            rows.take_older(await self.source.step(monitor, PAGE, before), before)
            self._changed(rows)
        if rows is self.list.rows and self.list.wants_newer and (after := rows.above) is not None:
            rows.take_newer(await self.source.newer(monitor, PAGE, after), after)
            self._changed(rows)
        if self.list.wants_older or self.list.wants_newer:
            await asyncio.sleep(_BREATH)
            self.monitor_app.poll()

    async def _go_back(self, when: int, rows: Rows[T], monitor: Monitor, view: View) -> None:
        edge = self.source.edge(await monitor.batch_at(when))
        step = await self.source.step(monitor, max(PAGE, self.list.room), edge + 1)
        if rows is self.list.rows and self._when == when:
            self._when = None
            self._mark, self._stuck = data_mark(view), view.counters.stuck
            self.list.place(edge, step)
            self._jumped = when

    def _loaded(self, rows: Rows[T], view: View) -> None:
        if rows is self.list.rows:
            self._mark, self._stuck = data_mark(view), view.counters.stuck
            self._elements = view.counters.elements
            self.list.rows_changed()

    def _changed(self, rows: Rows[T]) -> None:
        if rows is self.list.rows:
            self.list.rows_changed()

    async def _catch_up(self, rows: Rows[T], monitor: Monitor, view: View) -> None:
        # Somebody may move while a read runs: whether the list follows is asked after each.
        if not rows.newest and await self._begin_again(rows, monitor):
            return
        # Time alone changes rows, perhaps any of them; that one comes as another goes changes no count.
        if view.counters.stuck != self._stuck or "is:stuck" in self.filter_words.lower():
            if not rows.newest:
                await self._look_again(rows, monitor)
            step = await self.source.step(monitor, min(len(rows) + PAGE, CATCH_UP))
            if rows.newest and (self.list.following or rows.joins(step)):
                rows.take_newest(step)
        # Where more has come than a page tells apart.
        if view.counters.elements - self._elements > PAGE and await self._begin_again(rows, monitor):
            return
        assert rows.top is not None
        changes = await self.source.changes(monitor, rows.top, PAGE)
        if not changes.whole and (self.filter_words or not self.list.following):
            changes = await self.source.changes(monitor, rows.top, CATCH_UP)
        if changes.whole:
            rows.take_changes(changes)
        elif not await self._begin_again(rows, monitor):
            newest = max(self.source.cursor(row) for row, _ in changes.rows)
            await self._look_again(rows, monitor, newest)

    async def _begin_again(self, rows: Rows[T], monitor: Monitor) -> bool:
        """Puts the newest in place of all rows, any of which may have changed, where the list follows."""
        if not self.list.following:
            return False
        # With some more than are in sight nothing older is wanted yet: under full load this is read at every tick.
        step = await self.source.step(monitor, 2 * self.list.room + 8)
        if not self.list.following:
            return False
        rows.clear()
        rows.take_newest(step)
        return True

    async def _look_again(self, rows: Rows[T], monitor: Monitor, newest: int | None = None) -> None:
        """Reads what is in sight anew; all else is read when it is wanted. What changed up to `newest` is in it."""
        edge = self.list.edge
        step = await self.source.step(monitor, PAGE + 2 * self.list.room, edge + 1)
        rows.begin_at(edge, rows.top or 0 if newest is None else newest)
        rows.take_older(step, edge + 1)

    def start_over(self) -> None:
        """Forgets the rows: they are read again from the top."""
        self.list.start_over()
        self._mark = self._when = None
        self.monitor_app.poll()

    # showing

    def show(self, view: View) -> None:
        """Draws what changed."""
        self._view = view
        self._head.show(view)
        width, height = self.app.size
        self._tabs.display = not is_small(width, height) or bool(self.filter_words)
        self._tabs.show(view, self.filter_words, self._found())
        self.list.show(view)
        self._show_keys()

    def _found(self) -> str:
        rows = self.list.rows
        if not self.filter_words or rows.top is None:
            return ""
        if not rows.newest:
            return ""  # the window on them says nothing of how many there are
        return f"{len(rows):,} found" if rows.complete else f"{len(rows):,} found so far"

    def _show_keys(self) -> None:
        self._keys.show(self._fact())

    def _fact(self) -> str:
        if self.paused is not None:
            came = max(self._view.counters.elements - self.paused, 0)
            return f"paused, {came:,} report{'' if came == 1 else 's'} meanwhile"
        if self.list.following:
            return "following"
        if self._jumped is not None and self.list.missed:
            under = " under this filter; esc shows all" if self.filter_words else ""
            return f"nothing before {stamp(self._jumped)[:-4]}{under}"
        if not self.list.rows.newest:
            chosen = self.list.chosen
            when = None if chosen is None else self.when(chosen)
            return f"{'' if when is None else f'at {stamp(when)}, '}newest: g"
        return f"{self.list.selected + 1:,} of {self.total():,}"

    def when(self, row: T) -> int | None:
        """When a row came, microseconds UTC, as far as that is known."""
        raise NotImplementedError

    def total(self) -> int:
        """How many rows there are in all, as far as that is known."""
        return len(self.list.rows)

    # moving

    @property
    def typing(self) -> bool:
        """Whether keys are text now."""
        return bool(self._time.display)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a box a letter is text."""
        del parameters
        return action != "jump" or not self.typing

    def action_jump(self) -> None:
        """Opens the box for the moment to go to."""
        self._time.open("")

    def on_time_box_typed(self) -> None:
        """What was wrong is being mended."""
        self._time.say("")

    def on_time_box_closed(self, event: TimeBox.Closed) -> None:
        """Goes to the moment; a wrong one is to be mended first."""
        if event.keep and self._time.text.strip():
            try:
                self.go_back(parse_moment(self._time.text, self._view.now))
            except MomentError as error:
                self._time.say(str(error))
                self._time.take_on()
                return
        self._time.display = False
        self.list.focus()

    def go_back(self, when: int) -> None:
        """Goes to the newest row of that moment (microseconds UTC) or before."""
        self._when = when
        self.monitor_app.poll()

    def on_row_list_moved(self) -> None:
        """The selection moved: say where it is, and see whether rows are wanted."""
        self._show_keys()
        if self.list.following and not self.list.rows.newest:
            self._mark = None
        if self._mark is None or self.list.wants_older or self.list.wants_newer:
            self.monitor_app.poll()

    def action_pause(self) -> None:
        """Lets the list stand still, or follow the newest again."""
        if self.paused is None:
            self.paused = self._view.counters.elements
        else:
            self.paused = None
            self.list.to_top()
            self._mark = None
            self.monitor_app.poll()
        self._show_keys()
