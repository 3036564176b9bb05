"""The receiver's table of answers, over real sockets to `hooklab serve` in a process of its own."""

import http.client
import ipaddress
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest
from support import (
    TOKEN,
    RunningService,
    body_of,
    conserved,
    json_lines_of,
    json_of,
    pair,
    read_to_end,
    report,
    unpacking,
)

MAX_BODY = 65536
HOOK = f"/hooks/{TOKEN}"
PHONE = "351900000123"
EIGHT_MB = 8_000_000


class Answer(NamedTuple):
    """One answer; `raw` is its head as it came, without the date."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return self.headers.get("connection") == "close"


class Client:
    """One plain connection that sends what it is told and reads answers one by one."""

    def __init__(self, service: RunningService) -> None:
        self.socket = service.connect()
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Sends all of it; a server that has closed already is no error."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"".join(parts))

    def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer."""
        while b"\r\n\r\n" not in self._held:
            self._read()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.decode().partition(": ") for line in lines)}
        size = 0 if to_head or first.startswith(b"HTTP/1.1 100") else int(headers["content-length"])
        while len(self._held) < size:
            self._read()
        body, self._held = self._held[:size], self._held[size:]
        status = int(first.split()[1])
        assert status != 500
        raw = b"\r\n".join([first, *(line for line in lines if not line.startswith(b"date:"))])
        return Answer(status, headers, body, raw)

    def end(self) -> bytes:
        """What still comes until the server closes."""
        rest, self._held = self._held + read_to_end(self.socket), b""
        return rest

    def _read(self) -> None:
        part = self.socket.recv(65536)
        assert part, f"closed after {self._held!r}"
        self._held += part


