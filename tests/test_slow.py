"""Slow clients and clients that hold connections: an honest sender gets 200, and descriptors are left."""

import resource
import socket
import ssl
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from faults import slow
from faults.machine import skipping
from faults.slow import FEW_FILES, HOOK, Few, Files, Honest, held
from pty_stage import Terminal, until
from support import RunningService, read_to_end
from test_receiver import request
from test_tls import Files as Certificates

HEADS = {
    "nothing": b"",
    "head": b"POST /hooks HTTP/1.1\r\nX: ",
    "body": request("POST", HOOK, None, "Content-Length: 100") + b"[",
    "wrong token": request("POST", "/hooks/wrong", None, "Content-Length: 100") + b"[",
}


def test_an_honest_sender_does_not_notice_slow_ones(tmp_path: Path) -> None:
    """80 connections that hold back what they owe, where 64 may be open: the sender with one of its own gets 200 on
    it for everything, and connections stay bounded.
    """
    with RunningService(tmp_path / "data", "--max-connections", "64") as service:
        idle = Files(service).now()
        with ExitStack() as stack, Files(service) as files, Honest(service.port, every=0.02) as honest:
            until(lambda: honest.answers["200"] >= 3, "the first answers")
            for said in HEADS.values():
                stack.enter_context(held(service.port, 20, said))
            seen = honest.answers["200"]
            until(lambda: honest.answers["200"] >= seen + 20, "answers beside the slow")
        assert set(honest.answers) == {"200"}
        assert honest.connections == 1
        assert files.most <= idle + 64 + 24


def test_a_new_sender_gets_in_where_slow_ones_hold_all_connections(tmp_path: Path) -> None:
    """Those that owe the rest of a head, and those that are turned away and wait to hear it, give way."""
    with RunningService(tmp_path / "data", "--max-connections", "64") as service:
        for _ in range(12):  # so that the answers to wrong tokens wait for 2 s
            _guess(service)
        for said in ("nothing", "head", "wrong token"):
            with held(service.port, 80, HEADS[said]):
                assert [service.post(b"[]")[0] for _ in range(10)] == [200] * 10, said


def _guess(service: RunningService) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as one:
        one.sendall(request("POST", "/hooks/wrong", b"[]"))


@pytest.mark.system
def test_slow_bodies_of_who_has_the_token_give_way_after_a_while(tmp_path: Path) -> None:
    """Where all connections are taken by bodies that do not come, a new sender gets in after some 5 s and not after
    the body's 30 s.
    """
    with RunningService(tmp_path / "data", "--max-connections", "8") as service, ExitStack() as stack:
        asking = request("POST", HOOK, None, "Content-Length: 100", "Expect: 100-continue")
        for one in stack.enter_context(held(service.port, 8, asking)):
            assert one.recv(100).startswith(b"HTTP/1.1 100")
        began = time.monotonic()
        until(lambda: _code(service) == 200, "a place", 15)
        assert time.monotonic() - began > 3, "a body that is on its way has its time"


def _code(service: RunningService) -> int:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20, source_address=("127.0.0.9", 0)) as one:
        one.sendall(request(body=b"[]"))
        answer = one.recv(4096)
    time.sleep(0.05)
    return int(answer.split()[1]) if answer else 0


def test_more_connections_than_descriptors_are_not_taken(tmp_path: Path) -> None:
    """With 128 files and a wish for 1000 connections: senders get 200, commands and screen work, and it is said."""
    with Few(tmp_path / "data", "--max-connections", "1000") as service:
        with held(service.port, 400, b"POST "), Files(service) as files:
            assert [service.post(b"[]")[0] for _ in range(10)] == [200] * 10
            assert service.admin("/ready")[0] == 200
        assert files.most <= FEW_FILES - 8
    assert b"max_connections is 1000, but 128 files may be open" in service.stderr


