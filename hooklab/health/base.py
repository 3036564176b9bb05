"""What a look at something found, and the words that findings share. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from hooklab.text import clean

Level = Literal["ok", "warning", "problem"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "problem")
"""From good to bad."""
_LONGEST: Final = 600
MIB: Final = 1 << 20


class Finding(Struct, frozen=True):
    """One thing that was looked at. All text is safe to show and on one line."""

    name: str
    level: Level
    found: str
    """What was found, in words."""
    advice: str | None = None
    """What to do about it; None where there is nothing to do."""


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", clean(found, _LONGEST))


def warning(name: str, found: str, advice: str) -> Finding:
    """It works, and wants a look."""
    return Finding(name, "warning", clean(found, _LONGEST), clean(advice, _LONGEST))


def problem(name: str, found: str, advice: str) -> Finding:
    """It does not work, or what was answered 200 is in danger."""
    return Finding(name, "problem", clean(found, _LONGEST), clean(advice, _LONGEST))


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among `findings`; ok if there are none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def size_of(count: int) -> str:
    """``812 B``, ``4.0 KiB``, ``31 MiB``, ``2.4 GiB``."""
    if count < 1024:
        return f"{count} B"
    power = 1 if count < MIB else 2 if count < 1024 * MIB else 3
    scaled = count / 1024**power
    return f"{scaled:.1f} {'KMG'[power - 1]}iB" if scaled < 9.95 else f"{scaled:,.0f} {'KMG'[power - 1]}iB"


def many(count: int, name: str, plural: str | None = None) -> str:
    """``1 batch``, ``1,204 batches``."""
    return f"{count:,} {name if count == 1 else plural or name + 's'}"


def listed(names: Iterable[str], most: int = 4) -> str:
    """``a, b, c and 7 more``."""
    all_of_them = list(names)
    shown = ", ".join(all_of_them[:most])
    return shown if len(all_of_them) <= most else f"{shown} and {len(all_of_them) - most:,} more"
