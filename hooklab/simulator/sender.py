"""Sends a campaign as a provider does: many connections, and again whatever was not answered 200."""

import email.utils
import heapq
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from hooklab.simulator.campaign import Campaign, Sending

ANSWER_SECONDS: Final = 10.0
"""How long a provider waits for an answer."""
_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "hooklab-simulate"}
_LONGEST_BACKOFF: Final = 10.0
_LONGEST_RETRY_AFTER: Final = 3600.0
_LONGEST_PAUSE: Final = 2.0
_LOOK_SECONDS: Final = 0.1
_READ_BYTES: Final = 65536

Connect = Callable[[], http.client.HTTPConnection]


class Target(Struct, frozen=True):
    """Where a campaign is sent."""

    connect: Connect
    path: str
    """Of the hook URL, to which a label is added."""
    headers: Mapping[str, str] = {}
    """Such as credentials."""


"""Makes a connection to where the bodies go, which opens itself; its time-out is ours to set."""


class Recorder(Protocol):
    """Who keeps the truth. Called by many threads."""

    def posted(self, body: int, *, lost: bool) -> None:
        """A POST of this body is about to be made; `lost`: nobody will wait for its answer."""

    def acknowledged(self, body: int) -> None:
        """A POST of this body was answered 200."""


class Pace(Struct, frozen=True, kw_only=True):
    """How fast to send, and for how long to insist.

    Attributes:
        connections: at the same time.
        rate: POSTs a second at most; None for no bound.
        time_scale: how many times faster than life; None for as fast as possible.
        tries: how often a body may be answered with something but 200, or not at all, before it is given up.
        backoff: seconds until the second try; it doubles from try to try, up to 10.
        give_up: seconds without any 200, trouble given, after which all is given up.
    """

    connections: int = 8
    rate: float | None = None
    time_scale: float | None = None
    tries: int = 12
    backoff: float = 0.25
    give_up: float = 60.0


class Figures(Struct):
    """What became of the sendings so far.

    Attributes:
        sendings: all that is to be acknowledged.
        acknowledged: sendings that were answered 200.
        posts: POSTs made.
        retried: POSTs of a sending that was posted before.
        refused: POSTs that were answered with something but 200.
        unanswered: POSTs without an answer, those whose answer was lost on purpose apart.
        lost: POSTs whose connection was cut once the body was out.
        unreachable: connections that nobody took.
        given_up: sendings that were tried too often.
        last_trouble: the last answer but 200, or why there was none; in words.
    """

    sendings: int = 0
    acknowledged: int = 0
    posts: int = 0
    retried: int = 0
    refused: int = 0
    unanswered: int = 0
    lost: int = 0
    unreachable: int = 0
    given_up: int = 0
    last_trouble: str | None = None


class _Try(Struct):
    """A sending on its way. `tries` counts POSTs, `failed` those that went wrong by nobody's wish."""

    sending: Sending
    tries: int = 0
    failed: int = 0


