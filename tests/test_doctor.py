"""`hooklab doctor`: it sees what is wrong, says what to do, ends with the right code, and changes nothing."""

import asyncio
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from faults.machine import fill, skipping, small_disk
from msgspec.structs import replace
from pty_stage import Terminal, until
from support import HEEDING_MODES, TOKEN, RunningService, body_of, hooklab, pair

from hooklab import __version__
from hooklab.config import load_settings
from hooklab.files import Folder
from hooklab.health import examine as examination
from hooklab.health.base import Finding, worst
from hooklab.health.clock import Times, judge_times
from hooklab.health.databases import Sample, judge_lag
from hooklab.health.disk import Growth, Mount, Room, growth_of, judge_mount, judge_room, look_at_mount, mount_of
from hooklab.health.examine import Wanted, examine
from hooklab.health.processes import look_at_lock
from hooklab.health.program import has_reset_fault, judge_program, look_at_program
from hooklab.health.reading import check, steadily, untouched
from hooklab.health.service import Door, Runs, judge_door, judge_runs
from hooklab.health.token import Token, bits_of, judge_token
from hooklab.insights import ClockOff, Lag
from hooklab.journal.schema import JOURNAL
from hooklab.metrics import ServiceStatus
from hooklab.times import DAY, HOUR, SECOND

NAMES: Final = [
    *("program", "sqlite", "limits", "folder", "files", "disk", "room", "journal", "store"),
    *("clock", "service", "listener", "token", "lag"),
]
"""What is found of a service that runs and is well, in order."""
OF_THE_MACHINE: Final = {"clock", "disk", "room"}
"""Where the tests run it may be kept by nobody, memory, or short."""
NOW: Final = 1_795_600_000 * SECOND


def now() -> int:
    return time.time_ns() // 1000


def findings_of(folder: Path, *, full: bool = False, **settings: Any) -> dict[str, Finding]:
    """The worst finding of each name."""

    async def look() -> list[Finding]:
        chosen = load_settings({"data_dir": folder, **settings}, {})
        return [one async for one in examine(Wanted(chosen, now, full, lambda *_: None))]

    found: dict[str, Finding] = {}
    for one in asyncio.run(look()):
        if worst([one, *([found[one.name]] if one.name in found else [])]) == one.level:
            found[one.name] = one
    return found


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """All that could be changed in a folder: names, modes, times and bytes."""
    files = [folder, *sorted(folder.rglob("*"))]
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in files
    }


def replaced(folder: Path, into: Path, *without: str) -> Path:
    """A copy of a folder, private, without files whose names end so."""
    shutil.copytree(folder, into, ignore=lambda _, names: [one for one in names if one.endswith((".sock", *without))])
    into.chmod(0o700)
    return into


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a service that ended well, with five batches."""
    folder = tmp_path_factory.mktemp("doctor") / "stopped"
    with RunningService(folder) as service:
        for _ in range(5):
            service.post(body_of(pair()))
        service.settled()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a service that was killed: its five batches are in the write-ahead log alone."""
    folder = tmp_path_factory.mktemp("doctor") / "killed"
    with RunningService(folder) as service:
        for _ in range(5):
            service.post(body_of(pair()))
        service.settled()
        service.kill()
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """One that runs and has counted three batches."""
    with RunningService(tmp_path / "data") as running:
        for _ in range(3):
            running.post(body_of(pair()))
        running.settled()
        yield running


# The command -----------------------------------------------------------------------------------------------------


def test_a_service_that_is_well(service: RunningService) -> None:
    """Code 0, a line each, JSON Lines; no batch, no refusal and no token comes of it."""
    before = service.settled()
    done = hooklab("doctor", "--full", "--json", data_dir=service.data_dir)
    assert (done.returncode, done.stderr) == (0, b"")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {tuple(one) for one in found} == {("name", "level", "found", "advice")}
    assert [one["name"] for one in found] == [*NAMES[:9], "bodies", *NAMES[9:]]
    assert {one["name"] for one in found if one["level"] != "ok"} <= OF_THE_MACHINE
    assert all((one["advice"] is None) == (one["level"] == "ok") for one in found)
    listener = next(one["found"] for one in found if one["name"] == "listener")
    assert listener == f"127.0.0.1:{service.port} takes batches"
    plain = hooklab("doctor", data_dir=service.data_dir)
    assert plain.returncode == 0
    assert len(plain.stdout.splitlines()) == len(NAMES) + 1
    assert b"\x1b" not in plain.stdout
    assert TOKEN.encode() not in done.stdout + plain.stdout
    after = service.settled()
    assert {name: after[name] for name in ("batches", "refused")} == {"batches": 3, "refused": {}}
    assert before["refused"] == {}


