"""The screen of `run` and `attach`: the only commands that import Textual."""

import argparse
import asyncio
import contextlib
import logging
import os
import sqlite3
import sys

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError, clock, end_quietly
from hooklab.config import Settings
from hooklab.database import DatabaseError, require_ours
from hooklab.files import Folder, FolderError
from hooklab.journal.schema import JOURNAL
from hooklab.metrics import ServiceStatus
from hooklab.monitor import FolderMonitor
from hooklab.service import Service, ServiceThread
from hooklab.tokens import hook_url, tokens_in_force
from hooklab.tui.app import MonitorApp
from hooklab.tui.driver import SteadyDriver, log_faults
from hooklab.tui.terminal import HANGUP, STOP, Leaving, handle_signals

log = logging.getLogger("hooklab.screen")


def show_screen(folder: Folder, service: Service, thread: ServiceThread, leaving: Leaving, theme: str) -> str:
    """Shows the screen of the service in this process until `leaving` or somebody at its keys ends it.

    Returns:
        "stop", "detach" (leave the service running), "hangup" (the terminal is gone), "ended" (the service is), or
        "failed" (the screen is; the log says how).
    """

    async def status() -> ServiceStatus | None:
        if thread.is_alive():
            return service.status()
        leaving.ask("ended")
        return None

    monitor = FolderMonitor(folder, clock, status)
    app = MonitorApp(monitor, clock, hook_url=service.hook_url, owns_service=True, leaving=leaving, theme=theme)
    return _run(app)


def _run(app: MonitorApp) -> str:
    app.driver_class = SteadyDriver
    log_faults(app, log)
    # Not asyncio.run: it would wait at its end for a read that a stalled disk holds up.
    loop = asyncio.new_event_loop()
    try:
        result = app.run(loop=loop)
    except OSError as error:  # the terminal went while the app started or ended
        log.warning("the screen ended: %s", error)
        result = HANGUP
    if not asyncio.all_tasks(loop):
        loop.close()
    if app.leaving.asked == STOP:
        return STOP
    if result is None and app.return_code:
        return "failed"
    return result or "left"


def let_go_of_terminal() -> None:
    """Points the standard streams at nothing: the terminal is gone, and its descriptors only give errors."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)


def attach(given: argparse.Namespace, settings: Settings) -> int:
    """The same screen on a data folder whose service runs elsewhere, or does not run."""
    del given
    folder = Folder(settings.data_dir)
    folder.require()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError("attach needs a terminal; without one use: hooklab stats, messages, show")
    _require_journal(folder)

    async def status() -> ServiceStatus | None:
        return await ask_service(folder)

    monitor = FolderMonitor(folder, clock, status)
    url = _known_hook_url(folder, settings)
    app = MonitorApp(monitor, clock, hook_url=url, owns_service=False, theme=settings.theme)
    handle_signals(app.leaving)
    # A folder that is only looked at gets no log; what the screen's end has to say is one line.
    log.addHandler(logging.NullHandler())
    log.propagate = False
    result = _run(app)
    if result == HANGUP:
        let_go_of_terminal()
    if result == "failed":
        fault = app._exception
        if os.environ.get("HOOKLAB_TRACEBACK") and fault is not None:
            raise fault
        raise CommandError(
            f"the screen failed: {type(fault).__name__}; HOOKLAB_TRACEBACK=1 shows where, please report it"
        )
    end_quietly(0)
    return 0


def _require_journal(folder: Folder) -> None:
    """Says before the screen opens what no waiting mends; all else the screen says, and sees it pass."""
    try:
        with contextlib.suppress(sqlite3.Error):
            asyncio.run(require_ours(folder.journal, JOURNAL))
    except DatabaseError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{folder.journal} cannot be read: {error.strerror}") from error


def _known_hook_url(folder: Folder, settings: Settings) -> str | None:
    """The hook URL that a service would have here; None where its token cannot be read. Nothing is made."""
    try:
        tokens = tokens_in_force(settings, folder)
    except FolderError:
        return None
    return hook_url(settings, tokens[-1].secret, settings.host_and_port()) if tokens else None
