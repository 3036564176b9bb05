"""Tokens and phone numbers are where they belong and nowhere else: all that a process leaves is searched for them."""

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from inside import run
from pty_stage import Terminal, hooklab_run, until
from support import TOKEN, RunningService, body_of, hooklab, pair, report

from hooklab import cli
from hooklab.config import Settings

NUMBER: Final = "351987654321"
SECRETS: Final = (TOKEN, NUMBER)
PASSWORD: Final = base64.b64encode(f"u:{TOKEN}".encode()).decode()


def found_in(text: str | bytes) -> list[str]:
    """The secrets that stand in something."""
    shown = text.encode() if isinstance(text, str) else text
    return [secret for secret in (*SECRETS, PASSWORD) if secret.encode() in shown]


def _misuse(service: RunningService) -> bytes:
    """Whatever goes wrong at the door and behind it; gives all answers."""
    said = b""
    odd = report(Msisdn=NUMBER, MessageId=NUMBER)
    for body in (b"[]", NUMBER.encode(), f'["{NUMBER}"]'.encode(), f'{{"Msisdn":"{NUMBER}"'.encode(),
                 body_of([odd, [NUMBER], report(Msisdn=NUMBER, ReportDateTime=NUMBER, TotalSegments=NUMBER)]),
                 b'["\xff' + NUMBER.encode() + b'"]', b"[" * 5_000 + NUMBER.encode()):  # fmt: skip
        for label in (None, NUMBER, "delivered"):
            said += service.post(body, label)[1]
    for head in (f"GET {service.path}", f"POST {service.path}/{NUMBER}%0a", f"POST /hooks/{TOKEN}x", "POST /hooks"):
        for field in (
            f"Authorization: Basic {PASSWORD}",
            "Content-Encoding: gzip",
            "Content-Length: 99999999",
            "X: \0",
        ):
            with service.connect() as connection, contextlib.suppress(ConnectionError):
                connection.sendall(f"{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{field}\r\n\r\n".encode())
                connection.shutdown(1)
                said += connection.recv(65536)
    return said


def test_none_in_answers_logs_processes_and_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token and a number in right and wrong requests: not in an answer, the log, the process list, in `doctor`,
    `config`, `stats`, `token list`, nor in an error of a command.
    """
    folder = tmp_path / "data"
    environment = {"HOOKLAB_TOKEN": TOKEN, "TMPDIR": str(tmp_path)}
    (tmp_path / "of-others").touch()
    with _FromEnvironment(folder, environment=environment) as service:
        assert found_in(_misuse(service)) == []
        service.settled()
        process = Path(f"/proc/{service.process.pid}")
        assert found_in((process / "cmdline").read_bytes()) == []
        assert "Max core file size        1 " in (process / "limits").read_text()
        for words in ("doctor", "doctor --json", "config", "config --json", "stats", "token list",
                      f"show {NUMBER}", "batch 99", f"token new {TOKEN}", f"snippet --base-url u:{TOKEN}",
                      f"serve --tok={TOKEN}", f"config --public-url https://u:{TOKEN}@h",
                      f"config --public-url ftp://h/hooks/{TOKEN}", f"snippet --base-url ftp://h/hooks/{TOKEN}",
                      f"send --url http://u:{TOKEN}@127.0.0.1:1/hooks/{TOKEN} /dev/null",
                      f"send --url ftp://u:{TOKEN}@h/{TOKEN} /dev/null"):  # fmt: skip
            monkeypatch.setenv("HOOKLAB_TOKEN", TOKEN)  # which each command takes away
            done = run(*words.split(), folder=folder)
            typed = [NUMBER] if words.startswith("show") else []
            assert found_in(done.out + done.err) == typed, (words, done)
    assert found_in(service.stderr) == []
    assert {one.name for one in tmp_path.iterdir()} == {"data", "of-others"}
    assert all(one.stat().st_mode & 0o077 == 0 for one in (folder, *folder.iterdir()))


class _FromEnvironment(RunningService):
    """`hooklab serve` whose token is in its environment."""

    def command(self) -> list[str]:
        return [*super().command()[:6], "--bind", "127.0.0.1:0"]


def test_none_in_the_log_of_the_screen_nor_in_its_crash(tmp_path: Path) -> None:
    """A screen that fails with a number in its hands logs where, without the values."""
    command = [sys.executable, "-c", _FAILS, *map(str, hooklab_run(tmp_path / "data", "--token", TOKEN)[3:])]
    with Terminal(command, 120, 36) as shown:
        shown.wait_for("smsWebhooks")
        log = tmp_path / "data" / "hooklab.log"
        url = re.search(rf"http://[^/]+/hooks/{TOKEN}", shown.text())
        assert url is not None
        sent = tmp_path / "sent.json"
        sent.write_bytes(body_of([report(Msisdn=NUMBER)]))
        assert hooklab("send", "--url", url[0], sent).returncode == 0
        shown.wait_for("hooklab goes on receiving")
        until(lambda: "ZeroDivisionError" in log.read_text(), "no crash in the log")
        assert found_in(log.read_bytes()) == []
        assert found_in(bytes(shown.received).rpartition(b"\x1b[?1049l")[2]) == []
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0


_FAILS = """
import sys
from hooklab.tui.widgets.message_list import MessageList
def raises(self, y):
    if len(self.rows):
        raise ZeroDivisionError(f"{self.rows.items[0].msisdn} {self.app._hook_url}")
    return before(self, y)
