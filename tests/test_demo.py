"""`make demo` in a real terminal: it lives by itself, and however it ends nothing of it is left."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from pty_stage import Terminal, until
from support import json_of

DEMO: Final = Path(__file__).with_name("demo.py")
_CHANGED: Final = f"""
import sys
sys.path.insert(0, {str(DEMO.parent)!r})
import demo
{{change}}
sys.exit(demo.main())
"""
_A_WIDGET_RAISES: Final = """
def raises(self, y):
    raise ZeroDivisionError("a widget that raises")
from hooklab.tui.widgets.message_list import MessageList
MessageList.render_line = raises
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Demo(Terminal):
    """The demo in a pty, with a folder for temporary files and a home that are its own."""

    def __init__(self, place: Path, change: str = "", **environment: str) -> None:
        self.temporary, self.home = place / "tmp", place / "home"
        for folder in (self.temporary, self.home):
            folder.mkdir()
        command = ["-c", _CHANGED.format(change=change)] if change else [str(DEMO)]
        own = {"TMPDIR": str(self.temporary), "HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "data")}
        super().__init__([sys.executable, *command], 120, 36, **own, **environment)
        self.pid = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):  # a test that fails must not leave what it looked for
            os.killpg(self.process.pid, signal.SIGKILL)
        super().__exit__(kind, error, trace)

    @property
    def folder(self) -> Path:
        [folder] = self.temporary.iterdir()
        return folder

    def messages(self) -> int:
        """The counter on the screen; 0 before there is one."""
        found = re.search(r"messages +([\d,]+)", self.text())
        return int(found[1].replace(",", "")) if found else 0

    def wait_for_life(self) -> None:
        """Returns once the counter has risen twice, by nobody's hand."""
        for _ in range(2):
            self.wait_for_more_than(max(self.messages(), 525))  # those of the samples
        self.pid = int((self.folder / "hooklab.lock").read_text())
        assert is_alive(self.pid)
        assert self.pid != self.process.pid

    def wait_for_more_than(self, messages: int) -> None:
        until(lambda: self.messages() > messages, "no message comes")

    def left_nothing(self) -> bool:
        """Whether neither a process nor a file is there any more; the caller knows that both were."""
        return not is_alive(self.pid) and not any(self.temporary.iterdir()) and not any(self.home.iterdir())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def living(place: Path, change: str = "", **environment: str) -> Iterator[Demo]:
    with Demo(place, change, **environment) as demo:
        demo.wait_for_life()
        yield demo


def test_lives_by_itself_and_q_leaves_nothing(tmp_path: Path) -> None:
    """It says what it is, shows what comes, heeds no setting of the user's, and ends with 0 and a whole terminal."""
    settings = {
        "HOOKLAB_DATA_DIR": str(tmp_path / "mine"),
        "HOOKLAB_CONFIG": str(tmp_path / "there-is-none.toml"),
        "HOOKLAB_BIND": "nowhere",
        "HOOKLAB_TOKEN": "mine-0123456789",
    }
    with living(tmp_path, **settings) as demo:
        said = demo.received.partition(b"\x1b")[0].decode()
        assert said.count("\n") == 2
        assert all(word in said for word in ("demo", "nothing is kept", "`q` and then `s` leaves"))
        assert demo.folder.stat().st_mode & 0o777 == 0o700
        demo.keys("q")
        demo.wait_for("top the service")
        demo.keys("s")
        assert demo.ends_with() == 0
        assert demo.mode_is_restored()
        until(lambda: b"\x1b[?1049l" in demo.received, "the alternate screen is not left")
        assert demo.left_nothing()
        assert not (tmp_path / "mine").exists()


def test_sigterm_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM to the demo alone ends hooklab too: 0, and a whole terminal."""
    with living(tmp_path) as demo:
        demo.process.send_signal(signal.SIGTERM)
        assert demo.ends_with() == 0
        assert demo.mode_is_restored()
        assert demo.left_nothing()


def test_a_terminal_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    """A service would go on without its terminal; the demo does not let it."""
    with living(tmp_path) as demo:
        demo.hang_up()
        assert demo.ends_with() == 0
        assert demo.left_nothing()


def test_ctrl_c_before_the_screen_leaves_nothing(tmp_path: Path) -> None:
    """While it starts, what Ctrl-C sends to all of the foreground ends it: 0."""
    with Demo(tmp_path) as demo:
        until(lambda: any(demo.temporary.iterdir()), "no folder is made")
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.ends_with() == 0
        assert demo.mode_is_restored()
        assert not any(demo.temporary.iterdir())


def test_without_its_screen_it_is_fed_until_ctrl_c(tmp_path: Path) -> None:
    """A process that goes on without a screen is still the demo's: Ctrl-C ends it, and nothing is left."""
    command = (sys.executable, "-c", f"import sys\n{_A_WIDGET_RAISES}")
    with Demo(tmp_path, f"demo.HOOKLAB = {command!r}") as demo:
        demo.wait_for("hooklab goes on receiving")
        before = json_of("stats", data_dir=demo.folder)["reports"]
        until(lambda: json_of("stats", data_dir=demo.folder)["reports"] > before, "nobody feeds it")
        demo.pid = int((demo.folder / "hooklab.lock").read_text())
        demo.keys("\x03")
        assert demo.ends_with() == 0
        assert demo.left_nothing()


def test_hooklab_killed_leaves_nothing(tmp_path: Path) -> None:
    """After a kill -9 of hooklab the demo says so, mends the terminal, and ends with 1."""
    with living(tmp_path) as demo:
        os.kill(demo.pid, signal.SIGKILL)
        assert demo.ends_with() == 1
        assert demo.mode_is_restored()
        # Not on the screen of pyte, which has no second one to go back to: killed in the middle of drawing, the
        # line stands where that ended, and may be broken.
        until(lambda: b"hooklab was ended by SIGKILL\r\n" in demo.received, "it is not said")
        assert b"\x1b[?1049l" in demo.received
        assert demo.left_nothing()


def test_a_feeder_that_fails_ends_the_demo(tmp_path: Path) -> None:
    """What nobody feeds is no demo: hooklab is stopped, the fault is shown, exit 1."""
    change = "def play(*_): raise ZeroDivisionError('a feeder that raises')\ndemo.play = play"
    with Demo(tmp_path, change) as demo:
        demo.wait_for("a feeder that raises")
        assert demo.ends_with() == 1
        assert demo.mode_is_restored()
        assert not any(demo.temporary.iterdir())


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    """One line, exit 1, no folder."""
    done = subprocess.run(
        [sys.executable, DEMO],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert b"needs a terminal" in done.stderr
    assert not any(tmp_path.iterdir())
