"""The rows that a list holds: a window on all there are, which grows at both ends and is cut at both. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 4_000
"""Rows held at most; those furthest from what is in sight go first."""
FOLLOWING_MOST: Final = 1_000
"""Rows held at most while the list follows the newest."""


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """Rows that follow each other, newest first.

    Attributes:
        rows: what was found.
        reached: the cursor up or down to which was looked; None if there is nothing further.
        newest: the cursor of the newest of all, found or not, before it was looked; 0 for none.
    """

    rows: Sequence[T]
    reached: int | None
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """What is new or other since a cursor, newest first.

    Attributes:
        rows: with whether they belong into the list now.
        whole: whether nothing new is missing between these and the cursor.
    """

    rows: Sequence[tuple[T, bool]]
    whole: bool


class Rows(Generic[T]):
    """Rows in falling order of their cursor, each once.

    Attributes:
        items: the rows.
        top: the cursor of the newest of which it is known what it changed here; None before the first step.
        above: the cursor up to which rows are held; None while that is the newest of all.
        reached: the cursor down to which was looked; None if nothing older is left.
    """

    def __init__(self, cursor: Callable[[T], int], key: Callable[[T], Hashable]) -> None:
        """Args: `cursor` gives where a row stands, `key` what it is."""
        self._cursor = cursor
        self._key = key
        self.clear()

    def clear(self) -> None:
        """Forgets everything, as before the first step."""
        self.items: list[T] = []
        self.top: int | None = None
        self.above: int | None = None
        self.reached: int | None = None

    def begin_at(self, edge: int, top: int) -> None:
        """Forgets everything, and stands between what is at most `edge` and what is newer; `top` is known of."""
        self.clear()
        self.top, self.above, self.reached = top, edge, edge + 1

    def __len__(self) -> int:
        return len(self.items)

    @property
    def complete(self) -> bool:
        """Nothing older is left to load."""
        return self.top is not None and self.reached is None

    @property
    def newest(self) -> bool:
        """Whether the window goes up to the newest of all."""
        return self.above is None

    def joins(self, step: Step[T]) -> bool:
        """Whether nothing can be missing between the newest `step` and these rows."""
        return self.top is None or step.reached is None or step.reached <= self.top

    def take_newest(self, step: Step[T]) -> None:
        """Puts a step from the very top in place of what it covers; where it does not join, all else goes.

        What lies below may have changed since `top`, which stays then: `take_changes` is still to be given that.
        """
        kept: list[T] = []
        if self.top is not None and step.reached is not None and self.joins(step):
            here = {self._key(row) for row in step.rows}
            below = step.reached
            kept = [row for row in self.items if self._cursor(row) < below and self._key(row) not in here]
            if self.reached is None or self.reached > below:  # time may have brought more below what was all
                self.reached = self._cursor(kept[-1]) if kept else below
        else:
            self.reached, self.top = step.reached, step.newest
        self.items = [*step.rows, *kept]
        self.above = None

    def take_changes(self, changes: Changes[T]) -> None:
        """Takes what changed, each row to its place; what no longer belongs here goes."""
        if not changes.rows or self.top is None:
            return
        gone = {self._key(row) for row, _ in changes.rows}
        come = [row for row, wanted in changes.rows if wanted and self._is_within(self._cursor(row))]
        kept = [row for row in self.items if self._key(row) not in gone]
        self.items = sorted([*come, *kept], key=self._cursor, reverse=True)
        self.top = max(self.top, *(self._cursor(row) for row, _ in changes.rows))

    def _is_within(self, cursor: int) -> bool:
        return (self.reached is None or cursor >= self.reached) and (self.above is None or cursor <= self.above)

    def take_older(self, step: Step[T], before: int) -> None:
        """Appends the step that was read with the cursor `before`, unless the rows changed meanwhile."""
        if self.reached != before:
            return
        here = {self._key(row) for row in self.items}
        self.items.extend(row for row in step.rows if self._key(row) not in here)
        self.reached = step.reached

    def take_newer(self, step: Step[T], after: int) -> None:
        """Puts the step that was read with the cursor `after` on top, unless the rows changed meanwhile.

        A row that is here too has moved up since.
        """
        if self.above != after:
            return
        moved = {self._key(row) for row in step.rows}
        self.items = [*step.rows, *(row for row in self.items if self._key(row) not in moved)]
        self.above = step.reached

    def cut(self, sight: int, most: int) -> int:
        """Lets go of the rows furthest from index `sight` beyond `most`; gives how many went at the upper end."""
        if len(self.items) <= most:
            return 0
        first = max(0, min(sight - most // 2, len(self.items) - most))
        if first + most < len(self.items):
            del self.items[first + most :]
            self.reached = self._cursor(self.items[-1])
        if first:
            del self.items[:first]
            self.above = self._cursor(self.items[0])
        return first

    def find(self, key: Hashable) -> int | None:
        """Where the row of `key` stands, None if it is not held."""
        for index, row in enumerate(self.items):
            if self._key(row) == key:
                return index
        return None

    def find_cursor(self, cursor: int) -> int:
        """Where the newest row that is not newer than `cursor` stands; the oldest if all are."""
        at = bisect_left(self.items, -cursor, key=lambda row: -self._cursor(row))
        return max(0, min(at, len(self.items) - 1))

    def cursor_at(self, index: int) -> int | None:
        """The cursor of the row at `index`, None if there is none."""
        return self._cursor(self.items[index]) if 0 <= index < len(self.items) else None

    def key_at(self, index: int) -> Hashable | None:
        """The key of the row at `index`, None if there is none."""
        return self._key(self.items[index]) if 0 <= index < len(self.items) else None