def request(
    method: str = "POST",
    path: str = HOOK,
    body: bytes | None = None,
    *fields: str,
    host: str | None = "x",
    version: str = "1.1",
) -> bytes:
    """A request; with a body that is not None it has its Content-Length."""
    lines = [f"{method} {path} HTTP/{version}", *([] if host is None else [f"Host: {host}"]), *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(body: bytes, size: int = 1000, trailer: bytes = b"") -> bytes:
    """A body in chunks of `size` bytes."""
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


class Kept(NamedTuple):
    """A batch as the journal has it."""

    body: bytes
    label: str | None
    malformed: int
    headers: str


class Watch:
    """What changed in a service: refusals by code, and batches in the journal."""

    refused: dict[str, int]
    kept: list[Kept]


@contextmanager
def watching(service: RunningService) -> Iterator[Watch]:
    """Fills in the watch when the block is left."""
    watch = Watch()
    before, last = service.admin("/status")[1]["refused"], journal(service, "SELECT max(sequence) FROM batches")[0][0]
    yield watch
    after = service.admin("/status")[1]["refused"]
    watch.refused = {code: count - before.get(code, 0) for code, count in after.items() if count != before.get(code)}
    watch.kept = [
        Kept(*row)
        for row in journal(
            service,
            "SELECT body_of(encoding, body), label, malformed, headers_of(encoding, headers, body) FROM batches"
            " WHERE sequence > ? ORDER BY sequence",
            last or 0,
        )
    ]


def journal(service: RunningService, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the journal, read beside the service."""
    uri = f"file:{service.data_dir / 'journal.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=20)) as connection:
        return unpacking(connection).execute(sql, values).fetchall()


def assert_discreet(service: RunningService) -> None:
    """Ends the service in order; its stderr has no secret and no fault."""
    assert service.terminate() == 0
    said = service.stderr.decode()
    assert TOKEN not in said
    assert PHONE not in said
    assert "Traceback" not in said


def assert_cut_off(client: Client) -> None:
    """Sends without end: the server closes after the 16 MiB that it drains, and what the kernel holds for both."""
    sent, ends = 0, time.monotonic() + 15
    client.socket.settimeout(10)
    with suppress(BrokenPipeError, ConnectionResetError):
        while True:
            sent += client.socket.send(b"x" * 1_000_000)
            assert time.monotonic() < ends
    assert sent < 40_000_000


def resident(service: RunningService) -> int:
    """The memory that the service's process has, in KiB."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all tests here; its end is orderly and its log discreet."""
    folder = tmp_path_factory.mktemp("receiver") / "data"
    with RunningService(folder, "--max-body", str(MAX_BODY)) as running:
        yield running
        assert_discreet(running)


# 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body_of(pair()), id="the common pair"),
        pytest.param(b"[]", id="no element"),
        pytest.param(b' \r\n\t[ {"a" : 1} ]\n', id="white space"),
        pytest.param(b'[1, "x", null, {}, [], {"MessageId": 7}]', id="elements nobody understands"),
        pytest.param(b'[{"ReportDescription": "\\ud83d"}]', id="lone surrogate"),
        pytest.param(b"\xef\xbb\xbf" + body_of([report()]), id="byte order mark"),
        pytest.param(b'[{"ReportDescription": "\xff\xfe"}]', id="not UTF-8"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[" + b" " * (MAX_BODY - 2) + b"]", id="as long as may be"),
        pytest.param(body_of([report() for _ in range(150)]), id="many reports"),
    ],
)
def test_an_array_is_answered_200_and_kept_as_it_came(service: RunningService, body: bytes) -> None:
    """An array of anything is answered 200 with nothing in it, is in the journal byte for byte, and the connection
    goes on.
    """
    with watching(service) as watch, Client(service) as client:
        client.send(request(body=body))
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers.keys() == {"date", "content-length"}
        client.send(request(body=b"[]"))
        assert client.answer().status == 200
    assert watch.refused == {}
    assert [(kept.body, kept.label, kept.malformed) for kept in watch.kept] == [(body, None, 0), (b"[]", None, 0)]


def test_a_repeat_is_answered_200_and_counted(service: RunningService) -> None:
    """The same batch again gets 200 again, and counts as a retry of the first."""
    body = body_of(pair())
    before = service.settled()
    assert [service.post(body) for _ in range(3)] == [(200, b"")] * 3
    after = service.settled()
    assert {name: after[name] - before[name] for name in ("batches", "retries", "reports", "repeats")} == {
        "batches": 3,
        "retries": 2,
        "reports": 2,
        "repeats": 4,
    }
    newest = json_lines_of("batches", "--limit", "3", data_dir=service.data_dir)
    assert [row["attempt"] for row in newest] == [3, 2, 1]
    assert conserved(after)


@pytest.mark.parametrize("label", ["delivered", "not_delivered", "a", "0-9_z", "x" * 64])
def test_a_label_is_kept_with_its_batch(service: RunningService, label: str) -> None:
    """1 to 64 of a-z 0-9 - _ behind the token are kept as the batch's label."""
    with watching(service) as watch:
        assert service.post(b"[]", label) == (200, b"")
    assert [kept.label for kept in watch.kept] == [label]
    service.settled()
    assert json_lines_of("batches", "--limit", "1", data_dir=service.data_dir)[0]["label"] == label


@pytest.mark.parametrize(
    "target", [f"{HOOK}?a=1", f"{HOOK}?", f"http://elsewhere.example:99{HOOK}", f"https://x{HOOK}/delivered?x#y"]
)
def test_a_query_and_an_absolute_target_do_not_matter(service: RunningService, target: str) -> None:
    """The path decides: what stands before and behind it in the target is for nobody."""
    with Client(service) as client:
        client.send(request(path=target, body=b"[]"))
        assert client.answer().status == 200


def test_harmless_headers_are_kept_and_credentials_never(service: RunningService) -> None:
    """The batch keeps the headers that tell where it came from, and no credential, known or not."""
    secret = "Basic c2VjcmV0"
    fields = (
        "User-Agent: Arpoone/1",
        "Content-Type: application/json",
        "X-Forwarded-For: 192.0.2.7",
        f"Authorization: {secret}",
        f"Proxy-Authorization: {secret}",
        f"Cookie: session={secret}",
        f"X-Api-Key: {secret}",
    )
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, b"[]", *fields))
        assert client.answer().status == 200
    [kept] = watch.kept
    assert json.loads(kept.headers) == [
        ["host", "x"],
        ["user-agent", "Arpoone/1"],
        ["content-type", "application/json"],
        ["x-forwarded-for", "192.0.2.7"],
        ["content-length", "2"],
    ]
    service.settled()
    number = json_lines_of("batches", "--limit", "1", data_dir=service.data_dir)[0]["batch"]
    shown = json_of("batch", number, data_dir=service.data_dir)
    assert secret not in json.dumps(shown)
    assert ["user-agent", "Arpoone/1"] in shown["headers"]
    assert ipaddress.ip_address(shown["peer"]).is_loopback


