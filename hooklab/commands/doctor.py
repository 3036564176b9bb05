"""`doctor`."""

import argparse
import asyncio
import os
import shutil
import sys
import textwrap
from collections import Counter
from typing import Final, TextIO

import msgspec

from hooklab.commands.common import clock, print_json, print_line
from hooklab.config import Settings
from hooklab.health.base import LEVELS, Finding, Level, worst
from hooklab.health.examine import Wanted, examine

_MARKS: Final[dict[Level, str]] = {"ok": "+", "warning": "!", "problem": "X"}
_COLOURS: Final[dict[Level, str]] = {"ok": "32", "warning": "33", "problem": "31"}
_NAMES: Final = 8
_WIDEST: Final = 110


def doctor(given: argparse.Namespace, settings: Settings) -> int:
    """Examines the folder and what runs on it; 1 if something is a problem."""
    findings: list[Finding] = []
    progress = _Progress(sys.stderr)

    async def examining() -> None:
        async for finding in examine(Wanted(settings, clock, given.full, progress)):
            progress.end()
            findings.append(finding)
            if given.json:
                print_json(msgspec.to_builtins(finding))
            else:
                _print(finding)
            sys.stdout.flush()

    try:
        asyncio.run(examining())
    finally:
        progress.end()
    if not given.json:
        counts = Counter(finding.level for finding in findings)
        print_line(", ".join(f"{counts[level]} {_plural(level, counts[level])}" for level in reversed(LEVELS)))
    return 1 if worst(findings) == "problem" else 0


def _plural(level: Level, count: int) -> str:
    return level if level == "ok" or count == 1 else f"{level}s"


def _print(finding: Finding) -> None:
    """On a terminal wrapped to it; elsewhere one line, for grep."""
    head = f"{_MARKS[finding.level]} {finding.level:<7}"
    name = f"{finding.name:<{_NAMES}}"
    if not sys.stdout.isatty():
        print_line(f"{head}  {name}  {finding.found}{f' -> {finding.advice}' if finding.advice else ''}")
        return
    indent = " " * (len(head) + len(name) + 4)
    room = max(min(shutil.get_terminal_size().columns, _WIDEST) - len(indent), 20)
    lines = _wrapped(finding.found, room)
    if finding.advice:
        lines += [f"{'-> ' if not at else '   '}{line}" for at, line in enumerate(_wrapped(finding.advice, room - 3))]
    for at, line in enumerate(lines):
        print(f"{indent}{line}" if at else f"{_coloured(head, finding.level)}  {name}  {line}")


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def _coloured(text: str, level: Level) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[level]}m{text}\x1b[0m"


class _Progress:
    """One line on a terminal that comes and goes; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._shown = ""

    def __call__(self, what: str, done: int, whole: int) -> None:
        """Says what is done, and how much of it where that is known."""
        if self._stream is None:
            return
        says = f"reading {what} ..." + (f" {100 * done // whole} %" if whole else "")
        if says != self._shown:
            self._shown = says
            self._stream.write(f"\r{says}\x1b[K")
            self._stream.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self._stream is not None and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = ""
