"""What a journal must do, and its errors. The contract tests run against every implementation."""

from hashlib import blake2b
from typing import Protocol

from msgspec import Struct


def digest_of(body: bytes) -> bytes:
    """What tells one body from another: 16 bytes of BLAKE2b."""
    return blake2b(body, digest_size=16).digest()


class JournalError(Exception):
    """A batch was not written; the text says why, in words for an operator."""


class JournalFull(JournalError):  # noqa: N818  the reader of an answer table looks for this word
    """The queue holds as many bytes as it may."""


class JournalUnavailable(JournalError):  # noqa: N818  likewise
    """The commit failed, took too long, or may not be tried: the disk is too full, or the journal closes."""


class JournalDamaged(JournalError):  # noqa: N818  likewise
    """The file is no longer what was written."""


class NewBatch(Struct, frozen=True, gc=False):
    """One HTTP POST as the receiver hands it over."""

    received_at: int
    """Microseconds UTC."""
    took_ms: int
    """How long the request took to arrive."""
    peer: str
    label: str | None
    headers: str
    """Chosen headers, a JSON array of [name, value]; at most 4 KiB."""
    body: bytes
    malformed: bool
    """Not JSON, or not an array: kept, answered 400."""


class JournalBatch(Struct, frozen=True, gc=False):
    """One batch as the journal keeps it."""

    sequence: int
    received_at: int
    took_ms: int
    peer: str
    label: str | None
    headers: str
    body: bytes
    digest: bytes
    """Of `body` as it is now."""
    malformed: bool
    damaged: bool = False
    """The body is not the one that was received: the disk changed it."""


class Journal(Protocol):
    """The durable, append-only log of batches. One owner writes; it is the only thing before a 200."""

    async def append(self, batch: NewBatch) -> None:
        """Returns once `batch` is on disk.

        Raises:
            JournalFull: the queue is full.
            JournalUnavailable: it could not be written, or not in time.
        """

    async def read(self, after: int, max_bytes: int) -> list[JournalBatch]:
        """The batches that follow sequence `after`, in order, up to `max_bytes` of bodies but at least one.

        Raises:
            JournalUnavailable: it cannot be read, or what is on disk cannot be trusted now (an fsync failed).
        """

    async def get(self, sequence: int) -> JournalBatch | None:
        """One batch, None where there is none (any more)."""

    async def span(self) -> tuple[int, int]:
        """The first and the last sequence that are held. Of an empty journal 0 as the last, and as the first the one
        that the next batch is given.
        """

    async def given(self) -> int:
        """The last sequence that was ever given, though its batch may be gone: pruned, or lost to a damaged disk."""

    async def reserve(self, sequence: int) -> None:
        """Makes sure that no batch is ever given a sequence up to `sequence`."""

    async def wait_beyond(self, sequence: int) -> None:
        """Returns when the journal holds a batch after `sequence`."""

    def queue_depth(self) -> int:
        """Batches waiting for their commit."""

    def is_busy(self) -> bool:
        """Whether batches wait for their commit, are being committed, or came a moment ago."""

    def problem(self) -> str | None:
        """Why nothing can be committed now, in words; None while all is well."""

    async def close(self) -> None:
        """Commits what waits, then closes. Later calls raise JournalUnavailable."""
