"""`hooklab run` or any other program in a real pty, and somebody at its other end who reads, or does not."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte


def until(what: Callable[[], Any], why: str, seconds: float = 30) -> Any:
    """What `what` gives once it is true; fails with `why` when it does not become so."""
    ends = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < ends, why
        time.sleep(0.02)
    return found


def _environment() -> dict[str, str]:
    """This process's, without the size that pytest-xdist names: the pty has its own."""
    return {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}


class Terminal:
    """A pty of a size, with a program in its foreground and a screen that shows what the program draws."""

    def __init__(self, command: Sequence[str | Path], columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._closed = False
        self.received = bytearray()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            # The pty becomes the controlling terminal, so that its end is a hang-up.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no lock is taken there
            env={**_environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.read_on()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
        os.close(self.slave) if self.slave >= 0 else None

    def _read(self) -> None:
        while True:
            self._reading.wait()
            if self._closed:
                return
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self._lock:
                self.received += data
                self._stream.feed(data)

    def text(self) -> str:
        """What is on the screen."""
        with self._lock:
            return "\n".join(self._screen.display)

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Returns once `text` is on the screen."""
        try:
            until(lambda: text in self.text(), "", seconds)
        except AssertionError as error:
            raise AssertionError(f"{text!r} does not appear in:\n{self.text()}") from error

    def keys(self, *keys: str) -> None:
        """Types."""
        for key in keys:
            os.write(self.master, key.encode())
            time.sleep(0.05)  # an escape sequence is told from keys by time

    def resize(self, columns: int, rows: int) -> None:
        """Gives the terminal another size."""
        with self._lock:  # before the program hears of it: it draws at once
            self._screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGWINCH)

    def stop_reading(self) -> None:
        """Nobody reads any more: the pty fills up."""
        self._reading.clear()

    def is_full(self) -> bool:
        """Whether the pty takes nothing more."""
        return not select.select([], [self.slave], [], 0)[1]

    def read_on(self) -> None:
        """Somebody reads again."""
        self._reading.set()

    def hang_up(self) -> None:
        """The other end goes, as when an SSH connection breaks."""
        if self._closed:
            return
        self._closed = True
        self._reading.set()
        os.close(self.slave)
        self.slave = -1
        os.close(self.master)

    def mode_is_restored(self) -> bool:
        """Whether the terminal's modes are those from before."""
        return termios.tcgetattr(self.slave) == self.before

    def ends_with(self, seconds: float = 20) -> int:
        """Waits for the program's end; gives its exit code."""
        return self.process.wait(seconds)

    def cpu_ticks(self) -> int:
        """Clock ticks that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


def hooklab_run(data_dir: Path, *options: str) -> list[str | Path]:
    """The command line of `hooklab run` on a free port."""
    return [sys.executable, "-m", "hooklab", "run", "--data-dir", data_dir, "--bind", "127.0.0.1:0", *options]
