"""The screen as a whole: its head, its reads, its sizes and how one leaves it."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tui_fakes import NOW, TOKEN, URL, row, status
from tui_stage import Stage, many, stage, story

from hooklab.metrics import Snapshot
from hooklab.monitor import MonitorError
from hooklab.times import HOUR
from hooklab.tui.app import MonitorApp
from hooklab.tui.screens.help import HelpScreen
from hooklab.tui.screens.leave import LeaveScreen
from hooklab.tui.screens.messages import MessagesScreen
from hooklab.tui.terminal import Leaving, handle_signals

SIZES = [(40, 10), (80, 24), (120, 36), (200, 50)]

# the head


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_counters_stand_on_the_screen_by_the_designs_names(size: tuple[int, int]) -> None:
    """Every counter of the head is shown by its name with its grouped value, whole, at every usual size."""
    monitor = many(3)
    values = {
        "delivered": 1_101_220,
        "not_delivered": 74_020,
        "pending": 29_091,
        "messages": 1_204_331,
        "reports": 2_304_112,
        "repeats": 353,
        "late": 1_012,
        "stuck": 23,
        "conflicts": 16,
        "quarantined": 1_002,
    }
    monitor.counters = {**values, "lag": 47, "refused": {"404": 17, "413": 4}}
    async with stage(monitor, size) as on:
        text = on.text()
        for name, value in {**values, "refused": 21, "lag": 47}.items():
            assert re.search(rf"(?<![a-z_]){name} +{value:,}\b", text), name
        assert "91.4%" in text
        assert "6.1%" in text
        assert "p50  1.2 ms" in text
        assert "p99  4.0 ms" in text
        assert "12:04:51" in text
        assert all(len(line) == size[0] for line in on.lines() if line.isascii())


async def test_a_grown_number_moves_nothing() -> None:
    """When a counter gains digits, every label and every other number stays in its cell."""
    monitor = many(3)
    monitor.counters = {"delivered": 999, "messages": 999, "reports": 5}
    async with stage(monitor, (120, 36)) as on:
        before = on.text()
        monitor.counters = {"delivered": 1_234_567, "messages": 1_234_567, "reports": 5}
        await on.tick()
        after = on.text()
        places = [before.index(word) for word in ("messages", "reports", "stuck", "refused", "quarantined")]
        assert places == [after.index(word) for word in ("messages", "reports", "stuck", "refused", "quarantined")]


async def test_the_head_masks_the_token() -> None:
    """The hook URL is shown without its token once there are messages."""
    async with stage() as on:
        assert "http://127.0.0.1:8080/hooks/••••" in on.text()
        assert TOKEN not in on.text()


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (status(), "● well"),
        (None, "○ no service"),
        (status(ready=False), "▲ not ready"),
        (status(problem="the disk is full: 12 MiB left"), "the disk is full: 12 MiB left"),
    ],
)
async def test_the_head_says_whether_it_is_well(service: Any, said: str) -> None:
    """A mark and words say how the service is; a problem is told in full."""
    monitor = many(3)
    monitor.service = service
    async with stage(monitor) as on:
        assert said in on.text()


async def test_a_long_problem_is_told_to_its_end() -> None:
    """At 80 columns the words of a problem go on in the next line, and the list is still whole below."""
    monitor = many(40)
    words = "the disk has 120 MiB left, less than the reserve of 256 MiB: new reports are answered 503 until then"
    monitor.service = status(problem=words)
    async with stage(monitor) as on:
        assert words in re.sub(r"\s+", " ", on.text())
        await on.press("G")
        assert on.lines()[-2].startswith("▸")


async def test_without_a_service_the_given_url_is_shown() -> None:
    """The URL handed to the app stands in for the one that a service would tell."""
    monitor = many(3)
    monitor.service = None
    async with stage(monitor) as on:
        assert "http://127.0.0.1:8080/hooks/••••" in on.text()


async def test_the_rate_comes_from_the_totals() -> None:
    """Twenty reports in each second are shown as 20/s, with bars."""
    monitor = many(3)
    async with stage(monitor, (120, 36)) as on:
        for second in range(6):
            monitor.counters = {"elements": 1_000 + 20 * second}
            await on.tick(seconds=1)
        assert "20/s reports" in on.text()
        assert "█" in on.text()


# failing and slow reads


async def test_a_failing_monitor_is_told_in_words_and_gets_well_again() -> None:
    """A read that fails shows what and why; the next that works takes the words away."""
    async with stage() as on:
        on.monitor.failure = MonitorError("store.db is locked by another process")
        await on.tick()
        assert "cannot read the counters: store.db is locked by another process" in on.text()
        on.monitor.failure = None
        await on.tick()
        assert "cannot read" not in on.text()
        assert "● well" in on.text()


async def test_only_the_rows_failing_is_told_too() -> None:
    """The counters stay up to date while the messages cannot be read, and are read once that works."""
    monitor = many(5)
    monitor.failure, monitor.failing = MonitorError("no such table: messages [/]"), {"messages"}
    async with stage(monitor) as on:
        assert "cannot read the messages: no such table: messages [/]" in on.text()
        monitor.failure = None
        await on.tick()
        assert "cannot read" not in on.text()
        assert len(on.shown.rows) == 5


async def test_an_unforeseen_fault_is_shown_and_ends_nothing() -> None:
    """An exception that the protocol does not name is shown by its type and text."""
    async with stage() as on:
        on.monitor.failure = RuntimeError("boom")  # type: ignore[assignment]
        await on.tick()
        assert "cannot read the counters: RuntimeError: boom" in on.text()


async def test_slow_reads_never_pile_up_and_are_talked_about() -> None:
    """While a read hangs no second one starts, the clock goes on, and the head says how long it takes."""
    async with stage() as on:
        on.monitor.gate = asyncio.Event()
        on.app.poll()
        await on.pilot.pause()
        for _ in range(10):
            on.clock.advance(0.5)
            on.app._tick()
            await on.pilot.pause()
        assert on.monitor.at_once == 1
        assert "cannot read the data: no answer for 5 s" in on.text()
        assert "12:04:56" in on.text()
        on.monitor.gate.set()
        on.monitor.gate = None
        await on.app.workers.wait_for_complete()
        await on.tick()
        assert on.monitor.most == 1
        assert "● well" in on.text()


# sizes, looks, help, quitting


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (20, 6), *SIZES])
async def test_no_size_crashes_any_screen(size: tuple[int, int]) -> None:
    """List, timeline, help and question survive any size, and growing and shrinking."""
    async with stage(story(), size, owns_service=True) as on:
        for keys in (("j", "enter"), ("G", "escape"), ("question_mark", "G"), ("escape", "q"), ("n",)):
            await on.press(*keys)
            await on.pilot.resize_terminal(120, 36)
            await on.tick()
            await on.pilot.resize_terminal(*size)
            await on.tick()
        assert on.app.is_running


async def test_at_40x10_the_list_alone_is_shown() -> None:
    """One line of status, then messages with time and number."""
    async with stage(size=(40, 10)) as on:
        lines = on.lines()
        assert "● well" in lines[0]
        assert lines[2].startswith("▸ 12:04:21  3519····0030  ✔")


@pytest.mark.parametrize("names", [{"NO_COLOR": "1"}, {"TERM": "linux"}])
async def test_without_colours_everything_is_readable(names: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR no colour is used; on a Linux console marks are ones that its font has."""
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monitor = many(2, state="NOT_DELIVERED", flags=["stuck"])
    async with stage(monitor) as on:
        if "NO_COLOR" in names:
            assert "✖ not_delivered ⚑" in on.text()
            strips = on.app.screen._compositor.render_strips()
            colours = {s.style.color.name for strip in strips for s in strip if s.style and s.style.color}
            assert colours <= {"default"}
        else:
            assert "x not_delivered !" in on.text()
            assert any(line.startswith("> 12:04:21") for line in on.lines())


