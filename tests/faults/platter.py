"""What a disk may hold after a power cut, from the record of what was asked of it."""

import random
from pathlib import Path
from typing import Final

from faults.recorded import Event

SECTOR: Final = 512
"""What a disk writes whole or not at all."""


class Platter:
    """A folder on a disk: what is on it for certain, and what may be.

    Synced bytes and names are there. Of what came after a file's last sync each write is there, is not, or is torn
    between sectors; each cut of its size, and each name that was made or deleted, is there or is not.
    """

    def __init__(self) -> None:
        self._files: list[bytearray] = []
        """What is on the disk for certain, by inode."""
        self._pending: list[list[Event]] = []
        self._names: dict[str, int] = {}
        self._pending_names: list[tuple[str, int | None]] = []
        self._inodes: dict[str, int] = {}
        """As the kernel shows them."""

    def take(self, event: Event) -> None:
        """One more thing is asked of the disk."""
        name = event.name
        if event.what == "create":
            self._inodes[name] = len(self._files)
            self._pending_names.append((name, len(self._files)))
            self._files.append(bytearray())
            self._pending.append([])
        elif event.what == "delete":
            del self._inodes[name]
            self._pending_names.append((name, None))
        elif event.what == "sync-names":
            self._names = dict(self._inodes)
            self._pending_names.clear()
        elif event.what == "sync":
            inode = self._inodes[name]
            for pending in self._pending[inode]:
                _apply(self._files[inode], pending)
            self._pending[inode].clear()
        elif event.what in {"write", "truncate"}:
            self._pending[self._inodes[name]].append(event)

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Writes to `folder`, which is made, what the disk may hold if the power fails now."""
        folder.mkdir()
        kept = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        torn = chance.choice((0.0, 0.1, 0.5))
        names = dict(self._names)
        for name, inode in self._pending_names:
            if chance.random() < kept:
                names.pop(name, None)
                if inode is not None:
                    names[name] = inode
        for name, inode in names.items():
            content = bytearray(self._files[inode])
            for pending in self._pending[inode]:
                if pending.what == "write" and chance.random() < torn:
                    _tear(content, pending, len(self._files[inode]), chance)
                elif chance.random() < kept:
                    _apply(content, pending)
            (folder / name).write_bytes(content)


def _apply(content: bytearray, event: Event) -> None:
    if event.what == "truncate":
        _resize(content, event.at)
        return
    _grow(content, event.at)
    content[event.at : event.at + len(event.data)] = event.data


def _tear(content: bytearray, event: Event, synced: int, chance: random.Random) -> None:
    """Some sectors of a write arrive. Where the others are new to the file they are as they were, or zeroes."""
    share = chance.choice((0.2, 0.5, 0.8))
    at, end = event.at, event.at + len(event.data)
    while at < end:
        until = min(at - at % SECTOR + SECTOR, end)
        if chance.random() < share:
            _apply(content, Event("write", at=at, data=event.data[at - event.at : until - event.at]))
        elif at >= synced and chance.random() < 0.5:
            _apply(content, Event("write", at=at, data=bytes(until - at)))
        at = until


def _resize(content: bytearray, size: int) -> None:
    _grow(content, size)
    del content[size:]


def _grow(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))
