"""One request and its answer, as uvicorn has them, but with a short way for what nearly every request is.

Reaches into uvicorn's attributes, as protocol.py does.
"""

import asyncio
from collections.abc import Sized
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

OK: Final[Any] = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
END: Final[Any] = {"type": "http.response.body", "body": b"", "more_body": False}
"""An answer without a body. `OK` followed by `END` is written at once, without a look at each header."""


class Cycle(RequestResponseCycle):
    """One request and its answer: uvicorn's, but for what nearly every request of a webhook is."""

    def __init__(self, protocol: Any, *, keep_alive: bool) -> None:
        """Is made by the protocol when a head is here."""
        super().__init__(
            protocol.scope,
            protocol.transport,
            protocol.flow,
            protocol.logger,
            protocol.access_logger,
            protocol.access_log,
            protocol.server_state.default_headers,
            asyncio.Event(),
            protocol.expect_100_continue,
            keep_alive,
            protocol.on_response_complete,
        )
        self._heads = protocol.heads
        self._is_ok = False

    async def receive(self) -> Any:
        """The body: at once, where all of it came with the head."""
        whole = self.message_event.is_set() and not self.more_body  # and it was not given yet
        if not whole or self.disconnected or self.response_complete or self.waiting_for_100_continue:
            return await super().receive()
        self.flow.resume_reading()
        self.message_event.clear()
        message = {"type": "http.request", "body": bytes(self.body), "more_body": False}
        self.body = bytearray()
        return message

    async def send(self, message: Any) -> None:
        """Writes the answer."""
        if message is OK and not self.response_started and not self.flow.write_paused:
            self._is_ok = self.response_started = True
            self.waiting_for_100_continue = False
        elif not self._is_ok:
            await super().send(message)
        elif not self.disconnected:
            self._is_ok = False
            self.transport.write(self._heads.ok(self.default_headers, keep_alive=self.keep_alive))
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


class Heads:
    """The bytes of an empty 200, which are others only once a second: by the date in the default headers."""

    def __init__(self) -> None:
        """Makes them when they are asked for."""
        self._of: list[tuple[bytes, bytes]] | None = None
        self._bytes = b""

    def ok(self, default: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
        """The head, with uvicorn's `default` headers; there is no body."""
        if default is not self._of:
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in default)
            self._of, self._bytes = default, STATUS_LINE[200] + fields + b"content-length: 0\r\n"
        return self._bytes + (b"\r\n" if keep_alive else b"connection: close\r\n\r\n")


class Flow(FlowControl):
    """Reads on only once all that came is being answered: uvicorn would read on with every answer, and queue what
    a client that pipelines sends faster than it is answered without a bound.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        """`pipeline` has the requests that wait."""
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Resumes unless requests wait."""
        if not self._pipeline:
            super().resume_reading()
