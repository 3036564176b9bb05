"""Whether a file can be had by a hardened service of another user."""

import os
import stat
from pathlib import Path
from typing import Final

from hooklab.unit import USER

_HIDDEN: Final = {
    Path("/home"): "ProtectHome",
    Path("/root"): "ProtectHome",
    Path("/run/user"): "ProtectHome",
    Path("/tmp"): "PrivateTmp",  # noqa: S108  only looked at
    Path("/var/tmp"): "PrivateTmp",  # noqa: S108  likewise
}


def why_hidden(path: Path) -> str | None:
    """Why a service does not see `path` at all; None if it does."""
    for one in (path.absolute(), path.resolve()):
        for folder, setting in _HIDDEN.items():
            if one.is_relative_to(folder):
                return f"lies under {folder}, which a service does not see ({setting}=)"
    return None


def why_unreadable(path: Path) -> str | None:
    """Why the service's user cannot read `path`, judged by its modes; None if it can."""
    return why_hidden(path) or _why_not(path, stat.S_IROTH)


def why_not_executed(path: Path) -> str | None:
    """Why the service's user cannot execute `path`; None if it can. The single file reads itself too."""
    why = why_hidden(path) or _why_not(path, stat.S_IROTH | stat.S_IXOTH)
    if why is None and os.statvfs(path).f_flag & os.ST_NOEXEC:
        return "lies on a file system that is mounted noexec"
    return why


def _why_not(path: Path, wanted: int) -> str | None:
    real = path.resolve()
    try:
        for folder in reversed(real.parents):
            if not _lets(folder, stat.S_IXOTH):
                return f"lies under {folder}, which other users may not enter"
        if not _lets(real, wanted):
            return "may not be executed by other users" if wanted & stat.S_IXOTH else "is not for other users to read"
    except OSError as error:
        return f"cannot be examined: {error.strerror}"
    return None


def _lets(path: Path, wanted: int) -> bool:
    """Whether the service's user has `wanted`, written as what all others have."""
    found = path.stat()
    if found.st_gid == _group():
        wanted <<= 3
    return found.st_mode & wanted == wanted


def _group() -> int | None:
    import grp

    try:
        return grp.getgrnam(USER).gr_gid
    except KeyError:
        return None
