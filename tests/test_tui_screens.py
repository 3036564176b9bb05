"""The numbered screens, what their lines lead to, and what every one of them can do."""

import asyncio
import base64
import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from textual import events
from textual.binding import Binding
from textual.command import CommandPalette
from tui_fakes import NOW, URL, FakeMonitor, batch, message_id, quarantined, row, status
from tui_stage import Stage, many, stage, story

from hooklab.metrics import TurnedAway
from hooklab.monitor import MonitorError
from hooklab.store.base import Condition, ElementFate, MessageRow
from hooklab.times import MINUTE
from hooklab.tui.app import MonitorApp
from hooklab.tui.keymap import KEYMAP
from hooklab.tui.offers import FILTERS
from hooklab.tui.screens.batch import BatchScreen
from hooklab.tui.screens.batches import BatchesScreen
from hooklab.tui.screens.insights import InsightsScreen
from hooklab.tui.screens.messages import MessagesScreen
from hooklab.tui.screens.problems import ProblemsScreen
from hooklab.tui.screens.quarantine import QuarantineScreen
from hooklab.tui.screens.quarantined import QuarantinedScreen
from hooklab.tui.screens.retry import RetryScreen
from hooklab.tui.screens.setup import SetupScreen
from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.widgets.filter_box import FilterBox
from hooklab.tui.widgets.quarantine_list import QuarantineList
from hooklab.tui.widgets.row_list import RowList
from hooklab.tui.widgets.scroll_lines import ScrollLines
from hooklab.tui.widgets.tabs import Tabs

SCREENS = [MessagesScreen, BatchesScreen, ProblemsScreen, QuarantineScreen, InsightsScreen]
WORDS = {"new_after": "stuck", "seen & 6": "conflict", "seen & 32": "label_mismatch"}


def by_flag(where: Condition, one: MessageRow) -> bool:
    """What `is:FLAG` lets through."""
    return all(flag in one.flags for part, flag in WORDS.items() if part in where.sql)


def full() -> FakeMonitor:
    """Messages, batches and a quarantine with something of every kind."""
    monitor = story()
    monitor.lets_through = by_flag
    monitor.rows += [row(n, state="PENDING", flags=["stuck"]) for n in range(20, 28)]
    mixed = [
        ElementFate(index=0, message_id=message_id(1), status="DELIVERED", became="retry"),
        ElementFate(index=1, message_id=message_id(2), status="PENDING", became="duplicate"),
        ElementFate(index=2, message_id=None, status=None, became="quarantined", reason="MessageId is missing"),
    ]
    monitor.hold(
        batch(1),
        batch(2, label="delivered"),
        batch(3, elements=mixed, repeats=2, quarantined=1, new=0, retry_of=1, attempt=3),
        batch(4, malformed="the body is not JSON", body=b"nonsense\x1b[2J", elements=[]),
        batch(5, body=None, headers=None, took_ms=None, elements=[]),
        quarantined(3, 2),
        quarantined(4, None, reason="the body is not JSON", count=7, raw=b"nonsense\x1b[2J"),
    )
    held = monitor.held_batches
    held[4] = replace(held[4], row=replace(held[4].row, malformed=True, elements=0, new=0, quarantined=1))
    monitor.counters = {"stuck": 9, "conflicts": 1, "quarantined": 2, "refused": {"404": 17, "413": 4}}
    monitor.service = status(refused={"404": 17, "413": 4})
    return monitor


async def test_numbers_go_to_the_screens_from_anywhere() -> None:
    """1 to 4 show their screen, also from deep within another, whose place is kept; Esc goes to the messages."""
    async with stage(full(), (120, 36)) as on:
        await on.press("j", "j", "enter")
        assert isinstance(on.app.screen, TimelineScreen)
        for key, kind in zip("23451", SCREENS[1:] + SCREENS[:1], strict=True):
            await on.press(key)
            assert isinstance(on.app.screen, kind)
            assert len(on.app.screen_stack) == 2
        assert on.selected_id == message_id(25)
        await on.press("3", "escape")
        assert isinstance(on.app.screen, MessagesScreen)


async def test_a_click_on_a_title_goes_there() -> None:
    """The titles of the screens can be clicked."""
    async with stage(full(), (120, 36)) as on:
        (line,) = [one for one in on.lines() if "Messages" in one and "Batches" in one]
        await on.pilot.click(Tabs, offset=(line.index("Problems") + 2, 0))
        await on.pilot.pause()
        assert isinstance(on.app.screen, ProblemsScreen)


