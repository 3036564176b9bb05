"""Fuzzing: a million mutated inputs for each parser of what others wrote, each within bounded time and memory.

Each target runs in a process of its own, from seeds that are known to be odd, by a generator with a seed.
"""

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fuzz_targets import TARGETS, Target

from faults.stage import Figures

INPUTS: Final = 1_000_000
LARGEST: Final = 64 * 1024
SLOWEST: Final = 1.0
"""Seconds of a processor that one input may take."""
AT_MOST: Final = {f"{name}_peak_growth_mib": 64.0 for name in TARGETS}
_SMALL: Final = 512
_EDGES: Final = bytes([0, 1, 9, 10, 13, 32, 34, 39, 44, 45, 46, 48, 57, 58, 61, 91, 92, 93, 123, 125, 127, 128, 255])


def run(place: Path, *, inputs: int = INPUTS, seed: int = 1) -> Figures:
    """So many inputs for each target, two targets at a time."""

    def fuzz(name: str) -> Figures:
        command = [sys.executable, "-m", "faults.fuzz", name, str(inputs), str(seed), str(place)]
        environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": ""}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
        figures: Figures = json.loads(done.stdout)
        return figures

    with ThreadPoolExecutor(2) as several:
        found = dict(zip(TARGETS, several.map(fuzz, TARGETS), strict=True))
    return {f"{name}_{what}": value for name, figures in found.items() for what, value in figures.items()}


class Mutator:
    """Makes inputs of seeds: bits, bytes, ranges, tokens, other seeds; never more than `LARGEST` bytes."""

    def __init__(self, target: Target, seed: str) -> None:
        self._dice = random.Random(seed)
        self._tokens = target.tokens
        self._small = [one for one in target.seeds if len(one) <= _SMALL]
        self._all = [one for one in target.seeds if len(one) <= LARGEST]
        self._ways: list[Callable[[bytearray], None]] = [
            self._flip, self._edge, self._cut, self._repeat, self._insert, self._splice, self._move,
        ]  # fmt: skip

    def next(self) -> bytes:
        """Another input: mostly small, so that there are many; one in 500 of all the seeds."""
        dice = self._dice
        body = bytearray(dice.choice(self._all if dice.random() < 0.002 else self._small))
        for _ in range(dice.choice((1, 1, 1, 2, 2, 4))):
            body = body or bytearray(dice.choice(self._tokens))
            dice.choice(self._ways)(body)
        return bytes(body[:LARGEST])

    def _span(self, body: bytearray) -> tuple[int, int]:
        start = self._dice.randrange(len(body) + 1)
        return start, min(len(body), start + self._dice.choice((1, 2, 4, 16, 256)))

    def _flip(self, body: bytearray) -> None:
        body[self._dice.randrange(len(body))] ^= 1 << self._dice.randrange(8)

    def _edge(self, body: bytearray) -> None:
        body[self._dice.randrange(len(body))] = self._dice.choice(_EDGES)

    def _cut(self, body: bytearray) -> None:
        start, end = self._span(body)
        del body[start : end if self._dice.random() < 0.8 else len(body)]

    def _repeat(self, body: bytearray) -> None:
        start, end = self._span(body)
        times = self._dice.choice((1, 2, 8)) if self._dice.random() < 0.99 else LARGEST // max(end - start, 1)
        body[end:end] = body[start:end] * times

    def _insert(self, body: bytearray) -> None:
        start, end = self._span(body)
        body[start : end if self._dice.random() < 0.3 else start] = self._dice.choice(self._tokens)

    def _splice(self, body: bytearray) -> None:
        other = self._dice.choice(self._small)
        body[self._dice.randrange(len(body) + 1) :] = other[self._dice.randrange(len(other) + 1) :]

    def _move(self, body: bytearray) -> None:
        start, end = self._span(body)
        part = body[start:end]
        del body[start:end]
        at = self._dice.randrange(len(body) + 1)
        body[at:at] = part


def fuzz(name: str, inputs: int, seed: int, place: Path) -> Figures:
    """Gives one target all its seeds, and then so many inputs; whatever it raises names the input."""
    target = TARGETS[name]
    check = target.prepare(place)
    mutator = Mutator(target, f"{name} {seed}")
    given = iter([one for one in target.seeds if len(one) <= LARGEST])
    before, begun = _peak_mib(), time.monotonic()
    slowest, slowest_at, taken, most = 0.0, b"", 0, 0
    for _ in range(inputs):
        body = next(given, None) or mutator.next()
        began = time.thread_time()
        try:
            taken += check(body)
        except Exception as error:
            error.add_note(f"{name}, with {body[:300]!r} ({len(body)} bytes)")
            raise
        took = time.thread_time() - began
        most = max(most, len(body))
        if took > slowest:
            slowest, slowest_at = took, body
    assert slowest < SLOWEST, f"{name}: {slowest:.2f} s for {slowest_at[:2000]!r} ({len(slowest_at)} bytes)"
    return {
        "inputs": inputs,
        "understood": taken,
        "per_s": round(inputs / (time.monotonic() - begun)),
        "largest_bytes": most,
        "slowest_ms": round(slowest * 1000, 1),
        "slowest_bytes": len(slowest_at),
        "peak_growth_mib": round(_peak_mib() - before, 1),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
