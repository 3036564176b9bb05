"""The public door: one Litestar `@asgi` handler that answers by the design's table.

It knows nothing about SMS: it checks access, size, and that the body is a JSON array, hands the batch to the
journal, and answers 200 when that is on disk. Deadlines and header caps are in `protocol.py`.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from litestar import Litestar, Request, Response, asgi
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from hooklab.journal.base import Journal, JournalFull, JournalUnavailable, NewBatch
from hooklab.metrics import LatencyHistogram
from hooklab.receiver.access import Door, Entry
from hooklab.receiver.cycle import END, OK
from hooklab.receiver.failures import Failures
from hooklab.receiver.protocol import LINGER_BYTES, LINGER_SECONDS, REFUSED, RETRY_AFTER, TURNED_AWAY
from hooklab.times import Clock
from hooklab.wire import NotAnArray, check_array

log = logging.getLogger("hooklab.receiver")

_KEPT_HEADERS: Final = frozenset(
    {
        b"host",
        b"user-agent",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"accept",
        b"date",
        b"via",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
        b"traceparent",
    }
)
_KEPT_BYTES: Final = 4096
_KNOWN_HEADS: Final = 256
"""Each at most as large as a head may be."""
_LARGE_BODY: Final = 1024 * 1024
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Final = (b"connection", b"close")


class ReceiverLimits(Struct, frozen=True):
    """Bytes that bound the receiver; the fields of `Settings` say more."""

    max_body: int
    max_receiving: int


class Tally:
    """What the receiver counts for itself: refusals by answer code, who was turned away, how long its 200s took."""

    def __init__(self, clock: Clock) -> None:
        """Starts at nothing."""
        self.refused: Counter[int] = Counter()
        self.latency = LatencyHistogram(clock)
        self.failures = Failures(clock)

    def count_refusal(self, status: int) -> None:
        """Counts one answer that was not 200."""
        self.refused[status] += 1


class _Answer(Exception):  # noqa: N818  an answer of the table, not a fault
    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


class _Gone(Exception):  # noqa: N818  the client went away: nobody to answer
    pass


def _unavailable(why: str) -> _Answer:
    return _Answer(503, f"{why}; send it again", (b"retry-after", b"%d" % RETRY_AFTER))


class Receiver:
    """Takes one POST after another from the door to the journal."""

    def __init__(self, door: Door, journal: Journal, limits: ReceiverLimits, tally: Tally, clock: Clock) -> None:
        """Puts it together."""
        self._door = door
        self._journal = journal
        self._limits = limits
        self._tally = tally
        self._clock = clock
        self._heads = _Heads(limits.max_body)
        self._receiving = 0
        self.closing = False

    def limit(self, limits: ReceiverLimits) -> None:
        """From now on these; a body that is on its way keeps its own."""
        self._limits = limits
        self._heads = _Heads(limits.max_body)

    async def handle(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers one request; whatever happens, it is an answer of the design's table."""
        began = time.perf_counter()
        body_read = _BodyReader(self, receive)
        try:
            await self._accept(scope, body_read, began)
        except _Answer as answer:
            if REFUSED not in scope.get("state", ()):
                await self._refuse(answer, body_read, send)
        except _Gone:
            pass
        except asyncio.CancelledError:
            # The end of the drain at shutdown. uvicorn would make a 500 of it.
            await self._refuse(_unavailable("hooklab is shutting down"), body_read, send)
        except Exception:
            log.exception("a request could not be handled")
            await self._refuse(_unavailable("hooklab could not handle this"), body_read, send)
        else:
            await send(OK)
            await send(END)
            self._tally.latency.record(time.perf_counter() - began)
        finally:
            self._receiving -= body_read.counted

    async def _accept(self, scope: Any, body_read: "_BodyReader", began: float) -> None:
        """Returns when the batch is on disk and is an array; raises the answer otherwise."""
        client = scope["client"]
        entry = self._door.judge(scope["raw_path"], client[0] if client else "", scope["headers"])
        key = entry.key
        if key is None:
            scope["state"][TURNED_AWAY] = True
            await self._turn_away(entry)
            raise _Answer(404, "there is nothing here")
        if scope["method"] != "POST":
            raise _Answer(405, "this URL takes POST: an array of delivery reports, as JSON", (b"allow", b"POST"))
        if self.closing:
            raise _unavailable("hooklab is shutting down")
        headers = self._heads.judged(scope["headers"])
        body = await body_read.whole(self._limits)
        took = time.perf_counter() - began
        large = len(body) >= _LARGE_BODY  # others must not wait while an odd one is looked through
        wrong = await asyncio.to_thread(_what_is_wrong, body) if large else _what_is_wrong(body)
        batch = NewBatch(
            received_at=self._clock(),
            took_ms=int(took * 1000),
            peer=entry.client,
            label=entry.label,
            headers=headers,
            body=body,
            malformed=wrong is not None,
        )
        try:
            await self._journal.append(batch)
        except (JournalFull, JournalUnavailable) as error:
            # The reason is for the operator, who finds it in the log and on the screen.
            raise _unavailable("this cannot be written to disk now") from error
        key.used(batch.received_at)
        if wrong is not None:
            raise _Answer(400, f"expected a JSON array of delivery reports, but {wrong}")

    async def _turn_away(self, entry: Entry) -> None:
        """Who fails again and again waits for the answer, ever longer."""
        seconds = self._tally.failures.count(entry.client, entry.why)
        if seconds and not self.closing:
            await asyncio.sleep(seconds)

    async def _refuse(self, answer: _Answer, body_read: "_BodyReader", send: Send) -> None:
        self._tally.count_refusal(answer.status)
        text = f"{answer.text}\n".encode()
        headers = [_TEXT, (b"content-length", b"%d" % len(text)), *answer.headers]
        unread = not body_read.complete
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*headers, _CLOSE] if unread else headers,
            }
        )
        await send({"type": "http.response.body", "body": text, "more_body": unread})
        if unread:
            await body_read.drain()
            await send(END)

    def reserve(self, size: int) -> None:
        """Counts bytes of a body in flight.

        Raises:
            _Answer: all connections together hold too much.
        """
        if self._receiving + size > self._limits.max_receiving:
            raise _unavailable("too much is being received at once")
        self._receiving += size


