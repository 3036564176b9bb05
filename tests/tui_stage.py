"""An app on a fake monitor, for the tests of the screen."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from tui_fakes import URL, FakeClock, FakeMonitor, entry, row

from hooklab.store.base import MessageDetail
from hooklab.tui.app import MonitorApp
from hooklab.tui.widgets.message_list import MessageList

_CHARACTERS = {"slash": "/", "question_mark": "?", "colon": ":", "space": " "}


class Stage:
    """An app on a fake monitor, and what a test does with them."""

    def __init__(self, app: MonitorApp, pilot: Pilot[str | None], monitor: FakeMonitor, clock: FakeClock) -> None:
        self.app, self.pilot, self.monitor, self.clock = app, pilot, monitor, clock

    async def tick(self, seconds: float = 0) -> None:
        """One more refresh, seen to its end."""
        self.clock.advance(seconds)
        self.app.poll()
        await self.settle()

    async def press(self, *keys: str) -> None:
        """One key after the other, each taken to its end. The pilot would wait for an idle processor at each."""
        for key in keys:
            name = key if len(key) > 1 or key.isalnum() else _character_to_key(key)
            self.app.post_message(events.Key(name, key if len(key) == 1 else _CHARACTERS.get(key)))
            await self.pilot.pause(0)
            await self.pilot.pause(0)
        await self.settle()

    async def settle(self) -> None:
        """Until all that was sent is taken, and all that is read is drawn."""
        for _ in range(2):
            await self.pilot.pause(0)
            await self.app.workers.wait_for_complete()
        await self._settle_below()
        await self.pilot.pause(0)

    async def until(self, said: str) -> None:
        """Until the screen says it, while a worker goes on that `settle` would wait for; 20 s at most."""
        async with asyncio.timeout(20):
            while said not in self.text():
                await self._settle_below()
                await self.pilot.pause(0)

    async def _settle_below(self) -> None:
        """The screens below the one in front take and draw: the pilot's pause waits for the front one only."""
        for screen in self.app._background_screens:
            taken = []
            for widget in screen.walk_children(with_self=True):
                done = asyncio.Event()
                if widget.call_later(done.set):
                    taken.append(done.wait())
            await asyncio.gather(*taken)
            screen._on_timer_update()

    @property
    def shown(self) -> MessageList:
        return self.app.screen_stack[1].query_one(MessageList)

    @property
    def selected_id(self) -> str:
        return self.shown.rows.items[self.shown.selected].message_id

    def lines(self) -> list[str]:
        """What is on the screen, as text."""
        return ["".join(segment.text for segment in strip) for strip in self.app.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.lines())


@contextmanager
def colours(**environment: str) -> Iterator[None]:
    """A terminal of all colours, but for what `environment` says."""
    with patch.dict("os.environ", {"COLORTERM": "truecolor", "TERM": "xterm-256color", **environment}):
        if "NO_COLOR" not in environment:
            os.environ.pop("NO_COLOR", None)
        yield


@asynccontextmanager
async def stage(
    monitor: FakeMonitor | None = None, size: tuple[int, int] = (80, 24), *, owns_service: bool = False
) -> AsyncIterator[Stage]:
    """Runs the app without a terminal; its timer does not tick, the test does."""
    monitor = monitor or FakeMonitor(FakeClock(), [row(number) for number in range(1, 31)])
    app = MonitorApp(monitor, monitor.clock, hook_url=URL, owns_service=owns_service, timer=monitor.clock.timer)
    app.set_interval = lambda *_args, **_kwargs: None  # type: ignore[method-assign, assignment]
    # Textual draws 60 times a second by a clock: a test that leans on it would pass or fail by luck.
    with patch("textual.screen.UPDATE_PERIOD", 3600.0):
        async with app.run_test(size=size) as pilot:
            on_stage = Stage(app, pilot, monitor, monitor.clock)
            await on_stage.tick()
            yield on_stage


def many(count: int, **changes: Any) -> FakeMonitor:
    return FakeMonitor(FakeClock(), [row(number, **changes) for number in range(1, count + 1)])


def story() -> FakeMonitor:
    """A message with every kind on its timeline."""
    monitor = many(3)
    shown = replace(
        monitor.rows[-1],
        flags=["conflict", "label_mismatch", "late", "repeated", "stuck"],
        custom_payload='{"order":4711,"price":1.50}',
        total_segments=2,
    )
    monitor.rows[-1] = shown
    final = {"status": "NOT_DELIVERED", "description": "Absent subscriber", "label": "delivered"}
    other = {"status": "DELIVERED", "description": "Message delivered to handset"}
    timeline = [
        entry("pending", 1),
        entry("retry", 2),
        entry("final", 3, **final),
        entry("late", 4, description="Buffered"),
        entry("final-again", 5, status="NOT_DELIVERED", reported_at="2026-11-23T12:04:01Z"),
        entry("conflict", 6, **other, reported_at="2026-11-23T12:09:00Z"),
        entry("duplicate", 7, index=3, **other, reported_at="2026-11-23T12:09:00Z"),
        entry("novel", 8),
    ]
    monitor.details[shown.message_id] = MessageDetail(message=shown, timeline=timeline)
    return monitor
