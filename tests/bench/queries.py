"""What the screen and the commands ask, through the readers that both have, of a store of millions of reports."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from bench.cells import say
from bench.history import History
from bench.load import quantile
from bench.search import kinds, screenful
from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.filters import parse_filter
from hooklab.monitor import FolderMonitor
from hooklab.times import DAY, MINUTE
from hooklab.wire import format_uuid

BY_ID: Final = "message by id"
_PAGE: Final = 200
_LEAST: Final = 15
_MOST: Final = 60
"""Tries of each kind: the least, and more while they take few seconds."""
_SECONDS: Final = 3.0
_WITHOUT_INDEX: Final = ("id:", "state:", "is:", "since:", "org:")
"""How words begin that the store itself has an index for."""

Ask = Callable[[int], Awaitable[Any]]
"""Asks for the n-th time."""


class Answered(Struct, frozen=True, kw_only=True):
    """One kind of question: milliseconds."""

    kind: str
    example: str
    tries: int
    p50: float
    p95: float
    worst: float


def ask(folder: Folder, made: History, *, indexed: bool) -> list[Answered]:
    """Asks every kind several times; what only the text search answers fast only where it is `indexed`."""

    async def asking() -> list[Answered]:
        monitor = FolderMonitor(folder, lambda: made.end, no_service)
        questions = [*_looks(monitor, made), *_filters(monitor, made, indexed), _opening(folder, made)]
        try:
            await monitor.snapshot()  # opens the files, which has a line of its own
            return [await _answered(*one) for one in questions]
        finally:
            await monitor.close()

    return asyncio.run(asking())


def worst(found: list[Answered]) -> Answered:
    """The kind with the greatest p95, by id aside."""
    return max((one for one in found if one.kind != BY_ID), key=lambda one: one.p95)


async def _answered(kind: str, example: str, one: Ask) -> Answered:
    times: list[float] = []
    while len(times) < _LEAST or (len(times) < _MOST and sum(times) < _SECONDS * 1_000):
        began = time.perf_counter()
        await one(len(times))
        times.append((time.perf_counter() - began) * 1_000)
    times.sort()
    p50, p95 = (quantile(times, share) or 0.0 for share in (0.5, 0.95))
    say(f"  {kind:<32} p50 {p50:8.2f}, p95 {p95:8.2f} ms  {example[:40]}")
    return Answered(kind=kind, example=example, tries=len(times), p50=p50, p95=p95, worst=times[-1])


def _filters(monitor: FolderMonitor, made: History, indexed: bool) -> Iterator[tuple[str, str, Ask]]:
    for kind, _, words_of in kinds(made):
        if not indexed and not all(word.startswith(_WITHOUT_INDEX) for word in words_of(0).split()):
            continue

        async def search(n: int, words_of: Callable[[int], str] = words_of) -> None:
            await screenful(monitor, parse_filter(words_of(n).split(), made.end))

        yield f"for {kind}", words_of(0), search


def _opening(folder: Folder, made: History) -> tuple[str, str, Ask]:
    async def opened(n: int) -> None:
        monitor = FolderMonitor(folder, lambda: made.end, no_service)
        try:
            await monitor.message(format_uuid(list(made.ids.values())[n % len(made.ids)]))
        finally:
            await monitor.close()

    return "the files opened, and by id", "", opened


def _looks(monitor: FolderMonitor, made: History) -> Iterator[tuple[str, str, Ask]]:
    ids = [format_uuid(key) for key in made.ids.values()]
    every = parse_filter([], made.end)

    def number(n: int) -> int:
        return 1 + made.batches * (n % _LEAST) // _LEAST

    async def message(n: int) -> None:
        assert await monitor.message(ids[n % len(ids)]) is not None

    yield BY_ID, ids[0], message
    yield "message by id, none", "", lambda n: monitor.message(f"00000000-0000-4000-8000-{n:012x}")
    yield "messages, newest", "", lambda _: monitor.messages(every, _PAGE)
    yield "messages, further down", "", lambda n: monitor.messages(every, _PAGE, number(n) << 22)
    yield "messages changed since", "", lambda n: monitor.changed(every, (made.batches - n) << 22, _PAGE)
    yield "batches, newest", "", lambda _: monitor.batches(_PAGE)
    yield "batches, further down", "", lambda n: monitor.batches(_PAGE, number(n))
    yield "batch by number", "", lambda n: monitor.batch(number(n))
    yield "batch at a time", "", lambda n: monitor.batch_at(made.received_at(number(n)))
    yield "quarantine", "", lambda _: monitor.quarantine(_PAGE)
    yield "counters", "", lambda _: monitor.snapshot()
    yield "counters and signs", "", lambda _: monitor.snapshot(signs=True)
    yield "minutes of a day", "", lambda _: monitor.minutes((made.end - DAY) // MINUTE)
    yield "insights of a day", "", lambda _: monitor.insights(made.end - DAY, None)
    yield "insights of all", "", lambda _: monitor.insights(None, None)
