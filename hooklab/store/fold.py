"""What a chunk of judged batches changes in the store: pure, so that any backend can write it.

A backend reads what the chunk touches (`Held`), calls `fold`, and writes the `Changes` in one transaction. No
row is touched twice, whatever the chunk holds; how chunks fall changes nothing in the rows.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

from msgspec import Struct, field
from msgspec.structs import astuple

from hooklab import rules
from hooklab.facts import TENTH, TOTAL_OF, Fact, facts_of, half_seconds, name_of, number_of, quarters_off
from hooklab.histogram import bucket_of
from hooklab.rules import Verdict
from hooklab.store.compact import Coded, Texts, time_coded
from hooklab.times import HOUR, MINUTE
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
    """One understood element: its index in the array; its reported time and time of sending, if they parse."""

    index: int
    report: Report
    reported_us: int | None
    sent_us: int | None = None


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


class HeldMessage(Verdict, kw_only=False, gc=False):
    """A row of `messages`, in the order of these fields. `fold` changes it in place."""

    id: int = 0
    message_id: bytes = b""
    first_final: int | None = None
    reports: int = 0
    repeats: int = 0
    first_at: int = 0
    new_at: int = 0
    last_at: int = 0
    last_arrival: int = 0


BodyRow = tuple[int, int, int | None]
"""Of a body: its first batch, how often it came, and when it came last where that is still known."""
Life = tuple[int, int, list[Fact]]
"""Hour and organization of a message, and what it counts as."""


class Held(Struct):
    """What the store already has of the things that a chunk touches."""

    bodies: Mapping[bytes, BodyRow]
    """By digest."""
    messages: dict[bytes, HeldMessage]
    """By `message_id`."""
    reports: set[tuple[int, bytes]]
    """(message, digest) of the reports that are known."""
    next_message: int
    """The key that the next new message gets."""
    texts: Mapping[str, int]
    """The texts that are kept once, with their numbers."""
    wanted: Collection[bytes] = ()
    """The messages that the chunk touches, known or not."""


def succeeding(before: Held, changes: "Changes", found: Held) -> Held:
    """What a chunk touches, when the chunk before is not written yet.

    Args:
        before: what that one touched, as `fold` left it.
        changes: what it changes.
        found: what the store has of this one.
    """
    ours = {key: held for key in found.wanted if (held := before.messages.get(key)) is not None}
    keys = {held.id for held in ours.values()}
    return Held(
        bodies={**found.bodies, **changes.bodies},
        messages={**found.messages, **ours},
        # Only those of the chunk before: what it knew of is in the store, and would be handed on for ever.
        reports=found.reports | {(row[0], row[1]) for row in changes.reports if row[0] in keys},
        next_message=before.next_message,
        texts={**found.texts, **changes.texts.numbers()},
        wanted=found.wanted,
    )


ReportRow = tuple[int, bytes, int, int, Coded, Coded, str | None]


class Changes(Struct):
    """The rows to write."""

    texts: Texts
    """Those that are kept once, the new ones among them."""

    checkpoint: int = 0
    bodies: dict[bytes, BodyRow] = field(default_factory=dict)
    """By digest."""
    new_messages: list[HeldMessage] = field(default_factory=list)
    old_messages: dict[int, HeldMessage] = field(default_factory=dict)
    reports: list[ReportRow] = field(default_factory=list)
    """message, digest, arrival, status, reported_at, description, extra; as compact.py writes them."""
    repeats: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    """message, arrival, digest, retry."""
    batches: list[tuple[int, int, Coded, str | None, int, int, int, int, int, int | None, int]] = field(
        default_factory=list
    )
    quarantine: dict[int, tuple[str, int, int, bytes]] = field(default_factory=dict)
    """By id: reason, elements, count (to add to what is there), raw."""
    minutes: dict[int, list[int]] = field(default_factory=dict)
    """By minute: what to add to batches, elements, reports, repeats, quarantined, the three states and late."""
    names: dict[int, str] = field(default_factory=dict)
    """The organizations and reasons of the new reports, by number."""
    lives: dict[tuple[int, int], dict[Fact, int]] = field(default_factory=dict)
    """By hour and organization: what to add to each fact, or to take away."""
    lags: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """By hour, quarters of an hour off and bucket of tenths of a second: what to add."""
    retries: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """By hour, attempt and half seconds since the attempt before: what to add."""
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    """What to add to each total."""


def fold(batches: Iterable[JudgedBatch], held: Held) -> Changes:
    """The changes that `batches`, in order of their sequence, make to what is held."""
    folding = Folding(held)
    for batch in batches:
        folding.add(batch)
    return folding.finish()


class Folding:
    """A fold that takes one batch after the other."""

    def __init__(self, held: Held) -> None:
        """Begins with what is held, which is changed in place."""
        self._held = held
        self._were: dict[int, Life] = {}
        self._numbers: dict[str | None, int] = {None: 0}
        self._named: set[str | None] = {None}
        self._mentioned: set[tuple[str | None, str | None, int]] = set()
        self._lags: dict[int, dict[int, int]] = {}
        self._first_new = held.next_message
        self.changes = Changes(Texts(held.texts))

    def add(self, batch: JudgedBatch) -> None:
        """Adds a batch, the sequence of which is above all before."""
        changes, totals = self.changes, self.changes.totals
        before = changes.bodies.get(batch.digest) or self._held.bodies.get(batch.digest)
        first, attempt = (batch.sequence, 1) if before is None else (before[0], before[1] + 1)
        changes.bodies[batch.digest] = (first, attempt, batch.received_at)
        if before is not None and before[2] is not None:
            waited = half_seconds(before[2], batch.received_at)
            _count(changes.retries, (batch.received_at // HOUR, attempt, waited))
        quarantined = 0
        for misfit in batch.quarantined:
            quarantined += misfit.elements
            row_id = rules.pack(batch.sequence, misfit.index)
            changes.quarantine[row_id] = (misfit.reason, misfit.elements, 1, misfit.raw)
        new, late = self._add_reports(batch, retry=attempt > 1)
        repeats = len(batch.judged) - sum(new)
        if batch.malformed is not None:
            quarantined += self._add_malformed(batch.malformed, first, seen_before=attempt > 1)
        else:
            totals["batches"] += 1
            totals["retries"] += attempt > 1
        totals["elements"] += batch.elements
        totals["quarantined"] += quarantined
        totals["reports"] += sum(new)
        totals["repeats"] += repeats
        totals["duplicates"] += 0 if attempt > 1 else repeats
        totals["late"] += late
        added = (int(batch.malformed is None), batch.elements, sum(new), repeats, quarantined, *new, late)
        minute = changes.minutes.setdefault(batch.received_at // MINUTE, [0] * len(added))
        for at, by in enumerate(added):
            minute[at] += by
        changes.texts.keep(batch.peer)
        changes.batches.append(
            (
                batch.sequence,
                batch.received_at,
                self.changes.texts.coded(batch.peer),
                batch.label,
                batch.size,
                batch.elements,
                sum(new),
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

    def _add_reports(self, batch: JudgedBatch, *, retry: bool) -> tuple[tuple[int, int, int], int]:
        """Adds its arrivals; gives how many are new by status (delivered, not delivered, pending), and how many late.

        All that there is goes through here one by one, hence the length and the local names.
        """
        held, rows, mentioned, received_at = self._held, self.changes.reports, self._mentioned, batch.received_at
        messages, known, old, first_new = held.messages, held.reports, self.changes.old_messages, self._first_new
        lags = self._lags.setdefault(received_at // HOUR, {})
        texts = self.changes.texts
        meant = rules.state_named(batch.label)
        arrival_of_batch = rules.pack(batch.sequence, 0)
        counts, late = [0, 0, 0], 0
        for one in batch.judged:
            report = one.report
            status = report.status
            arrival = arrival_of_batch + one.index
            message = messages.get(report.message_id)
            said = rules.verdict_of(report, one.reported_us, one.sent_us)
            if message is None:
                message = self._new_message(report.message_id, said, received_at)
            elif message.id < first_new and message.id not in old:
                old[message.id] = message
                self._were[message.id] = self._life(message)
            message.last_at, message.last_arrival = received_at, arrival
            if meant is not None and meant != status:
                message.seen |= rules.MISMATCH
            key = (message.id, report.digest)
            if key in known:
                message.seen |= rules.REPEATED
                message.repeats += 1
                self.changes.repeats.append((message.id, arrival, report.digest, int(retry)))
                continue
            known.add(key)
            says = report.organization_id, report.description, status
            if says not in mentioned:
                mentioned.add(says)
                self._mention(*says)
            if one.reported_us is not None:
                tenths = (received_at - one.reported_us) // TENTH
                lags[tenths] = lags.get(tenths, 0) + 1
            if status != PENDING:
                if message.first_final is None:
                    message.first_final = arrival
            elif rules.is_late(status, arrival, message.first_final):
                message.seen |= rules.LATE
                late += 1
            if message.reports:  # a new message has just this one
                rules.absorb(message, said)
            message.reports += 1
            message.new_at = received_at
            counts[status] += 1
            rows.append(
                (
                    message.id,
                    report.digest,
                    arrival,
                    status,
                    time_coded(report.reported_at, one.reported_us),
                    texts.coded(report.description),
                    report.extra,
                )
            )
        return (counts[DELIVERED], counts[NOT_DELIVERED], counts[PENDING]), late

    def _number(self, text: str | None) -> int:
        number = self._numbers.get(text)
        if number is None:
            assert text is not None
            number = self._numbers[text] = number_of(name_of(text))
        return number

    def _mention(self, organization: str | None, description: str | None, status: int) -> None:
        """Keeps what a new report says that many say alike."""
        self._name(organization)
        if status == NOT_DELIVERED:
            self._name(description)
        for text in (organization, description):
            self.changes.texts.keep(text)

    def _name(self, text: str | None) -> None:
        """Keeps the name of a new report, whatever decides in the end: how chunks fall must not show."""
        if text is not None and text not in self._named:
            self._named.add(text)
            self.changes.names[self._number(text)] = name_of(text)

    def _life(self, message: HeldMessage) -> Life:
        return message.first_at // HOUR, self._number(message.organization_id), facts_of(message, self._number)

    def finish(self) -> Changes:
        """Takes away what the touched messages were and adds what they are, in the totals too; sorts the lags."""
        for message in self.changes.new_messages:
            self._count_life(self._life(message), 1)
        for message in self.changes.old_messages.values():
            were, are = self._were[message.id], self._life(message)
            if were != are:
                self._count_life(were, -1)
                self._count_life(are, 1)
        totals = self.changes.totals
        totals["messages"] += len(self.changes.new_messages)
        for facts in self.changes.lives.values():
            for (what, _), count in facts.items():
                if what in TOTAL_OF:
                    totals[TOTAL_OF[what]] += count
        for hour, lags in self._lags.items():
            for tenths, count in lags.items():
                _count(self.changes.lags, (hour, quarters_off(tenths), bucket_of(tenths)), count)
        return self.changes

    def _count_life(self, life: Life, by: int) -> None:
        hour, organization, facts = life
        counts = self.changes.lives.setdefault((hour, organization), {})
        for fact in facts:
            counts[fact] = counts.get(fact, 0) + by

    def _new_message(self, message_id: bytes, said: Verdict, received_at: int) -> HeldMessage:
        held = self._held
        key = held.next_message
        # All fields of a Verdict come first in a HeldMessage.
        message = HeldMessage(*astuple(said), key, message_id, None, 0, 0, received_at, received_at)  # type: ignore[call-arg]
        held.next_message = key + 1
        held.messages[message_id] = message
        self.changes.new_messages.append(message)
        return message


_K = TypeVar("_K")


def _count(counts: dict[_K, int], key: _K, by: int = 1) -> None:
    counts[key] = counts.get(key, 0) + by
