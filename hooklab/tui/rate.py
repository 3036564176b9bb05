"""How many reports arrive a second, from the totals that snapshots bring. Pure."""

from collections import deque
from typing import Final

from hooklab.times import SECOND

SECONDS: Final = 180
"""How far back the history goes."""
_WINDOW: Final = 3 * SECOND
_BARS: Final = "▁▂▃▄▅▆▇█"


class Rate:
    """Arrivals by second. A total that falls (the store was rebuilt) starts anew and counts nothing."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=64)
        self._buckets: dict[int, int] = {}

    def add(self, at: int, total: int) -> None:
        """Takes the total of `elements` at `at`: microseconds of a clock that nobody sets, as `now` in `history`."""
        if self._samples:
            _, known = self._samples[-1]
            if total < known:
                self._samples.clear()
            elif total > known:
                second = at // SECOND
                self._buckets[second] = self._buckets.get(second, 0) + total - known
        self._samples.append((at, total))
        oldest = at // SECOND - SECONDS
        self._buckets = {second: n for second, n in self._buckets.items() if second > oldest}

    def per_second(self) -> float | None:
        """The rate over the last three seconds or so; None until there are two totals to compare."""
        if len(self._samples) < 2:
            return None
        end, total = self._samples[-1]
        start, known = next((sample for sample in self._samples if sample[0] >= end - _WINDOW), self._samples[-1])
        if end == start:
            start, known = self._samples[-2]
        return (total - known) * SECOND / (end - start) if end > start else None

    def history(self, now: int) -> tuple[int, ...]:
        """Arrivals of each of the last whole seconds, oldest first."""
        last = now // SECOND
        return tuple(self._buckets.get(second, 0) for second in range(last - SECONDS, last))


def bars(history: tuple[int, ...], width: int, height: int = 1) -> list[str]:
    """The newest `width` values as bars, `height` lines from the top; a quiet second is the thin floor."""
    values = history[-width:] if width > 0 else ()
    values = (0,) * (width - len(values)) + values
    peak = max(values, default=0)
    steps = height * 8
    levels = [0 if not value else max(2, round(value * steps / peak)) for value in values]
    rows = []
    for row in reversed(range(height)):
        floor = _BARS[0] if row == 0 else " "
        rows.append("".join(floor if level <= row * 8 else _BARS[min(level - row * 8, 8) - 1] for level in levels))
    return rows
