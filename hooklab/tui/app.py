"""The app: one tick that reads once and hands down one view. Everything it needs is injected."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import Screen

from hooklab.metrics import Snapshot
from hooklab.monitor import Monitor, MonitorError
from hooklab.store.base import Condition
from hooklab.text import clean, clean_lines
from hooklab.times import SECOND, Clock
from hooklab.tui.offers import offers
from hooklab.tui.rate import Rate
from hooklab.tui.screens.batch import BatchScreen
from hooklab.tui.screens.batches import BatchesScreen
from hooklab.tui.screens.copied import CopiedScreen
from hooklab.tui.screens.export import ExportScreen, Wanted
from hooklab.tui.screens.help import HelpScreen
from hooklab.tui.screens.insights import InsightsScreen
from hooklab.tui.screens.leave import LeaveScreen
from hooklab.tui.screens.live import LiveScreen
from hooklab.tui.screens.messages import MessagesScreen
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.screens.palette import Palette
from hooklab.tui.screens.problems import ProblemsScreen
from hooklab.tui.screens.quarantine import QuarantineScreen
from hooklab.tui.screens.quarantined import QuarantinedScreen
from hooklab.tui.screens.retry import Retry, RetryScreen
from hooklab.tui.screens.setup import SetupScreen
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.seen import NOT_SEEN, look
from hooklab.tui.targets import Target, ToBatch, ToMessage, ToMessages, ToQuarantined, ToScreen
from hooklab.tui.terminal import Leaving
from hooklab.tui.theme import TERMINAL, THEMES
from hooklab.tui.view import View
from hooklab.tui.widgets.head import trouble_sentence
from hooklab.tui.widgets.scroll_lines import ScrollLines
from hooklab.tui.widgets.tabs import SCREENS

TICK: Final = 0.5
_SLOW: Final = 3 * SECOND
"""A read that takes longer than this is talked about."""
_CLOSE_SECONDS: Final = 2.0
_PASTED: Final = 1_000
"""Characters of what is pasted that are taken; no line here is for more."""
_BASE: Final = 2
"""Screens that are always there: Textual's blank one, and a numbered one."""
_DEEPEST: Final = 16
"""Screens on each other at most."""


