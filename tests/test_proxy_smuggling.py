"""A proxy in front and hooklab behind never disagree on where a request ends: the corpus through both programs."""

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from support import RunningService
from test_proxies import SETTINGS, Caddy, Nginx, Proxy
from test_receiver import HOOK, chunked, journal, request
from test_slow import connections_of
from test_smuggling import (
    CHUNKS,
    CONTINUE,
    HOST,
    INNER,
    LENGTH_AND_CHUNKS,
    LINES,
    TWO_LENGTHS,
    A,
    Case,
    framed,
    refused,
    taken,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

INSIDE = f"Content-Length: {len(INNER)}"
IN_CHUNKS = "Transfer-Encoding: chunked"
GZIP = "Content-Encoding: gzip"
UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
"""The requests below are those whose answer comes before their body, or that offer to leave HTTP/1.1."""
EARLY = [
    refused("GET with a request as its body", request("GET", HOOK, None, INSIDE) + INNER),
    refused("GET with a request in chunks", request("GET", HOOK, None, IN_CHUNKS) + chunked(INNER)),
    refused("HEAD with a request as its body", request("HEAD", HOOK, None, INSIDE) + INNER),
    refused("a refused coding", request("POST", HOOK, None, GZIP, INSIDE) + INNER),
    refused("a refused coding, asked for", request("POST", HOOK, None, GZIP, "Expect: 100-continue", INSIDE) + INNER),
    refused("a method refused, asked for", request("PUT", HOOK, None, "Expect: 100-continue", INSIDE) + INNER),
    refused("an expectation in two words", request("POST", HOOK, None, "Expect: y 100-continue", INSIDE) + INNER),
    refused("an upgrade with a request behind", request("GET", HOOK, None, *UPGRADE) + INNER),
    refused("h2c with a request behind", request("POST", HOOK, A, *H2C) + INNER),
    refused("h2c with a request as its body", request("POST", HOOK, None, *H2C, INSIDE) + INNER),
    refused("CONNECT with a request behind", request("CONNECT", HOOK) + INNER),
    refused("a length to be dropped", request("POST", HOOK, None, "Connection: content-length", INSIDE) + INNER),
    refused("a coding to be dropped",
            request("POST", HOOK, None, "Connection: transfer-encoding", IN_CHUNKS) + chunked(INNER)),
    taken("HTTP/1.0, kept", framed(b"Connection: keep-alive", b"Content-Length: 5").replace(b"/1.1", b"/1.0")),
]  # fmt: skip
CORPUS = [*TWO_LENGTHS, *LENGTH_AND_CHUNKS, *CHUNKS, *LINES, *CONTINUE, *EARLY]
MALFORMED = b"expected a JSON array"


class KeptNginx(Nginx):
    """The README's, with connections to hooklab that are used again, as busy sites set it."""

    def command(self) -> list[str]:
        command = super().command()
        path = self.folder / "nginx.conf"
        text = path.read_text()
        kept = f"upstream kept {{ server 127.0.0.1:{self.upstream}; keepalive 1; }}\n"
        text = text.replace("server {", kept + "server {", 1)
        path.write_text(text.replace(f"proxy_pass http://127.0.0.1:{self.upstream}", "proxy_pass http://kept"))
        return command


class Stage(NamedTuple):
    """A proxy and what is behind it."""

    proxy: Proxy
    service: RunningService

    def ask(self, raw: bytes) -> list[bytes]:
        """The answers to what one connection says, each as its code and body; 100 is none."""
        raw = raw.replace(b"Host: x", b"Host: " + HOST.encode())  # else Caddy answers by itself
        with (
            socket.create_connection(("127.0.0.1", self.proxy.port), timeout=3) as plain,
            self.proxy.context.wrap_socket(plain, server_hostname="hooks.example.com") as secured,
        ):
            parts = []
            try:
                secured.sendall(raw)
                while part := secured.recv(65536):
                    parts.append(part)
            except (OSError, TimeoutError):
                pass  # it waits for more, or is done with us
        found = re.split(rb"HTTP/1\.[01] (?=\d{3} )", b"".join(parts))[1:]
        return [one for one in found if not one.startswith(b"100")]

    def kept(self, after: int) -> list[tuple[str | None, bytes, int]]:
        """Label, body and whether it was no array, of what came after this batch."""
        sql = "SELECT label, body_of(encoding, body), malformed FROM batches WHERE sequence > ? ORDER BY sequence"
        return [(label, body, malformed) for label, body, malformed in journal(self.service, sql, after)]

    def last(self) -> int:
        return int(journal(self.service, "SELECT coalesce(max(sequence), 0) FROM batches")[0][0])


@pytest.fixture(scope="module", params=[Caddy, KeptNginx], ids=["caddy", "nginx"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hooklab with one proxy in front, for all cases."""
    kind: Callable[[Path, trustme.CA, int], Proxy] = request.param
    program = request.param.__name__.lower().removeprefix("kept")
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here (apt install {program})")
    folder = tmp_path_factory.mktemp(program)
    with RunningService(folder / "data", environment=SETTINGS) as service:
        alone = connections_of(service)
        proxy = kind(folder, trustme.CA(), service.port)
        with proxy.running():
            yield Stage(proxy, service)
            assert connections_of(service) > alone, "no connection to hooklab was kept: nothing was tried"


def whole(case: Case) -> set[bytes]:
    """The bodies that the case has, by one framing or the other, and where a bare LF ends a line."""
    return {A, b"", *case.kept, *({b"\r" + A[:-1]} if b"\n\n\r" in case.raw else ())}


def tagged(case: Case, number: int) -> bytes:
    """With a label of its own for the request, the one inside, and the one behind it."""
    raw = case.raw.replace(f"{HOOK} ".encode(), f"{HOOK}/c{number:03} ".encode(), 1)
    raw = raw.replace(b"/smuggled", b"/s%07d" % number)  # as long as before: lengths are right
    return raw + request("POST", f"{HOOK}/p{number:03}", b'["p"]', "Connection: close")


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=lambda number: CORPUS[number].name)
def test_proxy_and_hooklab_agree_where_a_request_ends(stage: Stage, number: int) -> None:
    """Each request that the journal has was answered to who sent it, in order, and is whole; the next who comes over
    the same connection to hooklab gets his own answers.
    """
    case, before = CORPUS[number], stage.last()
    answers = stage.ask(tagged(case, number))
    ours = [int(MALFORMED in one) for one in answers if one.startswith(b"200") or MALFORMED in one]
    kept = stage.kept(before)
    assert [malformed for _, _, malformed in kept] == ours, (answers, kept)
    labels = [label for label, _, _ in kept]
    assert labels == sorted(labels, key=lambda one: "csp".index((one or "c")[0]))
    assert {label for label in labels if label} <= {f"c{number:03}", f"s{number:07}", f"p{number:03}"}
    tag = INNER.replace(b"/smuggled", b"/s%07d" % number)
    bodies = {"c": whole(case) | {tag}, "s": {b'["smuggled"]'}, "p": {b'["p"]'}}
    assert [body for label, body, _ in kept if body not in bodies[(label or "c")[0]]] == []
    seen = stage.last()
    codes = [one[:3] for one in stage.ask(others(number))]
    assert codes == [b"200", b"405", b"400", b"200"]
    assert [(label, body) for label, body, _ in stage.kept(seen)] == [
        (f"q{number}", b"[1]"), (f"q{number}", b"{}"), (f"r{number}", b"[2]"),
    ]  # fmt: skip


def others(number: int) -> bytes:
    """What somebody else asks, each with another answer, so that one that is out of step shows."""
    return b"".join(
        (
            request("POST", f"{HOOK}/q{number}", b"[1]"),
            request("GET", f"{HOOK}/q{number}"),
            request("POST", f"{HOOK}/q{number}", b"{}"),
            request("POST", f"{HOOK}/r{number}", b"[2]", "Connection: close"),
        )
    )