before = MessageList.render_line
MessageList.render_line = raises
from hooklab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """SIGABRT where cores are not limited: the kernel says that it dumped none, of a plain Python that it did."""
    if not _dumps_core(tmp_path):
        pytest.skip("this kernel dumps no core, whoever crashes")
    folder = tmp_path / "data"
    with _Unlimited(folder) as service:
        assert service.post(body_of(pair()))[0] == 200
        os.kill(service.process.pid, signal.SIGABRT)
        _, status = os.waitpid(service.process.pid, 0)
        service.process.communicate()
        service.process.returncode = os.waitstatus_to_exitcode(status)
        assert service.process.returncode == -signal.SIGABRT
        assert not os.WCOREDUMP(status)


class _Unlimited(RunningService):
    """`hooklab serve` where cores may be as large as they like."""

    def command(self) -> list[str]:
        limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); "
        return [sys.executable, "-c", f"{limited}os.execv(sys.argv[1], sys.argv[1:])", *super().command()]


def _dumps_core(folder: Path) -> bool:
    crash = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); os.abort()"
    plain = subprocess.Popen([sys.executable, "-c", crash], cwd=folder)
    _, status = os.waitpid(plain.pid, 0)
    plain.returncode = os.waitstatus_to_exitcode(status)
    for core in folder.glob("core*"):
        core.unlink()
    return os.WCOREDUMP(status)


def test_what_hooklab_starts_does_not_get_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOOKLAB_TOKEN is read and taken out of the environment that children inherit; the setting stays in force."""
    monkeypatch.setenv("HOOKLAB_TOKEN", TOKEN)
    seen: set[str] = set()

    def config(_given: object, settings: Settings) -> int:
        seen.add(str(settings.token))
        return 0

    monkeypatch.setattr("hooklab.commands.config.config", config)
    assert cli.main(["config", "--data-dir", str(tmp_path)]) == 0
    assert seen == {TOKEN}
    assert "HOOKLAB_TOKEN" not in os.environ


_WARNED: Final = [
    (True, ["--token", TOKEN], True),
    (True, [f"--token={TOKEN}"], True),
    (True, [], False),
    (False, ["--token", TOKEN], False),
]


@pytest.mark.parametrize(("frozen", "arguments", "warned"), _WARNED)
def test_the_one_file_says_who_can_see_its_token(
    frozen: bool,
    arguments: list[str],
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its first process keeps the command line; one line names what hides it, and not the token."""
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    monkeypatch.setattr("setproctitle.setproctitle", lambda _title: None)
    monkeypatch.setattr("hooklab.commands.config.config", lambda _given, _settings: 0)
    assert cli.main(["config", *arguments]) == 0
    said = capsys.readouterr().err
    assert ("--token-file" in said, said.count("\n")) == (warned, int(warned))
    assert TOKEN not in said
