"""A monitor without a store, for the tests of the screen."""

import asyncio
from collections.abc import Callable

from hooklab.healing import Retried
from hooklab.insights import Insights, Measured, insights
from hooklab.metrics import Counters, ServiceStatus, Signs, Snapshot
from hooklab.monitor import MonitorError
from hooklab.rules import INDEX_BITS, WHOLE_BODY, pack
from hooklab.store.base import (
    ALL,
    BatchDetail,
    BatchRow,
    Changed,
    Condition,
    ElementFate,
    Found,
    MessageDetail,
    MessageRow,
    MinuteRow,
    QuarantineDetail,
    QuarantineRow,
    TimelineEntry,
)
from hooklab.times import SECOND

NOW = 1_795_435_491_000_000  # 2026-11-23T12:04:51Z
TOKEN = "Zk3v9-bL_q2Xw8RtY5uI1oPaS4dFgHjK"
URL = f"http://127.0.0.1:8080/hooks/{TOKEN}"


class FakeClock:
    """Stands still until it is told to move.

    Attributes:
        now: the time.
        ran: seconds for which it ran, whatever it was set to.
    """

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.ran = 0.0

    def __call__(self) -> int:
        return self.now

    def timer(self) -> float:
        return self.ran

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.ran += seconds

    def set_by(self, seconds: float) -> None:
        """Somebody sets it: no time goes by."""
        self.now += int(seconds * SECOND)


def message_id(number: int) -> str:
    return f"0f8fad5b-d9cb-469f-a165-{number:012x}"


def row(number: int, **changes: object) -> MessageRow:
    """A message whose cursor is its number."""
    values: dict[str, object] = {
        "message_id": message_id(number),
        "state": "DELIVERED",
        "flags": [],
        "description": "Message delivered to handset",
        "organization_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "msisdn": f"351913{number:06}",
        "total_segments": 1,
        "custom_payload": f"order {number}",
        "first_received_at": NOW - 60 * SECOND,
        "last_received_at": NOW - 30 * SECOND,
        "final_at": NOW - 31 * SECOND,
        "arrivals": 2,
        "cursor": number,
    }
    return MessageRow(**{**values, **changes})  # type: ignore[arg-type]


def entry(kind: str, batch: int, **changes: object) -> TimelineEntry:
    """An arrival of `batch`, ten seconds after that of the batch before."""
    values: dict[str, object] = {
        "kind": kind,
        "status": "PENDING",
        "reported_at": "2026-11-23T12:04:00Z",
        "received_at": NOW - 3600 * SECOND + batch * 10 * SECOND,
        "batch": batch,
        "index": 0,
        "label": None,
        "description": "Message accepted by operator",
    }
    return TimelineEntry(**{**values, **changes})  # type: ignore[arg-type]


def status(**changes: object) -> ServiceStatus:
    values: dict[str, object] = {
        "version": "0.1.0",
        "pid": 4242,
        "started_at": NOW - 275_000 * SECOND,
        "hook_url": URL,
        "ready": True,
        "refused": {},
        "ack_p50_ms": 1.2,
        "ack_p99_ms": 4.0,
    }
    return ServiceStatus(**{**values, **changes})  # type: ignore[arg-type]