async def test_titles_say_where_something_needs_a_look() -> None:
    """A flag stands beside problems and quarantine as long as there is something, and not otherwise."""
    async with stage(full(), (120, 36)) as on:
        assert "3 Problems ⚑" in on.text()
        assert "4 Quarantine ⚑" in on.text()
    async with stage(size=(120, 36)) as on:
        assert "3 Problems ─" in on.text()
        assert "4 Quarantine ─" in on.text()


# batches


async def test_batches_say_what_became_of_them() -> None:
    """A row has number, elements, what they became, size, label and peer; a repeat which batch and which time."""
    async with stage(full(), (120, 36)) as on:
        await on.press("2")
        lines = on.lines()
        assert any(re.search(r" 3 +2  ↻ batch 1, 3rd time, ⚑ 1 quarantined  ", one) for one in lines)
        (plain,) = [one for one in lines if "delivered  " in one and "203.0.113.7" in one]
        assert re.search(r" 2 +2  2 new .* 614 B  delivered +203\.0\.113\.7", plain)
        assert any("not understood, answered 400" in one for one in lines)


async def test_new_batches_come_on_top() -> None:
    """The list of batches is live, and pages on."""
    monitor = full()
    monitor.hold(*(batch(number) for number in range(10, 500)))
    async with stage(monitor, (120, 36)) as on:
        await on.press("2")
        shown = on.app.screen.query_one(RowList)
        assert shown.rows.items[shown.selected].batch == 499
        on.monitor.hold(batch(500))
        await on.tick()
        assert shown.rows.items[shown.selected].batch == 500
        await on.press("G")
        await on.press("G")
        await on.press("G")
        assert [one.batch for one in shown.rows.items] == [*range(500, 9, -1), 5, 4, 3, 2, 1]


async def opened(on: Stage, number: int) -> None:
    await on.press("2")
    shown = on.app.screen.query_one(RowList)
    shown.action_move(next(at for at, one in enumerate(shown.rows.items) if one.batch == number))
    await on.press("enter")
    assert isinstance(on.app.screen, BatchScreen)


async def test_a_batch_shows_all_that_came() -> None:
    """When, from whom, which label, how fast, its headers, what each element became, and its body in both forms."""
    async with stage(full(), (120, 50)) as on:
        await opened(on, 2)
        text = on.text()
        for said in (
            "203.0.113.7",
            "614 B, 3 ms to arrive",
            "2 new",
            "200, once it was on disk",
            "user-agent: arpoone/1",
        ):
            assert said in text, said
        assert re.search(r"label +delivered", text)
        assert "names another state than 1 of the reports" in text
        assert re.search(r"0 +new +… pending +⚑ " + message_id(2), text)
        assert re.search(r"1 +new +✔ delivered +" + message_id(2), text)
        assert '"Status": "PENDING"' in text
        await on.press("r")
        assert "body, as it came" in on.text()
        assert '[{"Status":"PENDING"},{"Status":"DELIVERED"}]' in on.text()
        await on.press("r")
        assert '"Status": "PENDING"' in on.text()


async def test_numbers_in_bodies_are_masked_until_m_reveals_them() -> None:
    """In a batch's body and in quarantine, indented and as it came."""
    monitor = full()
    body = b'[{"Msisdn":"351900000123","Status":"PENDING","CustomPayload":"351900000999"}]'
    monitor.hold(batch(9, body=body), quarantined(10, 0, raw=body[1:-1]))
    async with stage(monitor, (120, 50)) as on:
        for keys in (("2", "enter"), ("4", "enter")):
            await on.press(*keys)
            for _ in range(2):
                assert "3519····0123" in on.text()
                assert "351900000123" not in on.text()
                await on.press("r")
            await on.press("m")
            assert "351900000123" in on.text()
            await on.press("m", "escape")


async def test_elements_lead_to_their_messages_and_reasons() -> None:
    """Enter on an element opens its message, or why it is in quarantine; on `again` the earlier batch."""
    async with stage(full(), (120, 50)) as on:
        await opened(on, 3)
        assert "the same body as batch 1, for the 3rd time" in on.text()
        assert "⚑ quarantined  MessageId is missing" in on.text()
        await on.press("enter")
        assert isinstance(on.app.screen, BatchScreen)
        assert re.search(r"── batch 1 ──", on.text())
        await on.press("escape", "j", "enter")
        assert isinstance(on.app.screen, TimelineScreen)
        await on.press("escape", "j", "j", "enter")
        assert isinstance(on.app.screen, QuarantinedScreen)
        assert "MessageId is not a UUID: 'abc'" in on.text()
        await on.press("enter")
        assert isinstance(on.app.screen, BatchScreen)


