"""Reads the journal in order, applies the rules, writes the store, remembers how far it is.

Live and after a crash alike: the checkpoint is written in the transaction of what it stands for, so that a
batch counts exactly once. Nothing that a batch holds can stop it (design, 3.6).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final

import msgspec

from hooklab.database import is_io
from hooklab.journal.base import Journal, JournalBatch, JournalUnavailable
from hooklab.judging import (
    Reading,
    batch_of,
    internal,
    is_of_the_file,
    judge_element,
    remainder,
    whole,
    why_whole,
)
from hooklab.pace import Pace
from hooklab.store.base import Prepared, Store
from hooklab.store.fold import Judged, JudgedBatch, Quarantined
from hooklab.wire import Elements, NotAnArray

log = logging.getLogger("hooklab.projector")

_READ_BYTES: Final = 256 * 1024
"""At once, of the journal: what is read is unpacked and digested without a pause."""
_CHUNK_BYTES: Final = 1_300_000
_CHUNK_ELEMENTS: Final = 1_500
_BETWEEN_LOOKS: Final = 0x1F
"""Elements less one from one look at the clock to the next."""
_RETRY_SECONDS: Final = 0.5
_LARGE_BODY: Final = 1024 * 1024
_GATHER_SECONDS: Final = 0.02
"""How long batches gather before a chunk, unless there is a backlog: a chunk costs the same few dozen
statements whether it holds one batch or a hundred, and their time is taken from the answers."""

Split = Callable[[bytes, int], Elements]
"""Takes a body and the most elements to judge; gives its elements."""


class Projector:
    """One task; `run` ends only when `finish` asks for it."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        *,
        assumed: tzinfo,
        max_elements: int,
        split: Split = Elements,
        sent_at_key: str = "",
    ) -> None:
        """Puts it together; `assumed` is the zone of times that name none, `sent_at_key` as in `sent_at`."""
        self._journal = journal
        self._store = store
        self._reading = Reading(assumed, sent_at_key)
        self._max_elements = max_elements
        self._split = split
        self._at = 0
        self._deadline: float | None = None
        self._idle: asyncio.Future[None] | None = None
        self._told: Exception | None = None
        self._troubled = False
        self._read: deque[JournalBatch] = deque()
        self._read_to = 0
        self._chunk: list[JudgedBatch] = []
        self._ready: Prepared | None = None
        self._carefully = False
        self._has_more = False
        self._pace = Pace(journal.is_busy)

    async def run(self) -> None:
        """Projects whatever the journal brings until `finish` is called.

        Raises:
            sqlite3.DatabaseError: the store is damaged, or `interrupt` said so.
        """
        self._at = await self._store.checkpoint()
        self._forget_ahead()
        while self._deadline is None:
            if self._told is not None:
                raise self._told
            if await self._wait():
                if not (self._ready or self._chunk or self._has_more):
                    self._pace.caught_up()
                    await asyncio.sleep(_GATHER_SECONDS)
                await self._step()
        while time.monotonic() < self._deadline and self._at < (await self._journal.span())[1]:
            if not await self._step() and not self._troubled:
                break

    async def catch_up(self, progress: Callable[[int], None] | None = None) -> None:
        """Projects up to the journal's present end; `progress` is told the last batch done.

        Raises:
            JournalUnavailable, sqlite3.Error, OSError: a file cannot be read or written.
        """
        self._at = await self._store.checkpoint()
        self._forget_ahead()
        _, last = await self._journal.span()
        while self._at < last and await self._read_and_project():
            if progress is not None:
                progress(self._at)
        if progress is not None:
            progress(self._at)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self._idle is not None

    @property
    def reached(self) -> int:
        """The last batch done; 0 before `run`."""
        return self._at

    def interrupt(self, error: Exception) -> None:
        """Has `run` raise `error`, which somebody else met in the store, between two chunks."""
        self._told = error
        if self._idle is not None:
            self._idle.cancel()

    def finish(self, seconds: float) -> None:
        """Lets `run` end: when all is projected, or after `seconds`."""
        self._deadline = time.monotonic() + seconds
        if self._idle is not None:
            self._idle.cancel()

    async def _wait(self) -> bool:
        self._idle = asyncio.ensure_future(self._journal.wait_beyond(self._at))
        try:
            await self._idle
        except asyncio.CancelledError:
            if self._deadline is None and self._told is None:
                raise
            return False
        finally:
            self._idle = None
        return True

    async def _step(self) -> bool:
        """Projects one chunk, if there is one; waits a little where the disk does not let it."""
        more = False
        try:
            more = await self._read_and_project()
        except Exception as error:
            if not (is_io(error) or isinstance(error, JournalUnavailable)):
                raise
            if not self._troubled:
                log.error("projection waits: %s", error)  # noqa: TRY400  the reason says it all
            self._troubled = True
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            if self._troubled:
                log.warning("projection goes on")
            self._troubled = False
        return more

    async def _read_and_project(self) -> bool:
        """Has one chunk written, and meanwhile the next prepared and the one after judged: two cores have work.

        Gives False once nothing is left anywhere.
        """
        if self._carefully:
            self._carefully = False
            chunk = await self._next_chunk()
            if chunk:
                await self._project(chunk)
            return bool(chunk)
        ready, chunk = self._ready, self._chunk
        # In this order: what the next chunk touches is looked up before SQLite is busy with writing.
        preparing = asyncio.create_task(self._store.prepare(chunk, ready, self._pace.give_way)) if chunk else None
        writing = asyncio.create_task(self._write(ready)) if ready is not None else None
        try:
            self._chunk = await self._next_chunk() if self._reads_on() else []
            self._ready = None if preparing is None else await preparing
            if writing is not None:
                await writing
        except Exception as error:
            await _ended(preparing, writing)
            self._forget_ahead()
            if is_of_the_file(error):
                raise
            self._carefully = True  # something cannot be written, or the quarantine's retry came between
            return True
        return bool(self._ready or self._chunk)

    def _reads_on(self) -> bool:
        """Whether to read more: the rest of a backlog, or whatever there is when all before is written."""
        return self._has_more or not (self._ready or self._chunk)

    async def _write(self, ready: Prepared) -> None:
        await self._store.write(ready)
        self._at = ready.batches[-1].sequence

    def _forget_ahead(self) -> None:
        """Has everything after the last batch that was written read again."""
        self._ready, self._chunk = None, []
        self._read.clear()
        self._read_to = self._at

    async def _next_chunk(self) -> list[JudgedBatch]:
        """Judges as much as is written at once; how little there is says whether there is a backlog."""
        chunk: list[JudgedBatch] = []
        elements = size = 0
        while not (more := elements >= _CHUNK_ELEMENTS or size >= _CHUNK_BYTES):
            if not self._read:
                self._read.extend(await self._journal.read(self._read_to, _READ_BYTES))
            if not self._read:
                break
            batch = self._read.popleft()
            self._read_to = batch.sequence
            self._pace.reached(batch.received_at)
            chunk.append(await self._judge(batch))
            elements += chunk[-1].elements
            size += len(batch.body)
        self._has_more = more
        if not more:
            self._pace.caught_up()
        return chunk

    async def _judge(self, batch: JournalBatch) -> JudgedBatch:
        # Also what was answered 400: today's rules may understand more than those of that day.
        if (why := why_whole(batch, check=False)) is not None:
            return whole(batch, why)
        try:
            if len(batch.body) < _LARGE_BODY:
                elements = self._split(batch.body, self._max_elements)
            else:  # splitting an odd one may take a second: answers must not wait for it
                elements = await asyncio.to_thread(self._split, batch.body, self._max_elements)
        except NotAnArray as error:
            return whole(batch, str(error))
        except Exception as error:
            return whole(batch, internal(error))
        judged: list[Judged] = []
        misfits: list[Quarantined] = []
        for index in range(len(elements)):
            one = judge_element(elements, index, self._reading)
            if isinstance(one, Judged):
                judged.append(one)
            else:
                misfits.append(one)
            if index & _BETWEEN_LOOKS == 0:
                await self._pace.give_way()
        rest = remainder(elements)
        return batch_of(batch, elements.count, judged, misfits if rest is None else [*misfits, rest])

    async def _project(self, batches: Sequence[JudgedBatch]) -> None:
        """Writes `batches`; halves them down to the element that cannot be written, and quarantines that."""
        try:
            await self._store.project(batches)
        except Exception as error:
            if is_of_the_file(error):
                raise
            if len(batches) > 1:
                half = len(batches) // 2
                await self._project(batches[:half])
                await self._project(batches[half:])
                return
            await self._project_without_poison(batches[0], error)
        self._at = batches[-1].sequence

    async def _project_without_poison(self, batch: JudgedBatch, error: Exception) -> None:
        reason = internal(error)
        log.error("batch %d: %s; what causes it goes to quarantine", batch.sequence, reason)
        stored = await self._journal.get(batch.sequence)
        assert stored is not None
        raws = dict(enumerate(Elements(stored.body, self._max_elements).raws)) if batch.judged else {}
        # If it fails even without its reports, none of them is to blame, and there is nothing to search.
        searchable = not await self._fails(_without(batch, batch.judged, raws, reason))
        poison = await self._poison_in(batch, batch.judged, raws) if searchable else []
        for bad in (poison, batch.judged):  # none to blame alone: all of them
            try:
                await self._store.project([_without(batch, bad, raws, reason)])
            except Exception as again:
                if is_of_the_file(again):
                    raise
            else:
                return
        whole = Quarantined(0, stored.body, reason, batch.elements)
        await self._store.project([msgspec.structs.replace(batch, judged=[], quarantined=[whole])])

    async def _fails(self, batch: JudgedBatch) -> bool:
        """Whether `batch` cannot be written; it is not."""
        try:
            await self._store.project([batch], keep=False)
        except Exception as error:
            if is_of_the_file(error):
                raise
            return True
        return False

    async def _poison_in(
        self, batch: JudgedBatch, suspects: Sequence[Judged], raws: dict[int, bytes]
    ) -> list[Judged]:
        if not suspects:
            return []
        kept = {one.index for one in suspects}
        others = [one for one in batch.judged if one.index not in kept]
        if not await self._fails(_without(batch, others, raws, "")):
            return []
        if len(suspects) == 1:
            return list(suspects)
        half = len(suspects) // 2
        return [
            *await self._poison_in(batch, suspects[:half], raws),
            *await self._poison_in(batch, suspects[half:], raws),
        ]


async def _ended(*tasks: asyncio.Task[Any] | None) -> None:
    """Returns when all of them are; what they raise is looked at."""
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def _without(batch: JudgedBatch, bad: Sequence[Judged], raws: dict[int, bytes], reason: str) -> JudgedBatch:
    away = {one.index for one in bad}
    return msgspec.structs.replace(
        batch,
        judged=[one for one in batch.judged if one.index not in away],
        quarantined=sorted(
            [*batch.quarantined, *(Quarantined(index, raws[index], reason) for index in away)],
            key=lambda one: one.index,
        ),
    )
