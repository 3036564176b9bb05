"""Reports as a provider sends them: made-up lives of messages, each in its time.

`stream` is pure: one seed and one beginning give the same posts for ever. `play` sends them when they are due.
"""

import heapq
import itertools
import json
import math
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from support import body_of, report

from hooklab.simulator.lives import ACCEPTED, FAILURES, HANDED_OVER, WAITING

SAMPLES: Final = Path(__file__).parent.parent / "sample_payloads"

_FATES: Final = {"usual": 930, "together": 30, "never final": 15, "late": 18, "conflict": 7}
_REPORTS_A_LIFE: Final = 2.2
_TOGETHER: Final = 0.3
"""Seconds within which reports travel in one batch."""


class Post(NamedTuple):
    """One request.

    Attributes:
        at: when it is due, seconds after the stream's beginning.
        body: what is sent.
        label: what follows the token in the URL, if anything.
    """

    at: float
    body: bytes
    label: str | None


class _Due(NamedTuple):
    """A report, or a whole body that is sent again, and when."""

    at: float
    number: int  # decides between two of one time, so that what is sent is never compared
    label: str | None
    what: dict[str, Any] | bytes


def samples() -> list[bytes]:
    """The sample files, in the order in which they are to be sent."""
    return [path.read_bytes() for path in sorted(SAMPLES.glob("*.json"))]


def stream(seed: random.Random, began: float, busy: float = 1.0) -> Iterator[Post]:
    """Endless posts, none before the one ahead of it.

    Args:
        seed: all that is left to chance.
        began: the beginning, seconds since 1970; reports bear times after it.
        busy: how many times the usual 2 to 12 reports a second.
    """
    return _Provider(seed, began, busy).posts()


def play(
    posts: Iterator[Post], send: Callable[[bytes, str | None], Any], over: threading.Event, since: float = 0
) -> None:
    """Sends each post when it is due, until they or the time are `over`. What was held up is not made up for.

    Args:
        posts: what is sent.
        send: takes body and label.
        over: ends it, between two posts.
        since: what of the stream has passed already, in seconds.
    """
    began = time.monotonic() - since
    for post in posts:
        wait = began + post.at - time.monotonic()
        began += max(-wait - 1, 0)
        if over.wait(max(wait, 0)):
            return
        send(post.body, post.label)


def pace(at: float) -> float:
    """Reports a second, between 2 and 12, at a time in seconds."""
    return 7 + 3.5 * math.sin(at / 7) + 1.5 * math.sin(at / 1.7)


