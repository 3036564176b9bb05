"""Has the disk write the store's WAL bit by bit."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

_EVERY_REPORTS: Final = 2_000
"""Some 400 pages of WAL in a new store, more in a large one."""


class WriteOut:
    """Hands a WAL's new pages to the disk now and then, beside whatever goes on.

    SQLite does so before a checkpoint only, with tens of megabytes at once; the journal's commits stand behind them
    in the disk's queue, and answers wait for those. Nothing rests on it: SQLite syncs what it has to, and hears of
    errors.
    """

    def __init__(self, wal: Path) -> None:
        """Takes the file beside the database that is open."""
        self._wal = wal
        self._running: asyncio.Future[None] | None = None
        self._reports = 0

    def add(self, reports: int) -> None:
        """So many are in the WAL since: begins to write when there are enough, unless it does already."""
        self._reports += reports
        if self._reports >= _EVERY_REPORTS:
            self._reports = 0
            if self._running is None or self._running.done():
                self._running = asyncio.ensure_future(asyncio.to_thread(self._write))

    async def end(self) -> None:
        """Returns when nothing is under way."""
        if self._running is not None:
            await self._running

    def _write(self) -> None:
        # SQLite locks the database and its -shm, never the WAL: to close this descriptor lets go of no lock.
        with contextlib.suppress(OSError):
            fd = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
