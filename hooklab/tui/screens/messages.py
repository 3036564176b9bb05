"""Home: the newest messages, those that a filter lets through, and the empty start before there are any."""

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from hooklab.filters import FilterError, is_known, parse_filter, sought_in_payloads, split_words, taken_for
from hooklab.monitor import Monitor
from hooklab.snippets import curl_line, sms_webhooks
from hooklab.store.base import MessageRow
from hooklab.text import clean
from hooklab.times import SECOND
from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.sources import Messages
from hooklab.tui.targets import ToMessage
from hooklab.tui.view import View
from hooklab.tui.widgets.empty_start import EmptyStart
from hooklab.tui.widgets.filter_box import FilterBox
from hooklab.tui.widgets.keys import Hint
from hooklab.tui.widgets.message_list import MessageList
from hooklab.tui.widgets.message_pane import MessagePane
from hooklab.tui.widgets.row_list import RowList

_ROOMY: Final = 34
"""Below this height the empty start takes the room of counters that are all zero."""
_SAID: Final = 5 * SECOND
"""How long it is said that something was copied."""
SIDE_BY_SIDE: Final = 160
"""Columns from which on a message stands beside the list."""
_REST: Final = 0.15
"""Seconds for which the selection is to rest before its message is read."""
_PANE_HINTS: Final = (("tab", "list"), ("?", "help"), ("enter", "open"), ("j k", "move"), ("m", "numbers"))
_TYPING_HINTS: Final = (("enter", "keep it"), ("esc", "as before"))
_EMPTY_HINTS: Final = (("q", "quit"), ("?", "help"), ("y", "copy the curl line"), ("j k", "scroll"))


def _all_zero(view: View) -> bool:
    c = view.counters
    return not any((c.elements, c.messages, c.batches, c.malformed, *(c.refused or {}).values()))


def _nothing(words: list[str]) -> str:
    """What is said where no message matches: also what a word was taken for, if that may surprise."""
    odd = [word for word in words if not is_known(word)]
    if not odd:
        return "No message matches."
    return f"No message matches. {taken_for(clean(odd[0], 40))}."


def _note(text: str) -> str:
    """What is said of digits while they are typed: an order number may be what was meant."""
    words = [word for word in text.split() if word.isascii() and word.isdigit()]
    return taken_for(words[-1][:40]) if words else ""


