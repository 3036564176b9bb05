"""The store and its projector as a service runs them, and the settings that the store depends on."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct
from msgspec.structs import asdict, replace

from hooklab.config import DEFAULT_ELEMENTS, Settings
from hooklab.database import is_damaged, is_io, is_sound, put_aside
from hooklab.healing import Healer, Retried
from hooklab.journal.base import Journal, JournalError
from hooklab.judging import Reading
from hooklab.projector import Projector
from hooklab.store.base import StoreError
from hooklab.store.opening import open_store, projected
from hooklab.store.sqlite import SqliteStore
from hooklab.times import parse_duration, zone

log = logging.getLogger("hooklab.projection")

_DEFAULT_ZONE = "UTC"
_DEFAULT_STUCK = "24h"
_RETRY_SECONDS = 1.0
_CHECK_SECONDS = 60.0
"""A check reads the whole store, and nothing is projected meanwhile."""


class InForce(Struct, frozen=True):
    """The settings that what is stored depends on; kept in the store, so that every command goes by them."""

    assume_timezone: str
    stuck_after: int
    """Microseconds."""
    max_elements: int
    sent_at_key: str = ""
    """Empty for none."""

    def projector(self, journal: Journal, store: SqliteStore) -> Projector:
        """A projector by these settings."""
        return Projector(
            journal,
            store,
            assumed=zone(self.assume_timezone),
            max_elements=self.max_elements,
            sent_at_key=self.sent_at_key,
        )

    def healer(self, journal: Journal, store: SqliteStore) -> Healer:
        """A healer by these settings."""
        reading = Reading(zone(self.assume_timezone), self.sent_at_key)
        return Healer(journal, store, reading, max_elements=self.max_elements)

    def as_kept(self) -> dict[str, str]:
        """As the store keeps them."""
        return {name: str(value) for name, value in asdict(self).items()}


def settle(kept: Mapping[str, str], settings: Settings, *, anew: bool) -> InForce:
    """What is in force: what was kept with the store, but where the settings say otherwise and may.

    Args:
        kept: as `SqliteStore.settings` gives it; empty for a new store.
        settings: None in them means not set.
        anew: the store is projected from the beginning, so that all may change. Otherwise `assume_timezone`,
            `max_elements` and `sent_at_key` stay: half a store would be judged one way and half another.
    """
    zone_name = kept.get("assume_timezone", _DEFAULT_ZONE)
    elements = int(kept.get("max_elements", DEFAULT_ELEMENTS))
    stuck = int(kept["stuck_after"]) if anew and "stuck_after" in kept else _micros(_DEFAULT_STUCK)
    sent_at_key = kept.get("sent_at_key", "")
    changes = {"assume_timezone": zone_name, "max_elements": elements, "sent_at_key": sent_at_key}
    if anew or not kept:
        zone_name = settings.assume_timezone or zone_name
        elements = settings.max_elements or elements
        sent_at_key = sent_at_key if settings.sent_at_key is None else settings.sent_at_key
    for name, now in changes.items():
        wanted = getattr(settings, name)
        if kept and not anew and wanted not in (None, now):
            log.warning(
                "%s stays %s, with which this store was made; `hooklab rebuild` changes it", name, now or "unset"
            )
    if settings.stuck_after is not None:
        stuck = _micros(settings.stuck_after)
    return InForce(zone_name, stuck, elements, sent_at_key)


def _micros(duration: str) -> int:
    value = parse_duration(duration)
    assert value is not None
    return value


class Projection:
    """Keeps a store filled; one that turns out to be damaged is put aside and filled anew from the journal."""

    def __init__(self, path: Path, journal: Journal, settings: Settings, store: SqliteStore, force: InForce) -> None:
        """Use `open`."""
        self._path = path
        self._journal = journal
        self._settings = settings
        self._store = store
        self._force = force
        self._projector = force.projector(journal, store)
        self._finishing = False
        self._check_after = 0.0
        self._retrying: asyncio.Task[Retried] | None = None

    @classmethod
    async def open(cls, path: Path, journal: Journal, settings: Settings) -> Self:
        """Opens the store by the opening rule; errors are those of `open_store`."""
        store, force = await _open(path, journal, settings)
        return cls(path, journal, settings, store, force)

    async def run(self) -> None:
        """Projects until `finish`."""
        while True:
            try:
                await self._projector.run()
            except Exception as error:
                if self._finishing or not (is_damaged(error) or is_io(error)):
                    raise
                await self._mend(error)
            else:
                return

    async def _mend(self, error: Exception) -> None:
        """Opens the store anew, after a look whether it is really damaged; waits while the disk does not let it."""
        log.error("%s cannot be read or written: %s", self._path, error)
        await self._store.close()
        while not self._finishing:
            try:
                if is_damaged(error) and not await is_sound(self._path):
                    log.error("%s is damaged: put aside, and rebuilt from the journal", self._path)
                    put_aside(self._path)
                self._store, self._force = await _open(
                    self._path, self._journal, self._settings, self._force.as_kept()
                )
            except (StoreError, JournalError, sqlite3.Error, OSError) as again:
                log.error("%s cannot be opened: %s", self._path, again)  # noqa: TRY400
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._projector = self._force.projector(self._journal, self._store)
                return

    async def stick_after(self, stuck_after: str | None) -> None:
        """From now on messages are stuck after this time, for every reader; errors are those of `keep_settings`."""
        micros = _micros(stuck_after or _DEFAULT_STUCK)
        self._settings = replace(self._settings, stuck_after=stuck_after)
        if micros == self._force.stuck_after:
            return
        async with self._store.alone:  # not in the middle of a chunk, which may be taken back
            await self._store.keep_settings(stuck_after=str(micros))
        self._force = replace(self._force, stuck_after=micros)

    def check(self) -> None:
        """Has the store looked over, since a reader found it damaged; a damaged one is put aside and filled anew."""
        now = time.monotonic()
        if now < self._check_after:  # many readers meet the same page
            return
        self._check_after = now + _CHECK_SECONDS
        error = sqlite3.DatabaseError("a reader found it damaged")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        self._projector.interrupt(error)

    async def retry_quarantine(self) -> Retried:
        """Puts what is in quarantine through today's rules; errors are those of `Healer.retry`."""
        if self._retrying is None or self._retrying.done():  # who asks meanwhile gets the same answer
            healer = self._force.healer(self._journal, self._store)
            self._retrying = asyncio.create_task(healer.retry(), name="retry of the quarantine")
        return await asyncio.shield(self._retrying)

    @property
    def idle(self) -> bool:
        """Whether the projector has nothing to do."""
        return self._projector.idle

    @property
    def reached(self) -> int:
        """The sequence of the last batch that was projected, as far as that is known."""
        return self._projector.reached

    def finish(self, seconds: float) -> None:
        """Lets `run` end: when all is projected, or after `seconds`."""
        self._finishing = True
        self._projector.finish(seconds)

    async def close(self) -> None:
        """Closes the store."""
        await self._store.close()


async def _open(
    path: Path, journal: Journal, settings: Settings, kept: Mapping[str, str] | None = None
) -> tuple[SqliteStore, InForce]:
    first, _ = await journal.span()
    given = await journal.given()  # before the next line adds to it
    # Numbers that a store has seen are never given again, also after an older journal was put back.
    await journal.reserve(await projected(path))
    store = await open_store(path, given)
    try:
        if await store.checkpoint() == 0 and first > 1:
            log.warning("the journal was pruned: the store holds only what came from batch %d on", first)
        force = settle(kept or await store.settings(), settings, anew=False)
        await store.keep_settings(**force.as_kept())
        await store.mark()
    except BaseException:
        await asyncio.shield(store.close())
        raise
    return store, force
