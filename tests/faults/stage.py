"""What the campaigns share: a service that dies and comes back on its port, a sender, a judge, and a sampler."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench.subjects import memory
from support import RunningService

Figures = dict[str, Any]
"""What a campaign measured, by name."""
_VERIFY_SECONDS: Final = 900


class CannotRun(Exception):  # noqa: N818  it is a state of the machine
    """The fault cannot be made here; the text says what is missing."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stage:
    """One data folder in `place`, a service on it that always takes the same port, and the truth about what was sent.

    Attributes:
        folder: the data folder.
        service: the one that runs, or ran last.
        kind: what is started next; it may wrap the service's command, in strace for example.
        restarts: seconds from the start of a service to its ready line, one for each start.
    """

    def __init__(
        self, place: Path, *options: str, folder: Path | None = None, kind: type[RunningService] = RunningService
    ) -> None:
        """`options` go to `serve`."""
        self.folder = folder or place / "data"
        self.truth = place / "truth.jsonl"
        self.restarts: list[float] = []
        self.service: RunningService
        self._options = ("--bind", f"127.0.0.1:{free_port()}", *options)
        self.kind = kind
        self._senders: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ends what runs, as leaving the stage does; for one whose service was started before."""
        try:
            yield
        finally:
            self.__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sender in self._senders:
            if sender.poll() is None:
                sender.kill()
            sender.communicate()
        if self.service.process.poll() is None:
            self.service.terminate()

    def start(self) -> None:
        """Starts a service and waits for its ready line."""
        self.service = self.kind(self.folder, *self._options)
        begun = time.monotonic()
        self.service.start()
        self.restarts.append(time.monotonic() - begun)

    def kill(self) -> None:
        """SIGKILL."""
        self.service.kill()

    def lag(self) -> int:
        """Batches that are not counted yet, by the service's own word: a command that asks the store takes half a
        second of a processor, which the projector then lacks.
        """
        return int(self.service.admin("/status")[1]["lag"])

    def simulate(self, *options: str, truth: Path | None = None) -> "subprocess.Popen[str]":
        """Starts `hooklab simulate` against the service; its output is JSON."""
        command = [sys.executable, "-m", "hooklab", "simulate", "--json", "--url", self.service.url]
        command += ["--truth", str(truth or self.truth), *options]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._senders.append(sender)
        return sender

    def sent(self, sender: "subprocess.Popen[str]", seconds: float = 600) -> Figures:
        """Waits for the simulator's end; all must have been acknowledged."""
        out, error = sender.communicate(timeout=seconds)
        assert sender.returncode == 0, error
        figures: Figures = json.loads(out)
        return figures

    def verify(self, *options: str, truth: Path | None = None) -> Figures:
        """Has `hooklab verify` compare folder and truth; nothing may differ."""
        command = [sys.executable, "-m", "hooklab", "verify", "--json", "--data-dir", str(self.folder)]
        command += ["--truth", str(truth or self.truth), "--wait", str(_VERIFY_SECONDS), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * _VERIFY_SECONDS)
        assert done.returncode == 0, f"verify: {done.stdout[-4000:]} {done.stderr[-2000:]}"
        figures: Figures = json.loads(done.stdout)
        return figures


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> float:
    """Polls until `holds` says so; gives the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"it does not come: {what}"
        time.sleep(0.02)
    return time.monotonic() - begun


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    return memory(pid, "VmRSS") / 1024


def peak_mib(pid: int) -> float:
    """The most that a process was ever resident with."""
    return memory(pid, "VmHWM") / 1024


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
