"""The whole examination, in the order in which a person would look: what runs, where, the files, the way in."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from hooklab.admin_client import ask_service
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.health.base import MIB, Finding
from hooklab.health.clock import Times, is_kept, judge_times
from hooklab.health.databases import (
    Journaled,
    Sample,
    Stored,
    judge_bodies,
    judge_journal,
    judge_lag,
    judge_store,
)
from hooklab.health.disk import growth_of, judge_mount, judge_room, look_at_mount, look_at_room
from hooklab.health.folder import judge_aside, judge_files, judge_folder, look_at_folder
from hooklab.health.looks import Progress, look_at_bodies, look_at_journal, look_at_lag, look_at_store
from hooklab.health.processes import judge_writers, look_at_lock, look_at_writers
from hooklab.health.program import judge_program, look_at_program
from hooklab.health.reading import Alone, Disturbed, wal_size
from hooklab.health.service import Runs, judge_door, judge_runs, look_at_door, owner_of
from hooklab.health.token import judge_token, look_at_token
from hooklab.times import SECOND, Clock

_ALONE_SECONDS: Final = 20.0
_BESIDE_SECONDS: Final = 4.0
"""Less than the 5 s for which the service's own checkpoints wait for readers."""
_WAL_GROWTH: Final = 32 * MIB
_LAG_SECONDS: Final = 1.0
_STILL_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.2


class Wanted(Struct, frozen=True):
    """What is examined, and how thoroughly."""

    settings: Settings
    clock: Clock
    full: bool
    """Every body too, and for as long as it takes."""
    progress: Progress


async def examine(wanted: Wanted) -> AsyncIterator[Finding]:
    """All findings, each as soon as it is there."""
    folder = Folder(wanted.settings.data_dir)
    place = await asyncio.to_thread(look_at_folder, folder)
    runs = await _look_at_runs(folder, wanted.clock)
    for finding in judge_program(look_at_program(runs.status.pid if runs.status is not None else None)):
        yield finding
    yield judge_folder(place)
    newest, lag = None, None
    if place.state == "folder":
        if (files := judge_files(place)) is not None:
            yield files
        if (mount := look_at_mount(folder.path)) is not None:
            yield judge_mount(mount)
        journal, stored = await _look_at_files(wanted, folder, runs)
        for finding in _judge_files(wanted, folder, runs, journal, stored):
            yield finding
        if wanted.full and journal.state == "open":
            yield judge_bodies(await look_at_bodies(folder.journal, _alone(folder), wanted.progress))
        for finding in judge_aside(place):
            yield finding
        newest, lag = journal.newest, stored.lag
    for finding in judge_times(Times(now=wanted.clock(), newest=newest, kept=is_kept()), lag):
        yield finding
    if place.state == "folder":
        async for finding in _examine_service(wanted, folder, runs):
            yield finding


async def _look_at_runs(folder: Folder, clock: Clock) -> Runs:
    status = await ask_service(folder)
    barred = status is None and os.access(folder.socket, os.F_OK) and not os.access(folder.socket, os.W_OK)
    return Runs(status=status, holder=look_at_lock(folder), barred=barred, now=clock())


async def _look_at_files(wanted: Wanted, folder: Folder, runs: Runs) -> tuple[Journaled, Stored]:
    alone = runs.status is None and runs.holder is None
    within = None if wanted.full else _ALONE_SECONDS if alone else _BESIDE_SECONDS
    wanted.progress("journal.db", 0, 0)
    journal = await look_at_journal(
        folder.journal,
        _alone(folder),
        full=wanted.full,
        within=within,
        disturbed=_disturbance(folder, folder.journal, runs),
    )
    wanted.progress("store.db", 0, 0)
    stored = await look_at_store(
        folder.store,
        wanted.clock,
        _alone(folder),
        full=wanted.full,
        within=within,
        disturbed=_disturbance(folder, folder.store, runs),
    )
    return journal, stored


def _alone(folder: Folder) -> Alone:
    async def alone() -> bool:
        return look_at_lock(folder) is None and await ask_service(folder) is None

    return alone


def _disturbance(folder: Folder, path: Path, runs: Runs) -> Disturbed:
    """Says when a long read is in the way of a service: its WAL cannot be emptied meanwhile, which a start wants."""
    before = wal_size(path)

    async def disturbed() -> str | None:
        if runs.status is None:
            came = runs.holder is None and look_at_lock(folder) is not None
            return "stopped, because a hooklab starts" if came else None
        if wal_size(path) > before + _WAL_GROWTH:
            return "stopped, because hooklab writes much"
        now = await ask_service(folder)
        if now is None:
            return "stopped, because hooklab stops or starts"
        if runs.status.ready and not now.ready:
            return "stopped, because hooklab has trouble with the disk"
        return None

    return disturbed


def _judge_files(wanted: Wanted, folder: Folder, runs: Runs, journal: Journaled, stored: Stored) -> Iterator[Finding]:
    reserve = wanted.settings.disk_reserve
    if runs.status is not None and runs.status.disk_reserve is not None:
        reserve = runs.status.disk_reserve
    growth = growth_of(
        journal.size + journal.wal + stored.size + stored.wal,
        journal.last - journal.first + 1,
        stored.recent,
        stored.covered,
    )
    if (room := look_at_room(folder.path, reserve, growth)) is not None:
        yield judge_room(room)
    running = runs.status is not None
    yield from judge_journal(journal, store=stored, running=running)
    yield from judge_store(stored, journal=journal, running=running)


async def _examine_service(wanted: Wanted, folder: Folder, runs: Runs) -> AsyncIterator[Finding]:
    yield judge_runs(runs, owner=owner_of(folder.socket))
    for finding in judge_door(await asyncio.to_thread(look_at_door, runs, wanted.settings), runs):
        yield finding
    yield judge_token(look_at_token(wanted.settings, folder, runs.status))
    for finding in judge_writers(look_at_writers([folder.journal, folder.store]), runs.status):
        yield finding
    running = runs.status is not None
    lag = judge_lag(await _sample(wanted, folder, running=running), running=running)
    if lag is not None:
        yield lag


async def _sample(wanted: Wanted, folder: Folder, *, running: bool) -> list[Sample]:
    """How far the files are: once where nothing lags, else until it can be told whether the lag falls."""
    samples: list[Sample] = []
    while (one := await look_at_lag(folder.journal, folder.store, wanted.clock, _alone(folder))) is not None:
        samples.append(one)
        waited = (one.at - samples[0].at) / SECOND
        moved = one.checkpoint > samples[0].checkpoint
        if not running or one.checkpoint >= one.last or waited >= (_LAG_SECONDS if moved else _STILL_SECONDS):
            break
        await asyncio.sleep(_POLL_SECONDS)
    return samples
