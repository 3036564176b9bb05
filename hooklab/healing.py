"""Puts what is in quarantine through today's rules again.

Batch by batch: what is understood now becomes a report with the arrival that it always had, and each message that it
touches is judged anew from its whole list of arrivals, read from the journal. The result is that of a rebuild.
"""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from hooklab.journal.base import Journal, JournalBatch
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
from hooklab.rules import WHOLE_BODY, unpack
from hooklab.store.fold import Judged, JudgedBatch, Quarantined
from hooklab.store.healing import InQuarantine, SqliteHealing, bodies_before
from hooklab.store.rewrite import HeldAside, rewrite
from hooklab.store.sqlite import SqliteStore
from hooklab.wire import Elements

log = logging.getLogger("hooklab.healing")

_NO_LIMIT: Final = 1 << 22


class Retried(Struct, frozen=True):
    """What a retry of the quarantine did. Counts are rows of the quarantine."""

    tried: int = 0
    healed: int = 0
    """Rows that are gone because all that they held is understood."""
    left: int = 0


class Healer:
    """One pass through the quarantine, beside a projector that goes on."""

    def __init__(self, journal: Journal, store: SqliteStore, reading: Reading, *, max_elements: int) -> None:
        """By the settings with which the store is projected."""
        self._journal = journal
        self._store = store
        self._held = SqliteHealing(store)
        self._reading = reading
        self._max_elements = max_elements

    async def retry(self) -> Retried:
        """Tries all that is in quarantine.

        Raises:
            JournalUnavailable, sqlite3.Error, OSError: a file cannot be read or written; what was done stays done.
        """
        tried = left = at = 0
        while True:
            async with self._store.alone:
                batch = await self._held.next_batch(at)
                if batch is None:
                    return Retried(tried, tried - left, left)
                rows = await self._held.in_quarantine(batch)
                await self._retry_batch(batch, rows)
                tried += len(rows)
                left += len(await self._held.in_quarantine(batch))
            at = batch

    async def _retry_batch(self, batch: int, rows: Sequence[InQuarantine]) -> None:
        unit = await self._judge(batch, rows)
        if unit is None:
            return
        reasons = unit.reasons()
        for row in rows:
            reason = reasons.get(row.id)
            if reason is not None and reason != row.reason:
                await self._held.name_reason(row.id, reason)
        chosen = unit.healable()
        if not chosen:
            return  # nor is it in the others, of which there may be any number
        # To look for the others goes through all batches.
        others = [] if rows[-1].count == 1 else (await self._held.same_body(batch))[1:]
        units = [unit, *[await self._judge(sequence, rows) for sequence in others]]
        if all(units):  # without all of its bodies there is nothing to judge anew
            await self._heal([one for one in units if one is not None], chosen)

    async def _judge(self, sequence: int, rows: Sequence[InQuarantine]) -> "_Unit | None":
        """None where the body is no longer kept."""
        kept = await self._journal.get(sequence)
        if kept is None:
            return None
        # On a thread: thousands of odd elements take a while, and answers must not wait for it.
        return await asyncio.to_thread(_judged_today, kept, rows, self._reading, self._max_elements)

    async def _heal(self, units: Sequence["_Unit"], chosen: Sequence[InQuarantine]) -> None:
        """Writes what is healed; what cannot be written is searched for by halves, and stays where it is."""
        try:
            await self._write(units, chosen)
        except Exception as error:
            if is_of_the_file(error):
                raise
            if len(chosen) == 1:
                log.error("batch %d: %s; it stays in quarantine", units[0].batch.sequence, internal(error))  # noqa: TRY400
                return
            half = len(chosen) // 2
            await self._heal(units, chosen[:half])
            # What was written is not in quarantine any more.
            left = {row.id for row in await self._held.in_quarantine(units[0].batch.sequence)}
            rest = [replace(unit, rows=[row for row in unit.rows if row.id in left]) for unit in units]
            await self._heal(rest, chosen[half:])

    async def _write(self, units: Sequence["_Unit"], chosen: Sequence[InQuarantine]) -> None:
        message_ids = {one.report.message_id: None for unit in units for one in unit.judged_in(chosen)}
        keys, arrivals, next_message = await self._held.arrivals(list(message_ids))
        by_batch: dict[int, list[int]] = {unit.batch.sequence: [] for unit in units}
        for arrival in arrivals:
            sequence, index = unpack(arrival)
            by_batch.setdefault(sequence, []).append(index)
        own = {unit.batch.sequence: unit for unit in units}
        before: list[JudgedBatch] = []
        after: list[JudgedBatch] = []
        for sequence in sorted(by_batch):
            held = own[sequence].batch if sequence in own else await self._journal.get(sequence)
            if held is None or held.damaged:
                return  # its body is no longer there: the message cannot be judged anew
            stored = self._stored(held, by_batch[sequence])
            before.append(own[sequence].before(stored) if sequence in own else batch_of(held, 0, stored, []))
            after.append(own[sequence].after(stored, chosen) if sequence in own else before[-1])
        attempts = await self._held.attempts(list(by_batch))
        bodies = bodies_before(attempts, [(one.sequence, one.digest) for one in before])
        aside = HeldAside(bodies, keys, next_message, await self._held.texts())
        await self._held.apply(rewrite(before, after, aside))

    def _stored(self, batch: JournalBatch, indexes: Sequence[int]) -> list[Judged]:
        """Elements that the store has understood before, understood again."""
        if not indexes:
            return []
        elements = Elements(batch.body, _NO_LIMIT)
        judged = [judge_element(elements, index, self._reading) for index in indexes]
        return [one for one in judged if isinstance(one, Judged)]