async def test_a_malformed_batch_says_why() -> None:
    """The reason, that it was answered 400, the way to the quarantine, and its bytes made harmless."""
    async with stage(full(), (120, 36)) as on:
        await opened(on, 4)
        assert re.search(r"why +the body is not JSON", on.text())
        assert "400, kept in quarantine" in on.text()
        assert "nonsense␛[2J" in on.text()
        assert "body, as it came" in on.text()
        await on.press("enter")
        assert isinstance(on.app.screen, QuarantinedScreen)


async def test_a_batch_whose_body_is_gone_or_that_is_not_there_says_so() -> None:
    """Pruned bodies and unknown numbers are said in words."""
    async with stage(full(), (120, 36)) as on:
        await opened(on, 5)
        assert "The body is no longer kept." in on.text()
        on.app.push_screen(BatchScreen(99))
        await on.tick()
        assert "This batch is not in the store (yet, or any more)." in on.text()


async def test_a_huge_body_is_cut_and_says_so() -> None:
    """Of four megabytes so much is shown as a person reads, with the command that writes all."""
    monitor = full()
    monitor.hold(batch(6, body=b'["' + b"x" * 4_000_000 + b'"]'))
    async with stage(monitor, (120, 36)) as on:
        await opened(on, 6)
        await on.press("G")
        assert "more: hooklab batch 6 --raw writes all" in on.text()


# problems and quarantine


async def test_who_was_turned_away_is_among_the_problems() -> None:
    """By address, why, how often and when; what a proxy says of an address is cleaned."""
    monitor = full()
    monitor.service = status(
        refused={"404": 12},
        turned_away=[
            TurnedAway(address="203.0.113.7", why="wrong token", count=11, last_at=NOW - MINUTE),
            TurnedAway(address="evil\x1b[31m", why="unknown path", count=1, last_at=NOW - MINUTE),
        ],
    )
    async with stage(monitor, (120, 70)) as on:
        await on.press("3", "G")
        text = re.sub(r"\s+", " ", on.text())
        assert "from 203.0.113.7 wrong token, 11 times, last 12:03" in text
        assert "from evil␛[31m unknown path, 1 time, last" in text


async def test_problems_are_grouped_worst_first_with_what_to_do() -> None:
    """Stuck, conflicts, quarantine, mismatched labels, refusals by code, each in words."""
    async with stage(full(), (120, 70)) as on:
        await on.press("3")
        text = re.sub(r"\s+", " ", on.text())
        places = [
            text.index(f"⚑ {one}")
            for one in ("9 messages st", "1 message in c", "2 in quar", "1 message with", "21 ref")
        ]
        assert places == sorted(places)
        for said in (
            "ask Arpoone about the message id",
            "two URLs may be swapped",
            "a wrong token, an unknown path",
        ):
            assert said in text, said
        assert re.search(r"404 +17 +a wrong token", on.text())
        assert "MessageId is not a UUID: 'abc'" in text


async def test_problems_lead_on() -> None:
    """Enter opens the message itself; the last line of a group all of them, in the list with its filter."""
    async with stage(full(), (120, 70)) as on:
        await on.press("3", "enter")
        assert isinstance(on.app.screen, TimelineScreen)
        await on.press("escape", "j", "j", "j", "j", "j", "enter")
        assert isinstance(on.app.screen, MessagesScreen)
        assert "/ is:stuck" in on.text()
        assert len(on.shown.rows) == 9


async def test_no_problem_is_said_too() -> None:
    """Where nothing needs a look it says so."""
    monitor = many(3)
    monitor.lets_through = by_flag
    async with stage(monitor) as on:
        await on.press("3")
        assert "Nothing needs a look." in on.text()


async def test_a_service_that_answers_503_is_the_first_problem() -> None:
    """Its own words come first."""
    monitor = full()
    monitor.service = status(problem="the disk is full: 12 MiB left")
    async with stage(monitor, (120, 36)) as on:
        await on.press("3")
        text = re.sub(r"\s+", " ", on.text())
        assert text.index("⚑ answers 503 the disk is full: 12 MiB left.") < text.index("9 messages stuck")


