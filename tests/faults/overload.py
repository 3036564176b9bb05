"""Overload: many times the connections that keep it busy, small bodies and large, and an honest sender among them."""

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.bodies import after, template
from bench.load import Load, Target, run_load

from faults.stage import Figures, Stage, peak_mib, wait_until

MINUTES: Final = 3.0
_BUSY: Final = 32
"""Connections that keep it busy."""
_TIMES: Final = 10
_LARGE_SECONDS: Final = 20
"""How long bodies of 1000 reports come: they are most of what has to be projected afterwards."""
AT_MOST: Final = {"small_p99_ms": 1000.0, "large_p99_ms": 1000.0, "peak_mib": 256.0}


def run(place: Path, *, minutes: float = MINUTES, reports: int = 1000, options: Sequence[str] = ()) -> Figures:
    """Ten times as many connections as keep it busy, each asking again at once, whatever the answer was.

    Bodies are small at first, and have so many `reports` at the end; `options` go to `serve`.
    """
    seconds = int(minutes * 60)
    large = min(_LARGE_SECONDS, max(seconds // 3, 1))
    with Stage(place, *options) as stage:
        service = stage.service

        def load(connections: int, reports: int, length: int, seed: int) -> Load:
            return run_load("python", Target(service.port, service.path, reports, connections, length, seed))

        sender = stage.simulate(
            "--messages", str(seconds * 60), "--chaos", "--seed", "overload", "--rate", "20", "--tries", "1000",
            "--give-up", "300",
        )  # fmt: skip
        with _looking(service.port, service.path) as seen:
            small = load(_BUSY * _TIMES, 2, seconds - large, seed=2)
            heavy = load(_BUSY * _TIMES, reports, large, seed=3)
        sender.send_signal(15)
        sender.communicate(timeout=60)
        memory = peak_mib(service.process.pid)
        lag = stage.lag()
        drained = wait_until(lambda: not stage.lag(), "the end of the lag", 1800)
        counters = service.stats()
        found = stage.verify("--others-allowed")
    assert not seen.keys() - {"200", "503 with Retry-After"}, seen
    answered = seen["200"] + sum(one.answered for one in (small, heavy))
    most = seen.total() + sum(one.most() for one in (small, heavy))
    assert memory <= AT_MOST["peak_mib"], f"{memory:.0f} MiB"
    assert answered <= counters["batches"] - found["batches"] <= most
    return {
        "minutes": minutes,
        "connections": _BUSY * _TIMES,
        "small_200": small.answered,
        "small_other": small.refused,
        "small_p99_ms": small.p99_ms,
        "large_200": heavy.answered,
        "large_503": heavy.refused,
        "large_p99_ms": heavy.p99_ms,
        "broken_connections": small.failed + heavy.failed,
        "peak_mib": round(memory),
        "lag_after": lag,
        "drained_after_s": round(drained),
        "honest_acknowledged": found["acknowledged"],
    }


@contextlib.contextmanager
def _looking(port: int, path: str) -> Iterator[Counter[str]]:
    """How often one more client, who looks at each answer whole, was answered what meanwhile."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        made = template(100, 99)
        number = 0
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                while not over.wait(0.05):
                    number = after(number)
                    connection.request("POST", path, made.body(number))
                    answer = connection.getresponse()
                    answer.read()
                    retry = " with Retry-After" if answer.headers["Retry-After"] else ""
                    seen[f"{answer.status}{retry}"] += 1
            except (OSError, http.client.HTTPException) as error:
                seen[type(error).__name__] += 1
            finally:
                connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
