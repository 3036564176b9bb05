"""How far a campaign is: a bar on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hooklab.simulator.sender import Figures

_LINE_SECONDS: Final = 3.0


@contextmanager
def shown(stream: TextIO) -> Iterator[Callable[[Figures], None]]:
    """Gives what is to be called with the figures, some ten times a second; leaves the terminal as it was."""
    if not stream.isatty():
        yield _Lines(stream)
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("acknowledged, {task.fields[others]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task("", total=None, others="")

        def show(figures: Figures) -> None:
            progress.update(task, total=figures.sendings, completed=figures.acknowledged, others=_others(figures))

        yield show


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = time.monotonic() + _LINE_SECONDS

    def __call__(self, figures: Figures) -> None:
        if time.monotonic() >= self._next:
            self._next += _LINE_SECONDS
            print(
                f"acknowledged {figures.acknowledged:,} of {figures.sendings:,}, {_others(figures)}",
                file=self._stream,
                flush=True,
            )


def _others(figures: Figures) -> str:
    """The rest of the figures, as they are wherever they are shown."""
    return f"{figures.retried:,} retried, {figures.refused:,} refused"
