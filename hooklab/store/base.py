"""What a store must do, the rows it gives, and its errors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from hooklab.database import Statement
from hooklab.insights import Measured
from hooklab.metrics import Counters, Signs
from hooklab.store.fold import Changes, Held, JudgedBatch
from hooklab.wire import Report


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do."""


class Outdated(Exception):  # noqa: N818  it is a state
    """What was prepared does not hold any more."""


class Prepared(Struct, frozen=True):
    """A chunk that can be written: how, what it touches, and as of which state of the store."""

    batches: Sequence[JudgedBatch]
    held: Held
    changes: Changes
    statements: Sequence[Statement]
    generation: int


class MessageRow(Struct, frozen=True, kw_only=True):
    """One message as lists show it. Times are microseconds UTC."""

    message_id: str
    state: str
    """PENDING, DELIVERED or NOT_DELIVERED."""
    flags: list[str]
    description: str | None
    organization_id: str | None
    msisdn: str | None
    total_segments: int | None
    custom_payload: str | None
    first_received_at: int
    last_received_at: int
    """Of any arrival, repeats included."""
    final_at: int | None
    arrivals: int
    cursor: int
    """Where this row stands in "newest activity first": give it as `before` for what follows."""


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One arrival in a message's history."""

    kind: str
    """pending, late, final, final-again, conflict, retry or duplicate."""
    status: str
    reported_at: str | None
    """As sent."""
    received_at: int
    batch: int
    index: int
    label: str | None
    description: str | None


class MessageDetail(Struct, frozen=True, kw_only=True):
    """One message with its arrivals, in order; of very many the first and the last, as `timeline.ends` has them."""

    message: MessageRow
    timeline: list[TimelineEntry]
    hidden: int = 0
    """How many there are between the first and the last."""


class BatchRow(Struct, frozen=True, kw_only=True):
    """One POST and what became of it."""

    batch: int
    received_at: int
    peer: str
    label: str | None
    bytes: int
    elements: int
    new: int
    repeats: int
    quarantined: int
    retry_of: int | None
    """The first batch with the same body, None if this is it."""
    attempt: int
    """1 for the first."""
    malformed: bool
    """Whether the whole body was not understood, and answered 400."""


class ElementFate(Struct, frozen=True, kw_only=True):
    """What one element of a batch became."""

    index: int
    message_id: str | None
    """None where it went to quarantine."""
    status: str | None
    became: str
    """new, retry, duplicate or quarantined."""
    reason: str | None = None
    """Why it is in quarantine."""


class BatchDetail(Struct, frozen=True, kw_only=True):
    """One POST whole: its row, how it came, its body, and what each element became."""

    row: BatchRow
    malformed: str | None
    """Why the whole body was not understood, None where it is an array."""
    took_ms: int | None
    """None, like all below, where the body is no longer kept."""
    headers: list[tuple[str, str]] | None
    body: bytes | None
    elements: list[ElementFate]


class QuarantineRow(Struct, frozen=True, kw_only=True):
    """Something that was received and could not be understood."""

    id: int
    batch: int
    index: int | None
    """None for a whole body."""
    reason: str
    count: int
    """How often this body came; 1 for an element."""
    received_at: int | None
    """When it came first; None where its batch is no longer kept."""


class QuarantineDetail(Struct, frozen=True, kw_only=True):
    """One thing in quarantine with its bytes."""

    row: QuarantineRow
    raw: bytes


class MinuteRow(Struct, frozen=True, kw_only=True):
    """What one minute brought, by the time of receiving."""

    minute: int
    """Minutes since 1970-01-01 UTC."""
    batches: int
    elements: int
    reports: int
    repeats: int
    quarantined: int
    delivered: int
    not_delivered: int
    pending: int
    late: int


class Lookup(Struct, frozen=True):
    """One part of a condition that the search index can help with."""

    sql: str
    """The part itself."""
    asked: str
    """What finds all messages of which it holds, and perhaps others, in the index: see `words`."""


class Condition(Struct, frozen=True):
    """A filter as SQL over the table `messages`, with named parameters. `ALL` lets everything through."""

    sql: str
    values: Mapping[str, Any]
    narrow: bool = False
    """Whether an index finds the few rows that it lets through, so that nothing else is looked at."""
    lookups: tuple[Lookup, ...] = ()
    """Each holds of every message that the condition lets through."""
    since: int | None = None
    """A time before which no message that it lets through came last, microseconds UTC."""
    brief: bool = False
    """Whether the beginnings of long texts are enough, as for a list: a screenful of them may be gigabytes."""


