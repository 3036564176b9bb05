"""SIGHUP on a service without a screen: the settings are read again, and taken over as far as they can be."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pty_stage import Terminal, until
from support import TOKEN, RunningService, body_of, report

from hooklab.config import Loaded, Settings, SettingsError
from hooklab.journal.sqlite import JournalLimits
from hooklab.layered.about import known
from hooklab.layered.changes import changes
from hooklab.reloading import Reloading, Rereading
from hooklab.service import running

OTHER: dict[str, Any] = {
    "max_body": 2048,
    "max_head": 3072,
    "max_fields": 20,
    "head_timeout": 4.0,
    "body_timeout": 5.0,
    "idle_timeout": 6.0,
    "max_receiving": 4096,
    "max_queue": 8192,
    "max_group": 5000,
    "commit_timeout": 2.0,
    "disk_reserve": 7,
    "public_url": "https://hooks.example.com",
    "stuck_after": "1h",
    "allow": ("203.0.113.0/24",),
    "trusted_proxies": ("127.0.0.1",),
    "max_connections_per_peer": 7,
}
"""Another value for each setting that is taken over."""


def following(service: RunningService, file: Path, text: str, last: str) -> list[str]:
    """Writes the settings anew, sends SIGHUP, and gives the lines of the log up to the one with `last`."""
    file.write_text(text)
    service.process.send_signal(signal.SIGHUP)
    assert service.process.stderr is not None
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        line = service.process.stderr.readline().decode()
        assert line, f"the log ends without {last!r}: {lines}"
        if '"logger":"hooklab",' not in line:  # the line of the start
            lines.append(line.rstrip("\n"))
    return lines


def refusals(service: RunningService) -> list[int]:
    """What is answered to a body of 3000 bytes, to a head of 4000, and to one of 30 fields."""
    fields = {f"x-{number}": "1" for number in range(30)}
    return [
        service.post(b"[" + b" " * 2998 + b"]")[0],
        service.post(b"[]", None, **{"x-long": "x" * 4000})[0],
        service.post(b"[]", None, **fields)[0],
    ]


# What is taken over ----------------------------------------------------------------------------------------------


def test_thresholds_are_taken_over_while_it_runs(tmp_path: Path) -> None:
    """After SIGHUP the receiver goes by the new limits, and says of each setting what became of it."""
    file = tmp_path / "hooklab.toml"
    file.write_text("")
    with RunningService(tmp_path / "data", "--config", str(file), "--max-group", "9000000") as service:
        assert refusals(service) == [200, 200, 200]
        text = (
            'max_body = 2048\nmax_head = 3072\nmax_fields = 20\nmax_group = 5000\ntheme = "light"\ndisk_reserve = 7\n'
        )
        lines = following(service, file, text, "theme changed")
        for number, said in enumerate(
            (
                "reloaded: max_body is now 2,048 (2 KiB)",
                "reloaded: max_head is now 3,072 (3 KiB)",
                "reloaded: max_fields is now 20",
                "reloaded: disk_reserve is now 7",
                "theme changed: needs a restart",
            )
        ):
            assert said in lines[number]
        assert refusals(service) == [413, 431, 431]
        assert service.admin("/status")[1]["service"]["disk_reserve"] == 7
        # What is gone from the file is the default again; the option of the start (max_group) still wins.
        following(service, file, "", "disk_reserve is now 268,435,456 (256 MiB)")
        assert refusals(service) == [200, 200, 200]


def test_limits_may_also_grow(tmp_path: Path) -> None:
    """What was too large at the start is taken after SIGHUP."""
    file = tmp_path / "hooklab.toml"
    file.write_text("max_body = 2048\nmax_head = 3072\nmax_fields = 20\n")
    with RunningService(tmp_path / "data", "--config", str(file)) as service:
        assert refusals(service) == [413, 431, 431]
        following(service, file, "", "max_fields is now 100")
        assert refusals(service) == [200, 200, 200]


def test_times_and_addresses_are_taken_over(tmp_path: Path) -> None:
    """A slow body gets its 408 by the new time, a pending message is stuck by it, and the URL is the new one."""
    file = tmp_path / "hooklab.toml"
    file.write_text("")
    with RunningService(tmp_path / "data", "--config", str(file)) as service:
        assert service.post(body_of([report(status="PENDING")]))[0] == 200
        assert service.settled()["stuck"] == 0
        text = 'public_url = "https://x.example"\nbody_timeout = 0.2\nidle_timeout = 1\nstuck_after = "1s"\n'
        following(service, file, text, "idle_timeout is now 1")
        with service.connect() as slow:
            slow.sendall(f"POST {service.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        with service.connect() as idle:
            idle.sendall(f"POST {service.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".encode())
            while idle.recv(4096):
                pass  # until it is closed: with the old time that is after a minute, and the test fails
        assert service.admin("/status")[1]["service"]["hook_url"] == f"https://x.example/hooks/{TOKEN}"
        assert service.settled()["stuck"] == 1


async def test_every_setting_that_says_so_is_taken_over(tmp_path: Path) -> None:
    """What `hooklab config` marks reaches the part that goes by it; a setting that is new here has to be added."""
    assert set(OTHER) == {name for name, one in known(Settings).items() if one.about.reload}
    start = Settings(data_dir=tmp_path / "data", bind="127.0.0.1:0", token=TOKEN)
    async with running(start, lambda: 0) as service:
        lines = await service.reload(msgspec.structs.replace(start, **OTHER))
        assert len(lines) == len(OTHER)
        assert all(line.startswith("reloaded: ") for line in lines)
        assert service.journal._limits == JournalLimits(8192, 5000, 2.0, 7)
        assert service.indexer._reserve == 7
        assert service.status().disk_reserve == 7
        assert service.status().allow == ["203.0.113.0/24"]
        assert service.doorkeeper.door.proxies.written == ("127.0.0.1",)
        assert service.doorkeeper.connections.limits.per_peer == 7
        assert service.status().hook_url == f"https://hooks.example.com/hooks/{TOKEN}"
        assert (await service.projection._store.settings())["stuck_after"] == "3600000000"
        assert await service.reload(msgspec.structs.replace(start, **OTHER)) == ["reloaded: no setting changed"]


async def test_the_receiver_holds_to_what_may_be_in_memory(tmp_path: Path) -> None:
    """A smaller max_receiving refuses what is more, with 503, at once."""
    start = Settings(data_dir=tmp_path / "data", bind="127.0.0.1:0", token=TOKEN)
    async with running(start, lambda: 0) as service:
        body = b"[" + b" " * 2000 + b"]"
        assert await posted(service.listener.getsockname(), body) == 200
        await service.reload(msgspec.structs.replace(start, max_receiving=1024))
        assert await posted(service.listener.getsockname(), body) == 503


async def posted(address: tuple[str, int], body: bytes) -> int:
    """POSTs to the hook; gives the code."""
    reader, writer = await asyncio.open_connection(*address[:2])
    head = f"POST /hooks/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


def test_tokens_and_the_allow_list_are_read_again(tmp_path: Path) -> None:
    """A token that was written into the file by hand opens, one that was taken out does not; networks likewise."""
    tokens, file = tmp_path / "tokens", tmp_path / "hooklab.toml"
    tokens.write_text("old-secret-0123456789 first\n")
    file.write_text("")
    with RunningService(tmp_path / "data", "--config", str(file), "--token-file", str(tokens)) as service:

        def answers() -> list[int]:
            codes = []
            for secret in ("old-secret-0123456789", "new-secret-0123456789"):
                service.path = f"/hooks/{secret}"
                codes.append(service.post(b"[]")[0])
            return codes

        assert answers() == [200, 404]
        tokens.write_text("old-secret-0123456789 first\nnew-secret-0123456789 second\n")
        following(service, file, "", "the tokens are now: first, second")
        assert answers() == [200, 200]
        tokens.write_text("new-secret-0123456789 second\n")
        following(service, file, "", "the tokens are now: second")
        assert answers() == [404, 200]
        for junk in ("", "no token at all\n"):
            tokens.write_text(junk)
            lines = following(service, file, "", "the tokens stay as they were")
            assert "0123456789" not in lines[-1]
            assert answers() == [404, 200]
        tokens.unlink()
        following(service, file, "", "the tokens stay as they were: their file is gone")
        tokens.write_text("new-secret-0123456789 second\n")
        following(service, file, 'allow = ["203.0.113.0/24"]', "allow is now")
        assert answers() == [404, 404]
        following(service, file, 'allow = ["127.0.0.0/8"]', "allow is now")
        assert answers() == [404, 200]


# What is not -----------------------------------------------------------------------------------------------------


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """One line says what is wrong and where; the service goes on by what it has, and takes a mended file."""
    file = tmp_path / "hooklab.toml"
    file.write_text("max_fields = 20\n")
    with RunningService(tmp_path / "data", "--config", str(file)) as service:
        for text, said in (
            ("max_fields = 50\nmax_body = 'lots'", f"max_body ({file}, line 2): 'lots' is not a whole number"),
            ("max_fields = 50\nmax-body = 2048", f"{file}, line 2: there is no setting called 'max-body'"),
            ("max_fields = ", f"the settings file {file}"),
            ("max_body = 9000000", f"max_body ({file}, line 1): max_body (9000000) cannot be larger than max_group"),
        ):
            assert len(following(service, file, text, f"nothing is reloaded: {said}")) == 1
            assert refusals(service) == [200, 200, 431]
        following(service, file, "max_fields = 50", "reloaded: max_fields is now 50")
        assert refusals(service) == [200, 200, 200]


def test_what_needs_a_restart_is_said_each_time(tmp_path: Path) -> None:
    """A changed address or token stays as it is, with a line about it without the token; so at the next SIGHUP."""
    file = tmp_path / "hooklab.toml"
    file.write_text("")
    with RunningService(tmp_path / "data", "--config", str(file)) as service:
        text = 'token_file = "/nowhere/token"\nassume_timezone = "Europe/Lisbon"\n'
        for _ in range(2):
            lines = following(service, file, text, "assume_timezone changed: needs `hooklab rebuild`")
            assert "token_file changed: needs a restart" in lines[0]
            assert len(lines) == 2
        assert service.post(b"[]")[0] == 200


def test_no_secret_is_told() -> None:
    """A token that changed is not shown, nor that which it was; what is unset again is told in words."""
    old = Settings(token="old-secret", public_url="https://x.example", stuck_after="1h", max_elements=5)
    found = changes(old, Settings(token="new-secret"))
    assert found.lines() == [
        "reloaded: public_url is now not set: the address listened on",
        "reloaded: stuck_after is now not set: 24h",
        "token changed: needs a restart",
        "max_elements changed: needs `hooklab rebuild`",
    ]
    assert found.settings == Settings(token="old-secret", max_elements=5)


async def test_a_part_that_fails_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong while a part takes over, the next is asked, and it is said that something is wrong."""
    reloading = Reloading(Settings())
    taken: list[int] = []

    async def fails(new: Settings) -> list[str]:
        raise OSError("disk")

    async def takes(new: Settings) -> list[str]:
        taken.append(new.max_fields)
        return ["the certificate is read again"]

    reloading.add(fails)
    reloading.add(takes)
    assert await reloading.take(Settings(max_fields=9)) == [
        "reloaded: max_fields is now 9",
        "not everything could be taken over: OSError; restart hooklab",
        "the certificate is read again",
    ]
    assert taken == [9]
    assert "not everything could be taken over" in caplog.text


