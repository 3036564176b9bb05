"""The words by which messages are found: what the search index holds of one, and what it is asked for. Pure.

Both sides cut a text in the same way, so that what the index gives is never less than what the exact condition lets
through; that is asked of each candidate afterwards.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from hooklab.rules import LATE, REPEATED
from hooklab.store import compact
from hooklab.wire import format_uuid

_RUN: Final = re.compile(r"[^\W_]+")
"""A word is what `str.isalnum` is true of: after anything else a word may begin (see `word_begins`)."""
_NOT_PLAIN: Final = re.compile(r"[^0-9A-Za-z]+")
_NO_DIGIT: Final = re.compile(r"[^0-9]+")
_LONGEST: Final = 40
_ID_LONGEST: Final = 5
"""Of each group of an id: as few as find few."""
_MOST: Final = 8
"""Words asked for of one filter word; the exact condition has them all."""

NUMBER: Final = "n"
NUMBER_END: Final = "r"
ORGANIZATION: Final = "o"
DESCRIPTION: Final = "d"
CUSTOM: Final = "c"
ID: Final = "i"
PENDING: Final = '"sp"'
DELIVERED: Final = '"sd"'
NOT_DELIVERED: Final = '"sn"'
IS_LATE: Final = '"fl"'
IS_REPEATED: Final = '"fr"'

COLUMNS: Final = (
    f"{compact.MSISDN}, {compact.ORGANIZATION}, {compact.DESCRIPTION}, custom_payload, message_id, rank, seen"
)
"""Of the table `messages`, what `indexed` takes."""


def indexed(row: Sequence[Any]) -> str:
    """What the index holds of a message (`COLUMNS`), words with spaces between."""
    msisdn, organization_id, description, custom_payload, message_id, rank, seen = row
    words = ["sp" if rank < 0 else "sd" if rank & 1 else "sn"]
    words += ["fl"] if seen & LATE else []
    words += ["fr"] if seen & REPEATED else []
    words += [NUMBER + _digits(msisdn or "")[:_LONGEST]]
    # SQL's substr of a text ends at a NUL.
    words += [NUMBER_END + _digits((msisdn or "").partition("\0")[0])[::-1][:_LONGEST]]
    words += [ORGANIZATION + _plain(organization_id or "")[:_LONGEST]]
    for mark, text, longest in (
        (DESCRIPTION, description, _LONGEST),
        (CUSTOM, custom_payload, _LONGEST),
        (ID, format_uuid(message_id), _ID_LONGEST),
    ):
        if text is not None:
            words += [mark + run[:longest] for run in _RUN.findall(text.casefold())]
    return " ".join(dict.fromkeys(words))


def text_begins(mark: str, word: str) -> str | None:
    """What to ask for where `word_begins` is to hold of a text and `word`, casefolded; None: the index is no help."""
    longest = _ID_LONGEST if mark == ID else _LONGEST
    asked = []
    for run in _RUN.finditer(word):
        found = run.group()
        whole = run.end() < len(word) or len(found) >= longest
        asked.append(_ask(mark + found[:longest], whole=whole))
    return all_of(asked[:_MOST])


def number_begins(digits: str) -> str | None:
    """What to ask for where a number is to begin with a text."""
    return _prefix(NUMBER, _digits(digits))


def number_ends(digits: str) -> str | None:
    """What to ask for where a number is to end with a text."""
    return _prefix(NUMBER_END, _digits(digits)[::-1])


def organization_begins(text: str) -> str | None:
    """What to ask for where the id of an organization is to begin with a text, letter case aside."""
    return _prefix(ORGANIZATION, _plain(text))


def all_of(asked: Sequence[str]) -> str | None:
    """All of what is asked for."""
    return " AND ".join(asked) or None


def any_of(*asked: str | None) -> str | None:
    """Any of what is asked for; where the index is no help with one, it is none with all."""
    known = [one for one in asked if one is not None]
    return "(" + " OR ".join(f"({one})" for one in known) + ")" if len(known) == len(asked) else None


def _ask(word: str, *, whole: bool) -> str:
    return f'"{word}"' if whole else f'"{word}" *'


def _prefix(mark: str, word: str) -> str | None:
    return _ask(mark + word[:_LONGEST], whole=len(word) >= _LONGEST) if word else None


def _digits(text: str) -> str:
    # What is left out on both sides leaves a beginning a beginning.
    return _NO_DIGIT.sub("", text)


def _plain(text: str) -> str:
    return _NOT_PLAIN.sub("", text).lower()
