"""What the service manager is told while a service runs, and when it is to be restarted."""

import asyncio
import contextlib
from typing import Final

from hooklab.notify import Notifier
from hooklab.service import Service

_LOOK_SECONDS: Final = 2.0


async def keep_telling(service: Service, notifier: Notifier, stop: asyncio.Event) -> None:
    """Says that requests are accepted, and then how the service is, until `stop`.

    It gives a sign of life as long as whoever asks gets an answer. This runs on the service's loop: one that hangs
    says nothing. A 503 is an answer: neither a full disk nor one that stalls is mended by a restart, and a new
    process would answer less.
    """
    if not notifier.is_heard():
        return
    notifier.ready(_status(service))
    pause = _LOOK_SECONDS if notifier.watchdog is None else min(notifier.watchdog / 2, _LOOK_SECONDS)
    while not stop.is_set():
        if service.journal.answers():
            notifier.alive()
        notifier.status(_status(service))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


def _status(service: Service) -> str:
    """One line, without the token."""
    if not service.journal.answers():
        return "what was received waits, and nobody writes it"
    status = service.status()
    return f"receiving on {status.listens_on}" if status.problem is None else f"answering 503: {status.problem}"
