"""The admin side: a unix socket in the data folder, and nowhere else."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TOKEN, RunningService, body_of, hooklab, json_of, pair, read_to_end

COUNTERS = {
    *("batches", "malformed", "retries", "elements", "reports", "repeats", "duplicates", "late", "quarantined"),
    *("messages", "delivered", "not_delivered", "pending", "stuck", "conflicts", "lag"),
    *("refused", "ack_p50_ms", "ack_p99_ms", "queue_depth"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all tests here."""
    with RunningService(tmp_path_factory.mktemp("admin") / "data") as running:
        yield running


def ask(service: RunningService, raw: bytes) -> tuple[int, bytes]:
    """Sends raw bytes to the admin socket; gives code and body of the answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(service.data_dir / "hooklab.sock"))
        client.sendall(raw)
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_the_socket_is_its_owners(service: RunningService) -> None:
    """The socket has mode 0600 in a folder of mode 0700."""
    mode = (service.data_dir / "hooklab.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(service.data_dir.stat().st_mode) == 0o700


def test_health_and_readiness(service: RunningService) -> None:
    """A service that is well says so on both pages."""
    assert service.admin("/health") == (200, {"status": "alive"})
    assert service.admin("/ready") == (200, {"ready": True, "problem": None})


def test_status_has_every_counter(tmp_path: Path) -> None:
    """/status gives the design's counters by name, and what the service says of itself."""
    with RunningService(tmp_path / "data") as service:
        service.post(body_of(pair()))
        service.post(b"{}")
        counters = service.settled()
        assert counters.keys() == COUNTERS | {"service"}
        assert (counters["batches"], counters["malformed"], counters["elements"]) == (1, 1, 2)
        assert (counters["messages"], counters["delivered"]) == (1, 1)
        assert counters["refused"] == {"400": 1}
        assert 0 < counters["ack_p50_ms"] <= counters["ack_p99_ms"]
        assert counters["queue_depth"] == 0
        own = counters["service"]
        assert own["pid"] == service.process.pid
        assert own["ready"] is True
        assert own["hook_url"] == service.url


def test_the_command_line_has_the_same_counters(service: RunningService) -> None:
    """`hooklab stats --json` gives what /status gives."""
    status = service.settled()
    stats = json_of("stats", data_dir=service.data_dir)
    assert stats.keys() == COUNTERS
    timed = {"ack_p50_ms", "ack_p99_ms"}
    assert {name: stats[name] for name in COUNTERS - timed} == {name: status[name] for name in COUNTERS - timed}


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/status", "/metrics", "/schema", "/hooks"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_of_it_is_on_tcp(service: RunningService, path: str, method: str) -> None:
    """The public port has none of these pages, though the request comes from 127.0.0.1."""
    with service.connect() as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n".encode())
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert body == b"there is nothing here\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (
            f"POST /hooks/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]".encode(),
            404,
        ),
        (b"DELETE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"\0\r\n\r\n", 400),
    ],
)
def test_other_requests_are_refused(service: RunningService, raw: bytes, status: int) -> None:
    """The admin side has its pages and nothing else, and no hook."""
    before = service.settled()["batches"]
    code, body = ask(service, raw)
    assert code == status
    assert b"Traceback" not in body
    assert service.settled()["batches"] == before


def test_a_long_path(tmp_path: Path) -> None:
    """A data folder whose path is longer than a socket's address may be works all the same, and is tidied up."""
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    with RunningService(folder) as service:
        assert service.post(body_of(pair())) == (200, b"")
        path = folder / "hooklab.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        stats = service.stats()
        assert stats["refused"] == {}  # null would mean that no service was found
        assert service.terminate() == 0
        assert not path.exists()


def test_an_old_socket_is_replaced(tmp_path: Path) -> None:
    """A socket that a killed service left behind does not hinder the next one."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.kill()
        assert (folder / "hooklab.sock").exists()
    assert json.loads(hooklab("stats", "--json", data_dir=folder).stdout)["refused"] is None
    with RunningService(folder) as service:
        assert service.admin("/health")[0] == 200


def test_status_without_a_readable_store_says_so(tmp_path: Path) -> None:
    """A store that vanished gives 503 with the reason and the service's own word, not a fault."""
    with RunningService(tmp_path / "data") as service:
        for part in service.data_dir.glob("store.db*"):
            part.unlink()
        code, answer = service.admin("/status")
        assert code == 503
        assert "cannot be read" in answer["problem"]
        assert answer["service"]["ready"] is True
        assert service.admin("/health")[0] == 200
