"""Deadlines and caps on the way in, which uvicorn does not have: a subclass of its httptools protocol.

Reaches into uvicorn's attributes, hence the narrow version range in `pyproject.toml` and the tests over a real
socket.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

LINGER_BYTES: Final = 16 * 1024 * 1024
LINGER_SECONDS: Final = 2.0


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
        self._head_bytes = 0
        self._fields = 0
        self._lingering = False
        self._lingered = 0
        self._check: asyncio.TimerHandle | None = None
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]  # uvicorn's type leaves out None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing has the time of a head."""
        super().connection_made(transport)
        self._expect_within(self.limits.head_timeout)
        self._check = self.loop.call_later(self.limits.head_timeout, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses on, unless the connection is only being drained."""
        if self._lingering:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.transport.close()
            return
        head_went_on = self._in_head
        super().data_received(data)
        if self._in_head and head_went_on:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_head:
                self._refuse(431, "the header block is too large")

    # Callbacks of the parser. One request after another on a connection calls them in this order.

    def on_message_begin(self) -> None:
        """The head has begun; its deadline runs from its first byte."""
        if self._lingering:
            return
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._fields = 0
        self._expect_within(self.limits.head_timeout)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts the field."""
        self._fields += 1
        if not self._lingering:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is judged by what it really holds."""
        if self._lingering:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_head or self._fields > self.limits.max_fields:
            self._refuse(431, "the header block is too large")
            return
        self._in_head = False
        self._expect_within(self.limits.body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hands on a part of the body."""
        if not self._lingering:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here; answering has limits of its own."""
        if self._lingering:
            return
        self._deadline = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's words give way to ours
        """Not HTTP: uvicorn closes at once, which may take the answer away with it."""
        if not self._lingering:
            self._refuse(400, "this is not an HTTP request")

    def _expect_within(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _look(self) -> None:
        """One timer a connection, which sets itself anew: a timer a request would cost more than the rest."""
        now = self.loop.time()
        busy = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        after = min(self.limits.head_timeout, self.limits.body_timeout)
        if self._deadline is not None and not self._lingering:
            if self._deadline > now:
                after = min(after, self._deadline - now)
            elif busy:  # a pipelined request waits behind one that is being answered: not its fault
                self._expect_within(after)
            else:
                self._too_slow()
                return
        self._check = self.loop.call_later(after, self._look)

    def _too_slow(self) -> None:
        started = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        nothing_came = not self._in_head and (self.cycle is None or self.cycle.response_complete)
        if started or nothing_came or self.transport.is_closing():
            self.transport.close()
            return
        self._refuse(408, "the request took too long to arrive")

    def _refuse(self, status: int, why: str) -> None:
        """Answers by itself, then drains for a while so that the answer reaches a client that still sends."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = True
        self._unset_keepalive_if_required()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or not cycle.more_body:
                # An earlier request of this connection is being answered: its answer must not be cut in two.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.count_refusal(status)
        body = why.encode() + b"\n"
        self.transport.write(
            STATUS_LINE[status]
            + b"".join(name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers)
            + b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            % len(body)
            + body
        )
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def guarded(limits: WireLimits, count_refusal: Callable[[int], None]) -> type[GuardedProtocol]:
    """The protocol class for uvicorn's ``http=``, with its limits; `count_refusal` gets the answer's code."""
    return type(
        "GuardedProtocol",
        (GuardedProtocol,),
        {"limits": limits, "count_refusal": staticmethod(count_refusal)},
    )
