"""Deadlines, caps and HTTP's odd corners, over real sockets to `hooklab serve` in a process of its own."""

import random
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support import RunningService, body_of, pair, read_to_end
from test_receiver import HOOK, Client, assert_cut_off, assert_discreet, chunked, request, resident, watching

MAX_BODY = 1_048_576
TOO_LATE = b"the request took too long to arrive\n"
TOO_MUCH = b"the header block is too large\n"
NO_HTTP = b"this is not an HTTP request\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service with short deadlines for all tests here; its end is orderly and its log discreet."""
    folder = tmp_path_factory.mktemp("protocol") / "data"
    options = ("--head-timeout", "1", "--body-timeout", "1", "--max-body", str(MAX_BODY))
    with RunningService(folder, *options, environment={"HOOKLAB_IDLE_TIMEOUT": "1"}) as running:
        yield running
        assert_discreet(running)


# 408

SLOW = {
    "a letter": b"P",
    "half a line": b"POST /hooks",
    "no last line": request()[:-2],
    "no last byte": request("POST", "/hooks/wrong")[:-1],
    "half a field": b"GET / HTTP/1.1\r\nX",
    "no body": request("POST", HOOK, None, "Content-Length: 100"),
    "some of a body": request("POST", HOOK, None, "Content-Length: 100") + b"[]",
    "no last chunk": request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"2\r\n[]\r\n",
    "no end of trailer": request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"2\r\n[]\r\n0\r\nX: 1\r\n",
    "upgrade": request("POST", HOOK, None, "Content-Length: 3", "Connection: Upgrade", "Upgrade: h2c") + b"[]",
}


@pytest.mark.parametrize("good", [0, 1, 5])
def test_what_comes_too_slowly_gets_408(service: RunningService, good: int) -> None:
    """A head or a body that does not come to its end in time gets 408 and a closed connection, as the first request
    of a connection and as a later one; those before it have their answers, and nothing of it is kept.
    """
    began = time.monotonic()
    with watching(service) as watch, ExitStack() as stack:
        clients = {name: stack.enter_context(Client(service)) for name in SLOW}
        for name, client in clients.items():
            client.send(request(body=b"[]") * good, SLOW[name])
        for name, client in clients.items():
            assert [client.answer().status for _ in range(good)] == [200] * good, name
            answer = client.answer()
            assert 0.9 < time.monotonic() - began < 10, name
            assert (answer.status, answer.body, answer.closes) == (408, TOO_LATE, True), name
            assert client.end() == b"", name
    assert watch.refused == {"408": len(SLOW)}
    assert [kept.body for kept in watch.kept] == [b"[]"] * good * len(SLOW)


TRICKLES = {
    "head": (b"", request("POST", HOOK, None, "X: " + "x" * 1000)),
    "body": (request("POST", HOOK, None, "Content-Length: 1000"), b"[" + b" " * 998 + b"]"),
    "chunks": (request("POST", HOOK, None, "Transfer-Encoding: chunked"), chunked(b" " * 200, 1)),
    "second head": (request(body=b"[]"), request("POST", HOOK, None, "X: " + "x" * 1000)),
}


def test_a_byte_at_a_time_does_not_put_off_the_deadline(service: RunningService) -> None:
    """The deadline is for the whole head and the whole body, and not from one byte to the next."""
    with ExitStack() as stack:
        clients = {name: stack.enter_context(Client(service)) for name in TRICKLES}
        for name, client in clients.items():
            client.send(TRICKLES[name][0])
        assert clients["second head"].answer().status == 200
        sockets = {client.socket: name for name, client in clients.items()}
        for at in range(200):
            for name in sockets.values():
                clients[name].send(TRICKLES[name][1][at : at + 1])
            for ready in select.select(list(sockets), [], [], 0.05)[0]:
                assert clients[sockets.pop(ready)].answer().status == 408
            if not sockets:
                return
        raise AssertionError(f"still open: {sockets}")


