"""`make supply`: what hooklab is made of, as a table in markdown: version, licence, last release, why it is there."""

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement

Released = Callable[[str], str]
"""When the newest version of a package was released, as far as that is known; empty where it is not."""
_INDEX: Final = "https://pypi.org/pypi/{}/json"
_LONGEST: Final = 40
_CLASSIFIER: Final = "License :: OSI Approved :: "


class Part(NamedTuple):
    """One package that hooklab or its build needs."""

    name: str
    version: str
    licence: str
    wanted_by: str


def plain(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(about: Mapping[str, str], classifiers: Iterable[str]) -> str:
    """What a package says of its licence: the expression, a short text, or what it is classified as."""
    said = about.get("License-Expression") or about.get("License") or ""
    classified = [one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER)]
    if not said or "\n" in said or len(said) > _LONGEST:
        return ", ".join(classified) or "not said"
    return said


def wanted(name: str, extra: str = "") -> list[Requirement]:
    """What a package, or one of its extras, needs on this system."""
    found = []
    for requirement in map(Requirement, metadata.requires(name) or []):
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always != bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
            found.append(requirement)
    return found


def part_of(name: str, by: str = "") -> Part:
    """What an installed package says of itself."""
    about = metadata.metadata(name)
    fields = {key: about[key] or "" for key in ("License-Expression", "License")}
    return Part(plain(name), about["Version"], licence_of(fields, about.get_all("Classifier") or []), by)


def parts(extra: str = "") -> list[Part]:
    """All that hooklab needs to run, or for one of its extras: its own first, then what those need."""
    found: dict[str, Part] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("hooklab", one) for one in wanted("hooklab", extra)]
    while waiting:
        by, requirement = waiting.pop(0)
        name = plain(requirement.name)
        found.setdefault(name, part_of(name, by))
        for more in {"", *requirement.extras} - {one for of, one in seen if of == name}:
            seen.add((name, more))
            waiting += [(name, one) for one in wanted(name, more)]
    return list(found.values())


def from_list(text: str) -> Released:
    """Dates from lines of name, version and date, separated by tabs."""
    rows = [line.split("\t") for line in text.splitlines()]
    dates = {plain(row[0]): row[2] for row in rows if len(row) >= 3}
    return lambda name: dates.get(plain(name), "")


def from_index(get: Callable[[str], bytes]) -> Released:
    """Dates from the package index; `get` gives what is at a URL."""

    def released(name: str) -> str:
        try:
            files = json.loads(get(_INDEX.format(name)))["urls"]
            return max(str(one["upload_time_iso_8601"])[:10] for one in files)
        except (OSError, ValueError, KeyError):
            return ""

    return released


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def table(rows: Iterable[Part], released: Released) -> list[str]:
    """The lines of a table in markdown."""
    lines = ["| package | version | licence | last release | wanted by |", "|---|---|---|---|---|"]
    for one in rows:
        when = released(one.name) or "not known"
        lines.append(f"| {one.name} | {one.version} | {one.licence} | {when} | {one.wanted_by} |")
    return lines


def main() -> int:
    """Prints both tables."""
    parser = argparse.ArgumentParser(prog="supply", description=__doc__)
    dates = parser.add_mutually_exclusive_group()
    dates.add_argument("--index", action="store_true", help="ask the package index when each was last released")
    dates.add_argument("--dates", metavar="FILE", type=Path, help="read it from lines: name, version, date, by tabs")
    given = parser.parse_args()
    released: Released = from_index(_get) if given.index else lambda _name: ""
    if given.dates is not None:
        released = from_list(given.dates.read_text(encoding="utf-8"))
    for title, extras in (("To run", ("",)), ("To build the one file, wheel and sdist", ("binary", "dist"))):
        rows = list(dict.fromkeys(one for extra in extras for one in parts(extra)))
        print(f"\n{title}:\n", *table(rows, released), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
