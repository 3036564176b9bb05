"""What a built file needs of the system that it is copied to: read from the ELF files in it."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_NAMED: Final = re.compile(r"Name: GLIBC_(\d+(?:\.\d+)*|ABI_DT_RELR) +Flags: (\w+)")
_RELR: Final = (2, 36)
"""The first glibc that reads the packed relocations which ABI_DT_RELR stands for."""


def lowest_glibc(told: str) -> tuple[int, ...]:
    """The lowest version of glibc that has all symbols wanted, by what `readelf -V` told of the files."""
    versions = [
        _RELR if version == "ABI_DT_RELR" else tuple(map(int, version.split(".")))
        for version, flags in _NAMED.findall(told)
        if flags != "WEAK"
    ]
    return max(versions, default=())


def unpack(program: Path, folder: Path) -> list[Path]:
    """Writes the libraries in a built file to `folder`; gives them all, and the file itself."""
    from PyInstaller.archive.readers import CArchiveReader

    archive = CArchiveReader(str(program))
    unpacked = [program]
    for name, (*_, kind) in archive.toc.items():
        if kind == "b":
            unpacked.append(folder / name)
            unpacked[-1].parent.mkdir(parents=True, exist_ok=True)
            unpacked[-1].write_bytes(archive.extract(name))
    return unpacked


def lowest_glibc_of(files: Iterable[Path]) -> str:
    """The lowest version of glibc that these files run with."""
    command = ["readelf", "--wide", "-V", *map(str, files)]
    told = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    return ".".join(map(str, lowest_glibc(told)))
