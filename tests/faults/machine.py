"""What faults need of a machine: small disks, tools and their packages; `CannotRun` says what is missing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from faults.stage import CannotRun

MIB: Final = 1 << 20


@contextmanager
def skipping() -> Iterator[None]:
    """In a test: a fault that cannot be made here is skipped, with what is missing."""
    import pytest

    try:
        yield
    except CannotRun as missing:
        pytest.skip(str(missing))


def require(*tools: str, package: str) -> None:
    """Says by returning that these commands are here."""
    for tool in tools:
        if shutil.which(tool) is None:
            raise CannotRun(f"{tool} is not here; Debian: apt install {package}")


@contextmanager
def small_disk(place: Path, size: int, *, inodes: int = 0) -> Iterator[Path]:
    """A tmpfs of `size` bytes in `place`, with room for so many files if that is told."""
    disk = place / "disk"
    disk.mkdir(parents=True)
    options = f"size={size},mode=700" + (f",nr_inodes={inodes}" if inodes else "")
    _mount("-t", "tmpfs", "-o", options, "hooklab-test", str(disk))
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@contextmanager
def loop_disk(place: Path, size: int, kind: str = "ext4") -> Iterator[Path]:
    """A file system of its own in a file of `size` bytes, which can be frozen."""
    require(f"mkfs.{kind}", package="e2fsprogs" if kind == "ext4" else "xfsprogs")
    disk, image = place / "disk", place / "disk.img"
    disk.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
    _mount("-o", "loop", str(image), str(disk))
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        image.unlink()


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        raise CannotRun("only root can mount a disk to fill or freeze")
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        raise CannotRun(f"a disk cannot be mounted here: {done.stderr.decode(errors='replace').strip()}")


def fill(path: Path, leave: int = 0) -> None:
    """Writes `path` until `leave` bytes are free on its disk."""
    with path.open("ab", buffering=0) as file:
        while (room := _free(path) - leave) > 0:
            try:
                file.write(bytes(min(room, MIB)))
            except OSError:  # somebody else took the last of it
                break


def _free(path: Path) -> int:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize
