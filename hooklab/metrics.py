"""Counters by the design's names, the latency of answers, and what a screen needs in one frozen piece."""

from collections.abc import Mapping
from math import log2
from typing import Final

from msgspec import Struct, field

from hooklab.times import MINUTE, Clock


class Counters(Struct, frozen=True, kw_only=True):
    """The counters of the design's section 4, by its names: `stats --json` is this, key for key."""

    # lifetime totals, kept in the store
    batches: int = 0
    malformed: int = 0
    retries: int = 0
    elements: int = 0
    reports: int = 0
    repeats: int = 0
    duplicates: int = 0
    late: int = 0
    quarantined: int = 0
    # what is held now
    messages: int = 0
    delivered: int = 0
    not_delivered: int = 0
    pending: int = 0
    stuck: int = 0
    conflicts: int = 0
    lag: int = 0
    # of the running service, None without one
    refused: dict[str, int] | None = None
    ack_p50_ms: float | None = None
    ack_p99_ms: float | None = None
    queue_depth: int | None = None


WRONG_TOKEN: Final = "wrong token"  # noqa: S105  a reason, no secret
UNKNOWN_PATH: Final = "unknown path"
WRONG_ADDRESS: Final = "address not allowed"


class TurnedAway(Struct, frozen=True, kw_only=True):
    """An address that posted without a right token, or may not post at all."""

    address: str
    """Of the last such request; those of one IPv6 /64 count together."""
    why: str
    count: int
    """Failures since ten minutes without one."""
    last_at: int
    """Microseconds UTC."""


class TokenUse(Struct, frozen=True, kw_only=True):
    """A token that the running service takes, without its secret."""

    name: str
    uses: int
    """Batches that came with it since the service started."""
    last_used: int | None
    """Microseconds UTC."""


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """What a running service says of itself."""

    version: str
    pid: int
    started_at: int
    """Microseconds UTC."""
    hook_url: str
    """With its token: mask it before it is shown."""
    local_url: str = ""
    """The same on this machine, whatever the provider sees."""
    listens_on: str = ""
    """HOST:PORT as it was bound."""
    disk_reserve: int | None = None
    """Free bytes below which it answers 503, as set."""
    ready: bool
    problem: str | None = None
    """Why it answers 503, in words; None while it is well."""
    refused: dict[str, int] = field(default_factory=dict)
    ack_p50_ms: float | None = None
    ack_p99_ms: float | None = None
    queue_depth: int = 0
    tokens: list[TokenUse] = field(default_factory=list)
    """In the order of the token file: the last one is in `hook_url`."""
    turned_away: list[TurnedAway] = field(default_factory=list)
    """The newest few, newest first."""
    allow: list[str] = field(default_factory=list)
    """Networks that may post; empty: all."""


class Signs(Struct, frozen=True, kw_only=True):
    """Since when something needs a look. Times are microseconds UTC, None where there is none."""

    last_at: int | None = None
    """When the last batch was received that was understood, to the minute."""
    silent: bool = False
    """Whether nothing has come since for longer than is usual at this time."""
    judged: str | None = None
    """Another text than before: some of what is stored was judged anew, however old it is."""
    stuck_after: int | None = None
    """Microseconds without news after which a pending message is stuck."""
    stuck_since: int | None = None
    """When the message that is stuck for longest became so."""
    quarantined_at: int | None = None
    """When the newest thing in quarantine came."""
    conflict_at: int | None = None
    """The last news of the message in conflict that was heard of last."""
    disk_free: int | None = None
    """Bytes that may still be written to the disk of the data folder, and its size."""
    disk_size: int | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that the head of a screen shows, taken at one moment."""

    taken_at: int
    """Microseconds UTC."""
    counters: Counters
    service: ServiceStatus | None = None
    """None while no service runs on the data folder."""
    signs: Signs = Signs()
    files: int = 0
    """Another number than before: the files were replaced, or some of what they hold was judged anew, and what was
    read of them before means nothing now.
    """


EMPTY_SNAPSHOT: Final = Snapshot(taken_at=0, counters=Counters())


class LatencyHistogram:
    """Answer times of the last one to two minutes, in buckets that are 9 % wide.

    Two halves take turns, so that old answers leave without being remembered one by one.
    """

    _PER_OCTAVE: Final = 8
    _BUCKETS: Final = 8 * 24  # 1 µs to 16 s

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._current = [0] * self._BUCKETS
        self._previous = [0] * self._BUCKETS
        self._turn_at = clock() + MINUTE

    def record(self, seconds: float) -> None:
        """Counts one answer that took `seconds`."""
        self._turn()
        micros = seconds * 1e6
        bucket = int(log2(micros) * self._PER_OCTAVE) if micros > 1 else 0
        self._current[min(bucket, self._BUCKETS - 1)] += 1

    def quantile_ms(self, share: float) -> float | None:
        """Milliseconds within which `share` (0 to 1) of the answers were given; None if there were none."""
        self._turn()
        counts = [a + b for a, b in zip(self._current, self._previous, strict=True)]
        wanted = share * sum(counts)
        if wanted <= 0:
            return None
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if seen >= wanted:
                return float(f"{2 ** ((bucket + 0.5) / self._PER_OCTAVE) / 1000:.3g}")
        return None

    def _turn(self) -> None:
        now = self._clock()
        set_back = now < self._turn_at - MINUTE
        if now >= self._turn_at or set_back:
            stale = now >= self._turn_at + MINUTE
            self._previous = [0] * self._BUCKETS if stale else self._current
            self._current = [0] * self._BUCKETS
            # Not from now: whoever asks rarely would see an answer for nearly three minutes.
            self._turn_at = now + MINUTE if stale or set_back else self._turn_at + MINUTE


def with_service(counters: Counters, status: ServiceStatus | None) -> Counters:
    """`counters` of the store, completed with those of the running service."""
    if status is None:
        return counters
    held = {name: getattr(counters, name) for name in Counters.__struct_fields__}
    service: Mapping[str, object] = {
        "refused": status.refused,
        "ack_p50_ms": status.ack_p50_ms,
        "ack_p99_ms": status.ack_p99_ms,
        "queue_depth": status.queue_depth,
    }
    return Counters(**{**held, **service})
