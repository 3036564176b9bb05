"""Where the screen and the commands get their data: one small protocol.

In the service's process and attached from another are two ways to build it, not two screens.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import msgspec
from msgspec.structs import replace

from hooklab.admin_client import NoAnswerError, StatusSource, order_service
from hooklab.config import DEFAULT_ELEMENTS
from hooklab.database import DatabaseError, is_damaged
from hooklab.files import Folder, free_and_total
from hooklab.healing import Retried
from hooklab.insights import Insights, insights
from hooklab.journal.base import JournalBatch, JournalDamaged, JournalError
from hooklab.journal.read import SqliteJournalReader
from hooklab.judging import DAMAGED
from hooklab.metrics import Signs, Snapshot, with_service
from hooklab.rules import WHOLE_BODY
from hooklab.store.base import (
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
from hooklab.store.read import SqliteStoreReader
from hooklab.store.search import SearchIndex
from hooklab.times import HOUR, Clock
from hooklab.wire import Elements, Report, parse_uuid


class MonitorError(Exception):
    """The data cannot be read now; the text says why in words for a person."""


class Monitor(Protocol):
    """All that a screen may ask. Every call is a short read; each may raise MonitorError."""

    async def snapshot(self, *, signs: bool = False) -> Snapshot:
        """Counters and the service's own word, of one moment; with `signs` also since when something needs a look."""

    async def messages(self, where: Condition, limit: int, before: int | None = None) -> list[MessageRow]:
        """Messages with the newest activity first; `before` is the cursor of the last row already seen."""

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        """One bounded step of a search through the messages, newest activity first."""

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        """One bounded step of a search upwards from the cursor `after`; what it found, newest activity first."""

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        """The messages with activity after the cursor `after`, newest first, whether `where` holds or not."""

    async def message(self, message_id: str) -> MessageDetail | None:
        """One message with its timeline; None if it is not known or not a UUID."""

    async def batches(self, limit: int, before: int | None = None, after: int | None = None) -> list[BatchRow]:
        """Batches, newest first; with `after` those next above it."""

    async def batch_at(self, when: int) -> int:
        """The number of the last batch received at or before `when` (microseconds UTC), 0 for none.

        Where a clock was set back there may be several such places in the order of arrival; it is one of them.
        """

    async def batch(self, sequence: int) -> BatchDetail | None:
        """One batch whole; None if it is not known (or not yet projected)."""

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        """What could not be understood, newest first; with `after` what is next above it."""

    async def quarantined(self, row_id: int) -> QuarantineDetail | None:
        """One thing in quarantine with its bytes; None if it is not (or no longer) there."""

    async def retry_quarantine(self) -> Retried | None:
        """Has the running service put all that is in quarantine through its rules again, which may take long; None
        where no service runs.
        """

    async def minutes(self, since: int) -> list[MinuteRow]:
        """Per-minute counters from minute `since` on (minutes since 1970 UTC), oldest first."""

    async def insights(self, since: int | None, org: str | None) -> Insights:
        """Answers about what came from `since` on (microseconds UTC, taken to the full hour before; None for all),
        for the organizations whose ids begin with `org`.
        """

    async def close(self) -> None:
        """Lets go of files and connections."""


