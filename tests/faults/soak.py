"""The long run: half of what it can take, with chaos, and a screen attached."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.subjects import DrainedTerminal
from msgspec import Struct, field

from faults.stage import Figures, Stage, resident_mib, wait_until

MINUTES: Final = 20.0
_SAMPLE_SECONDS: Final = 1.0
_WARM_UP: Final = 0.25
"""The share of the run at its begin that says nothing about the slope: caches fill."""
AT_MOST: Final = {"wal_max_mib": 96.0}
"""The store's is brought into the file at 16,000 pages (63 MiB), and a chunk or a reader may take it beyond."""


class Samples(Struct):
    """What was seen each second."""

    at: list[float] = field(default_factory=list)
    service_mib: list[float] = field(default_factory=list)
    screen_mib: list[float] = field(default_factory=list)
    wal_mib: float = 0.0
    """The largest that one of the two was."""


def run(place: Path, *, minutes: float = MINUTES, messages: int = 20_000) -> Figures:
    """One campaign of the simulator after another until the time is over; then each truth is verified."""
    with Stage(place) as stage:
        # Attached from the beginning: what the screen takes is not there for the rest.
        with _screen(stage.folder) as screen:
            rate = _capacity(stage, messages)
            begun = time.monotonic()
            samples, truths = Samples(), [stage.truth]
            with _sampling(samples, stage, screen.process.pid):
                while time.monotonic() - begun < minutes * 60:
                    truths.append(stage.truth.with_name(f"truth{len(truths)}.jsonl"))
                    options = ("--messages", str(messages), "--chaos", "--seed", str(len(truths)))
                    sender = stage.simulate(*options, "--rate", f"{rate / 2:.1f}", truth=truths[-1])
                    stage.sent(sender, minutes * 60 + 3600)
            assert screen.process.poll() is None, "the screen did not last"
            lag = stage.lag()
        drained = wait_until(lambda: not stage.lag(), "the end of the lag", 900)
        found = [stage.verify("--others-allowed", truth=truth) for truth in truths]
        counters = stage.service.stats()
    assert samples.wal_mib <= AT_MOST["wal_max_mib"], f"a WAL of {samples.wal_mib:.0f} MiB"
    assert counters["batches"] + counters["malformed"] >= sum(one["batches"] for one in found)
    return {
        "minutes": round((samples.at[-1] - samples.at[0]) / 60, 1),
        "posts_per_s": round(rate / 2),
        "posts": sum(one["posts"] for one in found),
        "acknowledged": sum(one["acknowledged"] for one in found),
        "reports": counters["reports"],
        "lost": 0,  # verify says so, or this line is not reached
        "service_mib": f"{min(samples.service_mib):.0f} to {max(samples.service_mib):.0f}",
        "service_mib_per_hour": round(slope(samples.at, samples.service_mib) * 3600, 1),
        "screen_mib": f"{min(samples.screen_mib):.0f} to {max(samples.screen_mib):.0f}",
        "screen_mib_per_hour": round(slope(samples.at, samples.screen_mib) * 3600, 1),
        "wal_max_mib": round(samples.wal_mib, 1),
        "lag_at_end": lag,
        "drained_after_s": round(drained, 1),
    }


def slope(at: list[float], values: list[float]) -> float:
    """Least squares over what follows the warm-up, in units of `values` a second."""
    first = int(len(at) * _WARM_UP)
    at, values = at[first:], values[first:]
    middle, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((one - middle) ** 2 for one in at)
    return sum((one - middle) * (value - mean) for one, value in zip(at, values, strict=True)) / spread


def _capacity(stage: Stage, messages: int) -> float:
    """POSTs a second that the simulator gets through as fast as it can, until all of them are projected."""
    begun = time.monotonic()
    sender = stage.simulate("--messages", str(messages), "--chaos", "--seed", "capacity")
    sent = stage.sent(sender)
    wait_until(lambda: not stage.lag(), "the end of the lag", 600)
    return float(sent["posts"]) / (time.monotonic() - begun)


@contextlib.contextmanager
def _screen(folder: Path) -> Iterator[DrainedTerminal]:
    command: list[str | Path] = [sys.executable, "-m", "hooklab", "attach", "--data-dir", folder]
    with DrainedTerminal(command) as terminal:
        wait_until(lambda: terminal.count > 10_000, "a screen")
        yield terminal
        terminal.process.terminate()
        terminal.ends_with()


@contextlib.contextmanager
def _sampling(samples: Samples, stage: Stage, screen: int) -> Iterator[None]:
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            samples.at.append(time.monotonic())
            samples.service_mib.append(resident_mib(stage.service.process.pid))
            samples.screen_mib.append(resident_mib(screen))
            for wal in stage.folder.glob("*-wal"):
                samples.wal_mib = max(samples.wal_mib, wal.stat().st_size / 2**20)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