@pytest.mark.system
def test_commands_and_screen_work_where_few_descriptors_are_left(tmp_path: Path) -> None:
    """With 128 files, all of them held: `attach` works, and afterwards every command does, and nothing spins."""
    with Few(tmp_path / "data") as service:
        with held(service.port, 400, b"POST "), Files(service) as files:
            attach: list[str | Path] = [sys.executable, "-m", "hooklab", "attach", "--data-dir", tmp_path / "data"]
            with Terminal(attach, 120, 36) as shown:
                shown.wait_for("● well")
        assert files.most <= FEW_FILES - 8
        slow.is_well(service)


class FewTls(Few):
    """https with 128 files."""

    def start(self) -> None:
        super().start()
        self.port = int(self.url.removeprefix("https://").partition("/")[0].rpartition(":")[2])


def test_handshakes_that_never_come_are_counted(tmp_path: Path) -> None:
    """400 connections to the TLS port that say nothing, or half a hello, leave room for a sender."""
    certificates = Certificates(tmp_path)
    context = ssl.create_default_context()
    certificates.authority.configure_trust(context)

    def code() -> bytes:
        with (
            socket.create_connection(("127.0.0.1", service.port), timeout=20, source_address=("127.0.0.9", 0)) as one,
            context.wrap_socket(one, server_hostname="hooks.example.com") as secured,
        ):
            secured.sendall(request("POST", HOOK, b"[]", "Connection: close"))
            return read_to_end(secured)[:12]

    with FewTls(tmp_path / "data", environment=certificates.settings()) as service:
        for said in (b"", bytes.fromhex("16030100c8010000c40303")):
            with held(service.port, 200, said), held(service.port, 200, said, "127.0.0.8"), Files(service) as files:
                assert [code() for _ in range(5)] == [b"HTTP/1.1 200"] * 5
            assert files.most <= FEW_FILES - 8
        assert service.admin("/ready")[0] == 200
    assert service.stderr == b""


def test_who_does_not_say_goodbye_holds_no_descriptor(tmp_path: Path) -> None:
    """After the last answer on a TLS connection the other side has some seconds for its close_notify, and not 30."""
    certificates = Certificates(tmp_path)
    context = ssl.create_default_context()
    certificates.authority.configure_trust(context)
    with FewTls(tmp_path / "data", environment=certificates.settings()) as service:
        before = connections_of(service)
        with (
            socket.create_connection(("127.0.0.1", service.port), timeout=20) as one,
            context.wrap_socket(one, server_hostname="hooks.example.com") as secured,
        ):
            secured.sendall(request("POST", HOOK, b"[]", "Connection: close"))
            assert read_to_end(secured).startswith(b"HTTP/1.1 200")
            until(lambda: connections_of(service) == before, "the end of the connection", 10)


def connections_of(service: RunningService) -> int:
    """Sockets that the service has open."""
    count = 0
    for one in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += str(one.readlink()).startswith("socket:")
    return count


def test_where_no_descriptor_is_left_it_takes_up_again(tmp_path: Path) -> None:
    """A limit that falls while it runs: one line of the log, no busy loop, and 200 once there is room again."""
    with RunningService(tmp_path / "data") as service:
        files = Files(service)
        before = resource.prlimit(files.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(files.pid, resource.RLIMIT_NOFILE, (files.now(), before[1]))
        with held(service.port, 50, b"POST "):
            assert slow.is_idle(service) < 0.5
            resource.prlimit(files.pid, resource.RLIMIT_NOFILE, before)
            assert [service.post(b"[]")[0] for _ in range(5)] == [200] * 5
    lines = service.stderr.decode().splitlines()
    assert sum("no connection can be taken: Too many open files" in line for line in lines) == 1
    assert len(lines) <= 3, lines  # the databases may want one too


@pytest.mark.system
@pytest.mark.timeout(240)
def test_slowhttptest_in_all_modes_with_many_descriptors_and_few(tmp_path: Path) -> None:
    """Head, body and read mode with 500 connections, right token and wrong: nothing but 200 for the honest sender."""
    with skipping():
        figures = slow.run(tmp_path, minutes=1.0)
    assert figures["answers"]["200"] > 100
    assert figures["few_answers"]["200"] > 100
