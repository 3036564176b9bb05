"""The file of an export: there once it is whole, and in another's place only where that was asked for."""

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from hooklab.files import Folder, fsync

_SYNCED: Final = 8 * 1024 * 1024
"""Bytes after which the disk is to have them, so that its queue never gets long: the journal's fsync waits in it."""


class ExportError(Exception):
    """The export cannot be written; the text says why, and is to be cleaned before it is shown."""


class ExportExistsError(ExportError):
    """There is a file of that name already."""


def place_of(text: str, here: Path) -> Path:
    """The path that somebody typed: ``~`` is their home, and what is no whole path begins `here`.

    Raises:
        ExportError: it is none.
    """
    if not text.strip():
        raise ExportError("the file has no name yet")
    try:
        return Path(os.path.normpath(here / Path(text.strip()).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"{text} is no path: {error}") from error


def proposed(form: str, stamp: str, here: Path) -> str:
    """A name that is free, in the current folder, or in the home folder where that cannot be written."""
    # Only the name: the path of the current folder may hold anything, and what is proposed is shown to be changed.
    folder = "" if os.access(here, os.W_OK | os.X_OK) else "~/"
    bare = f"{folder}hooklab-messages-{stamp}"
    names = (f"{bare}{again}.{form}" for again in ("", *(f"-{number}" for number in range(2, 100))))
    with suppress(ExportError, OSError):
        return next((name for name in names if not os.path.lexists(place_of(name, here))), f"{bare}.{form}")
    return f"{bare}.{form}"


def check_place(path: Path, *, replace: bool) -> None:
    """Says by returning that an export may be written to `path`.

    Raises:
        ExportExistsError: there is a file already, and it is not to be replaced.
        ExportError: it cannot be.
    """
    try:
        _check(path, replace=replace)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error


def _check(path: Path, *, replace: bool) -> None:
    folder = path.parent
    if not folder.is_dir():
        folder.stat()  # its error says more, such as who may not look
        raise ExportError(f"{folder} is no folder")
    if path.is_dir():
        raise ExportError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise ExportError(f"{path} is no plain file but a device or the like")
    if Folder(folder).lock.exists() or Folder(folder).journal.exists():
        raise ExportError(f"{folder} is a data folder of hooklab; write the export elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"{folder} may not be written by this user; choose another folder")
    if os.path.lexists(path) and not replace:
        raise ExportExistsError(f"{path} is there already")


class ExportFile:
    """Written under another name beside it, with mode 0600, until `finish`. Its methods may be called in threads."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        """Makes the file.

        Raises:
            ExportExistsError: there is one already, and it is not to be replaced.
            ExportError: it cannot be made.
        """
        check_place(path, replace=replace)
        self.path = path
        self._replace = replace
        self._aside = path.with_name(f".hooklab-export-{secrets.token_hex(8)}.part")
        self._lock = threading.Lock()
        self._over = False
        self._unsynced = 0
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self._aside, flags, 0o600), "wb")
        except OSError as error:
            raise self._trouble(error) from error

    def write(self, data: bytes) -> None:
        """Appends. After `discard` it does nothing.

        Raises:
            ExportError: the disk does not take it.
        """
        with self._lock:
            if self._over:
                return
            try:
                self._file.write(data)
                self._unsynced += len(data)
                if self._unsynced >= _SYNCED:
                    self._sync()
            except OSError as error:
                raise self._trouble(error) from error
            finally:
                if self._over:
                    self._close()

    def finish(self) -> None:
        """Gives the file its name, once the disk has it whole.

        Raises:
            ExportExistsError: another got that name meanwhile.
            ExportError: the disk does not take it.
        """
        with self._lock:
            if self._over:
                return
            try:
                self._sync()
                self._name()
                with suppress(PermissionError):  # a folder that lets us write and not read
                    fsync(self.path.parent)
            except FileExistsError as error:
                raise ExportExistsError(f"{self.path} is there by now, written by another") from error
            except OSError as error:
                raise self._trouble(error) from error
            finally:
                self._close()
            self._over = True

    def discard(self) -> None:
        """Leaves nothing behind, unless the file is finished. It waits for no thread that writes."""
        if self._over:
            return
        self._over = True
        with suppress(OSError):
            self._aside.unlink()  # who just finishes it finds no file to name
        if self._lock.acquire(blocking=False):
            self._close()
            self._lock.release()

    def _close(self) -> None:
        with suppress(OSError):  # what is left in the buffer of a file that goes
            self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def _name(self) -> None:
        if self._replace:
            self._aside.replace(self.path)
            return
        try:
            os.link(self._aside, self.path)  # unlike a rename it never takes another's place
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(self.path):
                raise FileExistsError from None
            self._aside.rename(self.path)
        else:
            self._aside.unlink()

    def _trouble(self, error: OSError) -> ExportError:
        return ExportError(f"{self.path} cannot be written: {error.strerror}")
