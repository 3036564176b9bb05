"""Reads SQLite's file format (sqlite.org/fileformat2.html) page by page, for files that SQLite itself gives up on.

Only what a salvage wants: the rows on the leaf pages of tables, as they stand in the file and in its WAL. A page is
taken for what it claims to be; whoever uses the rows checks that they can be true.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_LEAF: Final = 0x0D
_HEADER: Final = 100
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_WAL_MAGIC: Final = (0x377F0682, 0x377F0683)
_USUAL_PAGE: Final = 4096
_SIZES: Final = frozenset(1 << bits for bits in range(9, 17))
_READ_PAGES: Final = 256
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Row = tuple[int, list[Any]]
"""A row's rowid and its values: None, int, str or bytes."""


class Wal:
    """The frames of a WAL file that belong together, whether or not their checksums hold."""

    def __init__(self, path: Path) -> None:
        """Reads the headers of `path`, which may be absent or empty."""
        self._path = path
        self.page_size = _USUAL_PAGE
        self.frames: list[tuple[int, int]] = []
        """For each frame its page number and where its page begins in the file."""
        self.committed = 0
        """Frames up to the last one that ends a transaction, damaged ones among them."""
        try:
            with path.open("rb") as file:
                self._read(file.fileno(), os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            pass

    def _read(self, fd: int, size: int) -> None:
        head = os.pread(fd, _WAL_HEADER, 0)
        is_whole = is_wal_header(head)
        page_size = int.from_bytes(head[8:12])
        self.page_size = page_size if is_whole and page_size in _SIZES else _USUAL_PAGE
        step = _FRAME_HEADER + self.page_size
        starts = range(_WAL_HEADER, size - step + 1, step)
        heads = [os.pread(fd, _FRAME_HEADER, at) for at in starts]
        # Frames of one generation carry the same salts, and what is left of an older one others.
        salts = head[16:24] if is_whole else _common_salts(heads)
        for number, (at, frame) in enumerate(zip(starts, heads, strict=True), start=1):
            if frame[8:16] == salts:
                self.frames.append((int.from_bytes(frame[:4]), at + _FRAME_HEADER))
                if int.from_bytes(frame[4:8]):
                    self.committed = number


def _common_salts(heads: Sequence[bytes]) -> bytes | None:
    """The salts of the first frames that agree: the header that has them is damaged, and a frame may be as well."""
    return next((one[8:16] for one, other in pairwise(heads) if one[8:16] == other[8:16]), None)


def is_wal_header(head: bytes) -> bool:
    """Whether the first 32 bytes of a WAL are as SQLite wrote them, by their checksum."""
    if len(head) < _WAL_HEADER or int.from_bytes(head[:4]) not in _WAL_MAGIC:
        return False
    order = "big" if head[3] & 1 else "little"
    words = [int.from_bytes(head[at : at + 4], order) for at in range(0, 24, 4)]  # type: ignore[arg-type]
    one = two = 0
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return head[24:32] == one.to_bytes(4) + two.to_bytes(4)


class Pages:
    """A database file and its WAL as pages; the WAL's newest version of a page is the one that counts."""

    def __init__(self, path: Path, wal: Path | None = None) -> None:
        """Names the file, and its WAL where that lies elsewhere; `with` opens them."""
        self._path = path
        self._wal_path = wal or path.with_name(path.name + "-wal")
        self._file = self._wal_file = -1

    def __enter__(self) -> Self:
        """Opens both.

        Raises:
            OSError: the file cannot be read.
        """
        self.wal = Wal(self._wal_path)
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        if self.wal.frames:
            self._wal_file = os.open(self._wal_path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = self._page_size()
        self.count = -(-os.fstat(self._file).st_size // self.size)
        self._newest = dict(self.wal.frames)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes both."""
        for fd in (self._file, self._wal_file):
            if fd >= 0:
                os.close(fd)

    def _page_size(self) -> int:
        if self.wal.frames:
            return self.wal.page_size
        head = os.pread(self._file, _HEADER, 0)
        size = int.from_bytes(head[16:18])
        size = 65536 if size == 1 else size
        return size if head.startswith(b"SQLite format 3\0") and size in _SIZES else _USUAL_PAGE

    def rows(self, *, only_wal: bool = False) -> Iterator[Row]:
        """The rows on every version of every leaf page, in the order of the files; the same row may come often."""
        if not only_wal:
            for first in range(0, self.count, _READ_PAGES):
                block = os.pread(self._file, _READ_PAGES * self.size, first * self.size)
                for at in range(0, len(block), self.size):
                    start = _HEADER if first + at == 0 else 0
                    if block[at + start : at + start + 1] == bytes((_LEAF,)):
                        yield from self._rows_of(block[at : at + self.size], start)
        for number, offset in self.wal.frames:
            page = os.pread(self._wal_file, self.size, offset)
            start = _HEADER if number == 1 else 0
            if page[start : start + 1] == bytes((_LEAF,)):
                yield from self._rows_of(page, start)

    def _rows_of(self, page: bytes, start: int) -> Iterator[Row]:
        cells = int.from_bytes(page[start + 3 : start + 5])
        for place in range(start + 8, min(start + 8 + 2 * cells, len(page) - 1), 2):
            try:
                yield self._cell(page, int.from_bytes(page[place : place + 2]))
            except (ValueError, IndexError):
                continue  # a cell that is no cell; its neighbours may be

    def _cell(self, page: bytes, at: int) -> Row:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if size > self.size * (self.count + len(self.wal.frames)):
            raise ValueError("larger than the file")
        local = self._local(size)
        payload = page[at : at + local]
        if len(payload) < local:
            raise ValueError("beyond its page")
        if local < size:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4]), size - local)
        return _signed(rowid), _record(payload)

    def _local(self, size: int) -> int:
        """How much of a payload of `size` bytes lies on the leaf itself; the rest is on overflow pages."""
        most = self.size - 35
        if size <= most:
            return size
        least = (self.size - 12) * 32 // 255 - 23
        wanted = least + (size - least) % (self.size - 4)
        return wanted if wanted <= most else least

    def _overflow(self, number: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            page = self._page(number)
            parts.append(page[4 : 4 + min(size, self.size - 4)])
            number = int.from_bytes(page[:4])
            size -= len(parts[-1])
        return b"".join(parts)

    def _page(self, number: int) -> bytes:
        offset = self._newest.get(number)
        if offset is not None:
            page = os.pread(self._wal_file, self.size, offset)
        elif 0 < number <= self.count:
            page = os.pread(self._file, self.size, (number - 1) * self.size)
        else:
            raise ValueError("there is no such page")
        if len(page) < self.size:
            raise ValueError("the page is cut off")
        return page


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's integer of 1 to 9 bytes at `at`, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _record(payload: bytes) -> list[Any]:
    header, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError("its lengths do not add up")
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in _INTEGER_BYTES:
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], signed=True), end
    if kind < 12:
        raise ValueError("a kind of value that we do not write")
    end = at + (kind - 12) // 2
    if end > len(payload):
        raise ValueError("beyond its record")
    raw = payload[at:end]
    return (raw if kind % 2 == 0 else raw.decode()), end
