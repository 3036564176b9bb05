"""`hooklab attach` in a real terminal: several at once, without a service, after a kill, nothing to see."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pty_stage import Terminal, until
from support import HEEDING_MODES, RunningService, body_of, pair, report

PENDING, FAILED = "3519····0701", "3519····0702"


def attached(folder: Path, *before: str) -> Terminal:
    """The screen on `folder`, run by the command `before` if there is one."""
    return Terminal([*before, sys.executable, "-m", "hooklab", "attach", "--data-dir", folder], 120, 36)


def leave(shown: Terminal) -> None:
    """`q` ends it at once, with 0 and the terminal as it was."""
    assert not shown.mode_is_restored()
    shown.keys("q")
    assert shown.ends_with() == 0
    assert shown.mode_is_restored()


def send_two(service: RunningService) -> None:
    """A pending and a failed message."""
    pending = report(status="PENDING", Msisdn="351900000701")
    failed = report(status="NOT_DELIVERED", Msisdn="351900000702", ReportDescription="Number not in use")
    assert service.post(body_of([pending, failed]))[0] == 200
    service.settled()


def wait_for_two(shown: Terminal) -> None:
    for text in (PENDING, FAILED, "Number not in use", f"messages{2:>12}"):
        shown.wait_for(text)


def content(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time of change and bytes of all that is in a folder."""
    found = {}
    for path in folder.iterdir():
        stat = path.stat()
        found[path.name] = (stat.st_mode, stat.st_mtime_ns, path.read_bytes())
    return found


def test_several_at_once_see_the_same_and_leave_alone(tmp_path: Path) -> None:
    """Three show a message that comes; each leaves with 0, and neither the others nor the service notice."""
    with RunningService(tmp_path / "data") as service, ExitStack() as stack:
        shown = [stack.enter_context(attached(tmp_path / "data")) for _ in range(3)]
        for one in shown:
            one.wait_for("● well")
        service.post(body_of([report(Msisdn="351900000700")]))
        for one in shown:
            one.wait_for("3519····0700")
        for number in (1, 2, 3):
            leave(shown.pop())
            message = report(Msisdn=f"35190000071{number}")
            assert service.post(body_of([message])) == (200, b"")
            for one in shown:
                one.wait_for(f"3519····071{number}")


def test_without_a_service_it_shows_what_was(tmp_path: Path) -> None:
    """On the folder of a service that was stopped: its messages, and that there is none."""
    with RunningService(tmp_path / "data") as service:
        send_two(service)
    with attached(tmp_path / "data") as shown:
        wait_for_two(shown)
        shown.wait_for("○ no service")
        leave(shown)


@pytest.mark.parametrize("read_before", [False, True])
def test_a_read_only_copy_is_shown_and_left_as_it_is(tmp_path: Path, read_before: bool) -> None:
    """Nothing is added to a copy that cannot be written, and no byte of it changes."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        send_two(service)
    if read_before:  # a reader leaves an empty WAL and its index behind
        with attached(folder) as shown:
            wait_for_two(shown)
            leave(shown)
        assert (folder / "store.db-shm").exists()
    copy = shutil.copytree(folder, tmp_path / "copy")
    copy.chmod(0o555)
    before = content(copy)
    with attached(copy, *HEEDING_MODES) as shown:
        wait_for_two(shown)
        shown.wait_for("○ no service")
        assert content(copy) == before
        leave(shown)
    assert content(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o555


def test_after_a_kill_it_shows_what_is_in_the_wal(tmp_path: Path) -> None:
    """Kill -9 leaves everything in the WAL: it is shown whole, and a service that starts then finds it all."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        send_two(service)
        service.kill()
    for name in ("journal.db-wal", "store.db-wal"):
        assert (folder / name).stat().st_size > 0
    with attached(folder) as shown:
        wait_for_two(shown)
        shown.wait_for("○ no service")
        leave(shown)
    with RunningService(folder) as service:
        assert service.settled()["messages"] == 2


def _file(path: Path) -> None:
    path.write_text("not a folder")


def _text(path: Path) -> None:
    path.mkdir()
    (path / "journal.db").write_text("Dear diary,\n" * 100)


def _foreign(path: Path, mode: str) -> None:
    path.mkdir()
    with closing(sqlite3.connect(path / "journal.db")) as other:
        other.execute(f"PRAGMA journal_mode={mode}")
        other.execute("CREATE TABLE diary (dear TEXT)")
        other.commit()


def _unreadable(path: Path) -> None:
    with RunningService(path) as service:
        service.post(body_of(pair()))
    (path / "journal.db").chmod(0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no hooklab data"),
        (Path.mkdir, "no hooklab data"),
        (_file, "no hooklab data"),
        (_text, "not a SQLite file"),
        (lambda path: _foreign(path, "DELETE"), "not a hooklab journal"),
        (lambda path: _foreign(path, "WAL"), "not a hooklab journal"),
        (_unreadable, "cannot be read: Permission denied"),
    ],
    ids=["missing", "empty", "a file", "text", "foreign", "foreign with WAL", "unreadable"],
)
def test_what_is_not_hooklabs_is_refused_in_a_line(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    """One line, exit 1, no screen, no traceback; and what is there stays as it is."""
    folder = tmp_path / "data"
    make(folder)
    before = sorted(tmp_path.rglob("*"))
    with attached(folder, *HEEDING_MODES) as shown:
        assert shown.ends_with() == 1
        os.write(shown.slave, b"<end>")
        until(lambda: shown.received.endswith(b"<end>"), "the terminal shows nothing")
        assert shown.received.count(b"\n") == 1
        assert shown.received.startswith(b"hooklab: ")
        assert says in shown.received.decode()
        assert b"\x1b" not in shown.received
        assert shown.mode_is_restored()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a terminal to another user")
def test_a_terminal_of_another_user_shows_it_too(tmp_path: Path) -> None:
    """As after `su`: the terminal's name may not be opened, and the screen comes all the same."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        send_two(service)
        given_away = ["sh", "-c", 'chown 65534 "$(tty)" && chmod 600 "$(tty)" && exec "$@"', "sh", *HEEDING_MODES]
        with attached(folder, *given_away) as shown:
            wait_for_two(shown)
            leave(shown)


def test_another_folder_of_the_same_name_is_shown(tmp_path: Path) -> None:
    """Removed and begun anew under the screen: it says that it cannot be read, and then shows what came since."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        send_two(service)
    with attached(folder) as shown:
        wait_for_two(shown)
        shutil.rmtree(folder)
        shown.wait_for("cannot read")
        with RunningService(folder) as service:
            service.post(body_of([report(status="PENDING", Msisdn="351900000703")]))
            shown.wait_for("3519····0703")
            until(lambda: FAILED not in shown.text(), "the old messages stay")
            leave(shown)


_HANGS = """
import sys
from hooklab.store.read import SqliteStoreReader
async def hangs(self, *_):
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    await self._connection.execute_fetchall(forever)
SqliteStoreReader.search = hangs
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_read_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """As on a disk that stalls: `q` ends it with 0 and the terminal as it was."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
    command: list[str | Path] = [sys.executable, "-c", _HANGS, "attach", "--data-dir", folder]
    with Terminal(command) as shown:
        shown.wait_for("no answer for")
        shown.keys("q")
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()
