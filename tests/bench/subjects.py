"""Starts a subject on a fresh folder, loads it, looks at it, stops it: one run of one subject."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from pty_stage import Terminal, hooklab_run, until
from support import TOKEN, RunningService, ask_admin

from bench.load import Load, LoadError, Target, run_load
from bench.references import JOURNAL_FILE, NAIVE_FILE
from bench.report import COUNTED, Run, mismatches
from bench.truth import lost, verify

_POLL_SECONDS: Final = 0.1
"""Between two looks at the lag: each look costs the service a read."""
_COLUMNS, _ROWS = 120, 36


class Bench(Struct, frozen=True):
    """What is the same for every run."""

    folder: Path
    generator: str
    settle: float
    """Seconds between ready and the look at idle memory, after which the load begins."""
    drain_limit: float
    """Seconds that are waited for lag 0."""
    verify: int = 0
    """`hooklab verify` reads what hooklab made of up to so many reports."""


class Cell(Struct, frozen=True):
    """How much is sent at once."""

    reports: int
    connections: int
    seconds: int
    rate: float = 0.0
    """As in `Target`."""


class Reference(RunningService):
    """F, L or N in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder)
        self._name = name

    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.references", self._name, str(self.data_dir)]


class DrainedTerminal(Terminal):
    """A terminal that reads all it is sent, counts it and draws nothing: drawing would take a core's time.

    Attributes:
        caught: what came since it was set to something empty; None while nothing is to be kept.
    """

    def __init__(self, command: list[str | Path]) -> None:
        self.count = 0
        self.caught: bytearray | None = None
        super().__init__(command, _COLUMNS, _ROWS)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.count += len(data)
            caught = self.caught
            if caught is not None:
                caught += data

    def hang_up(self) -> None:
        """Lets the reader come to its end before its descriptor's number can be another's."""
        if self._closed:
            return
        self._closed = True
        os.close(self.slave)
        self.slave = -1
        self._reader.join(5)
        os.close(self.master)


Beside = Callable[[DrainedTerminal, threading.Event], None]
"""Somebody at a terminal until the event is set."""


