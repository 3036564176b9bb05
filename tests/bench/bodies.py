"""Request bodies of which no two are equal, made so cheaply that making them is not what is measured.

A body is constant parts with a stamp between them: one join, in Python as in wrk's Lua. The stamp is the middle of
every MessageId of the body, so that all its ids are new when the stamp is. What stands before the stamp differs from
message to message and the stamps jump about, so that ids come in no order, as uuid4s do: an index in order would be
cheaper for whoever keeps one.
"""

import json
import random
import uuid
from typing import Final

from msgspec import Struct
from support import ORGANIZATION

STAMPS: Final = 1 << 28
"""Stamps there are: bodies of one template before one comes again."""
STEP: Final = 0x9E3779B
"""From one stamp's number to the next: odd, so that all come up; the golden ratio of `STAMPS`, so that they jump."""
_HOLE: Final = "\0"
_DESCRIPTIONS: Final = {"PENDING": "Message accepted by operator", "DELIVERED": "Message delivered to handset"}


class Template(Struct, frozen=True):
    """The constant parts of a body; `stamp` of another number between them gives another body, equally long."""

    reports: int
    parts: list[str]

    def body(self, number: int) -> bytes:
        """The body of one stamp."""
        return stamp(number).join(self.parts).encode()


def stamp(number: int) -> str:
    """The middle of a MessageId, 12 characters: 28 bits around the digits that make it a uuid4."""
    return f"-{number >> 12:04x}-4{number & 0xFFF:03x}-8"


def after(number: int) -> int:
    """The number of the next stamp."""
    return (number + STEP) % STAMPS


def template(reports: int, seed: int) -> Template:
    """A batch of `reports` in the shape of `sample_payloads/`: PENDING and DELIVERED of one message after another.

    Another seed gives other ids, whatever the stamps.
    """
    chosen = random.Random(seed)
    elements = []
    for at in range(reports):
        if at % 2 == 0:
            identity = uuid.UUID(int=chosen.getrandbits(128)).hex
            message_id = f"{identity[:8]}{_HOLE}{identity[8:11]}-{identity[11:23]}"
        elements.append(_element(message_id, at // 2, "DELIVERED" if at % 2 else "PENDING"))
    whole = json.dumps(elements, separators=(",", ":"))
    return Template(reports, whole.split(json.dumps(_HOLE)[1:-1]))


def _element(message_id: str, order: int, status: str) -> dict[str, object]:
    minute, second = divmod(order % 1800, 60)
    return {
        "Msisdn": f"3519000{order % 100_000:05d}",
        "Status": status,
        "MessageId": message_id,
        "OrganizationId": ORGANIZATION,
        "ReportDescription": _DESCRIPTIONS[status],
        "ReportDateTime": f"2026-11-20T09:{minute + (30 if status == 'DELIVERED' else 0):02d}:{second:02d}Z",
        "TotalSegments": 1,
        "CustomPayload": json.dumps({"order": f"A-{1000 + order}", "kind": "confirmation"}),
    }
