"""Every screen as a picture, the same on every machine: real screens on a real store, a seed and a clock that stands.

``make screenshots`` writes them to ``tests/screenshots``, where the visual tests find what a screen looked like. To
look at others: ``.venv/bin/python tests/gallery.py DIR 100x30``.
"""

import asyncio
import html
import itertools
import json
import random
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, chdir
from datetime import UTC
from pathlib import Path
from typing import Final, NamedTuple

from lives import Post, samples, stream
from textual import events
from textual.command import CommandList
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input
from tui_fakes import NOW, URL, FakeClock, status
from tui_stage import colours

from hooklab.files import Folder
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.metrics import ServiceStatus, TurnedAway
from hooklab.monitor import FolderMonitor
from hooklab.projector import Projector
from hooklab.store.sqlite import SqliteStore
from hooklab.times import SECOND
from hooklab.tui.app import MonitorApp
from hooklab.tui.rate import SECONDS
from hooklab.tui.screens.palette import Palette

REFERENCES: Final = Path(__file__).parent / "screenshots"
SIZES: Final = ("80x24", "120x36", "200x50")
THEMES: Final = ("dark", "light")
WALK: Final = (
    ("messages", ()),
    ("stuck", ("3", "enter")),
    ("timeline", ("escape", *"jjjjjjj", "enter")),
    ("filter", ("1", "slash", "state:not_delivered since:1h")),
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
    ("palette", ("escape", "ctrl+p")),
    ("jump", ("escape", "t", "23 Nov 09:15")),
    ("jumped", ("enter",)),
    ("setup", ("escape", "u")),
    ("export", ("escape", "e")),
)
"""Each screen, and the keys that lead to it from the one before."""
EMPTY: Final = "empty"
"""The screen where nothing has come yet."""
_WIDE: Final = 12.2
_LINE: Final = 24.4
"""Rich's measures of a cell."""
_HOURS: Final = 30
_LARGE: Final = 20_000
"""Bytes of a sample from which on it would be all that a picture shows."""
_HEADERS: Final = '[["content-type","application/json"],["user-agent","arpoone/1"]]'


