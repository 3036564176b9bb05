"""Lives of messages, as they are before a network gets hold of their reports. Pure: a seed decides all."""

import json
import math
import random
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from hooklab.wire import STATUSES

PENDING, DELIVERED, NOT_DELIVERED = STATUSES

FAILURES: Final = {
    "Absent subscriber": 45,
    "Number not in use": 25,
    "Handset memory full": 15,
    "Blocked by operator": 10,
    "Validity period expired": 5,
}
"""Why messages are not delivered, and with which weights."""
ACCEPTED: Final = "Message accepted by operator"
HANDED_OVER: Final = "Message delivered to handset"
WAITING: Final = ("Buffered in network", "Waiting for handset", "Absent subscriber, will be tried again")

MEDIAN_SECONDS: Final = 8.0
SIGMA: Final = 1.1
"""The time from the first PENDING to the final is log-normal, with this median and this sigma of its logarithm."""
BORN_A_SECOND: Final = 10.0
DELIVERED_SHARE: Final = 0.92
NEVER_SHARE: Final = 0.02
"""Messages of which nothing but PENDING is ever heard."""
PENDINGS: Final = {0: 10, 1: 65, 2: 17, 3: 6, 4: 2}
"""How many PENDING a message has, and with which weights; one that never ends has at least one."""
SEGMENTS: Final = {1: 70, 2: 20, 3: 10}
_FINAL_A_SEGMENT: Final = 0.25
"""Of the messages in several segments: a final for each of them."""

Element = dict[str, Any]


class Said(Struct):
    """One report, and when it is due on its way.

    Attributes:
        at: seconds after the campaign's beginning.
        element: the report as it is sent.
    """

    at: float
    element: Element


class Life(Struct):
    """All that is reported of one message, in the order in which it happened."""

    message_id: str
    reports: list[Said]

    def final(self) -> Said | None:
        """The first final report, None where there is none."""
        return next((said for said in self.reports if said.element["Status"] != PENDING), None)


def lives(seed: random.Random, messages: int, organizations: int, begin: datetime) -> Iterator[Life]:
    """The lives of `messages` messages of several organizations, in order of their births, which follow `begin`."""
    ids = [new_uuid(seed) for _ in range(organizations)]
    # The first organizations send more than the last: shares are rarely equal.
    weights = [1 / (rank + 1) for rank in range(organizations)]
    born = 0.0
    for number in range(messages):
        constant = {
            "OrganizationId": seed.choices(ids, weights)[0],
            "Msisdn": f"3519000{seed.randrange(10**5):05}",  # a range that nobody has
            "TotalSegments": choose(seed, SEGMENTS),
            "CustomPayload": _custom(seed, number),
        }
        yield _Living(seed, begin, constant).life(born)
        born += seed.expovariate(BORN_A_SECOND)


class _Living:
    def __init__(self, seed: random.Random, begin: datetime, constant: Element) -> None:
        self._seed = seed
        self._begin = begin
        self._constant = constant
        self._message_id = new_uuid(seed)

    def life(self, born: float) -> Life:
        seed = self._seed
        takes = seed.lognormvariate(math.log(MEDIAN_SECONDS), SIGMA)
        never = seed.random() < NEVER_SHARE
        pendings = max(choose(seed, PENDINGS), int(never))
        says = [self._say(PENDING, ACCEPTED, born)] if pendings else []
        between = sorted(seed.uniform(0.05, 0.95) for _ in range(pendings - 1))
        says += [self._say(PENDING, seed.choice(WAITING), born + share * takes) for share in between]
        if not never:
            says += self._finals(born + takes)
        return Life(self._message_id, says)

    def _finals(self, ends: float) -> list[Said]:
        seed = self._seed
        status, why = DELIVERED, HANDED_OVER
        if seed.random() >= DELIVERED_SHARE:
            status, why = NOT_DELIVERED, choose(seed, FAILURES)
        segments = self._constant["TotalSegments"]
        times = segments if segments > 1 and seed.random() < _FINAL_A_SEGMENT else 1
        return [self._say(status, why, ends + 1.5 * number) for number in range(times)]

    def _say(self, status: str, why: str, at: float) -> Said:
        element = {
            "Msisdn": self._constant["Msisdn"],
            "Status": status,
            "MessageId": self._message_id,
            "OrganizationId": self._constant["OrganizationId"],
            "ReportDescription": why,
            "ReportDateTime": time_text(self._begin, at),
            "TotalSegments": self._constant["TotalSegments"],
            "CustomPayload": self._constant["CustomPayload"],
        }
        return Said(at, element)


def _custom(seed: random.Random, number: int) -> str:
    """JSON, plain words, what was meant to be JSON, or nothing."""
    kind, order = seed.random(), f"A-{number + 1:06}"
    if kind < 0.5:
        return json.dumps({"order": order, "kind": seed.choice(("confirmation", "reminder", "shipped", "code"))})
    if kind < 0.75:
        return f"order {order}"
    if kind < 0.9:
        name = seed.choice(("João", "Inês", "Zoë", "Łukasz", "李"))
        return json.dumps({"order": order, "customer": {"name": name, "id": number}}, ensure_ascii=False)
    return f"{{order: {order}, kind: 'reminder',}}" if kind < 0.95 else ""


def choose(seed: random.Random, weights: Mapping[Any, float]) -> Any:
    """One of the keys, by weight."""
    return seed.choices(list(weights), list(weights.values()))[0]


def new_uuid(seed: random.Random) -> str:
    """A uuid4 that only the seed decides."""
    return str(uuid.UUID(int=seed.getrandbits(128), version=4))


def time_text(begin: datetime, at: float) -> str:
    """A time in ISO 8601 with milliseconds and ``Z``, `at` seconds after `begin`."""
    moment = (begin + timedelta(seconds=at)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