class MessagesScreen(ListScreen[MessageRow]):
    """The newest messages, live."""

    subject = "the messages"
    hints = (
        ("q", "quit"),
        ("?", "help"),
        ("/", "filter"),
        ("enter", "open"),
        ("space", "pause"),
        ("t", "time"),
        ("y", "copy id"),
        ("e", "export"),
        ("m", "numbers"),
        ("g", "newest"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority it is done before the next key is handed on: what follows in one burst is text.
        Binding("slash", "filter", show=False, priority=True),
        Binding("escape", "clear_filter", show=False),
        Binding("e", "export", show=False),
        Binding("tab,shift+tab", "turn", show=False),
        Binding("v", "pane", show=False),
        Binding("y", "copy", show=False),
        Binding("Y", "copy_snippet", show=False),
        Binding("j,down", "scroll_empty(1)", show=False),
        Binding("k,up", "scroll_empty(-1)", show=False),
    ]

    def __init__(self) -> None:
        self._source = Messages()
        self._rows = MessageList(self._source)
        super().__init__("messages", self._source, self._rows)
        self._empty = EmptyStart()
        self._box = FilterBox()
        self._sides = Horizontal(id="sides")
        self._pane = MessagePane()
        self._wanted = True
        self._rest: Timer | None = None
        self._before = ""
        self._copied_until = 0

    def compose(self) -> ComposeResult:
        """As every list, with the empty start and the filter box."""
        yield self._head
        yield self._tabs
        with self._sides:
            yield self.list
            yield self._pane
        yield self._empty
        yield self._box
        yield self._time
        yield self._keys

    def on_mount(self) -> None:
        """Nothing is known yet, so neither list nor empty start."""
        self._sides.display = self._pane.display = self._empty.display = self._box.display = False

    # showing

    def show(self, view: View) -> None:
        """Draws what changed."""
        empty = self.list.rows.top is not None and not view.counters.messages
        if self._empty.display != empty or self._sides.display == empty:
            self._empty.display = empty
            self._sides.display = not empty
            if not empty and not self.typing:
                self.list.focus()
        self._head.brief = empty and self.size.height < _ROOMY and _all_zero(view)
        super().show(view)
        self._arrange()
        if empty:
            self._tabs.display &= not self._head.brief
            self._empty.show(view.hook_url, view.try_url)

    def _arrange(self) -> None:
        """The message beside the list where there is room for both."""
        beside = self._wanted and self.app.size.width >= SIDE_BY_SIDE
        if self._pane.display != beside:
            self._pane.display = beside
            if not beside and self._pane.has_focus:
                self.list.focus()
            self._look()
        if beside:
            self._pane.update(self._view)

    def _show_keys(self) -> None:
        if self._empty.display:
            copied = self._view.ticks < self._copied_until
            self._keys.show("copied, if your terminal allows it" if copied else "waiting for reports", _EMPTY_HINTS)
        elif self._box.display:
            self._keys.show(self._fact(), _TYPING_HINTS)
        else:
            self._keys.show(self._fact(), _PANE_HINTS if self._pane.has_focus else self._list_hints())

    def when(self, row: MessageRow) -> int | None:
        """See `ListScreen.when`."""
        return row.last_received_at

    def _list_hints(self) -> tuple[Hint, ...]:
        if self._pane.display:
            return (*self.hints, ("tab", "timeline"), ("v", "hide it"))
        return (*self.hints, ("v", "timeline")) if self.app.size.width >= SIDE_BY_SIDE else self.hints

    def total(self) -> int:
        """All messages that are held, or those found so far."""
        held = 0 if self.filter_words else self._view.counters.messages
        return max(held, len(self.list.rows))

    # the message beside the list

    async def load(self, monitor: Monitor, view: View) -> None:
        """See `ListScreen.load`; and what is shown beside the list."""
        await super().load(monitor, view)
        if self._pane.display:
            if self._rest is None:
                self._pane.look_at(self._chosen_id())
            await self._pane.load(monitor, view)

    def _chosen_id(self) -> str | None:
        chosen = self.list.chosen
        return None if chosen is None else chosen.message_id

    def on_row_list_moved(self) -> None:
        """See `ListScreen.on_row_list_moved`; a key that is held costs no reads but at its beginning and end."""
        super().on_row_list_moved()
        if self._pane.display and self._chosen_id() != self._pane.shows:
            if self._rest is None:
                self._look()
            else:
                self._rest.stop()
            self._rest = self.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        self._rest = None
        self._look()

    def _look(self) -> None:
        if self._pane.display and self._chosen_id() != self._pane.shows:
            self._pane.look_at(self._chosen_id())
            self.monitor_app.poll()

    def action_pane(self) -> None:
        """Hides the message beside the list, or shows it again."""
        if self.app.size.width >= SIDE_BY_SIDE:
            self._wanted = not self._wanted
            self.show(self._view)

    def action_turn(self) -> None:
        """Moves between the list and the message beside it."""
        if self.typing or not self._pane.display:
            return
        if self._pane.has_focus:
            self.list.focus()
            return
        if self._rest is not None:
            self._rest.stop()
            self._rested()
        self.list.stay()  # what somebody reads does not change for what comes
        self._pane.focus()

    def on_descendant_focus(self) -> None:
        """Other keys are of use now."""
        self._show_keys()

    # the filter

    def filter_by(self, text: str) -> None:
        """Lets only messages through that hold all of the words in `text`; nothing in it lets all through.

        Raises:
            FilterError: a word is wrong; the filter in force stays.
        """
        where = parse_filter(split_words(text), self._view.now)
        self.filter_words = text.strip()
        self.list.nothing = _nothing(split_words(text))
        self._rows.sought = sought_in_payloads(split_words(text))
        if where == self._source.where:
            return
        self._source.where = where
        self.start_over()
        self.show(self._view)

    @property
    def typing(self) -> bool:
        """See `ListScreen.typing`."""
        return bool(self._box.display) or super().typing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a box a slash is text, and on the empty start there is nothing to filter or to go to."""
        del parameters
        return action not in {"filter", "jump"} or not (self.typing or self._empty.display)

    def action_filter(self) -> None:
        """Opens the filter box."""
        self._before = self.filter_words
        self._box.open(self.filter_words)
        self._show_keys()

    def action_clear_filter(self) -> None:
        """Back to the list; from there, shows all messages again."""
        if self._pane.has_focus:
            self.list.focus()
        else:
            self.filter_by("")

    def on_filter_box_typed(self, event: FilterBox.Typed) -> None:
        """Results while typing."""
        try:
            self.filter_by(event.text)
        except FilterError as error:
            self._box.say(str(error))
        else:
            self._box.say("", _note(event.text))

    def on_filter_box_closed(self, event: FilterBox.Closed) -> None:
        """Keeps the filter in force, or goes back to the one from before; a wrong one is to be mended first."""
        if not event.keep:
            self.filter_by(self._before)
        elif self._box.wrong:
            self._box.take_on()
            return
        self._box.display = False
        self.list.focus()
        self._show_keys()

    # opening, exporting and copying

    def action_export(self) -> None:
        """Asks for a file for what the filter lets through; on the empty start there is nothing."""
        if self._empty.display:
            return
        rows = self.list.rows
        counted = (
            (len(rows) if rows.complete and rows.newest else None)
            if self.filter_words
            else self._view.counters.messages
        )
        self.monitor_app.export(self._source.where, self.filter_words, counted)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Enter on a message opens its timeline."""
        self.monitor_app.follow(ToMessage(event.row.message_id))

    def copyable(self) -> tuple[str, str] | None:
        """The id of the selected message."""
        chosen = self.list.chosen
        return None if chosen is None else ("the message id", chosen.message_id)

    def action_copy(self) -> None:
        """Copies the id; on the empty start, which shows it already, the curl line without the screen's breaks."""
        if not self._empty.display:
            self.monitor_app.action_copy()
        elif self._view.try_url:
            self._copy_quietly(curl_line(self._view.try_url))

    def _copy_quietly(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self._copied_until = self._view.ticks + _SAID
        self._show_keys()

    def action_copy_snippet(self) -> None:
        """Copies the JSON of the empty start."""
        if self._empty.display and self._view.hook_url:
            self._copy_quietly(sms_webhooks(self._view.hook_url))

    def action_scroll_empty(self, by: int) -> None:
        """Scrolls the empty start."""
        if self._empty.display:
            self._empty.scroll_relative(y=by, animate=False)