@pytest.mark.parametrize("fill", ["x", "\xe9", '"'], ids=["ascii", "latin-1", "quotes"])
def test_kept_headers_have_a_bound(service: RunningService, fill: str) -> None:
    """At most 4 KiB of headers are kept, as they are written; one that is too long does not push out the others."""
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nUser-Agent: {fill * 5000}\r\nVia: short\r\n".encode("latin-1")
    head += b"".join(b"X-Forwarded-For: %b\r\n" % (b"1" * 200) for _ in range(40))
    with watching(service) as watch, Client(service) as client:
        client.send(head, b"Content-Length: 2\r\n\r\n[]")
        assert client.answer().status == 200
    [kept] = watch.kept
    assert 3000 < len(kept.headers.encode()) <= 4096
    names = [name for name, _ in json.loads(kept.headers)]
    assert {"host", "via", "x-forwarded-for"} <= set(names)


# 400


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "the body is empty"),
        (b" \r\n ", "the body is empty"),
        (b'{"MessageId": "351900000123"}', "the body is JSON, but an object and not an array"),
        (b'"x"', "the body is JSON, but a string and not an array"),
        (b"-1.5", "the body is JSON, but a number and not an array"),
        (b"null", "the body is JSON, but null and not an array"),
        (b"true", "the body is JSON, but true and not an array"),
        (b"Msisdn=351900000123", "the body is not JSON"),
        (b'[{"MessageId": "351900000123"}', "the body is not JSON"),
        (b"[1]x", "the body is not JSON"),
        (b"[1][2]", "the body is not JSON"),
        (b"\x1f\x8b\x08\x00", "the body is not JSON"),
        ("[]".encode("utf-16"), "the body is not JSON"),
        (b"[" * 9999 + b"]" * 9999, "the JSON is nested too deeply"),
        (b"[" * MAX_BODY, "the JSON is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_array_is_answered_400_and_kept(service: RunningService, body: bytes, found: str) -> None:
    """Anything but a JSON array gets 400 with one line that says what was expected, and is kept, marked."""
    with watching(service) as watch, Client(service) as client:
        client.send(request(body=body))
        answer = client.answer()
        assert answer.status == 400
        assert answer.body.decode() == f"expected a JSON array of delivery reports, but {found}\n"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert not answer.closes
        client.send(request(body=b"[]"))
        assert client.answer().status == 200
    assert watch.refused == {"400": 1}
    assert [(kept.body, kept.malformed) for kept in watch.kept] == [(body, 1), (b"[]", 0)]


def test_a_malformed_body_is_in_quarantine_once_with_a_count(service: RunningService) -> None:
    """Each distinct body is one row in quarantine that counts how often it came; counters say distinct bodies."""
    before = service.settled()
    for body in (b'{"once": 1}', b'{"thrice": 1}', b'{"thrice": 1}', b'{"thrice": 1}'):
        assert service.post(body)[0] == 400
    after = service.settled()
    assert after["malformed"] - before["malformed"] == 2
    assert after["batches"] == before["batches"]
    assert after["quarantined"] - before["quarantined"] == 2
    rows = json_lines_of("quarantine", "list", "--limit", "2", data_dir=service.data_dir)
    assert sorted((row["count"], row["index"]) for row in rows) == [(1, None), (3, None)]
    assert conserved(after)
    assert service.stats()["malformed"] == after["malformed"]


# 404 and 405

UNKNOWN = [
    "/",
    "/hooks",
    "/hooks/",
    "/hooks/wrong",
    "/hooks/wrong/delivered",
    HOOK[:-1],
    HOOK + "0",
    HOOK.upper(),
    f"/hooks/{TOKEN.upper()}",
    f"/hooks/{TOKEN.capitalize()}",
    f"/hooks/%74{TOKEN[1:]}",
    f"/hooks/{TOKEN}%00",
    f"/%68ooks/{TOKEN}",
    f"{HOOK}/",
    f"/{HOOK}",
    f"/hooks//{TOKEN}",
    f"{HOOK}//delivered",
    f"{HOOK}/delivered/",
    f"{HOOK}/a/b",
    f"{HOOK}/Delivered",
    f"{HOOK}/%64elivered",
    f"{HOOK}/a.b",
    f"{HOOK}/..",
    f"{HOOK}/" + "x" * 65,
    f"{HOOK};a",
    f"/x/..{HOOK}",
    f"/hooks?token={TOKEN}",
    f"/hooks/?{TOKEN}",
    "/health",
    "/ready",
    "/status",
    "/metrics",
    "/schema",
    "/favicon.ico",
    f"http://x{HOOK}/",
    "*",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_there_is_nothing_but_the_hook(service: RunningService, path: str) -> None:
    """A wrong token, a label that is none and any other path get the same 404, whatever the method."""
    answers = set()
    with watching(service) as watch:
        for method, body in (("POST", b"[]"), ("GET", None), ("PUT", b"[]"), ("OPTIONS", None)):
            with Client(service) as client:
                client.send(request(method, path, body))
                answer = client.answer()
                answers.add((answer.raw, answer.body))
                assert client.end() == b""
    head = "HTTP/1.1 404 Not Found|content-type: text/plain; charset=utf-8|content-length: 22|connection: close"
    assert answers == {(head.replace("|", "\r\n").encode(), b"there is nothing here\n")}
    assert watch.refused == {"404": 4}
    assert watch.kept == []


@pytest.mark.parametrize("path", [HOOK, f"{HOOK}/delivered", f"{HOOK}?x=1"], ids=["plain", "label", "query"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_the_hook_takes_post_only(service: RunningService, method: str, path: str) -> None:
    """Any other method on the hook's URL gets 405, `Allow: POST` and a line that says so."""
    with watching(service) as watch, Client(service) as client:
        client.send(request(method, path, b"[]" if method in ("PUT", "PATCH") else None))
        answer = client.answer(to_head=method == "HEAD")
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"
        text = b"this URL takes POST: an array of delivery reports, as JSON\n"
        assert answer.body == (b"" if method == "HEAD" else text)
        assert client.end() == b""
    assert watch.refused == {"405": 1}
    assert watch.kept == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_method_tells_nothing_of_the_token(service: RunningService, method: str) -> None:
    """With a wrong token any method gets 404, as everywhere."""
    with watching(service) as watch, Client(service) as client:
        client.send(request(method, "/hooks/wrong"))
        assert client.answer(to_head=method == "HEAD").status == 404
    assert watch.refused == {"404": 1}


# 413, 415


@pytest.mark.parametrize("size", [MAX_BODY + 1, 1_000_000, 2**40])
def test_too_large_by_its_length(service: RunningService, size: int) -> None:
    """A Content-Length beyond the limit gets 413 before any of the body came."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, f"Content-Length: {size}"))
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"the body is larger than 65536 bytes\n")
        assert answer.closes
    assert watch.refused == {"413": 1}
    assert watch.kept == []


@pytest.mark.parametrize("size", [1, 999, 65536])
def test_too_large_in_chunks(service: RunningService, size: int) -> None:
    """A body in chunks gets 413 as soon as it is over the limit, and one at the limit is taken."""
    body = b"[" + b" " * (MAX_BODY - 2) + b"]"
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked"), chunked(body, size))
        assert client.answer().status == 200
        client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked"), chunked(body + b" ", size))
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"the body is larger than 65536 bytes\n")
    assert watch.refused == {"413": 1}
    assert [kept.body for kept in watch.kept] == [body]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "x"])
def test_an_encoded_body_is_refused(service: RunningService, coding: str) -> None:
    """A body with a Content-Encoding gets 415."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, b"[]", f"Content-Encoding: {coding}"))
        answer = client.answer()
        assert (answer.status, answer.body) == (415, b"a body must come as it is, without Content-Encoding\n")
    assert watch.refused == {"415": 1}
    assert watch.kept == []


@pytest.mark.parametrize("coding", ["identity", "Identity", " identity ", ""])
def test_identity_is_no_encoding(service: RunningService, coding: str) -> None:
    """`Content-Encoding: identity` is the body as it is."""
    with Client(service) as client:
        client.send(request("POST", HOOK, b"[]", f"Content-Encoding: {coding}"))
        assert client.answer().status == 200


def test_a_transfer_coding_beside_chunked_is_refused(service: RunningService) -> None:
    """`Transfer-Encoding: gzip, chunked` gets 415: unpacked by nobody, it would pass for a malformed body."""
    with watching(service) as watch, Client(service) as client:
        client.send(request("POST", HOOK, None, "Transfer-Encoding: gzip, chunked"), chunked(b"[]"))
        assert client.answer().status == 415
    assert watch.refused == {"415": 1}
    assert watch.kept == []


# A refusal arrives

REFUSED: list[tuple[int, str, str, tuple[str, ...]]] = [
    (404, "POST", "/hooks/wrong", ()),
    (405, "PUT", HOOK, ()),
    (413, "POST", HOOK, ()),
    (415, "POST", HOOK, ("Content-Encoding: gzip",)),
]


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("status", "method", "path", "fields"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_a_refusal_reaches_who_sends_all_before_reading(
    service: RunningService, status: int, method: str, path: str, fields: tuple[str, ...], in_chunks: bool
) -> None:
    """A client that sends its 8 MB before it reads finds the refusal whole, then the end of the connection."""
    body = b"x" * EIGHT_MB
    with watching(service) as watch, Client(service) as client:
        head = request(method, path, None, *fields, "Transfer-Encoding: chunked")
        raw = head + chunked(body, 100_000) if in_chunks else request(method, path, body, *fields)
        client.socket.sendall(raw)  # which would raise if it were cut off
        answer = client.answer()
        assert answer.status == status
        assert answer.closes
        assert client.end() == b""
    assert watch.refused == {str(status): 1}
    assert watch.kept == []


def test_an_ordinary_client_sees_the_refusal(service: RunningService) -> None:
    """Python's own client, which sends all before it reads, gets 413 and no broken pipe."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.request("POST", HOOK, b"x" * EIGHT_MB)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(("status", "method", "path", "fields"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_who_never_stops_sending_is_cut_off(
    service: RunningService, status: int, method: str, path: str, fields: tuple[str, ...]
) -> None:
    """After a refusal 16 MiB or 2 s are drained, then the connection is closed under the sender's hands."""
    with Client(service) as client:
        client.send(request(method, path, None, *fields, f"Content-Length: {2**40}"))
        assert client.answer().status == status
        assert_cut_off(client)


def test_a_trickle_behind_a_refusal_is_cut_off(service: RunningService) -> None:
    """Who sends on slowly is cut off after 2 s as well."""
    with Client(service) as client:
        client.send(request("POST", "/hooks/wrong", None, "Content-Length: 1000000"))
        began = time.monotonic()
        assert client.answer().status == 404
        client.socket.settimeout(0.1)
        while True:
            assert time.monotonic() < began + 10
            client.send(b"x")
            try:
                assert client.socket.recv(100) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                pass
            break
        assert time.monotonic() - began >= 1.9


def test_refused_bodies_are_not_held(service: RunningService) -> None:
    """Bodies that are drained take no memory: eight of 8 MB at once leave the process as large as it was."""
    service.post(b"[]")
    before = resident(service)
    clients = [Client(service) for _ in range(8)]
    for client in clients:
        client.send(request("POST", "/hooks/wrong", None, f"Content-Length: {EIGHT_MB + 1}"), b"x" * EIGHT_MB)
    assert [client.answer().status for client in clients] == [404] * 8
    assert resident(service) - before < 30_000
    for client in clients:
        client.socket.close()


# Who leaves


def test_who_leaves_before_the_answer_is_journaled_nonetheless(service: RunningService) -> None:
    """A whole batch is kept although its sender did not wait for the answer."""
    body = body_of(pair())
    with Client(service) as client:
        client.send(request(body=body))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close() resets
    ends = time.monotonic() + 20
    while not journal(service, "SELECT 1 FROM batches WHERE body_of(encoding, body) = ?", body):
        assert time.monotonic() < ends


@pytest.mark.parametrize("count", [1, 3])
def test_who_ends_its_side_still_gets_the_answers(service: RunningService, count: int) -> None:
    """A client that closes only its sending side after whole requests is answered, then the connection ends."""
    body = body_of(pair())
    with watching(service) as watch, Client(service) as client:
        client.send(request(body=body) * count)
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.answer().status for _ in range(count)] == [200] * count
        assert client.end() == b""
    assert [kept.body for kept in watch.kept] == [body] * count


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_who_leaves_in_the_middle_leaves_nothing(service: RunningService, in_chunks: bool, reset: bool) -> None:
    """Of a body that did not come whole nothing is kept, even if what came is an array."""
    with watching(service) as watch:
        with Client(service) as client:
            if in_chunks:
                client.send(request("POST", HOOK, None, "Transfer-Encoding: chunked"), b"2\r\n[]\r\n")
            else:
                client.send(request("POST", HOOK, None, "Content-Length: 3"), b"[]")
            if reset:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert service.post(b"[1]")[0] == 200
    assert [kept.body for kept in watch.kept] == [b"[1]"]
    assert watch.refused == {}
