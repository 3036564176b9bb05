"""What hooklab is measured against: F, L and N are servers, J is a loop. `python -m bench.references NAME FOLDER`.

F: a bare ASGI app that reads the body and answers 200: what uvicorn allows.
L: the same through a Litestar `@asgi` handler: what the framework leaves of it.
N: a naive Litestar and aiosqlite app: typed handler, one row a report, a commit a request, a unique index. It is
   naive and not bad: one connection, WAL, and its 200 too is durable. Requests under way at once share its
   transaction by accident.
J: one process with nothing but the journal's table, appending groups: what the disk allows.

The servers run under the settings of hooklab's own, by its own function.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiosqlite
import msgspec
import uvloop
from litestar import Litestar, asgi, post
from litestar.types import Receive, Scope, Send

from bench.bodies import STAMPS, after, template
from bench.load import Load, Target, quantile
from hooklab.config import Settings
from hooklab.database import open_writer
from hooklab.journal import sqlite as journal
from hooklab.journal.base import digest_of
from hooklab.journal.packing import RAW
from hooklab.journal.schema import COLUMNS, JOURNAL
from hooklab.journal.waiting import OVERHEAD
from hooklab.listening import http_server, start, tick
from hooklab.service import tame_collector

NAIVE_FILE: Final = "naive.db"
JOURNAL_FILE: Final = "journal.db"
_OK: Final[Any] = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
_EMPTY: Final[Any] = {"type": "http.response.body", "body": b"", "more_body": False}


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """F."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        parts.append(message["body"])
        more = message["more_body"]
    b"".join(parts)
    await send(_OK)
    await send(_EMPTY)


def through_litestar() -> Litestar:
    """L."""

    @asgi("/", is_mount=True, copy_scope=False)
    async def hooks(scope: Scope, receive: Receive, send: Send) -> None:
        await bare(scope, receive, send)

    return Litestar([hooks], openapi_config=None, logging_config=None, debug=False)


_NAIVE_TABLE: Final = """
CREATE TABLE reports (
    id INTEGER PRIMARY KEY, message_id TEXT NOT NULL, status TEXT NOT NULL, msisdn TEXT, organization_id TEXT,
    description TEXT, reported_at TEXT, segments INTEGER, custom_payload TEXT
);
CREATE UNIQUE INDEX one_report ON reports (message_id, status);
"""
_NAIVE_INSERT: Final = """
INSERT OR IGNORE INTO reports
(message_id, status, msisdn, organization_id, description, reported_at, segments, custom_payload)
VALUES (:MessageId, :Status, :Msisdn, :OrganizationId, :ReportDescription, :ReportDateTime, :TotalSegments,
:CustomPayload)
"""


@contextlib.asynccontextmanager
async def naive(folder: Path) -> AsyncIterator[Litestar]:
    """N, with its file in `folder`."""
    async with aiosqlite.connect(folder / NAIVE_FILE) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=FULL")
        await connection.executescript(_NAIVE_TABLE)

        @post("/hooks/{token:str}", status_code=200)
        async def hooks(token: str, data: list[dict[str, Any]]) -> None:
            # A cursor that is only dropped is ended on the loop's thread, in the midst of another's statement: some
            # 4 % of the answers are 500 then, and halves of batches stay. So close it, on that connection's thread.
            async with connection.executemany(_NAIVE_INSERT, data):
                await connection.commit()

        yield Litestar([hooks], openapi_config=None, logging_config=None, debug=False)


async def _serve(name: str, app: Any) -> None:
    """Answers on a free port until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=1024)) as listener:
        listener.setblocking(False)
        server = http_server(app, "httptools", Settings().idle_timeout)
        await start(server, listener)
        print(f"{name}: ready http://127.0.0.1:{listener.getsockname()[1]}/hooks/reference", flush=True)
        loop.call_later(1.0, tame_collector)
        ticking = asyncio.create_task(tick(server))
        await stop.wait()
        ticking.cancel()
        await server.shutdown()


async def _serve_by_name(name: str, folder: Path) -> None:
    if name == "N":
        async with naive(folder) as app:
            await _serve(name, app)
    else:
        await _serve(name, bare if name == "F" else through_litestar())


def append_for(target: Target, folder: Path) -> Load:
    """J: appends groups of fresh batches to a journal for some seconds.

    A group holds what hooklab's could at most when each connection has one request under way. Rate and latencies are
    of the time spent in SQLite, checkpoints included; making bodies and digests is not.
    """
    path = folder / JOURNAL_FILE
    asyncio.run(_make_journal(path))
    made = template(target.reports, target.seed)
    size = len(made.body(0)) + OVERHEAD
    rows = max(1, min(target.connections, journal._MAX_ROWS, journal.JournalLimits().max_group // size))
    number, batches, spent, since_checkpoint = target.seed % STAMPS, 0, 0.0, 0
    commits: list[float] = []
    with contextlib.closing(_open_journal(path)) as connection:
        ends = time.perf_counter() + target.seconds
        while time.perf_counter() < ends:
            values: list[Any] = []
            for _ in range(rows):
                number = after(number)
                body = made.body(number)
                digest = digest_of(body)
                values += (time.time_ns() // 1000, 0, "127.0.0.1", None, _HEADERS, False, digest, RAW, body)
            marks = ",".join(["(?,?,?,?,?,?,?,?,?)"] * rows)
            began = time.perf_counter()
            connection.execute(f"INSERT INTO batches ({COLUMNS}) VALUES {marks}", values)
            commits.append(time.perf_counter() - began)
            since_checkpoint += journal._COMMIT_OVERHEAD + rows * size
            if since_checkpoint >= journal._CHECKPOINT_BYTES:
                since_checkpoint = 0
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            spent += time.perf_counter() - began
            batches += rows
    commits.sort()
    p50, p99 = ((quantile(commits, share) or 0.0) * 1000 for share in (0.5, 0.99))
    return Load(spent, batches, 0, 0, 0, 0, p50, p99)


_HEADERS: Final = '[["host", "127.0.0.1:8080"], ["content-type", "application/json"], ["content-length", "1000"]]'


async def _make_journal(path: Path) -> None:
    connection = await open_writer(path, JOURNAL, checkpoint_pages=0)
    await connection.close()


def _open_journal(path: Path) -> sqlite3.Connection:
    """A connection with what `open_writer` sets beside what the file keeps by itself."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    for pragma in (
        f"synchronous={JOURNAL.synchronous}",
        "wal_autocheckpoint=0",
        "journal_size_limit=33554432",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def main() -> int:
    """Runs one reference; J takes a `Target` as JSON and prints a `Load`."""
    parser = argparse.ArgumentParser(prog="bench.references")
    parser.add_argument("name", choices=("F", "L", "N", "J"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", nargs="?", type=lambda text: msgspec.json.decode(text, type=Target))
    given = parser.parse_args()
    if given.name == "J":
        print(msgspec.json.encode(append_for(given.target, given.folder)).decode())
        return 0
    logging.disable()  # what a naive app says under load would fill the pipe that nobody reads
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_by_name(given.name, given.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
