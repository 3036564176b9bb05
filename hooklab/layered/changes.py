"""What of new settings a running service takes over, and what needs more than that."""

from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from hooklab.layered.about import Known, known
from hooklab.layered.written import has_no_default, sized, toml

_T = TypeVar("_T", bound=Struct)


class Changes(Struct, Generic[_T], frozen=True):
    """What differs between the settings in force and new ones.

    Attributes:
        settings: those in force from now on: the old ones, with what is taken over.
        taken: names of what is taken over.
        left: names of what is not.
    """

    settings: _T
    taken: list[str]
    left: list[str]

    def lines(self) -> list[str]:
        """A line for each change; no secret is in it."""
        settings = known(type(self.settings))
        said = [f"reloaded: {name} is now {_now(settings[name], self.settings)}" for name in self.taken]
        said += [f"{name} changed: needs {settings[name].about.needs}" for name in self.left]
        return said or ["reloaded: no setting changed"]


def changes(old: _T, new: _T) -> Changes[_T]:
    """What is taken over of `new`, which was checked as a whole.

    Settings that are checked together (a body fits a group, a group the queue) have to be taken over together: no
    mixture of old and new ones is checked again.
    """
    settings = known(type(old))
    differing = [name for name in settings if getattr(old, name) != getattr(new, name)]
    taken = [name for name in differing if settings[name].about.reload]
    left = [name for name in differing if not settings[name].about.reload]
    return Changes(replace(old, **{name: getattr(new, name) for name in taken}), taken, left)


def _now(one: Known, settings: Struct) -> str:
    value: Any = getattr(settings, one.name)
    if one.about.secret:
        return "another"
    if value == one.default and has_no_default(one):
        return f"not set: {one.about.unset}"
    if isinstance(value, int) and not isinstance(value, bool):
        size = sized(value) if one.about.unit == "BYTES" else ""
        return f"{value:,}{f' ({size})' if size and not size.endswith('bytes') else ''}"
    return toml(value)
