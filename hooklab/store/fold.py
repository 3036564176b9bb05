"""What a chunk of judged batches changes in the store: pure, so that any backend can write it.

A backend reads what the chunk touches (`Held`), calls `fold`, and writes the `Changes` in one transaction. No
row is touched twice, whatever the chunk holds; how chunks fall changes nothing in the rows.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, field

from hooklab import rules
from hooklab.rules import Verdict
from hooklab.times import MINUTE
from hooklab.wire import DELIVERED, NOT_DELIVERED, PENDING, Report

TOTALS: Final = (
    "batches",
    "malformed",
    "retries",
    "elements",
    "reports",
    "repeats",
    "duplicates",
    "late",
    "quarantined",
    "messages",
    "delivered",
    "not_delivered",
    "conflicts",
)
"""The counters that the store keeps, in the order of the table `totals`."""


class Judged(Struct, frozen=True, gc=False):
    """One understood element: its index in the array, and its reported time where that parses."""

    index: int
    report: Report
    reported_us: int | None


class Quarantined(Struct, frozen=True, gc=False):
    """Something that was not understood: its index, its bytes, why, and how many elements it stands for."""

    index: int
    raw: bytes
    reason: str
    elements: int = 1


class JudgedBatch(Struct, frozen=True):
    """One batch of the journal after the rules looked at each element."""

    sequence: int
    received_at: int
    peer: str
    label: str | None
    digest: bytes
    size: int
    elements: int
    """How many the array has; 0 for a malformed body."""
    judged: list[Judged]
    quarantined: list[Quarantined]
    malformed: Quarantined | None = None
    """The whole body, where it is no array."""


class HeldMessage(Struct):
    """A row of `messages`. `fold` changes it in place."""

    id: int
    message_id: bytes
    verdict: Verdict
    first_final: int | None
    reports: int
    repeats: int
    first_at: int
    new_at: int
    last_at: int
    last_arrival: int


class Held(Struct):
    """What the store already has of the things that a chunk touches."""

    bodies: Mapping[bytes, tuple[int, int]]
    """Digest of a body: its first batch, and how often it came."""
    messages: dict[bytes, HeldMessage]
    """By `message_id`."""
    reports: set[tuple[int, bytes]]
    """(message, digest) of the reports that are known."""
    next_message: int
    """The key that the next new message gets."""


ReportRow = tuple[int, bytes, int, int, str | None, str | None, str | None]


class Changes(Struct):
    """The rows to write."""

    checkpoint: int = 0
    bodies: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Digest: first batch, and how often it came in all."""
    new_messages: list[HeldMessage] = field(default_factory=list)
    old_messages: dict[int, HeldMessage] = field(default_factory=dict)
    reports: list[ReportRow] = field(default_factory=list)
    """message, digest, arrival, status, reported_at, description, extra."""
    repeats: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    """message, arrival, digest, retry."""
    batches: list[tuple[int, int, str, str | None, int, int, int, int, int, int | None, int]] = field(
        default_factory=list
    )
    quarantine: dict[int, tuple[str, int, int, bytes]] = field(default_factory=dict)
    """By id: reason, elements, count (to add to what is there), raw."""
    minutes: dict[int, list[int]] = field(default_factory=dict)
    """By minute: what to add to batches, elements, reports, repeats, quarantined and the three states."""
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    """What to add to each total."""


def fold(batches: Iterable[JudgedBatch], held: Held) -> Changes:
    """The changes that `batches`, in order of their sequence, make to what is held."""
    folding = _Folding(held)
    for batch in batches:
        folding.add(batch)
    return folding.changes