class FakeMonitor:
    """Gives what its attributes say, and remembers what it was asked.

    Attributes:
        rows: messages in any order; they are given by falling cursor.
        failure: raised by every read while it is set.
        healing: how many of the quarantine a retry understands.
        slice: how many messages a step of a search looks at; None for all.
        gate: reads wait for it while it is set to a closed event.
        at_once: reads that run now; `most` is the greatest number so far.
    """

    def __init__(self, clock: FakeClock, rows: list[MessageRow] | None = None) -> None:
        self.clock = clock
        self.rows = rows or []
        self.details: dict[str, MessageDetail] = {}
        self.held_batches: dict[int, BatchDetail] = {}
        self.held_quarantine: dict[int, QuarantineDetail] = {}
        self.lets_through: Callable[[Condition, MessageRow], bool] = lambda _, __: True
        self.counters: dict[str, object] = {}
        self.measured = Measured()
        self.healing = 0
        self.slice: int | None = None
        self.signs = Signs()
        self.batch_times: dict[int, int] = {}
        self.windows: list[int | None] = []
        self.service: ServiceStatus | None = status()
        self.failure: MonitorError | None = None
        self.failing: set[str] = {"snapshot", "messages", "message"}
        self.gate: asyncio.Event | None = None
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self.revision = self.closed = self.files = 0

    def hold(self, *things: BatchDetail | QuarantineDetail) -> None:
        """More batches, and more in quarantine."""
        for one in things:
            if isinstance(one, BatchDetail):
                self.held_batches[one.row.batch] = one
            else:
                self.held_quarantine[one.row.id] = one
        self.revision += 1

    def add(self, *rows: MessageRow) -> None:
        """New activity: rows of the same id are replaced."""
        ids = {one.message_id for one in rows}
        self.rows = [one for one in self.rows if one.message_id not in ids] + list(rows)
        self.revision += 1

    async def _read(self, what: str) -> None:
        self.asked.append(what)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None and what in self.failing:
                raise self.failure
        finally:
            self.at_once -= 1

    async def snapshot(self, *, signs: bool = False) -> Snapshot:
        await self._read("snapshot")
        by_state = {
            name: sum(one.state == name.upper() for one in self.rows)
            for name in ("delivered", "not_delivered", "pending")
        }
        service = {}
        if self.service is not None:
            service = {
                "refused": self.service.refused,
                "ack_p50_ms": self.service.ack_p50_ms,
                "ack_p99_ms": self.service.ack_p99_ms,
            }
        in_quarantine = {"quarantined": len(self.held_quarantine)} if self.held_quarantine or self.healing else {}
        elements = 2 * len(self.rows) + self.revision
        values = {
            "messages": len(self.rows),
            "elements": elements,
            "reports": elements,
            **by_state,
            **in_quarantine,
            **service,
        }
        counters = Counters(**{**values, **self.counters})  # type: ignore[arg-type]
        return Snapshot(
            taken_at=self.clock(),
            counters=counters,
            service=self.service,
            signs=self.signs if signs else Signs(),
            files=self.files,
        )

    async def messages(self, where: Condition, limit: int, before: int | None = None) -> list[MessageRow]:
        await self._read("messages" if before is None else "older")
        ordered = sorted(self.rows, key=lambda one: -one.cursor)
        return [one for one in ordered if before is None or one.cursor < before][:limit]

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        """Knows no SQL: what a condition lets through is what `lets_through` says."""
        await self._read("messages" if before is None else "older")
        older = sorted(
            (one for one in self.rows if before is None or one.cursor < before), key=lambda one: -one.cursor
        )
        looked_at = older[: self.slice]
        rows = [one for one in looked_at if self._lets_through(where, one)]
        end = looked_at[-1].cursor if len(looked_at) < len(older) else None
        return Found(
            rows=rows[:limit],
            reached=rows[limit - 1].cursor if len(rows) >= limit else end,
            newest=max((one.cursor for one in self.rows), default=0),
        )

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        """As `search`."""
        await self._read("newer")
        above = sorted((one for one in self.rows if one.cursor > after), key=lambda one: one.cursor)
        looked_at = above[: self.slice]
        rows = [one for one in looked_at if self._lets_through(where, one)][:limit][::-1]
        end = looked_at[-1].cursor if len(looked_at) < len(above) else None
        return Found(
            rows=rows,
            reached=rows[0].cursor if len(rows) == limit else end,
            newest=max((one.cursor for one in self.rows), default=0),
        )

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        await self._read("changed")
        newer = sorted((one for one in self.rows if one.cursor > after), key=lambda one: -one.cursor)
        return [Changed(row=one, matches=self._lets_through(where, one)) for one in newer[:limit]]

    def _lets_through(self, where: Condition, one: MessageRow) -> bool:
        return where.sql == ALL.sql or self.lets_through(where, one)

    async def message(self, message_id: str) -> MessageDetail | None:
        await self._read("message")
        return self.details.get(message_id)

    async def batches(self, limit: int, before: int | None = None, after: int | None = None) -> list[BatchRow]:
        await self._read("batches")
        found = sorted((one.row for one in self.held_batches.values()), key=lambda one: -one.batch)
        if after is not None:
            return [one for one in found if one.batch > after][-limit:]
        return [one for one in found if before is None or one.batch < before][:limit]

    async def batch_at(self, when: int) -> int:
        """By `batch_times`, or else by the messages: each tells the batch of its last arrival in its cursor."""
        await self._read("batch_at")
        if self.batch_times:
            return max((number for number, at in self.batch_times.items() if at <= when), default=0)
        return max((one.cursor >> INDEX_BITS for one in self.rows if one.last_received_at <= when), default=0)

    async def batch(self, sequence: int) -> BatchDetail | None:
        await self._read("batch")
        return self.held_batches.get(sequence)

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        await self._read("quarantine")
        found = sorted((one.row for one in self.held_quarantine.values()), key=lambda one: -one.id)
        if after is not None:
            return [one for one in found if one.id > after][-limit:]
        return [one for one in found if before is None or one.id < before][:limit]

    async def quarantined(self, row_id: int) -> QuarantineDetail | None:
        await self._read("quarantined")
        return self.held_quarantine.get(row_id)

    async def retry_quarantine(self) -> Retried | None:
        """Heals `healing` of what is held."""
        await self._read("retry_quarantine")
        if self.service is None:
            return None
        tried = len(self.held_quarantine)
        for row_id in list(self.held_quarantine)[: self.healing]:
            del self.held_quarantine[row_id]
        self.files += bool(self.healing)  # as `FolderMonitor` has it, when the store says that it was judged anew
        self.revision += 1
        return Retried(tried, tried - len(self.held_quarantine), len(self.held_quarantine))

    async def insights(self, since: int | None, org: str | None) -> Insights:
        """What `measured` says, whatever the window."""
        await self._read("insights")
        self.windows.append(since)
        return insights(self.measured, since=since, until=self.clock(), organization=org)

    async def minutes(self, since: int) -> list[MinuteRow]:
        return []

    async def close(self) -> None:
        self.closed += 1


