"""The composition root: opens in order, runs on one loop, closes in reverse."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import uvloop

from hooklab import __version__
from hooklab.admin_client import no_service
from hooklab.config import Settings
from hooklab.database import DatabaseError, remove_database
from hooklab.doorkeeper import Doorkeeper
from hooklab.files import Folder, FolderError, FolderLock, bind_private_socket
from hooklab.indexer import Indexer
from hooklab.journal.base import JournalError
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.listening import ListenError, allow_open_files, bind, http_server, keep_alive, start, tick
from hooklab.metrics import Counters, ServiceStatus
from hooklab.monitor import FolderMonitor
from hooklab.projection import Projection
from hooklab.receiver.admin import create_admin_app, healing_orders, token_orders
from hooklab.receiver.app import Receiver, ReceiverLimits, Tally, create_app
from hooklab.receiver.protocol import WireLimits, guarded
from hooklab.reloading import Reloading
from hooklab.store.base import StoreError
from hooklab.times import Clock
from hooklab.tokens import hook_url, local_url, written

log = logging.getLogger("hooklab.service")

_PROJECT_SECONDS: Final = 4.0
_CLOSE_SECONDS: Final = 0.7
_TURNED_AWAY: Final = 5
"""Addresses in the status."""


class ServiceError(Exception):
    """The service cannot start or had to stop; the text says why and what to do."""


class Service:
    """What runs on the service's loop. `running` builds it."""

    def __init__(
        self, settings: Settings, folder: Folder, clock: Clock, doorkeeper: Doorkeeper, listener: socket.socket
    ) -> None:
        """Use `running`."""
        self.reloading = Reloading(settings)
        self.folder = folder
        self.listener = listener
        self.tally = Tally(clock)
        self.doorkeeper = doorkeeper
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._clock = clock
        self._began = time.monotonic_ns()
        self.journal: SqliteJournal
        self.projection: Projection
        self.projecting: asyncio.Task[None]
        self.indexer: Indexer

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.reloading.settings

    async def reload(self, settings: Settings) -> list[str]:
        """Takes over what a running service can; gives a line for each change, also for what needs a restart."""
        return await self.reloading.take(settings)

    @property
    def hook_url(self) -> str:
        """As the provider sees it, with the newest token."""
        return hook_url(self.settings, self.doorkeeper.shown, self.address)

    @property
    def local_url(self) -> str:
        """The same on this machine."""
        return local_url(self.settings, self.doorkeeper.shown, self.address)

    def status(self) -> ServiceStatus:
        """What it says of itself; may be asked from any thread."""
        problem = self.journal.problem()
        latency = self.tally.latency
        return ServiceStatus(
            version=__version__,
            pid=os.getpid(),
            # By today's clock, which may have been set since: what it is held against is of today too.
            started_at=self._clock() - (time.monotonic_ns() - self._began) // 1000,
            hook_url=self.hook_url,
            local_url=self.local_url,
            listens_on=written(*self.address),
            disk_reserve=self.settings.disk_reserve,
            ready=problem is None,
            problem=problem,
            refused={str(code): count for code, count in sorted(self.tally.refused.items())},
            ack_p50_ms=latency.quantile_ms(0.5),
            ack_p99_ms=latency.quantile_ms(0.99),
            queue_depth=self.journal.queue_depth(),
            tokens=self.doorkeeper.uses(),
            turned_away=self.tally.failures.newest(_TURNED_AWAY),
            allow=list(self.doorkeeper.door.allow.written),
        )


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: Clock) -> AsyncIterator[Service]:
    """A service that accepts requests; leaving drains, projects a while and closes.

    Raises:
        ServiceError: it cannot start.
    """
    folder = Folder(settings.data_dir)
    async with contextlib.AsyncExitStack() as stack:
        try:
            service = await _start(settings, folder, clock, stack)
        except (FolderError, ListenError, DatabaseError, StoreError, JournalError) as error:
            raise ServiceError(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            raise ServiceError(f"{folder.path} cannot be used: {error}") from error
        yield service


async def _start(settings: Settings, folder: Folder, clock: Clock, stack: contextlib.AsyncExitStack) -> Service:
    folder.prepare()
    stack.enter_context(FolderLock(folder))
    remove_database(folder.new_store)  # of a rebuild that did not come to its end
    doorkeeper = Doorkeeper(settings, folder, clock, allow_open_files())
    listener = stack.enter_context(contextlib.closing(bind(*settings.host_and_port())))
    service = Service(settings, folder, clock, doorkeeper, listener)

    journal = await SqliteJournal.open(folder.journal, _journal_limits(settings))
    stack.push_async_callback(_close_in_time, journal)
    service.journal = journal
    projection = service.projection = await Projection.open(folder.store, journal, settings)
    stack.push_async_callback(_close_in_time, projection)
    service.projecting = asyncio.create_task(projection.run(), name="projector")
    stack.push_async_callback(_end_projecting, projection, service.projecting)
    indexer = service.indexer = Indexer(folder, projection, settings.disk_reserve)
    stack.push_async_callback(_close_in_time, indexer)
    await indexer.open()
    indexing = asyncio.create_task(indexer.run(), name="indexer")
    stack.push_async_callback(_end_indexing, indexing)

    receiver = Receiver(doorkeeper.door, journal, _receiver_limits(settings), service.tally, clock)
    await _open_doors(service, receiver, clock, stack)

    async def take_over(new: Settings) -> list[str]:
        journal.limit(_journal_limits(new))
        indexer.reserve(new.disk_reserve)
        receiver.limit(_receiver_limits(new))
        await projection.stick_after(new.stuck_after)
        return await doorkeeper.reload(new)

    service.reloading.add(take_over)
    return service


def _journal_limits(settings: Settings) -> JournalLimits:
    return JournalLimits(settings.max_queue, settings.max_group, settings.commit_timeout, settings.disk_reserve)


def _receiver_limits(settings: Settings) -> ReceiverLimits:
    return ReceiverLimits(settings.max_body, settings.max_receiving)


def _wire_limits(settings: Settings) -> WireLimits:
    return WireLimits(settings.head_timeout, settings.body_timeout, settings.max_head, settings.max_fields)


async def _open_doors(service: Service, receiver: Receiver, clock: Clock, stack: contextlib.AsyncExitStack) -> None:
    settings, tally = service.settings, service.tally
    monitor = FolderMonitor(service.folder, clock, no_service)
    stack.push_async_callback(monitor.close)

    async def counters() -> Counters:
        return (await monitor.snapshot()).counters

    projection = service.projection
    checks = projection.check, service.indexer.check
    keeper = service.doorkeeper
    orders = [*healing_orders(projection.retry_quarantine, *checks), *token_orders(keeper, lambda: service.hook_url)]
    admin = http_server(create_admin_app(service.status, counters, orders), "httptools", settings.idle_timeout)
    await start(admin, bind_private_socket(service.folder))
    stack.callback(service.folder.socket.unlink, missing_ok=True)
    stack.push_async_callback(admin.shutdown)

    protocol = guarded(_wire_limits(settings), keeper.connections, tally.count_refusal)
    public = http_server(create_app(receiver, tally.count_refusal), protocol, settings.idle_timeout)
    context = None if keeper.certificate is None else keeper.certificate.context
    await start(public, service.listener, context, keeper.connections)
    stack.push_async_callback(public.shutdown)
    stack.callback(setattr, receiver, "closing", True)

    async def take_over(new: Settings) -> list[str]:
        protocol.limits = _wire_limits(new)
        for server in (public, admin):
            server.config.timeout_keep_alive = keep_alive(
                new.idle_timeout
            )  # of connections that are made from now on
        return []

    service.reloading.add(take_over)
    for does, name in ((tick(public, admin), "date header"), (keeper.watch(), "certificate")):
        stack.callback(asyncio.create_task(does, name=name).cancel)


async def _end_projecting(projector: Projection, task: "asyncio.Task[None]") -> None:
    projector.finish(_PROJECT_SECONDS)
    if not task.done():
        await asyncio.wait({task}, timeout=_PROJECT_SECONDS + 0.5)


async def _end_indexing(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=_CLOSE_SECONDS)


async def _close_in_time(file: SqliteJournal | Projection | Indexer) -> None:
    """A disk that stalls must not keep the process from ending: what was answered 200 is on it already."""
    closing = asyncio.create_task(file.close())
    done, _ = await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
    if not done:
        log.error("%s cannot be closed in time; leaving it", type(file).__name__)
    elif (error := closing.exception()) is not None:
        log.error("%s could not be closed well: %s", type(file).__name__, error)


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event, on_ready: Callable[[Service], None]) -> None:
    """Runs the service until `stop` is set.

    Raises:
        ServiceError: it cannot start, or its projector died.
    """
    async with running(settings, clock) as service:
        asyncio.get_running_loop().call_later(1.0, tame_collector)
        on_ready(service)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, service.projecting}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("stopping")
        if service.projecting.done() and (error := service.projecting.exception()) is not None:
            log.critical("the projector died", exc_info=error)
            raise ServiceError("the projector died; restart hooklab, and report what the log says")


