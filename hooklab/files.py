"""The data folder: who may read it, who may write it, and how much room is left."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_SOCKET_PATH_BYTES = 107
"""What a unix socket's address may have on Linux, the closing zero apart."""


class FolderError(Exception):
    """The data folder cannot be used; the text says why and what to do."""


class Folder:
    """The names in a data folder."""

    def __init__(self, path: Path) -> None:
        """Names only; nothing is touched."""
        self.path = path
        self.journal = path / "journal.db"
        self.store = path / "store.db"
        self.new_store = path / "store.new.db"
        """Where a rebuild writes until it is whole."""
        self.search = path / "search.db"
        """Made from the store, and can be deleted at any time."""
        self.lock = path / "hooklab.lock"
        self.socket = path / "hooklab.sock"
        self.token = path / "token"
        self.log = path / "hooklab.log"

    def prepare(self) -> None:
        """Makes the folder, private to its owner.

        Raises:
            FolderError: it cannot be made or written.
        """
        try:
            made = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in made:
                with suppress(PermissionError):  # a folder that lets us write and not read
                    fsync(path.parent)  # SQLite does so for the files in ours, and nobody for the folder itself
        except OSError as error:
            raise FolderError(f"the data folder {self.path} cannot be made: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise FolderError(
                f"the data folder {self.path} cannot be written; give it to this user or use --data-dir"
            )
        if self.path.stat().st_mode & 0o022:
            raise FolderError(
                f"the data folder {self.path} can be written by others; mend it with: chmod 700 {self.path}"
            )

    def require(self) -> None:
        """Says by returning that there is a journal here.

        Raises:
            FolderError: there is none.
        """
        try:
            found = self.journal.is_file()
        except OSError as error:
            raise FolderError(f"the data folder {self.path} cannot be read: {error.strerror}") from error
        if not found:
            raise FolderError(
                f"there is no hooklab data in {self.path}; start hooklab there, or name another --data-dir"
            )


class FolderLock:
    """Says that this process alone may write the data folder; let go of by the kernel when it dies."""

    def __init__(self, folder: Folder) -> None:
        """Names the lock; `with` takes it."""
        self._path = folder.lock
        self._fd = -1

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            FolderError: another process holds it.
        """
        # The folder itself is locked: a file in it could be deleted, and a second one be locked then.
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise FolderError(
                f"another hooklab{self._holder()} already runs on {self._path.parent}; stop it first, or give this"
                " one its own --data-dir; to look at what it does: hooklab attach"
            ) from None
        touch_private(self._path)
        self._path.write_text(f"{os.getpid()}\n", encoding="ascii")
        self._fd = fd
        return self

    def _holder(self) -> str:
        try:
            holder = self._path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return ""
        return f" (process {holder})" if holder.isdigit() else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go."""
        if self._fd >= 0:
            touch_private(self._path)
            os.truncate(self._path, 0)
            os.close(self._fd)
            self._fd = -1


def fsync(path: Path) -> None:
    """Has the disk write what it holds of a file, or of a folder's names."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def touch_private(path: Path) -> None:
    """Makes an empty file that only its owner can read; leaves one that exists, but for its mode."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def free_and_total(path: Path) -> tuple[int, int]:
    """Bytes that this user may still write on the disk of `path`, and the disk's size."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize


@contextmanager
def socket_address(folder: Folder) -> Iterator[str]:
    """An address for the admin socket that fits in the 107 bytes a unix socket's may have.

    A longer path is reached through an open descriptor of its folder, which Linux names in /proc.

    Raises:
        FolderError: the path is too long and there is no /proc.
    """
    path = str(folder.socket)
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise FolderError(f"{path} is too long for a socket; use a data folder with a shorter path")
    fd = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{folder.socket.name}"
    finally:
        os.close(fd)


def bind_private_socket(folder: Folder) -> socket.socket:
    """A listening unix socket in the folder that only its owner may use; an old one is replaced.

    Raises:
        FolderError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder.socket.unlink(missing_ok=True)
        with socket_address(folder) as address:
            listener.bind(address)
        # Nobody can connect before listen(), so there is no moment at which others could.
        folder.socket.chmod(0o600)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise FolderError(f"the admin socket {folder.socket} cannot be made: {error.strerror}") from error
    listener.setblocking(False)
    return listener