def test_a_connection_that_says_nothing_is_closed(service: RunningService) -> None:
    """Without a request a connection is closed in time and without an answer, a new one as one that is kept alive;
    empty lines are no request.
    """
    began = time.monotonic()
    with watching(service) as watch, ExitStack() as stack:
        clients: dict[tuple[bool, bytes], Client] = {}
        for kept_alive in (False, True):
            for said in (b"", b"\r\n", b"\r\n\r\n\r\n"):
                client = clients[kept_alive, said] = stack.enter_context(Client(service))
                if kept_alive:
                    client.send(request(body=b"[]"))
                    assert client.answer().status == 200
                client.send(said)
        for case, client in clients.items():
            assert client.end() == b"", case
            assert 0.5 < time.monotonic() - began < 10, case
    assert watch.refused == {}


def test_many_slow_clients_do_not_hold_up_a_good_one(service: RunningService) -> None:
    """While 200 connections trickle, a batch is taken at once."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(service)) for _ in range(200)]
        for client in clients:
            client.send(b"POST ")
        assert service.post(b"[]") == (200, b"")
        assert [client.answer().status for client in clients] == [408] * 200


# 431


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (HOOK, ["X: " + "x" * 17000]),
        (HOOK, [f"X-{n}: " + "x" * 990 for n in range(17)]),
        (HOOK, [f"X-{n}: 1" for n in range(100)]),
        (HOOK, ["x" * 17000 + ": 1"]),
        ("/" + "x" * 17000, []),
        (f"{HOOK}?{'x' * 17000}", []),
        (HOOK, ["Connection: Upgrade", "Upgrade: websocket", "X: " + "x" * 17000]),
    ],
    ids=["one giant field", "many bytes", "many fields", "giant name", "giant path", "giant query", "upgrade"],
)
def test_too_large_a_head_gets_431(service: RunningService, path: str, fields: list[str]) -> None:
    """A head over 16 KiB or 100 fields gets 431, and the connection is closed."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", path, b"[]", *fields))
        answer = client.answer()
        assert (answer.status, answer.body) == (431, TOO_MUCH)
        assert answer.closes
        assert client.end() == b""
    assert watch.refused == {"431": 1}
    assert watch.kept == []


def test_a_head_at_the_cap_is_taken(service: RunningService) -> None:
    """100 fields of nearly 16 KiB in all are taken."""
    with Client(service) as client:
        client.send(request("POST", HOOK, b"[]", *(f"X-{n:02}: {'x' * 150}" for n in range(98))))
        assert client.answer().status == 200


@pytest.mark.parametrize("behind", [b"", b"\r\n"], ids=["no end", "end"])
@pytest.mark.parametrize("line", [b"X: " + b"x" * 60000, b"X: 1\r\n" * 10000], ids=["one field", "many"])
def test_an_endless_head_is_not_read_to_its_end(service: RunningService, line: bytes, behind: bytes) -> None:
    """5 MB of head get 431 although they never end, and it reaches a client that sends all before it reads."""
    with watching(service) as watch, Client(service) as client:
        client.send(b"POST / HTTP/1.1\r\n")
        for _ in range(84):
            client.send(line)
        client.send(behind)
        assert client.answer().status == 431
        assert client.end() == b""
    assert watch.refused == {"431": 1}


@pytest.mark.parametrize("trailer", [b"X: " + b"x" * 60000, b"X: 1\r\n" * 10000], ids=["one field", "many"])
def test_an_endless_trailer_is_not_read_to_its_end(service: RunningService, trailer: bytes) -> None:
    """Fields behind the last chunk have the cap of a head's: they are read into memory as well."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked"), b"2\r\n[]\r\n0\r\n")
        for _ in range(84):
            client.send(trailer)
        assert client.answer().status == 431
        assert client.end() == b""
    assert watch.refused == {"431": 1}
    assert watch.kept == []


def test_a_head_counts_from_its_own_beginning(service: RunningService) -> None:
    """What came with the beginning of a head, another head's end and its large body, is not counted to it."""
    body = b"[" + b" " * 60000 + b"]"
    first, second = request(body=body), request(body=b"[]")
    with Client(service) as client:
        client.send(first[:30])
        time.sleep(0.05)  # so that the parts come one by one; if they do not, less is tested
        client.send(first[30:] + second[:30])
        assert client.answer().status == 200
        client.send(second[30:])
        assert client.answer().status == 200


