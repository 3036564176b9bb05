"""Builds `dist/hooklab`."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from binary.bill import bill_of
from binary.messages import UnknownBootloaderError, reworded
from binary.needs import lowest_glibc_of, unpack

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
_NOT_SHARED: Final = (
    "this Python has no shared library (libpython), which the one file needs. On Debian and Ubuntu: apt install"
    " libpython3.{minor}; with pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared; then make clean, make binary PYTHON=…"
)


class BuildError(Exception):
    """It cannot be built here; the text is one line that says why and what to do."""


def why_not() -> str:
    """Why no file can be built with this Python, in one line; empty where one can."""
    try:
        from PyInstaller.compat import is_linux
        from PyInstaller.depend.bindepend import get_python_library_path
    except ImportError:
        return "PyInstaller is not here: make binary installs it"
    if not is_linux:
        return "the one file is built on Linux, for Linux"
    try:
        found = get_python_library_path()
    except Exception:  # its own, which older ones do not have
        found = None
    return "" if found else _NOT_SHARED.format(minor=sys.version_info.minor)


def build(dist: Path, work: Path) -> Path:
    """Builds the one file in the folder `dist`; gives it."""
    if why := why_not():
        raise BuildError(why)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm"]
    command += [f"--distpath={dist}", f"--workpath={work}", str(HERE / "hooklab.spec")]
    work.mkdir(parents=True, exist_ok=True)
    # PyInstaller's own cache would lie in the home folder; and it speaks before it reads its options.
    environment = {**os.environ, "PYINSTALLER_CONFIG_DIR": str(work), "PYI_LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, check=False, env=environment)
    if done.returncode:
        raise BuildError(f"PyInstaller ended with {done.returncode}")
    program = dist / "hooklab"
    try:
        program.write_bytes(reworded(program.read_bytes()))
    except UnknownBootloaderError as error:
        program.unlink()
        raise BuildError(str(error)) from error
    bill_beside(program).write_text(bill_of(program), encoding="utf-8")
    return program


def bill_beside(program: Path) -> Path:
    """Where the bill of materials of a built file lies."""
    return program.with_name(f"{program.name}.cdx.json")


def main() -> int:
    """Builds, and says what the file needs where it is copied to."""
    parser = argparse.ArgumentParser(prog="binary", description=__doc__)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder for it (default: dist)")
    given = parser.parse_args()
    try:
        program = build(given.dist.resolve(), ROOT / "build")
    except BuildError as error:
        print(f"binary: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        glibc = lowest_glibc_of(unpack(program, Path(folder)))
    size, name = program.stat().st_size / 1e6, os.path.relpath(program)
    print(f"{name}: {size:.1f} MB for {os.uname().machine}; needs glibc {glibc} or later, and zlib")
    print(f"{os.path.relpath(bill_beside(program))}: what is in it (CycloneDX)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
