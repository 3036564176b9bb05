"""The certificate of the door, read again when it was renewed."""

import ssl
from pathlib import Path

from hooklab.files import FolderError

_Seen = tuple[tuple[int, int], ...]


class Certificate:
    """A certificate with its key, and the context that takes connections with it."""

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """Reads both.

        Args:
            certificate: PEM: the certificate, and behind it those that it hangs on.
            key: PEM, without a password; None where it is in the same file.

        Raises:
            FolderError: one of them cannot be read, or they do not belong together.
        """
        self.certificate = certificate
        self.key = key
        self._seen = self._look()
        self.context = _context(certificate, key)

    def is_renewed(self) -> bool:
        """Whether the files are others than those that were read."""
        try:
            return self._look() != self._seen
        except FolderError:
            return False  # in the middle of being replaced, perhaps

    def read_again(self) -> None:
        """Takes what the files hold now for all connections from now on; those that are open keep what they have.

        Raises:
            FolderError: they cannot be used; what was read before stays in force.
        """
        seen = self._look()
        self._seen = seen  # what cannot be used is said once, and not every minute
        _context(self.certificate, self.key)
        _load(self.context, self.certificate, self.key)

    def _look(self) -> _Seen:
        try:
            found = [path.stat() for path in (self.certificate, self.key) if path is not None]
        except OSError as error:
            raise FolderError(f"{error.filename} cannot be read: {error.strerror}") from error
        return tuple((one.st_ino, one.st_mtime_ns) for one in found)


def _context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    where = f"the certificate {certificate}" + (f" with the key {key}" if key is not None else "")
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # or OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        why = (error.reason or "not PEM, or a key with a password").replace("_", " ").lower()
        advice = "both must be PEM, belong together, and the key have no password"
        raise FolderError(f"{where} cannot be used: {why}; {advice}") from error
    except OSError as error:
        raise FolderError(f"{where} cannot be read: {error.strerror}; it must be readable by this user") from error
