"""What changes in the store when elements that were in quarantine are understood. Pure: any backend can write it.

The touched messages are folded twice from their whole lists of arrivals, once without and once with the healed
elements. What the second fold gives takes the place of their rows; what adds up (totals, minutes, batches) changes by
the difference. So the result is that of a rebuild, by the same code.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from hooklab.facts import Fact
from hooklab.store.compact import Texts
from hooklab.store.fold import BodyRow, Changes, Held, HeldMessage, JudgedBatch, ReportRow, fold

_K = TypeVar("_K", bound=Hashable)

BatchChange = tuple[int, int, int, int, int]
"""sequence, and what to add to elements, new, repeats and quarantined."""


class Rewrite(Struct):
    """The rows to write: those of the touched messages anew, and what to add to what adds up."""

    texts: Texts
    messages: list[HeldMessage]
    """With the keys that they have in the store, or new ones."""
    reports: list[ReportRow]
    repeats: list[tuple[int, int, bytes, int]]
    batches: list[BatchChange]
    minutes: dict[int, list[int]]
    names: dict[int, str]
    lives: dict[tuple[int, int], dict[Fact, int]]
    lags: dict[tuple[int, int, int], int]
    retries: dict[tuple[int, int, int], int]
    totals: dict[str, int]
    gone: list[int]
    """Ids of quarantine rows that go."""
    quarantine: dict[int, tuple[str, int, int, bytes]]
    """Quarantine rows that come or are other, by id: reason, elements, count, raw."""


class HeldAside(Struct, frozen=True):
    """What the store has of the bodies, messages and names that are touched.

    Attributes:
        bodies: of each digest its first batch and how often it came before the first of these batches, if it did.
        keys: of the touched messages, by `message_id`.
        next_message: the key that the next new message gets.
        texts: those that are kept once, with their numbers.
    """

    bodies: Mapping[bytes, BodyRow]
    keys: Mapping[bytes, int]
    next_message: int
    texts: Mapping[str, int]


def rewrite(before: Sequence[JudgedBatch], after: Sequence[JudgedBatch], held: HeldAside) -> Rewrite:
    """The difference that understanding more makes.

    Args:
        before: every batch with an arrival of a touched message, with only those arrivals, as the store has them.
        after: the same batches with the healed elements.
        held: what the store has.
    """
    old, new = _folded(before, held), _folded(after, held)
    real: dict[int, int] = {}
    next_message = held.next_message
    for message in new.new_messages:
        real[message.id] = held.keys.get(message.message_id) or next_message
        next_message += message.message_id not in held.keys
        message.id = real[message.id]
    return Rewrite(
        texts=new.texts,
        messages=new.new_messages,
        reports=[(real[row[0]], *row[1:]) for row in new.reports],
        repeats=[(real[row[0]], *row[1:]) for row in new.repeats],
        batches=_batch_changes(old, new),
        minutes={
            minute: [a - b for a, b in zip(added, old.minutes.get(minute, [0] * len(added)), strict=True)]
            for minute, added in new.minutes.items()
        },
        names=new.names,
        lives={key: _less(new.lives.get(key, {}), old.lives.get(key, {})) for key in {**old.lives, **new.lives}},
        lags=_less(new.lags, old.lags),
        retries=_less(new.retries, old.retries),
        totals={name: value - old.totals[name] for name, value in new.totals.items()},
        gone=[row_id for row_id in old.quarantine if row_id not in new.quarantine],
        quarantine={row_id: row for row_id, row in new.quarantine.items() if row != old.quarantine.get(row_id)},
    )


def _folded(batches: Sequence[JudgedBatch], held: HeldAside) -> Changes:
    return fold(batches, Held(bodies=held.bodies, messages={}, reports=set(), next_message=1, texts=held.texts))


def _less(new: Mapping[_K, int], old: Mapping[_K, int]) -> dict[_K, int]:
    """What to add to come from `old` to `new`."""
    difference = {key: new.get(key, 0) - old.get(key, 0) for key in {**old, **new}}
    return {key: by for key, by in difference.items() if by}


def _batch_changes(old: Changes, new: Changes) -> list[BatchChange]:
    changes = []
    for row, was in zip(new.batches, old.batches, strict=True):
        elements, fresh, repeats, quarantined = (a - b for a, b in zip(row[5:9], was[5:9], strict=True))
        if elements or fresh or repeats or quarantined:
            changes.append((row[0], elements, fresh, repeats, quarantined))
    return changes
