"""The log: written aside, so that nobody who answers requests waits for it; what its lines say, and never say."""

import fcntl
import http.client
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from support import TOKEN, RunningService

from hooklab import __version__
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
    logs.log_to(handler)
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
    logs.log_to(writer)
    for number in range(3_000):
        logging.getLogger("hooklab").error("line %d", number)
    assert not logs.flush()
    go.set()
    while not logs.flush():
        pass
    assert 1_000 <= writer.written <= 1_001


# What a line says --------------------------------------------------------------------------------------------------

HOSTILE = 'one\n{"level":"info"}\r\x1b[2J\x1b]52;c;aGk=\x07\u2028two\u202e\ud800\x85"end'
PHONE = "351911222333"


def lines_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: logs.LogFormat) -> Callable[[], list[str]]:
    """Logs to a file in one form; gives what reads its lines."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8", errors="backslashreplace")
    logs.log_to(handler, form)

    def read() -> list[str]:
        assert logs.flush()
        handler.close()
        return (tmp_path / "log").read_text("utf-8").split("\n")[:-1]

    return read


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_from_outside_forges_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: logs.LogFormat
) -> None:
    """Line breaks of every kind, escape sequences and half characters, in a message and in an error's text."""
    read = lines_of(tmp_path, monkeypatch, form)
    logging.getLogger("hooklab.x").warning("a file %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301  a traceback is wanted
    except ValueError:
        logging.getLogger("hooklab.x").exception("an error")
    written = read()
    assert all(line.isprintable() and "\x1b" not in line for line in written)
    if form == "json":
        assert len(written) == 2
        records = [json.loads(line) for line in written]
        assert [record.keys() - {"exception"} for record in records] == [{"time", "level", "logger", "message"}] * 2
        assert [(record["level"], record["logger"]) for record in records] == [
            ("warning", "hooklab.x"),
            ("error", "hooklab.x"),
        ]
        assert records[0]["message"].startswith('a file one␊{"level":"info"}␍␛[2J')
        assert records[1]["exception"].startswith("Traceback (most recent call last):\n")
    else:
        assert sum(" hooklab.x: " in line for line in written) == 2
        assert written[1].endswith(" error hooklab.x: an error")
        assert written[2] == "    Traceback (most recent call last):"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_and_no_number_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: logs.LogFormat
) -> None:
    """A hook URL's token and a URL's password, whoever logs them; in others' words, and in an error's, phone numbers.
    A name of ours with digits, such as a file's, stays.
    """
    read = lines_of(tmp_path, monkeypatch, form)
    logging.getLogger("hooklab").warning("posted to 'http://x/hooks/s3cret-t0ken/late', not https://u:s3cret@x/")
    logging.getLogger("hooklab").warning("kept as store.db.20261201093000 of 123456789012 bytes")
    logging.getLogger("asyncio").error("never retrieved: KeyError('%s') at +%s", PHONE, PHONE)
    try:
        raise KeyError(PHONE, "http://x/hooks/s3cret-t0ken")  # noqa: TRY301  a traceback is wanted
    except KeyError:
        logging.getLogger("hooklab").exception("failed")
    written = "\n".join(read())
    assert "s3cret" not in written
    assert "http://x/hooks/••••/late', not https://····@x/" in written
    assert PHONE not in written
    assert "KeyError('3519····2333') at +351····2333" in written
    assert "store.db.20261201093000 of 123456789012 bytes" in written


def test_only_what_matters_of_others_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From INFO on of hooklab, from WARNING on of its libraries, and nothing of the server's, which has the path."""
    read = lines_of(tmp_path, monkeypatch, "text")
    for name in ("hooklab.x", "asyncio", "aiosqlite", "uvicorn.error"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s", logging.getLevelName(level))
    said = [line.partition(",")[2].partition(" ")[2] for line in read()]
    assert said == [
        "info hooklab.x: INFO",
        "warning hooklab.x: WARNING",
        "warning asyncio: WARNING",
        "warning aiosqlite: WARNING",
    ]


def test_a_start_says_where_and_how(tmp_path: Path) -> None:
    """The first line: version, addresses, folder and what is not as by default; on stdout nothing but the ready line.
    A folder's name and a setting cannot make it say something else, and the token is masked.
    """
    folder = tmp_path / "data\n; token=x"
    options = ("--stuck-after", "90m", "--public-url", "https://x.example", "--sent-at-key", "a, b=1\x1b")
    with RunningService(folder, *options) as service:
        assert service.url == f"https://x.example/hooks/{TOKEN}"
        assert service.terminate() == 0
    first, last = (json.loads(line) for line in service.log.splitlines())
    port = re.search(r"listens on 127\.0\.0\.1:([1-9]\d+),", first["message"])
    assert port is not None
    assert first["message"] == (
        f"hooklab {__version__} receives at https://x.example/hooks/••••, listens on 127.0.0.1:{port[1]},"
        f" data in '{str(folder).replace(chr(10), '␊')}'; token=····, stuck_after=90m, sent_at_key='a, b=1␛'"
    )
    assert (first["level"], first["logger"]) == ("info", "hooklab")
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert last["message"] == "stopping"


@pytest.mark.parametrize("setting", ["auto", "text", "json"])
def test_a_terminal_gets_text_and_all_else_json(tmp_path: Path, setting: str) -> None:
    """On a terminal a line is for people, elsewhere for programs; `HOOKLAB_LOG_FORMAT` has the last word."""
    ours, theirs = os.openpty()
    for stream, by_itself in ((theirs, "text"), (subprocess.PIPE, "json")):
        process = subprocess.Popen(
            [sys.executable, "-m", "hooklab", "serve", "--bind", "127.0.0.1:0", "--data-dir", tmp_path / "data"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            env={**os.environ, "HOOKLAB_LOG_FORMAT": setting},
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"hooklab: ready ")
        process.terminate()
        _, errors = process.communicate(timeout=20)
        said = (errors if stream == subprocess.PIPE else os.read(ours, 65536)).decode().splitlines()[0]
        if (by_itself if setting == "auto" else setting) == "json":
            assert json.loads(said)["level"] == "info"
        else:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} info hooklab: hooklab .*", said)
    os.close(ours)
    os.close(theirs)


def test_the_journal_of_systemd_gets_json_with_a_priority_and_no_token(tmp_path: Path) -> None:
    """Where stderr and stdout are systemd's journal, each line begins with the level as it wants it, also the ready
    line has no token.
    """
    said = tmp_path / "said"
    with said.open("wb") as file:
        found = os.fstat(file.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "hooklab", "serve", "--bind", "127.0.0.1:0", "--data-dir", tmp_path / "data"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", "HOOKLAB_TOKEN": "sh0rt"},
        )
    ends = time.monotonic() + 20
    while b"hooklab: ready" not in said.read_bytes() or b"\n" not in said.read_bytes().partition(b"ready")[2]:
        assert time.monotonic() < ends, said.read_bytes()
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=20)
    lines = said.read_text().splitlines()
    assert sorted(line[:4] for line in lines) == ["<4>{", "<6>{", "<6>{", "hook"]
    assert all(json.loads(line[3:]) for line in lines if line.startswith("<"))
    assert "sh0rt" not in said.read_text()
