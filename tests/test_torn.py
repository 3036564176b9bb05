"""The power fails: nothing acknowledged is lost, and hooklab takes up where the disk left it."""

import asyncio
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from faults.lived import Life, record_load
from faults.platter import SECTOR, Platter
from faults.recorded import Event
from faults.torn import Cut, broken_in, go_on, judge, with_synchronous

from hooklab import database
from hooklab.files import Folder


def test_nothing_acknowledged_is_lost_in_a_power_cut(tmp_path: Path) -> None:
    """Over 300 cuts: acknowledged batches are in the journal, both files are sound, the store is not ahead."""
    load = asyncio.run(record_load(tmp_path, "short"))
    asked = [(event.what, event.name) for event in load.events]
    for name in ("journal.db", "store.db"):
        assert asked.count(("sync", name)) >= 3, f"hardly a checkpoint of {name} belongs to the record"
        begun = sum(event[:3] == ("write", f"{name}-wal", 0) for event in load.events)
        assert begun >= 3, f"the WAL of {name} hardly ever began anew"
    figures = judge(load, tmp_path, 300, "short", every=25)
    assert figures["cuts"] == 300
    assert figures["went_on"] >= 12


def test_without_an_fsync_for_each_commit_acknowledged_batches_are_lost(tmp_path: Path) -> None:
    """The same with `synchronous=NORMAL` on the journal loses some: the test above would notice."""
    with with_synchronous("NORMAL"):
        load = asyncio.run(record_load(tmp_path, "normal"))
    assert broken_in(load, tmp_path, 100, "normal") >= 10


@pytest.mark.parametrize("liar", ["journal.db-wal", "journal.db"])
def test_a_disk_that_lies_about_fsync_loses(tmp_path: Path, liar: str) -> None:
    """The promise ends where an fsync of the WAL, or of the file that a checkpoint filled, does nothing."""
    load = asyncio.run(record_load(tmp_path, "liar", lies=lambda name: name == liar))
    assert broken_in(load, tmp_path, 100, "liar") >= 10


def test_a_store_never_runs_ahead_of_what_a_kill_left_unsynced(tmp_path: Path) -> None:
    """Killed in a commit, started anew, then a power cut: what was only in the kernel's memory is not projected."""
    assert not any(_broken_after_a_kill_in_a_commit(tmp_path, number) for number in range(8))


def test_without_the_opening_checkpoint_a_store_runs_ahead(tmp_path: Path) -> None:
    """The same without the rule of the design's section 5: the test above would notice."""
    real = database.checkpoint

    async def passive_only(connection: Any, mode: str) -> None:
        if mode == "PASSIVE":
            await real(connection, mode)

    async def no_look(*_: Any) -> None:
        """The look for a damaged WAL begins with a checkpoint too."""

    with (
        mock.patch("hooklab.journal.opening.checkpoint", passive_only),
        mock.patch("hooklab.journal.opening._keep_damaged_wal", no_look),
    ):
        assert any(_broken_after_a_kill_in_a_commit(tmp_path, number) for number in range(30))


def _broken_after_a_kill_in_a_commit(place: Path, number: int) -> int:
    folder = place / str(number)
    folder.mkdir()
    lives = [Life(posts=40, killed_after=120 + 10 * number, before="sync journal.db-wal"), Life(posts=0)]
    load = asyncio.run(record_load(folder, f"ahead{number}", lives))
    return broken_in(load, folder, 60, f"ahead{number}", near_end=30)


def test_a_power_cut_while_the_files_are_made_is_taken_up(tmp_path: Path) -> None:
    """Also where the first page of a file never reached the disk, though its size did."""
    load = asyncio.run(record_load(tmp_path, "made", [Life(posts=1)]))
    platter, chance = Platter(), random.Random("made")
    begun = odd = 0
    for event in load.events:
        if event.what == "acknowledged":
            break
        platter.take(event)
        if event.what != "write" or not event.name.endswith(".db") or event.at:
            continue
        begun += 1
        for _ in range(60):
            folder = tmp_path / "cut"
            platter.cut(folder, chance)
            if not any(path.read_bytes()[:SECTOR] == bytes(SECTOR) for path in folder.glob("*.db")):
                shutil.rmtree(folder)
                continue
            odd += 1
            assert not asyncio.run(go_on(Cut(folder, Counter(), load.posted, ""))), (
                "a file that was never used was put aside"
            )
            shutil.rmtree(folder)
    assert begun >= 2
    assert odd >= 2


def test_a_new_folder_is_made_to_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder that was made has its name fsynced in the one above; one that was there is left alone."""
    real, synced = os.fsync, []

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(Path(f"/proc/self/fd/{fd}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    folder = Folder(tmp_path / "var" / "lib" / "hooklab")
    folder.prepare()
    assert set(synced) == {tmp_path, tmp_path / "var", tmp_path / "var" / "lib"}
    synced.clear()
    folder.prepare()
    assert synced == []


def test_a_platter_keeps_what_was_synced_and_any_part_of_the_rest(tmp_path: Path) -> None:
    """Synced bytes and names are always there; later writes wholly, not at all, or in some of their sectors."""
    old, new = b"o" * 4 * SECTOR, b"n" * 4 * SECTOR
    events = [
        Event("create", "a"),
        Event("write", "a", 0, old),
        Event("sync", "a"),
        Event("sync-names"),
        Event("create", "b"),
        Event("write", "a", 0, new),
        Event("write", "a", 4 * SECTOR, new),
        Event("delete", "a"),
    ]
    platter, chance = Platter(), random.Random(1)
    for event in events:
        platter.take(event)
    images = set()
    for number in range(300):
        platter.cut(tmp_path / str(number), chance)
        files = {path.name: path.read_bytes() for path in (tmp_path / str(number)).iterdir()}
        images.add((files.get("a"), "b" in files))
    contents = {content for content, _ in images if content is not None}
    assert {old, new + new, old + new, new} <= contents
    assert any(content is None for content, _ in images)
    assert {made for _, made in images} == {True, False}
    for content in contents:
        sectors = [content[at : at + SECTOR] for at in range(0, len(content), SECTOR)]
        assert all(len(set(sector)) == 1 for sector in sectors), "a sector is torn"
        assert all(sector[:1] in (b"o", b"n") for sector in sectors[:4]), "synced bytes went"
    torn = [content for content in contents if content[: 4 * SECTOR] not in (old, new)]
    assert torn
