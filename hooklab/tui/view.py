"""What every screen knows at one moment, in one frozen piece."""

from dataclasses import dataclass

from hooklab.metrics import Counters, ServiceStatus, Snapshot
from hooklab.tui.seen import NOT_SEEN, Seen


@dataclass(frozen=True, slots=True)
class View:
    """Handed down to the screens at every tick; they ask for nothing else but rows."""

    now: int = 0
    """Microseconds UTC."""
    ticks: int = 0
    """Microseconds of a clock that nobody sets: what lasts for a while goes by this one."""
    snapshot: Snapshot | None = None
    """None before the first read."""
    given_url: str | None = None
    """The hook URL to show when no service tells its own; with its token."""
    trouble: str | None = None
    """Why the data cannot be read, in words; None while it can."""
    rate: float | None = None
    history: tuple[int, ...] = ()
    seen: Seen = NOT_SEEN
    revealed: bool = False
    """Whether phone numbers are shown whole."""

    @property
    def counters(self) -> Counters:
        """The counters, all zero before the first read."""
        return self.snapshot.counters if self.snapshot else Counters()

    @property
    def service(self) -> ServiceStatus | None:
        """The running service, None without one."""
        return self.snapshot.service if self.snapshot else None

    @property
    def hook_url(self) -> str | None:
        """The hook URL, with its token."""
        return self.service.hook_url if self.service else self.given_url

    @property
    def try_url(self) -> str | None:
        """The same as it can be tried on this machine: the public address may lead nowhere yet. With TLS it has to be
        that one, since the certificate is in its name.
        """
        local = self.service.local_url if self.service else ""
        return local if local.startswith("http://") else self.hook_url