def test_exit_codes_and_wrong_use(tmp_path: Path, stopped: Path) -> None:
    """1 where something is a problem, with what to do on its line; 2 for an option that there is not."""
    done = hooklab("doctor", data_dir=tmp_path / "none")
    assert (done.returncode, done.stderr) == (1, b"")
    [line] = [line for line in done.stdout.decode().splitlines() if line.startswith("X problem")]
    assert line.endswith("/none is not there -> start hooklab there, or name another with --data-dir")
    assert not (tmp_path / "none").exists()
    assert hooklab("doctor", "--fill", data_dir=stopped).returncode == 2
    assert hooklab("doctor", data_dir=stopped, env={**os.environ, "HOOKLAB_BIND": "nonsense"}).returncode == 2


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal(stopped: Path, no_color: str) -> None:
    """Wrapped to it; the level is a mark and a word, and a colour beside them unless NO_COLOR says no."""
    command: list[str | Path] = [sys.executable, "-m", "hooklab", "doctor", "--data-dir", stopped, "--full"]
    with Terminal(command, 80, 60, NO_COLOR=no_color) as terminal:
        until(lambda: "0 problems" in terminal.text(), "the last line")
        lines = terminal.text().splitlines()
        received = bytes(terminal.received)
    assert any(line.startswith("! warning  service   no hooklab runs") for line in lines)
    assert any(line.startswith("                     -> start it") for line in lines)
    assert not any("reading" in line for line in lines), "the line of progress goes"
    assert (b"\x1b[32m+ ok     \x1b[0m" in received) == (not no_color)
    assert (b"\x1b[33m" in received) == (not no_color)


