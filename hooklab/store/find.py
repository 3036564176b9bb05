"""How messages are searched for: newest activity first, a bounded number looked at in each step.

A step goes through the newest messages one by one, which soon finds what many match. Further down the search index
says where to look, as far as it reaches, and each candidate is asked the exact condition; without the index the steps
go on as above. Either way the same is found.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from hooklab.store.base import Condition, Lookup
from hooklab.store.search import MARK, Reach, SearchView, Unusable

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]
Row = Sequence[Any]
"""Of a message: its last arrival, and then the columns that were wanted."""

_SLICE: Final = 10_000
"""Messages that one step of a search looks at: some 20 ms, so that the WAL and the answers never wait for long."""
_CANDIDATES: Final = 10_000
"""Of the index, asked of the store in one step at most."""
_PAGE: Final = 500
_BY_ACTIVITY: Final = "INDEXED BY messages_by_activity"
_SAMPLE: Final = 1_000
_MANY: Final = 20
"""Of a sample, from which on a word is not looked up: to collect all that begin with it would take longer."""
_QUICK_SAMPLE: Final = 3_000
_QUICK_MANY: Final = 5
"""The same where SQLite asks the condition by itself and goes through the messages five times as fast: of ids that
begin with two digits, which the index has under thousands of words, a step finds about a screenful.
"""
_IN_PYTHON: Final = re.compile(r"\b(?:word|id)_begins\(")


class Step(Struct, frozen=True):
    """See `base.Found`."""

    rows: list[Row]
    reached: int | None
    newest: int


class Finder(Struct, frozen=True):
    """One search on one connection.

    Attributes:
        columns: of the table `messages`, to be read of each row.
        stuck_before: microseconds UTC; what the condition calls `:stuck_before`.
        view: the search index, None without.
    """

    fetch: Fetch
    columns: str
    where: Condition
    stuck_before: int
    view: SearchView | None

    async def newest(self) -> int:
        """The cursor of the newest activity, 0 for none."""
        [(newest,)] = await self.fetch("SELECT coalesce(max(last_arrival), 0) FROM messages", {})
        return int(newest)

    async def all(self, limit: int, before: int | None) -> list[Row]:
        """Steps until `limit` rows are found or all is looked at."""
        rows: list[Row] = []
        while len(rows) < limit:
            step = await self.step(limit - len(rows), before)
            rows += step.rows
            before = step.reached
            if before is None:
                break
        return rows

    async def step(self, limit: int, before: int | None) -> Step:
        """One step."""
        newest = await self.newest()
        before = newest + 1 if before is None else before
        if self.where.narrow:
            rows = await self.matching(
                limit, "messages", " AND +last_arrival < :b", {"b": before}, "+last_arrival DESC"
            )
            return Step(rows, _last(rows, limit), newest)
        if self.view is not None:
            step = await self._indexed(self.view, limit, before, newest)
            if step is not None:
                return step
        return await self._slice(limit, before, newest)

    async def up(self, limit: int, after: int) -> Step:
        """One step upwards from `after`; its rows newest first, and `reached` is how far up it came."""
        newest = await self.newest()
        if self.where.narrow:
            found = await self.matching(limit, "messages", " AND +last_arrival > :a", {"a": after}, "+last_arrival")
            return _upwards(found, limit, None, newest)
        if self.view is not None:
            step = await self._indexed_up(self.view, limit, after, newest)
            if step is not None:
                return step
        ceiling = await self.fetch(
            "SELECT last_arrival FROM messages WHERE last_arrival > :a ORDER BY last_arrival LIMIT 1 OFFSET :n",
            {"a": after, "n": _SLICE - 1},
        )
        highest = ceiling[0][0] if ceiling else None
        found = await self.matching(
            limit,
            f"messages {_BY_ACTIVITY}",
            " AND last_arrival > :a" + ("" if highest is None else " AND last_arrival <= :highest"),
            {"a": after, "highest": highest},
            "last_arrival",
        )
        return _upwards(found, limit, highest, newest)

    async def matching(
        self, limit: int, table: str, bounds: str, values: Mapping[str, Any], order: str = "last_arrival DESC"
    ) -> list[Row]:
        """The exact condition, asked of what lies within `bounds`."""
        # A + before the column keeps SQLite from walking the index of all activity instead of a narrow one.
        return await self.fetch(
            f"SELECT last_arrival, {self.columns} FROM {table} WHERE ({self.where.sql}){bounds}"
            f" ORDER BY {order} LIMIT :limit",
            {**self.where.values, **values, "limit": limit, "stuck_before": self.stuck_before},
        )

    async def _slice(self, limit: int, before: int, newest: int) -> Step:
        floor = await self.fetch(
            "SELECT last_arrival FROM messages WHERE last_arrival < :b ORDER BY last_arrival DESC LIMIT 1 OFFSET :n",
            {"b": before, "n": _SLICE - 1},
        )
        lowest = floor[0][0] if floor else None
        if self.view is not None and self.view.reach.arrival < before - 1:  # below that the index says where to look
            lowest = max(lowest or 0, self.view.reach.arrival + 1)
        rows = await self.matching(
            limit,
            f"messages {_BY_ACTIVITY}",
            " AND last_arrival < :b" + ("" if lowest is None else " AND last_arrival >= :lowest"),
            {"b": before, "lowest": lowest},
        )
        last = _last(rows, limit)
        return Step(rows, lowest if last is None else last, newest)

    async def _indexed(self, view: SearchView, limit: int, before: int, newest: int) -> Step | None:
        """A step by the index, None where it is no help."""
        if before > view.reach.arrival + 1 or not await self._believes(view.reach):
            return None
        try:
            bound: int | None = before
            if self.where.since is not None:
                bound = await view.below(before, self.where.since)
            if bound is None:
                step = Step([], None, newest)
            else:
                step = await self._looked_up(view, limit, bound, newest) or await self._slice(limit, bound, newest)
        except Unusable:
            return None
        # The mark never comes again: what was read in between, was read of the store that the index is of.
        return step if await self._believes(view.reach) else None

    async def _believes(self, reach: Reach) -> bool:
        [(mark, checkpoint)] = await self.fetch(MARK, {})
        return reach.holds_for(mark, checkpoint)

    async def _looked_up(self, view: SearchView, limit: int, before: int, newest: int) -> Step | None:
        asked = await self._asked()
        if not asked:
            return None
        found = await view.candidates(" AND ".join(f"({one})" for one in asked), _CANDIDATES, before=before)
        rows = await self._of(found, limit, "last_arrival DESC")
        last = _last(rows, limit)
        if last is None and len(found) == _CANDIDATES:
            last = found[-1]
        return Step(rows, last, newest)

    async def _indexed_up(self, view: SearchView, limit: int, after: int, newest: int) -> Step | None:
        """A step upwards by the index, None where it is no help."""
        if after >= view.reach.arrival or not await self._believes(view.reach):
            return None
        asked = await self._asked()
        if not asked:
            return None
        try:
            found = await view.candidates(" AND ".join(f"({one})" for one in asked), _CANDIDATES, after=after)
        except Unusable:
            return None
        rows = await self._of(found, limit, "last_arrival")
        highest = found[-1] if len(found) == _CANDIDATES else min(view.reach.arrival, newest)
        step = _upwards(rows, limit, highest if highest < newest else None, newest)
        return step if await self._believes(view.reach) else None

    async def _of(self, found: Sequence[int], limit: int, order: str) -> list[Row]:
        """Those of the index's candidates of which the condition holds."""
        rows: list[Row] = []
        for at in range(0, len(found), _PAGE):
            rows += await self.matching(
                limit - len(rows),
                f"messages {_BY_ACTIVITY}",
                " AND last_arrival IN (SELECT value FROM json_each(:found))",
                {"found": json.dumps(found[at : at + _PAGE])},
                order,
            )
            if len(rows) >= limit:
                break
        return rows

    async def _asked(self) -> list[str]:
        """What to ask the index for: not for beginnings that many words have, by a sample of the newest."""
        beginnings = [one for one in self.where.lookups if _is_beginning(one)]
        slow = [one for one in beginnings if _IN_PYTHON.search(one.sql)]
        many = await self._frequent(slow, _SAMPLE, _MANY)
        many |= await self._frequent([one for one in beginnings if one not in slow], _QUICK_SAMPLE, _QUICK_MANY)
        return [one.asked for one in self.where.lookups if one.asked not in many]

    async def _frequent(self, lookups: Sequence[Lookup], sample: int, many: int) -> set[str]:
        """What more than `many` of the `sample` newest messages have."""
        if not lookups:
            return set()
        names = [f"c{at}" for at in range(len(lookups))]
        asked = ", ".join(f"({one.sql}) AS {name}" for one, name in zip(lookups, names, strict=True))
        [counts] = await self.fetch(
            f"SELECT {', '.join(f'total({name})' for name in names)}"
            f" FROM (SELECT {asked} FROM messages ORDER BY last_arrival DESC LIMIT :sample)",
            {**self.where.values, "stuck_before": self.stuck_before, "sample": sample},
        )
        return {one.asked for one, count in zip(lookups, counts, strict=True) if count > many}


def _is_beginning(one: Lookup) -> bool:
    return "*" in one.asked


def _last(rows: Sequence[Row], limit: int) -> int | None:
    return rows[-1][0] if len(rows) == limit else None


def _upwards(found: Sequence[Row], limit: int, highest: int | None, newest: int) -> Step:
    return Step(list(reversed(found)), found[-1][0] if len(found) == limit else highest, newest)
