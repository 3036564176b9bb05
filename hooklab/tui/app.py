"""The app: one tick that reads once and hands down one view. Everything it needs is injected."""

import os
from contextlib import suppress
from typing import ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType

from hooklab.metrics import Snapshot
from hooklab.monitor import Monitor, MonitorError
from hooklab.times import SECOND, Clock
from hooklab.tui.rate import Rate
from hooklab.tui.screens.confirm import ConfirmStop
from hooklab.tui.screens.help import HelpScreen
from hooklab.tui.screens.live import LiveScreen
from hooklab.tui.screens.messages import MessagesScreen
from hooklab.tui.terminal import install_signals, remove_signals
from hooklab.tui.theme import QUIET, TERMINAL
from hooklab.tui.view import View
from hooklab.tui.widgets.head import trouble_sentence

TICK: Final = 0.5
_SLOW: Final = 3 * SECOND
"""A read that takes longer than this is talked about."""


class MonitorApp(App[str | None]):
    """The screen on a `Monitor`. `run()` gives "stop", "hangup", or None where somebody just left.

    Attributes:
        view: what the screens show now.
        plain_marks: whether the terminal's font is the Linux console's.
    """

    TITLE = "hooklab"
    CSS_PATH = "hooklab.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "leave", show=False),
        Binding("question_mark", "help", show=False),
        Binding("m", "reveal", show=False),
    ]

    def __init__(self, monitor: Monitor, clock: Clock, *, hook_url: str | None, owns_service: bool) -> None:
        # Without colours Textual must be told before it chooses its filters, or all becomes black on black.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._monitor = monitor
        self._clock = clock
        self._hook_url = hook_url
        self._owns_service = owns_service
        self._rate = Rate()
        self._snapshot: Snapshot | None = None
        self._trouble: str | None = None
        self._revealed = False
        self._reading_since: int | None = None
        self._again = False
        self.view = View(now=clock(), given_url=hook_url)
        self.plain_marks = os.environ.get("TERM") == "linux"
        self.animation_level = "none"
        self.register_theme(QUIET)
        self.register_theme(TERMINAL)
        colours = self.console.color_system in {"truecolor", "256"}
        self.theme = QUIET.name if colours and not self.no_color else TERMINAL.name

    def on_mount(self) -> None:
        """Signals, the first screen, and the one timer."""
        install_signals(self)
        self.push_screen(MessagesScreen())
        self.set_interval(TICK, self._tick)

    async def on_unmount(self) -> None:
        """Gives the signals back, and closes the monitor on the loop on which it read."""
        remove_signals()
        with suppress(MonitorError):
            await self._monitor.close()

    # reading: one at a time, on this loop

    def poll(self) -> None:
        """Reads now, or once more after the read that runs."""
        if self._reading_since is not None:
            self._again = True
            return
        self._reading_since = self._clock()
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
            self._snapshot = await self._monitor.snapshot()
            self._rate.add(self._snapshot.taken_at, self._snapshot.counters.elements)
            self._renew()
            screen = self._front()
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
        now = self._clock()
        trouble = self._trouble
        if self._reading_since is not None and now - self._reading_since > _SLOW:
            waited = (now - self._reading_since) // SECOND
            trouble = f"cannot read the data: no answer for {waited} s"
        self.view = View(
            now=now,
            snapshot=self._snapshot,
            given_url=self._hook_url,
            trouble=trouble,
            rate=self._rate.per_second(),
            history=self._rate.history(now),
            revealed=self._revealed,
        )

    def _publish(self) -> None:
        self._renew()
        screen = self._front()
        if screen is not None and screen.is_mounted:
            screen.show(self.view)

    def _front(self) -> LiveScreen | None:
        """The live screen in sight: below a question, not below the help."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, LiveScreen):
                return screen
            if not screen.is_modal:
                return None
        return None

    # keys

    def action_leave(self) -> None:
        """Leaves; asks before that stops a service."""
        if not self._owns_service:
            self.exit()
            return
        self.push_screen(ConfirmStop(), self._answered)

    def _answered(self, stop: bool | None) -> None:
        if stop:
            self.exit("stop")

    def action_help(self) -> None:
        """Shows the help."""
        self.push_screen(HelpScreen())

    def action_reveal(self) -> None:
        """Shows phone numbers whole, or masks them again."""
        self._revealed = not self._revealed
        self._publish()
