"""`make bench ARGS="--screen"`: what the open screen costs a receiver under full load, and how fast it answers."""

import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from bench.load import quantile
from bench.report import Run
from bench.subjects import Bench, Cell, DrainedTerminal, run_subject, run_watched

_TURNS: Final = (("2", b"became"), ("1", b"arrivals"), ("?", b"PgDn"), ("q", b"arrivals"), ("/", b"is:conflict"))
"""Keys, and a word of what each brings that was not on the screen."""
_CLOSE: Final = "\x1b"
_BETWEEN: Final = 0.3
"""Seconds from one answer to the next key."""
_PATIENCE: Final = 5.0


class Watched(Struct, frozen=True, kw_only=True):
    """One cell, medians of the rounds; the ratios are of two runs that followed each other."""

    reports: int
    connections: int
    seconds: int
    rounds: int
    throughput: float
    """With the screen, as a share of without."""
    throughputs: list[float]
    p99: float
    """With the screen, as a multiple of without."""
    p99s: list[float]
    kb_s: float
    """Drawn under load, in 120x36."""
    keys_ms: list[float]
    problems: list[str]

    @property
    def holds(self) -> bool:
        """Whether everything stays within what is asked."""
        return not self.problems and all(within for _, _, within in _verdicts(self))


def watch(cells: Sequence[tuple[int, int]], seconds: int, rounds: int, bench: Bench) -> list[Watched]:
    """Runs without the screen, with it, and with somebody who presses keys, in turn."""
    found = []
    seed = 0
    for reports, connections in cells:
        cell = Cell(reports, connections, seconds)
        alone: list[Run] = []
        open_: list[Run] = []
        keys: list[float] = []
        problems: list[str] = []
        for at in range(rounds):
            for name, runs in (("hooklab", alone), ("hooklab+TUI", open_))[:: -1 if at % 2 else 1]:
                seed += 1
                runs.append(run_subject(name, cell, bench, seed))
                problems += runs[-1].problems
            seed += 1
            problems += run_watched(cell, bench, seed, _Typist(keys)).problems
            print(f"  {reports} x {connections}: round {at + 1} of {rounds}", file=sys.stderr, flush=True)
        rates = [one.load.rate() / other.load.rate() for one, other in zip(open_, alone, strict=True)]
        tails = [(one.load.p99_ms or 0) / (other.load.p99_ms or 1) for one, other in zip(open_, alone, strict=True)]
        found.append(
            Watched(
                reports=reports,
                connections=connections,
                seconds=seconds,
                rounds=rounds,
                throughput=statistics.median(rates),
                throughputs=rates,
                p99=statistics.median(tails),
                p99s=tails,
                kb_s=statistics.median(one.terminal_bytes / one.load.seconds / 1000 for one in open_),
                keys_ms=keys,
                problems=problems,
            )
        )
    return found


class _Typist:
    """Presses keys while the load runs, and takes the time until what they bring is drawn."""

    def __init__(self, times: list[float]) -> None:
        self._times = times

    def __call__(self, terminal: DrainedTerminal, ended: threading.Event) -> None:
        # The load begins after the settling: the first keys would find the service at rest.
        ended.wait(2.5)
        while not ended.is_set():
            for key, brings in _TURNS:
                if ended.is_set():
                    return
                self._times.append(_answer(terminal, key, brings))
                ended.wait(_BETWEEN)
            os.write(terminal.master, _CLOSE.encode())
            ended.wait(2 * _BETWEEN)  # an Esc alone is told from other keys by 100 ms of silence


def _answer(terminal: DrainedTerminal, key: str, brings: bytes) -> float:
    """Milliseconds; those of the patience where nothing came."""
    terminal.caught = caught = bytearray()
    began = time.perf_counter()
    os.write(terminal.master, key.encode())
    while brings not in caught and time.perf_counter() - began < _PATIENCE:
        time.sleep(0.001)
    terminal.caught = None
    return round((time.perf_counter() - began) * 1_000, 1)


def _verdicts(one: Watched) -> list[tuple[str, str, bool]]:
    """What, figure and target in words, and whether it is met."""
    p95 = quantile(sorted(one.keys_ms), 0.95) or float("inf")
    spread = f"{min(one.throughputs):.2f} to {max(one.throughputs):.2f}"
    tails = f"{min(one.p99s):.2f} to {max(one.p99s):.2f}"
    middle = statistics.median(one.keys_ms) if one.keys_ms else float("inf")
    return [
        ("throughput", f"{one.throughput:.2f} of without ({spread}), at least 0.90", one.throughput >= 0.9),
        ("p99 of answers", f"{one.p99:.2f} times ({tails}), at most 1.50", one.p99 <= 1.5),
        ("drawn", f"{one.kb_s:.1f} KB/s in 120x36, at most about 20", one.kb_s <= 22),
        ("a key", f"p50 {middle:.0f}, p95 {p95:.0f} ms of {len(one.keys_ms)}, at most 200", p95 <= 200),
    ]


def table(found: Sequence[Watched]) -> str:
    """All of it for a person."""
    lines = []
    for one in found:
        lines.append(
            f"{one.reports} x {one.connections}, {one.seconds} s of load a run, medians of {one.rounds} pairs of runs"
        )
        lines += [f"  {what:<16} {said}{'' if met else '   NOT MET'}" for what, said, met in _verdicts(one)]
        lines += [f"  TOTALS: {problem}" for problem in one.problems]
    return "\n".join(lines)
