"""Reads the journal in order, applies the rules, writes the store, remembers how far it is.

Live and after a crash alike: the checkpoint is written in the transaction of what it stands for, so that a
batch counts exactly once. Nothing that a batch holds can stop it (design, 3.6).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

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
from hooklab.store.base import Store
from hooklab.store.fold import Judged, JudgedBatch, Quarantined
from hooklab.wire import Elements, NotAnArray

log = logging.getLogger("hooklab.projector")

_READ_BYTES: Final = 1_300_000
_CHUNK_ELEMENTS: Final = 3_000
_SLICE_SECONDS: Final = 0.002
_BETWEEN_LOOKS: Final = 0x1F
"""Elements less one from one look at the clock to the next."""
_RETRY_SECONDS: Final = 0.5
_LARGE_BODY: Final = 1024 * 1024
_GATHER_SECONDS: Final = 0.02
"""How long batches gather before a chunk, unless there is a backlog: a chunk costs the same few dozen hops to
SQLite's thread whether it holds one batch or a hundred, and those hops are taken from the answers."""

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
        self._done_at_once = 0
        self._slice_ends = 0.0

    async def run(self) -> None:
        """Projects whatever the journal brings until `finish` is called.

        Raises:
            sqlite3.DatabaseError: the store is damaged, or `interrupt` said so.
        """
        self._at = await self._store.checkpoint()
        while self._deadline is None:
            if self._told is not None:
                raise self._told
            if await self._wait():
                if self._done_at_once < _CHUNK_ELEMENTS:
                    await asyncio.sleep(_GATHER_SECONDS)
                await self._step()
        while time.monotonic() < self._deadline and self._at < (await self._journal.span())[1]:
            before = self._at
            await self._step()
            if self._at == before and not self._troubled:
                break

    async def catch_up(self, progress: Callable[[int], None] | None = None) -> None:
        """Projects up to the journal's present end; `progress` is told the last batch done.

        Raises:
            JournalUnavailable, sqlite3.Error, OSError: a file cannot be read or written.
        """
        self._at = await self._store.checkpoint()
        _, last = await self._journal.span()
        while self._at < last and await self._read_and_project():
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

    async def _step(self) -> None:
        """Projects one chunk; waits a little where the disk does not let it."""
        try:
            await self._read_and_project()
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

    async def _read_and_project(self) -> bool:
        batches = await self._journal.read(self._at, _READ_BYTES)
        chunk: list[JudgedBatch] = []
        elements = self._done_at_once = 0
        writing: asyncio.Task[None] | None = None
        try:
            for batch in batches:
                judged = await self._judge(batch)
                if chunk and elements + judged.elements > _CHUNK_ELEMENTS:
                    # The next chunk is judged while SQLite writes this one: two cores have something to do.
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(self._project(chunk))
                    chunk, elements = [], 0
                    await asyncio.sleep(0)
                chunk.append(judged)
                elements += judged.elements
                self._done_at_once += judged.elements
        finally:
            if writing is not None:
                await writing
        if chunk:
            await self._project(chunk)
        return bool(batches)

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
            if index & _BETWEEN_LOOKS == 0 and time.perf_counter() > self._slice_ends:
                await asyncio.sleep(0)  # answers go first
                self._slice_ends = time.perf_counter() + _SLICE_SECONDS
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
