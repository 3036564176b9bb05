"""The disk stalls: a sync of the journal that takes very long, and a whole file system that is frozen."""

import http.client
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Self

from support import RunningService

from faults.machine import MIB, loop_disk, require
from faults.stage import Figures, Stage, resident_mib, wait_until
from faults.traced import traced

MOST_MIB: Final = 170
"""Resident memory beyond which it counts as unbounded: bodies in flight, the queue included, may hold 64 MiB."""
_BODY: Final = b"[" + b" " * 3 * MIB + b"]"
_CLIENTS: Final = 64
"""With their bodies some 200 MiB, if all were taken."""
_DISK: Final = 1024 * MIB


def run(place: Path, *, seconds: float = 30.0, options: tuple[str, ...] = ()) -> Figures:
    """Stalls for `seconds` in both ways; `options` go to the service, such as another ``--commit-timeout``."""
    figures = {f"sync_{name}": value for name, value in by_sync(place / "sync", seconds, options).items()}
    return figures | {
        f"frozen_{name}": value for name, value in by_frozen(place / "frozen", seconds, options).items()
    }


def by_sync(place: Path, seconds: float, options: tuple[str, ...]) -> Figures:
    """One sync of the journal's WAL waits in the kernel; all else on the disk goes on."""
    place.mkdir(parents=True, exist_ok=True)
    wal, log = place / "data" / "journal.db-wal", place / "strace.log"
    stage = Stage(place, *options)
    with RunningService(stage.folder):
        pass
    late = f"fdatasync:delay_enter={int(seconds * 1e6)}:when=40"
    stage.kind = traced(log, late, paths=(wal,), calls="fdatasync")
    with stage:
        return _stalled(stage, _by_waiting(stage, log), seconds)


@contextmanager
def _by_waiting(stage: Stage, log: Path) -> Iterator[None]:
    """From the call's beginning, which nobody tells but a request that waits, to its end in strace's log."""
    wait_until(lambda: stage.service.admin("/ready")[0] == 503, "a sync that is late", 60)
    yield
    wait_until(lambda: b"(DELAYED)" in log.read_bytes(), "the end of the sync", 120)


def by_frozen(place: Path, seconds: float, options: tuple[str, ...]) -> Figures:
    """Nothing can be written to the file system on which the folder lies."""
    with loop_disk(place, _DISK) as disk, Stage(place, *options, folder=disk / "data") as stage:
        return _stalled(stage, frozen(disk), seconds)


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    """A file system that holds up whoever writes."""
    require("fsfreeze", package="util-linux")
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)


def _stalled(stage: Stage, stall: AbstractContextManager[None], seconds: float) -> Figures:
    """Posts before, during and after, and measures."""
    sender = stage.simulate("--messages", "2000", "--rate", "100", "--tries", "1000", "--give-up", "300")
    with Sampler(stage.service.process.pid) as sampler:
        wait_until(lambda: stage.service.settled()["batches"] > 10, "the load")
        with stall:
            begun = time.monotonic()
            flood = Flood(stage.service)
            wait_until(lambda: stage.service.admin("/ready")[0] == 503, "not ready", 60)
            flood.join(60)
            time.sleep(max(begun + seconds - time.monotonic(), 0))  # the fault lasts
        back = wait_until(lambda: stage.service.admin("/ready")[0] == 200, "ready by itself", 30)
        figures = stage.sent(sender, 180)
        stage.service.settled(60)
    refused = stage.service.admin("/status")[1]["refused"]
    found = stage.verify("--others-allowed")
    assert set(refused) == {"503"}, refused
    assert set(flood.answers) <= {200, 503}, flood.answers
    assert flood.answers[503], "nothing was refused in the stall"
    assert flood.answers[200] <= found["others"] <= _CLIENTS, "what was answered 200 in the stall is not there"
    assert sampler.most < MOST_MIB, f"{sampler.most:.0f} MiB resident"
    return {
        "stall_s": seconds,
        "refused": refused["503"],
        "first_503_s": round(min(flood.waits), 2),
        "last_503_s": round(max(flood.waits), 2),
        "ready_after_s": round(back, 2),
        "memory_before_mib": round(sampler.first),
        "memory_most_mib": round(sampler.most),
        "acknowledged": figures["acknowledged"],
    }


class Flood:
    """Clients that each post one large body while the disk stalls.

    Attributes:
        answers: how many answers of each code came.
        waits: seconds until each 503.
    """

    def __init__(self, service: RunningService) -> None:
        """All at once."""
        self.answers: Counter[int] = Counter()
        self.waits: list[float] = []
        self._service = service
        self._threads = [threading.Thread(target=self._post, daemon=True) for _ in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _post(self) -> None:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=60)
        try:
            connection.request("POST", self._service.path, _BODY)
            status = connection.getresponse().status
        finally:
            connection.close()
        self.answers[status] += 1
        if status == 503:
            self.waits.append(time.monotonic() - begun)

    def join(self, seconds: float) -> None:
        """All have their answer while the disk still stalls."""
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0))
            assert not thread.is_alive(), "a request gets no answer in the stall"


class Sampler:
    """Resident memory of a process, looked at ten times a second.

    Attributes:
        first: MiB at the beginning.
        most: MiB at most.
    """

    def __init__(self, pid: int) -> None:
        """Looks once."""
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.first = self.most = resident_mib(pid)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, resident_mib(self._pid))
