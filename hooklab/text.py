"""Makes anything that came from outside safe to show.

One place for the screen, the command line, the logs and exports. What leaves `clean` has no control byte, no
escape sequence, no bidirectional or invisible formatting character and no lone surrogate. It may still be
markup in the eyes of Textual: show it as `rich.text.Text` or with ``markup=False``.
"""

import re
import unicodedata
from collections.abc import Sequence

_MARKS = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u06d6-\u06dc"
    "\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_MANY_MARKS = re.compile(f"({_MARKS}{{3}}){_MARKS}+")
_INVISIBLE = re.compile(
    "[\u180b-\u180d\u180f\ufe00-\ufe0f\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\U000e0100-\U000e01ef]"
)
MASK = "\u00b7" * 4


def clean(value: str, limit: int | None = None) -> str:
    """`value` as one line that can do nothing to a terminal, at most `limit` characters long.

    C0 controls become their pictures (ESC is ``␛``), other spaces a space, whatever else cannot be printed
    ``\ufffd``; invisible fillers go; of stacked combining marks three stay.
    """
    value = _cut(value, limit)
    if value.isascii() and value.isprintable():
        return value
    if not value.isprintable():
        value = "".join(char if char.isprintable() else _picture(char) for char in value)
    return _MANY_MARKS.sub(r"\1", _INVISIBLE.sub("", value))


def clean_lines(value: str, limit: int | None = None) -> str:
    """Like `clean`, but line breaks stay and tabs become spaces: for pretty-printed bodies."""
    value = _cut(value.replace("\t", "    "), limit)
    return "\n".join(clean(line) for line in re.split(r"\r\n|\r|\n", value))


_HARMFUL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    "|\r(?!\n)"
)


def clean_cell(value: str) -> str:
    """`value` as text of a file that people open: line breaks and tabs stay, and so do letters' joiners and marks.

    Other controls become what `clean` makes of them, a lone carriage return too.
    """
    return value if value.isascii() and value.isprintable() else _HARMFUL.sub(lambda one: _picture(one[0]), value)


def _cut(value: str, limit: int | None) -> str:
    if limit is None or len(value) <= limit:
        return value
    return value[: limit - 1] + "…" if limit > 0 else ""


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return " " if unicodedata.category(char) == "Zs" else "\ufffd"


def mask_number(value: str | None) -> str:
    """A phone number with its middle hidden: ``3519····4521``. Short ones keep their last two digits."""
    if value is None:
        return ""
    shown = clean(value, 64)
    if len(shown) >= 10:
        return shown[:4] + MASK + shown[-4:]
    return MASK + shown[-2:] if len(shown) > 4 else MASK


_NUMBER = re.compile(
    r"""((?i:"(?:msisdn|from|to)"\s*:\s*"?|\b(?:msisdn|from|to)=))([+\d][\d ().-]{3,62})(?=["&,\s}\]]|$)"""
)
"""A phone number in a JSON body or a form, by the names that carry one in what is posted here."""


def mask_numbers(body: str) -> str:
    """A body with its phone numbers masked, wherever a field of a usual name holds one; all else stays as it is."""
    return _NUMBER.sub(lambda found: found[1] + mask_number(found[2].strip()), body)


def mask_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line with `--token`'s value, hook URLs' tokens and URLs' passwords masked."""
    shown: list[str] = []
    for at, one in enumerate(arguments):
        if one.startswith("--token="):
            shown.append(f"--token={MASK}")
        elif at and arguments[at - 1] == "--token":
            shown.append(MASK)
        else:
            shown.append(mask_url(one))
    return shown


def mask_url(text: str) -> str:
    """Text with the tokens of hook URLs in it and the users and passwords of URLs masked."""
    return re.sub(r"(://)[^/\s]*@", rf"\1{MASK}@", mask_token(text))


def mask_token(url: str) -> str:
    """A hook URL with its token hidden: ``http://host/hooks/••••``, a label kept."""
    return re.sub(r"(/hooks/)[^/?#\s]+", r"\1" + "\u2022" * 4, url)