# Bodies in chunks


@pytest.mark.parametrize("size", [1, 2, 7, 100, 4096, 70000])
def test_chunks_of_any_size(service: RunningService, size: int) -> None:
    """A body in chunks is what they hold, put together; the connection goes on."""
    body = body_of(pair() * (100 if size > 4 else 5))
    with watching(service) as watch, Client(service) as client:
        for _ in range(2):
            client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked"), chunked(body, size))
            assert client.answer().status == 200
    assert [kept.body for kept in watch.kept] == [body, body]


def test_chunks_with_extensions_upper_case_and_zeros(service: RunningService) -> None:
    """A chunk's size may have upper-case digits, zeros in front and an extension behind."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, "Transfer-Encoding: Chunked"))
        client.send(b'00A;name="value"\r\n[1,2,3,4,5\r\n0001\r\n]\r\n000;x\r\n\r\n')
        assert client.answer().status == 200
    assert [kept.body for kept in watch.kept] == [b"[1,2,3,4,5]"]


def test_a_trailer_does_not_pass_for_a_header(service: RunningService) -> None:
    """Fields behind the last chunk are for nobody: none is kept, none is obeyed."""
    trailer = b"User-Agent: trailer\r\nContent-Encoding: gzip\r\nX-Real-Ip: 192.0.2.1\r\n"
    with watching(service) as watch, Client(service) as client:
        client.send(
            request("POST", HOOK, None, "Transfer-Encoding: chunked", "User-Agent: head"),
            chunked(b"[]", 1, trailer),
            request(body=b"[2]"),
        )
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert [kept.body for kept in watch.kept] == [b"[]", b"[2]"]
    assert "trailer" not in watch.kept[0].headers
    assert "192.0.2.1" not in watch.kept[0].headers
    assert "head" in watch.kept[0].headers


# One connection, many requests


def test_a_connection_is_used_again(service: RunningService) -> None:
    """Many requests on one connection are answered, 200s and 400s alike."""
    with watching(service) as watch, Client(service) as client:
        for number in range(50):
            client.send(request(body=b"[%d]" % number if number % 5 else b"x"))
            assert client.answer().status == (200 if number % 5 else 400)
    assert watch.refused == {"400": 10}
    assert len(watch.kept) == 50


def test_requests_in_one_write_are_answered_in_order(service: RunningService) -> None:
    """Pipelined requests are journaled and answered one after another, those without an array with 400."""
    bodies = [b"[%d]" % number if number % 3 else b"{}" for number in range(60)]
    with watching(service) as watch, Client(service) as client:
        client.send(*(request(body=body) for body in bodies))
        assert [client.answer().status for _ in bodies] == [200 if n % 3 else 400 for n in range(60)]
        client.send(request(body=b"[]"))
        assert client.answer().status == 200
    assert [kept.body for kept in watch.kept] == [*bodies, b"[]"]


def test_large_requests_in_one_write(service: RunningService) -> None:
    """Pipelined bodies that are larger than any buffer are taken whole."""
    bodies = [b"[" + b"%d" % number * 300_000 + b"]" for number in range(1, 7)]
    with watching(service) as watch, Client(service) as client:
        client.socket.setblocking(True)
        client.send(*(request(body=body) for body in bodies))
        assert [client.answer().status for _ in bodies] == [200] * 6
    assert [kept.body for kept in watch.kept] == bodies


@pytest.mark.parametrize("good", [1, 2, 5])
@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"zz\r\n", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"2\r\n[]\r\nzz\r\n", 400),
        (request("POST", HOOK, b"[]", "X: " + "x" * 17000), 431),
    ],
    ids=["garbage", "bad chunk", "second bad chunk", "large head"],
)
def test_what_comes_behind_does_not_cut_a_good_answer(
    service: RunningService, behind: bytes, status: int, good: int
) -> None:
    """Whatever is pipelined behind good requests, they are answered first and whole, then it is refused."""
    with watching(service) as watch, Client(service) as client:
        client.send(request(body=b"[]") * good, behind)
        assert [client.answer().status for _ in range(good)] == [200] * good
        assert client.answer().status == status
        assert client.end() == b""
    assert watch.refused == {str(status): 1}
    assert [kept.body for kept in watch.kept] == [b"[]"] * good


def test_connection_close_is_obeyed(service: RunningService) -> None:
    """`Connection: close` ends the connection with the answer; what was pipelined behind it is not taken."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, b"[]", "Connection: close"), request(body=b"[1]"))
        answer = client.answer()
        assert answer.status == 200
        assert answer.closes
        assert client.end() == b""
    assert [kept.body for kept in watch.kept] == [b"[]"]