@pytest.mark.parametrize("which", ["stopped", "killed", "no -shm"])
def test_a_read_only_copy(tmp_path: Path, stopped: Path, killed: Path, which: str) -> None:
    """It is read whole, though nothing may be written beside it; that no service can run on it is a warning."""
    without = ("-shm",) if which == "no -shm" else ()
    folder = replaced(stopped if which == "stopped" else killed, tmp_path / "copy", *without)
    folder.chmod(0o500)
    command: list[str | Path] = [
        *HEEDING_MODES,
        sys.executable,
        "-m",
        "hooklab",
        "doctor",
        "--full",
        "--json",
        "--data-dir",
        folder,
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    found = {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, done.stderr) == (0, b"")
    assert found["folder"]["level"] == "warning"
    assert "batches 1 to 5" in found["journal"]["found"]
    assert found["store"]["found"].startswith("projected up to batch 5")
    assert found["bodies"]["found"] == "5 batches, every body as it was received"


def test_a_folder_that_may_not_be_read(tmp_path: Path, stopped: Path) -> None:
    """It says so, and whose it is; so of a journal that may not be read."""
    closed, secret = replaced(stopped, tmp_path / "closed"), replaced(stopped, tmp_path / "secret")
    (secret / "journal.db").chmod(0)
    closed.chmod(0)
    for folder, says in ((closed, "closed cannot be read"), (secret, "journal.db cannot be read: permission denied")):
        command: list[str | Path] = [*HEEDING_MODES, sys.executable, "-m", "hooklab", "doctor", "--data-dir", folder]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (1, b"")
        assert says.encode() in done.stdout
    closed.chmod(0o700)


# Nothing is changed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["stopped", "killed", "no -shm", "left by a reader", "running", "theirs"])
def test_nothing_is_changed(tmp_path: Path, stopped: Path, killed: Path, which: str) -> None:
    """No file comes, goes or changes, whatever the state of the files and whoever has them open."""
    folder = tmp_path / "data"
    if which == "running":
        with RunningService(folder) as service:
            service.post(body_of(pair()))
            service.settled()
            before = tree(folder)
            found = findings_of(folder, full=True)
            assert tree(folder) == before
    else:
        without = ("-shm",) if which == "no -shm" else ()
        replaced(killed if which in {"killed", "no -shm"} else stopped, folder, *without)
        if which == "left by a reader":
            reader = sqlite3.connect(f"{(folder / 'journal.db').as_uri()}?mode=ro", uri=True)
            reader.execute("SELECT count(*) FROM batches").fetchall()
            reader.close()
            assert (folder / "journal.db-shm").exists()
        if which == "theirs":
            _theirs(folder)
        before = tree(folder)
        found = findings_of(folder, full=True)
        assert tree(folder) == before
    assert found["journal"].level == ("problem" if which == "theirs" else "ok")
    assert found["store"].level == "ok"


async def test_a_writer_that_comes_while_no_lock_keeps_it_out_has_it_read_again(
    tmp_path: Path, stopped: Path
) -> None:
    """A file that nobody had open is read without locks; if it changed meanwhile, what was found means nothing."""
    path = replaced(stopped, tmp_path / "data") / "journal.db"
    looks: list[bool] = []

    async def alone() -> bool:
        return not looks

    async def look(is_alone: bool) -> int:
        looks.append(is_alone)
        if len(looks) == 1:
            with sqlite3.connect(path) as writer:
                writer.execute("UPDATE batches SET took_ms = 77")
            writer.close()
        return len(looks)

    assert await steadily(path, alone, look) == 2
    assert looks == [True, False], "the second time with locks"
    assert await steadily(path, alone, look) == 3


async def test_who_looks_keeps_no_service_from_starting(tmp_path: Path, killed: Path) -> None:
    """A long check in a folder whose service was killed ends when the next one starts, which must empty the WAL."""
    folder = Folder(replaced(killed, tmp_path / "data"))
    disturbed = examination._disturbance(folder, folder.journal, Runs(status=None, holder=None))
    async with untouched(folder.journal, JOURNAL, alone=True) as connection:
        endless = asyncio.create_task(check(Endless(connection), full=True, within=None, disturbed=disturbed))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        service = RunningService(folder.path)
        await asyncio.to_thread(service.start)
        try:
            assert (await endless).stopped == "stopped, because a hooklab starts"
            assert service.settled()["batches"] == 5
        finally:
            await asyncio.to_thread(service.terminate)


async def test_a_log_that_holds_nothing_stays_where_it_is(tmp_path: Path, stopped: Path) -> None:
    """SQLite deletes a write-ahead log that it takes for empty when it closes a file that it may write."""
    for name, with_shm in (("a", False), ("b", True)):
        folder = replaced(stopped, tmp_path / name)
        (folder / "journal.db-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(5000))
        if with_shm:
            (folder / "journal.db-shm").write_bytes(bytes(32768))
        before = tree(folder)
        async with untouched(folder / "journal.db", JOURNAL, alone=True) as connection:
            assert list(await connection.execute_fetchall("SELECT count(*) FROM batches")) == [(5,)]
        assert tree(folder) == before


# Folders that are not well ---------------------------------------------------------------------------------------


def _theirs(folder: Path) -> None:
    (folder / "journal.db").unlink()
    theirs = sqlite3.connect(folder / "journal.db")
    theirs.execute("PRAGMA journal_mode=WAL")
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.close()
    (folder / "journal.db").chmod(0o600)


def _sql(name: str, *statements: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        connection = sqlite3.connect(folder / name, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return change


def _bytes(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def _as_folder(folder: Path) -> None:
    (folder / "journal.db").unlink()
    (folder / "journal.db").mkdir(mode=0o700)


def _as_pipe(folder: Path) -> None:
    (folder / "journal.db").unlink()
    os.mkfifo(folder / "journal.db", 0o600)


def _bad_page(folder: Path) -> None:
    path = folder / "store.db"
    connection = sqlite3.connect(path)
    [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'messages_by_activity'")
    [(size,)] = connection.execute("PRAGMA page_size")
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x55" * size)


def _token(content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "token").touch(0o600)
        (folder / "token").write_text(content)

    return write


SAVES: Final = "stop hooklab, save what can be read with `hooklab salvage`, and start it again"
REBUILDS: Final = "start hooklab: it rebuilds it from the journal"
UNWELL: Final[dict[str, tuple[Callable[[Path], Any], str, str, str, str]]] = {
    # what: how, then name, level, part of what is found and of the advice
    "others write": (lambda at: at.chmod(0o777), "folder", "problem", "others may write it", "chmod 700 "),
    "others look in": (lambda at: at.chmod(0o755), "folder", "warning", "others may look in", "chmod 700 "),
    "modes": (lambda at: (at / "store.db").chmod(0o644), "files", "warning", "store.db (0644)", "chmod 600 store.db"),
    "truncated": (lambda at: os.truncate(at / "journal.db", 9000), "journal", "problem", "is damaged", SAVES),
    "garbage": (_bytes("journal.db", b"garbage" * 999), "journal", "problem", "is damaged", SAVES),
    "garbage store": (_bytes("store.db", b"garbage" * 999), "store", "problem", "is damaged", REBUILDS),
    "bad page": (_bad_page, "store", "problem", "is damaged", "hooklab rebuild"),
    "no journal": (lambda at: (at / "journal.db").unlink(), "journal", "problem", "is not there, but", "backup"),
    "emptied": (_bytes("journal.db", b""), "journal", "problem", "is empty, but store.db is there", "backup"),
    "no store": (lambda at: (at / "store.db").unlink(), "store", "warning", "is not there", REBUILDS),
    "theirs": (_theirs, "journal", "problem", "another program's", "move it away"),
    "a folder": (_as_folder, "journal", "problem", "is no file", "move it away"),
    "a pipe": (_as_pipe, "journal", "problem", "is no file", "move it away"),
    "newer": (_sql("journal.db", "PRAGMA user_version=9"), "journal", "problem", "version 9, not 1", "newer hooklab"),
    "newer store": (_sql("store.db", "PRAGMA user_version=9"), "store", "problem", "of a newer hooklab", "newer"),
    "older store": (_sql("store.db", "PRAGMA user_version=2"), "store", "warning", "of an older hooklab", REBUILDS),
    "older journal": (
        _sql("journal.db", "DELETE FROM batches WHERE sequence > 2", "UPDATE sqlite_sequence SET seq = 2"),
        *("store", "problem", "up to batch 5, but the journal ends at 2", "put the right journal.db back"),
    ),
    "changed body": (
        _sql("journal.db", "UPDATE batches SET body = x'5b5d' WHERE sequence = 4"),
        *("bodies", "problem", "1 body is not what was received: batch 4", "from a backup"),
    ),
    "set back": (
        _sql("journal.db", "UPDATE batches SET received_at = received_at + 7200000000 WHERE sequence = 5"),
        *("clock", "warning", "received 2 h later", "Nothing is lost"),
    ),
    "no token": (lambda _: None, "token", "warning", "token is not there", "makes one"),
    "bad token": (_token("not a token\n"), "token", "problem", "holds no token", "same token"),
    "short token": (_token("abc\n"), "token", "warning", "3 characters", "makes a long one"),
    "dull token": (_token("ab" * 20), "token", "warning", "easy to guess", "makes a long one"),
    "put aside": (
        lambda at: (at / "journal.db.aside-20261125T100000-0").write_bytes(bytes(3 << 20)),
        *("aside", "warning", "journal.db.aside-20261125T100000-0 (3.0 MiB)", "then delete journal.db.aside-*"),
    ),
}


@pytest.mark.parametrize("what", UNWELL)
def test_a_folder_that_is_not_well(tmp_path: Path, stopped: Path, what: str) -> None:
    """What is wrong is found under its name, with its level, in words, and with what to do; nothing is mended."""
    how, name, level, says, advice = UNWELL[what]
    folder = replaced(stopped, tmp_path / "data")
    how(folder)
    before = tree(folder)
    found = findings_of(folder, full=True)[name]
    assert (found.level, found.name) == (level, name)
    assert says in found.found
    assert advice in (found.advice or "")
    assert tree(folder) == before


def test_what_is_well_is_not_said_to_be_ill(stopped: Path) -> None:
    """The folder that the others are made of: only that nothing runs, has a token, or keeps the clock."""
    found = findings_of(stopped, full=True)
    assert {one.name for one in found.values() if one.level != "ok"} <= {"service", "token", *OF_THE_MACHINE}
    assert found["service"].found == "no hooklab runs on this folder: nothing is received"


def test_files_of_another_user(tmp_path: Path, stopped: Path) -> None:
    """A file that a run as root left in a user's folder is a problem."""
    if os.geteuid():
        pytest.skip("only root gives files away")
    folder = replaced(stopped, tmp_path / "data")
    os.chown(folder / "store.db", 65534, 65534)
    found = findings_of(folder)["files"]
    assert (found.level, "store.db" in found.found) == ("problem", True)
    assert "chown root store.db" in (found.advice or "")


def test_a_journal_whose_log_was_taken_away(tmp_path: Path, killed: Path) -> None:
    """After a kill the newest batches are in -wal: without it they are missing, and that is said."""
    folder = replaced(killed, tmp_path / "data", "-wal")
    found = findings_of(folder)["journal"]
    assert (found.level, "journal.db-wal is not there" in found.found) == ("problem", True)
    assert findings_of(replaced(killed, tmp_path / "whole"))["journal"].level == "ok"


def test_hostile_names_are_shown_safely(tmp_path: Path, stopped: Path) -> None:
    """A folder's name, and that of a file put aside, can do nothing to a terminal."""
    folder = replaced(stopped, tmp_path / "data\x1b[31m\u202e\n")
    (folder / "store.db.aside-\x1b]52;c;AAAA\x07").touch(0o600)
    for one in findings_of(folder).values():
        assert (one.found + (one.advice or "")).isprintable()


class Endless:
    """A connection whose check never ends by itself."""

    def __init__(self, connection: Any) -> None:
        self.interrupt = connection.interrupt
        self._execute = connection.execute_fetchall

    async def execute_fetchall(self, _: str) -> Any:
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, batches"
        return await self._execute(endless)


async def test_a_check_is_bounded(stopped: Path) -> None:
    """It stops when its time is over, or when it is in somebody's way, and says which; the connection lives on."""

    async def in_the_way() -> str | None:
        return "stopped, because of a test"

    async with untouched(stopped / "journal.db", JOURNAL, alone=True) as connection:
        for within, disturbed, why in (
            (0.1, in_the_way, "not finished within 0.1 s"),
            (None, in_the_way, "stopped, because of a test"),
        ):
            found = await check(Endless(connection), full=False, within=within, disturbed=disturbed)  # type: ignore[arg-type]
            assert (found.faults, found.stopped) == ([], why)
        assert (await check(connection, full=True, within=None, disturbed=in_the_way)).stopped is None


# A service that is not well --------------------------------------------------------------------------------------


def test_a_service_that_hangs(service: RunningService) -> None:
    """It holds the folder and does not answer: a problem that names its process; a killed one is only not there."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        found = findings_of(service.data_dir)
    finally:
        service.process.send_signal(signal.SIGCONT)
    assert found["service"].level == "problem"
    assert f"process {service.process.pid} holds this folder" in found["service"].found
    assert look_at_lock(Folder(service.data_dir)) == service.process.pid
    service.kill()
    assert look_at_lock(Folder(service.data_dir)) is None
    assert findings_of(service.data_dir)["service"].level == "warning"


def test_who_else_writes(service: RunningService) -> None:
    """Another program that may write a file of a running service, and a file that was put in its place."""
    with sqlite3.connect(service.data_dir / "journal.db") as other:
        other.execute("SELECT count(*) FROM batches").fetchall()
        found = findings_of(service.data_dir)["writers"]
    other.close()
    assert (found.level, f"process {os.getpid()} (" in found.found) == ("warning", True)
    assert "writers" not in findings_of(service.data_dir)
    journal, away = service.data_dir / "journal.db", service.data_dir / "away"
    journal.rename(away)
    assert "gone while hooklab runs" in findings_of(service.data_dir)["journal"].found
    shutil.copy(away, journal)
    found = findings_of(service.data_dir)["writers"]
    away.replace(journal)
    assert (found.level, "writes another journal.db" in found.found) == ("problem", True)


def test_a_projector_that_stands_still(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that nobody counts are a problem; they are waited for before that is said."""
    monkeypatch.setattr(examination, "_STILL_SECONDS", 0.5)
    monkeypatch.setattr(examination, "_LAG_SECONDS", 0.0)
    holder = sqlite3.connect(service.data_dir / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        service.post(body_of(pair()))
        found = findings_of(service.data_dir)["lag"]
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert found.level == "problem"
    assert found.found.startswith("1 batch not counted yet, and none was counted within ")
    assert "within 0 s" not in found.found
    service.settled()
    assert findings_of(service.data_dir)["lag"].found == "every batch is counted"


def test_the_token_and_the_address(tmp_path: Path) -> None:
    """A short token, one that differs from the kept one, and a door open to all without TLS; what is not said."""
    folder = tmp_path / "data"
    with RunningService(folder, "--bind", "0.0.0.0:0", "--token", "abc") as service:
        found = findings_of(folder)
        assert (found["token"].level, "3 characters, given to" in found["token"].found) == ("warning", True)
        assert found["listener"].found == f"0.0.0.0:{service.port} takes batches"
        assert (found["exposure"].level, "without TLS" in found["exposure"].found) == ("warning", True)
        assert findings_of(folder, token="abc")["token"].found.startswith("3 characters from the settings")
        _token("another-token-0123456789\n")(folder)
        found = findings_of(folder)
        assert "the running hooklab has another than the one in" in found["token"].found
        (folder / "token").chmod(0o644)
        folder.chmod(0o755)
        assert findings_of(folder)["token"].level == "problem"
        folder.chmod(0o700)
        assert findings_of(tmp_path, bind=f"127.0.0.1:{service.port}")["listener"].found.endswith(
            "address already in use"
        )


# Judgements ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "faulty"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
        ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True),
        ((3, 51, 3), False), ((3, 53, 0), False),
    ],
)  # fmt: skip
def test_which_sqlite_has_the_wal_reset_fault(version: tuple[int, ...], faulty: bool) -> None:
    """3.7.0 to 3.51.2, but for the two older lines into which the mend was taken."""
    assert has_reset_fault(version) is faulty


def test_the_program() -> None:
    """This one is fit; an SQLite without what is needed, and few open files, are not."""
    here = look_at_program()
    assert worst(judge_program(here)) == "ok"
    for changes, name, level in (
        ({"sqlite": (3, 34, 1)}, "sqlite", "problem"),
        ({"options": frozenset({"OMIT_WAL"})}, "sqlite", "problem"),
        ({"options": frozenset({"MAX_VARIABLE_NUMBER=999"})}, "sqlite", "problem"),
        ({"threads": 0}, "sqlite", "problem"),
        ({"open_files": 255}, "limits", "warning"),
        ({"open_files": 256}, "limits", "ok"),
        ({"python": (3, 10, 9)}, "program", "problem"),
    ):
        found = {one.name: one.level for one in judge_program(replace(here, **changes))}
        assert found[name] == level, changes
    sqlite = next(one for one in judge_program(replace(here, sqlite=(3, 40, 1))) if one.name == "sqlite")
    assert "WAL-reset fault" in sqlite.found
    assert "exactly one" in sqlite.found


def test_the_limit_of_open_files_is_the_services(service: RunningService) -> None:
    """Not that of the shell in which somebody asks."""
    mine = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (200, mine[1]))
    assert "may have 200 open files" in findings_of(service.data_dir)["limits"].found


MOUNTS: Final = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw,size=100k
31 22 0:27 / /srv/a\040b rw shared:7 - nfs4 host:/x rw,vers=4.2
32 31 0:28 / /srv/a\040b ro - ext4 /dev/vdb rw
33 22 0:29 / /data rw - xfs /dev/vdc rw,nobarrier
"""


@pytest.mark.parametrize(
    ("path", "kind", "level"),
    [
        ("/srv/x", "ext4", "ok"),
        ("/run/hooklab", "tmpfs", "warning"),
        ("/running", "ext4", "ok"),
        ("/srv/a b/data", "ext4", "warning"),  # the later of two mounts, and read-only
        ("/data", "xfs", "warning"),
    ],
)
def test_what_a_folder_lies_on(path: str, kind: str, level: str) -> None:
    """The nearest mount above it, and what an fsync is worth there."""
    found = mount_of(path, MOUNTS)
    assert found is not None
    assert (found.kind, judge_mount(found).level) == (kind, level)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_is_no_place_for_a_journal(kind: str) -> None:
    """SQLite's log wants the memory of one machine."""
    assert judge_mount(Mount("/mnt", kind, frozenset({"rw"}))).level == "problem"


def test_memory_is_told_from_a_disk() -> None:
    """The mount table of this machine is read: /dev/shm is memory."""
    shared = Path("/dev/shm")
    found = look_at_mount(shared)
    if found is None or found.kind != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    assert "a restart of the machine loses everything" in judge_mount(found).found


@pytest.mark.parametrize(
    ("free", "growth", "level", "says"),
    [
        (99, None, "problem", "answered 503"),
        (150, None, "warning", "not much is left"),
        (300, None, "ok", "kept in reserve"),
        (300, Growth(100, DAY), "warning", "it lasts 2"),
        (1000, Growth(100, DAY), "ok", "it lasts 9.0 d"),
        (1000, Growth(50, 12 * HOUR), "ok", "it lasts 9.0 d"),
        (10**9, Growth(1, DAY), "ok", "enough for years"),
    ],
)
def test_room(free: int, growth: Growth | None, level: str, says: str) -> None:
    """Against the reserve, and by how fast it went of late."""
    found = judge_room(Room(free=free, total=10**10, reserve=100, growth=growth))
    assert found.level == level
    assert says in found.found


def test_growth_is_told_only_of_enough() -> None:
    """The share of the last day in what is there; nothing of a first hour."""
    assert growth_of(1000, 10, 5, 3 * DAY) == Growth(500, DAY)
    assert growth_of(1000, 10, 10, 2 * HOUR) == Growth(1000, 2 * HOUR)
    assert growth_of(1000, 10, 10, HOUR - 1) is None
    assert growth_of(1000, 10, 0, DAY) is None
    assert growth_of(0, 0, 0, 0) is None


@pytest.mark.parametrize(
    ("samples", "running", "level", "says"),
    [
        ([(0, 9, 9)], True, "ok", "every batch is counted"),
        ([(0, 9, 4)], False, "ok", "5 batches not counted yet; hooklab does it when it is started"),
        ([(0, 109, 9), (1, 109, 59)], True, "ok", "50 batches not counted yet; at this rate done in 1 s"),
        ([(0, 109, 9), (1, 300, 59)], True, "warning", "it grows"),
        ([(0, 109, 9), (3, 109, 9)], True, "problem", "none was counted within 3 s"),
        ([(0, 109, 9), (1, 109, 109)], True, "ok", "every batch is counted"),
    ],
)
def test_lag(samples: list[tuple[int, int, int]], running: bool, level: str, says: str) -> None:
    """Whether what is on disk gets counted, by a look and another one."""
    found = judge_lag([Sample(at * SECOND, last, done) for at, last, done in samples], running=running)
    assert found is not None
    assert (found.level, says in found.found) == (level, True), found


@pytest.mark.parametrize(
    ("times", "level", "says"),
    [
        (Times(now=NOW, newest=NOW - HOUR, kept=True), "ok", "kept by a time server"),
        (Times(now=NOW, newest=None, kept=None), "ok", "cannot be told"),
        (Times(now=NOW, newest=None, kept=False), "warning", "no time server keeps it"),
        (Times(now=NOW, newest=NOW + HOUR, kept=True), "warning", "60 min later"),
        (Times(now=DAY, newest=None, kept=True), "warning", "before this hooklab was made"),
    ],
)
def test_the_clock(times: Times, level: str, says: str) -> None:
    """Before the program was made, behind the newest batch, or kept by nobody."""
    [found] = judge_times(times, None)
    assert (found.level, says in found.found) == (level, True), found


def test_times_of_another_zone() -> None:
    """The provider's clock that is off by a zone is a warning with the setting that mends it."""
    off = ClockOff(offset_s=3600, share=0.9, assume_timezone="Etc/GMT-1")
    lag = Lag(reports=500, p50_s=3601.0, p90_s=3603.0, p99_s=3610.0, clock_off=off)
    found = list(judge_times(Times(now=NOW, newest=None, kept=True), lag))[1]
    assert (found.name, found.level) == ("reported", "warning")
    assert "90.0 % of the last day's reports tell a time 60 min behind" in found.found
    assert "such as Etc/GMT-1" in (found.advice or "")


def _status(**changes: Any) -> ServiceStatus:
    values: dict[str, Any] = {
        "version": __version__,
        "pid": 7,
        "started_at": NOW - HOUR,
        "hook_url": "http://127.0.0.1:8080/hooks/x",
        "ready": True,
    }
    return ServiceStatus(**{**values, **changes})


@pytest.mark.parametrize(
    ("runs", "level", "says"),
    [
        (Runs(status=_status(), holder=7, now=NOW), "ok", "for 60 min; ready"),
        (Runs(status=_status(version="0.0.1"), holder=7, now=NOW), "warning", "but this is hooklab"),
        (Runs(status=_status(ready=False, problem="the\x1b disk"), holder=7, now=NOW), "problem", "the␛ disk"),
        (Runs(status=None, holder=None), "warning", "no hooklab runs"),
        (Runs(status=None, holder=7), "problem", "process 7 holds this folder"),
        (Runs(status=None, holder=7, barred=True), "warning", "as them, and may not be asked"),
    ],
)
def test_the_service(runs: Runs, level: str, says: str) -> None:
    """Whether it runs, answers, is ready, and is of this version."""
    found = judge_runs(runs, owner="them")
    assert (found.level, says in found.found) == (level, True), found


@pytest.mark.parametrize(
    ("address", "hook", "exposed"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/hooks/x", False),
        ("[::1]:8080", "http://[::1]:8080/hooks/x", False),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/hooks/x", True),
        ("[::]:8080", "http://127.0.0.1:8080/hooks/x", True),
        ("192.0.2.7:8080", "http://192.0.2.7:8080/hooks/x", True),
        ("0.0.0.0:8080", "https://hooks.example.com/hooks/x", False),
        ("127.0.0.1:8080", "http://hooks.example.com/hooks/x", True),
    ],
)
def test_whether_others_hear_the_token(address: str, hook: str, exposed: bool) -> None:
    """Without TLS it is only for this machine itself."""
    local = hook if "example" not in hook else "http://127.0.0.1:8080/hooks/x"
    door = Door(address=address, answered=100, hook_url=hook, local_url=local)
    names = [one.name for one in judge_door(door, Runs(status=_status(), holder=7))]
    assert names == ["listener", *(["exposure"] if exposed else [])]


@pytest.mark.parametrize(
    ("door", "level"),
    [
        (Door(address="127.0.0.1:1", answered=100), "ok"),
        (Door(address="127.0.0.1:1", answered=404), "problem"),
        (Door(address="127.0.0.1:1", answered=503), "problem"),
        (Door(address="127.0.0.1:1", failed="refused"), "problem"),
    ],
)
def test_what_the_door_answers(door: Door, level: str) -> None:
    """Anything but the wish for the offered body is a problem."""
    [found] = judge_door(door, Runs(status=_status(), holder=7))
    assert found.level == level


def test_how_hard_a_token_is_to_guess() -> None:
    """One that hooklab makes passes by far; one of few letters does not."""
    assert bits_of("a" * 40) == 0
    assert bits_of("") == 0
    assert bits_of("Zk3vQ0x-9pLr_7TtB2mWc8YnE4sHdGfA") > 128
    made = Token(where="in x", state="kept", length=32, bits=140, running=True)
    assert judge_token(made).level == "ok"


@pytest.mark.system
def test_a_full_disk(tmp_path: Path) -> None:
    """On a small disk that was filled: memory, no room, and a service that answers 503 because of it."""
    with skipping(), small_disk(tmp_path, 8 << 20) as disk, RunningService(disk / "data") as service:
        fill(disk / "filler", leave=200 << 10)
        assert service.post(body_of(pair()))[0] == 503
        found = findings_of(service.data_dir)
        assert found["disk"].level == "warning"
        assert (found["room"].level, "answered 503" in found["room"].found) == ("problem", True)
        assert (found["service"].level, "nearly full" in found["service"].found) == ("problem", True)
        (disk / "filler").unlink()
        until(lambda: service.admin("/ready")[0] == 200, "ready again")
        assert findings_of(service.data_dir)["room"].level == "ok"
