"""The same picture in fewer bytes: what is left out of the colours makes no difference to any cell."""

import asyncio
import re

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tui_stage import colours, many, stage

from hooklab.tui.lean import lean

_COLOURS = (
    "38;2;213;218;225",
    "38;2;135;146;162",
    "48;2;15;19;24",
    "48;2;31;42;56",
    "48;5;17",
    "36",
    "97",
    "44",
    "103",
)
_ALONE = ("0", "", "1", "2", "3", "4", "5", "7", "9", *_COLOURS)
_LATER = ("39", "49", "22", "24", "27", "21", "58;2;1;2;3", "38", "48;2;1", "38;9;1")
"""Of which the look afterwards is not told, or that are cut off."""
_sequences = st.lists(st.sampled_from(_ALONE), min_size=1, max_size=4).map(lambda codes: f"\x1b[{';'.join(codes)}m")
_rich = st.sampled_from(
    [
        f"\x1b[{attributes}{fore};{ground}m"
        for attributes in ("", "1;", "7;")
        for fore in _COLOURS[:2]
        for ground in _COLOURS[2:4]
    ]
)
_parts = st.one_of(
    _sequences,
    _rich,
    st.just("\x1b[0m"),
    st.sampled_from([f"\x1b[{codes}m" for codes in _LATER]),
    st.sampled_from(
        [
            " ",
            "   ",
            "a",
            "hooklab ",
            "语 é",
            "\r\n",
            "\x1b[2;3H",
            "\x1b[2J",
            "\x1b[K",
            "\x1b[?2026h",
            "\x1b7",
            "\x1b8",
        ]
    ),
)


def cells(*texts: str, before: str = "") -> list[list[tuple[object, ...]]]:
    """What a terminal shows after it; of a space only what is seen of it."""
    screen = pyte.Screen(30, 4)
    stream = pyte.Stream(screen)
    for text in (before, *texts):
        stream.feed(text)
    drawn = []
    for row in range(4):
        line = []
        for column in range(30):
            cell = screen.buffer[row][column]
            seen = cell.data != " " or cell.underscore or cell.reverse or cell.strikethrough or cell.blink
            line.append(tuple(cell) if seen else (" ", cell.bg))
        drawn.append(line)
    screen.draw("x")  # how the next character would look
    drawn.append([tuple(screen.buffer[screen.cursor.y][max(screen.cursor.x - 1, 0)])])
    return drawn


@given(st.lists(_parts, max_size=14).map("".join), st.lists(_sequences, max_size=2).map("".join))
@example("\x1b[1;2;38;5;9;48;5;4ma\x1b[0;2;38;5;9;48;5;4mb\x1b[0m", "")
@example("\x1b[0m\x1b[4;44m \x1b[0m\x1b[44m \x1b[0m", "\x1b[7m")
@example("\x1b[0m\x1b[31;44mab\x1b[0m\x1b[44mab\x1b[0m\x1b[31mcd", "")
def test_every_cell_looks_the_same(text: str, before: str) -> None:
    """Whatever was before, whatever codes come, known or not; and so does what is written after it."""
    assert cells(lean(text), before=before) == cells(text, before=before)


@given(st.lists(_parts, max_size=6).map("".join), st.lists(_parts, max_size=6).map("".join))
def test_one_part_after_the_other(one: str, other: str) -> None:
    """What is written in parts is as what is written at once."""
    assert cells(lean(one), lean(other)) == cells(one + other)


def test_only_what_changes_is_sent() -> None:
    """A reset before the next look goes, and of that what is there already; spaces need no colour of their own."""
    grey, white, ground = "38;2;135;146;162", "38;2;213;218;225", "48;2;15;19;24"
    text = f"\x1b[0m\x1b[{grey};{ground}mlag \x1b[0m\x1b[{white};{ground}m  \x1b[0m\x1b[1;{white};{ground}m12\x1b[0m"
    assert lean(text) == f"\x1b[0m\x1b[{grey};{ground}mlag   \x1b[1;{white}m12\x1b[0m"


def test_other_sequences_are_left_alone() -> None:
    """Titles, modes, the clipboard: byte for byte, and in their place."""
    others = ("\x1b]52;c;YQ==\x07", "\x1b[?1049h", "\x1b[>1u", "\x1b[6n", "\x1b[4:3mx", "\x1b[")
    text = "".join(f"\x1b[1mb{one}\x1b[0m\x1b[1mc" for one in others)
    for one in others:
        assert one in lean(text)
    assert re.sub(r"\x1b\[[0-9;]*m", "", lean(text)) == re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_number_without_end_is_passed_on() -> None:
    """Whatever it means to a terminal."""
    text = f"\x1b[0ma\x1b[{'1' * 5000}mb\x1b[0mc"
    assert lean(text) == text


@pytest.mark.parametrize("colour", ["truecolor", "256color", "NO_COLOR"])
async def test_a_screen_takes_little_more_than_half_the_bytes(colour: str) -> None:
    """A list as Textual draws it, whole; or nearly."""
    environment = {"COLORTERM": colour} if colour == "truecolor" else {"COLORTERM": "", "TERM": "xterm-256color"}
    with colours(**environment, **({"NO_COLOR": "1"} if colour == "NO_COLOR" else {})):
        async with stage(many(60), (120, 36)) as on:
            await asyncio.sleep(0)
            drawn = on.app.screen._compositor.render_full_update().render_segments(on.app.console)
    less = lean(drawn)
    assert cells(less) == cells(drawn)
    if colour != "NO_COLOR":
        assert len(less) < 0.6 * len(drawn)
    assert len(less) <= len(drawn)