class _BodyReader:
    """Reads one body, counts what it holds in memory, and drains what nobody wants."""

    def __init__(self, receiver: Receiver, receive: Receive) -> None:
        self._receiver = receiver
        self._receive = receive
        self.complete = False
        self.counted = 0

    async def whole(self, limits: ReceiverLimits) -> bytes:
        """The body.

        Raises:
            _Answer: it is too large, or too much is being received at once.
            _Gone: the client left before the end.
        """
        parts: list[bytes] = []
        size = 0
        while not self.complete:
            part = await self._next()
            size += len(part)
            if size > limits.max_body:
                raise _Answer(413, f"the body is larger than {limits.max_body} bytes")
            self._receiver.reserve(len(part))
            self.counted += len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def drain(self) -> None:
        """Reads on for a while, so that the answer reaches a client that sends all before it reads."""
        drained = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.complete and drained < LINGER_BYTES:
                    drained += len(await self._next())
        except (TimeoutError, _Gone):
            pass

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self.complete = True
            raise _Gone
        self.complete = not message["more_body"]
        return message["body"]


class _Heads:
    """Looks through the headers of a request; those of the one before are hardly ever others."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._known: dict[tuple[tuple[bytes, bytes], ...], str] = {}

    def judged(self, headers: list[tuple[bytes, bytes]]) -> str:
        """What is kept of them.

        Raises:
            _Answer: a body that comes with them is not taken.
        """
        key = tuple(headers)
        kept = self._known.get(key)
        if kept is None:
            _check_headers(headers, self._max_body)
            kept = _kept(headers)
            if len(self._known) >= _KNOWN_HEADS:
                self._known.clear()
            self._known[key] = kept
        return kept


def _check_headers(headers: list[tuple[bytes, bytes]], max_body: int) -> None:
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise _Answer(415, "a body must come as it is, without Content-Encoding")
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise _Answer(415, "a body must come as it is, with no Transfer-Encoding but chunked")
        if name == b"content-length" and int(value) > max_body:
            raise _Answer(413, f"the body is larger than {max_body} bytes")


def _what_is_wrong(body: bytes) -> str | None:
    try:
        check_array(body)
    except NotAnArray as error:
        return str(error)
    return None


def _kept(headers: list[tuple[bytes, bytes]]) -> str:
    """The headers worth keeping, as JSON: known harmless names only, so never a credential."""
    kept: list[list[str]] = []
    room = _KEPT_BYTES - 2
    for name, value in headers:
        if name in _KEPT_HEADERS:
            pair = [name.decode(), value.decode("utf-8", "replace")]
            size = len(json.dumps(pair)) + 2
            if size <= room:
                room -= size
                kept.append(pair)
    return json.dumps(kept)


def create_app(receiver: Receiver, count_refusal: Callable[[int], None]) -> Litestar:
    """The public app: the hooks and nothing else.

    It is one handler mounted at the root that looks at `raw_path` itself, because Litestar strips and
    normalises the path of a mount.
    """

    @asgi("/", is_mount=True, copy_scope=False)
    async def hooks(scope: Scope, receive: Receive, send: Send) -> None:
        await receiver.handle(scope, receive, send)

    def answer_as_text(_: Request[Any, Any, Any], error: HTTPException) -> Response[str]:
        """Litestar refuses an invalid Host before the handler sees it."""
        count_refusal(error.status_code)
        return Response(f"{error.detail}\n", status_code=error.status_code, media_type="text/plain")

    return Litestar(
        [hooks],
        openapi_config=None,
        logging_config=None,
        debug=False,
        exception_handlers={HTTPException: answer_as_text},
    )