class _Folding:
    def __init__(self, held: Held) -> None:
        self._held = held
        self.changes = Changes()

    def add(self, batch: JudgedBatch) -> None:
        changes, totals = self.changes, self.changes.totals
        before = changes.bodies.get(batch.digest) or self._held.bodies.get(batch.digest)
        first, attempt = (batch.sequence, 1) if before is None else (before[0], before[1] + 1)
        changes.bodies[batch.digest] = (first, attempt)
        minute = changes.minutes.setdefault(batch.received_at // MINUTE, [0] * 8)
        new = repeats = 0
        quarantined = sum(one.elements for one in batch.quarantined)
        if batch.malformed is not None:
            quarantined += self._add_malformed(batch.malformed, first, seen_before=attempt > 1)
        else:
            totals["batches"] += 1
            totals["retries"] += attempt > 1
            totals["elements"] += batch.elements
            minute[0] += 1
            minute[1] += batch.elements
            for one in batch.judged:
                if self._add_report(batch, one, retry=attempt > 1):
                    new += 1
                    minute[5 + (DELIVERED, NOT_DELIVERED, PENDING).index(one.report.status)] += 1
                else:
                    repeats += 1
            for misfit in batch.quarantined:
                changes.quarantine[rules.pack(batch.sequence, misfit.index)] = (
                    misfit.reason,
                    misfit.elements,
                    1,
                    misfit.raw,
                )
        totals["quarantined"] += quarantined
        minute[2] += new
        minute[3] += repeats
        minute[4] += quarantined
        changes.batches.append(
            (
                batch.sequence,
                batch.received_at,
                batch.peer,
                batch.label,
                batch.size,
                batch.elements,
                new,
                repeats,
                quarantined,
                None if attempt == 1 else first,
                attempt,
            )
        )
        changes.checkpoint = batch.sequence

    def _add_malformed(self, body: Quarantined, first: int, *, seen_before: bool) -> int:
        """Counts a whole body once however often it comes; gives how many were added to quarantine."""
        row_id = rules.pack(first, rules.WHOLE_BODY)
        reason, _, count, raw = self.changes.quarantine.get(row_id, (body.reason, 0, 0, body.raw))
        self.changes.quarantine[row_id] = (reason, 0, count + 1, raw)
        if seen_before:
            return 0
        self.changes.totals["malformed"] += 1
        return 1

    def _add_report(self, batch: JudgedBatch, one: Judged, *, retry: bool) -> bool:
        """Adds one arrival; whether it is a new report and not a repeat."""
        report, totals = one.report, self.changes.totals
        arrival = rules.pack(batch.sequence, one.index)
        said = rules.verdict_of(report, one.reported_us)
        if rules.label_mismatches(batch.label, report.status):
            said = msgspec.structs.replace(said, seen=said.seen | rules.MISMATCH)
        message = self._held.messages.get(report.message_id)
        if message is None:
            message = self._new_message(report.message_id, said, batch.received_at, arrival)
        elif message.id not in self.changes.old_messages and message.id < self._first_new():
            self.changes.old_messages[message.id] = message
        message.last_at, message.last_arrival = batch.received_at, arrival
        key = (message.id, report.digest)
        if key in self._held.reports:
            self._count_change(
                message,
                msgspec.structs.replace(
                    message.verdict, seen=message.verdict.seen | rules.REPEATED | said.seen & rules.MISMATCH
                ),
            )
            message.repeats += 1
            totals["repeats"] += 1
            totals["duplicates"] += not retry
            self.changes.repeats.append((message.id, arrival, report.digest, int(retry)))
            return False
        self._held.reports.add(key)
        if rules.is_late(report.status, arrival, message.first_final):
            said = msgspec.structs.replace(said, seen=said.seen | rules.LATE)
            totals["late"] += 1
        if rules.is_final(report.status) and message.first_final is None:
            message.first_final = arrival
        self._count_change(message, rules.merge(message.verdict, said))
        message.reports += 1
        message.new_at = batch.received_at
        totals["reports"] += 1
        self.changes.reports.append(
            (
                message.id,
                report.digest,
                arrival,
                report.status,
                report.reported_at,
                report.description,
                report.extra,
            )
        )
        return True

    def _first_new(self) -> int:
        return self._held.next_message - len(self.changes.new_messages)

    def _new_message(self, message_id: bytes, said: Verdict, received_at: int, arrival: int) -> HeldMessage:
        message = HeldMessage(
            self._held.next_message,
            message_id,
            said,
            None,
            0,
            0,
            received_at,
            received_at,
            received_at,
            arrival,
        )
        self._held.next_message += 1
        self._held.messages[message_id] = message
        self.changes.new_messages.append(message)
        self.changes.totals["messages"] += 1
        self._count_state(said, 1)
        return message

    def _count_change(self, message: HeldMessage, verdict: Verdict) -> None:
        self._count_state(message.verdict, -1)
        message.verdict = verdict
        self._count_state(verdict, 1)

    def _count_state(self, verdict: Verdict, by: int) -> None:
        totals = self.changes.totals
        state = rules.state_of(verdict.rank)
        if state == DELIVERED:
            totals["delivered"] += by
        elif state == NOT_DELIVERED:
            totals["not_delivered"] += by
        totals["conflicts"] += by * rules.is_conflict(verdict.seen)
