"""SQLite on a disk that keeps a record: an apsw VFS, and connections on it that hooklab takes for aiosqlite's."""

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from unittest import mock

import apsw

_LOGS: Final = (
    apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)  # of these SQLite's unix VFS fsyncs the folder with their first fsync


class Event(NamedTuple):
    """What was asked of the disk, or (`acknowledged`) said to a client.

    Attributes:
        what: create, write, truncate, sync, sync-names (of the folder), delete or acknowledged.
        name: of the file in its folder; empty for the folder and for a client.
        at: the byte that a write begins at, the size that a file is cut to.
        data: what was written, or the body that was acknowledged.
    """

    what: str
    name: str = ""
    at: int = 0
    data: bytes = b""


class Record:
    """All that happens in one folder, in order. The process can be killed: it then goes on in a copy of the folder.

    Attributes:
        events: so far.
        folder: where it happens; what goes on elsewhere is nobody's business any more.
        lies: says of a file's name that its fsync does nothing.
    """

    def __init__(self, folder: Path, lies: Callable[[str], bool] = lambda _: False) -> None:
        self.events: list[Event] = []
        self.folder = folder
        self.lies = lies
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._killed_at = -1
        self._next = folder
        self._before = ""

    def kill_after(self, events: int, folder: Path, before: str = "") -> None:
        """So many more, then before the next operation (or `sync NAME`): what the kernel holds goes to `folder`."""
        self._killed_at, self._next, self._before = len(self.events) + events, folder, before

    def spare(self) -> None:
        """The kill that was asked for is not to be."""
        self._killed_at = -1

    def acknowledge(self, folder: Path, body: bytes) -> bool:
        """A client has its answer from the process in `folder`; says whether that process was still alive."""
        with self._lock:
            if alive := folder == self.folder:
                self.events.append(Event("acknowledged", data=body))
            return alive

    def do(self, path: Path, operation: Callable[[], None], *events: Event) -> None:
        """Does it, and takes it down if it happened in the folder."""
        with self._lock:
            due = len(self.events) >= self._killed_at >= 0 and self._before in {"", " ".join(events[0][:2])}
            if due and path.parent == self.folder:
                self._kill()
            operation()
            if path.parent == self.folder:
                for event in events:
                    self._take_down(event)

    def _kill(self) -> None:
        files = [self.folder / name for name in sorted(self._names)]
        self.folder, self._killed_at = self._next, -1
        self.folder.mkdir()
        # In another process: to close a file gives up all locks that this one holds on it, SQLite's too.
        subprocess.run(["cp", "--", *files, self.folder], check=True)

    def _take_down(self, event: Event) -> None:
        if event.what == "delete":
            self._names.discard(event.name)
        elif event.name and event.name not in self._names:
            self._names.add(event.name)
            self.events.append(Event("create", event.name))
            if event.what == "create":
                return
        elif event.what == "create":
            return
        self.events.append(event)


class _File(apsw.VFSFile):
    """A file of the unix VFS, whose properties (sector size, powersafe overwrite) it leaves as they are."""

    def __init__(self, record: Record, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        self._record = record
        self._syncs_names = bool(flags[0] & _LOGS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        record.do(
            self._path, lambda: super(_File, self).__init__("unix", name, flags), Event("create", self._path.name)
        )

    def xLock(self, level: int) -> None:  # noqa: N802  SQLite's name
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # A reader that closes asks for a lock that only a writer can have, and does not mind; apsw would.
            raise apsw.BusyError from error

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        event = Event("write", self._path.name, offset, bytes(data))
        self._record.do(self._path, lambda: super(_File, self).xWrite(data, offset), event)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        event = Event("truncate", self._path.name, size)
        self._record.do(self._path, lambda: super(_File, self).xTruncate(size), event)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._record.lies(self._path.name):
            return
        events = [Event("sync", self._path.name)]
        if self._syncs_names:
            events.append(Event("sync-names"))
        # Not asked of the real disk, where it would take its time: what a power cut leaves is made from the record.
        self._record.do(self._path, lambda: None, *events)
        self._syncs_names = False


class _Vfs(apsw.VFS):
    def __init__(self, record: Record) -> None:
        self.name = f"recorded-{id(record)}"
        self._record = record
        super().__init__(self.name, "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self._record, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        path = Path(filename)
        events = [Event("delete", path.name), *([Event("sync-names")] if syncdir else [])]
        self._record.do(path, lambda: super(_Vfs, self).xDelete(filename, syncdir), *events)


class _Done(NamedTuple):
    """What hooklab uses of a `sqlite3.Cursor`."""

    rows: list[Any]
    lastrowid: int

    def fetchall(self) -> list[Any]:
        return self.rows

    def close(self) -> None:
        """All was read."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


class _Plain:
    """What hooklab uses of `sqlite3.Connection`."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def execute(self, sql: str, values: Sequence[Any] = ()) -> _Done:
        rows = self._db.execute(sql, tuple(values)).fetchall()
        return _Done(rows, self._db.last_insert_rowid())

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction


class _Connection:
    """What hooklab uses of `aiosqlite.Connection`: each has a thread of its own, as there."""

    def __init__(self, path: str, vfs: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._open = path, vfs
        self._db: apsw.Connection

    def __await__(self) -> Generator[Any, None, Self]:
        return self._connected().__await__()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connected(self) -> Self:
        path, vfs = self._open
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._db = await self._call(apsw.Connection, path, flags, vfs)
        return self

    async def execute_fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        rows: list[Any] = await self._call(lambda: self._db.execute(sql, tuple(values)).fetchall())
        return rows

    async def execute_insert(self, sql: str, values: Sequence[Any] = ()) -> tuple[int]:
        await self.execute_fetchall(sql, values)
        return (self._db.last_insert_rowid(),)

    async def executescript(self, sql: str) -> None:
        await self.execute_fetchall(sql)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    @property
    def total_changes(self) -> int:
        return self._db.total_changes()

    async def close(self) -> None:
        await self._call(self._db.close)
        self._thread.shutdown()

    @property
    def _conn(self) -> "_Plain":
        return _Plain(self._db)

    async def _execute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self._call(work, *arguments)

    async def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


@contextlib.contextmanager
def recording(record: Record) -> Iterator[None]:
    """Within it, hooklab's connections are on a VFS that keeps `record`."""
    vfs = _Vfs(record)

    def connect(path: Path | str, **_: Any) -> _Connection:
        return _Connection(str(path), vfs.name)

    with mock.patch("aiosqlite.connect", connect):
        yield
    vfs.unregister()
