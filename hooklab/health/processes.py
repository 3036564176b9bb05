"""The processes that hold the folder and its files, by what the kernel says of them."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from hooklab.files import Folder
from hooklab.health.base import Finding, listed, problem, warning
from hooklab.metrics import ServiceStatus

_WRITES: Final = os.O_WRONLY | os.O_RDWR


class Writers(Struct, frozen=True):
    """The processes that have files open for writing."""

    by_file: dict[str, set[int]]
    hidden: set[int]
    """Processes of which this user may not see it."""


def look_at_lock(folder: Folder) -> int | None:
    """The process that holds the folder's lock; see `Runs.holder`. The lock is not tried: that could stop a start."""
    try:
        wanted = folder.path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    try:
        written = folder.lock.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        written = ""
    said = int(written) if written.isdigit() and len(written) < 12 else 0
    device = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}"
    for pid, place, inode in locks_of(table):
        # Some file systems have a device here that no stat tells; then the lock file must name the same process.
        if inode == wanted.st_ino and (place == device or pid == said):
            return pid or said
    return None


def locks_of(table: str) -> Iterator[tuple[int, str, int]]:
    """Process, device and inode of every whole-file write lock in a table as /proc/locks."""
    for found in re.finditer(r"FLOCK +\w+ +WRITE +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+)", table):
        yield max(int(found[1]), 0), found[2], int(found[3])


def look_at_writers(paths: Iterable[Path]) -> Writers:
    """The processes that have a file open for writing, by the file's name."""
    wanted: dict[tuple[int, int], str] = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        wanted[found.st_dev, found.st_ino] = path.name
    found_in: dict[str, set[int]] = {name: set() for name in wanted.values()}
    hidden: set[int] = set()
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        written = _written_by(process, wanted)
        if written is None:
            hidden.add(int(process.name))
        for name in written or ():
            found_in[name].add(int(process.name))
    return Writers(found_in, hidden)


def _written_by(process: Path, wanted: dict[tuple[int, int], str]) -> list[str] | None:
    written: list[str] = []
    try:
        for link in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                found = link.stat()
                name = wanted.get((found.st_dev, found.st_ino))
                if name is not None and _may_write(process / "fdinfo" / link.name):
                    written.append(name)
    except OSError:  # it is another user's, or ended
        return None
    return written


def _may_write(about: Path) -> bool:
    flags = re.search(r"flags:\s*([0-7]+)", about.read_text(encoding="ascii"))
    return flags is not None and bool(int(flags[1], 8) & _WRITES)


def command_of(pid: int) -> str:
    """What a process is called."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def judge_writers(found: Writers, status: ServiceStatus | None) -> Iterator[Finding]:
    """`writers`: whether a service that runs writes these files, and it alone."""
    if status is None:
        return
    for name, pids in found.by_file.items():
        if status.pid not in pids | found.hidden:
            yield problem(
                "writers",
                f"hooklab writes another {name} than the one in the folder, which was put there while it runs",
                "stop hooklab before files are replaced. What came since is in a file without a name, which goes when"
                f" hooklab stops: copy it, with its -wal, out of /proc/{status.pid}/fd",
            )
    others = sorted((pid, name) for name, pids in found.by_file.items() for pid in pids - {status.pid})
    if others:
        names = listed(f"process {pid} ({command_of(pid)}) {name}" for pid, name in others)
        yield warning(
            "writers",
            f"opened for writing beside hooklab: {names}",
            "let nothing else write or checkpoint these files, or they may be damaged; to read: sqlite3 -readonly",
        )
