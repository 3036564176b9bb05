"""The machine's clock is set, forward or back by an hour: no screen shows an absurd time, and none waits for it."""

import asyncio
import re

import pytest
from msgspec.structs import replace
from tui_fakes import NOW, FakeClock, FakeMonitor, entry, row, status
from tui_stage import many, stage

from hooklab.store.base import MessageDetail
from hooklab.times import SECOND

HOUR = 3600
NEGATIVE = re.compile(r"(?<![\w.])[-\N{MINUS SIGN}]\s?\d[\d,.]*\s?(?:ms|s|min|h|d)\b")


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_the_rate_and_its_bars_go_on(by: int) -> None:
    """A rate is by seconds that went by: 20 a second stay 20 a second, and the bars stay where they are."""
    monitor = many(3)
    async with stage(monitor, (120, 36)) as on:
        for second in range(6):
            monitor.counters = {"elements": 1_000 + 20 * second}
            await on.tick(seconds=1)
        bars = [line for line in on.lines() if "█" in line]
        on.clock.set_by(by)
        await on.tick()
        assert "20/s reports" in on.text()
        assert [line for line in on.lines() if "█" in line] == bars


async def test_a_read_is_not_called_slow_for_the_clock() -> None:
    """An hour forward during a read is no hour without an answer, and an hour back hides no slow one."""
    async with stage() as on:
        on.monitor.gate = asyncio.Event()
        on.app.poll()
        await on.pilot.pause()
        on.clock.advance(1)
        on.clock.set_by(HOUR)
        on.app._tick()
        await on.pilot.pause()
        assert "no answer" not in on.text()
        on.clock.advance(4)
        on.clock.set_by(-2 * HOUR)
        on.app._tick()
        await on.pilot.pause()
        assert "cannot read the data: no answer for 5 s" in on.text()
        on.monitor.gate.set()
        on.monitor.gate = None
        await on.app.workers.wait_for_complete()


async def test_what_is_said_for_a_moment_is_not_said_for_an_hour() -> None:
    """The word that something was copied goes after seconds, also when the clock was set back meanwhile."""
    async with stage(FakeMonitor(FakeClock()), (120, 36)) as on:
        await on.press("y")
        assert "copied, if your terminal allows it" in on.text()
        on.clock.set_by(-HOUR)
        await on.tick(seconds=10)
        assert "waiting for reports" in on.text()


@pytest.mark.parametrize("by", [-HOUR, HOUR])
async def test_how_long_the_service_is_up_is_told_by_one_moment(by: int) -> None:
    """The service tells when it began by today's clock; a snapshot from before a jump is not held against after."""
    monitor = many(3)
    monitor.service = status(started_at=NOW - 300 * SECOND)
    async with stage(monitor, (120, 36)) as on:
        assert "up 00:05" in on.text()
        on.clock.set_by(by)
        on.app._publish()
        await on.pilot.pause()
        assert "up 00:05" in on.text()


async def test_a_message_from_the_future_has_no_negative_times() -> None:
    """Heard of an hour ahead, by a clock that was set back since: its timeline says so, and nothing is below zero."""
    shown = replace(row(1), state="PENDING", final_at=None, first_received_at=NOW + HOUR * SECOND)
    timeline = [
        entry("pending", 1, received_at=NOW + HOUR * SECOND),
        entry("pending", 2, received_at=NOW - 60 * SECOND),
        entry("pending", 3, received_at=NOW - 50 * SECOND),
    ]
    monitor = FakeMonitor(FakeClock(), [shown])
    monitor.details[shown.message_id] = MessageDetail(message=shown, timeline=timeline)
    for size in ((120, 36), (60, 40)):
        async with stage(monitor, size) as on:
            await on.press("enter")
            assert "clock set back" in on.text()
            assert "+10 s" in on.text()
            assert not NEGATIVE.search(on.text())
