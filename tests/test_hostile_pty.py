"""Hostile text and a real terminal: nothing goes to it but printable text and what Textual itself writes."""

import base64
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from hostile import HOSTILE
from hostile_stage import NAMES, ROOM, Fed, feed, message_of
from pty_stage import Terminal, hooklab_run, until
from support import TOKEN, RunningService
from terminal_stream import foreign_parts

COPIED = base64.b64encode(b"an id").decode()


@pytest.mark.parametrize(
    "bad",
    [
        "\x1b]0;title\x07",
        "\x1b]8;;https://evil.example\x1b\\",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]52;c;?\x07",
        "\x1b]22;x\x07",
        f"\x1b]52;p;{COPIED}\x07",
        "\x1b[2J",
        "\x1b[H",
        "\x1b[6n",
        "\x1b[c",
        "\x1b[?47h",
        "\x1b[?5h",
        "\x1b[3",
        "\x1b[38:2:1m",
        "\x1b",
        "\x1bc",
        "\x1bPq\x1b\\",
        "\x1b_G\x1b\\",
        "\x07",
        "\x00",
        "\b",
        "\r",
        "\n",
        "\r\n",
        "\r\nforged\x1b[2;1H",
        "\r\n\x1b[0m",
        "\t",
        "\x7f",
        "\x18",
        "\x9b",
        "\x85",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\ufe0f",
        "\u3164",
        "\u2028",
        "\ufffe",
        "\ue000",
        "\U000e0041",
    ],
)
def test_the_grammar_lets_nothing_foreign_through(bad: str) -> None:
    """Each of these is found, once and where it stands, among what is allowed."""
    own = f"\x1b[?1049h\x1b[1;38;2;1;2;3mä语\x1b[0m\x1b[2;1H\x1b[>9u\x1b]52;c;{COPIED}\x07"
    assert list(foreign_parts(own.encode(), {COPIED})) == []
    found = list(foreign_parts(f"{own}{bad}z{own}".encode(), {COPIED}))
    assert found[0][0] == len(own.encode())


def test_the_grammar_finds_bytes_that_are_no_text() -> None:
    """A C1 control of one byte is not UTF-8, and is found too."""
    assert list(foreign_parts(b"ab\x9b2J"))[0][0] == 2  # noqa: RUF015


class _Wake(threading.Event):
    """Takes the place of the screen in memory: to draw all that comes there as well would take most of the time."""

    def feed(self, _data: bytes) -> None:
        """Something came; it is in `received` already."""
        self.set()


class Tap(Terminal):
    """A terminal of which only the bytes count that it is sent.

    Attributes:
        marks: from which byte on what was done.
    """

    def __init__(self, folder: Path) -> None:
        self.marks: list[tuple[int, str]] = []
        self._came = _Wake()
        super().__init__(hooklab_run(folder, "--token", TOKEN), 120, 36)
        self._stream = self._came  # type: ignore[assignment]

    def send(self, keys: str, wanted: str | tuple[str, ...], what: str, since: int | None = None) -> int:
        """Types, and returns when something wanted was drawn after that, or after `since`; a failure, then or later,
        names `what`. Gives the offset of what was drawn.
        """
        self.marks.append((len(self.received), what))
        mark = len(self.received) if since is None else since
        os.write(self.master, keys.encode(errors="replace"))
        texts = [text.encode() for text in ((wanted,) if isinstance(wanted, str) else wanted)]
        ends = time.monotonic() + 30
        while not any(self.received.find(text, mark) >= 0 for text in texts):
            assert time.monotonic() < ends, f"{wanted!r} is not drawn after {keys!r} for {what}"
            self._came.wait(1)
            self._came.clear()
        return mark

    def to_the_end(self, count: int) -> None:
        """Goes to the oldest row, which takes as many keys as there are pages to load, and back to the top."""
        mark, wanted = len(self.received), f"{count:,} of {count:,}".encode()
        while self.received.find(wanted, mark) < 0:
            os.write(self.master, b"G")
            self._came.wait(1)
            self._came.clear()
        self.send("g", "following", "the top of a list")

    def about(self, offset: int) -> str:
        """What was done when a byte came."""
        return next((what for mark, what in reversed(self.marks) if mark <= offset), "the start")


_ENTER, _BACK, _CLEAR, _PALETTE = "\r", "\x7f", "\x15", "\x10"


def _pasted(name: str, mark: str) -> str:
    """The beginning of a string between two marks, as a terminal pastes it: it takes every ESC out."""
    text = HOSTILE[name][:300].replace("\x1b", "")
    return f"\x1b[200~{mark}{text}{mark}\x1b[201~"


