"""What systemd is told of the service: the few lines of its protocol that hooklab needs (sd_notify(3))."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final, Self

from hooklab.text import clean

log = logging.getLogger("hooklab.notify")

_SEND_SECONDS: Final = 0.5
"""How long a full socket may hold up its sender, which is the service's loop."""
_STATUS_LENGTH: Final = 200


class Notifier:
    """Tells the service manager; says nothing where there is none. Never raises: it is no reason to stop receiving.

    Attributes:
        watchdog: seconds without a sign of life after which the service is restarted; None where nobody watches.
    """

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        """Takes the path of a datagram socket, `@` before the name of an abstract one; None to say nothing."""
        self.watchdog = watchdog if address is not None else None
        self._address = address
        self._status = ""
        self._failed = False

    @classmethod
    def of(cls, environment: Mapping[str, str], ours: frozenset[int] | None = None) -> Self:
        """What systemd set for the processes `ours`; by default this one and its parent.

        Of a single file the parent is the one that systemd started, and for which it says to watch.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or len(address) < 2:
            return cls()
        ours = frozenset({os.getpid(), os.getppid()}) if ours is None else ours
        watched, micros = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
        if not _is_number(micros) or not int(micros) or (watched and watched not in {str(pid) for pid in ours}):
            return cls(address)
        return cls(address, int(micros) / 1e6)

    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Requests are accepted now."""
        self._send("READY=1", self._new(status))

    def alive(self) -> None:
        """A sign of life, where somebody waits for it."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1", self._new("stopping"))

    def status(self, status: str) -> None:
        """One line for `systemctl status`, which everybody on the machine may read; said once until it changes."""
        if clean(status, _STATUS_LENGTH) != self._status:
            self._send(self._new(status))

    def _new(self, status: str) -> str:
        self._status = clean(status, _STATUS_LENGTH)
        return f"STATUS={self._status}"

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # The kernel knows an abstract name by a zero in front of it.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(), address)
        except (OSError, ValueError) as error:
            if not self._failed:
                log.warning("systemd cannot be told how hooklab is (NOTIFY_SOCKET): %s", error)
            self._failed = True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
