"""The simulator's sender against servers that refuse, cut off, say nothing or are not there."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from msgspec.structs import replace
from pty_stage import until

from hooklab.simulator import sender as module
from hooklab.simulator.campaign import Campaign, Chances, Wishes, plan
from hooklab.simulator.sender import Figures, Pace, Sender, Target

QUICK: Final = Pace(connections=2, backoff=0.01, give_up=20)
Answer = tuple[int, dict[str, str]]
OK: Final[Answer] = (200, {})


class Books:
    """Keeps what the sender says it did."""

    def __init__(self) -> None:
        self.posts: Counter[int] = Counter()
        self.acknowledgements: Counter[int] = Counter()
        self._lock = threading.Lock()

    def posted(self, body: int, *, lost: bool) -> None:
        with self._lock:
            self.posts[body] += 1

    def acknowledged(self, body: int) -> None:
        with self._lock:
            self.acknowledgements[body] += 1


class Server(ThreadingHTTPServer):
    """Answers the n-th POST of a body by `answer(n)`; None closes the connection without an answer."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Callable[[int], Answer | None], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.came: list[tuple[float, str, bytes]] = []
        self.times: Counter[bytes] = Counter()
        self.lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        pass  # a client that cut the connection is what these tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.came.append((time.monotonic(), self.path, body))
            self.server.times[body] += 1
            answer = self.server.answer(self.server.times[body])
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        for name, value in {"Content-Length": "0", **answer[1]}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(answer: Callable[[int], Answer | None], port: int = 0) -> Iterator[Server]:
    server = Server(answer, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def campaign(messages: int = 10, **changes: Any) -> Campaign:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    return plan(replace(Wishes(seed="1", messages=messages, begin=begin, batch=2), **changes))


def send(port: int, sent: Campaign, pace: Pace = QUICK, books: Books | None = None) -> Figures:
    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port)

    return Sender(sent, Target(connect, "/hooks/t"), books or Books(), pace).run(lambda _: None)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_sends_everything_once_to_who_takes_it() -> None:
    """Every body comes once, byte for byte, with its label in the path; connections are kept."""
    sent, books = campaign(labels=True), Books()
    with serving(lambda _: OK) as server:
        figures = send(server.server_port, sent, books=books)
        came = Counter((path, body) for _, path, body in server.came)
    assert came == Counter(
        (f"/hooks/t/{line.label}", content) for line, content in zip(sent.bodies, sent.contents, strict=True)
    )
    assert figures == Figures(sendings=len(came), acknowledged=len(came), posts=len(came))
    assert books.posts == books.acknowledgements == Counter(range(len(sent.bodies)))


@pytest.mark.parametrize("code", [201, 204, 400, 404, 500, 503])
def test_sends_again_what_is_answered_with_anything_but_200(code: int) -> None:
    """Two refusals and then 200: three POSTs of each body, one acknowledgement."""
    sent, books = campaign(3), Books()
    with serving(lambda number: OK if number > 2 else (code, {})) as server:
        figures = send(server.server_port, sent, books=books)
    total = len(sent.bodies)
    assert set(books.posts.values()) == {3}
    assert set(books.acknowledgements.values()) == {1}
    assert (figures.acknowledged, figures.retried, figures.refused) == (total, 2 * total, 2 * total)
    assert figures.last_trouble == f"the answer was {code}"


def test_waits_as_long_as_the_answer_asks() -> None:
    """After `Retry-After: 1` the body does not come within a second; without it, it may."""
    with serving(lambda number: OK if number > 1 else (503, {"Retry-After": "1"})) as server:
        send(server.server_port, campaign(1))
        [(first, _, _), (second, _, _)] = server.came[:2] if len(server.times) == 1 else _of_one(server)
    assert second - first >= 1


def _of_one(server: Server) -> list[tuple[float, str, bytes]]:
    body = server.came[0][2]
    return [one for one in server.came if one[2] == body]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("5", 5),
        (" 7 ", 7),
        ("-3", 0),
        ("soon", 0),
        ("", 0),
        ("9" * 30, 3600),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 99 Nov 1994 08:49:37 GMT", 0),
    ],
)
def test_reads_retry_after(value: str | None, seconds: float) -> None:
    """Seconds, or a date; nonsense and the past ask for nothing, and nobody is heeded for more than an hour."""
    assert module._retry_after(value) == seconds
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    assert 50 < module._retry_after(in_a_minute) <= 60


def test_gives_a_body_up_after_so_many_tries() -> None:
    """A body that is never taken comes as often as wished and no more; the others are acknowledged."""
    sent = campaign(3)
    with serving(lambda _: OK) as server:
        bad = sent.contents[0]
        server.answer = lambda _: (413, {}) if server.came[-1][2] == bad else OK
        figures = send(server.server_port, sent, replace(QUICK, tries=4))
        assert server.times[bad] == 4
    assert (figures.given_up, figures.acknowledged) == (1, figures.sendings - 1)
    assert figures.last_trouble == "the answer was 413"


def test_a_connection_that_breaks_was_a_post_without_an_answer() -> None:
    """The server takes the body and closes: POSTs count it, acknowledgements do not, and it comes again."""
    sent, books = campaign(3), Books()
    with serving(lambda number: OK if number > 1 else None) as server:
        figures = send(server.server_port, sent, books=books)
    total = len(sent.bodies)
    assert (set(books.posts.values()), set(books.acknowledgements.values())) == ({2}, {1})
    assert (figures.unanswered, figures.acknowledged, figures.refused) == (total, total, 0)