async def test_whoever_asks_early_or_often_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    """A SIGHUP while the service starts is kept until it is there; whatever a reading raises, the next is done."""
    handed: list[Settings] = []
    done = asyncio.Event()
    outcomes: list[Any] = [SettingsError("broken"), RuntimeError("unforeseen"), Loaded(Settings(max_fields=9), {})]

    def read() -> Loaded[Settings]:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    async def reload(settings: Settings) -> list[str]:
        handed.append(settings)
        done.set()
        return []

    rereading = Rereading(read)
    rereading.ask()
    rereading.ask()
    task = asyncio.create_task(rereading.run(reload))
    while outcomes:
        await asyncio.sleep(0.01)
        rereading.ask()
    await done.wait()
    task.cancel()
    assert handed[0].max_fields == 9
    assert "nothing is reloaded: broken" in caplog.text


# Where a terminal is ---------------------------------------------------------------------------------------------


def command(folder: Path) -> list[str | Path]:
    """`hooklab serve` on a free port."""
    return [sys.executable, "-m", "hooklab", "serve", "--data-dir", folder, "--bind", "127.0.0.1:0", "--token", TOKEN]


def hang_up(shown: Terminal) -> None:
    """The other end goes; what is blocked in reading it would keep it open, since a service draws nothing."""
    shown.stop_reading()
    os.write(shown.slave, b"(one more read)")
    until(lambda: b"(one more read)" in shown.received, "nobody reads")
    shown.hang_up()


