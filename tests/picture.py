"""Makes the README's picture: the real screen on a real service that is fed for a while.

Run by hand, from the top of the repository: ``COLORTERM=truecolor TERM=xterm-256color
.venv/bin/python tests/picture.py picture.svg``, then
``rsvg-convert picture.svg --output screen.png`` and
``pngquant --output .github/screen.png screen.png`` (Debian: librsvg2-bin, fonts-firacode, pngquant).
"""

import asyncio
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support import RunningService, body_of, report

from hooklab.files import Folder
from hooklab.monitor import FolderMonitor, ask_service
from hooklab.tui.app import MonitorApp

_SECONDS = 45
_WHY = ("Absent subscriber", "Number not in use", "Handset memory full", "Blocked by operator")


def lives(seed: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Bodies of messages that mostly arrive, one after the other."""
    order = 4700
    while True:
        order += 1
        common = {
            "Msisdn": f"35191{seed.randrange(10**7):07}",
            "TotalSegments": seed.choice((1, 1, 1, 2, 3)),
            "CustomPayload": f"order {order}",
            "ReportDateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        message_id = str(uuid.UUID(int=seed.getrandbits(128), version=4))
        pending = report(message_id, "PENDING", **common, ReportDescription="Message accepted by operator")
        final = report(message_id, "DELIVERED", **common, ReportDescription="Message delivered to handset")
        failed = report(message_id, "NOT_DELIVERED", **common, ReportDescription=seed.choice(_WHY))
        chance = seed.random()
        if chance < 0.85:
            yield [pending, final]
        elif chance < 0.93:
            yield [pending, failed]
        elif chance < 0.98:
            yield [pending]
        else:
            yield [final, failed]


def feed(service: RunningService, ends: float) -> None:
    """Posts at a changing pace, some bodies twice."""
    seed = random.Random(7)
    for life in lives(seed):
        body = body_of(life)
        for _ in range(2 if seed.random() < 0.02 else 1):
            service.post(body)
        if seed.random() < 0.002:
            service.post(b'{"not": "an array"}')
        now = time.monotonic()
        if now > ends:
            return
        time.sleep(0.02 + 0.03 * seed.random() * (1 + (now / 7) % 2))


async def main(path: Path) -> None:
    """Starts, feeds, draws."""
    with tempfile.TemporaryDirectory() as place, RunningService(Path(place) / "data") as service:
        for sample in sorted(Path("sample_payloads").glob("*.json")):
            service.post(sample.read_bytes())
        folder = Folder(service.data_dir)

        def clock() -> int:
            return time.time_ns() // 1000

        monitor = FolderMonitor(folder, clock, lambda: ask_service(folder))
        app = MonitorApp(monitor, clock, hook_url=None, owns_service=False)
        async with app.run_test(size=(120, 34)) as pilot:
            await asyncio.to_thread(feed, service, time.monotonic() + _SECONDS)
            await pilot.pause(0.6)
            picture = app.export_screenshot(title="hooklab")
            # librsvg drops no-break spaces at the ends of a text unless told to preserve space.
            picture = picture.replace("&#160;", " ").replace("<text ", '<text xml:space="preserve" ')
            path.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
