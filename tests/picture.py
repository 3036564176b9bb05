"""Makes the README's picture: the real screen on a real service that is fed for a while.

Run by hand, from the top of the repository: ``COLORTERM=truecolor TERM=xterm-256color
.venv/bin/python tests/picture.py picture.svg``, then
``rsvg-convert picture.svg --output screen.png`` and
``pngquant --output .github/screen.png screen.png`` (Debian: librsvg2-bin, fonts-firacode, pngquant).
"""

import asyncio
import itertools
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from lives import play, samples, stream
from support import RunningService

from hooklab.files import Folder
from hooklab.monitor import FolderMonitor, ask_service
from hooklab.tui.app import MonitorApp

_SECONDS = 45
_BUSY = 6


def feed(service: RunningService) -> None:
    """Posts for a while what a busy provider sends."""
    posts = stream(random.Random(7), time.time(), _BUSY)
    play(itertools.takewhile(lambda post: post.at < _SECONDS, posts), service.post, threading.Event())


async def main(path: Path) -> None:
    """Starts, feeds, draws."""
    with tempfile.TemporaryDirectory() as place, RunningService(Path(place) / "data") as service:
        for sample in samples():
            service.post(sample)
        folder = Folder(service.data_dir)

        def clock() -> int:
            return time.time_ns() // 1000

        monitor = FolderMonitor(folder, clock, lambda: ask_service(folder))
        app = MonitorApp(monitor, clock, hook_url=None, owns_service=False)
        async with app.run_test(size=(120, 34)) as pilot:
            await asyncio.to_thread(feed, service)
            await pilot.pause(0.6)
            picture = app.export_screenshot(title="hooklab")
            # librsvg drops no-break spaces at the ends of a text unless told to preserve space.
            picture = picture.replace("&#160;", " ").replace("<text ", '<text xml:space="preserve" ')
            path.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
