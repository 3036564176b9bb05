"""Keys that come faster than screens do, as after a hiccup of the line or from a key that is held down."""

import asyncio
import random
from pathlib import Path

import pytest
from textual import events
from textual.geometry import Size
from tui_fakes import FakeMonitor, batch, quarantined
from tui_stage import Stage, many, stage, story

from hooklab.tui.screens.timeline import TimelineScreen

_KEYS = (
    *(
        "question_mark",
        "q",
        "escape",
        "y",
        "ctrl+p",
        "enter",
        "1",
        "2",
        "3",
        "4",
        "5",
        "u",
        "slash",
        "a",
        "space",
        "j",
        "k",
    ),
    *("e", "R", "tab", "G", "g", "m", "colon", "r", "h", "backspace", "pagedown", "pageup"),
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where exports go."""
    monkeypatch.chdir(tmp_path)


def full() -> FakeMonitor:
    monitor = story()
    monitor.hold(*(batch(n) for n in range(1, 9)), *(quarantined(n) for n in range(1, 5)))
    return monitor


def send(on: Stage, *keys: str) -> None:
    """All in one moment."""
    for key in keys:
        on.app.post_message(events.Key(key, key if len(key) == 1 else None))


@pytest.mark.parametrize(
    "keys",
    [
        ("question_mark", "escape"),
        ("question_mark", "q", "q", "q"),
        ("enter", "h", "h", "h", "h"),
        ("ctrl+p", "escape", "ctrl+p", "escape", "escape", "escape"),
        ("y", "q", "escape", "escape"),
        ("u", "u", "u", "q", "escape"),
        ("4", "R", "R", "escape", "R", "q", "escape"),
        ("e", "e", "tab", "escape", "escape"),
        ("e", "enter", "escape", "y", "enter", "escape", "escape", "escape"),
        ("4", "3", "2", "enter", "escape", "escape", "escape", "1"),
    ],
    ids=" ".join,
)
async def test_keys_all_at_once_do_no_harm(keys: tuple[str, ...]) -> None:
    """Whatever they open and close, the messages are there in the end, and a key does what it does."""
    async with stage(full(), owns_service=True) as on:
        for _ in range(5):
            send(on, *keys)
            await asyncio.sleep(0)
            send(on, *keys)
            await on.pilot.pause()
        await on.press("escape", "escape", "1")
        assert on.app._exception is None
        assert on.app.screen.name == "messages"
        await on.press("enter")
        assert isinstance(on.app.screen, TimelineScreen)


@pytest.mark.parametrize("seed", [*range(8), 22, 1050, 2012])
async def test_any_keys_at_any_time_do_no_harm(seed: int) -> None:
    """Drawn keys and sizes, while reads run: the app does not fail."""
    chance = random.Random(seed)
    async with stage(full() if seed % 3 else many(0), owns_service=True) as on:
        for _ in range(30):
            for _ in range(chance.randrange(1, 8)):
                send(on, chance.choice(_KEYS))
                if chance.random() < 0.3:
                    await asyncio.sleep(0)
            if chance.random() < 0.2:
                size = Size(chance.choice((1, 5, 80, 200)), chance.choice((1, 2, 24, 60)))
                on.app.post_message(events.Resize(size, size))
            if chance.random() < 0.5:
                await asyncio.sleep(0.01)
            on.app.poll()
        await on.pilot.pause()
        assert on.app._exception is None


async def test_a_held_key_piles_up_no_screens() -> None:
    """Enter leads from a message to its batch and on to the message: so many are kept to go back to, not all."""
    async with stage(full()) as on:
        for _ in range(60):
            await on.press("enter")
        assert len(on.app.screen_stack) <= 16
        assert on.app._exception is None
        await on.press("1")
        assert on.app.screen.name == "messages"


@pytest.mark.parametrize("keys", [(), ("ctrl+p",), ("y",), ("e",), ("question_mark",), ("u",)], ids=" ".join)
async def test_two_sizes_on_their_way_settle(keys: tuple[str, ...]) -> None:
    """A screen that hears of two sizes at once takes the terminal's; it is not laid out for both in turn for ever."""
    async with stage(full(), owns_service=True) as on:
        await on.press(*keys)
        for screen in on.app.screen_stack:
            for size in (Size(200, 60), Size(100, 30)) * 3:
                screen.post_message(events.Resize(size, size))
                screen.call_later(lambda: None)  # two events in a row would be taken for one
        async with asyncio.timeout(10):
            await on.pilot.pause()
        assert {screen.size for screen in on.app.screen_stack} == {on.app.size}
