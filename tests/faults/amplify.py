"""Amplification: little that is sent and much that it may cost, in disk, memory and patience of who looks at it.

Each flood lies in the journal when a service starts on it. The service projects it, a screen is opened on what that
made, and commands are run; what was sent is compared with what is stored.
"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.subjects import DrainedTerminal
from msgspec import Struct
from support import body_of, conserved, report

from faults.stage import Figures, Stage, peak_mib, quantile, wait_until
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal

_ID: Final = "00000000-0000-4000-8000-{:012x}"
_AT_ONCE: Final = 256
_AT_ONCE_BYTES: Final = 8 << 20
_PAYLOAD: Final = 20_000
_PATIENCE: Final = 10.0
_BETWEEN: Final = 0.2
_LISTS: Final = (("2", b"became"), ("1", b"arrivals"))
_OPENED: Final = (("\r", b"first received"), ("\x1b", b"arrivals"))
_QUARANTINE: Final = (("4", b"why"), ("2", b"became"))
"""Keys, and a word of what each brings that was not on the screen."""


class Flood(Struct, frozen=True):
    """What is sent, and what is to be known of it afterwards."""

    bodies: Callable[[int], Iterable[tuple[bytes, bool]]]
    """Takes how many; gives bodies, and whether each is answered 400."""
    counts: Callable[[int], dict[str, int]]
    """What the counters say then."""
    keys: Sequence[tuple[str, bytes]]
    """Keys that are pressed on its screen, and what each brings."""


def _repeats(count: int) -> Iterator[tuple[bytes, bool]]:
    body = body_of([report(_ID.format(1), "PENDING"), report(_ID.format(1))])
    return ((body, False) for _ in range(count))


def _tiny(count: int) -> Iterator[tuple[bytes, bool]]:
    return ((b"[%b]" % (b" " * (at % 50)), False) for at in range(count))


def _million(count: int) -> Iterator[tuple[bytes, bool]]:
    statuses = ("PENDING", "DELIVERED", "NOT_DELIVERED")
    for first in range(0, count, 1000):
        numbers = range(first, min(first + 1000, count))
        several = [report(_ID.format(2), statuses[at % 3], ReportDescription=f"report {at}") for at in numbers]
        yield body_of(several), False


def _payloads(count: int) -> Iterator[tuple[bytes, bool]]:
    dice = random.Random(1)
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        yield (
            body_of([report(_ID.format(at), CustomPayload=dice.randbytes(_PAYLOAD // 2).hex()) for at in numbers]),
            False,
        )


def _bodies(count: int) -> Iterator[tuple[bytes, bool]]:
    return ((b'{"error":"%d","detail":"%b"}' % (at, b"x" * 200), True) for at in range(count))


def _elements(count: int) -> Iterator[tuple[bytes, bool]]:
    for first in range(0, count, 1000):
        yield json.dumps([{"MessageId": at} for at in range(first, min(first + 1000, count))]).encode(), False


FLOODS: Final = {
    "repeats": Flood(_repeats, lambda count: {"batches": count, "reports": 2, "repeats": 2 * count - 2}, _LISTS),
    "tiny": Flood(_tiny, lambda count: {"batches": count, "elements": 0}, _QUARANTINE),
    "million": Flood(_million, lambda count: {"messages": 1, "reports": count}, (*_LISTS, *_OPENED)),
    "payloads": Flood(_payloads, lambda count: {"messages": count, "reports": count}, (*_LISTS, *_OPENED)),
    "bodies": Flood(_bodies, lambda count: {"malformed": count, "quarantined": count}, _QUARANTINE),
    "elements": Flood(_elements, lambda count: {"elements": count, "quarantined": count}, _QUARANTINE),
}
SIZES: Final = {
    "repeats": 1_000_000,
    "tiny": 1_000_000,
    "million": 1_000_000,
    "payloads": 100_000,
    "bodies": 100_000,
    "elements": 100_000,
}
AT_MOST: Final = {
    **{f"{name}_serve_peak_mib": 256.0 for name in FLOODS},
    **{f"{name}_screen_peak_mib": 160.0 for name in FLOODS},
    **{f"{name}_keys_p95_ms": 1000.0 for name in FLOODS},
    **{f"{name}_command_peak_mib": 160.0 for name in FLOODS},
}


def run(place: Path, *, sizes: dict[str, int] = SIZES, keys: int = 20, seconds: float = 3600) -> Figures:
    """One flood after the other, each in a folder of its own that goes again."""
    figures: Figures = {}
    for name, size in sizes.items():
        found = _flood(place / name, FLOODS[name], size, keys, seconds)
        figures.update({f"{name}_{what}": value for what, value in found.items()})
    return figures


def _flood(place: Path, flood: Flood, size: int, keys: int, seconds: float) -> Figures:
    folder = place / "data"
    folder.mkdir(parents=True, mode=0o700)
    sent = asyncio.run(_fill(folder / "journal.db", flood.bodies(size)))
    with Stage(place, folder=folder) as stage:
        counted = _until_counted(stage, seconds)
        counters = stage.service.stats()
        assert conserved(counters)
        assert {name: counters[name] for name in flood.counts(size)} == flood.counts(size)
        pressed, screen = _looked_at(folder, flood.keys, keys)
        retry_s, _ = _command(folder, "quarantine", "retry")
        first = _newest(folder)
        lists = [_command(folder, one) for one in ("messages", "batches", "quarantine")]
        shown = [_command(folder, "show", first)] if first else []
        serve = peak_mib(stage.service.process.pid)
    held = {name: (folder / f"{name}.db").stat().st_size for name in ("journal", "store")}
    return {
        "count": size,
        "sent_mb": round(sent / 1e6, 2),
        "journal_bytes_per_byte": round(held["journal"] / sent, 3),
        "store_bytes_per_byte": round(held["store"] / sent, 3),
        "disk_mb": round(sum(one.stat().st_size for one in folder.glob("*.db*")) / 1e6, 1),
        "counted_after_s": round(counted, 1),
        "serve_peak_mib": round(serve),
        "keys_p50_ms": round(quantile(pressed, 0.5)),
        "keys_p95_ms": round(quantile(pressed, 0.95)),
        "screen_peak_mib": round(screen),
        "slowest_list_s": round(max(took for took, _ in lists), 1),
        "show_s": round(max((took for took, _ in shown), default=0.0), 1),
        "command_peak_mib": round(max(peak for _, peak in [*lists, *shown])),
        "retry_s": round(retry_s, 1),
    }


def _until_counted(stage: Stage, seconds: float) -> float:
    """Asks seldom: each answer takes a little of what is measured."""
    begun = time.monotonic()
    while stage.lag():
        assert time.monotonic() - begun < seconds, "the projector does not catch up"
        time.sleep(0.25)
    return time.monotonic() - begun


async def _fill(path: Path, bodies: Iterable[tuple[bytes, bool]]) -> int:
    """Writes a journal as the receiver does; gives the bytes of the bodies."""
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0, max_queue=1 << 30))
    sent = 0
    try:
        given = iter(bodies)
        while several := _next(given):
            sent += sum(len(body) for body, _ in several)
            await asyncio.gather(*(journal.append(_batch(*one)) for one in several))
    finally:
        await journal.close()
    return sent


def _next(given: Iterator[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
    several, size = [], 0
    for one in itertools.islice(given, _AT_ONCE):
        several.append(one)
        size += len(one[0])
        if size > _AT_ONCE_BYTES:
            break
    return several


def _batch(body: bytes, malformed: bool) -> NewBatch:
    return NewBatch(time.time_ns() // 1000, 0, "127.0.0.1", None, "[]", body, malformed=malformed)


def _newest(folder: Path) -> str:
    """The newest message's id; nothing where there is none."""
    command = [sys.executable, "-m", "hooklab", "messages", "--json", "--limit", "1", "--data-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, check=True)
    return json.loads(done.stdout)["message_id"] if done.stdout else ""


def _command(folder: Path, *arguments: str) -> tuple[float, float]:
    """Seconds and MiB that a command takes, alone in a process that says so."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
    code += " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    command = [sys.executable, "-m", "hooklab", *arguments, "--data-dir", str(folder)]
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    return time.monotonic() - begun, float(done.stdout)


def _looked_at(folder: Path, turns: Sequence[tuple[str, bytes]], count: int) -> tuple[list[float], float]:
    """What each of so many keys took on an attached screen, in milliseconds, and its most memory in MiB."""
    times: list[float] = []
    command: list[str | Path] = [sys.executable, "-m", "hooklab", "attach", "--data-dir", folder]
    with DrainedTerminal(command) as terminal:
        terminal.caught = drawn = bytearray()
        wait_until(lambda: b"messages" in drawn, "the first screen", 60)
        time.sleep(1)
        for key, brings in itertools.islice(itertools.cycle(turns), count):
            times.append(_pressed(terminal, key, brings))
            time.sleep(_BETWEEN)
        screen = peak_mib(terminal.process.pid)
    return times, screen


def _pressed(terminal: DrainedTerminal, key: str, brings: bytes) -> float:
    terminal.caught = caught = bytearray()
    begun = time.perf_counter()
    os.write(terminal.master, key.encode())
    while brings not in caught:
        assert time.perf_counter() - begun < _PATIENCE, f"{key!r} brings no {brings!r}"
        time.sleep(0.001)
    terminal.caught = None
    return (time.perf_counter() - begun) * 1000
