"""What commands share: the clock, the data they read, and how they print."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hooklab.admin_client import ask_service
from hooklab.config import Settings, SettingsError, load_settings
from hooklab.export.file import ExportError
from hooklab.export.lines import json_line
from hooklab.files import Folder, FolderError
from hooklab.filters import FilterError
from hooklab.monitor import FolderMonitor, MonitorError
from hooklab.simulator.truth import TruthError
from hooklab.text import clean, clean_lines

_T = TypeVar("_T")


class CommandError(Exception):
    """A command cannot do what was asked; the text says why and what to do."""


EXPECTED_ERRORS = (CommandError, FolderError, FilterError, MonitorError, TruthError, ExportError)
"""Answers, not faults: their text is the one line that goes to stderr."""


def clock() -> int:
    """The present, microseconds UTC."""
    return time.time_ns() // 1000


def end_quietly(code: int) -> None:
    """From now on a signal ends nothing any more; where a disk or a log stalls the process ends at once.

    Python would wait for such a thread for ever, and gives signals back their deadly meaning while it ends.
    """
    from hooklab.commands.logs import flush

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hanging = any(thread is not threading.current_thread() and not thread.daemon for thread in threading.enumerate())
    if not flush() or hanging:
        with contextlib.suppress(OSError):  # it may be gone
            sys.stdout.flush()
        os._exit(code)


def read(settings: Settings, what: Callable[[FolderMonitor], Awaitable[_T]]) -> _T:
    """Gives what `what` reads from the data folder, whether a service runs there or not."""
    folder = Folder(settings.data_dir)
    folder.require()

    async def reading() -> _T:
        monitor = FolderMonitor(folder, clock, lambda: ask_service(folder))
        try:
            return await what(monitor)
        finally:
            await monitor.close()

    return asyncio.run(reading())


def called(command: str, folder: Path) -> str:
    """A command as a shell takes it, called as this one was, for the data folder that this one has."""
    name = Path(sys.argv[0])
    if hasattr(sys, "frozen") and "/" not in sys.argv[0]:  # one file, found in PATH: of a script, this has its folder
        shown = shlex.quote(sys.argv[0] or sys.executable)
    elif name.name in {"", "-c", "-m", "__main__.py"}:
        shown = f"{shlex.quote(sys.executable)} -m hooklab"
    elif shutil.which("hooklab") == os.path.abspath(name):  # noqa: PTH100  a link in PATH is named as it is
        shown = "hooklab"
    else:
        shown = shlex.quote(f"./{name}" if name.parent == Path() else str(name))
    named = not _is_default(folder) or any(one.startswith("HOOKLAB_") for one in os.environ)
    return f"{shown} {command}{f' --data-dir {shlex.quote(str(folder))}' if named else ''}"


def _is_default(folder: Path) -> bool:
    try:
        return folder == load_settings({}, {}).data_dir
    except SettingsError:  # this user has no home, so that nothing is the default
        return False


def confirmed(question: str) -> bool:
    """Asks who sits at the terminal; only a yes is one."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # stdout may be what is being written
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def print_json(value: Any) -> None:
    """One JSON value on one line; what a terminal might obey is escaped, and means the same to who parses it."""
    sys.stdout.buffer.write(json_line(value).encode() + b"\n")


def print_line(text: str = "") -> None:
    """One line that can do nothing to a terminal."""
    print(clean(text))


def write_raw(data: bytes) -> None:
    """Bytes as they came; on a terminal, which might obey them, made harmless, and stderr says so."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        return
    text = data.decode(errors="replace")
    shown = clean_lines(text)
    print(shown)
    if shown.encode() != data:
        print(
            "hooklab: shown so that a terminal can do nothing; into a file or a pipe it goes as it came",
            file=sys.stderr,
        )


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> None:
    """Aligned columns; those in `right` are right-aligned, the last one is not padded. Without a `head` none."""
    cells = [[clean(str(cell), 200) for cell in row] for row in rows]
    table = [list(head), *cells] if head else cells
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        parts = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(parts).rstrip())