def posts() -> Iterator[tuple[int, Post]]:
    """When each was received, oldest first: less by night than by day, and more in the last minutes."""
    now = NOW // SECOND
    for hour in range(_HOURS, 0, -1):
        began = now - 120 - hour * 3600
        busy = (0.003, 0.014)[8 <= began // 3600 % 24 < 20]
        made = stream(random.Random(hour), began, busy)
        yield from _received(began, itertools.takewhile(lambda post: post.at < 3600, made))
    made = stream(random.Random(99), now - 120, 0.4)
    yield from _received(now - 120, itertools.takewhile(lambda post: post.at < 118, made))


def _received(began: int, made: Iterator[Post]) -> Iterator[tuple[int, Post]]:
    for post in made:
        yield int((began + post.at) * SECOND), post


def _batch(received_at: int, body: bytes, label: str | None) -> NewBatch:
    try:
        malformed = not isinstance(json.loads(body), list)
    except ValueError:
        malformed = True
    return NewBatch(received_at, len(body) % 5, "203.0.113.7", label, _HEADERS, body, malformed)


class Filled(NamedTuple):
    """A data folder as a service would have left it.

    Attributes:
        totals: elements received until each second of the clock, of the last ones.
    """

    folder: Folder
    totals: list[int]


def batches() -> list[NewBatch]:
    """Made-up posts, and the samples."""
    made = [_batch(at, post.body, post.label) for at, post in posts()]
    made += [_batch(NOW - 600 * SECOND + at, body, None) for at, body in enumerate(samples()) if len(body) < _LARGE]
    return sorted(made, key=lambda one: one.received_at)


async def fill(folder: Folder, batches: Sequence[NewBatch]) -> Filled:
    """Batches through journal and store."""
    folder.prepare()
    journal = await SqliteJournal.open(folder.journal, JournalLimits())
    try:
        await asyncio.gather(*(journal.append(one) for one in batches))
        store = await SqliteStore.open(folder.store)
        try:
            await Projector(journal, store, assumed=UTC, max_elements=10_000).catch_up()
        finally:
            await store.close()
    finally:
        await journal.close()
    counted = [(one.received_at, len(json.loads(one.body))) for one in batches if not one.malformed]
    return Filled(
        folder,
        [
            sum(count for at, count in counted if at <= NOW - (SECONDS - second) * SECOND)
            for second in range(SECONDS + 1)
        ],
    )


class Visit:
    """The app on such a folder, and somebody who walks through its screens."""

    def __init__(self, app: MonitorApp, pilot: Pilot[str | None]) -> None:
        self.app, self._pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Keys, and more than one letter is pasted; what they open and read is seen to its end."""
        before = None
        for key in keys:
            pasted = len(key) > 1 and " " in key
            self.app.post_message(events.Paste(key) if pasted else events.Key(key, key if len(key) == 1 else None))
            with chdir("/"):  # what an export proposes begins with the current folder
                before = await self._settled()
        while before != (before := await self._settled()):
            pass

    async def _settled(self) -> list[Strip]:
        await self._pilot.pause(0)  # until all messages are taken; without a number it waits for an idle processor
        self.app.poll()
        await self.app.workers.wait_for_complete()
        for line in self.app.screen.query(Input):
            line.cursor_blink = False
        while getattr(self.app.screen, "_rest", None) is not None:  # what stands beside follows after a moment
            await self._pilot.pause(0.01)
        while isinstance(self.app.screen, Palette) and not self.app.screen.query_one(CommandList).option_count:
            await self._pilot.pause(0.01)
        await self._pilot.pause(0)
        return self.app.screen._compositor.render_strips()

    def picture(self) -> str:
        """The screen as SVG: Rich's, without what says the same again and again."""
        svg = self.app.export_screenshot(title="hooklab")
        # Without its window there is less of it.
        svg = re.sub(r'(viewBox="0 0 \d+) ([.\d]+)', lambda found: f"{found[1]} {float(found[2]) - 40:.0f}", svg)
        ground = re.findall(r'<rect fill="(#\w+)" x=', svg)[0]
        for pattern, instead in _SLIMMER:
            svg = re.sub(pattern, instead.format(ground=ground), svg, flags=re.DOTALL)
        # librsvg drops no-break spaces at the ends of a text unless told to preserve space.
        svg = svg.replace(f'<rect fill="{ground}" x=', "<rect gone=").replace("&#160;", " ")
        return re.sub(r"<rect gone=[^>]*/>|(?<=</text>)\s+(?=<text)", "", svg)


_SLIMMER: Final = (
    (r' textLength="(?:\d\d?|1[01]\d)(?:\.\d+)?"', ""),  # of short texts; over these no font gets far from its cells
    (r"@font-face \{.*?\}\s*|<defs>.*?</defs>\s*|\.title \{.*?\}\s*", ""),
    (r' clip-path="[^"]*"| shape-rendering="[^"]*"|terminal-\d+-', ""),
    (r'<rect fill="#292929".*?</g>', '<rect fill="{ground}" width="100%" height="100%"/>'),
    (r'<g transform="translate\(9, 41\)">', '<g transform="translate(9, 4)" xml:space="preserve">'),
)


@asynccontextmanager
async def visit(filled: Filled, size: str, theme: str) -> AsyncIterator[Visit]:
    """The app as `run` shows it, by a clock that stands; it ticks when keys are pressed."""
    clock = FakeClock()
    clock.ran = float(SECONDS)

    async def said() -> ServiceStatus:
        if not any(filled.totals):
            return status(local_url=URL, listens_on="127.0.0.1:8080")
        guest = TurnedAway(address="203.0.113.7", why="wrong token", count=3, last_at=NOW - 90 * SECOND)
        return status(refused={"404": 3}, turned_away=[guest], local_url=URL, listens_on="127.0.0.1:8080")

    with colours():
        monitor = FolderMonitor(filled.folder, clock, said)
        app = MonitorApp(monitor, clock, hook_url=URL, owns_service=True, timer=clock.timer, theme=theme)
    app.set_interval = lambda *_args, **_kwargs: None  # type: ignore[method-assign, assignment]
    for second, total in enumerate(filled.totals):
        app._rate.add(second * SECOND, total)
    app._rate.add = lambda *_: None  # type: ignore[method-assign]  # how often it reads is chance
    width, height = map(int, size.split("x"))
    async with app.run_test(size=(width, height)) as pilot:
        yield Visit(app, pilot)


class _Cell(NamedTuple):
    text: str = " "
    look: str = ""
    ground: str = ""


def _rows(svg: str) -> list[list[_Cell]]:
    """The cells of a picture by line; how a cell without text looks is not told."""
    looks = {found[1]: found[2].strip() for found in re.finditer(r"\.(r\d+) \{(.*?)\}", svg)}
    held: dict[tuple[int, int], _Cell] = {}
    for found in re.finditer(r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', svg):
        row, first, wide = round((float(found[3]) - 1.5) / _LINE), float(found[2]) / _WIDE, float(found[4]) / _WIDE
        held |= {(row, round(first) + at): _Cell(ground=found[1]) for at in range(round(wide))}
    for found in re.finditer(r'<text class="(r\d+)" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        row, first = round((float(found[3]) - 20) / _LINE), round(float(found[2]) / _WIDE)
        for at, text in enumerate(html.unescape(found[4]), first):
            held[row, at] = held.get((row, at), _Cell())._replace(
                text=text, look="" if text == " " else looks[found[1]]
            )
    width = max((at for _, at in held), default=-1) + 1
    height = max((row for row, _ in held), default=-1) + 1
    return [[held.get((row, at), _Cell()) for at in range(width)] for row in range(height)]


def differences(was: str, now: str) -> list[str]:
    """What of a picture changed, in words, line by line."""
    told: list[str] = []
    nothing: list[_Cell] = []
    for number, (old, new) in enumerate(itertools.zip_longest(_rows(was), _rows(now), fillvalue=nothing), 1):
        before, after = ("".join(cell.text for cell in row).rstrip() for row in (old, new))
        if before != after:
            told.append(f"line {number} was |{before}|\n{'is':>{len(str(number)) + 9}} |{after}|")
            continue
        changed = [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
        if changed:
            at, text = changed[0], "".join(new[at].text for at in changed).strip()
            told.append(
                f"line {number}, column {at + 1}: {text!r} looked like {_look(old[at])}, now like {_look(new[at])}"
            )
    return told


def _look(cell: _Cell) -> str:
    return " ".join(part for part in (cell.look, cell.ground and f"on {cell.ground}") if part) or "nothing"


async def walk(filled: Filled, nothing: Filled, size: str, theme: str) -> AsyncIterator[tuple[str, str]]:
    """Name and picture of each screen."""
    async with visit(nothing, size, theme) as there:
        await there.press("1")
        yield EMPTY, there.picture()
    async with visit(filled, size, theme) as there:
        for name, keys in WALK:
            await there.press(*keys)
            yield name, there.picture()


async def main(path: Path, sizes: Sequence[str]) -> None:
    """Writes all pictures anew."""
    path.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        filled = await fill(Folder(Path(place) / "data"), batches())
        nothing = await fill(Folder(Path(place) / "empty"), [])
        for size, theme in itertools.product(sizes, THEMES):
            async for name, svg in walk(filled, nothing, size, theme):
                (path / f"{name}-{size}-{theme}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else REFERENCES, sys.argv[2:] or SIZES))
