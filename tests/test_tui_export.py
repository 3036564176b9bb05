"""The export dialog: its keys, what it writes, what it says, and what it leaves."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from textual import events
from tui_fakes import FakeClock, FakeMonitor, message_id, row
from tui_stage import Stage, many, stage

from hooklab.export.lines import values_of
from hooklab.monitor import MonitorError
from hooklab.store.base import Condition, MessageRow
from hooklab.tui.screens.copied import CopiedScreen
from hooklab.tui.screens.export import ExportScreen
from hooklab.tui.screens.messages import MessagesScreen

PROPOSED = "hooklab-messages-20261123-1204"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def name(on: Stage, text: str) -> None:
    """Gives the file another name."""
    await on.press("ctrl+u", *text)


def pending_only(where: Condition, one: MessageRow) -> bool:
    return one.state == "PENDING" if "rank < 0" in where.sql else True


def flat(on: Stage) -> str:
    """The dialog's text without its breaks."""
    return " ".join(on.text().split())


async def test_e_exports_the_filter_in_force(here: Path) -> None:
    """Those that it lets through and no others, newest first, to the file that is proposed; then it says where."""
    monitor = many(30)
    monitor.rows = [row(n, state="DELIVERED" if n % 3 else "PENDING") for n in range(1, 31)]
    monitor.lets_through = pending_only
    async with stage(monitor, (120, 36)) as on:
        await on.press("slash", *"state:pending", "enter", "e")
        assert isinstance(on.app.screen, ExportScreen)
        assert "Export 10 messages that match state:pending" in on.text()
        assert f"{PROPOSED}.csv" in on.text()
        await on.press("tab")
        assert "▸ JSON Lines" in on.text()
        await on.press("enter")
        assert "✔ 10 messages, phone numbers masked, are in" in on.text()
        assert f"{here}/{PROPOSED}.jsonl" in flat(on)
        await on.press("escape")
        assert isinstance(on.app.screen, MessagesScreen)
    assert names(here) == [f"{PROPOSED}.jsonl"]
    lines = (here / f"{PROPOSED}.jsonl").read_text().splitlines()
    assert [json.loads(one)["message_id"] for one in lines] == [message_id(n) for n in range(30, 0, -3)]


async def test_a_click_chooses_the_other_format() -> None:
    """On the line of the formats, and nowhere else."""
    async with stage(size=(120, 36)) as on:
        await on.press("e")
        await on.pilot.click("#export-above", offset=(40, 2))
        assert "▸ CSV" in on.text()
        await on.pilot.click("#export-above", offset=(40, 4))
        assert "▸ JSON Lines" in on.text()
        assert f"{PROPOSED}.jsonl" in on.text()


async def test_the_names_ending_is_the_format_and_its_folder_is_said(here: Path) -> None:
    """As on the command line; an ending that is no format changes nothing."""
    async with stage(many(3), (120, 36)) as on:
        await on.press("e")
        screen = on.app.screen
        assert isinstance(screen, ExportScreen)
        await name(on, "/nowhere/else.jsonl")
        assert screen.form == "jsonl"
        assert "in /nowhere" in on.text()
        for typed in ("a.CSV", "a.txt"):
            await name(on, typed)
            assert "▸ CSV" in on.text()
            assert str(here) in on.text()
        await name(on, "jsonl")
        assert "▸ CSV" in on.text()
        await name(on, "a.JSONL")
        await on.press("tab")
        assert "a.csv" in on.text()
        await name(on, "b.jsonl")
        await on.press("enter")
        assert len([json.loads(line) for line in (here / "b.jsonl").read_text().splitlines()]) == 3


async def test_the_palette_exports(here: Path) -> None:
    """From another screen too."""
    async with stage(size=(120, 36)) as on:
        await on.press("3", "ctrl+p", *"export")
        await on.pilot.pause(0.5)
        await on.press("enter")
        assert isinstance(on.app.screen, ExportScreen)
        assert "Export all 30 messages" in on.text()
        await on.press("enter")
        assert "30 messages" in on.text()
    assert names(here) == [f"{PROPOSED}.csv"]


@pytest.mark.parametrize("revealed", [False, True])
async def test_numbers_are_as_on_the_screen(here: Path, revealed: bool) -> None:
    """It says whether they are masked before and after, and the file is so."""
    said = "phone numbers whole" if revealed else "phone numbers masked"
    async with stage(many(1), (120, 36)) as on:
        await on.press(*(["m"] if revealed else []), "e", "tab")
        assert f"{said}, as on the screen" in on.text()
        await on.press("enter")
        assert f"1 message, {said}, is in" in on.text()
    told = json.loads((here / f"{PROPOSED}.jsonl").read_text())
    assert told == values_of(row(1), masked=not revealed)
    assert ("351913000001" in told["msisdn"]) is revealed