def test_on_a_terminal_its_end_ends_the_service(tmp_path: Path) -> None:
    """A shell's job that loses its terminal, or is told so by SIGHUP, ends in good order: exit 0, nothing reread."""
    leave: list[Callable[[Terminal], None]] = [
        lambda shown: shown.process.send_signal(signal.SIGHUP),
        hang_up,
    ]
    for number, how in enumerate(leave):
        with Terminal(command(tmp_path / str(number))) as shown:
            shown.wait_for("ready")
            how(shown)
            assert shown.ends_with() == 0
            assert b"reloaded" not in shown.received


def test_with_one_stream_on_a_terminal_it_is_on_a_terminal(tmp_path: Path) -> None:
    """`hooklab serve > log` in a shell: the keyboard is still that of a terminal that can go."""
    with Terminal(["sh", "-c", 'exec "$@" >"$0" 2>&1', tmp_path / "log", *command(tmp_path / "data")]) as shown:
        log = tmp_path / "log"
        until(lambda: log.exists() and "ready" in log.read_text(), "it does not start")
        shown.process.send_signal(signal.SIGHUP)
        assert shown.ends_with() == 0


def test_under_nohup_sighup_stays_ignored(tmp_path: Path) -> None:
    """What was started with SIGHUP ignored neither ends nor reads anything."""
    process = subprocess.Popen(
        command(tmp_path / "data"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509  no lock is taken there
    )
    assert process.stdout is not None
    assert b"ready" in process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [json.loads(line)["level"] for line in errors.splitlines()] == ["info", "info"]  # its start and its end
