"""What is read of the minutes for the insights, against a count of one minute after the other."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from hooklab.insights import Measured
from hooklab.silence import Usual
from hooklab.store.measure import measure
from hooklab.store.sqlite import STORE
from hooklab.times import DAY, HOUR, MINUTE

NOW: Final = 30_000_017  # minutes since 1970, in the middle of an hour
_HISTORY: Final = 8 * 7 * 24 * 60
_COUNTS: Final = ("batches", "reports", "repeats", "late", "delivered", "not_delivered", "pending")

Minutes = dict[int, tuple[int, ...]]
"""The counts (`_COUNTS`) of each minute."""


def ask(minutes: Minutes, since: int) -> Measured:
    """What is measured of a store that has these minutes, since an hour."""
    with contextlib.closing(sqlite3.connect(":memory:")) as plain:
        plain.executescript(STORE.schema)
        plain.executemany(
            f"INSERT INTO minutes (minute, {', '.join(_COUNTS)}, elements, quarantined)"
            f" VALUES (?{', ?' * len(_COUNTS)}, 0, 0)",
            [(minute, *counts) for minute, counts in minutes.items()],
        )
        for at, name in enumerate(_COUNTS[:4]):
            total = sum(counts[at] for counts in minutes.values())
            plain.execute(f"UPDATE totals SET {name} = ?", (total,))

        async def fetch(sql: str, values: Mapping[str, Any]) -> list[Any]:
            return plain.execute(sql, values).fetchall()

        return asyncio.run(measure(fetch, since * HOUR, None, NOW * MINUTE, DAY))


def gaps_of(active: list[int]) -> list[tuple[int, int]]:
    """All of more than ten minutes."""
    return [(one, other) for one, other in pairwise(active) if other - one > 10]


_COUNT = st.tuples(*[st.integers(0, 3)] * len(_COUNTS))
_MINUTES = st.one_of(
    # Far and near, and around the bounds of hours, of the history and of now.
    st.dictionaries(st.integers(NOW - 2 * _HISTORY, NOW + 100), _COUNT, max_size=20),
    st.dictionaries(st.integers(NOW - 200, NOW + 20), _COUNT, max_size=120),
    st.dictionaries(st.integers(NOW - _HISTORY - 100, NOW - _HISTORY + 100), _COUNT, max_size=60),
)


@given(_MINUTES, st.sampled_from([0, 1, 25, 24 * 7, 24 * 60]))
@example({}, 0)
@example({NOW // 60 * 60 + at: (1, 1, 0, 0, 1, 0, 0) for at in (-120, -110, -99, -65, -55, -1, 0, 9)}, 1)
def test_hours_and_steps_have_what_their_minutes_have(minutes: Minutes, hours: int) -> None:
    """Sums since the window's beginning, each step's reports, the gaps in and into the window, what is usual."""
    since = NOW // 60 - hours if hours else 0
    found = ask(minutes, since)
    window = {minute: dict(zip(_COUNTS, counts, strict=True)) for minute, counts in minutes.items()}
    window = {minute: counts for minute, counts in window.items() if minute >= since * 60}
    for name in _COUNTS[:4]:
        assert getattr(found, name) == sum(counts[name] for counts in window.values())
    steps: dict[int, list[int]] = {}
    for minute in sorted(window):
        step = steps.setdefault(minute // found.step, [0, 0, 0])
        for at, name in enumerate(("delivered", "not_delivered", "pending")):
            step[at] += window[minute][name]
    assert found.steps == [(at, *counts) for at, counts in steps.items()]

    active = sorted(minute for minute, counts in minutes.items() if counts[0] and minute >= NOW - _HISTORY)
    if not active:
        assert (found.usual, found.gaps) == (Usual(), [])
        return
    per_hour: dict[int, int] = {}
    for minute in active:
        per_hour[minute // 60] = per_hour.get(minute // 60, 0) + 1
    assert found.usual == Usual(active[0], active[-1], max(active[-1], NOW), list(per_hour.items()))
    near = [minute for minute in active if minute >= since * 60 - 24 * 60]
    expected = [gap for gap in gaps_of(near) if gap[1] > since * 60]
    expected += [(active[-1], NOW)] if NOW - active[-1] > 10 else []
    assert sorted(found.gaps) == sorted(expected)
