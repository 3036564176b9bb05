"""The log is written aside: nobody who answers requests waits for it."""

import fcntl
import http.client
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hooklab.commands import logs


def test_a_reader_of_the_log_that_hangs_holds_up_neither_answers_nor_the_end(tmp_path: Path) -> None:
    """Stderr is a pipe that is full and that nobody reads: ready, 200, and SIGTERM ends it with 0 all the same."""
    unread, log = os.pipe()
    os.set_blocking(log, False)
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    os.write(log, bytes(4096))
    os.set_blocking(log, True)
    command: list[str | Path] = [sys.executable, "-m", "hooklab", "serve", "--data-dir", tmp_path / "data"]
    process = subprocess.Popen(
        [*command, "--bind", "127.0.0.1:0", "--token", "short"],  # which it warns about
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        place, _, path = process.stdout.readline().strip().partition("http://")[2].partition("/")
        connection = http.client.HTTPConnection(place, timeout=20)
        connection.request("POST", f"/{path}", b"[]")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(log)
        os.close(unread)


def test_a_traceback_keeps_its_lines_and_a_forged_line_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came from outside stays on its line; the traceback is below and indented, and what an error says, which
    may be anything, begins no line and tells no secret; all of it is there at once after `flush`.
    """
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    handler = logging.FileHandler(tmp_path / "log")
    logs.log_to(handler, logging.INFO)
    try:
        raise ZeroDivisionError("+351987654321\n2026 error forged http://x/hooks/s3cret")  # noqa: TRY301  is wanted
    except ZeroDivisionError:
        logging.getLogger("hooklab").exception("one\n2026 error forged")
    assert logs.flush()
    first, second, *_, error, last = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("error hooklab: one␊2026 error forged")
    assert second == "    Traceback (most recent call last):"
    assert error == "    ZeroDivisionError: +351····4321"
    assert last == "    2026 error forged http://x/hooks/••••"
    handler.close()


def test_what_the_writer_cannot_take_is_dropped_and_told_by_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that hangs: nobody who logs waits, memory is bounded, and flush gives up and says so."""
    import threading

    go = threading.Event()

    class Hanging(logging.Handler):
        written = 0

        def emit(self, record: logging.LogRecord) -> None:
            assert go.wait(60)
            self.written += 1

    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    writer = Hanging()
    logs.log_to(writer, logging.INFO)
    for number in range(3_000):
        logging.getLogger("hooklab").error("line %d", number)
    assert not logs.flush()
    go.set()
    while not logs.flush():
        pass
    assert 1_000 <= writer.written <= 1_001
