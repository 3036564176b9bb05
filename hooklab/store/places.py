"""Where in the order of arrival something stands: pages in both directions, and the place of a moment."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

Fetch = Callable[[str, Sequence[Any]], Awaitable[list[Any]]]


def page(
    select: str, column: str, limit: int, before: int | None, after: int | None
) -> tuple[str, Mapping[str, int | None]]:
    """SQL and values of `limit` rows, newest first: the newest, those below `before`, or those next above `after`.

    `select` has no WHERE yet, and the integer key `column` as its first column.
    """
    values = {"before": before, "after": after, "limit": limit}
    if after is not None:
        above = f"{select} WHERE {column} > :after ORDER BY {column} LIMIT :limit"
        return f"SELECT * FROM ({above}) ORDER BY 1 DESC", values
    # Not "before IS NULL OR": SQLite would look at every newer row first.
    below = "" if before is None else f" WHERE {column} < :before"
    return f"{select}{below} ORDER BY {column} DESC LIMIT :limit", values


async def batch_at(fetch: Fetch, when: int) -> int:
    """The number of the last batch received at or before `when` (microseconds UTC), 0 for none.

    Found by halving the numbers, some 25 look-ups by key in a large store. Times grow with the numbers but where a
    clock was set back; then there are several places whose batch came before `when` and the next one after it, and
    it is one of them.
    """
    [(first, last)] = await fetch(
        "SELECT (SELECT min(sequence) FROM batches), (SELECT max(sequence) FROM batches)", ()
    )
    if first is None:
        return 0
    # Up to `low` it is before or at `when`, from `high` on after it.
    low, high = first - 1, last + 1
    while high - low > 1:
        middle = (low + high) // 2
        sequence, received_at = await _last_up_to(fetch, middle)
        if sequence <= low or received_at <= when:  # none of those between is kept
            low = middle
        else:
            high = sequence
    return (await _last_up_to(fetch, low))[0]


async def _last_up_to(fetch: Fetch, sequence: int) -> tuple[int, int]:
    rows = await fetch(
        "SELECT sequence, received_at FROM batches WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1", (sequence,)
    )
    return rows[0] if rows else (0, 0)
