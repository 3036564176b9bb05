"""Makes pictures of every screen: the real screens on a real service that is fed for a while.

Run by hand, from the top of the repository: ``COLORTERM=truecolor TERM=xterm-256color
.venv/bin/python tests/picture.py DIR 80x24 120x36``, then for each ``rsvg-convert NAME.svg --output NAME.png``
(Debian: librsvg2-bin, fonts-firacode). The README's is ``messages-120x34``, through
``pngquant --output .github/screen.png``.
"""

import asyncio
import itertools
import random
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from lives import play, samples, stream
from support import RunningService
from textual.app import App
from textual.pilot import Pilot

from hooklab.admin_client import ask_service
from hooklab.commands.common import clock
from hooklab.files import Folder
from hooklab.monitor import FolderMonitor
from hooklab.tui.app import MonitorApp

_SECONDS: Final = 45
_BUSY: Final = 6
_SETTLES: Final = 0.8
"""Seconds after a key until the screen has read and drawn: more than a tick."""

WALK: Final = (
    ("messages", ()),
    ("timeline", ("3", "enter")),
    ("filter", ("1", "slash", *"state:not_delivered since:1h")),
    ("filtered", ("enter", "j", "j")),
    ("copied", ("y",)),
    ("batches", ("escape", "escape", "2")),
    ("batch", ("j", "enter")),
    ("body", ("r", "G")),
    ("problems", ("3",)),
    ("quarantine", ("4",)),
    ("quarantined", ("j", "enter")),
    ("insights", ("5",)),
    ("provider", ("G",)),
    ("help", ("question_mark",)),
    ("leave", ("escape", "1", "q")),
    ("export", ("escape", "e")),
    ("palette", ("escape", "ctrl+p")),
)
"""Each screen, and the keys that lead to it from the one before."""


def feed(service: RunningService) -> None:
    """Posts for a while what a busy provider sends."""
    posts = stream(random.Random(7), time.time(), _BUSY)
    play(itertools.takewhile(lambda post: post.at < _SECONDS, posts), service.post, threading.Event())


def picture(app: App[str | None]) -> str:
    """The screen as SVG."""
    # librsvg drops no-break spaces at the ends of a text unless told to preserve space.
    drawn = app.export_screenshot(title="hooklab")
    return drawn.replace("&#160;", " ").replace("<text ", '<text xml:space="preserve" ')


@asynccontextmanager
async def shown(folder: Folder, size: tuple[int, int]) -> AsyncIterator[Pilot[str | None]]:
    """The app on the data folder of a service."""
    monitor = FolderMonitor(folder, clock, lambda: ask_service(folder))
    app = MonitorApp(monitor, clock, hook_url=None, owns_service=True)
    async with app.run_test(size=size) as pilot:
        yield pilot


async def main(path: Path, sizes: Sequence[str]) -> None:
    """Starts, feeds, draws."""
    with tempfile.TemporaryDirectory() as place:
        with RunningService(Path(place) / "empty") as service:
            for size in sizes:
                async with shown(Folder(service.data_dir), _size(size)) as pilot:
                    await pilot.pause(_SETTLES)
                    (path / f"empty-{size}.svg").write_text(picture(pilot.app), encoding="utf-8")
        with RunningService(Path(place) / "data", "--stuck-after", "20s") as service:
            for sample in samples():
                service.post(sample)
            for size in sizes:
                async with shown(Folder(service.data_dir), _size(size)) as pilot:
                    if size == sizes[0]:
                        await asyncio.to_thread(feed, service)
                    for name, keys in WALK:
                        await pilot.press(*keys)
                        await pilot.pause(_SETTLES)
                        (path / f"{name}-{size}.svg").write_text(picture(pilot.app), encoding="utf-8")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
