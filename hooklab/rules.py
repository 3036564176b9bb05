"""The rules: what the arrivals of a message mean. Pure, and the only place that judges.

State, conflict and attributes are the merge of a message's distinct reports. The merge is commutative,
associative and idempotent, so neither order nor grouping nor repetition can change them (design, 3.4 and 4).
What does depend on arrival (`late`, the kinds, repeats) is computed from (batch, index), packed in one integer.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from hooklab.wire import DELIVERED, NOT_DELIVERED, PENDING, STATUSES, Report

_T = TypeVar("_T", str, int)

INDEX_BITS: Final = 22
WHOLE_BODY: Final = (1 << INDEX_BITS) - 1
"""The index that stands for a whole body in quarantine."""

# A report's rank is one integer whose order is the design's "which report decides": every final above every
# pending, then the reported time (one that cannot be parsed below all), then DELIVERED above NOT_DELIVERED.
_FINAL: Final = 3_000_000_000_000_000_000
_UNPARSED: Final = -2_000_000_000_000_000_000

# What was seen of a message, one bit each, merged by "or".
SEEN_PENDING: Final = 1
SEEN_DELIVERED: Final = 2
SEEN_NOT_DELIVERED: Final = 4
LATE: Final = 8
REPEATED: Final = 16
MISMATCH: Final = 32
_CONFLICT: Final = SEEN_DELIVERED | SEEN_NOT_DELIVERED
_SEEN: Final = {PENDING: SEEN_PENDING, DELIVERED: SEEN_DELIVERED, NOT_DELIVERED: SEEN_NOT_DELIVERED}


class Verdict(Struct, gc=False):
    """What a set of reports says of their message: an element of the lattice that `merge` joins."""

    rank: int
    seen: int
    description: str | None
    msisdn: str | None
    organization_id: str | None
    total_segments: int | None
    custom_payload: str | None
    pending_at: int | None = None
    """The least reported time of a PENDING."""
    sent_at: int | None = None
    """The least time of sending that a custom payload told."""


def pack(batch: int, index: int) -> int:
    """An arrival as one integer that sorts and joins: batch sequence, then index in the array."""
    return batch << INDEX_BITS | index


def unpack(arrival: int) -> tuple[int, int]:
    """Batch sequence and index of an arrival."""
    return arrival >> INDEX_BITS, arrival & WHOLE_BODY


def rank_of(status: int, reported_us: int | None) -> int:
    """The rank of one report; `reported_us` is None where its time cannot be parsed."""
    time = _UNPARSED if reported_us is None else reported_us * 2
    if status == PENDING:
        return time - _FINAL
    return time + _FINAL + (status == DELIVERED)


def state_of(rank: int) -> int:
    """The state that a message's greatest rank decides: PENDING, DELIVERED or NOT_DELIVERED."""
    if rank < 0:
        return PENDING
    return DELIVERED if rank & 1 else NOT_DELIVERED


def final_at(rank: int) -> int | None:
    """Reported time of the deciding final, microseconds UTC; None while pending or where it cannot be parsed."""
    if rank < 0:
        return None
    time = (rank - _FINAL) >> 1
    return None if time == _UNPARSED >> 1 else time


def is_conflict(seen: int) -> bool:
    """Whether both kinds of final were seen."""
    return seen & _CONFLICT == _CONFLICT


def is_final(status: int) -> bool:
    """Whether a status ends a message's life."""
    return status != PENDING


def verdict_of(report: Report, reported_us: int | None, sent_us: int | None = None) -> Verdict:
    """What one report alone says; `sent_us` is when its custom payload tells that the message was sent."""
    status = report.status
    return Verdict(
        rank_of(status, reported_us),
        _SEEN[status],
        report.description,
        report.msisdn,
        report.organization_id,
        report.total_segments,
        report.custom_payload,
        reported_us if status == PENDING else None,
        sent_us,
    )


def merge(one: Verdict, other: Verdict) -> Verdict:
    """The join of two verdicts. The description goes with the rank, times are the lesser, all else is the greater."""
    joined = Verdict(*astuple(one)[: len(Verdict.__struct_fields__)])
    absorb(joined, other)
    return joined


def absorb(one: Verdict, other: Verdict) -> None:
    """Makes `one` the join of both, as `merge` does."""
    if one.rank == other.rank:
        one.description = _greater(one.description, other.description)
    elif one.rank < other.rank:
        one.rank, one.description = other.rank, other.description
    one.seen |= other.seen
    # Nearly all reports of a message agree.
    if one.msisdn != other.msisdn:
        one.msisdn = _greater(one.msisdn, other.msisdn)
    if one.organization_id != other.organization_id:
        one.organization_id = _greater(one.organization_id, other.organization_id)
    if one.total_segments != other.total_segments:
        one.total_segments = _greater(one.total_segments, other.total_segments)
    if one.custom_payload != other.custom_payload:
        one.custom_payload = _greater(one.custom_payload, other.custom_payload)
    if other.pending_at is not None:
        one.pending_at = _lesser(one.pending_at, other.pending_at)
    if other.sent_at is not None:
        one.sent_at = _lesser(one.sent_at, other.sent_at)


def _lesser(one: int | None, other: int) -> int:
    return other if one is None or other < one else one


def _greater(one: _T | None, other: _T | None) -> _T | None:
    if one is None or one == other:
        return other
    return one if other is None or one > other else other


def is_late(status: int, arrival: int, first_final: int | None) -> bool:
    """Whether a report is a PENDING whose message had a final in an earlier batch."""
    return status == PENDING and first_final is not None and first_final >> INDEX_BITS < arrival >> INDEX_BITS


def state_named(label: str | None) -> int | None:
    """The state that a label names; a report of another one does not match it. None where it names none."""
    return None if label is None else _NAMED.get(label.lower().replace("-", "").replace("_", ""))


def label_mismatches(label: str | None, status: int) -> bool:
    """Whether a label names a state that is not `status`. A label that names no state mismatches nothing."""
    named = state_named(label)
    return named is not None and named != status


_NAMED: Final = {name.lower().replace("_", ""): code for code, name in enumerate(STATUSES)}


class Arrival(Struct, frozen=True, gc=False):
    """One arrival of a message's history; `repeat` is `retry` or `duplicate`, None for a new report."""

    arrival: int
    status: int
    repeat: str | None = None


def kinds(arrivals: Iterable[Arrival], first: Arrival | None = None) -> list[str]:
    """The kind of each arrival, which must come in order: a pure function of the arrivals (design, section 4).

    Where these are not all, `first` is the first final before them.
    """
    named: list[str] = []
    for one in arrivals:
        if one.repeat is not None:
            named.append(one.repeat)
        elif one.status == PENDING:
            late = is_late(one.status, one.arrival, first.arrival if first else None)
            named.append("late" if late else "pending")
        elif first is None:
            first = one
            named.append("final")
        else:
            named.append("final-again" if one.status == first.status else "conflict")
    return named


def flags_of(seen: int, *, stuck: bool) -> list[str]:
    """The flags of a message, sorted."""
    present = {
        "conflict": is_conflict(seen),
        "label_mismatch": bool(seen & MISMATCH),
        "late": bool(seen & LATE),
        "repeated": bool(seen & REPEATED),
        "stuck": stuck,
    }
    return [name for name, holds in present.items() if holds]