@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",), ("Connection: close",)], ids=str)
@pytest.mark.parametrize("host", [None, "x"])
def test_http_1_0(service: RunningService, fields: tuple[str, ...], host: str | None) -> None:
    """HTTP/1.0 is taken, with and without Host; the connection is closed, and the answer says so."""
    with Client(service) as client:
        client.send(request("POST", HOOK, b"[]", *fields, version="1.0", host=host))
        answer = client.answer()
        assert answer.status == 200
        assert answer.closes
        assert client.end() == b""


# Expect


def test_a_body_that_waits_to_be_asked_for(service: RunningService) -> None:
    """`Expect: 100-continue` gets 100 where the body is wanted, then the answer."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, "Content-Length: 2", "Expect: 100-continue"))
        assert client.answer().status == 100
        client.send(b"[]")
        assert client.answer().status == 200
    assert [kept.body for kept in watch.kept] == [b"[]"]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        (HOOK, (f"Content-Length: {MAX_BODY + 1}",), 413),
        (HOOK, ("Content-Length: 2", "Content-Encoding: gzip"), 415),
        ("/hooks/wrong", ("Content-Length: 2",), 404),
    ],
)
def test_a_body_that_nobody_wants_is_not_asked_for(
    service: RunningService, path: str, fields: tuple[str, ...], status: int
) -> None:
    """A refusal comes at once and instead of 100; the connection is closed soon if the body does not come."""
    with Client(service) as client:
        client.send(request("POST", path, None, *fields, "Expect: 100-continue"))
        answer = client.answer()
        assert answer.status == status
        assert answer.closes
        if status == 404:
            assert client.end() == b""


def test_a_slow_body_that_was_asked_for_gets_408(service: RunningService) -> None:
    """After 100 the body's deadline runs as ever."""
    with Client(service) as client:
        client.send(request("POST", HOOK, None, "Content-Length: 2", "Expect: 100-continue"))
        assert client.answer().status == 100
        assert client.answer().status == 408


