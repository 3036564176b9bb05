"""Requests that two readers could read in two ways, over real sockets: each is refused, or read in the one right way.

What `test_protocol.py` and `test_receiver.py` have is not here. Every case is followed by a probe on the same
connection and a request on another: what the journal then holds must be, byte for byte, what the table says.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from support import TOKEN, RunningService, read_to_end
from test_receiver import HOOK, Client, assert_discreet, request, watching

HOST = "hooks.example.com"
INNER = request("POST", f"{HOOK}/smuggled", b'["smuggled"]', host=HOST)
PROBE = request("POST", f"{HOOK}/probe", b'["probe"]', "Connection: close")
A = b'["a"]'
POST = f"POST {HOOK} HTTP/1.1\r\nHost: {HOST}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


class Case(NamedTuple):
    """Bytes, the codes of the answers to them and to the probe, and the bodies that are kept."""

    name: str
    raw: bytes
    codes: list[int]
    kept: list[bytes]


def refused(name: str, raw: bytes, code: int = 400) -> Case:
    """One answer, nothing kept, the probe behind it unread."""
    return Case(name, raw, [code], [])


def taken(name: str, raw: bytes, *bodies: bytes) -> Case:
    """All of it is read as these bodies, then the probe."""
    return Case(name, raw, [200] * (len(bodies) + 1), [*bodies, b'["probe"]'])


def framed(*fields: bytes, body: bytes = A) -> bytes:
    """A POST with these fields and no other."""
    return POST + b"".join(one + b"\r\n" for one in fields) + b"\r\n" + body


def chunk(data: bytes, size: bytes | None = None, end: bytes = b"\r\n") -> bytes:
    return (b"%x" % len(data) if size is None else size) + end + data + b"\r\n"


TWO_LENGTHS = [
    refused("two lengths, the shorter first", framed(b"Content-Length: 5", b"Content-Length: 80", body=A + INNER)),
    refused("two lengths, the longer first", framed(b"Content-Length: 80", b"Content-Length: 5", body=A + INNER)),
    refused("two lengths, letter case", framed(b"Content-Length: 5", b"CONTENT-LENGTH: 5")),
    refused("a list of lengths", framed(b"Content-Length: 5,80", body=A + INNER)),
    refused("an empty length", framed(b"Content-Length:", body=INNER)),
    refused("a length of blanks", framed(b"Content-Length:   ", body=INNER)),
    refused("a length in two words", framed(b"Content-Length: 5 5")),
    refused("a length with a letter", framed(b"Content-Length: 5a")),
    refused("a length with a point", framed(b"Content-Length: 5.0")),
    refused("a length with an underscore", framed(b"Content-Length: 1_0", body=A * 2)),
    refused("a length in Arabic digits", framed("Content-Length: \u0665".encode())),
    refused("a length with a vertical tab", framed(b"Content-Length: \x0b5")),
    refused("a blank before the colon", framed(b"Content-Length : 5")),
    refused("a tab before the colon", framed(b"Content-Length\t: 5")),
    refused("a NUL in the name", framed(b"Content-Length\x00: 5")),
    taken("a length with zeros in front", framed(b"Content-Length: 0005"), A),
    taken("a length with blanks around", framed(b"Content-Length: \t 5 \t"), A),
    Case(
        "another name is no length",
        framed(b"Content_Length: 5", b"X-Content-Length: 5", body=b""),
        [400, 200],
        [b"", b'["probe"]'],
    ),
]

LENGTH_AND_CHUNKS = [
    refused("length, chunks", framed(b"Content-Length: 5", CHUNKED[:-2], body=chunk(A) + END + INNER)),
    refused("chunks, length", framed(CHUNKED[:-2], b"Content-Length: 0", body=chunk(A) + END + INNER)),
    refused("length, gzip", framed(b"Content-Length: 5", b"Transfer-Encoding: gzip")),
    refused("length, identity", framed(b"Content-Length: 5", b"Transfer-Encoding: identity")),
    refused("length, an empty coding", framed(b"Content-Length: 5", b"Transfer-Encoding:")),
    refused("a blank before the colon of the coding", framed(b"Transfer-Encoding : chunked", body=chunk(A) + END)),
    refused("a folded coding", framed(b"Transfer-Encoding:\r\n chunked", body=chunk(A) + END)),
    refused("a folded length", framed(b"Content-Length:\r\n 5")),
    refused("a folded field", framed(b"X: a\r\n\tb", b"Content-Length: 5")),
    refused("a first field that is folded", framed(b" X: a", b"Content-Length: 5")),
    refused("a vertical tab before chunked", framed(b"Transfer-Encoding: \x0bchunked", body=chunk(A) + END)),
    refused("chunked in quotes", framed(b'Transfer-Encoding: "chunked"', body=chunk(A) + END)),
    refused("chunked with a parameter", framed(b"Transfer-Encoding: chunked;q=1", body=chunk(A) + END)),
    refused("chunked, then identity", framed(CHUNKED[:-2], b"Transfer-Encoding: identity", body=chunk(A) + END)),
    refused("chunked, identity in a list", framed(b"Transfer-Encoding: chunked, identity", body=chunk(A) + END)),
    refused("an empty coding", framed(b"Transfer-Encoding:", body=chunk(A) + END)),
    refused("HTTP/1.0 with length and chunks", framed(b"Content-Length: 5", CHUNKED[:-2]).replace(b"/1.1", b"/1.0")),
    refused("upgrade with length and chunks", framed(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 5",
                                                     CHUNKED[:-2], body=chunk(A) + END)),
    refused("upgrade with two lengths", framed(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 5",
                                               b"Content-Length: 6")),
    taken("a coding with blanks before", framed(b"Transfer-Encoding: \t chunked", body=chunk(A) + END), A),
    refused("a length in the trailer", framed(CHUNKED[:-2], body=chunk(A) + b"0\r\nContent-Length: 80\r\n\r\n")),
    refused("a coding in the trailer", framed(CHUNKED[:-2], body=chunk(A) + b"0\r\nTransfer-Encoding: x\r\n\r\n")),
]  # fmt: skip

CHUNKS = [
    refused(f"bad chunk {bad!r}", framed(CHUNKED[:-2], body=bad + INNER))
    for bad in (
        b"5\n" + A + b"\r\n0\r\n\r\n",
        b"5\r" + A + b"\r\n0\r\n\r\n",
        b"5\r\n" + A + b"\n0\r\n\r\n",
        b"5\r\n" + A + b"0\r\n\r\n",
        b"5\r\n" + A + b"\r\n0\n\n",
        b"4\r\n" + A + b"\r\n0\r\n\r\n",
        b"5;\n" + A + b"\r\n0\r\n\r\n",
        b"5;x=\n" + A + b"\r\n0\r\n\r\n",
        b'5;x="\n"\r\n' + A + b"\r\n0\r\n\r\n",
        b" 5\r\n" + A + b"\r\n0\r\n\r\n",
        b"5 \r\n" + A + b"\r\n0\r\n\r\n",
        b"+5\r\n" + A + b"\r\n0\r\n\r\n",
        b"5_\r\n" + A + b"\r\n0\r\n\r\n",
        b"5,5\r\n" + A + b"\r\n0\r\n\r\n",
        b"\r\n5\r\n" + A + b"\r\n0\r\n\r\n",
        b"10000000000000005\r\n" + A + b"\r\n0\r\n\r\n",
        b"5\r\n" + A + b"\r\n0\r\nX : 1\r\n\r\n",
        b"5\r\n" + A + b"\r\n0\r\nX: 1\n\n",
        b"5\r\n" + A + b"\r\n\r\n",
    )
] + [
    taken("a size with many zeros", framed(CHUNKED[:-2], body=chunk(A, b"0" * 40 + b"5") + END), A),
    taken("a body of requests", framed(CHUNKED[:-2], body=chunk(b"[1]" + b" " * 9) + END), b"[1]" + b" " * 9),
    Case("a chunk that is a request", framed(CHUNKED[:-2], body=chunk(INNER) + END), [400, 200],
         [INNER, b'["probe"]']),
    Case("a length over a request", framed(b"Content-Length: %d" % len(INNER), body=INNER), [400, 200],
         [INNER, b'["probe"]']),
]  # fmt: skip

LINES = [
    refused("bare LF throughout", framed(b"Content-Length: 5").replace(b"\r\n", b"\n")),
    refused("bare LF behind the first line", framed(b"Content-Length: 5").replace(b"\r\n", b"\n", 1)),
    refused("bare LF between fields", framed(b"X: a\nContent-Length: 5")),
    refused("bare LF and a request", framed(b"X: a\n\n" + INNER, b"Content-Length: 5")),
    refused("bare CR between fields", framed(b"X: a\rContent-Length: 5")),
    refused("CR CR LF", framed(b"X: a\r", b"Content-Length: 5")),
    refused("a CR in the first line", framed(b"Content-Length: 5").replace(b" HTTP", b"\r HTTP", 1)),
    refused("LF CR at the end of the head", POST + b"Content-Length: 5\r\n\n\r" + A),
    refused("a line without a colon", framed(b"X", b"Content-Length: 5")),
    refused("a field without a name", framed(b": x", b"Content-Length: 5")),
    refused("a blank before the first line", b" " + framed(b"Content-Length: 5")),
    taken("two blanks in the first line", framed(b"Content-Length: 5").replace(b" HTTP", b"  HTTP", 1), A),
    refused("a tab in the first line", framed(b"Content-Length: 5").replace(b" HTTP", b"\tHTTP", 1)),
    refused("a blank in the target", framed(b"Content-Length: 5").replace(b" HTTP", b" x HTTP", 1)),
    refused("no version, HTTP/0.9", f"POST {HOOK}\r\n".encode()),
    refused("HTTP/2.0", framed(b"Content-Length: 5").replace(b"/1.1", b"/2.0")),
    refused("HTTP/1.10", framed(b"Content-Length: 5").replace(b"/1.1", b"/1.10")),
    refused("HTTP/01.1", framed(b"Content-Length: 5").replace(b"/1.1", b"/01.1")),
    refused("http/1.1", framed(b"Content-Length: 5").replace(b"HTTP", b"http")),
    taken("empty lines before the first", b"\r\n\r\n" + framed(b"Content-Length: 5"), A),
    taken("two hosts", framed(b"Host: y", b"Content-Length: 5"), A),
    taken("obsolete text", framed(b"X: \xff\xfe", b"Content-Length: 5"), A),
]

TARGETS = [
    Case(f"target {shown}", request("POST", target, A), [404], [])
    for shown, target in (
        ("10 KB path", "/" + "a" * 10_000),
        ("10 KB behind the token", f"{HOOK}/{'a' * 10_000}"),
        ("10 KB of slashes", "/" * 10_000 + HOOK),
        ("10 KB of dots", "/." * 5000 + HOOK),
        ("%2e%2e", f"/x/%2e%2e{HOOK}"),
        ("%2E", f"/%2E{HOOK}"),
        ("%2f", f"/hooks%2f{TOKEN}"),
        ("%2F behind", f"{HOOK}%2Fdelivered"),
        ("%5c", f"/hooks%5c{TOKEN}"),
        ("backslash behind a slash", f"/hooks\\{TOKEN}"),
        ("twice escaped", f"/hooks%252f{TOKEN}"),
        ("bad escape", f"/hooks/%zz{TOKEN}"),
        ("escaped blank", f"{HOOK}%20"),
        ("escaped line break", f"{HOOK}%0d%0aX:1"),
        ("matrix", f"/hooks;x=/{TOKEN}"),
        ("two slashes after the authority", f"http://x/{HOOK}"),
        ("absolute, dots", f"http://x/./hooks/{TOKEN}"),
        ("absolute, token as user", f"http://hooklab:{TOKEN}@x/hooks"),
    )
] + [
    refused("a target without a slash", request("POST", HOOK[1:], A)),
    refused("a target of backslashes", request("POST", f"\\hooks\\{TOKEN}", A)),
    refused("no slash before a query", request("POST", f"http://x?{HOOK}", A)),
    refused("an authority alone", request("POST", "x:80", A)),
    refused("an absolute target without a host", request("POST", f"http://{HOOK}", A)),
    refused("an absolute target of a port that is none", request("POST", f"http://x:99999999{HOOK}", A)),
    refused("a fragment before the path", request("POST", f"#{HOOK}", A)),
    taken("another host in an absolute target", request("POST", f"http://y:1{HOOK}", A), A),
    taken("https in an absolute target", request("POST", f"HTTPS://y{HOOK}", A), A),
    taken("a user in an absolute target", request("POST", f"http://u:p@y{HOOK}", A), A),
]

FLOODS = [
    refused("20,000 fields", framed(*(b"X-%d: y" % number for number in range(20_000)), b"Content-Length: 5"), 431),
    refused("20,000 hosts", framed(*[b"Host: x"] * 20_000, b"Content-Length: 5"), 431),
    refused("a name of 5 MB", framed(b"X" * 5_000_000 + b": y", b"Content-Length: 5"), 431),
    refused("a target of 5 MB", request("POST", "/" + "a" * 5_000_000, A), 431),
    refused("a method of 5 MB", b"P" * 5_000_000 + b" / HTTP/1.1\r\n\r\n"),
    refused("a chunk extension of 5 MB", framed(CHUNKED[:-2], body=chunk(A, b"5;" + b"x" * 5_000_000) + END)),
    refused("10,000 chunk extensions", framed(CHUNKED[:-2], body=(b"1;%b\r\n \r\n" % (b"x" * 500)) * 10_000 + A)),
]  # fmt: skip

CONTINUE = [
    Case("100-continue with a body at once", framed(b"Expect: 100-continue", b"Content-Length: 5"), [200, 200],
         [A, b'["probe"]']),
    Case("100-continue in HTTP/1.0", framed(b"Expect: 100-continue", b"Content-Length: 5").replace(b"/1.1", b"/1.0"),
         [200], [A]),
    Case("another expectation", framed(b"Expect: 200-ok", b"Content-Length: 5"), [200, 200], [A, b'["probe"]']),
]  # fmt: skip

CASES = [*TWO_LENGTHS, *LENGTH_AND_CHUNKS, *CHUNKS, *LINES, *TARGETS, *FLOODS, *CONTINUE]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all; its end is orderly and its log discreet."""
    with RunningService(tmp_path_factory.mktemp("smuggling") / "data") as running:
        yield running
        assert_discreet(running)


