"""Slow clients: slowhttptest's head, body and read modes, beside an honest sender."""

import http.client
import os
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support import TOKEN, RunningService, body_of, hooklab, pair

from faults.stage import CannotRun, Figures, peak_mib, quantile, wait_until

MINUTES: Final = 6.0
CONNECTIONS: Final = 500
AT_MOST: Final = {"p99_ms": 1000.0, "few_p99_ms": 1000.0, "peak_mib": 160.0}
FEW_FILES: Final = 128
_HONEST: Final = "127.0.0.9"
_ROOM: Final = 16
"""Descriptors that must be left, whatever comes."""
HOOK: Final = f"/hooks/{TOKEN}"
MODES: Final = {
    "head": ("-H", "-t", "POST", "-i", "2", "-x", "8", "-p", "5"),
    "body": ("-B", "-t", "POST", "-i", "2", "-x", "8", "-s", "100000", "-p", "5"),
    "read": ("-X", "-t", "POST", "-i", "2", "-n", "2", "-z", "8", "-w", "8", "-y", "16", "-k", "10", "-p", "5"),
}
"""slowhttptest's options by mode."""


class Few(RunningService):
    """A service that may open 128 files, standing for any limit that is reached."""

    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={FEW_FILES}", *super().command()]


class Honest:
    """Posts some batches a second on one connection, from an address of its own; opens another if that one ends."""

    def __init__(self, port: int, every: float = 0.1) -> None:
        self._port = port
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def p99_ms(self) -> float:
        return round(quantile(self.seconds, 0.99) * 1000, 1)

    def _run(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20, source_address=(_HONEST, 0))
            self.connections += 1
            try:
                while not self._over.wait(self._every):
                    self._post(connection)
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
            finally:
                connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> None:
        began = time.perf_counter()
        connection.request("POST", HOOK, body_of(pair()))
        answer = connection.getresponse()
        answer.read()
        self.seconds.append(time.perf_counter() - began)
        self.answers[str(answer.status)] += 1


class Files:
    """How many descriptors a service has open, at most, while the block runs."""

    def __init__(self, service: RunningService) -> None:
        self.pid = service.process.pid
        self.limit = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[0]
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self.now())


@contextmanager
def held(port: int, count: int, said: bytes, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """So many connections that say this and no more."""
    open_: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
            open_.append(one)
            with suppress(ConnectionError):
                one.sendall(said)
        yield open_
    finally:
        for one in open_:
            one.close()


def attack(mode: str, port: int, path: str, connections: int, seconds: int) -> None:
    """Slowhttptest for so many seconds; it ends early where the service does not answer its probe any more, or has
    closed all connections.
    """
    if shutil.which("slowhttptest") is None:
        raise CannotRun("slowhttptest is not here (apt install slowhttptest)")
    command = ["slowhttptest", *MODES[mode], "-c", str(connections), "-r", "250", "-l", str(seconds), "-v", "1"]
    ends = time.monotonic() + seconds
    while (left := int(ends - time.monotonic())) >= 1:
        command[command.index("-l") + 1] = str(left)
        done = subprocess.run(
            [*command, "-u", f"http://127.0.0.1:{port}{path}"],
            capture_output=True,
            check=False,
            timeout=seconds + 60,
        )
        assert done.returncode == 0, done.stdout[-2000:]


def is_idle(service: RunningService) -> float:
    """Processor seconds that a service takes in one second in which nobody asks."""
    before = _cpu_ticks(service.process.pid)
    time.sleep(1)
    return (_cpu_ticks(service.process.pid) - before) / os.sysconf("SC_CLK_TCK")


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def is_well(service: RunningService) -> None:
    """Commands work, nobody is refused, nothing spins, and the log is short."""
    wait_until(lambda: service.post(b"[]")[0] == 200, "a 200")
    for command in ("stats", "doctor", "batches"):
        done = hooklab(command, data_dir=service.data_dir)
        assert done.returncode == 0 or command == "doctor", (command, done.stderr)
        assert b"Traceback" not in done.stderr
    service.settled(60)
    assert is_idle(service) < 0.5
    assert service.terminate() == 0
    assert len(service.stderr.splitlines()) <= 10, service.stderr[-2000:]
    assert b"Traceback" not in service.stderr


def run(place: Path, *, minutes: float = MINUTES, connections: int = CONNECTIONS) -> Figures:
    """Each mode with the right token and with a wrong one, first with many descriptors and then with 128."""
    seconds = max(int(minutes * 60 / len(MODES) / 4), 2)
    figures: Figures = {"connections": connections, "seconds_each": seconds}
    for name, kind in (("", RunningService), ("few_", Few)):
        with kind(place / f"{name}data") as service:
            with Files(service) as files, Honest(service.port) as honest:
                for mode in MODES:
                    for path in (HOOK, "/hooks/wrong"):
                        attack(mode, service.port, path, connections, seconds)
            figures |= {
                f"{name}answers": dict(honest.answers),
                f"{name}honest_connections": honest.connections,
                f"{name}p99_ms": honest.p99_ms(),
                f"{name}most_files": files.most,
                f"{name}limit_of_files": files.limit,
                f"{name}refused": service.admin("/status")[1]["refused"],
            }
            figures["peak_mib"] = max(figures.get("peak_mib", 0), round(peak_mib(service.process.pid)))
            assert set(honest.answers) == {"200"}, figures
            assert files.most <= files.limit - _ROOM, figures
            assert honest.p99_ms() < 10_000, figures
            is_well(service)
    return figures
