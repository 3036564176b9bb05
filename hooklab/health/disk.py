"""What the folder lies on: whether an fsync means something there, and how long the room lasts."""

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from hooklab.files import free_and_total
from hooklab.findings import took
from hooklab.health.base import Finding, ok, problem, size_of, warning
from hooklab.times import DAY, HOUR, SECOND

_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "9p", "vboxsf", "davfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs", "fuse.ceph", "fuse.gcsfuse"),
        *("fuse.vmhgfs-fuse", "fuse.grpcfuse", "fuse.osxfs", "fakeowner", "prl_fs"),
    }
)
"""Of another machine, or of a virtual machine's host: memory is not shared with who else writes there."""
_WITHOUT_BARRIERS: Final = frozenset({"nobarrier", "barrier=0", "barrier=none"})
_SOON: Final = 7 * DAY
_WITHIN_SIGHT: Final = 10 * 365 * DAY


class Mount(Struct, frozen=True):
    """What is mounted where the folder is."""

    point: str
    kind: str
    options: frozenset[str]


class Growth(Struct, frozen=True):
    """What was written of late."""

    bytes: int
    """In both files, roughly."""
    within: int
    """Microseconds."""


class Room(Struct, frozen=True, kw_only=True):
    """How much may still be written."""

    free: int
    total: int
    reserve: int
    """Below so many free bytes the answer is 503."""
    growth: Growth | None = None
    """None where too little came to tell."""


def look_at_mount(path: Path) -> Mount | None:
    """What `path` lies on; None where the system does not say."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return mount_of(str(path.resolve()), table)
    except OSError:
        return None


def mount_of(path: str, table: str) -> Mount | None:
    """The mount that holds `path`, by a table as in /proc/self/mountinfo; of two at one place the later."""
    best: Mount | None = None
    for line in table.splitlines():
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(point, rest[0], frozenset(fields[5].split(",")) | frozenset(rest[2].split(",")))
    return best


def look_at_room(path: Path, reserve: int, growth: Growth | None) -> Room | None:
    """The facts; None where there is no such folder."""
    try:
        free, total = free_and_total(path)
    except OSError:
        return None
    return Room(free=free, total=total, reserve=min(reserve, total // 10), growth=growth)


def judge_mount(found: Mount) -> Finding:
    """`disk`."""
    says = f"{found.kind} at {found.point}"
    elsewhere = "use a --data-dir on a disk of this machine"
    if found.kind in _NETWORK:
        return problem(
            "disk",
            f"{says}: SQLite's write-ahead log does not work over a network or into a virtual machine's host, and"
            " both files may be damaged",
            elsewhere,
        )
    if "ro" in found.options:
        return warning(
            "disk", f"{says} is mounted read-only: enough for a copy", f"to run hooklab on it: {elsewhere}"
        )
    if found.kind in _MEMORY:
        return warning("disk", f"{says} is memory: a restart of the machine loses everything", elsewhere)
    if found.kind == "overlay":
        return warning(
            "disk",
            f"{says} is a container's own layer, which goes when the container is made anew",
            "mount a volume and use a --data-dir on it",
        )
    if found.options & _WITHOUT_BARRIERS:
        return warning(
            "disk",
            f"{says} is mounted without barriers: a power cut may take what was fsynced",
            "mount it without the option nobarrier, unless the disk's cache has a battery",
        )
    return ok("disk", says)


def judge_room(found: Room) -> Finding:
    """`room`."""
    says = f"{size_of(found.free)} free of {size_of(found.total)}, {size_of(found.reserve)} of it kept in reserve"
    more = "make room, or use a --data-dir on a larger disk"
    if found.free < found.reserve:
        return problem("room", f"{says}: every batch is answered 503 until there is more", more)
    if found.growth is None:
        if found.free < 2 * found.reserve:
            return warning("room", f"{says}: not much is left", more)
        return ok("room", says)
    lasts = (found.free - found.reserve) * found.growth.within // max(found.growth.bytes, 1)
    if lasts < _SOON:
        return warning("room", f"{says}: at the rate of the last day it lasts {took(lasts / SECOND)}", more)
    if lasts > _WITHIN_SIGHT:
        return ok("room", f"{says}: enough for years at the rate of the last day")
    return ok("room", f"{says}: at the rate of the last day it lasts {took(lasts / SECOND)}")


def growth_of(sizes: int, held: int, recent: int, covered: int) -> Growth | None:
    """How much a day brings, from what is there.

    Args:
        sizes: bytes of both files.
        held: batches in them.
        recent: batches of the last day.
        covered: microseconds of that day since the first batch of all.
    """
    if not held or not recent or covered < HOUR:
        return None
    return Growth(sizes * recent // held, min(covered, DAY))
