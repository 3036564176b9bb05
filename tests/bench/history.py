"""Bodies that tell of millions of messages, batch after batch, from a seed: what a store grows from.

Some fifty reports a batch. Half of the messages are pending and final in one batch; of the others the final comes
some batches later, or never. Few finals come twice, and few messages are said to be pending after their final.
"""

import random
from collections import deque
from datetime import UTC, datetime
from typing import Final, NamedTuple

from bench.many import ORGANIZATIONS, RARE, WHY, Made, number_of, order_of
from hooklab.times import SECOND

HALF: Final = 25
"""New messages in a batch, and about as many finals."""
LATER: Final = 40
"""Batches from the pending to the final of half of the messages."""
_TRAILING: Final = 2
"""Batches from a final to what should not come any more."""
_PENDING: Final = "PENDING"


class _Message(NamedTuple):
    """The constant parts of its reports, and how it ends."""

    head: str
    middle: str
    tail: str
    status: str
    said: str
    luck: float

    def report(self, status: str, said: str, when: str) -> str:
        return f'{self.head}{status}{self.middle}{said}","ReportDateTime":"{when}{self.tail}'


class History(Made):
    """Makes the bodies in their order, and counts what hooklab has to count."""

    def __init__(self, reports: int, end: int, seed: int = 6) -> None:
        """Of about so many reports, the last of them received at `end` (microseconds UTC)."""
        super().__init__(reports // 2, end=end, later=LATER + _TRAILING)
        self._chance = random.Random(seed)
        self._waiting: deque[list[_Message]] = deque([] for _ in range(LATER))
        self._trailing: deque[list[str]] = deque([] for _ in range(_TRAILING))
        self._number = self._batch = 0
        self.counts = dict.fromkeys(
            ("elements", "reports", "repeats", "messages", "delivered", "not_delivered", "late"), 0
        )

    def next(self) -> tuple[int, bytes]:
        """When the next batch is received, and its body."""
        self._batch += 1
        received = self.received_at(self._batch)
        before, now = (
            datetime.fromtimestamp((received - seconds * SECOND) // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for seconds in (6, 1)
        )
        ending, trailing = self._waiting.popleft(), self._trailing.popleft()
        new = [self._message(at) for at in range(self._number, min(self._number + HALF, self.messages))]
        self._number += len(new)
        ending += new[::2]
        self._waiting.append([one for one in new[1::2] if one.luck >= 0.001])
        finals = [one.report(one.status, one.said, now) for one in ending]
        pending = [one.report(_PENDING, "Message accepted by operator", before) for one in new]
        self._trailing.append(self._after(ending, finals, now))
        delivered = sum(one.status == "DELIVERED" for one in ending)
        self._count(
            messages=len(new), reports=len(new) + len(ending), elements=len(new) + len(ending) + len(trailing)
        )
        self._count(delivered=delivered, not_delivered=len(ending) - delivered)
        return received, f"[{','.join([*trailing, *pending, *finals])}]".encode()

    def _after(self, ended: list[_Message], finals: list[str], now: str) -> list[str]:
        """What will be said of those that have just ended: finals again, and that they are pending."""
        again = [final for one, final in zip(ended, finals, strict=True) if 0.6 < one.luck < 0.61]
        late = [one.report(_PENDING, "Message queued again", now) for one in ended if 0.5 < one.luck < 0.501]
        self._count(repeats=len(again), reports=len(late), late=len(late))
        return again + late

    def _count(self, **more: int) -> None:
        for name, count in more.items():
            self.counts[name] += count

    def _message(self, number: int) -> _Message:
        key = self._chance.getrandbits(128).to_bytes(16)
        # As a uuid4 is written: the version, and the variant.
        key = key[:6] + bytes((key[6] & 0x0F | 0x40, key[7], key[8] & 0x3F | 0x80)) + key[9:]
        if number % (self.messages // 40 or 1) == 7:
            self.ids[number] = key
        luck = self._chance.random()
        fails = luck > 0.93
        text = key.hex()
        organization = RARE if number < 500_000 and number % 10_000 == 3 else ORGANIZATIONS[number % 7 % 4]
        kind = "winter-sale" if number % 50_000 == 11 else "confirmation"
        return _Message(
            f'{{"Msisdn":"{number_of(number)}","Status":"',
            f'","MessageId":"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",'
            f'"OrganizationId":"{organization}","ReportDescription":"',
            f'","TotalSegments":1,"CustomPayload":"{{\\"order\\":\\"A-{order_of(number)}\\",\\"kind\\":\\"{kind}\\"}}"}}',
            "NOT_DELIVERED" if fails else "DELIVERED",
            WHY[number % 3] if fails else "Message delivered to handset",
            luck,
        )
