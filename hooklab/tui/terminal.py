"""What ends the screen from outside: signals, and a terminal that is gone.

Textual installs no signal handlers, and a process that dies by one leaves the terminal raw. A signal may come before
the screen is up and while it is being taken down: what was asked is kept, and "stop" is never taken back, since a
logout sends SIGHUP and SIGTERM in the same moment.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

STOP: Final = "stop"
HANGUP: Final = "hangup"


class Leaving:
    """How the screen was asked to end.

    Attributes:
        asked: "stop", "detach", "hangup" or "ended"; None while nobody asked.
    """

    def __init__(self) -> None:
        """Nobody asked yet."""
        self.asked: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: Callable[[str], None] = lambda _: None

    def begin(self, leave: Callable[[str], None]) -> None:
        """On the screen's loop, once it is up: `leave` ends it, at once if it was asked to before."""
        self._loop, self._leave = asyncio.get_running_loop(), leave
        if self.asked is not None:
            leave(self.asked)

    def ask(self, how: str) -> None:
        """Ends the screen; from any thread, and from a signal handler."""
        if self.asked != STOP:
            self.asked = how
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        assert self.asked is not None
        self._leave(self.asked)


def handle_signals(leaving: Leaving, stop: Callable[[], None] = lambda: None) -> None:
    """From now on SIGTERM and SIGINT end the screen with "stop" and call `stop`, SIGHUP ends it with "hangup"."""

    def on_stop(*_: object) -> None:
        leaving.ask(STOP)
        stop()

    signal.signal(signal.SIGTERM, on_stop)
    signal.signal(signal.SIGINT, on_stop)
    signal.signal(signal.SIGHUP, lambda *_: leaving.ask(HANGUP))
