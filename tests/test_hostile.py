"""Every hostile string as every field, from a real service, through every screen: nothing crashes, nothing leaks."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hostile import HOSTILE, LONG, harmful
from hostile_stage import FAR, ROOM, Fed, about, feed, harmless, message_of, name_of
from msgspec.structs import replace
from rich.cells import cell_len
from support import TOKEN, RunningService, hooklab
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from hooklab.admin_client import ask_service
from hooklab.commands.common import clock
from hooklab.files import Folder
from hooklab.metrics import ServiceStatus, TurnedAway
from hooklab.monitor import FolderMonitor
from hooklab.store.base import ALL, Condition, Found, QuarantineRow
from hooklab.text import clean
from hooklab.times import DAY
from hooklab.tui.app import MonitorApp
from hooklab.tui.problems import SHOWN
from hooklab.tui.screens.copied import CopiedScreen
from hooklab.tui.screens.detail import BodyScreen, DetailScreen
from hooklab.tui.screens.insights import InsightsScreen
from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.targets import Target, ToBatch, ToMessage, ToQuarantined
from hooklab.tui.widgets.scroll_lines import ScrollLines

SIZES: Final = [(40, 24), (120, 36)]
"""A narrow and a wide layout; what a string does to a terminal does not depend on more."""


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """One service for all."""
    with RunningService(tmp_path_factory.mktemp("hostile") / "data", environment=ROOM) as service:
        yield feed(service)


def later() -> int:
    """Two days from now: what is pending is stuck."""
    return clock() + 2 * DAY


class Windowed(FolderMonitor):
    """The real monitor, whose newest rows can be made to be others: the problems show only a few of each group."""

    def __init__(self, folder: Folder, url: str | None = None) -> None:
        super().__init__(folder, later, self._status)
        self._asked = folder
        self.url = url
        self.strangers: list[TurnedAway] = []
        self.messages_before: int | None = None
        self.quarantine_before: int | None = None

    async def _status(self) -> ServiceStatus | None:
        status = await ask_service(self._asked)
        if status is None:
            return None
        return replace(status, hook_url=self.url or status.hook_url, turned_away=self.strangers)

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        return await super().search(where, limit, before or self.messages_before)

    async def quarantine(
        self, limit: int, before: int | None = None, after: int | None = None
    ) -> list[QuarantineRow]:
        return await super().quarantine(limit, before or self.quarantine_before, after)


class Walk:
    """Somebody who walks through the app and looks at everything."""

    def __init__(self, app: MonitorApp, pilot: Pilot[str | None], monitor: Windowed) -> None:
        self.app, self.pilot, self.monitor = app, pilot, monitor

    async def settle(self) -> None:
        """Until all that was asked for is read and drawn."""
        for _ in range(3):  # a key is the widget's, then the screen's, then the app's, which reads
            await self.pilot._wait_for_screen()
        await self.app.workers.wait_for_complete()
        await self.pilot._wait_for_screen()

    async def tick(self, what: str) -> None:
        self.app.poll()
        await self.settle()
        self.look(what)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    def look(self, what: str) -> None:
        harmless(self.app, what)
        assert self.app.view.trouble is None, f"{what}: {self.app.view.trouble!a}"

    def text(self) -> str:
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    async def list(self, what_is: Any) -> int:
        """Looks at each screenful of a list from top to end; gives the number of rows."""
        screen = self.app.screen
        assert isinstance(screen, ListScreen)
        rows = screen.list
        rows.action_move(-FAR)
        while True:
            sight = rows.rows.items[rows._top : rows._top + rows.room]
            names = {what_is(row) for row in sight}
            self.look(f"one of the rows {names}")
            if rows.selected >= len(rows.rows) - 1 and not rows.wants_older:
                return len(rows.rows)
            rows.action_page(1)
            if rows.wants_older:
                await self.settle()

    async def open(self, target: Target) -> DetailScreen[Any]:
        self.app.follow(target)
        await self.settle()
        screen = self.app.screen
        assert isinstance(screen, DetailScreen)
        return screen

    async def turn(self, screen: DetailScreen[Any], number: object, what: str) -> None:
        """Another thing on the same screen: to open and close it by keys, as the pty test does, takes much longer."""
        with about(what):
            setattr(screen._body.subject, _NUMBERS[type(screen).__name__], number)
            screen._body.detail = screen._body._mark = None
            await screen.load(self.monitor, self.app.view)
            assert screen.detail is not None
            screen.show(self.app.view)
            self.scroll(screen._body, what)

    async def turn_both_ways(self, screen: DetailScreen[Any], number: object, what: str) -> None:
        """Another thing with a body: indented, and as it came where that is another text."""
        assert isinstance(screen, BodyScreen)
        await self.turn(screen, number, what)
        indented = set(screen._body.content)
        with about(f"{what}, as it came"):
            screen.action_raw()
            assert screen.raw
            if len(set(screen._body.content) - indented) > 1:  # the title always differs
                self.scroll(screen._body, what, to=[FAR])
            screen.raw = False

    def scroll(self, body: ScrollLines, what: str, *, to: Sequence[int] = (-FAR, FAR)) -> None:
        """Looks at each line of a text, and at the screen with its beginning and its end."""
        for text in {line.text for line in body.content}:
            assert not harmful(text), f"{what}: {harmful(text)} in {text!a}"
            assert cell_len(text) <= body.size.width, f"{what}: too wide: {text!a}"
        before = None
        for by in to:
            body.action_move(by)
            if body.top != before:
                self.look(what)
            before = body.top

    async def paste(self, text: str, *, settled: bool = True) -> None:
        """Pastes; the text is looked at in each turn of the loop on its way to where it is read."""
        self.app.post_message(events.Paste(text))
        with about(ascii(text[:200])):
            for _ in range(3):
                await asyncio.sleep(0)
                self.look("what is pasted")
        await (self.settle() if settled else self.pilot._wait_for_screen())


_NUMBERS: Final = {"TimelineScreen": "message_id", "BatchScreen": "_number", "QuarantinedScreen": "_row_id"}


@asynccontextmanager
async def walk(folder: Path, size: tuple[int, int], url: str | None = None) -> AsyncIterator[Walk]:
    """Runs the app on a folder; its timer does not tick."""
    monitor = Windowed(Folder(folder), url)
    app = MonitorApp(monitor, later, hook_url=None, owns_service=True)
    app.set_interval = lambda *_args, **_kwargs: None  # type: ignore[method-assign, assignment]
    async with app.run_test(size=size) as pilot:
        walker = Walk(app, pilot, monitor)
        await walker.tick("the start")
        yield walker


def _times_shown(name: str, content: str) -> int:
    """How often the beginning of a string is there, in whatever lines it was wrapped."""
    wanted = "".join(clean(HOSTILE[name])[:12].split())
    return "".join(content.split()).count(wanted)


def is_walked(name: str, size: tuple[int, int]) -> bool:
    """A body of 64 KB is read to its end at the narrowest size, where it has the most lines: it takes long."""
    return len(HOSTILE.get(name, "")) < LONG // 4 or size == (40, 10)


@pytest.mark.parametrize("size", SIZES)
async def test_lists_of_hostile_rows(fed: Fed, size: tuple[int, int]) -> None:
    """Messages (numbers masked and shown whole), batches and quarantine, each from top to end."""
    async with walk(fed.folder, size) as on:
        count = await on.list(lambda row: name_of(row.message_id))
        assert count >= 2 * 60
        await on.press("m")
        assert await on.list(lambda row: name_of(row.message_id)) == count
        await on.press("2")
        assert await on.list(lambda row: fed.name_of_batch(row.batch)) == len(fed.senders)
        await on.press("4")
        assert await on.list(lambda row: fed.name_of_batch(row.batch)) >= 4 * len(HOSTILE)


@pytest.mark.parametrize("size", SIZES)
async def test_problems_with_hostile_rows(fed: Fed, size: tuple[int, int]) -> None:
    """Every message and all of the quarantine come through the few lines that the problems show of each group."""
    async with walk(fed.folder, size) as on:
        found = await on.monitor.search(ALL, 2_000)
        kept = await on.monitor.quarantine(2_000)
        messages, quarantine = found.rows[::SHOWN], kept[::SHOWN]
        await on.press("m", "3")
        screen: Any = on.app.screen
        for at in range(max(len(messages), len(quarantine))):
            last, lowest = messages[at % len(messages)], quarantine[at % len(quarantine)]
            on.monitor.messages_before, on.monitor.quarantine_before = last.cursor + 1, lowest.id + 1
            screen._mark = None
            what = f"those from {name_of(last.message_id)} or {fed.name_of_batch(lowest.batch)} on"
            with about(what):
                await screen.load(on.monitor, on.app.view)
                screen.show(on.app.view)
            on.scroll(screen._body, what)


@pytest.mark.parametrize("size", SIZES)
async def test_strangers_with_hostile_names(fed: Fed, size: tuple[int, int]) -> None:
    """Who was turned away is an address, but whatever a service says of them, the problems show it harmlessly."""
    async with walk(fed.folder, size) as on:
        await on.press("3")
        on.monitor.strangers = [
            TurnedAway(address=text, why=text, count=1, last_at=clock()) for text in HOSTILE.values()
        ]
        with about("strangers"):
            await on.tick("strangers")
        body = on.app.screen.query_one(ScrollLines)
        assert sum(f"{one.text} ".startswith("         from ") for one in body.content) == len(HOSTILE)
        on.scroll(body, "strangers")


@pytest.mark.parametrize("size", SIZES)
async def test_timelines_of_hostile_messages(fed: Fed, size: tuple[int, int]) -> None:
    """Each message with all of its fields, to the end of its timeline."""
    async with walk(fed.folder, size) as on:
        ids = [row.message_id for row in (await on.monitor.search(ALL, 2_000)).rows]
        screen = await on.open(ToMessage(ids[0]))
        for message_id in ids:
            name = name_of(message_id)
            await on.turn(screen, message_id, name)
            if message_id == message_of(name):
                content = "\n".join(line.text for line in screen._body.content)
                assert _times_shown(name, content) >= 3, f"{name} is not shown as every field"
            with about(name):
                on.app.action_reveal()  # whole numbers, or masked again: the other way for the next one
            on.scroll(screen._body, name, to=[-FAR])


@pytest.mark.parametrize("size", SIZES)
async def test_batches_with_hostile_bodies(fed: Fed, size: tuple[int, int]) -> None:
    """Each batch with its headers, what its elements became, and its body indented and as it came, to the end."""
    async with walk(fed.folder, size) as on:
        screen = await on.open(ToBatch(1))
        for number, name in enumerate(fed.senders, 1):
            if number not in fed.retries and is_walked(name, size):
                await on.turn_both_ways(screen, number, f"batch {number} ({name})")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_elements_and_bodies_in_quarantine(fed: Fed, size: tuple[int, int]) -> None:
    """All that could not be understood, indented and as it came, to the end."""
    async with walk(fed.folder, size) as on:
        rows = await on.monitor.quarantine(2_000)
        screen = await on.open(ToQuarantined(rows[0].id))
        for row in rows:
            name = fed.name_of_batch(row.batch)
            if is_walked(name, size):
                await on.turn_both_ways(screen, row.id, f"{row.id} in quarantine ({name})")


@pytest.mark.parametrize("size", SIZES)
async def test_insights_with_hostile_names(fed: Fed, size: tuple[int, int]) -> None:
    """What a folder says of itself, and each string as a reason and an organization: only the first few are named."""
    async with walk(fed.folder, size) as on:
        await on.press("5", *["right_square_bracket"] * 4)
        screen = on.app.screen
        assert isinstance(screen, InsightsScreen)
        on.scroll(screen._body, "the insights as they are")
        assert screen._found is not None
        window, real = screen._found
        assert real.failure_reasons
        for name, text in HOSTILE.items():
            reason = replace(real.failure_reasons[0], description=text)
            organization = replace(real.by_organization[0], organization_id=text)
            screen._found = window, replace(real, failure_reasons=[reason], by_organization=[organization] * 2)
            with about(name):
                screen.show(on.app.view)
            on.scroll(screen._body, name)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_as_a_filter(fed: Fed, size: tuple[int, int]) -> None:
    """Each string is pasted into the filter box: at no moment, and with no result, does it reach the screen raw."""
    async with walk(fed.folder, size) as on:
        await on.press("slash")
        line = on.app.screen.query_one(Input)
        for name, text in HOSTILE.items():
            line.value = ""
            await on.paste(text)
            on.look(name)
        await on.press("escape")
        assert len(on.app.screen.list.rows) >= 2 * 60  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_in_the_palette(fed: Fed, size: tuple[int, int]) -> None:
    """Each string is pasted into the command palette; the help and the question how to leave are as they are."""
    async with walk(fed.folder, size) as on:
        await on.press("ctrl+p")
        line = on.app.screen.query_one(Input)
        for name, text in HOSTILE.items():
            line.value = ""
            await on.paste(text, settled=False)  # the search takes its time, and gives names of commands only
            on.look(name)
        await on.settle()
        on.look("the last of the strings")
        await on.press("escape")
        await on.press("question_mark")
        on.scroll(on.app.screen.query_one(ScrollLines), "the help")
        await on.press("escape", "q")
        on.look("the question how to leave")
        await on.press("escape")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_that_is_copied(fed: Fed, size: tuple[int, int]) -> None:
    """What is shown for selecting is harmless too, whatever it is."""
    async with walk(fed.folder, size) as on:
        await on.press("y")
        screen = on.app.screen
        assert isinstance(screen, CopiedScreen)
        for name, text in HOSTILE.items():
            screen._text = text
            for line in screen.lines(size[0]):
                assert not harmful(line.text), f"{name}: {harmful(line.text)} in {line.text!a}"
                assert cell_len(line.text) <= size[0], f"{name}: too wide: {line.text!a}"
        screen._text = "".join(text[:40] for text in HOSTILE.values())
        screen.on_resize(events.Resize(on.app.size, on.app.size))
        await on.settle()
        on.look("the beginning of all of them")


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_start_with_a_hostile_url(tmp_path: Path, size: tuple[int, int]) -> None:
    """A public URL with anything in it is shown harmlessly, to the end of the snippet."""
    with RunningService(tmp_path / "data"):
        async with walk(tmp_path / "data", size) as on:
            for at, (name, text) in enumerate(HOSTILE.items()):
                on.monitor.url = f"https://{text[:2000]}/hooks/{TOKEN}"
                with about(name):
                    on.app._snapshot = await on.monitor.snapshot()
                    on.app._publish()
                for to in (0, FAR):
                    on.app.screen._empty.scroll_to(y=to, animate=False)  # type: ignore[attr-defined]
                    await on.pilot._wait_for_screen()
                    on.look(name)
                if at % 40 == 0:
                    await on.press("u")
                    on.look(f"the setup screen with {name}")
                    await on.press("u")


def test_a_public_url_that_is_none_is_refused(tmp_path: Path) -> None:
    """Control and invisible characters, spaces, bytes that are no text: each in one harmless line."""
    for bad in ("https://x\x1b]52;c;eA==\x07", "https://x/\u202e", "https://x /", "https://x/\udcff", "https://x/\n"):
        done = hooklab("serve", "--public-url", bad, data_dir=tmp_path / "data")
        assert done.returncode == 2, done
        said = done.stderr.decode()
        assert said.startswith("hooklab: public_url (--public-url): ")
        assert not harmful(said, "\n")
        assert said.count("\n") == 1
