"""Reads of the store: each one short, on a connection that can only read."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite

from hooklab import rules
from hooklab.database import fetch_for, open_reader
from hooklab.insights import Measured
from hooklab.metrics import Counters, Signs
from hooklab.store import places, timeline
from hooklab.store.base import (
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
)
from hooklab.store.compact import DESCRIPTION, LAST_AT, MSISDN, NEW_AT, ORGANIZATION, PEER, in_brief
from hooklab.store.find import Fetch, Finder, Step
from hooklab.store.fold import TOTALS
from hooklab.store.ids import message_of
from hooklab.store.measure import measure
from hooklab.store.search import SearchIndex, SearchView
from hooklab.store.signs import SignReader
from hooklab.store.sqlite import STORE
from hooklab.times import DAY, Clock
from hooklab.wire import STATUSES, Report, format_uuid

_MESSAGE: Final = (
    f"message_id, rank, seen, reports + repeats, first_at, {NEW_AT}, {LAST_AT}, last_arrival,"
    f" {DESCRIPTION}, {MSISDN}, {ORGANIZATION}, total_segments, custom_payload"
)
_BY_ID: Final = message_of("message_id = :id")
_MESSAGE_IN_BRIEF: Final = _MESSAGE.replace(DESCRIPTION, in_brief(DESCRIPTION)).replace(
    "custom_payload", in_brief("custom_payload")
)
_BATCH: Final = (
    f"SELECT sequence, received_at, {PEER}, label, bytes, elements, new, repeats, quarantined, retry_of, attempt,"
    " elements = 0 AND EXISTS (SELECT 1 FROM quarantine"
    f" WHERE id = (coalesce(retry_of, sequence) << {rules.INDEX_BITS} | {rules.WHOLE_BODY})) FROM batches"
)
_HISTORIES: Final = f"""
SELECT a.message, {timeline.COLUMNS}
FROM (SELECT message, digest, arrival, NULL AS retry FROM reports WHERE message BETWEEN :first AND :last
      UNION ALL SELECT message, digest, arrival, retry FROM repeats WHERE message BETWEEN :first AND :last) a
