"""`export`."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hooklab.commands.common import CommandError, clock, confirmed, print_line, read
from hooklab.config import Settings
from hooklab.export.file import ExportExistsError, check_place, place_of
from hooklab.export.job import Told, Wish, write_file, write_messages
from hooklab.export.lines import Format
from hooklab.filters import parse_filter
from hooklab.monitor import FolderMonitor
from hooklab.store.base import ALL
from hooklab.text import clean


def export(given: argparse.Namespace, settings: Settings) -> int:
    """Writes the messages that the filter words let through."""
    wish = Wish(where=parse_filter(given.words, clock()), form=_format(given), masked=given.mask)
    with contextlib.suppress(OSError):
        os.nice(10)  # whoever answers the provider on this machine goes first
    with _ended_by_signals():
        if given.output in {None, "-"}:
            _to_stdout(wish, settings)
        else:
            _to_file(given, wish, settings)
    return 0


def _format(given: argparse.Namespace) -> Format:
    if given.format is not None:
        form: Format = given.format
        return form
    return "jsonl" if (given.output or "").lower().endswith((".jsonl", ".ndjson", ".json")) else "csv"


def _to_stdout(wish: Wish, settings: Settings) -> None:
    async def write(monitor: FolderMonitor) -> None:
        # Its lines show how far it is where a terminal shows them.
        with _shown(await _total(monitor, wish), here=not sys.stdout.isatty()) as told:
            await write_messages(monitor, wish, _Stdout(), told, apart=False)

    read(settings, write)


def _to_file(given: argparse.Namespace, wish: Wish, settings: Settings) -> None:
    path = place_of(given.output, Path.cwd())
    replace = given.force
    try:
        check_place(path, replace=replace)
    except ExportExistsError as error:
        if not sys.stdin.isatty():
            raise CommandError(f"{error}; --force replaces it") from error
        if not confirmed(f"{clean(str(error))}. Replace it?"):
            raise CommandError("nothing was written") from error
        replace = True

    async def write(monitor: FolderMonitor) -> int:
        with _shown(await _total(monitor, wish), here=True) as told:
            return await write_file(monitor, wish, path, told, replace=replace)

    count = read(settings, write)
    numbers = "masked" if wish.masked else "whole"
    print_line(f"{count:,} message{'' if count == 1 else 's'}, phone numbers {numbers}, in {path}")


async def _total(monitor: FolderMonitor, wish: Wish) -> int | None:
    """How many there are, where that is known."""
    return (await monitor.snapshot()).counters.messages if wish.where == ALL else None


@contextmanager
def _shown(total: int | None, *, here: bool) -> Iterator[Told]:
    """Shows on a terminal how far it is; gives what is to be told."""
    if not here or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), TextColumn("{task.completed:,} messages"), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.update(task, completed=count)


class _Stdout:
    """Without a buffer: nothing is left to be written when somebody ends this."""

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end as Ctrl-C does, so that nothing half is left; each at once, also where a write waits."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
