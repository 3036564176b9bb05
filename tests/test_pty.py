"""`hooklab run` in a real terminal that goes, stalls, changes or is left: the receiver goes on answering."""

import contextlib
import os
import pty
import re
import signal
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pty_stage import Terminal, hooklab_run, until
from support import TOKEN, RunningService, body_of, hooklab, json_of, pair

from hooklab.admin_client import _ask
from hooklab.commands.run import _END_SECONDS
from hooklab.commands.send import Hook, post
from hooklab.files import Folder
from hooklab.tui.driver import SteadyFile


class Screen(Terminal):
    """`hooklab run` in a pty."""

    def __init__(
        self, folder: Path, columns: int = 80, rows: int = 24, *, command: list[str | Path] | None = None
    ) -> None:
        self.folder = folder
        super().__init__(command or hooklab_run(folder, "--token", TOKEN), columns, rows)
        status = until(lambda: folder.exists() and _ask(Folder(folder)), "the service does not start")
        self.url = status.hook_url

    def post(self) -> int:
        """One new message; gives the answer's code."""
        return post(Hook(self.url), body_of(pair()))[0]

    def post_until_full(self) -> int:
        """Stops reading, and gives how many messages it took until the terminal takes nothing more."""
        self.stop_reading()
        sent = 0
        while not self.is_full():
            assert self.post() == 200
            sent += 1
            assert sent < 5_000, "the terminal does not fill"
        return sent


@contextmanager
def screen(folder: Path, columns: int = 80, rows: int = 24) -> Iterator[Screen]:
    with Screen(folder, columns, rows) as shown:
        shown.wait_for("smsWebhooks")
        yield shown


def test_shows_what_comes_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    """A first report appears; `q` and a yes stop the service, exit 0, and the terminal's modes are those before."""
    with screen(tmp_path / "data") as shown:
        assert not shown.mode_is_restored()
        assert shown.post() == 200
        shown.wait_for("3519····0123")
        shown.keys("q")
        shown.wait_for("stop the service")
        shown.keys("s")
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()
        until(lambda: b"\x1b[?1049l" in shown.received, "the alternate screen is not left")
        assert "failed" not in (tmp_path / "data" / "hooklab.log").read_text()


def test_closing_the_screen_leaves_the_service(tmp_path: Path) -> None:
    """`q` and `d` restore the terminal and say in one line how to look again and how to stop; the receiver answers
    until Ctrl-C, and attach shows it again meanwhile.
    """
    folder = tmp_path / "data"
    with screen(folder) as shown:
        shown.keys("q")
        shown.wait_for("close the screen")
        shown.keys("d")
        shown.wait_for("goes on receiving")
        until(shown.mode_is_restored, "the modes are not restored")
        said = (
            f"the prompt does not come back by itself. Stop it: Ctrl-C here, or kill {shown.process.pid} elsewhere."
        )
        # As it was called, so that it can be pasted.
        shell = f"{said} Look again: {sys.executable} -m hooklab attach --data-dir {folder}"
        assert re.sub(r"\s", "", shell) in re.sub(r"\s", "", shown.text())
        assert shown.post() == 200
        with Terminal([sys.executable, "-m", "hooklab", "attach", "--data-dir", folder]) as again:
            again.wait_for("3519····0123")
            again.keys("q")
            assert again.ends_with() == 0
        assert shown.post() == 200
        shown.keys("\x03")
        assert shown.ends_with() == 0


def test_a_log_that_cannot_be_written_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    """Neither a full disk nor a locale without its characters brings a traceback over the screen."""
    (tmp_path / "full").mkdir(mode=0o700)
    (tmp_path / "full" / "hooklab.log").symlink_to("/dev/full")
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environments: dict[str, dict[str, Any]] = {"full": {}, "ascii": ascii_only}
    for name, environment in environments.items():
        with Terminal(hooklab_run(tmp_path / name), **environment) as shown:
            shown.wait_for("smsWebhooks")
            shown.keys("q")
            shown.wait_for("close the screen")
            shown.keys("d")
            shown.wait_for("goes on receiving")
            shown.keys("\x03")
            assert shown.ends_with() == 0
            assert b"Traceback" not in shown.received
    assert "hooks/••••" in (tmp_path / "ascii" / "hooklab.log").read_text(encoding="utf-8")