class MonitorApp(App[str | None]):
    """The screen on a `Monitor`. `run()` gives "stop", "detach" (the service is to run on), "hangup", or None where
    somebody just left.

    Attributes:
        view: what the screens show now.
        messages: the screen of messages, home.
        leaving: through which anybody may ask the screen to end.
        plain_marks: whether the terminal's font is the Linux console's.
    """

    TITLE = "hooklab"
    CSS_PATH = "hooklab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "leave", show=False),
        Binding("question_mark", "help", show=False),
        Binding("m", "reveal", show=False),
        Binding("y", "copy", show=False),
        Binding("u", "setup", show=False),
        Binding("T", "next_theme", show=False),
        Binding("colon", "command_palette", show=False),
        Binding("ctrl+p", "command_palette", show=False),
        *(Binding(key, f"go('{name}')", show=False) for key, name in SCREENS),
    ]

    def __init__(
        self,
        monitor: Monitor,
        clock: Clock,
        *,
        hook_url: str | None,
        owns_service: bool,
        leaving: Leaving | None = None,
        timer: Callable[[], float] = time.monotonic,
        theme: str = "dark",
    ) -> None:
        """`clock` tells the time, which somebody may set; `timer` gives seconds that only ever grow; `theme` names
        one of THEMES, for terminals that have the colours.
        """
        # Without colours Textual must be told before it chooses its filters, or all becomes black on black.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._monitor = monitor
        self._clock = clock
        self._timer = timer
        self._hook_url = hook_url
        self._owns_service = owns_service
        self.leaving = leaving or Leaving()
        self.messages = MessagesScreen()
        self._rate = Rate()
        self._seen = NOT_SEEN
        self._retry: Retry | None = None
        self._snapshot: Snapshot | None = None
        self._trouble: str | None = None
        self._revealed = False
        self._reading_since: int | None = None
        self._again = False
        self.view = View(now=clock(), given_url=hook_url)
        self.plain_marks = os.environ.get("TERM") == "linux"
        self.animation_level = "none"
        for one in THEMES.values():
            self.register_theme(one)
        self._has_colours = self.console.color_system in {"truecolor", "256"} and not self.no_color
        self.theme = THEMES[theme].name if self._has_colours else TERMINAL.name

    def on_mount(self) -> None:
        """The first screen and the one timer; and from now on it can be asked to leave."""
        for screen in (self.messages, BatchesScreen(), ProblemsScreen(), QuarantineScreen(), InsightsScreen()):
            assert screen.name is not None
            self.install_screen(screen, screen.name)
        self.push_screen(self.messages)
        self.set_interval(TICK, self._tick)
        self.leaving.begin(self.exit)

    async def on_unmount(self) -> None:
        """Closes the monitor on the loop on which it read; a read that a disk holds up does not hold up the end."""
        closing = asyncio.create_task(self._monitor.close())
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        if closing.done():
            with suppress(MonitorError):
                closing.result()

    async def on_event(self, event: events.Event) -> None:
        """What is pasted or typed may hold anything, and Textual's input lines, the palette's too, show it as it is:
        it is cleaned before any of them sees it.
        """
        if isinstance(event, events.Key) and not self.screen_stack:
            return  # it ends: what was typed before that has nowhere to go
        if isinstance(event, events.Paste):
            event.text = clean_lines(event.text, _PASTED)
        elif isinstance(event, events.Key) and event.is_printable and clean(event.character or "") != event.character:
            return
        await super().on_event(event)

    # reading: one at a time, on this loop

    def poll(self) -> None:
        """Reads now, or once more after the read that runs."""
        if self._reading_since is not None:
            self._again = True
            return
        self._reading_since = self._ticks()
        self.run_worker(self._read_all(), exit_on_error=True)

    def _tick(self) -> None:
        if self._reading_since is None:
            self.poll()
        self._publish()

    async def _read_all(self) -> None:
        try:
            await self._read()
            while self._again:
                self._again = False
                await self._read()
        finally:
            self._reading_since = None
        self._publish()

    async def _read(self) -> None:
        what = "the counters"
        try:
            self._snapshot = await self._monitor.snapshot(signs=True)
            self._seen = look(self._seen, self._snapshot, self._clock(), self._ticks())
            self._rate.add(self._ticks(), self._snapshot.counters.elements)
            self._renew()
            screen = self.front()
            if screen is not None:
                what = screen.subject
                await screen.load(self._monitor, self.view)
            self._trouble = None
        except MonitorError as error:
            self._trouble = trouble_sentence(what, str(error))
        except Exception as error:
            # This window may run the service: a fault here is shown, it never ends the process.
            self._trouble = trouble_sentence(what, f"{type(error).__name__}: {error}")

    # showing

    def _renew(self) -> None:
        ticks = self._ticks()
        trouble = self._trouble
        if self._reading_since is not None and ticks - self._reading_since > _SLOW:
            waited = (ticks - self._reading_since) // SECOND
            trouble = f"cannot read the data: no answer for {waited} s"
        self.view = View(
            now=self._clock(),
            ticks=ticks,
            snapshot=self._snapshot,
            given_url=self._hook_url,
            trouble=trouble,
            rate=self._rate.per_second(),
            history=self._rate.history(ticks),
            seen=self._seen,
            revealed=self._revealed,
        )

    def _ticks(self) -> int:
        """Microseconds by the timer."""
        return int(self._timer() * SECOND)

    def _publish(self) -> None:
        self._renew()
        screen = self.front()
        if screen is not None and screen.is_mounted:
            screen.show(self.view)

    def front(self) -> LiveScreen | None:
        """The live screen in sight: below a question, not below the help."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, LiveScreen):
                return screen
            if not screen.is_modal:
                return None
        return None

    # going somewhere

    def follow(self, target: Target) -> None:
        """Opens what a line or row leads to."""
        match target:
            case ToMessage(message_id):
                self._open(TimelineScreen(message_id))
            case ToBatch(number):
                self._open(BatchScreen(number))
            case ToQuarantined(row_id):
                self._open(QuarantinedScreen(row_id))
            case ToScreen(name):
                self.action_go(name)
            case ToMessages(text):
                self.action_go("messages")
                self.messages.filter_by(text)

    def _open(self, screen: LiveScreen) -> None:
        """On top of the others. A key that is held down leads round and round: at some depth in place of the last."""
        if len(self.screen_stack) < _DEEPEST:
            self.push_screen(screen)
        else:
            self.switch_screen(screen)

    def on_scroll_lines_followed(self, event: ScrollLines.Followed) -> None:
        """Enter on a line that leads somewhere."""
        self.follow(event.target)

    def copy(self, what: str, text: str) -> None:
        """Copies to the terminal's clipboard (OSC 52), where it has one that a program may fill."""
        self.copy_to_clipboard(text)
        self.push_screen(CopiedScreen(what, text))

    def export(self, where: Condition, words: str, total: int | None) -> None:
        """Asks, once, for a file for the messages that `where`, typed as `words`, lets through."""
        if any(isinstance(screen, ExportScreen) for screen in self.screen_stack):
            return
        masked = not self._revealed
        wanted = Wanted(where=where, words=words, total=total, masked=masked, now=self._clock())
        self.push_screen(ExportScreen(self._monitor, wanted))

    # keys

    def action_go(self, name: str) -> None:
        """Goes to a numbered screen, from wherever."""
        while len(self.screen_stack) > _BASE:
            self.pop_screen()
        if self.screen.name != name:
            self.switch_screen(name)

    def get_default_screen(self) -> Screen[None]:
        """The blank one below all."""
        return OneSize(id="_default")

    def pop_screen(self) -> AwaitComplete:
        """To the screen below; keys typed fast may ask that of one that is gone, when only the lowest is left."""
        return super().pop_screen() if len(self.screen_stack) > _BASE else AwaitComplete()

    def action_command_palette(self) -> None:
        """Opens the palette, once."""
        if not any(isinstance(screen, Palette) for screen in self.screen_stack):
            self.push_screen(Palette())

    def action_leave(self) -> None:
        """Leaves; asks before that stops a service."""
        if not self._owns_service:
            self.exit()
            return
        self.push_screen(LeaveScreen(), self._answered)

    def _answered(self, how: str | None) -> None:
        if how is not None:
            self.leaving.ask(how)

    def action_help(self) -> None:
        """Shows the help."""
        self.push_screen(HelpScreen())

    def action_setup(self) -> None:
        """Shows what the empty start shows: the hook URL in clear, and what to paste."""
        self.push_screen(SetupScreen(self.view.hook_url, self.view.try_url, runs=self.view.service is not None))

    def action_retry(self) -> None:
        """Puts the quarantine through today's rules, once at a time."""
        self.action_go("quarantine")
        if self._retry is None or self._retry.over:
            self._retry = Retry()
            self.run_worker(self._see_retry(self._retry))
        if not any(isinstance(screen, RetryScreen) for screen in self.screen_stack):
            self.push_screen(RetryScreen(self._retry))

    async def _see_retry(self, retry: Retry) -> None:
        await retry.run(self._monitor)
        if isinstance(self.screen, RetryScreen):
            self.screen.redraw()

    def action_reveal(self) -> None:
        """Shows phone numbers whole, or masks them again."""
        self._revealed = not self._revealed
        self._publish()

    def action_next_theme(self) -> None:
        """The next look; a terminal of 16 colours, or without any, has but its own."""
        if self._has_colours:
            names = [one.name for one in THEMES.values()]
            self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def action_copy(self) -> None:
        """Copies what the screen has selected."""
        screen = self.front()
        chosen = None if screen is None else screen.copyable()
        if chosen is not None:
            self.copy(*chosen)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        del screen
        return offers(self)
