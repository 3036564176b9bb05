"""The insights as pictures: what is drawn where, and what is not drawn at all."""

import asyncio
import re
from itertools import pairwise
from typing import Any

import pytest
from test_tui_insights import MEASURED, monitor
from tui_fakes import NOW
from tui_stage import many, stage

from hooklab.insights import Insights, Measured, Outcomes, insights
from hooklab.received import MOST, step_of
from hooklab.times import HOUR, MINUTE
from hooklab.tui.insights import insight_lines
from hooklab.tui.pictures import HEIGHT, pictures

DAY = 24 * 60


def told(since: int | None = NOW - 24 * HOUR, **changes: Any) -> Insights:
    return insights(Measured(**changes), since=since, until=NOW, organization=None)


def received(*counts: tuple[int, int], step: int = 60) -> dict[str, Any]:
    """(delivered, not delivered) of the steps that end with this one."""
    last = NOW // MINUTE // step
    return {
        "step": step,
        "steps": [(last - back, good, bad, 0) for back, (good, bad) in enumerate(reversed(counts))][::-1],
    }


def rows(found: Insights, name: str, width: int = 80) -> list[str]:
    return [one.text for one in pictures(found, width)[name]]


def column(lines: list[str], at: int) -> str:
    return "".join(line[at] if at < len(line) else " " for line in lines[:HEIGHT])


@pytest.mark.parametrize("days", [1 / 24, 1, 7, 30, 400, 40_000])
def test_a_window_has_few_enough_steps(days: float) -> None:
    """Of every window each step has a column on a narrow screen, and few windows have but some."""
    last = NOW // MINUTE
    step = step_of(int(last - days * DAY), last)
    assert days > 10_000 or last // step - int(last - days * DAY) // step < MOST
    assert days * DAY / step > 12


def test_columns_are_as_high_as_what_they_are_of() -> None:
    """Finals in half lines of the scale, what was not delivered below in another mark and in whole lines."""
    lines = rows(told(**received((80, 0), (40, 20), (0, 0), (1, 0), (77, 3))), "received")
    drawn = [column(lines, at) for at in range(len(lines[0]))]
    assert lines[0].strip().startswith("80┤")
    full, half = "█" * HEIGHT, " " * 2 + "█" * 4 + "▒" * 2
    first = drawn.index(full)
    assert drawn[first : first + 2] == [full, full]
    assert half in drawn
    assert f"{'▄':>{HEIGHT}}" in drawn
    assert full[1:] + "▒" in drawn
    assert "█ delivered   ▒ not_delivered" in lines[-1]


def test_a_day_is_named_where_it_begins() -> None:
    """Of a week each day once, at its first step."""
    found = told(NOW - 7 * 24 * HOUR, **received((5, 1), (9, 2), step=180))
    lines = rows(found, "received")
    days = [f"{day} Nov" for day in range(17, 24)]
    assert re.findall(r"\d\d \w+", lines[HEIGHT]) == days
    places = [lines[HEIGHT].index(day) for day in days]
    assert len({later - one for one, later in pairwise(places)}) <= 2


def test_colours_are_those_of_the_states() -> None:
    """Roles, so that every theme has its own; the axis is quiet."""
    (lines,) = [pictures(told(**received((50, 40), (80, 0))), 80)["received"]]
    found = {(piece.text[0], piece.role) for line in lines[:HEIGHT] for piece in line.pieces if piece.text.strip()}
    assert {("█", "good"), ("▒", "bad")} <= found
    assert {role for _, role in found} == {"good", "bad", "quiet"}


def test_percentiles_stand_where_they_lie() -> None:
    """p50, p95 and p99 of the JSON with their times, each at a mark; a bar for each bin."""
    found = insights(MEASURED, since=None, until=NOW, organization=None)
    lines = rows(found, "pending_to_final", 118)
    for name in ("p50", "p95", "p99"):
        assert (
            sum(f"│{name} " in line or (f" {name} " in line and line.rstrip().endswith("│")) for line in lines) == 1
        )
    assert lines[-1].split() == [word for one in found.pending_to_final.histogram for word in _edge(one.from_s)]