JOIN reports r ON r.message = a.message AND r.digest = a.digest
LEFT JOIN batches b ON b.sequence = a.arrival >> 22
ORDER BY a.message, a.arrival
"""
_QUARANTINE: Final = (
    "SELECT q.id, q.reason, q.count, b.received_at, {raw} FROM quarantine q"
    " LEFT JOIN batches b ON b.sequence = q.id >> 22"
)
_MINUTE: Final = "minute, batches, elements, reports, repeats, quarantined, delivered, not_delivered, pending, late"


class SqliteStoreReader:
    """See `StoreReader`. One read at a time: they share a connection, and each sees one moment."""

    def __init__(self, connection: aiosqlite.Connection, clock: Clock, index: SearchIndex | None = None) -> None:
        """Use `open`."""
        self._connection = connection
        self._index = index
        self._clock = clock
        self.stuck_after = DAY
        self._one_at_a_time = asyncio.Lock()
        self._signs = SignReader()

    @classmethod
    async def open(cls, path: Path, clock: Clock, index: SearchIndex | None = None) -> Self:
        """Opens `path` read-only, to be searched by `index` where there is one; errors are those of `open_reader`."""
        connection = await open_reader(path, STORE)
        try:
            await connection.create_function("word_begins", 2, word_begins, deterministic=True)
            await connection.create_function("id_begins", 2, id_begins, deterministic=True)
            reader = cls(connection, clock, index)
            await reader._learn_settings()
        except BaseException:
            await connection.close()
            raise
        return reader

    async def counters(self, journal_last: int) -> Counters:
        """See `StoreReader.counters`."""
        names = ", ".join(TOTALS)
        await self._learn_settings()
        before = self._clock() - self.stuck_after
        [(checkpoint, stuck, *values)] = await self._fetch(
            f"SELECT checkpoint, (SELECT count(*) FROM messages WHERE rank < 0 AND {NEW_AT} < ?), {names}"
            " FROM totals",
            (before,),
        )
        totals = dict(zip(TOTALS, values, strict=True))
        pending = totals["messages"] - totals["delivered"] - totals["not_delivered"]
        return Counters(**totals, pending=pending, stuck=stuck, lag=max(journal_last - checkpoint, 0))

    async def signs(self) -> Signs:
        """See `StoreReader.signs`."""
        return await self._signs.read(self._fetch, self._clock(), self.stuck_after)

    async def messages(self, where: Condition, limit: int, before: int | None = None) -> list[MessageRow]:
        """See `StoreReader.messages`."""
        # The index first: a store that is older than what that stands for would be searched without it.
        async with self._look(where) as view, self._moment() as fetch:
            finder = self._finder(fetch, where, view)
            if view is None:
                bounds = "" if before is None else " AND last_arrival < :b"
                rows = await finder.matching(limit, "messages", bounds, {"b": before})
            else:
                rows = await finder.all(limit, before)
        return [self._message(row) for _, *row in rows]

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        """See `StoreReader.search`."""
        async with self._look(where) as view:
            return self._found(await self._finder(self._fetch, where, view).step(limit, before))

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        """See `StoreReader.newer`."""
        async with self._look(where) as view:
            return self._found(await self._finder(self._fetch, where, view).up(limit, after))

    def _found(self, step: Step) -> Found:
        return Found(rows=[self._message(row) for _, *row in step.rows], reached=step.reached, newest=step.newest)

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        """See `StoreReader.changed`."""
        rows = await self._fetch(
            f"SELECT ({where.sql}), {_columns(where)} FROM messages WHERE last_arrival > :after"
            " ORDER BY last_arrival DESC LIMIT :limit",
            {**where.values, "after": after, "limit": limit, "stuck_before": self._clock() - self.stuck_after},
        )
        return [Changed(row=self._message(row), matches=bool(matches)) for matches, *row in rows]

    def _finder(self, fetch: Fetch, where: Condition, view: SearchView | None) -> Finder:
        return Finder(fetch, _columns(where), where, self._clock() - self.stuck_after, view)

    @asynccontextmanager
    async def _look(self, where: Condition) -> AsyncIterator[SearchView | None]:
        if self._index is None or where.narrow or not (where.lookups or where.since is not None):
            yield None
            return
        async with self._index.look() as view:
            yield view

    async def message(self, message_id: bytes) -> MessageDetail | None:
        """See `StoreReader.message`."""
        async with self._moment() as fetch:
            rows = await fetch(f"SELECT id, {_MESSAGE} FROM messages WHERE id = {_BY_ID}", {"id": message_id})
            if not rows:
                return None
            key, *row = rows[0]
            message = self._message(row)
            hidden = message.arrivals - timeline.FIRST - timeline.LAST
            if hidden > 0:
                told = await timeline.ends(fetch, key)
            else:
                told = (await timeline.page(fetch, key, -1, message.arrivals, None)).entries
        return MessageDetail(message=message, timeline=told, hidden=max(hidden, 0))

    async def timeline(self, message_id: bytes, limit: int, before: timeline.Page | None) -> timeline.Page | None:
        """The next arrivals of a message after those of `before`, from the first one on; None if it is not known."""
        after, final = (-1, None) if before is None else (before.reached, before.final)
        async with self._moment() as fetch:
            rows = await fetch(f"SELECT id FROM messages WHERE id = {_BY_ID}", {"id": message_id})
            return await timeline.page(fetch, rows[0][0], after, limit, final) if rows else None

    async def histories(self, after: int, limit: int) -> list[tuple[int, MessageDetail]]:
        """Messages with their timelines in order of first appearance, each with its number; `after` is the last's."""
        rows = await self._fetch(
            f"SELECT id, {_MESSAGE} FROM messages WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        if not rows:
            return []
        arrivals: dict[int, list[Any]] = defaultdict(list)
        for one in await self._fetch(_HISTORIES, {"first": rows[0][0], "last": rows[-1][0]}):
            arrivals[one[0]].append(one[1:])
        return [
            (key, MessageDetail(message=self._message(row), timeline=timeline.entries_of(arrivals[key])))
            for key, *row in rows
        ]

    async def settings(self) -> dict[str, str]:
        """The settings that what is stored depends on, by name."""
        return dict(await self._fetch("SELECT name, value FROM settings"))

    async def batches(self, limit: int, before: int | None = None, after: int | None = None) -> list[BatchRow]:
        """See `StoreReader.batches`."""
        return [_batch(row) for row in await self._fetch(*places.page(_BATCH, "sequence", limit, before, after))]

    async def batch_at(self, when: int) -> int:
        """See `StoreReader.batch_at`."""
        return await places.batch_at(self._fetch, when)

    async def batch(self, sequence: int) -> BatchRow | None:
        """See `StoreReader.batch`."""
        rows = await self._fetch(f"{_BATCH} WHERE sequence = ?", (sequence,))
        return _batch(rows[0]) if rows else None

    async def fates(self, sequence: int, reports: Sequence[tuple[int, Report]]) -> list[ElementFate]:
        """See `StoreReader.fates`."""
        found = await fetch_for(
            self._connection,
            "SELECT column1, r.arrival, p.retry FROM (",
            [(index, report.message_id, report.digest, rules.pack(sequence, index)) for index, report in reports],
            f") CROSS JOIN reports r ON r.message = {message_of('message_id = column2')} AND r.digest = column3"
            " LEFT JOIN repeats p ON p.message = r.message AND p.arrival = column4",
        )
        became = {index: _became(rules.pack(sequence, index), arrival, retry) for index, arrival, retry in found}
        return [
            ElementFate(
                index=index,
                message_id=format_uuid(report.message_id),
                status=STATUSES[report.status],
                became=became[index],
            )
            for index, report in reports
            if index in became
        ]

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        """See `StoreReader.quarantine`."""
        page = places.page(_QUARANTINE.format(raw="NULL"), "q.id", limit, before, after)
        return [_quarantined(row) for row in await self._fetch(*page)]

    async def quarantined(self, row_id: int) -> QuarantineDetail | None:
        """See `StoreReader.quarantined`."""
        rows = await self._fetch(_QUARANTINE.format(raw="q.raw") + " WHERE q.id = ?", (row_id,))
        return QuarantineDetail(row=_quarantined(rows[0]), raw=bytes(rows[0][-1])) if rows else None

    async def quarantined_in(self, sequence: int) -> dict[int, str]:
        """See `StoreReader.quarantined_in`."""
        rows = await self._fetch(
            "SELECT id, reason FROM quarantine WHERE id BETWEEN ? AND ?",
            (rules.pack(sequence, 0), rules.pack(sequence, rules.WHOLE_BODY)),
        )
        return {rules.unpack(row_id)[1]: reason for row_id, reason in rows}

    async def minutes(self, since: int) -> list[MinuteRow]:
        """See `StoreReader.minutes`."""
        rows = await self._fetch(f"SELECT {_MINUTE} FROM minutes WHERE minute >= ? ORDER BY minute", (since,))
        names = _MINUTE.split(", ")
        return [MinuteRow(**dict(zip(names, row, strict=True))) for row in rows]

    async def measure(self, since: int, org: str | None) -> Measured:
        """See `StoreReader.measure`."""
        await self._learn_settings()
        async with self._moment() as fetch:
            return await measure(fetch, since, org, self._clock(), self.stuck_after)

    async def close(self) -> None:
        """See `StoreReader.close`."""
        await self._connection.close()

    def _message(self, row: Sequence[Any]) -> MessageRow:
        (
            message_id,
            rank,
            seen,
            arrivals,
            first_at,
            new_at,
            last_at,
            last_arrival,
            description,
            *attributes,
        ) = row
        msisdn, organization_id, total_segments, custom_payload = attributes
        stuck = rank < 0 and new_at < self._clock() - self.stuck_after
        return MessageRow(
            message_id=format_uuid(message_id),
            state=STATUSES[rules.state_of(rank)],
            flags=rules.flags_of(seen, stuck=stuck),
            description=description,
            organization_id=organization_id,
            msisdn=msisdn,
            total_segments=total_segments,
            custom_payload=custom_payload,
            first_received_at=first_at,
            last_received_at=last_at,
            final_at=rules.final_at(rank),
            arrivals=arrivals,
            cursor=last_arrival,
        )

    async def _learn_settings(self) -> None:
        """A service that was started anew may have brought another: every reader goes by the one in force."""
        for (value,) in await self._fetch("SELECT value FROM settings WHERE name = 'stuck_after'"):
            self.stuck_after = int(value)

    @asynccontextmanager
    async def _moment(self) -> AsyncIterator[Fetch]:
        """Several reads of one moment."""

        async def fetch(sql: str, values: Mapping[str, Any]) -> list[Any]:
            return list(await self._connection.execute_fetchall(sql, values))

        async with self._one_at_a_time:
            await fetch("BEGIN", {})
            try:
                yield fetch
            finally:
                await fetch("ROLLBACK", {})

    async def _fetch(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        async with self._one_at_a_time:
            return list(await self._connection.execute_fetchall(sql, values))


def _columns(where: Condition) -> str:
    return _MESSAGE_IN_BRIEF if where.brief else _MESSAGE


def _became(here: int, first: int, retry: int | None) -> str:
    if here == first:
        return "new"
    return "retry" if retry else "duplicate"


def _batch(row: Sequence[Any]) -> BatchRow:
    values = dict(zip(BatchRow.__struct_fields__, row, strict=True))
    return BatchRow(**{**values, "malformed": bool(values["malformed"])})


def _quarantined(row: Sequence[Any]) -> QuarantineRow:
    row_id, reason, count, received_at, *_ = row
    batch, index = rules.unpack(row_id)
    return QuarantineRow(
        id=row_id,
        batch=batch,
        index=None if index == rules.WHOLE_BODY else index,
        reason=reason,
        count=count,
        received_at=received_at,
    )


def word_begins(text: str | None, word: str) -> bool:
    """Whether a word of `text` begins with `word`, letter case aside; a word begins after a non-letter."""
    if text is None:
        return False
    folded, at = text.casefold(), -1
    while (at := folded.find(word, at + 1)) >= 0:
        if at == 0 or not folded[at - 1].isalnum() or not word[:1].isalnum():
            return True
    return False


def id_begins(message_id: bytes, word: str) -> bool:
    """Whether the text of an id, or one of its five groups, begins with `word`."""
    return word_begins(format_uuid(message_id), word)
