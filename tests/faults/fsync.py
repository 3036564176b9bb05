"""The disk fails: syncs and writes end with EIO, once, many times in a row, or every other time, also at the start.

What strace saw proves the opening rule of the design's section 5: after a failure on the journal its WAL was brought
into the file, fsynced and truncated before anything was written to it again, and before the next 200.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support import RunningService

from faults.stage import Figures, Stage, wait_until
from faults.traced import Call, calls_in, traced

_SYNC: Final = "fdatasync,fsync:error=EIO"
_WRITE: Final = "pwrite64:error=EIO"
_FOR_GOOD_SECONDS: Final = 1.5
"""How long a disk that never recovers is looked at."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        inject: what strace is told.
        connections: of the sender; with one, each 200 is for a request made after the one before was answered.
        killed: SIGKILL once the fault was met, and a start on a disk that is well again.
        of_store: only the store's files fail, and only after the start.
    """

    inject: str
    connections: int = 8
    killed: bool = False
    of_store: bool = False


def cases(numbers: Iterable[int]) -> Iterator[Case]:
    """The N-th sync fails, for each N; for some N also those after it, every other one, and writes."""
    for number in numbers:
        yield Case(f"{_SYNC}:when={number}", connections=(8, 1)[number % 2], killed=number % 3 == 0)
        match number % 10:
            case 1 | 6:
                yield Case(f"{_SYNC}:when={number}..{number + 10}", connections=1)
            case 2:
                yield Case(f"{_SYNC}:when={number}+4", connections=1)
            case 4:
                yield Case(f"{_SYNC}:when={number}+2", killed=True)
            case 3 | 7:
                yield Case(f"{_WRITE}:when={number * 7}", connections=1)
            case 8:
                yield Case(f"{_WRITE}:when={number * 7}..{number * 7 + 20}", killed=number % 20 == 8)
            case 5:
                yield Case(f"{_WRITE}:when={number}..{number + 40}", of_store=True)


def run(place: Path, *, chosen: Sequence[Case] | None = None) -> Figures:
    """All cases (or those chosen), each on a folder of its own."""
    seen: Counter[str] = Counter()
    for number, case in enumerate(cases(range(1, 101)) if chosen is None else chosen):
        met = seen["met"]
        try:
            _Trial(place / f"{number}", case, seen).run()
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error
        assert seen["met"] > met, f"{case}: the fault was not met; the load is too small"
    return dict(seen)


class _Trial:
    def __init__(self, place: Path, case: Case, seen: Counter[str]) -> None:
        place.mkdir(parents=True)
        self._case = case
        # Where many requests share a commit, as many syncs want more of them.
        many = "150" if case.connections == 1 else "1200"
        self._load = ("--messages", many, "--seed", place.name, "--connections", str(case.connections))
        self._seen = seen
        self._seen["cases"] += 1
        self._log = place / "strace.log"
        self._stage = Stage(place)
        store = self._stage.folder / "store.db"
        paths = (store, store.with_name("store.db-wal")) if case.of_store else ()
        self._stage.kind = traced(self._log, case.inject, paths=paths)

    def run(self) -> None:
        if self._case.of_store:
            with RunningService(self._stage.folder):  # the files are there before they fail
                pass
        if not self._starts():
            self._seen["failed_starts"] += 1
            self._seen["met"] += 1
            self._stage.kind = RunningService
            self._stage.start()
        with self._stage.running():
            sender = self._stage.simulate(*self._load, "--tries", "1000", "--give-up", "120")
            if self._case.killed and self._stage.kind is not RunningService:
                wait_until(lambda: sender.poll() is not None or self._met(), "the fault", 60)
                time.sleep(_FOR_GOOD_SECONDS if "+2" in self._case.inject else 0)
                self._stage.kill()
                self._check(self._stage.service)
                self._stage.kind = RunningService
                self._stage.start()
                self._seen["killed"] += 1
            figures = self._stage.sent(sender, 180)
            wait_until(lambda: self._stage.service.admin("/ready")[0] == 200, "ready by itself")
            self._stage.service.terminate()
            if self._stage.kind is not RunningService:
                self._check(self._stage.service)
            assert not (self._case.of_store and figures["refused"]), "the store's disk is not the journal's"
            self._stage.kind = RunningService
            self._stage.start()
            found = self._stage.verify()
        self._seen["refused"] += figures["refused"]
        self._seen["acknowledged"] += found["acknowledged"]

    def _starts(self) -> bool:
        """Whether it comes up; else it must have ended with one line."""
        try:
            self._stage.start()
        except AssertionError:
            service = self._stage.service
            error = service.stderr.decode()
            assert service.process.returncode == 1, error
            assert error.startswith("hooklab: "), error
            assert error.count("\n") == 1, error
            return False
        return True

    def _met(self) -> bool:
        return b"(INJECTED)" in self._log.read_bytes()

    def _check(self, service: RunningService) -> None:
        """What a service that met the fault wrote and did."""
        log = service.stderr.decode()
        assert "Traceback" not in log, log
        calls = list(calls_in(self._log, service.process.pid))
        failed = [call for call in calls if call.failed]
        self._seen["faults"] += len(failed)
        self._seen["met"] += bool(failed)
        if _needs_a_word(calls) and not self._case.killed:  # who is killed at once may not have come to say it
            assert "answering 503: the journal cannot be written: disk I/O error" in log, f"not in the log: {log}"
        if any("/store.db" in call.what for call in failed) and self._case.of_store:
            assert "projection waits: disk I/O error" in log, f"not in the log: {log}"
        self._seen["proofs"] += proven(calls, by_answers=self._case.connections == 1)


def _needs_a_word(calls: Sequence[Call]) -> bool:
    """Whether the journal failed while there was something to answer, and not in the last checkpoint, at the end."""
    failed = next((at for at, call in enumerate(calls) if call.failed and "/journal.db" in call.what), len(calls))
    return any('"HTTP/1.1 ' in call.what for call in calls[failed:])


def proven(calls: Iterable[Call], *, by_answers: bool) -> int:
    """How often a failure on the journal was followed by the opening rule before anything else was taken.

    Args:
        calls: in order.
        by_answers: each 200 is for a request made after the answer before it, so that the next one after a failure
            is for what was written after it.

    Raises:
        AssertionError: it was not.
    """
    proofs = 0
    suspect: Call | None = None
    unsynced = False
    for call in calls:
        if call.failed and "/journal.db" in call.what:
            suspect, unsynced = call, unsynced or call.name == "pwrite64"
        elif suspect is None:
            continue
        elif call.name == "pwrite64" and "/journal.db>" in call.what:
            unsynced = True
        elif "sync" in call.name and "/journal.db>" in call.what:
            unsynced = False
        elif call.name == "ftruncate" and "/journal.db-wal>, 0) = 0" in call.what:
            assert not unsynced, f"after {suspect}: the WAL was truncated before its pages were fsynced in the file"
            proofs, suspect = proofs + 1, None
        else:
            again = call.name == "pwrite64" and "/journal.db-wal>" in call.what
            assert not again, f"after {suspect}: {call} before the opening rule"
            answered = by_answers and '"HTTP/1.1 200' in call.what
            assert not answered, f"after {suspect}: a 200 before the opening rule: {call}"
    return proofs
