"""503: what the receiver says when it cannot take a batch now, and how it ends; each with a service of its own."""

import select
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support import TOKEN, RunningService, body_of, conserved, pair
from test_receiver import EIGHT_MB, HOOK, PHONE, Client, assert_discreet, journal, request, watching

NOT_NOW = b"this cannot be written to disk now; send it again\n"
SMALL = {"HOOKLAB_MAX_BODY": "1024", "HOOKLAB_MAX_GROUP": "2000", "HOOKLAB_MAX_QUEUE": "4000"}
BODY = b"[" + b" " * 998 + b"]"


@contextmanager
def locked(service: RunningService) -> Iterator[None]:
    """Keeps the journal from being written, as another program that has its write lock does."""
    with closing(sqlite3.connect(service.data_dir / "journal.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_full_queue_is_answered_503(tmp_path: Path) -> None:
    """What does not fit in the queue gets 503 with Retry-After at once; what fits is answered when it is on disk."""
    with RunningService(tmp_path / "data", environment=SMALL) as service:
        with watching(service) as watch, Client(service) as refused:
            with locked(service):
                waiting = [Client(service) for _ in range(3)]  # one is being written, two fill the queue
                for number, client in enumerate(waiting):
                    client.send(request(body=BODY))
                    wait_for_depth(service, number)
                refused.send(request(body=BODY))
                answer = refused.answer()
                assert (answer.status, answer.body) == (503, NOT_NOW)
                assert answer.headers["retry-after"] == "5"
                assert not answer.closes
                assert not select.select([client.socket for client in waiting], [], [], 0)[0]
            assert [client.answer().status for client in waiting] == [200, 200, 200]
            refused.send(request(body=b"[]"))
            assert refused.answer().status == 200
        assert watch.refused == {"503": 1}
        assert [kept.body for kept in watch.kept] == [BODY, BODY, BODY, b"[]"]
        for client in waiting:
            client.socket.close()
        assert_discreet(service)


def wait_for_depth(service: RunningService, depth: int) -> None:
    """Returns once so many batches wait."""
    ends = time.monotonic() + 20
    while service.admin("/status")[1]["queue_depth"] != depth:
        assert time.monotonic() < ends


def test_a_journal_that_cannot_commit_is_answered_503(tmp_path: Path) -> None:
    """A commit that takes too long gets 503 and /ready says so; when the disk is back, so is the 200."""
    with RunningService(tmp_path / "data", environment={"HOOKLAB_COMMIT_TIMEOUT": "0.5"}) as service:
        assert service.admin("/ready") == (200, {"ready": True, "problem": None})
        with watching(service) as watch:
            with locked(service), Client(service) as client:
                client.send(request(body=body_of(pair())))
                answer = client.answer()
                assert (answer.status, answer.body) == (503, NOT_NOW)
                assert answer.headers["retry-after"] == "5"
                code, ready = service.admin("/ready")
                assert (code, ready["ready"]) == (503, False)
                assert "0.5 s" in ready["problem"]
                assert service.admin("/health")[0] == 200
            ends = time.monotonic() + 20
            while service.admin("/ready")[0] != 200:
                assert time.monotonic() < ends
            assert service.post(b"[]") == (200, b"")
        assert watch.refused == {"503": 1}
        assert watch.kept[-1].body == b"[]"
        assert conserved(service.settled())
        assert_discreet(service)


def test_a_malformed_body_is_not_answered_400_before_it_is_kept(tmp_path: Path) -> None:
    """400 says "do not send it again": where the body cannot be kept the answer is 503."""
    with RunningService(tmp_path / "data", environment={"HOOKLAB_COMMIT_TIMEOUT": "0.5"}) as service:
        with locked(service):
            assert service.post(b"{}")[0] == 503
        ends = time.monotonic() + 20
        while service.post(b"{}")[0] == 503:
            assert time.monotonic() < ends
        assert service.settled()["malformed"] == 1


def test_too_much_at_once_is_answered_503(tmp_path: Path) -> None:
    """Bodies in flight have a bound over all connections; what is over it gets 503, and what leaves makes room."""
    with RunningService(tmp_path / "data", environment={"HOOKLAB_MAX_RECEIVING": "100000"}) as service:
        with Client(service) as large, watching(service) as watch:
            large.send(request("POST", HOOK, None, "Content-Length: 90000"), b"[" + b" " * 80000)
            with Client(service) as other:
                other.send(request(body=b"[" + b" " * EIGHT_MB)[:EIGHT_MB])  # beyond its own limit as well
                assert other.answer().status == 413
            ends = time.monotonic() + 20
            while (got := service.post(b"[" + b" " * 30000 + b"]"))[0] == 200:  # until the large one has come so far
                assert time.monotonic() < ends
            assert got == (503, b"too much is being received at once; send it again\n")
            large.send(b" " * 9998 + b"]")
            assert large.answer().status == 200
            assert service.post(b"[" + b" " * 30000 + b"]")[0] == 200
        assert watch.refused == {"413": 1, "503": 1}


def test_a_body_on_its_way_at_sigterm_is_still_taken(tmp_path: Path) -> None:
    """At SIGTERM what has begun is drained: the rest of the body is awaited, and its 200 is true."""
    body = body_of(pair())
    with RunningService(tmp_path / "data") as service, Client(service) as client, Client(service) as idle:
        client.send(request("POST", HOOK, None, f"Content-Length: {len(body)}", "Expect: 100-continue"), body[:10])
        assert client.answer().status == 100
        service.process.terminate()
        assert idle.end() == b""  # the idle ones are closed: the end has begun
        client.send(body[10:])
        answer = client.answer()
        assert answer.status == 200
        assert answer.closes
        assert client.end() == b""
        service._collect()
        assert service.process.returncode == 0
        assert journal(service, "SELECT body_of(encoding, body) FROM batches") == [(body,)]


def test_a_body_that_does_not_come_is_answered_503_at_the_end(tmp_path: Path) -> None:
    """Who is too slow for the drain gets 503 with Retry-After, and nothing of it is kept; the exit is in time."""
    with RunningService(tmp_path / "data") as service:
        with Client(service) as client, Client(service) as silent, Client(service) as half:
            client.send(request("POST", HOOK, None, "Content-Length: 9", "Expect: 100-continue"), b"[]")
            assert client.answer().status == 100
            half.send(b"POST ")
            began = time.monotonic()
            service.process.terminate()
            assert silent.end() == b""
            assert half.end() == b""
            answer = client.answer()
            assert (answer.status, answer.body) == (503, b"hooklab is shutting down; send it again\n")
            assert answer.headers["retry-after"] == "5"
            assert answer.closes
            service._collect()
            assert time.monotonic() - began < 10
        assert service.process.returncode == 0
        assert journal(service, "SELECT * FROM batches") == []
        said = service.stderr.decode()
        assert "Traceback" not in said
        assert TOKEN not in said


def test_a_request_that_waits_at_the_end_is_answered_503(tmp_path: Path) -> None:
    """A request pipelined behind one that is drained is not begun any more: it gets 503."""
    with RunningService(tmp_path / "data") as service, Client(service) as client, Client(service) as idle:
        with locked(service):
            client.send(request(body=b"[1]"), request(body=b"[2]"))
            wait_until_read(service)
            service.process.terminate()
            assert idle.end() == b""
        assert client.answer().status == 200
        answer = client.answer()
        assert (answer.status, answer.body) == (503, b"hooklab is shutting down; send it again\n")
        assert answer.headers["retry-after"] == "5"
        assert client.end() == b""
        service._collect()
        assert service.process.returncode == 0
        assert journal(service, "SELECT body_of(encoding, body) FROM batches") == [(b"[1]",)]


def wait_until_read(service: RunningService) -> None:
    """Returns once what was sent before has been read: a later request, which needs no journal, is answered."""
    with Client(service) as other:
        other.send(request("GET", "/"))
        assert other.answer().status == 404


def test_no_client_holds_up_the_end(tmp_path: Path) -> None:
    """Clients that trickle or take no answers do not keep the service from ending within 10 s."""
    with RunningService(tmp_path / "data") as service, Client(service) as slow, socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(("127.0.0.1", service.port))
        silent.setblocking(False)
        ends = time.monotonic() + 1
        while time.monotonic() < ends and select.select([], [silent], [], 0.5)[1]:
            silent.send(request("POST", "/", b"", host="a b") * 500)
        slow.send(request("POST", HOOK, None, f"Content-Length: {EIGHT_MB // 2}"), b"[")
        began = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in service.stderr.decode()


def test_the_log_has_no_secret(tmp_path: Path) -> None:
    """Whatever comes, what the service writes on stderr has neither the token nor a number, nor a fault of ours."""
    hostile = [
        request(body=body_of(pair())),
        request(body=b"%s" % PHONE.encode()),
        request("GET", HOOK),
        request(path=f"{HOOK}\x1b[31m", body=b"[]"),
        request("CONNECT", HOOK),
        request(body=b"[]", host="a b"),
        request("POST", HOOK, None, "Connection: Upgrade", "Upgrade: websocket"),
        request("POST", HOOK, b"[]", "Content-Encoding: gzip"),
        request("POST", HOOK, None, f"Content-Length: {2**40}"),
        request("POST", HOOK, b"[]", "X: " + PHONE * 2000),
        request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"zz\r\n",
        request()[:-2],
    ]
    with RunningService(tmp_path / "data", "--head-timeout", "0.3", "--body-timeout", "0.3") as service:
        clients = [Client(service) for _ in hostile]
        for client, raw in zip(clients, hostile, strict=True):
            client.send(raw)
        assert [client.answer().status for client in clients] == [
            200,
            400,
            405,
            400,
            405,
            400,
            400,
            415,
            413,
            431,
            400,
            408,
        ]
        for client in clients:
            client.socket.close()
        assert_discreet(service)
        assert service.stderr == b""
