"""A terminal that stalls, vanishes or is stopped must not hold up the process that receives.

Textual's driver trusts its terminal: a full one blocks the app's loop, a closed one makes its input thread spin,
and a signal to stop stops the whole process, receiver included. This subclass takes that trust away. It reaches
into names that Textual does not promise (`_file`, the parser of keys, the two signal methods), hence the narrow
version range in `pyproject.toml` and the tests in a real pty.
"""

import asyncio
import logging
import os
import select
import sys
import termios
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from hooklab.tui.lean import lean
from hooklab.tui.terminal import HANGUP

if TYPE_CHECKING:
    from hooklab.tui.app import MonitorApp

_PATIENCE: Final = 0.25
"""Seconds that one write waits for the terminal before it is dropped."""
_TURN: Final = 0.1
"""Seconds in which the thread that reads keys looks whether it is to end."""
_AFRESH: Final = b"\x18\x1b[0m"
"""Ends a sequence that a dropped write cut in two, and its colours."""


def log_faults(app: App[Any], log: logging.Logger) -> None:
    """Sends the traceback of a fault of the screen, or of a thread, to the log and not over the terminal.

    A thread that reads for a screen that has failed meanwhile has nobody left to tell, which is a fault as well.
    """

    def print_nothing() -> None:  # called at every end, also at a good one
        if app._exception is not None:
            log.error("the screen failed", exc_info=app._exception)

    def tell(of: threading.ExceptHookArgs) -> None:
        log.warning("a thread ended: %s", of.exc_value, exc_info=of.exc_value)

    app._print_error_renderables = print_nothing  # type: ignore[method-assign]
    threading.excepthook = tell


def _open_again(fd: int) -> int:
    """A descriptor of its own for the terminal at `fd`, so that being non-blocking is nobody else's trouble."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(fd), flags)
    except PermissionError:  # after `su` the terminal's name is still the other user's
        return os.open("/dev/tty", flags)


class SteadyFile:
    """Writes to a terminal without ever waiting for it for long: what does not fit is dropped.

    What was dropped is not remembered: the screen is drawn anew as soon as the terminal takes something again. That
    may be long after the last write, since not every screen draws by itself; hence `stalled`.
    """

    encoding = "utf-8"

    def __init__(self, fd: int, recovered: Callable[[], None], stalled: Callable[[], None] = lambda: None) -> None:
        """Takes a descriptor of its own, in non-blocking mode; the two are called from the writing thread.

        Args:
            fd: the terminal.
            recovered: It takes something again, and what was dropped is to be drawn.
            stalled: It takes nothing; whoever notices that it does again is to write.
        """
        self._fd = fd
        self._recovered = recovered
        self._tell_stalled = stalled
        self._stalled = False
        self._patience = _PATIENCE
        self._last = False

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """It is one."""
        return True

    def flush(self) -> None:
        """Nothing is kept back."""

    def write(self, text: str) -> None:
        """Writes `text`, or drops it where the terminal takes nothing."""
        data = lean(text).encode(errors="replace")
        if self._stalled and self._last:
            self._make_room()
        elif self._stalled:
            if not self._is_writable(0):
                return
            self._stalled = False
            self._push(_AFRESH)
            self._recovered()
            return
        self._push(data)

    def last_words(self) -> None:
        """From now on what is written matters more than what waits: the modes that exit resets.

        Nothing else is done here: the writing thread may be waiting for the terminal at this very moment.
        """
        self._last = True

    def _make_room(self) -> None:
        try:
            termios.tcflush(self._fd, termios.TCOFLUSH)
        except termios.error:
            return
        self._stalled = False
        self._push(_AFRESH)

    def _push(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                if not self._is_writable(self._patience):
                    self._stalled = True
                    self._tell_stalled()
                    return
            except OSError:  # it is gone; whoever watches it says so
                return

    def _is_writable(self, seconds: float) -> bool:
        return bool(select.select([], [self._fd], [], seconds)[1])


class SteadyDriver(LinuxDriver):
    """Textual's driver on a `SteadyFile`; tells the app to exit with "hangup" when its terminal is gone."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        """As Textual makes it."""
        super().__init__(app, **options)
        self._loop = asyncio.get_running_loop()
        fd = _open_again(sys.__stderr__.fileno() if sys.__stderr__ else self.fileno)
        self._steady = SteadyFile(fd, self._draw_anew, lambda: self._later(self._await_room))
        self._closed = False
        self._file = self._steady  # type: ignore[assignment]  # it has what the writer thread uses
        threading.Thread(target=self._watch, name="terminal watch", daemon=True).start()

    def run_input_thread(self) -> None:
        """As Textual's, in which a byte that is no UTF-8, as from a Latin-1 clipboard, ends the screen; here it is
        U+FFFD.
        """
        parser = XTermParser()
        decode = getincrementaldecoder("utf-8")("replace").decode

        def read() -> None:
            if select.select([self.fileno], [], [], _TURN)[0] and (text := decode(os.read(self.fileno, 4096))):
                for event in parser.feed(text):
                    self.process_message(event)
            for event in parser.tick():
                self.process_message(event)

        while not self.exit_event.is_set():
            read()
        read()  # answers of the terminal that come late are not for the shell

    def stop_application_mode(self) -> None:
        """Restores the terminal, also one that takes nothing at the moment."""
        self._steady.last_words()
        super().stop_application_mode()

    def close(self) -> None:
        """Lets go of the terminal."""
        super().close()
        self._closed = True
        self._loop.remove_writer(self._steady.fileno())
        os.close(self._steady.fileno())

    def _watch(self) -> None:
        """Waits for the terminal's end; not every terminal that goes sends SIGHUP."""
        watch = select.poll()
        watch.register(self.fileno, 0)
        while True:
            if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in watch.poll()):
                break
        cast("MonitorApp", self._app).leaving.ask(HANGUP)

    def _await_room(self) -> None:
        """Has something drawn, and the file thereby notice, once the terminal takes something again."""
        if not self._closed:
            self._loop.add_writer(self._steady.fileno(), self._found_room)

    def _found_room(self) -> None:
        self._loop.remove_writer(self._steady.fileno())
        self._app.refresh(layout=True)

    def _draw_anew(self) -> None:
        self._later(lambda: self._app.refresh(layout=True))

    def _later(self, call: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop has ended
            return

    def _sigtstp_application(self, *_: Any) -> None:
        """Stopping would stop the receiver."""

    def _sigcont_application(self, *_: Any) -> None:
        """There was no stop; the kernel also sends this after a hang-up, when there is nothing to draw on."""
