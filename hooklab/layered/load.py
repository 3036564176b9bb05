"""From a file, the environment and options to one struct, and from where each of its values came."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from hooklab.layered.about import Known, SettingsError, known
from hooklab.layered.lines import lines_of
from hooklab.layered.written import assigned, nearest

_T = TypeVar("_T", bound=Struct)

PREFIX: Final = "HOOKLAB_"
_LARGEST: Final = 1024 * 1024
_AT: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")


class Source(Struct, frozen=True):
    """Where a value came from, and in words where exactly: a line of a file, a variable, an option."""

    kind: Literal["default", "file", "environment", "option"]
    says: str


DEFAULT: Final = Source("default", "default")


class Raw(Struct, frozen=True):
    """A value as it was found."""

    value: Any
    source: Source


class Loaded(Struct, Generic[_T], frozen=True):
    """Settings in force, and where those came from that are not the default."""

    settings: _T
    sources: dict[str, Source]

    def source(self, name: str) -> Source:
        """Where a setting came from."""
        return self.sources.get(name, DEFAULT)


def from_file(path: Path, settings: Mapping[str, Known]) -> dict[str, Raw]:
    """The settings of a TOML file.

    Raises:
        SettingsError: it cannot be read, is not TOML, or sets what there is not.
    """
    text = _text_of(path)
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        at = _AT.search(str(error))
        line, what = (f", line {at[1]}", f"{_AT.sub('', str(error))} (column {at[2]})") if at else ("", str(error))
        raise SettingsError(f"the settings file {path}{line} is not TOML: {what}") from error
    lines = lines_of(text)
    raws = {}
    for name, value in found.items():
        line = f", line {lines[name]}" if name in lines else ""
        if name not in settings:
            table = isinstance(value, dict)
            raise SettingsError(f"{path}{line}: {_unknown(name, settings, 'file', table=table)}")
        raws[name] = Raw(value, Source("file", f"{path}{line}"))
    return raws


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"the settings file {path} cannot be read: {why}") from error
    if len(data) > _LARGEST:
        raise SettingsError(f"the settings file {path} cannot be read: it is larger than 1 MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"the settings file {path} cannot be read: line {line} is not UTF-8") from error


def from_environment(
    environment: Mapping[str, str], settings: Mapping[str, Known], own: Iterable[str]
) -> dict[str, Raw]:
    """The settings of the environment: `HOOKLAB_MAX_BODY=1048576` sets max_body. Empty means not set.

    Args:
        environment: all of it.
        settings: those there are.
        own: variables with the prefix that are no settings.

    Raises:
        SettingsError: a variable sets what there is not.
    """
    names = {f"{PREFIX}{name.upper()}": one for name, one in settings.items()}
    raws = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in own or not value:
            continue
        if variable not in names:
            name = variable.removeprefix(PREFIX).lower()
            raise SettingsError(f"{variable}: {_unknown(name, settings, 'environment')}")
        one = names[variable]
        raws[one.name] = Raw(_split([value]) if one.is_list else value, Source("environment", variable))
    return raws


def from_options(options: Mapping[str, Any], settings: Mapping[str, Known]) -> dict[str, Raw]:
    """The settings of the command line, by their names; None means not given.

    Raises:
        SettingsError: an option sets what there is not.
    """
    raws = {}
    for name, value in options.items():
        if value is None:
            continue
        if name not in settings:
            raise SettingsError(f"--{name.replace('_', '-')}: {_unknown(name, settings, 'option')}")
        one = settings[name]
        several = value if isinstance(value, list | tuple) else [value]
        raws[name] = Raw(_split(several) if one.is_list else value, Source("option", one.option))
    return raws


def _split(values: Iterable[Any]) -> list[Any]:
    """Lists are written with commas where there is only text; an option may be given more than once."""
    parts: list[Any] = []
    for value in values:
        parts += [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else [value]
    return parts


def _unknown(name: str, settings: Mapping[str, Known], kind: str, *, table: bool = False) -> str:
    what = f"there is no setting called {name!r}"
    near = nearest(name, list(settings))
    if near is not None:
        one = settings[near]
        return f"{what}; the nearest is {near}, write for example {assigned(one, one.about.example, kind)}"
    if table:
        return f"{what}: settings stand in no [table], each on a line of its own"
    return f"{what}; `hooklab config --example` shows all that there are"


def settle(kind: type[_T], *layers: Mapping[str, Raw]) -> Loaded[_T]:
    """One struct of all layers, the later winning; only what wins is judged.

    Raises:
        SettingsError: a value is not what its setting wants.
    """
    chosen: dict[str, Raw] = {}
    for layer in layers:
        chosen.update(layer)
    settings = known(kind)
    values = {name: _convert(settings[name], raw) for name, raw in chosen.items()}
    return Loaded(kind(**values), {name: raw.source for name, raw in chosen.items()})


def _convert(one: Known, raw: Raw) -> Any:
    try:
        value = msgspec.convert(raw.value, one.kind, strict=False, dec_hook=_make)
    except (ValueError, OverflowError, RecursionError) as error:  # a ValidationError is a ValueError
        reason = error.__cause__
        said = f": {reason}" if reason is not None and not one.about.secret else ""
        raise wrong(one, raw.source, f"{_shown(one, raw.value)} is not {one.wanted()}{said}") from error
    if one.about.check is not None and value is not None:
        try:
            for part in value if one.is_list else [value]:
                one.about.check(part)
        except ValueError as error:
            raise wrong(one, raw.source, str(error)) from error
    return value


def _make(kind: Any, given: Any) -> Any:
    """A path of text: `~` is the home folder, and a relative one is below the current folder once and for all."""
    if kind is not Path or not isinstance(given, str | Path):
        raise ValueError("it has to be text")
    if given == "" or "\0" in str(given):
        raise ValueError("it holds a NUL" if given else "it is empty")
    try:
        return Path(given).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise ValueError("there is no such home folder") from error


def wrong(one: Known, source: Source, what: str) -> SettingsError:
    """The error for a value: which setting, from where, what is wrong, and one that is right."""
    kind = source.kind if source.kind != "default" else "file"
    return SettingsError(
        f"{one.name} ({source.says}): {what}; write for example {assigned(one, one.about.example, kind)}"
    )


def _shown(one: Known, value: Any) -> str:
    if one.about.secret:
        return "the value"
    try:
        text = repr(value)
    except ValueError:  # thousands of digits: hexadecimal ones are read, and cannot be written
        return "a number of very many digits"
    return text if len(text) <= 80 else f"{text[:79]}…"
