"""Takes connections from a listener one by one.

The loop's own listener shows a connection only after its TLS handshake, so that handshakes that never come would
take every descriptor; and where there is none left it drops whoever comes, or closes itself for good.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from hooklab.receiver.connections import Connections

log = logging.getLogger("hooklab.receiver")

_HANDSHAKE_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 2.0
"""For the other side's word that TLS ends, after ours; the loop would give 30 s."""
_AT_ONCE: Final = 8
"""Connections that are taken before those that are there have their turn."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS: Final = 0.1
_SAY_SECONDS: Final = 60.0


class Accepting:
    """A listener at work. Has what uvicorn wants of a server."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], Any],
        context: ssl.SSLContext | None = None,
        counted: Connections | None = None,
    ) -> None:
        """Begins.

        Args:
            listener: Listens already.
            make: Gives the protocol of one connection; a `GuardedProtocol` where they are counted.
            context: TLS is spoken with it.
            counted: Says who may stay; None: everybody may.
        """
        self._listener = listener
        self._make = make
        self._context = context
        self._counted = counted
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._said_at: float | None = None
        listener.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Takes no more; who has only begun goes."""
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._beginning:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until what had begun is over."""
        await asyncio.gather(*self._beginning, return_exceptions=True)

    def _watch(self) -> None:
        self._rest = None
        self._loop.add_reader(self._listener, self._take)

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                taken, address = self._listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                return
            taken.setblocking(False)
            self._begin(taken, address[0] if isinstance(address, tuple) else "")

    def _pause(self, error: OSError) -> None:
        """Who waits at the door would wake the loop again and again."""
        self._loop.remove_reader(self._listener)
        self._rest = self._loop.call_later(_REST_SECONDS, self._watch)
        now = self._loop.time()
        if self._said_at is None or now - self._said_at >= _SAY_SECONDS:
            self._said_at = now
            log.error("no connection can be taken: %s; trying again", error.strerror)

    def _begin(self, taken: socket.socket, peer: str) -> None:
        protocol = self._make()
        if self._counted is not None and not self._counted.admit(protocol, peer):
            protocol.turn_away(taken, in_words=self._context is None)
            return
        task = self._loop.create_task(self._hand_over(taken, protocol))
        if self._counted is not None:
            protocol.hang_up = task.cancel
        self._beginning.add(task)

        def begun(task: asyncio.Task[None]) -> None:
            self._beginning.discard(task)
            if protocol.transport is None:
                taken.close()  # which may never have come to the loop

        task.add_done_callback(begun)

    async def _hand_over(self, taken: socket.socket, protocol: Any) -> None:
        wait = None if self._context is None else _HANDSHAKE_SECONDS
        goodbye = None if self._context is None else _GOODBYE_SECONDS
        try:
            # Whoever breaks off, or speaks no TLS, is no fault of ours.
            with contextlib.suppress(OSError):
                await self._loop.connect_accepted_socket(
                    lambda: protocol,
                    taken,
                    ssl=self._context,
                    ssl_handshake_timeout=wait,
                    ssl_shutdown_timeout=goodbye,
                )
        finally:
            if self._counted is not None and protocol.transport is None:
                self._counted.leave(protocol)
