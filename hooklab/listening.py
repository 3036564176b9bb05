"""Sockets and the HTTP server behind them: what uvicorn gives, without its main loop."""

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
from typing import Any, Final

import uvicorn
from uvicorn.config import Config

from hooklab.receiver.accepting import Accepting
from hooklab.receiver.connections import Connections

_BACKLOG: Final = 1024
_DRAIN_SECONDS: Final = 3
_OPEN_FILES: Final = 65_536
"""More are no use, and a table of a million descriptors costs memory."""


class ListenError(Exception):
    """The address cannot be listened on; the text says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address, which does not listen yet.

    Raises:
        ListenError: it cannot be had.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
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
        raise ListenError(f"cannot listen on {where}: {why}; {advice}") from error
    return listener


def allow_open_files() -> int:
    """Raises the number of files that this process may have open as far as it may; gives it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def http_server(app: Any, protocol: Any, idle_timeout: float) -> uvicorn.Server:
    """Uvicorn around an app, configured for nobody's curiosity."""
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
        backlog=_BACKLOG,
        timeout_keep_alive=keep_alive(idle_timeout),
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def keep_alive(idle_timeout: float) -> int:
    """Uvicorn takes whole seconds."""
    return int(idle_timeout) or 1


async def start(
    server: uvicorn.Server,
    listener: socket.socket,
    context: ssl.SSLContext | None = None,
    counted: Connections | None = None,
) -> None:
    """Takes connections at `listener`, with TLS where there is a context for it, as many as `counted` lets in.

    uvicorn's own start gives a handshake a minute, and its main loop ticks ten times a second, which nobody needs.
    """
    await server.on_tick(0)

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made

    listener.listen(server.config.backlog)
    server.servers = [Accepting(listener, protocol, context, counted)]  # type: ignore[list-item]
    server.started = True


async def tick(*servers: uvicorn.Server) -> None:
    """Keeps the Date header true."""
    while True:
        await asyncio.sleep(1)
        for server in servers:
            await server.on_tick(0)
