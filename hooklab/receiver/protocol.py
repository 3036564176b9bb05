"""Deadlines and caps on the way in, which uvicorn does not have: a subclass of its httptools protocol.

Reaches into uvicorn's attributes, hence the narrow version range in `pyproject.toml` and the tests over a real
socket.
"""

import asyncio
import contextlib
import math
import socket
import urllib.parse
from collections.abc import Callable
from typing import Any, Final

import httptools
from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from hooklab.receiver.connections import Connections
from hooklab.receiver.cycle import Cycle, Flow, Heads

LINGER_BYTES: Final = 16 * 1024 * 1024
LINGER_SECONDS: Final = 2.0
RETRY_AFTER: Final = 5
"""Seconds; a provider that honours it comes back soon after a short trouble."""
REFUSED: Final = "hooklab.refused"
"""In a request's `state`: it has been refused here, and whatever the app says reaches nobody."""

TURNED_AWAY: Final = "hooklab.turned_away"
"""In a request's `state`: it came without a right token, and its answer waits."""
_NO_HTTP: Final = "this is not an HTTP request"
_OF_A_CHUNK: Final = 16
"""Bytes that may come for one of a body: the smallest chunk has six."""
_SLOW_SECONDS: Final = 5.0
"""A body that has been coming for longer gives way where all connections are taken."""


class WireLimits(Struct, frozen=True):
    """Seconds and bytes that bound a request on its way in."""

    head_timeout: float
    body_timeout: float
    max_head: int
    max_fields: int


