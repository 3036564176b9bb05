"""What the store counts for the insights, hour by hour: what became of messages, how the provider sends.

A message counts in the hour in which it was first heard of. What it counts as follows from its verdict alone, so
that a store takes away what it was and adds what it is. The rest is only ever added to.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from hooklab import rules
from hooklab.histogram import bucket_of
from hooklab.rules import Verdict
from hooklab.times import SECOND
from hooklab.wire import DELIVERED

IS_PENDING: Final = 0
DELIVERED_IN: Final = 1
"""Its detail is the bucket of the milliseconds from the first PENDING to the final."""
DELIVERED_UNTIMED: Final = 2
"""Its detail says why there is no such time."""
FAILED_FOR: Final = 3
"""Its detail is the reason, as a number of the table `names`. Each failed message has one of the next two as well."""
FAILED_IN: Final = 4
FAILED_UNTIMED: Final = 5
IN_CONFLICT: Final = 6
SENT_BEFORE: Final = 7
"""Its detail is the bucket of the milliseconds from the told time of sending to the final."""
SENT_AFTER: Final = 8
"""The told time of sending lies after the final."""

TOTAL_OF: Final = {
    DELIVERED_IN: "delivered",
    DELIVERED_UNTIMED: "delivered",
    FAILED_FOR: "not_delivered",
    IN_CONFLICT: "conflicts",
}
"""The counter in which a fact is counted as well."""

NO_PENDING: Final = 0
NO_TIME: Final = 1
BACKWARDS: Final = 2

TENTH: Final = SECOND // 10
_MILLISECOND: Final = 1000
_MAX_NAME: Final = 200
_QUARTER: Final = 9_000
"""Tenths of a second in a quarter of an hour."""
_EARLY: Final = 600
_NEAR: Final = 3_000

Fact = tuple[int, int]
"""What a message counts as, and the detail; 0 where there is none."""
_PENDING: Final = [(IS_PENDING, 0)]


def name_of(text: str) -> str:
    """The name of an organization or a reason as it is counted: very long ones count by their beginning."""
    return text[:_MAX_NAME]


def number_of(name: str) -> int:
    """The number under which a name is counted: 63 bits of its digest, so that nobody has to look it up."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


def facts_of(verdict: Verdict, number: Callable[[str | None], int]) -> list[Fact]:
    """All that a message counts as; `number` gives the number of a reason. It is called twice for most messages."""
    rank = verdict.rank
    if rank < 0:
        return _PENDING
    final_at, pending_at, sent_at = rules.final_at(rank), verdict.pending_at, verdict.sent_at
    if final_at is None or pending_at is None:
        timed, detail = False, NO_TIME if verdict.seen & rules.SEEN_PENDING else NO_PENDING
    elif final_at < pending_at:
        timed, detail = False, BACKWARDS
    else:
        timed, detail = True, bucket_of((final_at - pending_at) // _MILLISECOND)
    if rules.state_of(rank) == DELIVERED:
        facts = [(DELIVERED_IN if timed else DELIVERED_UNTIMED, detail)]
    else:
        facts = [(FAILED_FOR, number(verdict.description)), (FAILED_IN if timed else FAILED_UNTIMED, detail)]
    if rules.is_conflict(verdict.seen):
        facts.append((IN_CONFLICT, 0))
    if sent_at is not None and final_at is not None:
        took = final_at - sent_at
        facts.append((SENT_AFTER, 0) if took < 0 else (SENT_BEFORE, bucket_of(took // _MILLISECOND)))
    return facts


def quarters_off(tenths: int) -> int:
    """By how many quarters of an hour a clock seems off that is `tenths` of a second behind the arrival.

    0 unless the lag is some quarters and at most four minutes more, or one less, as it is for a report that came at
    once with its time told in another zone.
    """
    quarters, rest = divmod(tenths + _EARLY, _QUARTER)
    return quarters if rest < _NEAR else 0


def half_seconds(earlier: int, later: int) -> int:
    """The time between two arrivals of a body in half seconds; 0 where our clock was set back."""
    return max((later - earlier + SECOND // 4) // (SECOND // 2), 0)