ALL: Final = Condition("1", {})


class Found(Struct, frozen=True, kw_only=True):
    """One step of a search that looks at a bounded number of messages."""

    rows: list[MessageRow]
    reached: int | None
    """The cursor down to which was looked: give it as `before` of the next step. None: there is nothing older.
    Of a step upwards the cursor up to which was looked, for its `after`; None: there is nothing newer."""
    newest: int
    """The cursor of the newest activity of all before the step was taken; 0 for none."""


class Changed(Struct, frozen=True, kw_only=True):
    """A message with new activity, and whether the filter lets it through now."""

    row: MessageRow
    matches: bool


class StoreReader(Protocol):
    """Short reads from another connection than the one that writes."""

    async def counters(self, journal_last: int) -> Counters:
        """The counters of one moment. Read the journal's last sequence *before*, so that lag is never negative."""

    async def signs(self) -> Signs:
        """Since when something needs a look; what the store does not know stays None."""

    async def messages(self, where: Condition, limit: int, before: int | None = None) -> list[MessageRow]:
        """Messages with the newest activity first; `before` is the cursor of the last row already seen."""

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        """Like `messages`, but looks at a bounded number of them, and says how far it came."""

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        """Like `search`, but upwards from the cursor `after`; what was found, newest activity first."""

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        """The messages with activity after the cursor `after`, newest first, whether `where` holds or not."""

    async def message(self, message_id: bytes) -> MessageDetail | None:
        """One message with its timeline, None if it is not known."""

    async def batches(self, limit: int, before: int | None = None, after: int | None = None) -> list[BatchRow]:
        """Batches, newest first; with `after` those next above it."""

    async def batch_at(self, when: int) -> int:
        """The number of the last batch received at or before `when`, 0 for none; see `places.batch_at`."""

    async def batch(self, sequence: int) -> BatchRow | None:
        """One batch, None where it is not known (or not yet projected)."""

    async def fates(self, sequence: int, reports: Sequence[tuple[int, Report]]) -> list[ElementFate]:
        """What the understood elements (index, report) of one batch became; those not in the store are left out."""

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        """What is in quarantine, newest first; `before` and `after` are ids."""

    async def quarantined(self, row_id: int) -> QuarantineDetail | None:
        """One thing in quarantine with its bytes."""

    async def quarantined_in(self, sequence: int) -> dict[int, str]:
        """Why elements of a batch are in quarantine, by index; `WHOLE_BODY` stands for all of it."""

    async def minutes(self, since: int) -> Sequence[MinuteRow]:
        """Per-minute counters from minute `since` on, oldest first; quiet minutes have no row."""

    async def measure(self, since: int, org: str | None) -> Measured:
        """What the insights are made of, from the full hour `since` (microseconds UTC) on, of one moment.

        `org` is the beginning of the organizations' ids that count, None for all.
        """

    async def close(self) -> None:
        """Closes the connection. A second call does nothing."""


class Store(Protocol):
    """The one writer of what the journal means."""

    async def checkpoint(self) -> int:
        """The sequence of the last batch that was projected, 0 for none."""

    async def project(self, batches: Sequence[JudgedBatch], *, keep: bool = True) -> None:
        """Writes what `batches` mean, and the checkpoint, in one transaction; nothing if it raises.

        Args:
            batches: in order of their sequence, all after the checkpoint.
            keep: False tries it and takes it back.
        """

    async def prepare(
        self,
        batches: Sequence[JudgedBatch],
        before: "Prepared | None" = None,
        give_way: Callable[[], Awaitable[None]] = ...,
    ) -> "Prepared":
        """Looks up what `batches` touch and works out what they change; nothing is written.

        Args:
            batches: in order of their sequence, all after the checkpoint.
            before: what is prepared and not written yet; `write` it first.
            give_way: is called between two pieces of work, so that others have their turn.
        """

    async def write(self, ready: "Prepared", *, keep: bool = True) -> None:
        """Writes what was prepared, and the checkpoint, in one transaction; nothing if it raises.

        Raises:
            Outdated: somebody else wrote since it was prepared.
        """

    async def settings(self) -> dict[str, str]:
        """The settings that what is stored depends on, by name."""

    async def close(self) -> None:
        """Closes the connection."""