class GuardedProtocol(HttpToolsProtocol):
    """Answers 408 to what comes too slowly, 431 to a head that is too large, 400 to what is not HTTP."""

    limits: WireLimits
    count_refusal: Callable[[int], None]
    heads: Heads
    counted: Connections

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Is made by uvicorn for each connection."""
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: float | None = None
        self._in_head = False
        self._in_fields = False  # in the head, or where a trailer may be
        self._fields_began = False  # they did so in the data that is being parsed
        self._field_bytes = 0
        self._raw = 0  # bytes since the head, as far as they came in other parts than it
        self._raw_most = math.inf  # while no body is due
        self._fields = 0
        self._head_bytes = 0
        self._idle_until: float | None = None
        self._upgrading = False
        self._owed: tuple[int, str] | None = None  # a refusal that waits for the answers before it
        self._lingering = False
        self._lingered = 0
        self._stalled_since: float | None = None
        self._check: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        self.hang_up: Callable[[], object] = lambda: None
        """Ends it while there is no transport: before the end of a TLS handshake."""
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]  # uvicorn's type leaves out None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing has the time of a head."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self.flow = Flow(transport, self.pipeline)
        self._expect_within(self.limits.head_timeout)
        self._check = self.loop.call_later(min(self.limits.head_timeout, self.timeout_keep_alive), self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self.counted.leave(self)
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)

    def turn_away(self, taken: socket.socket, *, in_words: bool) -> None:
        """Ends one that may not stay: at once, so that it holds no descriptor."""
        self.count_refusal(503)
        if in_words:
            with contextlib.suppress(OSError):
                retry = b"retry-after: %d\r\n" % RETRY_AFTER
                taken.send(self._saying(503, "there are too many connections", retry))
                taken.shutdown(socket.SHUT_WR)
                taken.recv(65536)  # what lies unread when it is closed would take the answer away with it
        taken.close()

    def waits_since(self) -> float | None:
        """Since when there is nothing for which it would be missed.

        That is where it has said nothing that wants an answer, where it is turned away, and where a body has been
        coming for a while. None where an answer is due.
        """
        cycle = self.cycle
        if self._owed is not None or self.pipeline:
            return None
        if cycle is None or cycle.response_complete or self._lingering:
            return self._since
        if cycle.response_started:
            gives_way = cycle.more_body  # which is only drained
        elif TURNED_AWAY in cycle.scope["state"]:
            gives_way = True
        else:
            gives_way = cycle.more_body and self.loop.time() - self._since > _SLOW_SECONDS
        return self._since if gives_way else None

    def give_way(self) -> None:
        """Ends it, for another."""
        if self.transport is None:
            self.hang_up()
        else:
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that ends its side may still wait for the answer to what it sent."""
        cycle = self.cycle
        waits = cycle is not None and not cycle.more_body and not cycle.response_complete
        if cycle is not None and waits:
            cycle.keep_alive = False
        return waits

    def data_received(self, data: bytes) -> None:
        """Parses on, unless the connection is only being drained."""
        if self._lingering:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.transport.close()
            return
        self._fields_began = False
        self._raw += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            # uvicorn would close at once, which may take the answer away with it.
            self._refuse(400, _NO_HTTP)
            return
        if self._in_fields and not self._fields_began:
            self._field_bytes += len(data)
            if self._field_bytes > self.limits.max_head:
                self._refuse(431, "the header block is too large")
        elif self._raw > self._raw_most:
            self._refuse(400, "the chunks are nearly empty")  # their extensions are bytes that nothing else counts

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self._upgrading:  # CONNECT: what follows is for nobody
                    return
                # The parser leaves the body to the other protocol. There is none here, so that the request is one
                # like any other: once more, without the field.
                self._upgrading = False
                head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self._version())]
                head += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
                data = b"".join(head) + b"\r\n" + data[stop.args[0] :]
            else:
                return

    def _version(self) -> bytes:
        return str(self.parser.get_http_version()).encode()

    # Callbacks of the parser. One request after another on a connection calls them in this order.

    def on_message_begin(self) -> None:
        """The head has begun; its deadline runs from its first byte."""
        if self._lingering:
            return
        self._idle_until = None
        super().on_message_begin()
        self._in_head = True
        self._begin_fields()
        self._fields = self._head_bytes = 0
        self._expect_within(self.limits.head_timeout)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts the field; those of a trailer are for nobody, and must not pass for the head's."""
        self._fields += 1
        self._head_bytes += len(name) + len(value) + 4
        if self._in_head and not self._lingering:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is judged by what it really holds."""
        if self._lingering:
            return
        if len(self.url) + self._head_bytes > self.limits.max_head or self._fields > self.limits.max_fields:
            self._refuse(431, "the header block is too large")
            return
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            self._refuse(400, _NO_HTTP)
            return
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrading = True
            return
        self._in_head = self._in_fields = False
        self._since = self.loop.time()
        self._raw, self._raw_most = 0, self.limits.max_head
        self._expect_within(self.limits.body_timeout)
        self._begin_cycle()

    def _begin_cycle(self) -> None:
        """What uvicorn does once a head is here, with a cycle of ours."""
        version, scope = self.parser.get_http_version(), self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        url = httptools.parse_url(self.url)
        scope["raw_path"] = raw_path = url.path
        path = raw_path.decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = cycle = Cycle(self, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_chunk_header(self) -> None:
        """The last chunk has no body, but may have a trailer."""
        self._begin_fields()

    def on_body(self, body: bytes) -> None:
        """Hands on a part of the body."""
        self._in_fields = False
        self._raw_most += _OF_A_CHUNK * len(body)
        if not self._lingering:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here; answering has limits of its own."""
        if self._lingering or self._upgrading:
            return
        self._in_fields = False
        self._raw_most = math.inf
        self._deadline = None
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._await_next()  # it was answered before its end

    def on_response_complete(self) -> None:
        """The next answer's turn; a refusal is the last."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._owed is not None:
            self._answer(*self._owed)
        elif self._deadline is None and not self._lingering:  # else the next request has begun
            self._await_next()

    def _await_next(self) -> None:
        self._since = self.loop.time()
        self._idle_until = self.loop.time() + self.timeout_keep_alive

    def _begin_fields(self) -> None:
        self._in_fields = self._fields_began = True
        self._field_bytes = 0

    def _expect_within(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _look(self) -> None:
        """One timer a connection, which sets itself anew: a timer a request would cost more than the rest."""
        now = self.loop.time()
        after = min(self.limits.head_timeout, self.limits.body_timeout)
        if not self.flow.write_paused:
            self._stalled_since = None
        elif self._stalled_since is None:
            self._stalled_since = now
        elif now - self._stalled_since >= after:
            self.transport.abort()  # it sends and sends, and takes no answer
            return
        if self._deadline is not None and not self._lingering:
            if self._deadline > now:
                after = min(after, self._deadline - now)
            elif self._is_answering():  # a pipelined request waits behind one that is being answered: not its fault
                self._expect_within(after)
            else:
                self._too_slow()
        elif self._idle_until is not None and not self._lingering:
            if self._idle_until <= now:
                self.transport.close()
                return
            after = min(after, self._idle_until - now)
        # Soon enough for a connection that becomes idle in between.
        self._check = self.loop.call_later(min(after, self.timeout_keep_alive), self._look)

    def _is_answering(self) -> bool:
        """Whether an answer is under way: to an earlier request, or a refusal that drains the body."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return bool(self.pipeline) or cycle.response_started or not cycle.more_body

    def _too_slow(self) -> None:
        if not self._in_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()  # nothing came, or nothing that wants an answer
        else:
            self._refuse(408, "the request took too long to arrive")

    def _refuse(self, status: int, why: str) -> None:
        """Answers by itself, once all that came before is answered."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = True
        self._idle_until = None
        answering = self._is_answering()
        cycle = self.cycle
        if cycle is not None and cycle.more_body:
            if cycle.response_complete:
                self.transport.close()
            if cycle.response_started:
                return  # it has its answer, and who gave it drains
            # This is the request that is refused.
            cycle.scope["state"][REFUSED] = True
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
        if answering:
            self._owed = status, why
        else:
            self._answer(status, why)

    def _answer(self, status: int, why: str) -> None:
        """Says it, then drains for a while so that the answer reaches a client that still sends."""
        self._owed = None
        self._say(status, why)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _say(self, status: int, why: str) -> None:
        self.count_refusal(status)
        self.transport.write(self._saying(status, why))

    def _saying(self, status: int, why: str, fields: bytes = b"") -> bytes:
        body = why.encode() + b"\n"
        return (
            STATUS_LINE[status]
            + b"".join(name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers)
            + fields
            + b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            % len(body)
            + body
        )


def guarded(limits: WireLimits, counted: Connections, count_refusal: Callable[[int], None]) -> type[GuardedProtocol]:
    """The protocol class for uvicorn's ``http=``, with its limits; `count_refusal` gets the answer's code."""
    return type(
        "GuardedProtocol",
        (GuardedProtocol,),
        {"limits": limits, "counted": counted, "count_refusal": staticmethod(count_refusal), "heads": Heads()},
    )