class FolderMonitor:
    """A `Monitor` on a data folder, whether its service runs here, elsewhere or not at all.

    It opens the files when they are first asked for, and anew when they were replaced (a rebuild does that).
    """

    def __init__(self, folder: Folder, clock: Clock, status: StatusSource) -> None:
        """Opens nothing yet."""
        self._folder = folder
        self._clock = clock
        self._status = status
        self._store: SqliteStoreReader | None = None
        self._journal: SqliteJournalReader | None = None
        self._index = SearchIndex(folder.search)
        self._opened: tuple[int, int] | None = None
        self._seen: tuple[int, int] | None = None
        self._files = 0
        self._judged: str | None = None
        self._opening = asyncio.Lock()

    async def snapshot(self, *, signs: bool = False) -> Snapshot:
        """See `Monitor.snapshot`."""
        status = await self._status()
        async with self._reading() as (store, journal):
            # First the journal's end, then the store: the other way round lag could be negative.
            _, last = await journal.span()
            counters = await store.counters(last)
            seen = await store.signs() if signs else Signs()
        if signs:
            free, size = await asyncio.to_thread(free_and_total, self._folder.path)
            seen = replace(seen, disk_free=free, disk_size=size)
            if self._judged not in (None, seen.judged):
                self._files += 1
            self._judged = seen.judged
        return Snapshot(
            taken_at=self._clock(),
            counters=with_service(counters, status),
            service=status,
            signs=seen,
            files=self._files,
        )

    async def messages(self, where: Condition, limit: int, before: int | None = None) -> list[MessageRow]:
        """See `Monitor.messages`."""
        async with self._reading() as (store, _):
            rows = await store.messages(where, limit, before)
        await self._have_index_checked()
        return rows

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        """See `Monitor.search`."""
        async with self._reading() as (store, _):
            found = await store.search(where, limit, before)
        await self._have_index_checked()
        return found

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        """See `Monitor.newer`."""
        async with self._reading() as (store, _):
            return await store.newer(where, limit, after)

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        """See `Monitor.changed`."""
        async with self._reading() as (store, _):
            return await store.changed(where, after, limit)

    async def message(self, message_id: str) -> MessageDetail | None:
        """See `Monitor.message`."""
        key = parse_uuid(message_id)
        if key is None:
            return None
        async with self._reading() as (store, _):
            return await store.message(key)

    async def timeline(self, message_id: str, size: int = 20_000) -> AsyncIterator[list[TimelineEntry]]:
        """All arrivals of a message, however many, `size` at a time; each time a short read."""
        key, page = parse_uuid(message_id), None
        while key is not None:
            async with self._reading() as (store, _):
                page = await store.timeline(key, size, page)
            if page is None or not page.entries:
                return
            yield page.entries

    async def batches(self, limit: int, before: int | None = None, after: int | None = None) -> list[BatchRow]:
        """See `Monitor.batches`."""
        async with self._reading() as (store, _):
            return await store.batches(limit, before, after)

    async def batch_at(self, when: int) -> int:
        """See `Monitor.batch_at`."""
        async with self._reading() as (store, _):
            return await store.batch_at(when)

    async def kept(self, sequence: int) -> JournalBatch | None:
        """One batch as the journal keeps it, projected or not."""
        async with self._reading() as (_, journal):
            return await journal.get(sequence)

    async def batch(self, sequence: int) -> BatchDetail | None:
        """See `Monitor.batch`."""
        async with self._reading() as (store, journal):
            row, kept = await store.batch(sequence), await journal.get(sequence)
            if row is None:
                return None
            reasons = await store.quarantined_in(sequence)
            # A body that nobody understood is in quarantine once, under the batch that brought it first.
            whole = reasons if row.retry_of is None else await store.quarantined_in(row.retry_of)
            malformed = whole.get(WHOLE_BODY)
            if kept is None:
                return BatchDetail(row=row, malformed=malformed, took_ms=None, headers=None, body=None, elements=[])
            # A damaged body may be no array any more, and what it says is not what was sent.
            count = 0 if kept.damaged else row.elements
            understood, others = _split(
                kept.body, count, int((await store.settings()).get("max_elements", DEFAULT_ELEMENTS))
            )
            fates = await store.fates(sequence, understood)
        return BatchDetail(
            row=row,
            malformed=DAMAGED if kept.damaged else malformed,
            took_ms=kept.took_ms,
            headers=[(name, value) for name, value in json.loads(kept.headers)],
            body=kept.body,
            elements=sorted(
                [*fates, *_quarantined({*others, *dict(understood)} - {fate.index for fate in fates}, reasons)],
                key=lambda fate: fate.index,
            ),
        )

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        """See `Monitor.quarantine`."""
        async with self._reading() as (store, _):
            return await store.quarantine(limit, before, after)

    async def quarantined(self, row_id: int) -> QuarantineDetail | None:
        """See `Monitor.quarantined`."""
        async with self._reading() as (store, _):
            return await store.quarantined(row_id)

    async def retry_quarantine(self) -> Retried | None:
        """See `Monitor.retry_quarantine`."""
        return await asyncio.to_thread(order_retry, self._folder)

    async def minutes(self, since: int) -> list[MinuteRow]:
        """See `Monitor.minutes`."""
        async with self._reading() as (store, _):
            return list(await store.minutes(since))

    async def insights(self, since: int | None, org: str | None) -> Insights:
        """See `Monitor.insights`."""
        hour = None if since is None else max(since // HOUR * HOUR, 0)
        async with self._reading() as (store, _):
            measured = await store.measure(hour or 0, org)
        return insights(measured, since=hour, until=self._clock(), organization=org)

    async def close(self) -> None:
        """See `Monitor.close`."""
        store, journal = self._store, self._journal
        self._store = self._journal = self._opened = None
        for reader in (store, journal):
            if reader is not None:
                await reader.close()
        await self._index.close()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[tuple[SqliteStoreReader, SqliteJournalReader]]:
        try:
            yield await self._readers()
        except JournalDamaged as error:
            await self.close()
            raise MonitorError(
                f"{self._folder.journal} is damaged ({error}): stop hooklab, save what can be read with `hooklab"
                " salvage`, and start it again"
            ) from error
        except (sqlite3.Error, OSError, ValueError, DatabaseError, JournalError) as error:
            await self.close()
            if is_damaged(error):
                raise MonitorError(await self._have_store_checked(error)) from error
            raise MonitorError(f"{self._folder.path} cannot be read: {error}") from error

    async def _have_index_checked(self) -> None:
        """Tells the service of damage to the search index, without which a search is slower and finds the same."""
        if self._index.damaged:
            self._index.damaged = False
            with suppress(NoAnswerError):
                await asyncio.to_thread(order_service, self._folder, "/search/check")

    async def _have_store_checked(self, error: Exception) -> str:
        """Tells the service of damage that only readers meet; says what is done about it."""
        try:
            told = await asyncio.to_thread(order_service, self._folder, "/store/check")
        except NoAnswerError:
            told = None
        done = (
            "hooklab looks it over now, and rebuilds it from the journal" if told else "mend it with: hooklab rebuild"
        )
        return f"{self._folder.store} is damaged ({error}); {done}"

    async def _readers(self) -> tuple[SqliteStoreReader, SqliteJournalReader]:
        async with self._opening:
            try:
                present = self._folder.store.stat().st_ino, self._folder.journal.stat().st_ino
            except FileNotFoundError:
                self._seen = None  # the next may have the same numbers
                raise
            if present != self._seen:
                self._seen = present
                self._files += 1
            if present != self._opened:
                await self.close()
                self._journal = await SqliteJournalReader.open(self._folder.journal)
                self._store = await SqliteStoreReader.open(self._folder.store, self._clock, self._index)
                self._opened = present
            assert self._store is not None
            assert self._journal is not None
            return self._store, self._journal


def order_retry(folder: Folder) -> Retried | None:
    """See `Monitor.retry_quarantine`, of a data folder."""
    try:
        answer = order_service(folder, "/quarantine/retry")
    except NoAnswerError as error:
        raise MonitorError(str(error)) from error
    if answer is None:
        return None
    code, said = answer
    if code != 200:
        raise MonitorError(f"the service could not retry the quarantine: {said.get('problem', code)}")
    return msgspec.convert(said, Retried)


def _split(body: bytes, count: int, limit: int) -> tuple[list[tuple[int, Report]], list[int]]:
    """The understood elements of a body of `count`, and the indexes of the others; a malformed body has neither.

    What lies beyond `limit` is one thing in quarantine, and one here: there may be millions.
    """
    elements = list(Elements(body, limit)) if count else []
    understood = [(index, one) for index, one in enumerate(elements) if isinstance(one, Report)]
    others = [index for index, one in enumerate(elements) if not isinstance(one, Report)]
    return understood, [*others, limit] if count > limit else others


def _quarantined(indexes: set[int], reasons: Mapping[int, str]) -> list[ElementFate]:
    return [
        ElementFate(index=index, message_id=None, status=None, became="quarantined", reason=reasons.get(index))
        for index in indexes
    ]