def codes(answer: bytes) -> list[int]:
    """Those of the final answers in what a connection gave."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) if code != b"100"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_is_read_in_the_one_way_or_refused(service: RunningService, case: Case) -> None:
    """The answers are those of the table, in order; the journal has what was sent and nothing of what was not."""
    with watching(service) as watch:
        with Client(service) as client:
            client.send(case.raw, PROBE)
            answer = client.end()
        with Client(service) as client:
            client.send(request("POST", f"{HOOK}/after", b"[]"))
            assert client.answer().status == 200
    assert codes(answer) == case.codes
    assert [kept.body for kept in watch.kept] == [*case.kept, b"[]"]
    assert "smuggled" not in {kept.label for kept in watch.kept}


@pytest.mark.parametrize("case", [case for case in CASES if len(case.raw) < 1000], ids=lambda case: case.name)
def test_where_a_request_is_cut_does_not_matter(service: RunningService, case: Case) -> None:
    """Sent byte by byte in the middle, it is read as when it comes at once."""
    with watching(service) as watch, service.connect() as one:
        raw = case.raw + PROBE
        one.setsockopt(6, 1, 1)  # no delay: as many segments as can be
        for at in range(len(raw)):
            try:
                one.sendall(raw[at : at + 1])
            except (BrokenPipeError, ConnectionResetError):
                break
        answer = read_to_end(one)
    assert codes(answer) == case.codes
    assert [kept.body for kept in watch.kept] == case.kept