def test_a_terminal_that_hangs_up_leaves_the_receiver(tmp_path: Path) -> None:
    """After SIGHUP and a dead pty it answers 200, uses next to no CPU, can be attached to, and ends with 0."""
    folder = tmp_path / "data"
    with screen(folder) as shown:
        assert shown.post() == 200
        shown.hang_up()
        until(lambda: "without a screen" in (folder / "hooklab.log").read_text(), "it does not notice")
        for _ in range(5):
            assert shown.post() == 200
        before = shown.cpu_ticks()
        time.sleep(2)  # what is measured is that nothing happens
        assert shown.cpu_ticks() - before < os.sysconf("SC_CLK_TCK") // 2
        assert json_of("stats", data_dir=folder)["refused"] == {}
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0
    assert json_of("stats", data_dir=folder)["messages"] == 6


def test_a_logout_that_ends_it_too_ends_it(tmp_path: Path) -> None:
    """SIGTERM with a SIGHUP and the terminal's end in the same moment, as at a logout, stop the service: exit 0."""
    with screen(tmp_path / "data") as shown:
        shown.process.send_signal(signal.SIGTERM)
        shown.process.send_signal(signal.SIGHUP)
        shown.hang_up()
        assert shown.ends_with() == 0


_NEVER_STOPS = """
import sys
from hooklab.commands import run
run._END_SECONDS /= 4
from hooklab.service import ServiceThread
ServiceThread.ask_to_stop = lambda self: None
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_service_that_does_not_stop_is_left_in_time(tmp_path: Path) -> None:
    """Where something holds up its end while there is no screen any more, the process still ends, with 0, and soon
    enough that the whole limit, of which this waits for a part, is within 10 s.
    """
    assert _END_SECONDS < 10
    folder = tmp_path / "data"
    command = [sys.executable, "-c", _NEVER_STOPS, *hooklab_run(folder, "--token", TOKEN)[3:]]
    with Screen(folder, command=command) as shown:
        shown.wait_for("smsWebhooks")
        shown.process.send_signal(signal.SIGHUP)
        until(lambda: "without a screen" in (folder / "hooklab.log").read_text(), "it does not notice")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with(_END_SECONDS) == 0


_HUNG_UP_AT_THE_VERY_END = """
import os, signal, sys
class Late:
    def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGHUP):
        kill(me, number)
sys.late = Late()
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_signal_while_python_ends_changes_nothing(tmp_path: Path) -> None:
    """Exit 0 also where the terminal's end comes when all is done, and Python has given its signals back."""
    command = [sys.executable, "-c", _HUNG_UP_AT_THE_VERY_END, *hooklab_run(tmp_path / "data", "--token", TOKEN)[3:]]
    with Screen(tmp_path / "data", command=command) as shown:
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0


def test_a_terminal_that_nobody_reads_stalls_nothing(tmp_path: Path) -> None:
    """While nobody reads every POST is 200; when somebody reads again, the screen is whole: what was opened
    meanwhile is there, and the counters.
    """
    with screen(tmp_path / "data", columns=200, rows=50) as shown:
        sent = shown.post_until_full()
        shown.keys("2")  # its heads are drawn once, into a terminal that takes nothing
        ends = time.monotonic() + 3  # a dozen frames that are dropped, and as many times the patience with a write
        while time.monotonic() < ends:
            assert shown.post() == 200
            sent += 1
            time.sleep(0.02)
        shown.read_on()
        shown.wait_for("elements  became")
        shown.wait_for(f"messages{sent:>12,}")
        shown.keys("q")
        shown.wait_for("stop the service")
        shown.keys("s")
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()


def test_a_terminal_that_stalls_below_the_help_shows_it_once_it_is_read(tmp_path: Path) -> None:
    """What draws nothing by itself is there too when somebody reads again, and so are the keys."""
    with screen(tmp_path / "data", columns=200, rows=50) as shown:
        shown.post_until_full()
        shown.keys("?")
        ends = time.monotonic() + 1.5  # what was on its way to the terminal is dropped, and the help with it
        while time.monotonic() < ends:
            assert shown.post() == 200
            time.sleep(0.02)
        shown.read_on()
        shown.wait_for("messages, batches, problems, quarantine", seconds=5)
        shown.keys("q")
        shown.wait_for("3519····0123")
        shown.keys("q")
        shown.wait_for("stop the service")
        shown.keys("s")
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()


def test_sigterm_while_stalled_ends_well(tmp_path: Path) -> None:
    """A full terminal does not hold up the end: exit 0, and the modes and the screen are restored."""
    with screen(tmp_path / "data", columns=200, rows=50) as shown:
        shown.post_until_full()
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()
        shown.read_on()
        until(lambda: b"\x1b[?1049l" in shown.received, "the alternate screen is not left")


