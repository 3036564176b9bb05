"""What is known of a setting: its type, its default, and the words beside them, each in one place."""

import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct


class SettingsError(ValueError):
    """A setting cannot be used; the text names it, where it came from and what to do."""


class About(Struct, frozen=True):
    """What a field's type does not say; stands in its annotation.

    Attributes:
        does: what the setting is for, as a part of a sentence.
        example: a value that may be copied.
        unit: what stands for the value in the help; BYTES are shown in MiB too.
        unset: what an absent value means, in words.
        reload: whether a running service takes a change over.
        needs: what a change needs where it does not.
        secret: whether the value is shown to nobody.
        check: called with a value (of a list with each of its own), raises a ValueError that says what is wrong.
    """

    does: str
    example: Any
    unit: str = "TEXT"
    unset: str = ""
    reload: bool = False
    needs: str = "a restart"
    secret: bool = False
    check: Callable[[Any], object] | None = None


class Known(Struct, frozen=True):
    """One setting."""

    name: str
    kind: Any
    about: About
    default: Any

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(arm) is tuple for arm in _arms(self.kind))

    @property
    def does(self) -> str:
        """What it is for, and what a change needs if that is more than a restart."""
        more = "" if self.about.reload or self.about.needs == "a restart" else f"; a change needs {self.about.needs}"
        return f"{self.about.does}{more}"

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def wanted(self) -> str:
        """What its value has to be, in words."""
        unit = f", in {self.about.unit.lower()}" if self.about.unit in {"BYTES", "SECONDS"} else ""
        return _in_words(self.kind) + unit


@lru_cache
def known(kind: type[Struct]) -> dict[str, Known]:
    """The settings that are the fields of `kind`, by name.

    Raises:
        TypeError: a field has no `About`.
    """
    found = {}
    for field in msgspec.structs.fields(kind):
        about = next((one for one in get_args(field.type) if isinstance(one, About)), None)
        if about is None:
            raise TypeError(f"the setting {field.name} has no About")
        found[field.name] = Known(field.name, field.type, about, field.default)
    return found


def _arms(kind: Any) -> Iterator[Any]:
    """The types that a value may have, None left out, limits kept."""
    if get_origin(kind) is Annotated and get_origin(get_args(kind)[0]) in {Union, types.UnionType}:
        kind = get_args(kind)[0]
    if get_origin(kind) in {Union, types.UnionType}:
        for arm in get_args(kind):
            yield from _arms(arm)
    elif get_origin(kind) is Annotated and not any(isinstance(one, Meta) for one in get_args(kind)):
        yield from _arms(get_args(kind)[0])
    elif kind is not type(None):
        yield kind


_WORDS = {int: "a whole number", float: "a number", Path: "a path", bool: "true or false", str: "text"}


def _in_words(kind: Any) -> str:
    return " or ".join(_arm_in_words(arm) for arm in _arms(kind))


def _arm_in_words(arm: Any) -> str:
    limits: dict[str, Any] = {}
    while get_origin(arm) is Annotated:
        for one in get_args(arm)[1:]:
            if isinstance(one, Meta):
                limits |= {
                    name: value for name in ("ge", "gt", "le", "lt") if (value := getattr(one, name)) is not None
                }
        arm = get_args(arm)[0]
    if get_origin(arm) is Literal:
        *some, last = get_args(arm)
        return f"one of {', '.join(some)} or {last}"
    if get_origin(arm) is tuple:
        return f"a list, each of it {_in_words(get_args(arm)[0])}"
    said = {"ge": "from", "gt": "above", "lt": "below", "le": "up to" if "gt" in limits or not limits else "to"}
    if "ge" in limits and "le" not in limits and "lt" not in limits:
        said["ge"] = "of at least"
    return " ".join(
        [
            _WORDS.get(arm, "something else"),
            *(
                f"{said[name]} {value:g}" if isinstance(value, float) else f"{said[name]} {value}"
                for name, value in limits.items()
            ),
        ]
    )