async def test_the_quarantine_gives_reasons_and_bytes() -> None:
    """Each row says which element or body and why; opened, what that means, how often it came, and its bytes."""
    async with stage(full(), (120, 36)) as on:
        await on.press("4")
        assert re.search(r" 3  element 2 +1  MessageId is not a UUID: 'abc'", on.text())
        assert re.search(r" 4  whole body +7  the body is not JSON", on.text())
        await on.press("enter")
        text = re.sub(r"\s+", " ", on.text())
        for said in ("a whole body of batch 4", "7 times, kept once", "It was answered 400", "nonsense␛[2J"):
            assert said in text, said
        await on.press("escape", "j", "enter")
        assert '"MessageId": "abc"' in on.text()
        await on.press("r")
        assert '{"MessageId":"abc"}' in on.text()


async def test_a_count_in_quarantine_grows_in_place() -> None:
    """When a malformed body comes again, its row says so."""
    async with stage(full(), (120, 36)) as on:
        await on.press("4")
        on.monitor.hold(quarantined(4, None, reason="the body is not JSON", count=8))
        await on.tick()
        assert re.search(r"whole body +8  ", on.text())
        assert len(on.app.screen.query_one(RowList).rows) == 2


async def test_an_empty_quarantine_says_so() -> None:
    """Nothing there is good news."""
    async with stage() as on:
        await on.press("4")
        assert "Nothing is in quarantine: all that came was understood." in on.text()


# copying, help, palette


@pytest.mark.parametrize("keys", [("y",), ("enter", "y"), ("3", "y"), ("2", "y"), ("2", "enter", "y"), ("4", "y")])
async def test_y_copies_and_shows_what_it_copied(keys: tuple[str, ...]) -> None:
    """The id or number goes to the clipboard by OSC 52, and stands alone on a line for selecting; Esc goes back."""
    written: list[str] = []
    async with stage(full(), (80, 24)) as on:
        assert on.app._driver is not None
        on.app._driver.write = written.append  # type: ignore[method-assign, assignment]
        await on.press(*keys)
        (line,) = [one.strip() for one in on.lines() if re.fullmatch(r"[0-9a-f-]+", one.strip())]
        assert "".join(written).count(f"\x1b]52;c;{base64.b64encode(line.encode()).decode()}\a") == 1
        longest = message_id(3)  # of the stuck ones, which stand first among the problems
        wanted = {longest} if keys[0] == "3" else {message_id(27), "5", str(max(on.monitor.held_quarantine))}
        assert line in wanted
        depth = len(on.app.screen_stack)
        await on.press("escape")
        assert len(on.app.screen_stack) == depth - 1


def bindings() -> Iterator[Binding]:
    classes = [
        MonitorApp,
        *SCREENS,
        SetupScreen,
        TimelineScreen,
        BatchScreen,
        QuarantinedScreen,
        RowList,
        ScrollLines,
        FilterBox,
    ]
    for one in {base for each in classes for base in each.__mro__ if base.__module__.startswith("hooklab")}:
        for binding in one.__dict__.get("BINDINGS", ()):
            assert isinstance(binding, Binding)
            yield binding


def test_the_help_has_every_key() -> None:
    """Every key that is bound anywhere stands in the table that the help shows, and the other way round."""
    bound = {key for binding in bindings() for key in binding.key.split(",")}
    assert bound == {name for key in KEYMAP for name in key.names}


async def test_the_help_shows_the_table() -> None:
    """All of it, scrolled to its end."""
    async with stage(size=(120, 36)) as on:
        await on.press("question_mark")
        seen = on.text()
        await on.press("G")
        seen = re.sub(r"\s+", " ", seen + on.text())
        for key in KEYMAP:
            assert f"{key.shown} {key.does}" in seen, key


async def test_u_shows_the_hook_url_at_any_time() -> None:
    """The URL, masked until `m` reveals it, the curl line and the JSON, and keys that copy them; Esc goes back."""
    written: list[str] = []
    async with stage(full(), (120, 36)) as on:
        assert URL not in on.text()
        await on.press("2", "u")
        assert URL not in on.text()
        await on.press("m")
        assert URL in on.text()
        assert "smsWebhooks" in on.text()
        assert on.app._driver is not None
        on.app._driver.write = written.append  # type: ignore[method-assign, assignment]
        await on.press("y", "Y")
        assert "copied, if your terminal allows it" in on.text()
        assert len([one for one in written if one.startswith("\x1b]52;c;")]) == 2
        await on.press("escape")
        assert isinstance(on.app.screen, BatchesScreen)


