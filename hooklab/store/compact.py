"""How the store writes what would take room: texts that many rows share, numbers, times. Pure, both ways.

A text that comes often is kept once, in the table `texts`, and elsewhere as its number there; a phone number and a
time of the usual form are numbers themselves. A column may hold either: what is no number is the text as it is.
"""

from collections.abc import Mapping
from typing import Final

from hooklab.times import SECOND

_MOST: Final = 4096
"""Texts that are kept once. Whoever sends another with each report fills no table, and no memory."""
_LONGEST: Final = 200
"""Characters of a text that is."""
_MOST_DIGITS: Final = 15

Coded = str | int | None


def _shared(column: str) -> str:
    return f"iif(typeof({column}) = 'integer', (SELECT text FROM texts WHERE id = {column}), {column})"


DESCRIPTION: Final = _shared("description")
ORGANIZATION: Final = _shared("organization_id")
PEER: Final = _shared("peer")
MSISDN: Final = "CAST(msisdn AS TEXT)"
REPORTED_AT: Final = (
    "iif(typeof(reported_at) = 'integer', strftime('%Y-%m-%dT%H:%M:%SZ', reported_at, 'unixepoch'), reported_at)"
)
NEW_AT: Final = "first_at + new_after"
LAST_AT: Final = "first_at + last_after"
FIRST_FINAL: Final = "last_arrival - final_before"
"""SQL that gives the columns of `messages`, `reports` and `batches` as they were before."""


BRIEF: Final = 512
"""Characters of a long description or custom payload that are enough for a list."""
_LONG: Final = 4 * BRIEF
CUT: Final = "…"
"""What ends a text that is not whole."""


def in_brief(column: str) -> str:
    """SQL that gives a text, or the beginning of a long one."""
    # To SQLite a text's length, and what substr can reach, end at a NUL: only the bytes tell how long it is.
    return f"iif(length(CAST({column} AS BLOB)) <= {_LONG}, {column}, substr({column}, 1, {BRIEF}) || '{CUT}')"


class Texts:
    """The texts that are kept once, and those that a chunk adds to them, in order of first appearance."""

    def __init__(self, known: Mapping[str, int]) -> None:
        """Takes the texts that the store has, with their numbers."""
        self._numbers: dict[str | None, Coded] = {None: None}
        self._numbers.update(known)
        self._left = _MOST - len(known)
        self.new: list[tuple[int, str]] = []

    def keep(self, text: str | None) -> None:
        """Has `text` kept once from now on, unless there are too many, or it is long."""
        if text in self._numbers or len(text or "") > _LONGEST or self._left <= 0:
            return
        self._left -= 1
        number = len(self._numbers)
        self._numbers[text] = number
        assert text is not None
        self.new.append((number, text))

    def numbers(self) -> dict[str, int]:
        """The new ones, with their numbers."""
        return {text: number for number, text in self.new}

    def coded(self, text: str | None) -> Coded:
        """What stands for `text` in a row."""
        return self._numbers.get(text, text)


def number_coded(msisdn: str | None) -> Coded:
    """What stands for a phone number in a row."""
    if msisdn is None or not msisdn.isdigit() or len(msisdn) > _MOST_DIGITS or msisdn[0] == "0":
        return msisdn
    return int(msisdn) if msisdn.isascii() else msisdn


def time_coded(text: str | None, reported_us: int | None) -> Coded:
    """What stands for a ``ReportDateTime`` in a row, given what it was parsed to: seconds, if they give it back."""
    if text is not None and reported_us is not None and len(text) == 20 and text[10] == "T" and text[19] == "Z":
        return reported_us // SECOND
    return text
