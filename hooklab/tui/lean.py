"""Fewer bytes for the same picture: of the colours and attributes of what is drawn, only what changes is sent. Pure.

Textual resets after each piece and names all of the next one's look, which is most of what a screen full of text
costs on a slow line.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SGR: Final = re.compile(r"\x1b\[([0-9;:]{0,200})m")
"""Select Graphic Rendition, ECMA-48 8.3.117."""
_OTHER: Final = re.compile(r"\x1b(?!\[[?><=0-9;]*[A-Za-ln-z])")
"""What is no CSI sequence, or a longer SGR: it may restore or reset a look, or hold what only seems to be one."""
_OFF: Final = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29}
"""Attributes, and what ends each."""
_ON_SPACES: Final = frozenset({4, 5, 7, 9})
"""Those that are seen where nothing is written."""
_COLOURS: Final = {"2": 5, "5": 3}
"""How many numbers a colour of the form 38;2;… or 38;5;… has."""


class _Look(NamedTuple):
    """Colours as the numbers that select them, "" for the terminal's own; attributes by number."""

    fore: str = ""
    ground: str = ""
    attributes: frozenset[int] = frozenset()


_PLAIN: Final = _Look()


def lean(text: str) -> str:
    """What draws the same as `text`, on whatever look the terminal has before it, and leaves the same look behind."""
    out: list[str] = []
    now: _Look | None = None  # the terminal's; None while that is not known
    wanted: _Look | None = None
    for at, part in enumerate(_SGR.split(text)):
        if at % 2:
            after = _apply(wanted, part)
            if after is None or wanted is None:
                out += _change(now, wanted)
                out.append(f"\x1b[{part}m")
                now = after
            wanted = after
        elif part:
            if now is not None and wanted is not None and not part.strip(" ") and _is_as_good(now, wanted):
                out += _change(now, now._replace(ground=wanted.ground))
                now = now._replace(ground=wanted.ground)
            else:
                out += _change(now, wanted)
                now = wanted
            out.append(part)
            if _OTHER.search(part):
                now = wanted = None
    out += _change(now, wanted)
    return "".join(out)


def _is_as_good(one: _Look, other: _Look) -> bool:
    """Whether spaces look the same, but for the ground."""
    return not (one.attributes | other.attributes) & _ON_SPACES


def _apply(look: _Look | None, numbers: str) -> _Look | None:
    """The look after a sequence; None if that cannot be told."""
    codes = [code or "0" for code in numbers.split(";")]
    at = 0
    while at < len(codes):
        if ":" in codes[at]:
            return None
        code = int(codes[at])
        if code == 0:
            look = _PLAIN
        elif look is None:
            return None
        elif code in {38, 48}:
            length = _COLOURS.get("".join(codes[at + 1 : at + 2]))
            if length is None or at + length > len(codes):
                return None
            colour = ";".join(codes[at : at + length])
            look = look._replace(fore=colour) if code == 38 else look._replace(ground=colour)
            at += length - 1
        elif code in _OFF:
            look = look._replace(attributes=look.attributes | {code})
        elif 30 <= code <= 37 or 90 <= code <= 97:
            look = look._replace(fore=codes[at])
        elif 40 <= code <= 47 or 100 <= code <= 107:
            look = look._replace(ground=codes[at])
        else:
            return None
        at += 1
    return look


def _change(now: _Look | None, wanted: _Look | None) -> Iterator[str]:
    """The sequence from one look to another, if one is needed."""
    if now is None or wanted is None or now == wanted:
        return
    if wanted == _PLAIN:
        yield "\x1b[0m"
        return
    if (now.fore and not wanted.fore) or (now.ground and not wanted.ground):
        begun, codes = wanted.attributes, ["0"]
        now = _PLAIN
    else:
        ends = {_OFF[one] for one in now.attributes - wanted.attributes}
        begun = frozenset(one for one in wanted.attributes if one not in now.attributes or _OFF[one] in ends)
        codes = [str(code) for code in sorted(ends)]
    codes += [str(code) for code in sorted(begun)]
    codes += [wanted.fore] if wanted.fore != now.fore else []
    codes += [wanted.ground] if wanted.ground != now.ground else []
    yield f"\x1b[{';'.join(codes)}m"