@pytest.mark.parametrize("key", ["ctrl+p", "colon"])
async def test_the_palette_finds_by_name(key: str) -> None:
    """What is typed finds a command, and Enter does it."""
    async with stage(full(), (120, 36)) as on:
        await on.press(key)
        assert isinstance(on.app.screen, CommandPalette)
        await on.press(*"quarantine")
        await on.pilot.pause(0.5)
        await on.press("enter")
        await on.pilot.pause()
        assert isinstance(on.app.screen, QuarantineScreen)


async def test_every_command_of_the_palette_works() -> None:
    """Each one runs without a fault, from a list and from a text."""
    async with stage(full(), (120, 36)) as on:
        names = [command.title for command in on.app.get_system_commands(on.app.screen)]
        assert len(names) == len(set(names))
        assert not {"Screenshot", "Theme", "Maximize"} & set(names)
        for start in "13":
            for name in names:
                if name.startswith("Quit"):
                    continue
                await on.press("escape", "escape", start)
                (command,) = [one for one in on.app.get_system_commands(on.app.screen) if one.title == name]
                command.callback()
                await on.tick()
                assert on.app.is_running
        for _, words in FILTERS:
            on.app.messages.filter_by(words)


@pytest.mark.parametrize(
    ("held", "healing", "said"),
    [
        (0, 0, "Nothing is in quarantine."),
        (4, 0, "None is understood by this version either"),
        (4, 3, "3 understood now, and counted where they belong; 1 stay in quarantine."),
        (4, 4, "4 understood now, and counted where they belong."),
    ],
)
async def test_the_quarantine_is_retried(held: int, healing: int, said: str) -> None:
    """R has the service do it and says what came of it; what is understood has left the list."""
    monitor = story()
    monitor.hold(*(quarantined(number) for number in range(1, held + 1)))
    monitor.healing = healing
    async with stage(monitor, (100, 30)) as on:
        await on.press("4", "R")
        await on.tick()
        assert said in on.text()
        await on.press("escape")
        await on.tick()
        assert on.app.screen.name == "quarantine"
        assert len(on.app.screen.query_one(QuarantineList).rows) == held - healing


async def test_a_retry_of_the_quarantine_says_why_it_could_not_be_done() -> None:
    """Without a service it names the command that does it; a service that fails is quoted."""
    monitor = full()
    monitor.service = None
    async with stage(monitor, (100, 30)) as on:
        await on.press("4", "R")
        assert "hooklab quarantine retry" in on.text()
        monitor.service = status()
        monitor.failure, monitor.failing = MonitorError("the disk is \x1b[31m full"), {"retry_quarantine"}
        await on.press("escape", "R")
        assert "the disk is" in on.text()
        assert "\x1b" not in on.text()
        await on.press("escape")
        assert on.app.screen.name == "quarantine"


async def test_one_retry_of_the_quarantine_at_a_time() -> None:
    """Who leaves it and comes again sees the same one, and what came of it."""
    monitor = full()
    monitor.healing = 1
    async with stage(monitor, (100, 30)) as on:
        monitor.gate = asyncio.Event()
        for _ in range(5):
            send = ("4", "R", "escape")
            for key in send:
                on.app.post_message(events.Key(key, key if len(key) == 1 else None))
                await on.pilot.pause(0)
        on.app.post_message(events.Key("R", "R"))
        for _ in range(4):
            await on.pilot.pause(0)
        assert isinstance(on.app.screen, RetryScreen)
        assert "judged once more" in on.text()
        monitor.gate.set()
        await on.tick()
        assert "1 understood now" in on.text()
        assert monitor.asked.count("retry_quarantine") == 1


async def test_what_was_healed_is_shown_anew_everywhere() -> None:
    """Its message has changed where it stood, deep in a list that was read before."""
    monitor = full()
    monitor.healing = 1
    async with stage(monitor, (120, 36)) as on:
        old = min(monitor.rows, key=lambda one: one.cursor)
        monitor.rows = [replace(one, description="healed") if one is old else one for one in monitor.rows]
        await on.tick()
        assert "healed" not in on.text()
        await on.press("4", "R", "escape", "1", "G")
        assert "healed" in on.text()


async def test_a_retry_that_fails_in_an_unknown_way_says_so() -> None:
    """Nothing waits for ever, and nothing ends the screen."""
    monitor = full()
    monitor.failing = {"retry_quarantine"}
    monitor.failure = ValueError("odd")  # type: ignore[assignment]
    async with stage(monitor, (100, 30)) as on:
        await on.press("4", "R")
        assert "Not retried" in on.text()
        assert "ValueError: odd" in on.text()