async def test_help_explains_keys_marks_and_words() -> None:
    """`?` shows the keys, the marks and the counters in words; Esc goes back."""
    async with stage(size=(120, 70)) as on:
        await on.press("question_mark")
        assert isinstance(on.app.screen, HelpScreen)
        for word in (
            "PgDn",
            "⚑",
            "↻",
            "quarantined",
            "conflicts",
            "late",
            "stuck",
            "refused",
            "p50 p99",
            "lag",
            "custom payload begins",
        ):
            assert word in on.text(), word
        await on.press("escape")
        assert isinstance(on.app.screen, MessagesScreen)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_leaving_a_service_that_runs_elsewhere_asks_nothing(key: str) -> None:
    """Attached, the keys to quit quit at once, with no result."""
    async with stage() as on:
        await on.press(key)
        assert not on.app.is_running
        assert on.app.return_value is None


async def test_leaving_closes_the_monitor() -> None:
    """The monitor's connections belong to the app's loop, so the app closes them, once."""
    async with stage() as on:
        await on.press("q")
    assert on.monitor.closed == 1


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quitting_the_service_asks_first(key: str) -> None:
    """Where this window runs the service it asks; n stays, y ends with "stop"."""
    async with stage(owns_service=True) as on:
        await on.press(key)
        assert isinstance(on.app.screen, LeaveScreen)
        assert "Leave how?" in on.text()
        await on.press("n")
        assert isinstance(on.app.screen, MessagesScreen)
        await on.press(key)
        await on.press("s")
        assert not on.app.is_running
        assert on.app.return_value == "stop"


