"""`serve` and `run`."""

import argparse
import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import uvloop

from hooklab.commands.common import CommandError, called, clock, end_quietly
from hooklab.commands.logs import flush, is_journald, log_to, log_to_stderr, mask_urls
from hooklab.commands.starting import start_line
from hooklab.commands.supervised import keep_telling
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.notify import Notifier
from hooklab.reloading import Rereading
from hooklab.service import Service, ServiceError, ServiceThread
from hooklab.service import serve as run_service


def serve(given: argparse.Namespace, settings: Settings) -> int:
    """The receiver without a screen, until SIGTERM or SIGINT; SIGHUP has it read its settings again."""
    log_to_stderr(settings.log_format)
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: the log then has where each thread hung
    _take_turns()
    notifier = Notifier.of(os.environ)

    async def main() -> None:
        stop = asyncio.Event()
        rereading = Rereading(given.load)
        tasks = []

        def ready(service: Service) -> None:
            _log_start(service, settings)
            _announce(service)
            tasks.append(asyncio.create_task(keep_telling(service, notifier, stop), name="telling systemd"))
            tasks.append(asyncio.create_task(rereading.run(service.reload), name="rereading"))

        def stopping() -> None:
            notifier.stopping()
            stop.set()
            _leave_within(_END_SECONDS)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            at_hangup = stopping if _is_on_terminal() else rereading.ask
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, at_hangup)
        await run_service(settings, clock, stop, ready)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except ServiceError as error:
        flush()  # the reason stands last
        raise CommandError(str(error)) from error
    end_quietly(0)
    return 0


def _take_turns() -> None:
    """Lets the threads of the process take turns more often.

    With the default of 5 ms, drawing holds up an answer for as long (design, section 9), and SQLite's threads, which
    have little to do in Python, wait as long each time for those that have much.
    """
    sys.setswitchinterval(0.0005)


def _is_on_terminal() -> bool:
    """Whether a terminal is read or written: SIGHUP then says that it is gone, and ends the service in good order.

    Nobody hangs up on a service of systemd or of a container: there it means what it means to daemons. Asked at the
    start, since a terminal that is gone is none any more.
    """
    return any(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def _leave_within(seconds: float) -> None:
    """Whatever a stalled disk holds up, the process ends in time: what was answered 200 is on disk already."""
    timer = threading.Timer(seconds, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    logging.getLogger("hooklab").error("not everything could be closed in time; leaving it")
    flush()
    os._exit(0)


def run(given: argparse.Namespace, settings: Settings) -> int:
    """Receiver and screen in one process; without a terminal the same as `serve`."""
    if not _has_terminal():
        return serve(given, settings)
    from hooklab.commands.screen import let_go_of_terminal, show_screen
    from hooklab.tui.terminal import Leaving, handle_signals

    folder = Folder(settings.data_dir)
    folder.prepare()
    # The screen draws on stderr: nothing else may write there meanwhile.
    file = logging.FileHandler(_private(folder.log), encoding="utf-8", errors="backslashreplace")
    log_to(file, settings.log_format)
    _take_turns()
    logging.raiseExceptions = False  # a log on a full disk would tell of it there
    thread, leaving = ServiceThread(settings, clock), Leaving()

    def stop() -> None:
        thread.ask_to_stop()
        _leave_within(_END_SECONDS)

    handle_signals(leaving, stop)
    try:
        try:
            service = thread.start()
            _log_start(service, settings)
            ended = show_screen(folder, service, thread, leaving, settings.theme)
            if ended == "hangup":
                let_go_of_terminal()
            if ended in _GOES_ON:
                _go_on(service, thread, settings, ended)
        finally:
            _leave_within(_END_SECONDS)
            thread.stop()
    except ServiceError as error:
        raise CommandError(str(error)) from error
    end_quietly(0)
    return 0


_END_SECONDS = 9.0
"""A service has 10 s to end (design, section 7)."""
_GOES_ON = {
    "detach": "hooklab goes on receiving",
    "hangup": "the terminal is gone; hooklab goes on receiving",
    "failed": "the screen failed (see the log); hooklab goes on receiving",
}


def _go_on(service: Service, thread: ServiceThread, settings: Settings, ended: str) -> None:
    """Waits for the end of the service without a screen."""
    from hooklab.commands.screen import let_go_of_terminal

    logging.getLogger("hooklab").info("%s without a screen", _GOES_ON[ended])
    pid = service.status().pid
    says = (
        f"{_GOES_ON[ended]}; the prompt does not come back by itself. Stop it: Ctrl-C here, or kill {pid} elsewhere."
    )
    try:
        print(f"{says} Look again: {called('attach', settings.data_dir)}", flush=True)
    except OSError:  # the terminal went in this very moment
        let_go_of_terminal()
    thread.join()


def _has_terminal() -> bool:
    """Whether there is a terminal, and it is ours to draw on: in the background a drawing process is stopped."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # it is not our controlling terminal: nobody else can be in its foreground
        return True


def _private(path: Path) -> Path:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CommandError(f"the log {path} cannot be written: {error.strerror}") from error
    return path


def _log_start(service: Service, settings: Settings) -> None:
    logging.getLogger("hooklab").info("%s", start_line(service.status(), settings))


def _announce(service: Service) -> None:
    url = mask_urls(service.hook_url) if is_journald(sys.stdout) else service.hook_url
    print(f"hooklab: ready {url}", flush=True)
