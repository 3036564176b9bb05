"""The log of a service, written by a thread of its own."""

import contextlib
import logging
import re
import time
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from textwrap import indent
from typing import Any, Final

from hooklab.text import clean, clean_lines, mask_number, mask_url

_WAITING: Final = 1_000
"""Lines that may wait for a disk that stalls; what comes beyond is lost."""
_FLUSH_SECONDS: Final = 1.0
_INDENT: Final = "    "
_NUMBER: Final = re.compile(r"(?<![\w.])\+?\d{9,15}(?![\w.])")
"""What may be a phone number where somebody else chose the words."""


def _trace(text: str) -> str:
    return _NUMBER.sub(lambda found: mask_number(found[0]), clean_lines(mask_url(text)))


class _OneLine(logging.Formatter):
    """A record is one line: what came from outside cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback, which is ours, keeps its lines.

        The last ones are what an error says, which may be anything: they are indented, so that none looks like a
        record, and what may be a token or a phone number is masked.
        """
        line = f"{self.formatTime(record)} {record.levelname.lower()} {record.name}: {clean(record.getMessage())}"
        if not record.exc_info:
            return line
        return f"{line}\n{indent(_trace(self.formatException(record.exc_info)), _INDENT)}"


class _Aside(QueueHandler):
    """Hands lines to a thread that writes them: whoever answers requests must not wait for the disk of the log."""

    queue: "Queue[Any]"

    def __init__(self, writer: logging.Handler) -> None:
        super().__init__(Queue(_WAITING))
        self.setFormatter(_OneLine())
        QueueListener(self.queue, writer).start()

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        with contextlib.suppress(Full):
            self.queue.put_nowait(record)

    def flush(self) -> None:
        """Waits until all is written, but not for a disk that stalls."""
        ends = time.monotonic() + _FLUSH_SECONDS
        while self.behind() and time.monotonic() < ends:
            time.sleep(0.005)

    def behind(self) -> bool:
        """Whether something is still to be written."""
        return self.queue.unfinished_tasks > 0


def log_to(handler: logging.Handler, level: int) -> None:
    """Everything that is logged from `level` on goes to `handler`."""
    logging.basicConfig(level=level, handlers=[_Aside(handler)], force=True)
    for noisy in ("uvicorn", "uvicorn.error", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy.startswith("uvicorn") else logging.WARNING)


def flush() -> bool:
    """Gives the log a moment to be written, and says whether it is; `logging.shutdown` waits for ever."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return not any(isinstance(handler, _Aside) and handler.behind() for handler in logging.getLogger().handlers)