@pytest.fixture
def signals() -> Iterator[None]:
    """The process's own signal handlers come back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def _watch_exit(on: Stage) -> asyncio.Event:
    ended = asyncio.Event()
    leave = on.app.leaving._leave

    def leaving(how: str) -> None:
        leave(how)
        ended.set()

    on.app.leaving._leave = leaving
    return ended


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("numbers", "result"),
    [
        ([signal.SIGTERM], "stop"),
        ([signal.SIGINT], "stop"),
        ([signal.SIGHUP], "hangup"),
        ([signal.SIGHUP, signal.SIGTERM], "stop"),
        ([signal.SIGTERM, signal.SIGHUP], "stop"),
    ],
)
async def test_signals_end_the_app_in_good_order(numbers: list[signal.Signals], result: str) -> None:
    """A signal ends the app through its own exit, so that Textual gives the terminal back; a stop is not taken back
    by the hang-up that a logout sends with it.
    """
    stops: list[None] = []
    async with stage(owns_service=True) as on:
        handle_signals(on.app.leaving, lambda: stops.append(None))
        ended = _watch_exit(on)
        for number in numbers:
            os.kill(os.getpid(), number)
        await asyncio.wait_for(ended.wait(), 10)
        await on.pilot.pause()
        assert on.app.return_value == result
    assert len(stops) == sum(number != signal.SIGHUP for number in numbers)


async def test_a_stop_before_the_screen_is_up_ends_it_at_once() -> None:
    """What was asked while the service started is done as soon as there is a screen to end."""
    leaving = Leaving()
    leaving.ask("stop")
    monitor = many(1)
    app = MonitorApp(monitor, monitor.clock, hook_url=URL, owns_service=True, leaving=leaving)
    async with app.run_test() as pilot:
        await pilot.pause()
    assert app.return_value == "stop"


@pytest.mark.parametrize("size", [(40, 10), (30, 6), (80, 24)])
async def test_the_question_is_whole_at_any_size(size: tuple[int, int]) -> None:
    """The question, the three choices and their keys are there; what they mean where there is room."""
    async with stage(many(3), size, owns_service=True) as on:
        await on.press("q")
        text = re.sub(r"\s+", " ", on.text())
        for said in ("Leave how?", "s stop the service", "d close the screen only", "esc go back"):
            assert said in text, said
        assert ("nobody answers the provider" in text) == (size == (80, 24))


async def test_the_screen_below_the_question_stays_alive() -> None:
    """New messages appear while the question waits for its answer."""
    async with stage(owns_service=True) as on:
        await on.press("q")
        on.monitor.add(row(31, description="while asking"))
        await on.tick()
        assert "while asking" in on.text()


async def test_the_timer_reads_and_draws_by_itself() -> None:
    """Without a key or a call the app reads again at its tick."""
    monitor = many(1)
    app = MonitorApp(monitor, monitor.clock, hook_url=URL, owns_service=False)
    seen = asyncio.Event()
    asked = monitor.snapshot

    async def snapshot(*, signs: bool = False) -> Snapshot:
        if len(monitor.asked) > 4:
            seen.set()
        return await asked(signs=signs)

    monitor.snapshot = snapshot  # type: ignore[method-assign]
    async with app.run_test():
        await asyncio.wait_for(seen.wait(), 20)


async def test_a_day_later_the_time_gives_way_to_the_day() -> None:
    """At 80 columns what is not of today shows its day in the same eight cells."""
    monitor = many(1, last_received_at=NOW - 30 * HOUR)
    async with stage(monitor) as on:
        assert "▸   22 Nov  3519····0001" in on.text()