# What is no ordinary request


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AA==", "Sec-WebSocket-Version: 13"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        ("Connection: keep-alive, Upgrade", "Upgrade: TLS/1.0, x"),
    ],
    ids=["websocket", "h2c", "tls"],
)
def test_an_offer_to_upgrade_is_passed_over(
    service: RunningService, fields: tuple[str, ...], in_chunks: bool, in_parts: bool
) -> None:
    """A POST that offers another protocol (Java's client does) is a POST like any other, and so is the next."""
    body = body_of(pair())
    if in_chunks:
        first = request("POST", HOOK, None, *fields, "Transfer-Encoding: chunked") + chunked(body, 100)
    else:
        first = request("POST", HOOK, body, *fields)
    with watching(service) as watch, Client(service) as client:
        cut = first.index(b"\r\n\r\n") + (4 if in_parts else len(first))
        client.send(first[:cut])
        if in_parts:
            assert not select.select([client.socket], [], [], 0.05)[0]
        client.send(first[cut:], first, request(body=b"[]"))
        assert [client.answer().status for _ in range(3)] == [200, 200, 200]
    assert watch.refused == {}
    assert [kept.body for kept in watch.kept] == [body, body, b"[]"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", HOOK, 405), ("GET", "/", 404), ("POST", HOOK, 400)])
def test_an_upgrade_without_a_body(service: RunningService, method: str, path: str, status: int) -> None:
    """A websocket's opening gets the answer that it would get without."""
    with Client(service) as client:
        client.send(request(method, path, None, "Connection: Upgrade", "Upgrade: websocket"))
        assert client.answer().status == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\nbytes", 400),
        (b"CONNECT " + HOOK.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n[]", 405),
        (b"POST http://x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x9a" * 200, 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 400),
        (b"post / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost : x\n\n", 400),
        (b"GET /\xe9 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
        (b"\0" * 100, 400),
        (b"x" * 100_000, 400),
        (request("POST", HOOK, b"[]", "Content-Length: 2"), 400),
        (request("POST", HOOK, b"[]", "Content-Length: 4"), 400),
        (request("POST", HOOK, b"[]", "Transfer-Encoding: chunked"), 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked", "Content-Length: 2") + chunked(b"[]"), 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked, chunked") + chunked(b"[]"), 400),
        (request("POST", HOOK, None, "Transfer-Encoding: xchunked") + chunked(b"[]"), 400),
        (request("POST", HOOK, None, "Transfer-Encoding: identity") + b"[]", 400),
        (request("POST", HOOK, None, "Content-Length: -2") + b"[]", 400),
        (request("POST", HOOK, None, "Content-Length: +2") + b"[]", 400),
        (request("POST", HOOK, None, "Content-Length: 2, 2") + b"[]", 400),
        (request("POST", HOOK, None, "Content-Length: 0x2") + b"[]", 400),
        (request("POST", HOOK, None, f"Content-Length: {2**64 + 2}") + b"[]", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"0x2\r\n[]\r\n0\r\n\r\n", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"-2\r\n[]\r\n0\r\n\r\n", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"2\r\n[]X\r\n0\r\n\r\n", 400),
        (request("POST", HOOK, None, "Transfer-Encoding: chunked") + b"%x\r\n[]" % 2**64, 400),
    ],
    ids=lambda value: repr(value).replace(HOOK, "HOOK")[2:70],
)
def test_odd_requests_are_refused_and_never_kept(service: RunningService, raw: bytes, status: int) -> None:
    """What is no HTTP, or could be read in two ways, is refused and closed, and nothing of it reaches the journal."""
    with watching(service) as watch, Client(service) as client:
        client.send(raw)
        answer = client.answer()
        assert answer.status == status
        if status == 400:
            assert answer.body == NO_HTTP
        assert answer.closes
        assert client.end() == b""
    assert watch.refused == {str(status): 1}
    assert watch.kept == []


@pytest.mark.parametrize("path", [HOOK, "/hooks/wrong"])
@pytest.mark.parametrize("coding", ["xchunked", "chunked"])
def test_one_request_has_one_answer(service: RunningService, path: str, coding: str) -> None:
    """A request that is refused on two grounds at once is answered and counted once."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", path, None, f"Transfer-Encoding: {coding}"), b"zz\r\n")
        assert client.answer().status == 400
        assert client.end() == b""
    assert watch.refused == {"400": 1}
    assert watch.kept == []


def test_a_refusal_of_what_is_no_http_reaches_its_sender(service: RunningService) -> None:
    """8 MB of noise sent before reading still find the 400."""
    with Client(service) as client:
        client.send(b"\0" * 8_000_000)
        assert client.answer().status == 400
        assert client.end() == b""


def test_noise_without_end_is_cut_off(service: RunningService) -> None:
    """Behind a 400 as behind any refusal 16 MiB or 2 s are drained, then the connection is closed."""
    with Client(service) as client:
        client.send(b"\0" * 1000)
        assert client.answer().status == 400
        assert_cut_off(client)


@pytest.mark.parametrize("host", [None, "", "[::1]:8080", "a_b.example", "example.com."], ids=str)
def test_the_host_does_not_matter(service: RunningService, host: str | None) -> None:
    """Any host, and none, is taken: the token is what counts."""
    with Client(service) as client:
        client.send(request(body=b"[]", host=host))
        assert client.answer().status == 200


@pytest.mark.parametrize("host", ["a b", "x/y", "\x80", "a\tb"], ids=repr)
@pytest.mark.parametrize("path", [HOOK, "/"])
def test_an_invalid_host_is_refused(service: RunningService, host: str, path: str) -> None:
    """What can be no host gets 400, is counted, and nothing is kept."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", path, b"[]", host=host))
        answer = client.answer()
        assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert watch.refused == {"400": 1}
    assert watch.kept == []


