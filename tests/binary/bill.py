"""The bill of materials of a built file, in CycloneDX: what is in it, read from the file itself."""

import re
import sqlite3
import ssl
import sys
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from hooklab import __version__

_LIBRARY: Final = re.compile(r"(lib[^/]+)\.so[^/]*")


def versions() -> dict[str, str]:
    """Python and what it brings along, by the names under which vulnerabilities are told of."""
    return {
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


def _names(program: Path) -> Iterator[str]:
    """Modules and files in a built file."""
    from PyInstaller.archive.readers import CArchiveReader

    archive = CArchiveReader(str(program))
    for name, (*_, kind) in archive.toc.items():
        if kind == "z":
            yield from (module.replace(".", "/") for module in archive.open_embedded_archive(name).toc)
        else:
            yield name


def packages_in(program: Path) -> list[str]:
    """The distributions of which something is in a built file."""
    known = metadata.packages_distributions()
    tops = {name.partition("/")[0].removesuffix(".zip") for name in _names(program)}
    found = {dist for top in tops for dist in known.get(top, ())}
    return sorted(found - {"hooklab"}, key=str.lower)


def libraries_in(program: Path) -> list[str]:
    """The system's libraries that were put into a built file, by the names of their files."""
    return sorted(name for name in _names(program) if _LIBRARY.fullmatch(name))


def bill_of(program: Path) -> str:
    """The bill, as JSON."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentScope, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL
    from supply import part_of

    def component(name: str, version: str | None, **more: Any) -> Component:
        return Component(name=name, version=version, bom_ref=f"{name}@{version}", **more)

    bom = Bom()
    bom.metadata.component = component("hooklab", __version__, type=ComponentType.APPLICATION)
    for name in (*packages_in(program), "pyinstaller"):  # of the last one the part that unpacks
        part = part_of(name)
        licences = [] if part.licence == "not said" else [LicenseFactory().make_from_string(part.licence)]
        url = PackageURL("pypi", None, part.name, part.version)
        bom.components.add(component(part.name, part.version, purl=url, licenses=licences))
    for name, version in versions().items():
        # zlib is the system's wherever the file runs: this is the one that it was built with.
        scope = ComponentScope.EXCLUDED if name == "zlib" else ComponentScope.REQUIRED
        bom.components.add(component(name, version, scope=scope))
    for name in libraries_in(program):
        bom.components.add(component(name, None, type=ComponentType.FILE))
    bom.register_dependency(bom.metadata.component, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text
