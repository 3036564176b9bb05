"""`config`: the settings in force."""

import argparse
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
from msgspec import Struct

from hooklab.commands.common import print_json, print_line
from hooklab.config import Loaded, Settings
from hooklab.layered.about import Known, known
from hooklab.layered.written import MASKED, default_in_words, has_no_default, sized, toml

_WIDTH = 80
_HEAD = "* A service without a screen takes a change of these over at SIGHUP."


class Row(Struct, frozen=True):
    """One setting, as `--json` prints it; null is a value that is not set."""

    name: str
    value: Any
    source: str
    default: Any
    does: str
    reload: bool


def config(given: argparse.Namespace, settings: Settings) -> int:
    """Each setting in force: its value, where that came from, and what it is for."""
    del settings
    loaded: Loaded[Settings] = given.load()
    rows = [_row(one, loaded) for one in known(Settings).values()]
    if given.json:
        for row in rows:
            print_json(msgspec.to_builtins(row))
        return 0
    width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, 2 * _WIDTH) if sys.stdout.isatty() else _WIDTH
    print_line(_HEAD)
    for row, one in zip(rows, known(Settings).values(), strict=True):
        print_line()
        for line in _lines(row, one, width):
            print_line(line)
    return 0


def _row(one: Known, loaded: Loaded[Settings]) -> Row:
    value = getattr(loaded.settings, one.name)
    if one.about.secret and value is not None:
        value = MASKED
    source = loaded.source(one.name).says
    if one.name not in loaded.sources and "rebuild" in one.about.needs:
        source = "the store"
    return Row(one.name, _simple(value), source, _simple(_default(one)), one.does, one.about.reload)


def _default(one: Known) -> Any:
    return platformdirs.user_data_path("hooklab") if one.name == "data_dir" else one.default


def _simple(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_simple(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _lines(row: Row, one: Known, width: int) -> list[str]:
    """The setting as a file would have it, where it came from, and, below, what it is for."""
    left = f"{'*' if row.reload else ' '} {row.name} = {_value(row, one)}"
    right = row.source
    below = f"{row.does[0].upper()}{row.does[1:]}."
    if row.value != row.default:
        below += f" Default: {default_in_words(one)}."
    lines = textwrap.wrap(below, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    if len(left) + 2 + len(right) > width:
        return [left, f"    from {right}", *lines]
    return [f"{left}{right.rjust(width - len(left))}", *lines]


def _value(row: Row, one: Known) -> str:
    if row.value == row.default and has_no_default(one) and one.name != "data_dir":
        return f"({one.about.unset})"
    if one.about.secret:
        return MASKED
    size = sized(row.value) if one.about.unit == "BYTES" else ""
    return toml(row.value) + (f" ({size})" if size and not size.endswith("bytes") else "")


def example(given: argparse.Namespace, settings: Settings) -> int:
    """A settings file to begin with; it has to work where the settings in force do not."""
    del given, settings
    for line in example_lines():
        print_line(line)
    return 0


def example_lines() -> list[str]:
    """Every setting commented out with its default, or with an example where nothing is set by default."""
    lines = ["# Settings of hooklab. To set one, take the # before its name away."]
    for one in known(Settings).values():
        unset = has_no_default(one)
        says = f"{one.does[0].upper()}{one.does[1:]}. "
        says += f"Unset means {default_in_words(one)}." if unset else f"Default: {default_in_words(one)}."
        lines += ["", *textwrap.wrap(says, _WIDTH, initial_indent="# ", subsequent_indent="# ")]
        lines.append(f"#{one.name} = {toml(one.about.example if unset else one.default)}")
    return lines
