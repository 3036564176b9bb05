"""`make demo`: hooklab in this terminal on a folder that goes with it, fed with the samples and then a gentle stream.

Wants nothing but hooklab itself. However it ends, neither a process nor a folder is left.
"""

import asyncio
import contextlib
import http.client
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lives import Post, play, samples, stream

from hooklab.admin_client import ask_service
from hooklab.commands.common import clock
from hooklab.commands.run import _has_terminal
from hooklab.commands.send import Hook, post
from hooklab.config import load_settings
from hooklab.files import Folder
from hooklab.service import ServiceError, ServiceThread

HOOKLAB: Final = (sys.executable, "-m", "hooklab")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SEED: Final = 4711
_BEFORE: Final = 44
"""Seconds of the stream that have passed when the screen opens: finals then come as often as messages do."""
_STUCK_AFTER: Final = "2m"
"""Short, so that a stuck message can be seen."""
_START_SECONDS: Final = 30
_END_SECONDS: Final = 4
_END_TRIES: Final = 3
"""A service has 10 s to end."""
_TRIES: Final = 15

_WELCOME: Final = """\
This is a demo of hooklab: the reports are made up, and nothing is kept.
`q` and then `s` leaves. The screen opens in a moment ..."""
_FAREWELL: Final = "The demo is over and has left nothing behind. `make run` starts hooklab for your own reports."
_NO_TERMINAL: Final = "the demo needs a terminal, in its foreground; without one use: hooklab serve, hooklab send"
_RESET: Final = b"\x1b[?1049l\x1b[?25h\x1b[?1000;1003;1004;1006;1015;2004;2048l\x1b[<u\x1b[0m"
"""Undoes what Textual asks of a terminal: alternate screen, no cursor, mouse, focus, paste, resize, keys, colours."""


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Demo:
    """hooklab in the foreground, and who feeds it. All that ends it sets `_over`."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._over = threading.Event()
        self._asked = False
        self._failure: Exception | None = None

    def run(self) -> int:
        """Returns when all has ended; gives the exit code."""
        woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)  # not here: a handler that waits for a lock may wait for itself
        threading.Thread(target=self._watch, args=(woken,), daemon=True).start()
        with tempfile.TemporaryDirectory(prefix="hooklab-demo-") as place:
            code = self._run_in(place)
        for number in _SIGNALS:  # what comes now finds nothing to end, but for the exit code
            signal.signal(number, signal.SIG_IGN)
        return self._explain(code)

    def _watch(self, woken: int) -> None:
        """Waits for a signal, or for the terminal's end, of which not every terminal sends one."""
        watch = select.poll()
        watch.register(woken, select.POLLIN)
        watch.register(0, 0)
        watch.poll()
        self._asked = True
        self._over.set()

    def _run_in(self, place: str) -> int:
        options = {"data_dir": place, "bind": "127.0.0.1:0", "stuck_after": _STUCK_AFTER}
        posts = stream(random.Random(_SEED), time.time() - _BEFORE)
        try:
            self._fill(options, posts)
        except (DemoError, ServiceError) as error:
            self._failure = error
        return 0 if self._over.is_set() or self._failure else self._show(options, posts)

    def _fill(self, options: dict[str, str], posts: Iterator[Post]) -> None:
        """Before the screen opens, which would take all this for a rate of a thousand reports a second."""
        thread = ServiceThread(load_settings(options, {}), clock)
        try:
            feeder = Feeder(thread.start().local_url, self._over)
            for body in samples():
                feeder.send(body)
            for one in posts:
                feeder.send(one.body, one.label)
                if one.at > _BEFORE or self._over.is_set():
                    break
        finally:
            thread.stop()

    def _show(self, options: dict[str, str], posts: Iterator[Post]) -> int:
        modes = termios.tcgetattr(0)
        process = subprocess.Popen(
            [*HOOKLAB, "run", *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())],
            env={name: value for name, value in os.environ.items() if not name.startswith("HOOKLAB_")},
        )
        threading.Thread(target=self._feed, args=(Folder(Path(options["data_dir"])), posts), daemon=True).start()
        threading.Thread(target=self._end, args=(process,), daemon=True).start()
        code = process.wait()
        self._over.set()
        if code:
            _mend_terminal(modes, _RESET if code < 0 else b"")
        return code

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """When it is over; a service outlives its terminal, a demo does not."""
        self._over.wait()
        for _ in range(_END_TRIES):  # a hang-up in the same moment may hide what is asked
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
                return
        process.kill()

    def _explain(self, code: int) -> int:
        if self._failure is not None:
            known = isinstance(self._failure, DemoError | ServiceError)
            _say(2, str(self._failure) if known else "".join(traceback.format_exception(self._failure)))
            return 1
        if self._asked:
            return 1 if code == -signal.SIGKILL else 0
        if code < 0:
            _say(2, f"hooklab was ended by {signal.Signals(-code).name}")
            return 1
        if code == 0:
            _say(1, _FAREWELL)
        return code

    def _feed(self, folder: Folder, posts: Iterator[Post]) -> None:
        try:
            url = self._wait_for_url(folder)
            play(posts, Feeder(url, self._over).send, self._over, _BEFORE)
        except Exception as error:  # whatever it is: a demo that nobody feeds ends
            if not self._over.is_set():
                self._failure = error
                self._over.set()

    def _wait_for_url(self, folder: Folder) -> str:
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and not self._over.wait(0.02):
            found = asyncio.run(ask_service(folder))
            if found is not None:
                return found.local_url
        raise DemoError(f"hooklab has not started within {_START_SECONDS} s")


class Feeder:
    """Posts, and again what is not taken, as a provider does; for a while."""

    def __init__(self, url: str, over: threading.Event) -> None:
        """To the hook URL `url`, until it is `over`."""
        self._url = url
        self._over = over

    def send(self, body: bytes, label: str | None = None) -> None:
        """Returns once it was answered with anything but 503, or it is over.

        Raises:
            DemoError: nobody takes it.
        """
        answer: Any = None
        for _ in range(_TRIES):
            try:
                status, answer = post(Hook(f"{self._url}/{label}" if label else self._url), body)
                if status != 503:
                    return
            except (OSError, http.client.HTTPException) as error:
                answer = f"{type(error).__name__}: {error}"
            if self._over.wait(1):
                return
        raise DemoError(f"hooklab takes no reports: {answer}")


def _mend_terminal(modes: list[Any], reset: bytes) -> None:
    """Does what hooklab, when it was killed, could not."""
    with contextlib.suppress(termios.error, OSError):  # it is gone
        termios.tcflush(1, termios.TCOFLUSH)  # one that takes nothing must not hold this up
        termios.tcsetattr(0, termios.TCSANOW, modes)
        os.write(1, reset)


def _say(fd: int, text: str) -> None:
    """Unbuffered: what a terminal that is gone does not take is not tried again at exit."""
    with contextlib.suppress(OSError):
        os.write(fd, f"{text.rstrip()}\n".encode())


def main() -> int:
    """Shows the demo; gives the exit code."""
    if not _has_terminal():
        _say(2, _NO_TERMINAL)
        return 1
    _say(1, _WELCOME)
    return Demo().run()


if __name__ == "__main__":
    sys.exit(main())
