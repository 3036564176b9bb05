"""The data folder: is it there, whose is it, and who may read what is in it."""

import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from hooklab.files import Folder
from hooklab.health.base import Finding, listed, ok, problem, size_of, warning

_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022
_OTHERS_ENTER: Final = 0o011
ASIDE: Final = ".aside-"


class Entry(Struct, frozen=True):
    """One file in the folder that is hooklab's, by its name."""

    name: str
    owner: str
    mode: int
    """Its permissions."""
    size: int


class Place(Struct, frozen=True, kw_only=True):
    """The folder as it was found."""

    path: str
    state: Literal["folder", "missing", "no folder", "closed"]
    """`closed` to this user, `why` says how."""
    why: str = ""
    owner: str = ""
    mode: int = 0
    user: str = ""
    """Who looks."""
    root: bool = False
    """Who looks may do everything."""
    writable: bool = False
    entries: Sequence[Entry] = ()

    @property
    def private(self) -> bool:
        """Whether nobody but its owner gets at the files, whatever their own modes are."""
        return not self.mode & _OTHERS_ENTER


def name_of(uid: int) -> str:
    """A user's name, or number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def look_at_folder(folder: Folder) -> Place:
    """The facts; a folder that is not there or cannot be read is one of them."""
    path, user = str(folder.path), name_of(os.geteuid())
    try:
        own = folder.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Place(path=path, state="missing", user=user)
    except OSError as error:
        return Place(path=path, state="closed", why=error.strerror or "", user=user)
    if not stat.S_ISDIR(own.st_mode):
        return Place(path=path, state="no folder", user=user)
    owner, mode = name_of(own.st_uid), stat.S_IMODE(own.st_mode)
    try:
        entries = [_entry(one) for one in sorted(folder.path.iterdir()) if _is_ours(folder, one.name)]
    except OSError as error:
        return Place(path=path, state="closed", why=error.strerror or "", user=user, owner=owner, mode=mode)
    return Place(
        path=path,
        state="folder",
        owner=owner,
        mode=mode,
        user=user,
        root=os.geteuid() == 0,
        writable=os.access(folder.path, os.W_OK),
        entries=[entry for entry in entries if entry is not None],
    )


def _is_ours(folder: Folder, name: str) -> bool:
    files = (folder.journal, folder.store, folder.new_store, folder.search)
    ours = (*files, folder.lock, folder.socket, folder.token, folder.log)
    base, aside, _ = name.partition(ASIDE)
    plain = base if aside else name.removesuffix("-wal").removesuffix("-shm")
    return any(plain == one.name for one in ours)


def _entry(path: Path) -> Entry | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # it went meanwhile
        return None
    return Entry(path.name, name_of(found.st_uid), stat.S_IMODE(found.st_mode), found.st_size)


def judge_folder(found: Place) -> Finding:
    """`folder`."""
    path = shlex.quote(found.path)
    if found.state == "missing":
        return problem("folder", f"{path} is not there", "start hooklab there, or name another with --data-dir")
    if found.state == "no folder":
        return problem("folder", f"{path} is a file and no folder", "name the folder with --data-dir")
    if found.state == "closed":
        owner = f"it belongs to {found.owner}" if found.owner else f"you are {found.user}"
        return problem(
            "folder",
            f"{path} cannot be read ({found.why.lower()}; {owner})",
            f"run this as {found.owner or 'its owner'}, or name another with --data-dir",
        )
    says = f"{path}, mode {found.mode:04o}, of {found.owner}"
    if found.mode & _OTHERS_WRITE:
        return problem("folder", f"{says}: others may write it, and hooklab does not start", f"chmod 700 {path}")
    if not found.writable:
        return warning(
            "folder",
            f"{says}: {found.user} may not write it; enough for a copy, but not for a hooklab to run on",
            f"run hooklab as {found.owner}"
            if found.owner != found.user
            else f"to run hooklab on it: chmod 700 {path}",
        )
    if found.owner != found.user and not found.root:
        return warning("folder", f"{says}; you are {found.user}", f"run hooklab as {found.owner} alone")
    if found.mode & _OTHERS:
        return warning("folder", f"{says}: others may look in", f"chmod 700 {path}")
    return ok("folder", says)


def judge_files(found: Place) -> Finding | None:
    """`files`: owner and permissions of each; None where there are none."""
    if not found.entries:
        return None
    strange = [entry for entry in found.entries if entry.owner != found.owner]
    if strange:
        names = listed(f"{entry.name} (of {entry.owner})" for entry in strange)
        return problem(
            "files",
            f"not of {found.owner}, as the folder is: {names}",
            f"{_in_folder(found, f'chown {found.owner}', strange)}; and run hooklab as {found.owner} alone",
        )
    written = [entry for entry in found.entries if entry.mode & _OTHERS_WRITE]
    opened = [entry for entry in found.entries if entry.mode & _OTHERS]
    mend = _in_folder(found, "chmod 600", opened)
    for entries, may, level in ((written, "written", problem), (opened, "read", warning)):
        if entries:
            names = listed(f"{entry.name} ({entry.mode:04o})" for entry in entries)
            if found.private:
                return warning("files", f"may be {may} by others but for the folder's mode: {names}", mend)
            return level("files", f"may be {may} by others: {names}", mend)
    return ok("files", f"{len(found.entries)}, all of {found.owner} alone")


def _in_folder(found: Place, command: str, entries: Iterable[Entry]) -> str:
    return f"cd {shlex.quote(found.path)} && {command} {shlex.join(entry.name for entry in entries)}"


def judge_aside(found: Place) -> Iterator[Finding]:
    """`aside`: what was put out of the way, one finding for each kind of file."""
    for base, holds, until in (
        (
            "journal.db",
            "a damaged journal as it was, from which the present one was saved",
            "hooklab doctor --full finds nothing and a backup has what is missing, or nothing is",
        ),
        (
            "store.db",
            "a store that was damaged, too old or ahead of its journal; the present one was made anew",
            "the journal and store checks here find nothing",
        ),
    ):
        parts = [entry for entry in found.entries if entry.name.startswith(base + ASIDE)]
        names = [entry.name for entry in parts if not entry.name.endswith(("-wal", "-shm"))]
        if parts:
            size = size_of(sum(entry.size for entry in parts))
            yield warning(
                "aside",
                f"{listed(names or [entry.name for entry in parts], 2)} ({size}): {holds}",
                f"keep it until {until}; then delete {base}{ASIDE}*",
            )