class _Unit(Struct, frozen=True):
    """One batch with something in quarantine: as it stands, and as it is judged today."""

    batch: JournalBatch
    rows: Sequence[InQuarantine]
    count: int
    """Elements of the array; 0 where it is none."""
    judged: list[Judged]
    misfits: list[Quarantined]
    why: str | None
    """Why the whole body is not understood today."""

    @property
    def is_body(self) -> bool:
        """Whether the whole body is in quarantine."""
        return bool(self.rows) and unpack(self.rows[-1].id)[1] == WHOLE_BODY

    def healable(self) -> list[InQuarantine]:
        """The rows of which something is understood today."""
        if self.is_body:
            return list(self.rows) if self.why is None else []
        indexes = [one.index for one in self.judged]  # in order
        return [
            row
            for row in self.rows
            if bisect_left(indexes, _covered_by(row).start) < bisect_left(indexes, _covered_by(row).stop)
        ]

    def judged_in(self, rows: Sequence[InQuarantine]) -> list[Judged]:
        """What is understood today of what `rows` stand for."""
        if self.is_body:
            return self.judged
        covered = _covered(rows)
        return [one for one in self.judged if one.index in covered]

    def reasons(self) -> dict[int, str]:
        """Why rows are not understood, in today's words, by their id."""
        if self.is_body:
            return {} if self.why is None else {row.id: self.why for row in self.rows}
        said = {one.index: one.reason for one in self.misfits}
        return {row.id: said[index] for row in self.rows if (index := unpack(row.id)[1]) in said}

    def before(self, stored: list[Judged]) -> JudgedBatch:
        """As it stands in the store, of the touched messages only."""
        if self.is_body:
            return whole(self.batch, "")
        return batch_of(self.batch, self.count, stored, [_as_it_stands(row) for row in self.rows])

    def after(self, stored: list[Judged], chosen: Sequence[InQuarantine]) -> JudgedBatch:
        """As it is to stand when the rows in `chosen` are healed."""
        if self.is_body:
            return batch_of(self.batch, self.count, self.judged, self.misfits)
        covered = _covered(chosen)
        ids = {row.id for row in chosen}
        quarantined = [_as_it_stands(row) for row in self.rows if row.id not in ids]
        quarantined += [one for one in self.misfits if one.index in covered]
        judged = sorted([*stored, *self.judged_in(chosen)], key=lambda one: one.index)
        return batch_of(self.batch, self.count, judged, quarantined)


def _judged_today(batch: JournalBatch, rows: Sequence[InQuarantine], reading: Reading, max_elements: int) -> _Unit:
    why = why_whole(batch, check=True)
    if why is not None:
        return _Unit(batch, rows, 0, [], [], why)
    elements = Elements(batch.body, max_elements)
    all_of_it = [judge_element(elements, index, reading) for index in range(len(elements))]
    judged = [one for one in all_of_it if isinstance(one, Judged)]
    misfits = [one for one in all_of_it if isinstance(one, Quarantined)]
    rest = remainder(elements)
    return _Unit(batch, rows, elements.count, judged, misfits if rest is None else [*misfits, rest], None)


def _covered(rows: Sequence[InQuarantine]) -> set[int]:
    """The indexes for which rows stand: one row may stand for many elements."""
    return {at for row in rows for at in _covered_by(row)}


def _covered_by(row: InQuarantine) -> range:
    first = unpack(row.id)[1]
    return range(first, first + max(row.elements, 1))


def _as_it_stands(row: InQuarantine) -> Quarantined:
    return Quarantined(unpack(row.id)[1], b"", row.reason, row.elements)