def tame_collector() -> None:
    """One full collection stops everything for about 100 ms: keep what is there at start out of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


class ServiceThread:
    """The service on a loop and thread of its own, so that no screen can hold it up."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Starts nothing yet."""
        self._settings = settings
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._asked = False
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hooklab service")
        self.service: Service | None = None
        self.error: BaseException | None = None

    def start(self) -> Service:
        """Returns once requests are accepted.

        Raises:
            ServiceError: it cannot start.
        """
        self._thread.start()
        self._settled.wait()
        if self.service is None:
            self._thread.join()
            raise self.error or ServiceError("the service did not start")
        return self.service

    def stop(self) -> None:
        """Stops the service and waits for its end.

        Raises:
            ServiceError: it had died before.
        """
        self.ask_to_stop()
        self.join()

    def ask_to_stop(self) -> None:
        """Lets the service stop, also one that is still starting; does not wait."""
        self._asked = True
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ended at this very moment
                self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Waits for its end.

        Raises:
            ServiceError: it died.
        """
        if self._thread.ident is not None:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # it is raised again where the thread is joined
            self.error = error
        finally:
            self._settled.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._asked:
            return
        await serve(self._settings, self._clock, self._stop, self._ready)

    def _ready(self, service: Service) -> None:
        self.service = service
        self._settled.set()