def batch(number: int, **changes: object) -> BatchDetail:
    """A batch of two new reports of the message with its number."""
    values: dict[str, object] = {
        "batch": number,
        "received_at": NOW - 60 * SECOND + number * SECOND,
        "peer": "203.0.113.7",
        "label": None,
        "bytes": 614,
        "elements": 2,
        "new": 2,
        "repeats": 0,
        "quarantined": 0,
        "retry_of": None,
        "attempt": 1,
        "malformed": False,
    }
    fates = [
        ElementFate(index=0, message_id=message_id(number), status="PENDING", became="new"),
        ElementFate(index=1, message_id=message_id(number), status="DELIVERED", became="new"),
    ]
    whole: dict[str, object] = {
        "malformed": None,
        "took_ms": 3,
        "headers": [("content-type", "application/json"), ("user-agent", "arpoone/1")],
        "body": b'[{"Status":"PENDING"},{"Status":"DELIVERED"}]',
        "elements": fates,
    }
    for name in [name for name in changes if name in whole]:
        whole[name] = changes.pop(name)
    row_ = BatchRow(**{**values, **changes})  # type: ignore[arg-type]
    return BatchDetail(row=row_, **whole)  # type: ignore[arg-type]


def quarantined(number: int, index: int | None = 3, **changes: object) -> QuarantineDetail:
    """An element of batch `number`, or its whole body."""
    values: dict[str, object] = {
        "id": pack(number, WHOLE_BODY if index is None else index),
        "batch": number,
        "index": index,
        "reason": "MessageId is not a UUID: 'abc'",
        "count": 1,
        "received_at": NOW - 60 * SECOND + number * SECOND,
    }
    raw = changes.pop("raw", b'{"MessageId":"abc"}')
    row_ = QuarantineRow(**{**values, **changes})  # type: ignore[arg-type]
    return QuarantineDetail(row=row_, raw=raw)  # type: ignore[arg-type]
