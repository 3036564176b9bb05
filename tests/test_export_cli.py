"""`hooklab export` on a real data folder, with real files and pipes."""

import csv
import io
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pty_stage import Terminal
from support import RunningService, body_of, hooklab, report

from hooklab.admin_client import no_service
from hooklab.commands.common import clock
from hooklab.export.pages import pages
from hooklab.files import Folder
from hooklab.monitor import FolderMonitor
from hooklab.store.base import ALL, MessageRow

MESSAGES = 2500
"""Some pages, and more than a pipe holds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Messages of a service that has ended."""
    data_dir = tmp_path_factory.mktemp("export") / "data"
    with RunningService(data_dir) as service:
        hostile = {"ReportDescription": '=HYPERLINK("x")\x1b[2J\u202e', "Msisdn": "+351913462111"}
        service.post(body_of([report(**hostile, CustomPayload="one\nçedilha\x00"), report(status="NOT_DELIVERED")]))
        for first in range(2, MESSAGES, 1000):
            orders = range(first, min(first + 1000, MESSAGES))
            service.post(body_of([report(CustomPayload=f"order {number}") for number in orders]))
        service.settled()
    return data_dir


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def _command(folder: Path, *options: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "hooklab", "export", "--data-dir", folder, *options]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize("words", [(), ("state:not_delivered",), ("custom:order", "to:351900", "since:1h")])
def test_json_lines_are_those_of_messages(folder: Path, words: tuple[str, ...]) -> None:
    """Byte for byte what `messages --json` prints without a limit."""
    told = hooklab("messages", *words, "--json", "--limit", "1000000", data_dir=folder).stdout
    done = hooklab("export", *words, "--format", "jsonl", data_dir=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == told
    assert told.count(b"\n") == {0: MESSAGES, 1: 1, 3: MESSAGES - 1}[len(words)]


def test_csv_into_a_file(folder: Path, tmp_path: Path) -> None:
    """Its rows are the messages; what is hostile in them harms neither a spreadsheet nor a terminal."""
    path = tmp_path / "x.csv"
    done = hooklab("export", "--output", path, data_dir=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{MESSAGES:,} messages, phone numbers whole, in {path}\n"
    rows = read_csv(path.read_bytes())
    assert len({one["message_id"] for one in rows}) == MESSAGES == len(rows)
    (odd,) = [one for one in rows if one["msisdn"] == "+351913462111"]
    assert odd["description"] == '\'=HYPERLINK("x")␛[2J\ufffd'
    assert odd["custom_payload"] == "one\nçedilha␀"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["x.csv"]


def test_masked(folder: Path) -> None:
    """No number leaves whole."""
    done = hooklab("export", "--mask", data_dir=folder)
    assert b"351913462111" not in done.stdout
    assert {one["msisdn"] for one in read_csv(done.stdout)} == {"+351····2111", "3519····0123"}


def test_a_file_is_replaced_only_by_force(folder: Path, tmp_path: Path) -> None:
    """Without it one line says so, before anything is read; the ending names the format."""
    path = tmp_path / "x.jsonl"
    path.write_text("mine")
    done = hooklab("export", "state:not_delivered", "--output", path, data_dir=folder)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"hooklab: {path} is there already; --force replaces it\n"
    assert path.read_text() == "mine"
    done = hooklab("export", "state:not_delivered", "--output", path, "--force", data_dir=folder)
    assert done.stdout.decode() == f"1 message, phone numbers whole, in {path}\n"
    assert path.read_text().startswith('{"message_id":')
    assert names(tmp_path) == ["x.jsonl"]


@pytest.mark.parametrize(("answer", "replaced"), [("y", True), ("n", False)])
def test_on_a_terminal_it_asks(folder: Path, tmp_path: Path, answer: str, replaced: bool) -> None:
    """Whether a file is to be replaced."""
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with Terminal(_command(folder, "--output", path), 160, 20) as terminal:
        terminal.wait_for("Replace it? [y/N]")
        terminal.keys(answer, "\r")
        assert terminal.ends_with() == (0 if replaced else 1)
        terminal.wait_for("2,500 messages" if replaced else "nothing was written")
    assert (path.read_text() == "mine") is not replaced


def test_a_full_disk_is_one_line(folder: Path, tmp_path: Path) -> None:
    """On standard output, and for a file, of which nothing is left."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            _command(folder),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, b"hooklab: the output cannot be written: No space left on device\n")
    path = tmp_path / "x.csv"
    done = hooklab("export", "--output", path, data_dir=folder, preexec_fn=_small_files)
    assert done.returncode == 1
    assert done.stderr.decode() == f"hooklab: {path} cannot be written: File too large\n"
    assert names(tmp_path) == []


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def _exporting(folder: Path, *options: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(folder, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_that_leaves(folder: Path) -> None:
    """`| head` ends it without a word."""
    with _exporting(folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'"message_id",')
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_while_nobody_reads(folder: Path, number: signal.Signals) -> None:
    """Also in a write that waits for a full pipe."""
    with _exporting(folder) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1)
        process.send_signal(number)
        assert process.wait(20) == 130


def test_places_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    """One clean line each, whatever the name holds; never a file in the data folder."""
    for name, said in (
        (tmp_path, f"{tmp_path} is a folder; name a file in it"),
        ("/dev/full", "/dev/full is no plain file but a device or the like"),
        (f"{tmp_path}/a\x1b[2J/x.csv", f"{tmp_path}/a␛[2J/x.csv cannot be written: No such file or directory"),
        (folder / "store.db", f"{folder} is a data folder of hooklab; write the export elsewhere"),
    ):
        done = hooklab("export", "--output", name, "--force", data_dir=folder)
        assert (done.returncode, done.stderr.decode()) == (1, f"hooklab: {said}\n")


def test_progress_is_for_terminals(folder: Path, tmp_path: Path) -> None:
    """A bar on a terminal while it runs, then one line that stays."""
    path = tmp_path / "x.csv"
    with Terminal(_command(folder, "--output", path), 160, 20) as terminal:
        assert terminal.ends_with() == 0
        terminal.wait_for("2,500 messages, phone numbers whole, in")
        assert b"\xe2\x94\x81" in terminal.received
    assert len(read_csv(path.read_bytes())) == MESSAGES


async def test_each_message_once_while_reports_come(tmp_path: Path) -> None:
    """A real service takes reports between the pages, of messages that were given already and of others."""
    with RunningService(tmp_path / "data") as service:
        first = [report(status="PENDING") for _ in range(300)]
        service.post(body_of(first))
        service.settled()
        folder = Folder(service.data_dir)
        monitor = FolderMonitor(folder, clock, no_service)
        found: list[MessageRow] = []
        moving = iter(range(0, 300, 10))
        async for rows in pages(monitor, ALL, 40):
            found += rows
            again = [next(moving, None) for _ in range(3)]
            reports = [report(first[number]["MessageId"]) for number in again if number is not None]
            if reports:
                service.post(body_of([*reports, report()]))
                service.settled()
        await monitor.close()
    ids = [one.message_id for one in found]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {one["MessageId"] for one in first}
    assert {one.state for one in found[:40]} == {"PENDING"}
    assert "DELIVERED" in {one.state for one in found[-40:]}
