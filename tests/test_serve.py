"""The service as a process: how it starts and ends, who may use its folder, and which settings are in force."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support import (
    TOKEN,
    RunningService,
    body_of,
    conserved,
    hooklab,
    json_lines_of,
    json_of,
    pair,
    read_to_end,
    report,
)

from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Polls until `holds` says so."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"it does not come: {what}"
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The first line on stdout."""
    assert process.stdout is not None
    return process.stdout.readline()


def error_of(done: subprocess.CompletedProcess[bytes], code: int = 1) -> str:
    """The one line on stderr of a start that failed."""
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b""), (done, text)
    assert text.startswith("hooklab: ")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    assert "fault of hooklab" not in text
    return text.removeprefix("hooklab: ").rstrip("\n")


# Start -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["serve"], ["run"], []], ids=lambda value: " ".join(["hooklab", *value]))
def test_the_ready_line_is_the_only_line(
    folder: Path, spawn: Callable[..., subprocess.Popen[bytes]], command: list[str]
) -> None:
    """`serve`, and `run` or nothing where there is no terminal: one line with the hook URL, which takes a POST."""
    process = spawn(
        sys.executable,
        "-m",
        "hooklab",
        *command,
        "--data-dir",
        folder,
        "--bind",
        "127.0.0.1:0",
        start_new_session=True,
    )
    line = first_line(process).decode()
    token = (folder / "token").read_text().strip()
    found = re.fullmatch(r"hooklab: ready (http://127\.0\.0\.1:\d+/hooks/([A-Za-z0-9_-]+))\n", line)
    assert found, line
    assert found[2] == token
    assert len(token) >= 32
    sample = Path(__file__).parent.parent / "sample_payloads" / "01_single_report.json"
    sent = hooklab("send", sample, "--url", found[1])
    assert (sent.returncode, sent.stdout.decode(), sent.stderr) == (0, f"{sample}: 200\n", b"")
    process.terminate()
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"")
    assert [json.loads(line)["level"] for line in errors.splitlines()] == ["info", "info"]  # its start and its end


