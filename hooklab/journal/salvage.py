"""Saves what can be read of a damaged journal.

SQLite gives up on a file at the first page that is not as it should be. The batches on all other pages are still
there, and each carries the digest of its body: what has the right one is what was received.
"""

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct

from hooklab.database import DatabaseError, Kind, put_aside, remove_database
from hooklab.files import fsync, touch_private
from hooklab.journal.packing import SEAL_BYTES, is_whole
from hooklab.journal.pages import Pages, Row, Wal

log = logging.getLogger("hooklab.journal")

_COLUMNS: Final[tuple[tuple[type, ...], ...]] = (
    (type(None),),  # the rowid's place
    (int,),
    (int,),
    (str,),
    (str, type(None)),
    (str,),
    (int,),
    (bytes,),
    (int,),
    (bytes,),
)
"""What a batch's row may hold, in the order of the journal's schema."""
_DIGEST, _BODY = 7, 9
_SLICE_BYTES: Final = 8 * 1024 * 1024
_SAYS_EVERY: Final = 5.0


class SalvageError(DatabaseError):
    """Nothing can be saved, or not now; the text says why and what to do."""


class Salvaged(Struct, frozen=True):
    """What was saved.

    Attributes:
        batches: how many are in the new journal.
        damaged: how many of them have a body that is not as it was received; the projector puts those in quarantine.
        missing: numbers from the first found to the last given for which nothing was found.
        last: the greatest number that is known to have been given.
        aside: where the damaged file is now.
    """

    batches: int
    damaged: int
    missing: int
    last: int
    aside: Path


def holds_batches(path: Path) -> bool:
    """Whether a file that SQLite does not know for a journal was one: it has a batch whose digest is right."""
    with Pages(path) as pages:
        return any(_is_batch(row) and _is_whole(row) for row in pages.rows())


def cut_off_frames(path: Path, recognized: int) -> int:
    """How many committed frames the WAL of `path` has beyond the `recognized` ones that SQLite goes by.

    SQLite reads a WAL up to the first frame whose checksum is wrong, and takes that for the end without a word.
    """
    return max(Wal(path.with_name(path.name + "-wal")).committed - recognized, 0)


def batches_in_wal(path: Path, wal: Path) -> list[Row]:
    """The whole batches in `wal`, which belongs to `path`, also behind a damaged frame, by their numbers."""
    with Pages(path, wal) as pages:
        found = {row[0]: row for row in pages.rows(only_wal=True) if _is_batch(row) and _is_whole(row)}
    return [found[number] for number in sorted(found)]


def salvage(path: Path, kind: Kind) -> Salvaged:
    """Puts a journal in the place of the damaged one at `path`, with all of its batches that can be read.

    The damaged file and its WAL are put aside under another name, nothing is deleted. Nobody may have `path` open.
    A crash at any moment leaves the damaged file, or the new one: `finish_salvage` and this go on from there.

    Args:
        path: the damaged journal.
        kind: a journal's marks and schema.

    Raises:
        SalvageError: nothing in it can be read as a batch, or what can be read cannot be written.
        OSError: it cannot be read.
    """
    new = path.with_name(path.name + ".salvaging")
    remove_database(new)
    try:
        with Pages(path) as pages, closing(_create(new, kind)) as connection:
            copy = _Copy(connection)
            copy.take(pages)
            counted = copy.finish()
        if not counted.batches:
            raise SalvageError(
                f"{path} is damaged and no batch in it can be read; put a copy of it back, or move it away to begin"
                " with an empty journal"
            )
        fsync(new)
        new.replace(_whole_copy(path))
        fsync(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise SalvageError(
            f"{path} is damaged, and what can be read of it cannot be saved: {error}; it needs as much room as the"
            " file takes"
        ) from error
    finally:
        remove_database(new)
    aside = finish_salvage(path)
    assert aside is not None
    return Salvaged(*counted, aside)


def finish_salvage(path: Path) -> Path | None:
    """Swaps the saved copy, if there is a whole one, for the damaged journal; gives the damaged one's new name."""
    new = _whole_copy(path)
    if not new.exists():
        return None
    # A crash on the way leaves the copy, and the next start goes on from there.
    aside = put_aside(path)
    fsync(path.parent)
    new.replace(path)
    fsync(path.parent)
    return aside


def _whole_copy(path: Path) -> Path:
    return path.with_name(path.name + ".salvaged")


def _create(path: Path, kind: Kind) -> sqlite3.Connection:
    touch_private(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"
        f"BEGIN; {kind.schema}; PRAGMA application_id={kind.application_id};"
        f"PRAGMA user_version={kind.version}; COMMIT"
    )
    return connection


class _Counted(NamedTuple):
    batches: int
    damaged: int
    missing: int
    last: int


class _Copy:
    """A new journal that takes rows as they are found, in any order and however often."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._damaged: set[int] = set()
        self._last = 0

    def take(self, pages: Pages) -> None:
        """All batches, and the greatest number that was ever given."""
        size, says_at = 0, time.monotonic() + _SAYS_EVERY
        self._connection.execute("BEGIN")
        for row in pages.rows():
            if _is_sequence(row):
                self._last = max(self._last, row[1][1])
            elif _is_batch(row):
                self._insert(row)
                size += len(row[1][_BODY])
            if size > _SLICE_BYTES:
                self._connection.execute("COMMIT")
                self._connection.execute("BEGIN")
                size = 0
                if time.monotonic() > says_at:
                    log.warning("saving what can be read: batch %d", row[0])
                    says_at = time.monotonic() + _SAYS_EVERY
        self._connection.execute("COMMIT")

    def _insert(self, row: Row) -> None:
        number, values = row
        whole = _is_whole(row)
        # A whole version takes a damaged one's place, and nothing takes a whole one's.
        how = "REPLACE" if whole and number in self._damaged else "IGNORE"
        marks = ",".join("?" * len(values))
        done = self._connection.execute(f"INSERT OR {how} INTO batches VALUES ({marks})", [number, *values[1:]])
        if whole:
            self._damaged.discard(number)
        elif done.rowcount:
            self._damaged.add(number)

    def finish(self) -> _Counted:
        """Keeps the numbers that were given from being given again."""
        [(batches, first, newest)] = self._connection.execute(
            "SELECT count(*), coalesce(min(sequence), 1), coalesce(max(sequence), 0) FROM batches"
        )
        last = max(self._last, newest)
        self._connection.execute("DELETE FROM sqlite_sequence")
        self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('batches', ?)", (last,))
        return _Counted(batches, len(self._damaged), last - first + 1 - batches, last)


def _is_batch(row: Row) -> bool:
    number, values = row
    return (
        number > 0
        and len(values) == len(_COLUMNS)
        and all(type(value) in kinds for value, kinds in zip(values, _COLUMNS, strict=True))
        and len(values[_DIGEST]) in (SEAL_BYTES, 16)
    )


def _is_whole(row: Row) -> bool:
    return is_whole(row[1][_BODY], row[1][_DIGEST])


def _is_sequence(row: Row) -> bool:
    """A row of SQLite's own table of the numbers that were given."""
    values: list[Any] = row[1]
    return len(values) == 2 and values[0] == "batches" and type(values[1]) is int