def test_an_early_answer_of_the_framework_does_not_keep_the_connection(service: RunningService) -> None:
    """After an invalid host the body is passed over, and the connection closed: idle, slow or broken."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(service)) for _ in range(3)]
        for client in clients:
            client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked", host="a b"))
            assert client.answer().status == 400
        clients[0].send(chunked(b"x" * 20))
        clients[1].send(b"5\r\n")
        clients[2].send(b"zz\r\n")
        assert [client.end() for client in clients] == [b"", b"", b""]


def test_who_takes_no_answers_is_bounded_and_cut_off(service: RunningService) -> None:
    """A client that pipelines without end and reads nothing takes little memory, and loses its connection."""
    before = most = resident(service)
    many = request("POST", "/", b"", host="a b") * 2000  # refused fast, and the connection goes on
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", service.port))
        client.settimeout(1)
        ends = time.monotonic() + 30
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                assert time.monotonic() < ends
                most = max(most, resident(service))
                with suppress(TimeoutError):
                    client.send(many)
    assert most - before < 60_000
    assert service.post(b"[]") == (200, b"")


TABLE = {100, 200, 400, 404, 405, 408, 413, 415, 431}


def test_no_noise_is_answered_by_anything_but_the_table(service: RunningService) -> None:
    """Requests with random damage get answers of the table only; those answered 200 are those in the journal."""
    seed = random.Random(7)
    sources = [
        request("POST", HOOK, b'[{"a": "b"}]', "Content-Type: application/json"),
        request("POST", HOOK, None, "Transfer-Encoding: chunked") + chunked(b'[1, {"a": null}]', 4, b"X: 1\r\n"),
        request("POST", HOOK, b"[]", "Connection: Upgrade", "Upgrade: h2c") * 2,
        request("GET", "/", None, "Expect: 100-continue"),
    ]
    clients: list[socket.socket] = []
    with watching(service) as watch:
        for number in range(200):
            raw = bytearray(sources[number % len(sources)])
            for _ in range(seed.randint(1, 3)):
                at = seed.randrange(len(raw))
                piece = seed.choice([b"", bytes([seed.randrange(256)]), b"\r\n", b" ", b"0", raw[at // 2 : at]])
                raw[at : at + seed.randint(0, 3)] = piece
            client = service.connect()
            client.sendall(raw)
            clients.append(client)
        answers = [read_to_end(client) for client in clients]
        for client in clients:
            client.close()
    lines = [line for answer in answers for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    codes = [int(line.split()[1]) for line in lines]
    assert set(codes) <= TABLE
    assert len(set(codes)) > 3
    assert codes.count(200) == sum(not kept.malformed for kept in watch.kept) > 10


def test_an_idle_connection_is_closed_though_other_deadlines_are_long(tmp_path: Path) -> None:
    """The time without a request counts, not the next look that a deadline of minutes would need."""
    folder = tmp_path / "data"
    options = ("--head-timeout", "600", "--body-timeout", "600", "--idle-timeout", "1")
    with RunningService(folder, *options) as running, Client(running) as client:
        client.socket.settimeout(30)
        client.send(request(body=body_of(pair())))
        assert client.socket.recv(4096).startswith(b"HTTP/1.1 200")
        assert client.socket.recv(4096) == b""