class Sender:
    """Sends one campaign once. `run` may be ended by `stop` from any thread."""

    def __init__(self, campaign: Campaign, to: Target, recorder: Recorder, pace: Pace) -> None:
        """Puts it together."""
        self._campaign = campaign
        self._connect = to.connect
        self._target = to.path
        self._headers = {**_HEADERS, **to.headers}
        self._recorder = recorder
        self._pace = pace
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._fresh: list[tuple[float, int, _Try]] = []  # by the campaign's time
        self._waiting: list[tuple[float, int, _Try]] = []  # to be tried again, by our time
        self._open = 0
        self._began = 0.0
        self._next_slot = 0.0
        self._closed_until = 0.0
        self._pauses = 0
        self._give_up_at: float | None = None
        self._over = False
        self._failure: BaseException | None = None
        self._figures = Figures()
        for sending in campaign.sendings:
            self._add(sending)

    def run(self, watch: Callable[[Figures], None]) -> Figures:
        """Returns once everything was acknowledged or given up; `watch` is called some ten times a second.

        Raises:
            KeyboardInterrupt: what was under way has been answered or given up by then.
            TruthError: the recorder cannot write.
        """
        self._began = self._next_slot = time.monotonic()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._pace.connections)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                threads[0].join(_LOOK_SECONDS)
                if not threads[0].is_alive():
                    time.sleep(_LOOK_SECONDS)
                self._look_whether_to_give_up()
                watch(self.figures())
        finally:
            self.stop()
            for thread in threads:
                thread.join()
        watch(self.figures())
        if self._failure is not None:
            raise self._failure
        return self.figures()

    def stop(self) -> None:
        """No new POST is made; those under way get their answers."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def figures(self) -> Figures:
        """What became of it so far."""
        with self._changed:
            return replace(self._figures)

    def _add(self, sending: Sending) -> None:
        heapq.heappush(self._fresh, (sending.at, next(self._numbers), _Try(sending)))
        self._open += 1
        self._figures.sendings += 1

    def _look_whether_to_give_up(self) -> None:
        with self._changed:
            if self._give_up_at is not None and time.monotonic() > self._give_up_at:
                self._over = True
                self._changed.notify_all()

    # the threads

    def _work(self) -> None:
        connection = self._connect()
        connection.timeout = ANSWER_SECONDS
        try:
            while (one := self._take()) is not None:
                self._attempt(connection, one)
        except BaseException as error:  # such as a full disk under the truth: it ends all of them
            self._failure = error
            self.stop()
        finally:
            connection.close()

    def _take(self) -> _Try | None:
        """What is to be tried now, once it is time; None when all is done."""
        with self._changed:
            while self._open and not self._over:
                now = time.monotonic()
                heap, ready = self._first(now)
                if heap is not None and ready <= now:
                    if self._pace.rate is not None:
                        self._next_slot = max(self._next_slot, now) + 1 / self._pace.rate
                    return heapq.heappop(heap)[-1]
                self._changed.wait(None if heap is None else ready - now)
        return None

    def _first(self, now: float) -> tuple[list[tuple[float, int, _Try]] | None, float]:
        """The heap whose first is next, and when that may go."""
        earliest = max(self._closed_until, self._next_slot)
        options: list[tuple[float, list[tuple[float, int, _Try]]]] = []
        if self._waiting:
            options.append((max(self._waiting[0][0], earliest), self._waiting))
        if self._fresh:
            scale = self._pace.time_scale
            due = now if scale is None else self._began + self._fresh[0][0] / scale
            options.append((max(due, earliest), self._fresh))
        if not options:
            return None, 0.0
        ready, heap = min(options, key=lambda option: option[0])
        return heap, ready

    def _attempt(self, connection: http.client.HTTPConnection, one: _Try) -> None:
        if connection.sock is None:
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                self._nobody_there(one, error)
                return
        body = one.sending.body
        one.tries += 1
        lost = one.tries <= one.sending.lost
        self._recorder.posted(body, lost=lost)  # before the first byte: a POST that breaks off was made
        self._count_post(one, lost=lost)
        label = self._campaign.bodies[body].label
        target = f"{self._target}/{label}" if label else self._target
        try:
            connection.request("POST", target, self._campaign.contents[body], self._headers)
            if lost:
                connection.close()
                self._again(one, self._pace.backoff, None)
                return
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._unanswered(one, error)
            return
        if answer.status == 200:
            self._recorder.acknowledged(body)
            self._acknowledge(one)
        else:
            self._refuse(one, answer)
        with suppress(OSError, http.client.HTTPException):  # whatever follows the head changes nothing
            answer.read(_READ_BYTES)
        if not answer.isclosed():
            connection.close()

    # what became of a try

    def _count_post(self, one: _Try, *, lost: bool) -> None:
        with self._changed:
            self._pauses = 0
            self._figures.posts += 1
            self._figures.retried += one.tries > 1
            self._figures.lost += lost

    def _acknowledge(self, one: _Try) -> None:
        with self._changed:
            self._figures.acknowledged += 1
            self._open -= 1
            self._give_up_at = None
            if one.sending.again is not None:
                self._add(one.sending.again)
            self._changed.notify_all()

    def _refuse(self, one: _Try, answer: http.client.HTTPResponse) -> None:
        with self._changed:
            self._figures.refused += 1
        asked = _retry_after(answer.getheader("Retry-After"))
        self._fail(one, f"the answer was {answer.status}", asked)

    def _unanswered(self, one: _Try, error: Exception) -> None:
        with self._changed:
            self._figures.unanswered += 1
        self._fail(one, f"there was no answer: {_why(error)}")

    def _fail(self, one: _Try, why: str, at_least: float = 0.0) -> None:
        one.failed += 1
        if one.failed < self._pace.tries:
            backoff = min(self._pace.backoff * 2.0 ** (one.failed - 1), _LONGEST_BACKOFF)
            self._again(one, max(backoff, at_least), why)
            return
        with self._changed:
            self._figures.given_up += 1
            self._figures.last_trouble = why
            self._open -= 1
            self._changed.notify_all()

    def _nobody_there(self, one: _Try, error: OSError) -> None:
        """No POST was made, and no other would come through: all wait a while, in steps that grow."""
        with self._changed:
            now = time.monotonic()
            if now >= self._closed_until:
                self._closed_until = now + min(0.1 * 2.0**self._pauses, _LONGEST_PAUSE)
                self._pauses = min(self._pauses + 1, 10)
            self._figures.unreachable += 1
        self._again(one, 0.0, f"there was no connection: {_why(error)}")

    def _again(self, one: _Try, after: float, why: str | None) -> None:
        with self._changed:
            now = time.monotonic()
            if why is not None:
                self._figures.last_trouble = why
                self._give_up_at = max(self._give_up_at or now + self._pace.give_up, now + after + _LOOK_SECONDS)
            heapq.heappush(self._waiting, (now + after, next(self._numbers), one))
            self._changed.notify_all()


def _retry_after(value: str | None) -> float:
    """Seconds that an answer asks to wait, as a number or until a date; 0 where it does not, or says nonsense."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return min(float(value), _LONGEST_RETRY_AFTER)
    with suppress(ValueError):
        until = email.utils.parsedate_to_datetime(value)
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)
    return 0.0


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {ANSWER_SECONDS:g} s"
    text = error.strerror if isinstance(error, OSError) else None
    return text or type(error).__name__