def _edge(seconds: int) -> list[str]:
    return [str(seconds), "s"] if seconds < 100 else [str(seconds // 60), "min"]


def test_rates_are_dashes_between_a_round_floor_and_all() -> None:
    """An hour's dash is at its rate; hours without finals have none."""
    hour = NOW // HOUR
    shares = {hour - 5: (100, 0), hour - 4: (90, 10), hour - 2: (80, 20)}
    hours = [(at, Outcomes(messages=100, delivered=a, not_delivered=b)) for at, (a, b) in shares.items()]
    lines = rows(told(hours=hours, since=NOW - 6 * HOUR), "hours")
    assert lines[0].split("┤")[0].strip() == "100 %"
    assert lines[HEIGHT - 1].split("┤")[0].strip() == "80 %"
    assert "▀" in lines[0]
    assert "▄" in lines[HEIGHT - 1]
    assert sum(any(mark in line for mark in "▀▄") for line in lines) == 3


@pytest.mark.parametrize("width", [5, 40, 75])
def test_a_narrow_place_has_no_pictures(width: int) -> None:
    """The rows say it there."""
    assert pictures(insights(MEASURED, since=None, until=NOW, organization=None), width) == {}


@pytest.mark.parametrize("width", [76, 80, 98, 140, 300])
def test_no_picture_passes_the_edge(width: int) -> None:
    """At any width, over any window, with as many steps as there can be."""
    counts = [(at * 37 % 900, at % 50) for at in range(MOST)]
    for since in (None, NOW - HOUR, NOW - 24 * HOUR, NOW - 720 * HOUR):
        hours = [(NOW // HOUR - at, Outcomes(messages=3, delivered=2, not_delivered=1)) for at in range(1000, 0, -7)]
        found = told(since, facts=MEASURED.facts, sent_at_key="sent", hours=hours, **received(*counts, step=720))
        for lines in pictures(found, width).values():
            assert all(len(one.text) <= width for one in lines)
            assert all(one.text.isprintable() for one in lines)


def test_too_little_to_show_is_said_in_words() -> None:
    """Nothing, one hour, one bin: no picture with an empty axis, but what there is in sentences and rows."""
    assert pictures(told(), 80) == {}
    one = told(
        facts=MEASURED.facts[1:2],
        hours=[(NOW // HOUR, Outcomes(messages=1, delivered=1))],
        batches=1,
        **received((0, 0)),
    )
    assert pictures(one, 80) == {}
    text = " ".join(line.text for line in insight_lines(one, 1, 80))
    assert "No final was received in this window." in text
    assert "Half within" in text
    assert "┤" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_screen_shows_the_pictures(size: tuple[int, int]) -> None:
    """Below their sentences, in place of rows; two columns where there is room."""
    made = monitor()
    made.measured = Measured(
        **{name: getattr(MEASURED, name) for name in MEASURED.__struct_fields__} | received((9, 4))
    )
    async with stage(made, size) as on:
        await on.press("5")
        seen = on.text()
        for _ in range(12):
            await on.press("pagedown")
            seen += on.text()
        assert "9 reports said DELIVERED, 4 NOT_DELIVERED; the most, 13," in " ".join(seen.split())
        assert "┤" in seen
        assert "▒ not_delivered" in seen
        assert "p99" in seen


async def test_another_width_has_other_pictures() -> None:
    """They are drawn anew for it without another read."""
    async with stage(monitor(), (80, 24)) as on:
        await on.press("5")
        await on.press("G")
        reads = on.monitor.asked.count("insights")
        await on.pilot.resize_terminal(200, 50)
        await on.tick()
        await on.tick()
        assert on.monitor.asked.count("insights") == reads
        assert any("┤" in line[100:] for line in on.lines())


async def test_the_loop_answers_while_a_picture_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread draws; keys are answered meanwhile."""
    import threading

    import hooklab.tui.pictures as drawing

    begun, end = threading.Event(), threading.Event()

    def slow(found: Insights, width: int) -> dict[str, Any]:
        begun.set()
        assert end.wait(20)
        return {}

    monkeypatch.setattr(drawing, "pictures", slow)
    async with stage(many(3), (80, 24)) as on:
        await on.pilot.press("5")
        on.app.poll()
        await asyncio.to_thread(begun.wait, 20)
        await on.pilot.press("question_mark")
        await on.until("one screen down, up")
        end.set()
        await on.app.workers.wait_for_complete()


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize(
    "days", [[-1, -2], [0, -3], [20_000, 3], [3_000, 0], [9_000, 2_000, 0]], ids=lambda days: ",".join(map(str, days))
)
def test_odd_clocks_make_no_odd_pictures(days: list[int], width: int) -> None:
    """Hours after now, or in 1970: no fault, nothing passes the edge, and no label stands for two days."""
    minute = NOW // MINUTE
    step = step_of(minute - max(days) * DAY, minute - min(0, *days) * DAY)
    changes = {
        "hours": sorted(
            (NOW // HOUR - 24 * back, Outcomes(messages=9, delivered=7, not_delivered=2)) for back in days
        ),
        "step": step,
        "steps": sorted(((minute - back * DAY) // step, 7, 2, 0) for back in days),
    }
    drawn = pictures(told(None, **changes), width)
    for name in ("received", "hours"):
        lines = [one.text for one in drawn.get(name, [])]
        assert all(len(one) <= width for one in lines)
        labels = re.findall(r"\d\d:\d\d|\d\d \w{3}|\w{3} \d{4}|\d{4}", lines[HEIGHT]) if lines else []
        assert len(labels) == len(set(labels)) or ":" in labels[0]
    assert set(drawn) & {"received", "hours"}