def run_subject(name: str, cell: Cell, bench: Bench, seed: int) -> Run:
    """One run of one subject; its folder is gone afterwards, whatever happens.

    Raises:
        LoadError: the generator failed.
    """
    folder = bench.folder / str(seed)
    folder.mkdir()
    try:
        return _SUBJECTS[name](name, cell, bench, folder, seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_watched(
    cell: Cell, bench: Bench, seed: int, beside: Callable[[DrainedTerminal, threading.Event], None]
) -> Run:
    """One run of hooklab+TUI, with somebody `beside` in a thread of its own who ends when the event is set.

    Raises:
        LoadError: the generator failed.
    """
    folder = bench.folder / str(seed)
    folder.mkdir()
    try:
        return _watched("hooklab+TUI", cell, bench, folder, seed, beside)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in(folder: Path, cell: Cell, bench: Bench, seed: int) -> Run:
    """One run of hooklab on a folder that may hold much and stays.

    Raises:
        LoadError: the generator failed.
    """
    run = _load_service(cell, bench, folder, seed)
    return msgspec.structs.replace(run, problems=[*run.problems, *lost(folder, run.batches_before)])


def end_left_over(folder: Path) -> None:
    """Kills children of this process that were started on `folder`.

    Whatever is started ends with its `with` block; but Ctrl-C may come after the fork and before that block.
    """
    for entry in Path("/proc").iterdir():
        try:
            ours = f"\nPPid:\t{os.getpid()}\n" in (entry / "status").read_text()
            if ours and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                os.waitpid(int(entry.name), 0)
        except OSError:  # no process, or one that has just ended
            continue


def _reference(name: str, cell: Cell, bench: Bench, folder: Path, seed: int) -> Run:
    service = Reference(name, folder)
    began = time.perf_counter()
    with service:
        start = time.perf_counter() - began
        time.sleep(bench.settle)
        idle = memory(service.process.pid, "VmRSS")
        load = run_load(bench.generator, _target(cell, service.port, service.path, seed))
        peak = memory(service.process.pid, "VmHWM")
    problems = []
    if name == "N":
        rows = _rows(folder / NAIVE_FILE, "reports")
        if not load.answered * cell.reports <= rows <= load.most() * cell.reports or rows % cell.reports:
            problems.append(f"{rows} rows, but {load.answered} to {load.most()} batches of {cell.reports} were sent")
    return Run(load=load, start_seconds=start, idle_kib=idle, peak_kib=peak, problems=problems)


def _journal_loop(name: str, cell: Cell, bench: Bench, folder: Path, seed: int) -> Run:
    target = msgspec.json.encode(_target(cell, 0, "", seed)).decode()
    command = [sys.executable, "-m", "bench.references", name, str(folder), target]
    done = subprocess.run(command, capture_output=True, check=False, timeout=cell.seconds + 60)
    if done.returncode:
        raise LoadError(f"the loop failed: {done.stderr.decode(errors='replace')[-500:]}")
    load = msgspec.json.decode(done.stdout, type=Load)
    rows = _rows(folder / JOURNAL_FILE, "batches")
    problems = [] if rows == load.answered else [f"{rows} rows, but {load.answered} were appended"]
    return Run(load=load, problems=problems)


def _served(name: str, cell: Cell, bench: Bench, folder: Path, seed: int) -> Run:
    run = _load_service(cell, bench, folder, seed)
    return _with_files(run, folder, _target(cell, 0, "", seed), bench.verify)


def _load_service(cell: Cell, bench: Bench, folder: Path, seed: int) -> Run:
    service = RunningService(folder)
    began = time.perf_counter()
    with service:
        start = time.perf_counter() - began
        target = _target(cell, service.port, service.path, seed)
        run = _load_hooklab(target, bench, folder, service.process.pid, lambda: 0)
    return msgspec.structs.replace(run, start_seconds=start)


def _watched(
    name: str,
    cell: Cell,
    bench: Bench,
    folder: Path,
    seed: int,
    beside: Beside = lambda *_: None,
) -> Run:
    with _screen(folder) as terminal:
        status = until(lambda: _status(folder), "the service under the screen does not start")
        place, _, path = status["service"]["local_url"].removeprefix("http://").partition("/")
        target = _target(cell, int(place.rpartition(":")[2]), f"/{path}", seed)
        until(lambda: terminal.count > _COLUMNS * _ROWS, "the screen does not draw")
        with _beside(terminal, beside):
            run = _load_hooklab(target, bench, folder, terminal.process.pid, lambda: terminal.count)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends_with()
    return _with_files(run, folder, target, bench.verify)


@contextlib.contextmanager
def _beside(terminal: DrainedTerminal, who: Beside) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=who, args=(terminal, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _screen(folder: Path) -> Iterator[DrainedTerminal]:
    with DrainedTerminal(hooklab_run(folder, "--token", TOKEN)) as terminal:
        yield terminal


def _load_hooklab(target: Target, bench: Bench, folder: Path, pid: int, drawn: Callable[[], int]) -> Run:
    time.sleep(bench.settle)
    idle = memory(pid, "VmRSS")
    before, counted = drawn(), _status(folder) or {}
    load = run_load(bench.generator, target)
    ended = time.perf_counter()
    drawn_meanwhile = drawn() - before
    status = _status(folder) or {}
    lag = status.get("lag", 0)
    took = 0.0
    while not _is_settled(status) and time.perf_counter() - ended < bench.drain_limit:
        time.sleep(_POLL_SECONDS)
        status = _status(folder) or {}
        took = time.perf_counter() - ended
    return Run(
        load=load,
        idle_kib=idle,
        peak_kib=memory(pid, "VmHWM"),
        lag=lag,
        drain_seconds=took,
        lag_left=status.get("lag", 0),
        terminal_bytes=drawn_meanwhile,
        batches_before=counted.get("batches", 0),
        problems=mismatches(_since(counted, status), load, target.reports),
    )


def _since(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What the counters grew by."""
    return {**now, **{name: now[name] - before.get(name, 0) for name in COUNTED if name in now}}


def _is_settled(status: dict[str, Any]) -> bool:
    return bool(status) and not status["lag"] and not status["queue_depth"]


def _with_files(run: Run, folder: Path, target: Target, most: int) -> Run:
    """`run` with what the files of the stopped service say, since counters are only its own word."""
    problems = list(run.problems)
    batches = _rows(folder / JOURNAL_FILE, "batches")
    if not run.load.answered <= batches <= run.load.most():
        problems.append(f"{batches} batches in the journal, but {run.load.answered} to {run.load.most()} were sent")
    reports = _rows(folder / "store.db", "reports")
    if not run.lag_left and reports != batches * target.reports:
        problems.append(f"{reports} reports in the store, but {batches} batches of {target.reports} in the journal")
    took = None
    if not run.lag_left and batches * target.reports <= most:
        took, found = verify(folder, target, run.load)
        problems += found
    return msgspec.structs.replace(run, problems=problems, verify_seconds=took)


def _target(cell: Cell, port: int, path: str, seed: int) -> Target:
    return Target(port, path, cell.reports, cell.connections, cell.seconds, seed, cell.rate)


def _status(folder: Path) -> dict[str, Any] | None:
    """`/status`; None while nobody answers it."""
    try:
        code, status = ask_admin(folder, "/status")
    except OSError:
        return None
    return status if code == 200 else None


def _rows(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        [(rows,)] = connection.execute(f"SELECT count(*) FROM {table}")
    return int(rows)


def memory(pid: int, field: str) -> int:
    """KiB that `/proc/PID/status` has in a field such as VmRSS or VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise ValueError(f"process {pid} has no {field}")


_SUBJECTS: Final[dict[str, Callable[[str, Cell, Bench, Path, int], Run]]] = {
    "F": _reference,
    "L": _reference,
    "J": _journal_loop,
    "N": _reference,
    "hooklab": _served,
    "hooklab+TUI": _watched,
}
NAMES: Final = tuple(_SUBJECTS)
