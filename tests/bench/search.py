"""`make bench ARGS="--search"`: how long it takes to find plenty, few and nothing among millions of reports, and how
long the screen takes to appear and to answer a key.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from pty_stage import Terminal

from bench.many import END, RARE, Made, fill_index, make, number_of, order_of, size
from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.filters import parse_filter
from hooklab.monitor import FolderMonitor
from hooklab.store.base import Condition
from hooklab.times import iso
from hooklab.wire import format_uuid

_SCREEN: Final = 40
"""Rows of which one more could not be seen: the answer is there when these are, or all that match."""
_PAGE: Final = 200
TIMES: Final = 15
"""Tries of each kind."""
_ESC: Final = "\x1b"
_KEYS: Final = ("j", "j", "j", "k", "/", "4", "7", "1", "1", _ESC, "2", "1", "/", "z", "q", _ESC, "?", _ESC, "m", "m")
_ANSWER_BYTES: Final = 40
"""Fewer only open an update, or are the clock's."""
_QUIET_SECONDS: Final = 0.15


class Found(Struct, frozen=True, kw_only=True):
    """One kind of filter: milliseconds until a screenful or all that match was found, over several of the kind."""

    kind: str
    example: str
    matches: int
    """Of the last one, counted up to a page."""
    steps: int
    p50: float
    p95: float
    worst: float
    limit: int
    """What p95 is to stay within, from the issue."""


class Searched(Struct, frozen=True, kw_only=True):
    """All of a run."""

    reports: int
    messages: int
    indexed: int
    seconds_to_make: float
    index_us_a_message: float
    index_bytes_a_message: float
    store_bytes_a_message: float
    found: list[Found]
    first_paint_ms: list[float]
    """From the start of the command, Python's included, to the first rows."""
    keys_ms: list[float]
    esc_ms: list[float]
    """Esc alone is told from the beginning of another key by 100 ms of silence."""

    @property
    def holds(self) -> bool:
        """Whether everything stays within what is asked."""
        return (
            all(one.p95 <= one.limit for one in self.found)
            and statistics.median(self.first_paint_ms) <= 1_000
            and _quantile(self.keys_ms, 0.95) <= 100
        )