_FAULT = """
import sys
import threading
from hooklab.tui.widgets.message_list import MessageList
def reads():
    raise RuntimeError("a thread that raises")
def raises(self, y):
    threading.Thread(target=reads).start()
    raise ZeroDivisionError("a widget that raises")
MessageList.render_line = raises
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_widget_that_raises_takes_only_the_screen(tmp_path: Path) -> None:
    """The screen ends, the terminal is restored, one line says so, and the receiver goes on until it is stopped."""
    folder = tmp_path / "data"
    command = [sys.executable, "-c", _FAULT, *hooklab_run(folder, "--token", TOKEN)[3:]]
    with Screen(folder, command=command) as shown:
        assert shown.post() == 200
        shown.wait_for("hooklab goes on receiving")
        until(shown.mode_is_restored, "the modes are not restored")
        assert "Traceback" not in shown.text()
        told = (folder / "hooklab.log").read_text()
        assert "ZeroDivisionError" in told
        assert "a thread that raises" in told
        for _ in range(5):
            assert shown.post() == 200
        shown.keys("\x03")
        assert shown.ends_with() == 0


def test_resizing_to_almost_nothing_and_back(tmp_path: Path) -> None:
    """40x10 and back to 120x36: it draws on, and answers."""
    with screen(tmp_path / "data", columns=120, rows=36) as shown:
        shown.post()
        shown.wait_for("3519····0123")
        for columns, rows in ((40, 10), (10, 3), (120, 36)):
            shown.resize(columns, rows)
            assert shown.post() == 200
        shown.wait_for("arrivals")
        shown.wait_for("Delivered to handset")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()


def test_ctrl_z_from_outside_does_not_stop_the_receiver(tmp_path: Path) -> None:
    """SIGTSTP, which would stop the process with its receiver, changes nothing."""
    with screen(tmp_path / "data") as shown:
        shown.process.send_signal(signal.SIGTSTP)
        assert shown.post() == 200
        shown.wait_for("3519····0123")
        shown.process.send_signal(signal.SIGCONT)
        assert shown.post() == 200
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0


def test_attach_follows_a_service_that_restarts(tmp_path: Path) -> None:
    """It shows what a service elsewhere stores, says when that is gone, and comes back by itself; `q` leaves."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        with Terminal([sys.executable, "-m", "hooklab", "attach", "--data-dir", folder], 120, 36) as shown:
            shown.wait_for("3519····0123")
            shown.wait_for("● well")
            service.kill()
            shown.wait_for("○ no service")
            with RunningService(folder) as again:
                shown.wait_for("● well")
                again.post(body_of(pair()))
                shown.wait_for(f"messages{2:>12}")
                shown.keys("q")
                assert shown.ends_with() == 0
                assert shown.mode_is_restored()
                until(lambda: b"\x1b[?1049l" in shown.received, "the alternate screen is not left")
                assert b"failed" not in shown.received
                assert again.post(body_of(pair()))[0] == 200


def test_attach_whose_screen_fails_says_so_in_one_line(tmp_path: Path) -> None:
    """The terminal is restored, one line names the fault without a traceback, exit 1; the service goes on."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of(pair()))
        with Terminal([sys.executable, "-c", _FAULT, "attach", "--data-dir", folder], 120, 36) as shown:
            shown.wait_for("the screen failed: ZeroDivisionError")
            assert shown.ends_with() == 1
            assert shown.mode_is_restored()
            assert b"Traceback" not in shown.received
        assert service.post(body_of(pair()))[0] == 200


def test_attach_without_a_terminal_says_what_to_use(tmp_path: Path) -> None:
    """One line and exit 1."""
    folder = tmp_path / "data"
    with RunningService(folder):
        done = hooklab("attach", data_dir=folder)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"needs a terminal" in done.stderr


def test_run_whose_log_cannot_be_made_names_it(tmp_path: Path) -> None:
    """A folder in the log's place: one line that names it, exit 1."""
    log = tmp_path / "data" / "hooklab.log"
    log.mkdir(mode=0o700, parents=True)
    log.parent.chmod(0o700)
    with Terminal(hooklab_run(log.parent), 200) as shown:
        shown.wait_for(f"hooklab: the log {log} cannot be written: Is a directory")
        assert shown.ends_with() == 1


def test_last_words_are_said_though_a_frame_is_stuck_at_that_moment() -> None:
    """The end comes while a write still waits for the terminal: what was to be drawn goes, the modes are restored."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(slave, False)
    os.set_blocking(master, False)
    file = SteadyFile(slave, lambda: None)

    def end_comes(_seconds: float) -> bool:
        file.last_words()
        return False

    file._is_writable = end_comes  # type: ignore[method-assign, assignment]
    try:
        file.write("x" * 1_000_000)
        file.write("\x1b[?1049l")
        read = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                read += os.read(master, 65536)
        assert read.endswith(b"\x1b[?1049l")
    finally:
        os.close(slave)
        os.close(master)
