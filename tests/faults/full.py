"""The disk is full: a small one is filled by the load until nothing more goes in; then there is room again."""

import base64
import random
import time
from collections import Counter
from pathlib import Path
from typing import Final

from faults.machine import MIB, fill, small_disk
from faults.stage import Figures, Stage, quantile, wait_until

DISK: Final = 8 * MIB
_PIECE: Final = MIB // 2
_PIECES: Final = 13
"""With these there is room for half of the load's least; when all are gone, for all of it."""
_BACK_SECONDS: Final = 20.0
"""Far beyond the promise of 5 s, which the figures tell: a test asserts no timing."""
_LINES: Final = {
    "journal_full": "the journal cannot be written: database or disk is full",
    "reserve_reached": "the disk is nearly full",
    "projection_full": "projection waits: database or disk is full",
}
"""What the log says of it, by the name of its figure."""


def run(place: Path, *, disks: int = 10, rounds: int = 4) -> Figures:
    """Fills `disks` small disks, `rounds` times each; every other one with no reserve, so that SQLite meets it."""
    seen: Counter[str] = Counter()
    back: list[float] = []
    for number in range(disks):
        options = ("--disk-reserve", "0") if number % 2 else ()
        with small_disk(place / f"{number}", DISK) as disk:
            _fill_and_free(place / f"{number}", disk, options, rounds, seen, back)
    assert seen["reserve_reached"], "the reserve was never reached"
    assert disks == 1 or (seen["journal_full"] and seen["projection_full"]), f"SQLite never met the end: {seen}"
    return {
        "disks": disks,
        "fills": len(back),
        **seen,
        "back_p50_s": round(quantile(back, 0.5), 2),
        "back_max_s": round(max(back), 2),
    }


def _fill_and_free(
    place: Path, disk: Path, options: tuple[str, ...], rounds: int, seen: Counter[str], back: list[float]
) -> None:
    """One disk: its load goes on until all of it is acknowledged, which takes all the room that is made."""
    pieces = [disk / f"filler{number}" for number in range(_PIECES)]
    for piece in pieces:
        piece.write_bytes(bytes(_PIECE))
    with Stage(place, *options, folder=disk / "data") as stage:
        sender = stage.simulate("--messages", "800", "--chaos", "--seed", place.name, "--tries", "1000")
        for _ in range(rounds):
            wait_until(lambda: not _is_ready(stage), "the first 503", 60)
            fill(disk / "rest")  # somebody else takes what is left, if only for a moment
            _refuses_all(stage, seen)
            (disk / "rest").unlink()
            pieces.pop().unlink()
            back.append(
                wait_until(lambda: _is_ready(stage), "ready again without being asked anything", _BACK_SECONDS)
            )
        for piece in pieces:
            piece.unlink()
        figures = stage.sent(sender, 120)
        refused = stage.service.admin("/status")[1]["refused"]
        assert set(refused) == {"503"}, refused
        assert figures["refused"] <= refused["503"], "the sender was refused more than the service knows of"
        stage.service.terminate()
        log = stage.service.stderr.decode()
        assert "Traceback" not in log, log
        for name, text in _LINES.items():
            seen[name] += log.count(text)
        stage.start()
        found = stage.verify()
    seen["refused"] += figures["refused"]
    for name in ("acknowledged", "reports", "repeats"):
        seen[name] += found[name]


def _is_ready(stage: Stage) -> bool:
    return stage.service.admin("/ready")[0] == 200


def _refuses_all(stage: Stage, seen: Counter[str]) -> None:
    """Nothing fits: a body that is larger than what is free, also packed, is answered 503, time and again."""
    body = b'["' + base64.b64encode(random.Random(0).randbytes(MIB)) + b'"]'
    for _ in range(5):
        assert stage.service.post(body)[0] == 503
        seen["probes_refused"] += 1
        time.sleep(0.05)  # the load goes on meanwhile
    assert stage.service.admin("/health")[0] == 200