def search(path: Path, reports: int, share: float) -> Searched:
    """Makes a folder of `reports` in `path`, indexes a share of it and measures."""

    def say(text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    folder = Folder(path)
    began = time.perf_counter()
    made = make(folder, reports, say)
    took = time.perf_counter() - began
    began = time.perf_counter()
    indexed = asyncio.run(fill_index(folder, int(made.messages * share), say))
    indexing = time.perf_counter() - began
    found = asyncio.run(_filters(folder, made, say))
    paints, keys, escapes = _screen(path)
    return Searched(
        reports=reports,
        messages=made.messages,
        indexed=indexed,
        seconds_to_make=round(took, 1),
        index_us_a_message=round(indexing / max(indexed, 1) * 1e6, 1),
        index_bytes_a_message=round(size(folder.search) / max(indexed, 1), 1) if folder.search.exists() else 0,
        store_bytes_a_message=round(size(folder.store) / made.messages, 1),
        found=found,
        first_paint_ms=paints,
        keys_ms=keys,
        esc_ms=escapes,
    )


def kinds(made: Made) -> Iterator[tuple[str, int, Callable[[int], str]]]:
    """Each kind of filter: name, limit in ms, and the words of the n-th try."""
    some = list(made.ids)

    def at(n: int) -> int:
        return some[n * 2 % len(some)]

    def id_of(n: int) -> str:
        return format_uuid(made.ids[at(n)])

    yield "number, its last 4", 300, lambda n: number_of(at(n))[-4:]
    yield "number, its last 8", 300, lambda n: number_of(at(n))[-8:]
    yield "number, its beginning, plenty", 300, lambda n: f"to:3519{n % 10}"
    yield "number, its beginning, few", 300, lambda n: f"to:{number_of(at(n))[:10]}"
    yield "number, none", 300, lambda n: f"4479{n:05d}"
    yield "id, whole", 300, lambda n: f"id:{id_of(n)}"
    yield "id, 2 digits", 300, lambda n: f"id:{id_of(n)[:2]}"
    yield "id, 4 digits", 300, lambda n: f"id:{id_of(n)[:4]}"
    yield "id, an inner group", 300, lambda n: f"{id_of(n)[9:18]}"
    yield "id, none", 300, lambda n: f"id:{n:08x}-0000"
    yield "state, plenty", 300, lambda _: "state:delivered"
    yield "state, many", 300, lambda _: "state:not_delivered"
    yield "state, few", 300, lambda _: "state:pending"
    yield "state, few: late", 300, lambda _: "is:late"
    yield "state, none", 300, lambda _: "is:conflict"
    yield "time, plenty", 300, lambda _: "since:7d"
    yield "time, few", 300, lambda n: f"since:{iso(made.end - (n + 1) * 2_000_000)}"
    yield "time, none", 300, lambda _: f"since:{iso(made.end + 10**9)}"
    yield "time and state, few", 300, lambda n: f"since:{n + 1}m state:pending"
    yield "organization, few and old", 300, lambda _: f"org:{RARE}"
    yield "custom, an order", 1_000, lambda n: f"custom:A-{order_of(at(n))}"
    yield "custom, its digits", 1_000, lambda n: f"custom:{order_of(at(n))}"
    yield "custom, plenty", 1_000, lambda _: "custom:confirmation"
    yield "custom, few", 1_000, lambda _: "custom:winter"
    yield "custom, 3 digits", 1_000, lambda n: f"custom:{100 + n}"
    yield "custom, none", 1_000, lambda n: f"custom:no{n}such"
    yield "custom, none, 2 letters", 1_000, lambda _: "custom:zq"
    yield "text anywhere, an order", 1_000, lambda n: f"A-{order_of(at(n))}"
    yield "text anywhere, none", 1_000, lambda n: f"no{n}such"
    yield "many words, none", 1_000, lambda _: "to:3519 desc:handset custom:order state:delivered custom:zq"


async def screenful(monitor: FolderMonitor, where: Condition) -> tuple[int, int]:
    """Searches until a screenful or all is found; gives rows and steps."""
    rows = steps = 0
    before: int | None = None
    while steps == 0 or (before is not None and rows < _SCREEN):
        step = await monitor.search(where, _PAGE, before)
        rows, before, steps = rows + len(step.rows), step.reached, steps + 1
    return rows, steps


async def _filters(folder: Folder, made: Made, say: Callable[[str], None]) -> list[Found]:
    monitor = FolderMonitor(folder, lambda: END, no_service)
    found = []
    try:
        for kind, limit, words_of in kinds(made):
            times: list[float] = []
            most = rows = 0
            for n in range(TIMES):
                began = time.perf_counter()
                rows, steps = await screenful(monitor, parse_filter(words_of(n).split(), END))
                times.append((time.perf_counter() - began) * 1_000)
                most = max(most, steps)
            found.append(
                Found(
                    kind=kind,
                    example=words_of(0),
                    matches=rows,
                    steps=most,
                    p50=round(statistics.median(times), 1),
                    p95=round(_quantile(times, 0.95), 1),
                    worst=round(max(times), 1),
                    limit=limit,
                )
            )
            say(_line(found[-1]))
    finally:
        await monitor.close()
    return found


def _screen(path: Path) -> tuple[list[float], list[float], list[float]]:
    paints: list[float] = []
    keys: list[float] = []
    escapes: list[float] = []
    command = [sys.executable, "-m", "hooklab", "attach", "--data-dir", str(path)]
    for turn in range(4):
        began = time.perf_counter()
        with Terminal(command, 120, 36) as shown:
            _wait(lambda: b"3519" in shown.received, 20)
            if turn:  # the first warms the caches of the imports
                paints.append(round((time.perf_counter() - began) * 1_000, 1))
            time.sleep(1)
            for key in _KEYS * 2:
                size_before = len(shown.received)
                began = time.perf_counter()
                os.write(shown.master, key.encode())
                if _wait(lambda: len(shown.received) > size_before + _ANSWER_BYTES, 2):  # noqa: B023  asked here
                    (escapes if key == _ESC else keys).append(round((time.perf_counter() - began) * 1_000, 1))
                time.sleep(_QUIET_SECONDS)
    return paints, keys, escapes


def _wait(what: Callable[[], bool], seconds: float) -> bool:
    ends = time.perf_counter() + seconds
    while not (found := what()) and time.perf_counter() < ends:
        time.sleep(0.001)
    return found


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _line(one: Found) -> str:
    matches = f"{one.matches}+" if one.matches >= _SCREEN else f"{one.matches}"
    over = "" if one.p95 <= one.limit else "  over"
    return (
        f"{one.kind:<30} {one.example[:40]:<40} {matches:>5} {one.steps:>5} {one.p50:>8.1f} {one.p95:>8.1f}"
        f" {one.worst:>8.1f} {one.limit:>6}{over}"
    )


def table(done: Searched) -> str:
    """All of it for a person."""
    keys = done.keys_ms
    paints = ", ".join(f"{one:.0f}" for one in done.first_paint_ms)
    head = f"{'':<30} {'for example':<40} found steps {'p50 ms':>8} {'p95':>8} {'worst':>8} {'limit':>6}"
    return "\n".join(
        [
            f"{done.reports:,} reports, {done.messages:,} messages, {done.indexed:,} of them indexed",
            f"store.db: {done.store_bytes_a_message:.0f} bytes a message; made in {done.seconds_to_make:.0f} s",
            f"search.db: {done.index_bytes_a_message:.0f} bytes and {done.index_us_a_message:.0f} us a message",
            "",
            head,
            *map(_line, done.found),
            "",
            f"from the command's start to the first rows: {paints} ms",
            f"answer to a key: {_spread(keys)}; to Esc, which waits 100 ms for more: {_spread(done.esc_ms)}",
        ]
    )


def _spread(times: Sequence[float]) -> str:
    return f"p50 {statistics.median(times):.0f}, p95 {_quantile(times, 0.95):.0f}, worst {max(times):.0f} ms"