def test_the_token_is_made_once_and_kept(folder: Path) -> None:
    """What `snippet` names before the first start is what the start has, and the file keeps."""
    made = hooklab("snippet", "--base-url", "https://x.example", data_dir=folder).stdout
    token = (folder / "token").read_text().strip()
    assert f"https://x.example/hooks/{token}/pending" in made.decode()
    process = subprocess.Popen(
        [sys.executable, "-m", "hooklab", "serve", "--bind", "127.0.0.1:0", "--data-dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert first_line(process).decode().rstrip().endswith(f"/hooks/{token}")
    process.terminate()
    process.communicate(timeout=20)


def test_a_short_token_is_warned_about_and_not_refused(folder: Path) -> None:
    """Trials want short ones; the warning does not print it, and no file keeps what came by `--token`."""
    with RunningService(folder, "--token", "sh0rt") as service:
        assert service.post(b"[]")[0] == 200
    assert service.stderr.count(b"\n") == 1
    assert b"the token is short" in service.stderr
    assert b"sh0rt" not in service.stderr
    assert not (folder / "token").exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_files_are_private_whatever_the_umask(folder: Path, umask: int) -> None:
    """0600 in a folder of 0700, the socket too, while it runs, after it ended and after a rebuild."""
    before = os.umask(umask)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "hooklab", "serve", "--bind", "127.0.0.1:0", "--data-dir", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert first_line(process).startswith(b"hooklab: ready ")
        assert hooklab("stats", data_dir=folder).returncode == 0
        running = modes_in(folder)
        process.terminate()
        process.communicate(timeout=20)
        assert hooklab("rebuild", data_dir=folder).returncode == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {"journal.db", "journal.db-wal", "journal.db-shm", "store.db", "store.db-wal", "store.db-shm"}
    assert set(running) == {*names, "hooklab.lock", "hooklab.sock", "token"}
    assert set(running.values()) == {0o600}
    assert set(modes_in(folder).values()) == {0o600}


def modes_in(folder: Path) -> dict[str, int]:
    """The mode of every file in a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


# Who may start ---------------------------------------------------------------------------------------------------


def test_one_service_a_folder_and_one_a_port(folder: Path, tmp_path: Path) -> None:
    """A second service on the folder or on the port, and a rebuild meanwhile, are refused; the first goes on."""
    with RunningService(folder) as service:
        second = error_of(hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder))
        assert f"another hooklab (process {service.process.pid}) already runs on {folder}" in second
        rebuild = error_of(hooklab("rebuild", "--yes", data_dir=folder))
        assert f"process {service.process.pid}" in rebuild
        port = error_of(hooklab("serve", "--bind", f"127.0.0.1:{service.port}", data_dir=tmp_path / "other"))
        assert f"cannot listen on 127.0.0.1:{service.port}" in port
        assert "--bind" in port
        assert service.post(body_of([report()]))[0] == 200
        assert service.settled()["reports"] == 1


def test_a_lock_left_by_a_kill_stops_nobody(folder: Path) -> None:
    """After `kill -9` the lock file, the socket and the WAL are still there, and the next start takes them over."""
    with RunningService(folder) as service:
        service.post(body_of([report()]))
        service.kill()
    assert (folder / "hooklab.sock").exists()
    assert (folder / "hooklab.lock").read_text().strip() == str(service.process.pid)
    assert json_of("stats", data_dir=folder)["queue_depth"] is None
    with RunningService(folder) as service:
        assert service.settled()["reports"] == 1
    assert not (folder / "hooklab.sock").exists()


@pytest.mark.parametrize(
    ("options", "environment", "toml", "code", "says"),
    [
        (["--token", "not a token"], {}, None, 1, "A-Z a-z 0-9 _ -"),
        (["--token", "söme"], {}, None, 1, "A-Z a-z 0-9 _ -"),
        (["--bind", "8080"], {}, None, 2, "bind (--bind): '8080' is not HOST:PORT"),
        (["--bind", "192.0.2.1:0"], {}, None, 1, "cannot listen on 192.0.2.1:0"),
        (["--stuck-after", "soon"], {}, None, 2, "stuck_after (--stuck-after): 'soon'"),
        (["--assume-timezone", "Atlantis/Here"], {}, None, 2, "Atlantis/Here"),
        (["--max-body", "lots"], {}, None, 2, "max_body (--max-body)"),
        (["--public-url", "hooks.example.com"], {}, None, 2, "public_url"),
        ([], {"HOOKLAB_MAX_BODY": "0"}, None, 2, "max_body (HOOKLAB_MAX_BODY)"),
        ([], {"HOOKLAB_COLOUR": "red"}, None, 2, "HOOKLAB_COLOUR: there is no setting called 'colour'"),
        ([], {}, "colour = 'red'", 2, "settings.toml, line 1: there is no setting called 'colour'"),
        ([], {}, "max_body = 'lots'", 2, "settings.toml"),
        ([], {}, "data_dir = 7", 2, "settings.toml"),
        ([], {}, "this is no TOML", 2, "is not TOML"),
        ([], {}, b"\xff\xfe", 2, "cannot be read"),
        (["--config", "/nowhere/settings.toml"], {}, None, 2, "/nowhere/settings.toml cannot be read"),
        ([], {"HOOKLAB_CONFIG": "/nowhere/either.toml"}, None, 2, "/nowhere/either.toml cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_its_source(
    tmp_path: Path, options: list[str], environment: dict[str, str], toml: str | bytes | None, code: int, says: str
) -> None:
    """A wrong value or name, wherever it stands: what, where, and an exit code; nothing starts."""
    if toml is not None:
        file = tmp_path / "settings.toml"
        file.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        options = ["--config", str(file), *options]
    if "--bind" not in options:
        options = ["--bind", "127.0.0.1:0", *options]
    where = [] if toml == "data_dir = 7" else ["--data-dir", str(tmp_path / "data")]
    done = hooklab("serve", *options, *where, env={**os.environ, **environment})
    assert says in error_of(done, code)
    assert not (tmp_path / "data" / "journal.db").exists()


def test_a_settings_file_that_cannot_be_read_is_one_line(folder: Path, tmp_path: Path) -> None:
    """A folder where a file should be."""
    assert str(tmp_path) in error_of(hooklab("stats", "--config", tmp_path, data_dir=folder), 2)


def test_flags_win_over_the_environment_and_that_over_the_file(folder: Path, tmp_path: Path) -> None:
    """A setting in all three places, one in two, one in the file alone: the nearest to the hand counts."""
    file = tmp_path / "settings.toml"
    file.write_text(
        'token = "from-the-file-12345"\nmax_elements = 3\nmax_body = 2048\nmax_group = 4096\nmax_queue = 8192\n'
    )
    environment = {
        "HOOKLAB_CONFIG": str(file),
        "HOOKLAB_TOKEN": "from-the-environment-12345",
        "HOOKLAB_MAX_ELEMENTS": "2",
        "HOOKLAB_STUCK_AFTER": "",  # empty is not set
    }
    with RunningService(folder, "--token", "from-the-flag-12345", environment=environment) as service:
        assert service.path == "/hooks/from-the-flag-12345"
        assert service.post(body_of([{}] * 5))[0] == 200
        assert service.post(b"[" + b" " * 3000 + b"]")[0] == 413
        assert service.settled()["quarantined"] == 5
    listed = hooklab("quarantine", "--json", env={**os.environ, "HOOKLAB_DATA_DIR": str(folder)})
    assert [json.loads(line)["index"] for line in listed.stdout.splitlines()] == [2, 1, 0]  # two, and the rest as one
    outside = {**os.environ, **environment, "HOOKLAB_PUBLIC_URL": "https://hooks.example.com/"}
    made = json.loads(hooklab("snippet", data_dir=folder, env=outside).stdout)
    assert made["smsWebhooks"]["pending"]["url"] == (
        "https://hooks.example.com/hooks/from-the-environment-12345/pending"
    )


# The end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_all_projected(folder: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT: what was answered 200 is on disk and projected, the files are whole, the exit code is 0."""
    bodies = [body_of([one for _ in range(100) for one in pair()]) for _ in range(10)]
    with RunningService(folder) as service:
        assert [service.post(body)[0] for body in bodies] == [200] * 10
        service.process.send_signal(number)
        out, errors = service.process.communicate(timeout=20)
    assert (service.process.returncode, out) == (0, b"")
    assert [json.loads(line)["level"] for line in errors.splitlines()] == ["info", "info"]  # its start and its end
    counters = json_of("stats", data_dir=folder)
    assert (counters["batches"], counters["reports"], counters["lag"]) == (10, 2000, 0)
    assert conserved(counters)
    assert not (folder / "hooklab.sock").exists()
    assert not list(folder.glob("*-wal")) or all(path.stat().st_size == 0 for path in folder.glob("*-wal"))


def test_a_slow_client_does_not_keep_it_from_ending(folder: Path) -> None:
    """Half a request, half a head and an idle connection: exit 0 well within 10 s; the half request got no 200."""
    with RunningService(folder) as service, contextlib.ExitStack() as clients:
        begun = [clients.enter_context(service.connect()) for _ in range(3)]
        head = f"POST {service.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
        begun[0].sendall(head + b"[")
        begun[1].sendall(head[:30])
        assert service.post(b"[]")[0] == 200
        began = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - began < 10
        assert b" 200 " not in read_to_end(begun[0])[:20]
        assert b"Traceback" not in service.stderr
    with RunningService(folder) as service:
        assert service.settled()["batches"] == 1


SHORT_PROJECTING: Final = """
import sys
import hooklab.service
hooklab.service._PROJECT_SECONDS = 0.1
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_it_is_ready_before_it_caught_up_and_ends_with_a_lag(
    folder: Path, spawn: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A start with a long journal to project is ready at once; a stop leaves the rest to the next start."""
    batches, reports = 40, 1000
    fill_journal(folder, [body_of([report() for _ in range(reports)]) for _ in range(batches)])
    process = spawn(
        sys.executable,
        "-c",
        SHORT_PROJECTING,
        "serve",
        *("--data-dir", folder, "--bind", "127.0.0.1:0", "--token", TOKEN),
    )
    assert first_line(process).startswith(b"hooklab: ready ")
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    left = json_of("stats", data_dir=folder)
    assert 0 < left["lag"] <= batches
    assert left["batches"] == batches - left["lag"]
    assert left["reports"] == left["batches"] * reports
    assert conserved(left)
    with RunningService(folder) as service:
        counters = service.settled()
    assert (counters["batches"], counters["reports"], counters["lag"]) == (batches, batches * reports, 0)
    assert conserved(counters)


def fill_journal(folder: Path, bodies: list[bytes]) -> None:
    """A journal with batches that no projector has seen."""

    async def filling() -> None:
        journal = await SqliteJournal.open(folder / "journal.db", JournalLimits(disk_reserve=0))
        try:
            for body in bodies:
                await journal.append(
                    NewBatch(time.time_ns() // 1000, 1, "127.0.0.1", None, "[]", body, malformed=False)
                )
        finally:
            await journal.close()

    folder.mkdir(mode=0o700)
    asyncio.run(filling())


# The store, when it is not what it should be ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two batches of two messages, stopped cleanly."""
    folder = tmp_path_factory.mktemp("stopped") / "data"
    with RunningService(folder) as service:
        for _ in range(2):
            assert service.post(body_of([*pair(), *pair()]))[0] == 200
        service.settled()
    return folder


def aside_in(folder: Path) -> list[Path]:
    """Stores that were put aside."""
    return [path for path in folder.glob("store.db.aside-*") if not path.name.endswith(("-wal", "-shm"))]


def garbage(path: Path) -> None:
    path.write_bytes(b"\xa5\x5a" * 20_000)


def garbage_behind_the_header(path: Path) -> None:
    good = path.read_bytes()
    path.write_bytes(good[:100] + b"\xa5" * (len(good) - 100))


def half(path: Path) -> None:
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])


def older(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 0")
    connection.execute("DELETE FROM messages")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("harm", "why"),
    [(garbage, "damaged"), (garbage_behind_the_header, "damaged"), (half, "damaged"), (older, "older version 0")],
)
def test_a_store_that_cannot_be_used_is_put_aside_and_made_again(
    stopped: Path, tmp_path: Path, harm: Callable[[Path], None], why: str
) -> None:
    """Damaged, cut short or of an older version: kept beside, named in the log, and all is projected anew."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    messages = json_lines_of("messages", data_dir=folder)
    harm(folder / "store.db")
    harmed = (folder / "store.db").read_bytes()
    with RunningService(folder) as service:
        counters = service.settled()
        assert (counters["batches"], counters["reports"], counters["messages"]) == (2, 8, 4)
        assert json_lines_of("messages", data_dir=folder) == messages
    [aside] = aside_in(folder)
    assert aside.read_bytes()[4096:] == harmed[4096:]
    assert why in service.stderr.decode()
    assert "put aside" in service.stderr.decode()


def test_an_empty_store_is_filled_and_a_missing_one_too(stopped: Path, tmp_path: Path) -> None:
    """No bytes at all, or no file: the journal gives all of it again; nothing is put aside."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    (folder / "store.db").unlink()
    with RunningService(folder) as service:
        assert service.settled()["reports"] == 8
    (folder / "store.db").write_bytes(b"")
    with RunningService(folder) as service:
        assert service.settled()["reports"] == 8
    assert not aside_in(folder)


def test_a_store_ahead_of_its_journal_is_put_aside(stopped: Path, tmp_path: Path) -> None:
    """An older journal came back under a newer store: the store is made again from what the journal has."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    journal = sqlite3.connect(folder / "journal.db")
    journal.execute("DELETE FROM batches WHERE sequence = 2")
    journal.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'batches'")
    journal.commit()
    journal.close()
    with RunningService(folder) as service:
        assert (service.settled()["batches"], service.settled()["reports"]) == (1, 4)
        assert service.post(body_of(pair()))[0] == 200
        counters = service.settled()
    assert (counters["batches"], counters["reports"], counters["messages"]) == (2, 6, 3)
    assert conserved(counters)
    [aside] = aside_in(folder)
    old = sqlite3.connect(aside)
    assert old.execute("SELECT batches, reports FROM totals").fetchall() == [(2, 8)]
    old.close()
    assert "is at batch 2, beyond the journal's last, 1" in service.stderr.decode()


def test_sequences_are_not_given_twice_after_the_newest_batches_went(stopped: Path, tmp_path: Path) -> None:
    """Rows gone from the journal's end, its counter intact: the next batch gets a number of its own."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    journal = sqlite3.connect(folder / "journal.db")
    journal.execute("DELETE FROM batches WHERE sequence = 2")
    journal.commit()
    journal.close()
    with RunningService(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
        assert service.settled()["lag"] == 0
        assert json_lines_of("batches", data_dir=folder)[0]["batch"] == 3


def test_a_newer_store_is_refused_and_left_alone(stopped: Path, tmp_path: Path) -> None:
    """A store that a newer hooklab made is neither read nor put aside: one line that says so."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    store = sqlite3.connect(folder / "store.db")
    store.execute("PRAGMA user_version = 99")
    store.close()
    for arguments in (["serve", "--bind", "127.0.0.1:0"], ["stats"]):
        said = error_of(hooklab(*arguments, data_dir=folder))
        assert "version 99" in said
        assert "use the newer hooklab" in said
    assert not aside_in(folder)


def test_the_zone_outlives_a_store_that_is_put_aside(tmp_path: Path, folder: Path) -> None:
    """What a store was made with stays in force when its journal was put back: the zone is not silently UTC."""
    with RunningService(folder, "--assume-timezone", "Europe/Lisbon") as service:
        service.settled()
    old = shutil.copy2(folder / "journal.db", tmp_path / "journal.db")
    with RunningService(folder) as service:
        service.post(b"[]")
        service.settled()
    shutil.copy2(old, folder / "journal.db")
    with RunningService(folder) as service:
        assert service.post(body_of([NAIVE]))[0] == 200
        service.settled()
        assert json_of("show", NAIVE["MessageId"], data_dir=folder)["final_at"] == "2026-07-01T11:00:00.000000Z"


# Settings that the store keeps -----------------------------------------------------------------------------------

NAIVE: Final = report("5b0c0c3e-8a51-4d0e-9a50-1a2b3c4d5e6f", ReportDateTime="2026-07-01T12:00:00")


def test_the_zone_is_the_stores_and_only_a_rebuild_changes_it(folder: Path) -> None:
    """A naive time is read in the zone that the store was made with, whatever a later start says."""

    def final_at() -> str:
        found: str = json_of("show", NAIVE["MessageId"], data_dir=folder)["final_at"]
        return found

    with RunningService(folder, "--assume-timezone", "Europe/Lisbon") as service:
        assert service.post(body_of([NAIVE]))[0] == 200
        service.settled()
    assert final_at() == "2026-07-01T11:00:00.000000Z"
    with RunningService(folder, "--assume-timezone", "Asia/Tokyo") as service:
        later = report(NAIVE["MessageId"], ReportDateTime="2026-07-01T12:00:01")
        assert service.post(body_of([later]))[0] == 200
        service.settled()
        assert final_at() == "2026-07-01T11:00:01.000000Z"
    assert b"assume_timezone stays Europe/Lisbon" in service.stderr
    assert b"rebuild" in service.stderr
    assert hooklab("rebuild", data_dir=folder).returncode == 0
    assert final_at() == "2026-07-01T11:00:01.000000Z"  # a rebuild that names none keeps it
    assert hooklab("rebuild", "--assume-timezone", "Asia/Tokyo", data_dir=folder).returncode == 0
    assert final_at() == "2026-07-01T03:00:01.000000Z"
    with RunningService(folder) as service:
        assert service.settled()["reports"] == 2
        assert final_at() == "2026-07-01T03:00:01.000000Z"
    assert service.stderr == b""


def test_stuck_is_counted_by_the_time_that_the_service_was_given(folder: Path) -> None:
    """Pending with nothing new for longer than stuck_after: flag, filter and counter, live and without service."""
    stuck, arrived = report(status="PENDING"), pair()
    with RunningService(folder, "--stuck-after", "1s") as service:
        assert service.post(body_of([stuck, *arrived]))[0] == 200
        assert service.settled()["reports"] == 3
        wait_until(lambda: service.stats()["stuck"] == 1, "one is stuck")
        [row] = json_lines_of("messages", "is:stuck", data_dir=folder)
        assert (row["message_id"], row["state"], row["flags"]) == (stuck["MessageId"], "PENDING", ["stuck"])
        assert service.post(body_of([stuck]))[0] == 200  # a repeat is nothing new
        assert service.settled()["repeats"] == 1
        assert service.admin("/status")[1]["stuck"] == 1
    assert json_of("stats", data_dir=folder)["stuck"] == 1  # the store knows stuck_after, not the command
    assert json_of("show", stuck["MessageId"], data_dir=folder)["flags"] == ["repeated", "stuck"]
    with RunningService(folder, "--stuck-after", "1h") as service:
        assert service.settled()["stuck"] == 0
        assert json_lines_of("messages", "is:stuck", data_dir=folder) == []
        final = report(stuck["MessageId"], "DELIVERED")
        assert service.post(body_of([final]))[0] == 200
        service.settled()
    assert json_of("show", stuck["MessageId"], data_dir=folder)["state"] == "DELIVERED"
    assert hooklab("rebuild", data_dir=folder).returncode == 0
    kept = {"assume_timezone": "UTC", "stuck_after": str(3_600_000_000), "max_elements": "10000", "sent_at_key": ""}
    assert kept_settings(folder) == kept


def test_rebuild_heeds_its_own_stuck_after(stopped: Path, tmp_path: Path) -> None:
    """An option that the command has is in force after it."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    assert hooklab("rebuild", "--stuck-after", "1h", data_dir=folder).returncode == 0
    assert kept_settings(folder)["stuck_after"] == str(3_600_000_000)


def test_rebuild_is_exact_whatever_max_elements_the_service_had(folder: Path) -> None:
    """A service run with another max_elements, rebuilt without a word: the same elements are in quarantine."""
    with RunningService(folder, "--max-elements", "3") as service:
        assert service.post(body_of([report() for _ in range(5)]))[0] == 200
        assert service.settled()["quarantined"] == 2
    assert hooklab("rebuild", data_dir=folder).returncode == 0
    assert json_of("stats", data_dir=folder)["quarantined"] == 2


def kept_settings(folder: Path) -> dict[str, str]:
    """What the store keeps of the settings."""
    store = sqlite3.connect(folder / "store.db")
    try:
        return dict(store.execute("SELECT name, value FROM settings"))
    finally:
        store.close()


def test_a_rebuild_that_fails_leaves_the_old_store(stopped: Path, tmp_path: Path) -> None:
    """A journal that was pruned, or cannot be read: refused with a reason, and the old store answers as before."""
    folder = shutil.copytree(stopped, tmp_path / "data")
    before = json_of("stats", data_dir=folder)
    journal = sqlite3.connect(folder / "journal.db")
    journal.execute("DELETE FROM batches WHERE sequence = 1")
    journal.commit()
    journal.close()
    said = error_of(hooklab("rebuild", data_dir=folder))
    assert "pruned" in said
    assert re.search(r"begins at \d{4}-\d\d-\d\dT", said)
    assert json_of("stats", data_dir=folder) == before
    (folder / "journal.db").write_bytes(b"garbage" * 1000)
    store = (folder / "store.db").read_bytes()
    assert "cannot rebuild" in error_of(hooklab("rebuild", data_dir=folder))
    assert (folder / "store.db").read_bytes() == store


def test_the_admin_socket_is_the_only_other_door(folder: Path) -> None:
    """Health, readiness and status are on the unix socket, and not on the public port."""
    with RunningService(folder) as service:
        assert service.admin("/health") == (200, {"status": "alive"})
        assert service.admin("/ready") == (200, {"ready": True, "problem": None})
        for path in ("/health", "/ready", "/status", "/"):
            with service.connect() as client:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                client.shutdown(socket.SHUT_WR)
                assert read_to_end(client).startswith(b"HTTP/1.1 404 ")
