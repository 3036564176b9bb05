"""The log of a service, written by a thread of its own."""

import contextlib
import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from textwrap import indent
from typing import Any, Final, Literal, TextIO

from hooklab.export.lines import json_line
from hooklab.text import MASK, clean, clean_lines, mask_number

_WAITING: Final = 1_000
"""Lines that may wait for a disk that stalls; what comes beyond is lost."""
_FLUSH_SECONDS: Final = 1.0
_OURS: Final = "hooklab"
_INDENT: Final = "    "
"""Before each line of a traceback, which could else look like a record of its own."""
_NUMBER: Final = re.compile(r"(?<![\w.])\+?\d{9,15}(?![\w.])")
"""What may be a phone number where somebody else chose the words."""
_HOOK: Final = re.compile(r"(/hooks/)[^/?#\s'\",;)]+")
_USER: Final = re.compile(r"(://)[^/@\s]*@")
_SYSLOG: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

LogFormat = Literal["auto", "text", "json"]


class _Discreet(logging.Formatter):
    """What a record says, such that nothing from outside forges a line or is a secret."""

    def message(self, record: logging.LogRecord) -> str:
        """One line. Of others' words, such as an error's, what may be a phone number is masked."""
        said = clean(mask_urls(record.getMessage()))
        return said if record.name.partition(".")[0] == _OURS else _mask_all(said)

    def trace(self, record: logging.LogRecord) -> str | None:
        """The traceback, which is ours, in its lines, and what the error says."""
        return _mask_all(clean_lines(mask_urls(self.formatException(record.exc_info)))) if record.exc_info else None


def mask_urls(text: str) -> str:
    """A token may stand in a URL as its path, or as the password of a user."""
    return _USER.sub(rf"\1{MASK}@", _HOOK.sub("\\1" + "\u2022" * 4, text))


def _mask_all(text: str) -> str:
    return _NUMBER.sub(lambda found: mask_number(found[0]), text)


class _Text(_Discreet):
    """For people: a line, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = f"{self.formatTime(record)} {record.levelname.lower()} {record.name}: {self.message(record)}"
        trace = self.trace(record)
        return line if trace is None else f"{line}\n{indent(trace, _INDENT)}"


class _Json(_Discreet):
    """For programs: an object a line, whatever is in it."""

    def __init__(self, *, priorities: bool) -> None:
        """With `priorities` a line begins as systemd's journal wants it, which takes that away."""
        super().__init__()
        self._priorities = priorities

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        if (trace := self.trace(record)) is not None:
            fields["exception"] = trace
        return f"{self._priority(record.levelno)}{json_line(fields)}"

    def _priority(self, level: int) -> str:
        if not self._priorities:
            return ""
        return f"<{next((number for least, number in _SYSLOG if level >= least), 7)}>"


class _Aside(QueueHandler):
    """Hands lines to a thread that writes them: whoever answers requests must not wait for the disk of the log."""

    queue: "Queue[Any]"

    def __init__(self, writer: logging.Handler, form: logging.Formatter) -> None:
        super().__init__(Queue(_WAITING))
        self.setFormatter(form)
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


def log_to(handler: logging.Handler, log_format: LogFormat = "auto") -> None:
    """What hooklab logs from INFO on, and others from WARNING on, goes to `handler`.

    By itself it is JSON on a stream that is no terminal, and text in a file, which is there to be read.
    """
    stream = handler.stream if type(handler) is logging.StreamHandler else None
    if log_format == "auto":
        log_format = "json" if stream is not None and not stream.isatty() else "text"
    form = _Json(priorities=stream is not None and is_journald(stream)) if log_format == "json" else _Text()
    logging.basicConfig(level=logging.WARNING, handlers=[_Aside(handler, form)], force=True)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    for noisy in ("uvicorn", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def log_to_stderr(log_format: LogFormat) -> None:
    """For a service without a screen. What stderr cannot encode is escaped."""
    log_to(logging.StreamHandler(sys.stderr), log_format)


def is_journald(stream: TextIO) -> bool:
    """Whether systemd's journal reads what is written there: it names the stream it set up in the environment."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def flush() -> bool:
    """Gives the log a moment to be written, and says whether it is; `logging.shutdown` waits for ever."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return not any(isinstance(handler, _Aside) and handler.behind() for handler in logging.getLogger().handlers)
