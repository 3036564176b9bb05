"""The composition root: opens in order, runs on one loop, closes in reverse."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import uvicorn
import uvloop
from msgspec.structs import replace
from uvicorn.config import Config

from hooklab import __version__
from hooklab.admin_client import no_service
from hooklab.config import Settings
from hooklab.database import DatabaseError, remove_database
from hooklab.files import Folder, FolderError, FolderLock, bind_private_socket, read_or_make_token, read_token
from hooklab.indexer import Indexer
from hooklab.journal.base import JournalError
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.metrics import Counters, ServiceStatus
from hooklab.monitor import FolderMonitor
from hooklab.projection import Projection
from hooklab.receiver.access import Hook
from hooklab.receiver.admin import create_admin_app
from hooklab.receiver.app import Receiver, ReceiverLimits, Tally, create_app
from hooklab.receiver.protocol import WireLimits, guarded
from hooklab.reloading import Reloading
from hooklab.store.base import StoreError
from hooklab.text import mask_token
from hooklab.times import Clock

log = logging.getLogger("hooklab.service")

_DRAIN_SECONDS: Final = 3
_PROJECT_SECONDS: Final = 4.0
_CLOSE_SECONDS: Final = 0.7
_BACKLOG: Final = 1024


class ServiceError(Exception):
    """The service cannot start or had to stop; the text says why and what to do."""


class Service:
    """What runs on the service's loop. `running` builds it."""

    def __init__(self, settings: Settings, folder: Folder, clock: Clock, token: str, listener: socket.socket) -> None:
        """Use `running`."""
        self.reloading = Reloading(settings)
        self.folder = folder
        self.listener = listener
        self.tally = Tally(clock)
        self.hook_url = hook_url(settings, token, listener.getsockname()[:2])
        self.local_url = hook_url(replace(settings, public_url=None), token, listener.getsockname()[:2])
        self.listens_on = _written(*listener.getsockname()[:2])
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
            listens_on=self.listens_on,
            disk_reserve=self.settings.disk_reserve,
            ready=problem is None,
            problem=problem,
            refused={str(code): count for code, count in sorted(self.tally.refused.items())},
            ack_p50_ms=latency.quantile_ms(0.5),
            ack_p99_ms=latency.quantile_ms(0.99),
            queue_depth=self.journal.queue_depth(),
        )


def hook_url(settings: Settings, token: str, address: tuple[str, int]) -> str:
    """The hook URL as the provider sees it, as far as the settings say."""
    if settings.public_url is not None:
        return f"{settings.public_url.rstrip('/')}/hooks/{token}"
    host, port = address
    if host in ("0.0.0.0", "::"):  # noqa: S104  only looked at
        host = "127.0.0.1"
    return f"http://{_written(host, port)}/hooks/{token}"


def _written(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def token_of(settings: Settings, folder: Folder) -> str:
    """The token in force: the one set, else the one kept in the token file, made if it is not there.

    Raises:
        ServiceError: it has characters that a token may not have.
        FolderError: the file cannot be read or written.
    """
    token = settings.token or _kept_token(settings, folder)
    try:
        Hook(token)
    except ValueError as error:
        raise ServiceError(f"token: {error}") from error
    return token


def _kept_token(settings: Settings, folder: Folder) -> str:
    if settings.token_file is None:
        return read_or_make_token(folder.token)
    token = read_token(settings.token_file)
    if token is None:
        raise FolderError(f"the token file {settings.token_file} is not there; only the data folder's own is made")
    return token


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
        except (FolderError, DatabaseError, StoreError, JournalError) as error:
            raise ServiceError(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            raise ServiceError(f"{folder.path} cannot be used: {error}") from error
        yield service


async def _start(settings: Settings, folder: Folder, clock: Clock, stack: contextlib.AsyncExitStack) -> Service:
    folder.prepare()
    stack.enter_context(FolderLock(folder))
    remove_database(folder.new_store)  # of a rebuild that did not come to its end
    token = token_of(settings, folder)
    listener = stack.enter_context(contextlib.closing(_bind(settings)))
    service = Service(settings, folder, clock, token, listener)

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

    receiver = Receiver(Hook(token), journal, _receiver_limits(settings), service.tally, clock)
    await _open_doors(service, receiver, clock, stack)

    # What has to be read again, such as tokens and certificates, gets a taker here too.
    async def take_over(new: Settings) -> list[str]:
        journal.limit(_journal_limits(new))
        indexer.reserve(new.disk_reserve)
        receiver.limit(_receiver_limits(new))
        service.hook_url = hook_url(new, token, listener.getsockname()[:2])
        await projection.stick_after(new.stuck_after)
        return []

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
    admin_app = create_admin_app(service.status, counters, projection.retry_quarantine, *checks)
    admin = _server(admin_app, "httptools", settings)
    await _startup(admin, bind_private_socket(service.folder))
    stack.callback(service.folder.socket.unlink, missing_ok=True)
    stack.push_async_callback(admin.shutdown)

    protocol = guarded(_wire_limits(settings), tally.count_refusal)
    public = _server(create_app(receiver, tally.count_refusal), protocol, settings)
    service.listener.listen(_BACKLOG)
    await _startup(public, service.listener)
    stack.push_async_callback(public.shutdown)
    stack.callback(setattr, receiver, "closing", True)

    async def take_over(new: Settings) -> list[str]:
        protocol.limits = _wire_limits(new)
        for server in (public, admin):
            server.config.timeout_keep_alive = _keep_alive(new)  # of connections that are made from now on
        return []

    service.reloading.add(take_over)
    ticking = asyncio.create_task(_tick(public, admin), name="date header")
    stack.callback(ticking.cancel)


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.host_and_port()
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setblocking(False)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        used = getattr(error, "errno", None) == errno.EADDRINUSE
        advice = "stop what uses it, or choose another with --bind HOST:PORT" if used else "see --bind HOST:PORT"
        why = getattr(error, "strerror", None) or "it is no address"
        raise ServiceError(f"cannot listen on {settings.bind}: {why}; {advice}") from error
    return listener


def _server(app: Any, protocol: Any, settings: Settings) -> uvicorn.Server:
    config = Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,  # "it comes from 127.0.0.1" is never a credential
        server_header=False,
        access_log=False,  # it would print the secret path
        log_config=None,
        timeout_keep_alive=_keep_alive(settings),
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def _keep_alive(settings: Settings) -> int:
    return int(settings.idle_timeout) or 1


async def _startup(server: uvicorn.Server, listener: socket.socket) -> None:
    """Starts without uvicorn's main loop, whose ten ticks a second nobody needs."""
    await server.on_tick(0)
    await server.startup(sockets=[listener])


async def _tick(*servers: uvicorn.Server) -> None:
    """Keeps the Date header true."""
    while True:
        await asyncio.sleep(1)
        for server in servers:
            await server.on_tick(0)


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
        log.info(
            "hooklab %s receives at %s, data in %s", __version__, mask_token(service.hook_url), settings.data_dir
        )
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
