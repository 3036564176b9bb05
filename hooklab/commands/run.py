"""`serve` and `run`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import uvloop

from hooklab.commands.common import CommandError, clock
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.receiver.access import SHORT_TOKEN
from hooklab.service import Service, ServiceError, ServiceThread
from hooklab.service import serve as run_service
from hooklab.text import clean, mask_token


class _OneLine(logging.Formatter):
    """A record is one line: what came from outside cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback, which is ours, keeps its lines."""
        line = f"{self.formatTime(record)} {record.levelname.lower()} {record.name}: {clean(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _log_to(handler: logging.Handler) -> None:
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("uvicorn", "uvicorn.error", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy.startswith("uvicorn") else logging.WARNING)


def serve(given: argparse.Namespace, settings: Settings) -> int:
    """The receiver without a screen, until SIGTERM or SIGINT."""
    del given
    _log_to(logging.StreamHandler())

    def ready(service: Service) -> None:
        _warn(settings)
        _announce(service)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run_service(settings, clock, stop, ready)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except ServiceError as error:
        raise CommandError(str(error)) from error
    _leave_if_held()
    return 0


def _leave_if_held() -> None:
    """Ends the process where a thread hangs in a stalled disk: Python would wait for it for ever."""
    if any(thread is not threading.current_thread() and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def run(given: argparse.Namespace, settings: Settings) -> int:
    """Receiver and screen in one process; without a terminal the same as `serve`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return serve(given, settings)
    from hooklab.commands.screen import show_screen

    folder = Folder(settings.data_dir)
    folder.prepare()
    # The screen draws on stderr: nothing else may write there meanwhile.
    _log_to(logging.FileHandler(_private(folder.log)))
    thread = ServiceThread(settings, clock)
    try:
        service = thread.start()
        try:
            _warn(settings)
            show_screen(folder, clock, service, thread)
        finally:
            thread.stop()
    except ServiceError as error:
        raise CommandError(str(error)) from error
    _leave_if_held()
    return 0


def _private(path: Path) -> Path:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    return path


def _warn(settings: Settings) -> None:
    if settings.token is not None and len(settings.token) < SHORT_TOKEN:
        logging.getLogger("hooklab").warning(
            "the token is short: whoever guesses it can post; %d characters or more are wise", SHORT_TOKEN
        )


def _announce(service: Service) -> None:
    url = mask_token(service.hook_url) if _is_journald(sys.stdout.fileno()) else service.hook_url
    print(f"hooklab: ready {url}", flush=True)


def _is_journald(fd: int) -> bool:
    """Whether systemd's journal reads this descriptor: it names the stream it set up in the environment."""
    stat = os.fstat(fd)
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