class _Provider:
    """Who sends, and what he has yet to send."""

    def __init__(self, seed: random.Random, began: float, busy: float) -> None:
        self._seed = seed
        self._began = began
        self._busy = busy
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._orders = itertools.count(4711)
        self._recent: deque[dict[str, Any]] = deque(maxlen=60)

    def posts(self) -> Iterator[Post]:
        born = 0.0
        while True:
            while not self._due or born <= self._due[0].at:
                self._live(born)
                born += self._seed.expovariate(self._busy * pace(born) / _REPORTS_A_LIFE)
            yield from self._send(heapq.heappop(self._due))

    def _chance(self, per_mille: float) -> bool:
        return self._seed.random() * 1000 < per_mille

    def _choice(self, weights: dict[str, int]) -> str:
        return self._seed.choices(list(weights), list(weights.values()))[0]

    # a message's life

    def _live(self, at: float) -> None:
        seed, fate = self._seed, self._choice(_FATES)
        segments = seed.choice((1, 1, 1, 1, 2, 3))
        constant = {
            "Msisdn": f"3519000{seed.randrange(10**5):05}",  # a range that nobody has
            "TotalSegments": segments,
            "CustomPayload": self._custom(next(self._orders)),
        }
        message_id = str(uuid.UUID(int=seed.getrandbits(128), version=4))
        labelled = self._chance(250)

        def say(status: str, why: str, when: float, sent: float | None = None) -> None:
            fields = {**constant, "ReportDescription": why, "ReportDateTime": self._time(when)}
            self._later(
                when if sent is None else sent,
                self._label(status) if labelled else None,
                report(message_id, status, **fields),
            )

        ends = at + seed.lognormvariate(math.log(5), 0.9)
        finals = [("DELIVERED", HANDED_OVER), ("NOT_DELIVERED", self._choice(FAILURES))]
        if self._chance(80):
            finals.reverse()
        late = ends + seed.uniform(1, 8)
        say("PENDING", ACCEPTED, at, {"together": ends, "late": late}.get(fate))
        if fate == "never final":
            return
        if fate == "usual" and ends - at > 4 and self._chance(300):
            say("PENDING", seed.choice(WAITING), (at + ends) / 2)
        say(*finals[0], ends)
        if segments > 1 and self._chance(300):
            say(*finals[0], ends + seed.uniform(1.2, 4))
        if fate == "conflict":
            say(*finals[1], ends + seed.uniform(2, 12))

    def _time(self, at: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began + at))

    def _label(self, status: str) -> str:
        """The URL of the report's state; now and then a customer has set another's."""
        shown = self._seed.choice(("DELIVERED", "NOT_DELIVERED", "PENDING")) if self._chance(20) else status
        return shown.lower().replace("_", "-")

    def _custom(self, order: int) -> str:
        """JSON, plain words, what was meant to be JSON, or nothing."""
        kind = self._seed.random()
        if kind < 0.5:
            what = self._seed.choice(("confirmation", "reminder", "shipped", "code"))
            return json.dumps({"order": f"A-{order}", "kind": what})
        if kind < 0.8:
            return f"order {order}"
        if kind < 0.92:
            customer = {"id": self._seed.randrange(10_000), "language": self._seed.choice(("pt", "en", "es"))}
            return json.dumps({"campaign": "autumn sale", "customer": customer, "tags": ["sms", "v2"]})
        return f"{{order: A-{order}, campaign: 'autumn sale',}}" if kind < 0.97 else ""

    # what travels together, and what goes wrong on the way

    def _later(self, at: float, label: str | None, what: dict[str, Any] | bytes) -> None:
        heapq.heappush(self._due, _Due(at, next(self._numbers), label, what))

    def _send(self, first: _Due) -> Iterator[Post]:
        if isinstance(first.what, bytes):
            body = first.what
        else:
            elements = [first.what, *self._companions(first)]
            if first.label is None and self._chance(15) and len(self._recent) > 3:
                elements += self._seed.sample(self._recent, 3)
            self._recent.extend(elements)
            if self._chance(4):
                elements.insert(self._seed.randrange(len(elements) + 1), self._odd(first.what))
            body = body_of(elements)
        if self._chance(20 if isinstance(first.what, dict) else 200):
            self._later(first.at + self._seed.uniform(2, 20), first.label, body)
        yield Post(first.at, body, first.label)
        if self._chance(1):
            yield Post(first.at, self._malformed(), None)

    def _companions(self, first: _Due) -> list[dict[str, Any]]:
        """What is due at about the same time at the same URL."""
        until = first.at + (_TOGETHER if self._chance(600) else 0)
        found: list[_Due] = []
        passed: list[_Due] = []
        while self._due and self._due[0].at <= until:
            due = heapq.heappop(self._due)
            (found if due.label == first.label and isinstance(due.what, dict) else passed).append(due)
        for due in passed:
            heapq.heappush(self._due, due)
        return [due.what for due in found if isinstance(due.what, dict)]

    def _odd(self, usual: dict[str, Any]) -> Any:
        """An element that cannot be understood."""
        order = next(self._orders)
        return self._seed.choice(
            (
                {**usual, "MessageId": f"A-{order}"},
                {**usual, "Status": "BUFFERED"},
                {key: value for key, value in usual.items() if key != "MessageId"},
                f"report {order}",
            )
        )

    def _malformed(self) -> bytes:
        """A body that is no array."""
        order = next(self._orders)
        if self._chance(500):
            return f"MessageId=A-{order}&Status=DELIVERED".encode()
        return json.dumps(report(status="DELIVERED", MessageId=f"A-{order}")).encode()