async def test_it_counts_and_can_be_cancelled(here: Path) -> None:
    """While it runs the list lives on and the count is shown; esc cancels, nothing is left, and the dialog stays."""
    monitor = many(1200)
    async with stage(monitor, (120, 36)) as on:
        await on.press("e")
        gate, whole = asyncio.Event(), monitor.search

        async def held(where: Condition, limit: int, before: int | None = None) -> object:
            if before is not None:
                await gate.wait()
            return await whole(where, limit, before)

        monitor.search = held  # type: ignore[method-assign, assignment]
        await on.pilot.press("enter")
        await on.until("Exporting … 500 of 1,200")
        assert len(names(here)) == 1
        monitor.add(row(2000))
        on.app.poll()
        await on.until("1,201")
        await on.press("escape")
        assert "cancelled; nothing is left of it" in on.text()
        assert isinstance(on.app.screen, ExportScreen)
        assert names(here) == []
        gate.set()
        await on.press("enter")
        assert "1,201 messages" in on.text()
    assert names(here) == [f"{PROPOSED}.csv"]


async def test_leaving_while_it_runs_leaves_nothing(here: Path) -> None:
    """Also when the screen is ended from outside, as by a signal."""
    monitor = many(1200)
    async with stage(monitor, (120, 36)) as on:
        await on.press("e")
        monitor.gate = asyncio.Event()
        await on.pilot.press("enter")
        await on.pilot.pause()
        assert len(names(here)) == 1
        on.app.leaving.ask("stop")
    assert names(here) == []


async def test_a_file_is_replaced_by_a_second_enter(here: Path) -> None:
    """The first says that it is there; another name takes the question back."""
    (here / "mine").write_text("mine")
    async with stage(many(2), (120, 36)) as on:
        await on.press("e")
        await name(on, "mine")
        await on.press("enter")
        assert "mine is there already: enter again replaces it" in flat(on)
        await on.press("x", "backspace", "enter")
        assert "enter again replaces it" in flat(on)
        assert (here / "mine").read_text() == "mine"
        await on.press("enter")
        assert "2 messages" in on.text()
    assert (here / "mine").read_text().startswith('"message_id"')
    assert names(here) == ["mine"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("gone/x.csv", "gone/x.csv cannot be written: No such file or directory"),
        (".", "is a folder; name a file in it"),
        ("/dev/full", "/dev/full is no plain file but a device or the like"),
        ("~nobody-there/x", "is no path"),
        ("", "the file has no name yet"),
    ],
)
async def test_places_that_cannot_be(here: Path, typed: str, said: str) -> None:
    """The dialog says so and stays, and what is typed then mends it."""
    async with stage(many(2), (120, 36)) as on:
        await on.press("e")
        await name(on, typed)
        await on.press("enter")
        assert said in flat(on)
        await name(on, "x.csv")
        assert said not in flat(on)
        await on.press("enter")
        assert "2 messages" in on.text()
    assert names(here) == ["x.csv"]


async def test_what_cannot_be_read_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialog stays, and no file is left."""
    monkeypatch.setattr("hooklab.export.pages._AGAIN", 0)
    monitor = many(2)
    async with stage(monitor, (120, 36)) as on:
        await on.press("e")
        monitor.failure = MonitorError("the data \x1b[2Jcannot be read")
        await on.press("enter")
        assert "the data ␛[2Jcannot be read" in flat(on)
        assert names(here) == []
        monitor.failure = None
        await on.press("enter")
        assert "2 messages" in on.text()


async def test_y_copies_the_path(here: Path) -> None:
    """While a name is typed it is a letter."""
    written: list[str] = []
    async with stage(many(2), (120, 36)) as on:
        assert on.app._driver is not None
        on.app._driver.write = written.append  # type: ignore[method-assign, assignment]
        await on.press("e")
        await name(on, "my.csv")
        await on.press("enter")
        await on.press("y")
        assert isinstance(on.app.screen, CopiedScreen)
        (sent,) = [one for one in written if one.startswith("\x1b]52;c;")]
        assert base64.b64decode(sent[7:-1]).decode() == f"{here}/my.csv"
        await on.press("escape", "escape")
        assert isinstance(on.app.screen, MessagesScreen)


async def test_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the current folder, and pasted: nothing of them reaches the terminal."""
    folder = tmp_path / "a\x1b[2J\u202eb"
    folder.mkdir()
    monkeypatch.chdir(folder)
    async with stage(many(2), (120, 36)) as on:
        await on.press("e", "ctrl+u")
        on.app.post_message(events.Paste("x\x1b]52;c;AAAA\x07.csv"))
        await on.pilot.pause()
        assert "x␛]52;c;AAAA␇.csv" in on.text()
        assert "a␛[2J\ufffdb" in flat(on)
        await on.press("enter")
        assert "a␛[2J\ufffdb" in flat(on)
        assert "\x1b" not in on.text()
    assert names(folder) == ["x␛]52;c;AAAA␇.csv"]


async def test_there_is_nothing_to_export_on_the_empty_start() -> None:
    """The key does nothing there."""
    async with stage(FakeMonitor(FakeClock(), [])) as on:
        await on.press("e")
        assert isinstance(on.app.screen, MessagesScreen)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (22, 4)])
async def test_small_terminals(here: Path, size: tuple[int, int]) -> None:
    """The name can be typed, and the end is told, however little room there is."""
    async with stage(many(2), size) as on:
        await on.press("e")
        assert "-1204.csv" in on.text()
        await name(on, "x.csv")
        assert "x.csv" in on.text()
        await on.press("enter")
        assert "x.csv" in on.text().replace("\n", "").replace(" ", "")
    assert names(here) == ["x.csv"]
