"""One export from its first message to its last."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hooklab.export.file import ExportFile
from hooklab.export.lines import Format, header, lines_of
from hooklab.export.pages import pages
from hooklab.monitor import Monitor
from hooklab.store.base import Condition, MessageRow

Told = Callable[[int], None]
"""Is called with how many messages were written so far."""


class Wish(Struct, frozen=True, kw_only=True):
    """What is wanted."""

    where: Condition
    form: Format
    masked: bool
    """Whether phone numbers are hidden."""


class Sink(Protocol):
    """What takes the lines."""

    def write(self, data: bytes) -> object:
        """Appends; may take its time."""


async def write_messages(
    monitor: Monitor, wish: Wish, sink: Sink, told: Told, *, apart: bool = True, gently: bool = False
) -> int:
    """Writes all messages that are wished for; gives their number.

    Args:
        monitor: where they are.
        wish: which, and how.
        sink: its errors pass through.
        told: called after each page.
        apart: makes and writes the lines in a thread; without it a signal interrupts a write that waits.
        gently: rests as long as it works, so that it takes half a core at most; for a process that answers too.

    Raises:
        MonitorError: the data cannot be read.
    """
    count = 0
    sink.write(header(wish.form))
    began = time.monotonic()
    async for rows in pages(monitor, wish.where):
        if apart:
            await asyncio.to_thread(_write, rows, wish, sink)
        else:
            _write(rows, wish, sink)
        count += len(rows)
        told(count)
        if gently:
            await asyncio.sleep(time.monotonic() - began)
        began = time.monotonic()
    return count


def _write(rows: Sequence[MessageRow], wish: Wish, sink: Sink) -> None:
    sink.write(lines_of(rows, wish.form, masked=wish.masked))


async def write_file(
    monitor: Monitor, wish: Wish, path: Path, told: Told, *, replace: bool, gently: bool = False
) -> int:
    """Like `write_messages` into the file `path`, which is there when this returns, and not when it raises.

    Raises:
        ExportError: the file cannot be written; `ExportExistsError` where there is one, and not to `replace`.
        MonitorError: the data cannot be read.
    """
    file = ExportFile(path, replace=replace)
    try:
        count = await write_messages(monitor, wish, file, told, gently=gently)
        await asyncio.to_thread(file.finish)
    finally:
        file.discard()
    return count
