"""What systemd hears of a service, on a socket of its protocol."""

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import RunningService

from hooklab.commands.supervised import keep_telling
from hooklab.journal.base import JournalUnavailable, NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.notify import Notifier


class Ear:
    """A manager's socket."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self._socket.recv(4096).decode().split("\n")

    def hear_until(self, wanted: str) -> list[list[str]]:
        """All messages up to the one with the line `wanted`."""
        heard = [self.hear()]
        while wanted not in heard[-1]:
            heard.append(self.hear())
        return heard

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    """A socket in either of the two places where systemd has it."""
    made = Ear(str(tmp_path / "notify") if request.param == "a path" else f"@hooklab-test-{os.getpid()}")
    yield made
    made.close()


def test_a_service_says_when_it_accepts_lives_and_stops(ear: Ear, tmp_path: Path) -> None:
    """READY once a request is answered; then signs of life; STOPPING at SIGTERM. The status has no token."""
    environment = {"NOTIFY_SOCKET": ear.name, "WATCHDOG_USEC": "200000"}
    with RunningService(tmp_path / "data", environment=environment) as service:
        assert ear.hear() == ["READY=1", f"STATUS=receiving on 127.0.0.1:{service.port}"]
        assert service.post(b"[]")[0] == 200
        assert [ear.hear() for _ in range(3)] == [["WATCHDOG=1"]] * 3
        assert service.terminate() == 0
    *before, last = ear.hear_until("STOPPING=1")
    assert all(message == ["WATCHDOG=1"] for message in before)
    assert last == ["STOPPING=1", "STATUS=stopping"]


def test_a_service_that_answers_503_lives(tmp_path: Path) -> None:
    """A journal that cannot be written is no reason for a restart: the status says why, and the signs of life go on;
    the status changes when it can be written again.
    """
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(b"[]")
    ear = Ear(str(tmp_path / "notify"))
    environment = {"NOTIFY_SOCKET": ear.name, "WATCHDOG_USEC": "200000"}
    with (
        contextlib.closing(sqlite3.connect(folder / "journal.db")) as reader,
        RunningService(folder, "--commit-timeout", "1", environment=environment) as service,
    ):
        ear.hear_until("READY=1")
        reader.execute("BEGIN EXCLUSIVE")
        assert service.post(b"[]")[0] == 503
        while not ear.hear()[0].startswith("STATUS=answering 503: "):
            pass
        assert [ear.hear() for _ in range(3)] == [["WATCHDOG=1"]] * 3
        reader.rollback()
        ear.hear_until(f"STATUS=receiving on 127.0.0.1:{service.port}")
        assert service.post(b"[]")[0] == 200
    ear.close()


@pytest.mark.parametrize(
    ("environment", "heard", "watchdog"),
    [
        ({}, False, None),
        ({"NOTIFY_SOCKET": ""}, False, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, False, None),
        ({"NOTIFY_SOCKET": "relative"}, False, None),
        ({"NOTIFY_SOCKET": "@"}, False, None),
        ({"NOTIFY_SOCKET": "/x"}, True, None),
        ({"WATCHDOG_USEC": "1000000"}, False, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1500000"}, True, 1.5),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, True, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-1"}, True, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9" * 5000}, True, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "\u0661"}, True, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "11"}, True, 1.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "10"}, True, 1.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "9"}, True, None),
    ],
)
def test_the_environment_says_who_listens(environment: dict[str, str], heard: bool, watchdog: float | None) -> None:
    """Whatever stands there; of a single file the watched process is the parent."""
    notifier = Notifier.of(environment, frozenset({10, 11}))
    assert (notifier.is_heard(), notifier.watchdog) == (heard, watchdog)


def test_a_manager_that_is_gone_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No socket, a path that is none, one that is too long: one warning, however often it is tried."""
    for address in (str(tmp_path / "nothing"), "/x\0y", "/" + "x" * 200):
        caplog.clear()
        notifier = Notifier(address, 1.0)
        with caplog.at_level(logging.WARNING):
            notifier.ready("x")
            notifier.alive()
            notifier.stopping()
        assert len(caplog.records) == 1, address


def test_a_status_cannot_forge_a_line(tmp_path: Path) -> None:
    """A status is one line, and is told once."""
    ear = Ear(str(tmp_path / "notify"))
    notifier = Notifier(ear.name)
    for status in ("a\nMAINPID=1\u2028b\ud800", "a\nMAINPID=1\u2028b\ud800", "c" * 5000, "d"):
        notifier.status(status)
    assert ear.hear() == ["STATUS=a␊MAINPID=1\ufffdb\ufffd"]
    assert ear.hear() == ["STATUS=" + "c" * 199 + "…"]
    assert ear.hear() == ["STATUS=d"]
    ear.close()


# Whether it lives ------------------------------------------------------------------------------------------------


def batch() -> NewBatch:
    """Some batch."""
    return NewBatch(received_at=1, peer="127.0.0.1", label=None, malformed=False, headers="[]", body=b"[]", took_ms=0)


async def test_a_full_disk_is_answered_and_a_dead_writer_is_not(tmp_path: Path) -> None:
    """A journal without room answers, that it cannot; one whose writer died, or that forgot who waits, does not."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits(), room=lambda _: (0, 2**40))
    with pytest.raises(JournalUnavailable):
        await journal.append(batch())
    assert journal.answers()
    journal._task.cancel()
    await asyncio.wait({journal._task})
    assert not journal.answers()
    await journal._reader.close()
    await journal._writer.close()


async def test_a_queue_that_nobody_works_off_is_no_life(tmp_path: Path) -> None:
    """What waits for longer than a commit may take, by far, was forgotten."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits(commit_timeout=8))
    waiting = asyncio.create_task(journal.append(batch()))
    await waiting
    assert journal.answers()
    journal._queue.append(SimpleNamespace(since=asyncio.get_running_loop().time() - 17))  # type: ignore[arg-type]
    assert journal.answers()
    journal._queue[0].since -= 2
    assert not journal.answers()
    journal._queue.clear()
    await journal.close()


async def test_without_answers_there_is_no_sign_of_life(tmp_path: Path) -> None:
    """The sign of life stops with the answers, and the status says so; `stop` ends the telling."""
    ear = Ear(str(tmp_path / "notify"))
    alive = True
    status = SimpleNamespace(listens_on="x", problem=None)
    service: Any = SimpleNamespace(journal=SimpleNamespace(answers=lambda: alive), status=lambda: status)
    stop = asyncio.Event()
    telling = asyncio.create_task(keep_telling(service, Notifier(ear.name, 0.02), stop))
    hearing = asyncio.to_thread
    assert await hearing(ear.hear) == ["READY=1", "STATUS=receiving on x"]
    assert await hearing(ear.hear) == ["WATCHDOG=1"]
    alive = False
    assert (await hearing(ear.hear_until, "STATUS=what was received waits, and nobody writes it"))[-1]
    ear._socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        await hearing(ear.hear)
    stop.set()
    await telling
    ear.close()
