"""Journal or store damaged: flipped bytes, pages of noise or zeroes, files cut off, a WAL or a store that is gone."""

import contextlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from support import NotReady, RunningService, conserved, hooklab, unpacking
from test_projector import rows_of

from faults.stage import Figures, Stage, wait_until

_FILES: Final = ("journal.db", "journal.db-wal", "store.db", "store.db-wal")
_PAGE: Final = 4096
_SOCKET: Final = shutil.ignore_patterns("*.sock")
Harm = Callable[[Path, random.Random], None]
AT_MOST: Final = {"unsaid": 0.0, "refused_in_one_line": 0.0}


def run(place: Path, *, rounds: int = 200, messages: int = 2000, seed: str = "damage") -> Figures:
    """Each round harms one file of a copy of a folder as `kill -9` left it, and starts a service on it."""
    killed = place / "killed"
    with Stage(place, folder=killed) as stage:
        sender = stage.simulate("--messages", str(messages), "--chaos", "--seed", seed)
        stage.sent(sender)
        stage.kill()
    whole = place / "whole"
    shutil.copytree(killed, whole, ignore=_SOCKET)
    with RunningService(whole) as service:
        service.settled(60)
    bodies, store = _bodies(whole), rows_of(whole / "store.db")
    chance = random.Random(seed)
    figures: Counter[str] = Counter()
    for number in range(rounds):
        folder = place / f"round{number}"
        shutil.copytree(killed, folder, ignore=_SOCKET)
        file, harm = chance.choice(_FILES), chance.choice(list(_HARMS))
        _HARMS[harm](folder / file, chance)
        what = f"{harm} in {file}, round {number} of seed {seed}"
        figures += _one(folder, file, bodies, store, what, gone=harm in {"cut off", "gone"})
        shutil.rmtree(folder)
    return {
        "rounds": rounds,
        "came_up": figures["came up"],
        "refused_in_one_line": rounds - figures["came up"],
        "stores_rebuilt": figures["stores rebuilt"],
        "journals_salvaged": figures["journals salvaged"],
        "journals_salvaged_by_hand": figures["met by salvage only"],
        "batches": len(bodies) * rounds,
        "lost": figures["lost"],
        "of_those_with_a_wal_that_was_cut_off_or_gone": figures["lost with a WAL"],
        "damaged_bodies_in_quarantine": figures["damaged"],
        "unsaid": figures["unsaid"],
    }


def _one(
    folder: Path, file: str, bodies: dict[int, bytes], store: dict[str, Any], what: str, *, gone: bool
) -> Counter[str]:
    figures: Counter[str] = Counter()
    service = RunningService(folder)
    try:
        with service:
            wait_until(lambda: service.admin("/status")[1].get("lag") == 0, f"the end of the lag after {what}", 60)
            counters = service.stats()
            assert conserved(counters), what
    except NotReady:
        # It may refuse, but only in one line that names the file, and with nothing emptied.
        assert service.stderr.count(b"\n") == 1, (what, service.stderr)
        assert file.removesuffix("-wal").encode() in service.stderr, (what, service.stderr)
        return figures
    said = service.stderr.decode()
    assert "Traceback" not in said, (what, said)
    if not _is_sound(folder / "journal.db"):
        # Nothing that a start reads lies there: `doctor` meets it, and this is what it advises.
        done = hooklab("salvage", "--yes", data_dir=folder)
        assert done.returncode == 0, (what, done.stderr)
        said += f"{folder}/journal.db {done.stdout.decode()}"
        figures["met by salvage only"] += 1
    found = _bodies(folder)
    lost = sum(number not in found for number in bodies)
    damaged = sum(found[number] != body for number, body in bodies.items() if number in found)
    assert not found.keys() - bodies.keys(), what
    assert counters["malformed"] >= damaged or not list(folder.glob("store.db.aside*")), what
    figures.update({"came up": 1, "lost": lost, "damaged": damaged})
    figures["stores rebuilt"] += bool(list(folder.glob("store.db.aside*")))
    figures["journals salvaged"] += bool(list(folder.glob("journal.db*aside*")))
    if lost and gone and file == "journal.db-wal":
        figures["lost with a WAL"] += lost  # what a file held that ends early cannot be known
        assert what.startswith("cut off") or "journal.db-wal is not there" in said, (what, said)
    elif lost:
        assert f"{folder}/journal.db" in said, (what, "batches were lost and nothing was said", said)
        figures["unsaid"] += "journal.db" not in said
    if not lost and not damaged:
        assert rows_of(folder / "store.db") == store, f"{what}: the journal is whole, and the store is another"
    return figures


def _is_sound(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def _bodies(folder: Path) -> dict[int, bytes]:
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(unpacking(connection).execute("SELECT sequence, body_of(encoding, body) FROM batches"))


def _overwrite(size: int, fill: Callable[[random.Random, int], bytes]) -> Harm:
    def harm(path: Path, chance: random.Random) -> None:
        at = chance.randrange(max(path.stat().st_size - size, 1))
        if size >= _PAGE:
            at = at // _PAGE * _PAGE
        with path.open("r+b") as file:
            file.seek(at)
            file.write(fill(chance, size))

    return harm


def _cut_off(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(chance.randrange(path.stat().st_size))


def _gone(path: Path, chance: random.Random) -> None:
    if path.name == "journal.db":  # that is the loss of the only disk
        _cut_off(path, chance)
    else:
        path.unlink()


_HARMS: Final[dict[str, Harm]] = {
    "a flipped byte": _overwrite(1, lambda chance, _: bytes((chance.randrange(256),))),
    "a sector of noise": _overwrite(512, random.Random.randbytes),
    "a page of zeroes": _overwrite(_PAGE, lambda _, size: bytes(size)),
    "many pages of noise": _overwrite(10 * _PAGE, random.Random.randbytes),
    "cut off": _cut_off,
    "gone": _gone,
}