def _read_messages(shown: Tap) -> None:
    """Opens the message of each string that has one, numbers shown whole; copies the last one's id."""
    shown.send("m/", "state:not_delivered", "the filter box")
    shown.send("is:conflict", "111 found", "the filter box")
    shown.send(_ENTER, "following", "the messages")
    known = [name for name in reversed(NAMES) if not re.search("[\ud800-\udfff]", HOSTILE[name])]
    assert len(known) == 111
    for name in known:
        shown.send(_ENTER, f"message {message_of(name)}", f"the timeline of {name}")
        shown.send(f"G{_BACK}", "seg  arrivals", f"the end of the timeline of {name}")
        os.write(shown.master, b"j")
    shown.send("y", "the message id", "a copy")
    shown.send(_ENTER, f"{len(known)} of {len(known)}", "the messages")


def _read_batches(shown: Tap, fed: Fed) -> None:
    """Opens each batch whose body is a string and nothing else: it is shown as it came."""
    shown.send("2", "elements  became", "the batches")
    shown.to_the_end(len(fed.senders))
    at = len(fed.senders)
    for number in range(len(fed.senders), 0, -1):
        if fed.is_whole(number):
            what = f"batch {number} ({fed.name_of_batch(number)})"
            shown.send("j" * (at - number) + _ENTER, f" batch {number:,} ", what)
            shown.send(f"G{_BACK}", "elements  became", what)
            at = number


def _read_quarantine(shown: Tap) -> None:
    """Goes through the list by pages, and opens a row of each."""
    shown.send("4", "why it was not understood", "the quarantine")
    for page in range(30):
        what = f"page {page} of the quarantine"
        mark = shown.send(_ENTER, "in quarantine: ", what)
        shown.send("r", "as it came", what, since=mark)
        shown.send(_BACK, "why it was not understood", what)
        os.write(shown.master, b"\x1b[6~")


def _type(shown: Tap) -> None:
    """Pastes each string into the filter box, and one after the other into the palette."""
    # Without a filter the rule behind the titles is long; where the words were wrong, examples come back.
    empty = ("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 45, "state:not_delivered")
    shown.send("1", "seg  arrivals", "the messages")
    shown.send("/", "state:not_delivered", "the filter box")
    for at, name in enumerate(NAMES):
        shown.send(_pasted(name, f"#{at}#"), f"#{at}#", f"pasting {name}")
        shown.send(_CLEAR, empty, f"taking back {name}")
    shown.send(_ENTER, "following", "the filter box")
    shown.send(_PALETTE, "Go to messages", "the palette")
    for at, name in enumerate(NAMES):
        shown.send(_pasted(name, f"#{at}#"), f"#{at}#", f"pasting {name} into the palette")


@pytest.mark.system  # it is long, and most of it is waiting for a process that draws
@pytest.mark.timeout(300)
def test_a_real_terminal_gets_nothing_foreign(tmp_path: Path) -> None:
    """Through all screens, with every string on them and typed into them: text, Textual's sequences, and one copy."""
    folder = tmp_path / "data"
    with RunningService(folder, environment=ROOM) as service:
        fed = feed(service)
    with Tap(folder) as shown:
        shown.send("", "following", "the start")
        _read_messages(shown)
        _read_batches(shown, fed)
        _read_quarantine(shown)
        shown.send("3", "in quarantine", "the problems")
        shown.send("4", "why it was not understood", "the quarantine")
        mark = shown.send("3", "in quarantine", "the problems")  # by now its text has the keys
        shown.send("G", "with a mismatched label", "the problems", since=mark)
        shown.send("?", "messages, batches, problems, quarantine", "the help")
        shown.send(_BACK, "with a mismatched label", "the problems")
        shown.send("5", "window", "the insights")
        shown.send("q", "stop the service", "the question how to leave")
        shown.send("n", "window", "the insights")
        _type(shown)
        shown.process.send_signal(signal.SIGTERM)
        assert shown.ends_with() == 0
        until(lambda: b"\x1b[?1004l" in shown.received, "the modes are not reset")
        copied = base64.b64encode(message_of(NAMES[0]).encode()).decode()
        for offset, part in foreign_parts(bytes(shown.received), {copied}):
            pytest.fail(f"{part} came with {shown.about(offset)}")
        assert f"\x1b]52;c;{copied}\x07".encode() in shown.received


def test_bytes_that_are_no_text_do_not_end_the_screen(tmp_path: Path) -> None:
    """What a Latin-1 clipboard or a line fault sends is not UTF-8: the screen goes on, and so do the keys."""
    with Terminal(hooklab_run(tmp_path / "data", "--token", TOKEN)) as shown:
        shown.wait_for("smsWebhooks")
        os.write(shown.master, b"\xe7\xe3o\xff\x9b\xc3\x1b[200~\xe9\x1b[201~\xc3")
        shown.keys("?")
        shown.wait_for("messages, batches, problems, quarantine")
        shown.keys("q", "q")
        shown.wait_for("stop the service")
        shown.keys("s")
        assert shown.ends_with() == 0
        assert shown.mode_is_restored()
