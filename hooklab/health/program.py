"""The program itself: Python, SQLite, and how many files it may open."""

import platform
import resource
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from hooklab import __version__
from hooklab.database import MAX_VALUES
from hooklab.health.base import Finding, ok, problem, warning

_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_SQLITE: Final = (3, 37, 0)
"""The first with STRICT tables."""
_FEW_FILES: Final = 256
_UNLIMITED: Final = 1 << 30

Version = tuple[int, ...]


class Program(Struct, frozen=True, kw_only=True):
    """What runs here."""

    python: Version
    system: str
    sqlite: Version
    threads: int
    """As `sqlite3.threadsafety`."""
    options: frozenset[str]
    """With which SQLite was compiled: NAME or NAME=VALUE."""
    open_files: int
    """That a process may have: the running service's, else those of one started from here."""


def look_at_program(service_pid: int | None = None) -> Program:
    """The facts; open files are those of the process `service_pid` where that can be told."""
    connection = sqlite3.connect(":memory:")
    try:
        options = frozenset(str(row[0]) for row in connection.execute("PRAGMA compile_options"))
    finally:
        connection.close()
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Program(
        python=sys.version_info[:3],
        system=f"{platform.system()} {platform.release()}",
        sqlite=sqlite3.sqlite_version_info,
        threads=sqlite3.threadsafety,
        options=options,
        open_files=_open_files_of(service_pid) or (own if own >= 0 else _UNLIMITED),
    )


def _open_files_of(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else _UNLIMITED
    return None


def has_reset_fault(version: Version) -> bool:
    """Whether two connections that write or checkpoint a WAL at once may damage a file (design, section 9)."""
    mended_early = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7, 0) <= version < (3, 51, 3) and not mended_early


def judge_program(found: Program) -> Iterator[Finding]:
    """`program`, `sqlite` and `limits`."""
    python = ".".join(map(str, found.python))
    says = f"hooklab {__version__}, Python {python}, {found.system}"
    if found.python < _OLDEST_PYTHON:
        yield problem("program", says, "hooklab needs Python 3.11 or later")
    else:
        yield ok("program", says)
    yield _judge_sqlite(found)
    if found.open_files < _FEW_FILES:
        yield warning(
            "limits",
            f"a process may have {found.open_files} open files, and each connection of the provider is one",
            "raise it to 1024 or more: ulimit -n 1024 before the start, or LimitNOFILE= in a systemd unit",
        )
    else:
        files = "any number of" if found.open_files >= _UNLIMITED else f"{found.open_files:,}"
        yield ok("limits", f"a process may have {files} open files")


def _judge_sqlite(found: Program) -> Finding:
    says = "SQLite " + ".".join(map(str, found.sqlite))
    renew = "use a Python with a newer SQLite, such as that of a newer system"
    if found.sqlite < _OLDEST_SQLITE:
        return problem("sqlite", f"{says} lacks what hooklab needs (STRICT tables, since 3.37)", renew)
    if "OMIT_WAL" in found.options or found.threads == 0:
        lacks = "write-ahead logging" if "OMIT_WAL" in found.options else "threads"
        return problem("sqlite", f"{says} was compiled without {lacks}", renew)
    values = dict(option.partition("=")[::2] for option in found.options).get("MAX_VARIABLE_NUMBER", "")
    if values.isdigit() and int(values) < MAX_VALUES:
        return problem("sqlite", f"{says} was compiled for {values} values in a statement, not {MAX_VALUES}", renew)
    if has_reset_fault(found.sqlite):
        return ok(
            "sqlite",
            f"{says}; its WAL-reset fault (3.7.0 to 3.51.2, mended in 3.51.3) needs two connections that write or"
            " checkpoint a file at once: hooklab has exactly one for each",
        )
    return ok("sqlite", f"{says}, without the WAL-reset fault of versions before 3.51.3")
