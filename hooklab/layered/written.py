"""Values as people write and read them."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hooklab.layered.about import Known

MASKED: Final = "\u2022" * 4
_UNITS: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def toml(value: Any) -> str:
    """A value as a TOML file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) else f"{int(value)}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(one) for one in value)}]"
    # A basic string of TOML is one of JSON, but for this character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def plain(value: Any) -> str:
    """A value as a variable or an option has it."""
    if isinstance(value, tuple | list):
        return ",".join(plain(one) for one in value)
    return str(value) if isinstance(value, str | Path) else toml(value)


def assigned(one: Known, value: Any, source: str) -> str:
    """A setting with a value, as it is written where `source` says: file, environment or option."""
    if source == "environment":
        return f"HOOKLAB_{one.name.upper()}={shlex.quote(plain(value))}"
    if source == "option":
        return f"{one.option} {shlex.quote(plain(value))}"
    return f"{one.name} = {toml(value)}"


def sized(number: int) -> str:
    """Bytes in the largest unit that is whole: ``4 MiB``; those of no unit as they are."""
    for size, unit in _UNITS:
        if number >= size and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number:,} bytes"


def default_in_words(one: Known) -> str:
    """What holds where nothing is set."""
    if has_no_default(one):
        return one.about.unset
    return sized(one.default) if one.about.unit == "BYTES" else plain(one.default)


def has_no_default(one: Known) -> bool:
    """Whether it is not set by default, so that only words say what holds then."""
    return bool(one.about.unset) and one.default in (None, (), Path())


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that was probably meant."""
    import difflib  # noqa: PLC0415  rarely needed, and every command starts through here

    wanted = name.lower().replace("-", "_")
    by_form = {one.lower().replace("-", "_").lstrip("_"): one for one in names}
    close = difflib.get_close_matches(wanted.lstrip("_"), by_form, n=1, cutoff=0.6)
    return by_form[close[0]] if close else None