def test_waits_no_longer_than_a_provider_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers the first POST gets a second one when the time is over."""
    assert module.ANSWER_SECONDS == 10
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    silent = threading.Event()
    calls: list[int] = []

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            first, _ = listener.accept()
            calls.append(1)
            second, _ = listener.accept()
            calls.append(2)
            second.recv(1 << 16)
            second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            silent.wait(10)
            first.close()
            second.close()

        thread = threading.Thread(target=serve)
        thread.start()
        one = campaign(1, batch=1000)
        figures = send(listener.getsockname()[1], one, replace(QUICK, connections=1))
        silent.set()
        thread.join()
    assert calls == [1, 2]
    assert (figures.sendings, figures.acknowledged, figures.unanswered) == (1, 1, 1)
    assert figures.last_trouble == "there was no answer: nothing within 0.2 s"


def test_an_answer_that_is_lost_counts_as_posted_and_comes_again() -> None:
    """The body arrives whole, nobody hears the answer; it is posted again and acknowledged once."""
    sent, books = campaign(20, chances=Chances(lost=0.5)), Books()
    with serving(lambda _: OK) as server:
        figures = send(server.server_port, sent, books=books)
        lost = sum(sending.lost for sending in sent.sendings)
        assert lost > 5
        assert set(server.times) == set(sent.contents)
        for number, content in enumerate(sent.contents):
            # Whether a server still reads what came before the cut is its own affair.
            assert books.acknowledgements[number] == 1 <= server.times[content] <= books.posts[number]
    assert (figures.lost, figures.retried, figures.acknowledged) == (lost, lost, len(sent.sendings))
    assert figures.posts == books.posts.total() == len(sent.sendings) + lost


def test_sends_again_what_was_answered() -> None:
    """With the chance at 1 every body is acknowledged twice, the second time after the first answer."""
    sent, books = campaign(5, chances=Chances(again=1)), Books()
    with serving(lambda _: OK) as server:
        figures = send(server.server_port, sent, books=books)
        assert set(server.times.values()) == {2}
    assert set(books.acknowledgements.values()) == {2}
    assert (figures.sendings, figures.retried) == (2 * len(sent.bodies), 0)


def test_waits_for_a_server_that_comes_back() -> None:
    """A refused connection is no POST and costs no try: the campaign begins before its server, and ends well."""
    port, books, sent = closed_port(), Books(), campaign()
    figures: list[Figures] = []
    thread = threading.Thread(
        target=lambda: figures.append(send(port, sent, replace(QUICK, tries=1, connections=1), books))
    )
    thread.start()
    time.sleep(0.3)  # what comes before the server does
    assert not books.posts
    with serving(lambda _: OK, port):
        thread.join(20)
    assert not thread.is_alive()
    assert figures[0].acknowledged == figures[0].sendings == books.posts.total()
    assert figures[0].unreachable >= 1


def test_ends_by_itself_where_nobody_listens() -> None:
    """After so long without a 200 it gives up, having made no POST."""
    figures = send(closed_port(), campaign(), replace(QUICK, give_up=0.3))
    assert (figures.acknowledged, figures.posts) == (0, 0)
    assert figures.last_trouble == "there was no connection: Connection refused"


@pytest.mark.parametrize("pace", [replace(QUICK, rate=40), replace(QUICK, time_scale=40)], ids=["rate", "time scale"])
def test_goes_no_faster_than_it_is_asked_to(pace: Pace) -> None:
    """At a rate no POST comes before its turn; with a time scale none before it is due."""
    sent = campaign(5, batch=1)
    with serving(lambda _: OK) as server:
        began = time.monotonic()
        send(server.server_port, sent, pace)
        came = [(at - began, body) for at, _, body in server.came]
    if pace.rate is not None:
        for number, (at, _) in enumerate(came):
            assert at >= number / pace.rate - 0.001
        return
    due = {sent.contents[one.body]: one.at / 40 for one in sent.sendings}
    assert max(due.values()) > 0.2
    assert all(at >= due[body] for at, body in came)


def test_a_recorder_that_fails_ends_it() -> None:
    """Without books no POST is made: the error comes out, and no thread is left."""

    class Full(Books):
        def posted(self, body: int, *, lost: bool) -> None:
            raise OSError(28, "No space left on device")

    before = threading.active_count()
    with serving(lambda _: OK) as server:
        with pytest.raises(OSError, match="No space left"):
            send(server.server_port, campaign(), books=Full())
        assert not server.came
    until(lambda: threading.active_count() <= before, "a thread is left")


def test_bodies_do_not_depend_on_the_answers() -> None:
    """Through trouble and without it the same bodies come."""
    sent = campaign(10, chances=Chances(lost=0.3, regroup=0.3))
    with serving(lambda _: OK) as good:
        send(good.server_port, sent)
    with serving(lambda number: OK if number > 2 else ((503, {}) if number == 1 else None)) as bad:
        send(bad.server_port, sent)
    assert set(good.times) == set(bad.times) == set(sent.contents)
    assert all(isinstance(json.loads(body), list) for body in good.times)
