"""The power fails under a running service: a real XFS on a loop device is shut down, and recovers by its log."""

import contextlib
import http.client
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support import RunningService, body_of, pair

from faults.stage import CannotRun, Figures, Stage, quantile
from faults.torn import is_sound, read_journal

_TOOLS: Final = ("mkfs.xfs", "xfs_io", "mount", "umount")
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Disk:
    """A small disk with XFS whose power can be cut; leaving the block unmounts it.

    Attributes:
        root: where it is mounted.
    """

    def __init__(self, place: Path, mib: int = 400) -> None:
        """`place` is a folder on another disk."""
        self.root = place / "disk"
        self._image = place / "disk.img"
        self._mib = mib

    def __enter__(self) -> Self:
        """Makes and mounts it.

        Raises:
            CannotRun: this user or this machine cannot.
        """
        if missing := [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]:
            raise CannotRun(f"{', '.join(missing)}: not installed")
        if os.geteuid() != 0:
            raise CannotRun("only root may mount a disk")
        self.root.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._mib << 20)
        try:
            _run("mkfs.xfs", "-q", self._image)
            self._mount()
        except subprocess.CalledProcessError as error:
            raise CannotRun(f"no XFS on a loop device: {error.stderr.decode().strip()}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._unmount()
        except subprocess.CalledProcessError:
            with contextlib.suppress(subprocess.CalledProcessError):  # it is not mounted
                _run("umount", "--lazy", self.root)

    def cut(self) -> None:
        """The power is gone: nothing more reaches the disk, not even what its log still had in memory."""
        _run("xfs_io", "-x", "-c", "shutdown", self.root)

    def come_back(self) -> None:
        """The power is back, and the file system puts itself right. Whoever used the disk must have ended."""
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        # The loop device goes with the mount.
        _run("mount", "-t", "xfs", "-o", "loop", self._image, self.root)

    def _unmount(self) -> None:
        ends = time.monotonic() + 10
        while True:
            try:
                _run("umount", self.root)
            except subprocess.CalledProcessError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)  # who was killed may still be letting go of it
            else:
                return


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _PATH}, timeout=60)


class Blackout:
    """Power cuts under one service on a disk, and what they showed.

    Attributes:
        refused: posts that got a 503 while there was no disk.
        died: services that had ended by themselves by then.
        cuts: so far.
    """

    def __init__(self, stage: Stage, disk: Disk, look: Path, chance: random.Random) -> None:
        """`look` is a place for copies of the two files, on another disk."""
        self.refused = self.died = self.cuts = 0
        self._stage = stage
        self._disk = disk
        self._look = look
        self._chance = chance
        self._own: Counter[bytes] = Counter()

    def post(self) -> None:
        """One batch of our own, which is answered 200."""
        body = body_of(pair(self._chance))
        assert self._stage.service.post(body)[0] == 200
        self._own[body] += 1

    def cut(self) -> None:
        """Cuts the power, looks whether the service says 200 without a disk, and starts it on what is left."""
        self._disk.cut()
        self.cuts += 1
        for _ in range(self._chance.choice((0, 1, 3))):
            self._post_in_vain()
            time.sleep(self._chance.uniform(0, 0.4))
        self._stage.kill()
        self._disk.come_back()
        self.look()
        self._stage.start()

    def look(self) -> None:
        """Both files are sound, the store is not ahead, and our own batches are there. No service may run."""
        self._look.mkdir()
        for name in ("journal.db", "store.db"):
            for file in (self._stage.folder / name, self._stage.folder / f"{name}-wal"):
                if file.exists():
                    shutil.copy(file, self._look)
        last, bodies = read_journal(self._look / "journal.db")
        assert is_sound(self._look / "store.db", last), "the store is damaged"
        lost = self._own - Counter(bodies)
        assert not lost, f"{lost.total()} acknowledged batches are lost"
        shutil.rmtree(self._look)

    def _post_in_vain(self) -> None:
        try:
            status, _ = self._stage.service.post(body_of(pair(self._chance)))
        except (OSError, http.client.HTTPException):
            self.died += self._stage.service.process.poll() is not None
            return
        assert status == 503, f"answered {status} without a disk"
        self.refused += 1


def run(
    place: Path,
    *,
    cuts: int = 50,
    cuts_a_folder: int = 5,
    messages: int = 10_000,
    seed: str = "power",
    kind: type[RunningService] = RunningService,
) -> Figures:
    """Cuts the power `cuts` times while the simulator sends; after every few, all begins anew in an empty folder.

    Args:
        place: a folder on another disk.
        cuts: in all, but for those in a service's first second.
        cuts_a_folder: the first of them right after the first 200.
        messages: that one simulator sends.
        seed: of the moments.
        kind: of service.
    """
    chance = random.Random(seed)
    totals: Counter[str] = Counter()
    restarts: list[float] = []
    with Disk(place) as disk:
        while totals["cuts"] < cuts:
            totals["folders"] += 1
            folder = disk.root / f"data{totals['folders']}"
            if totals["folders"] % 2:
                _cut_while_it_starts(kind(folder), disk, chance)
            with Stage(place, folder=folder, kind=kind) as stage:
                blackout = Blackout(stage, disk, place / "look", chance)
                many = min(cuts_a_folder, cuts - totals["cuts"])
                totals.update(_in_one_folder(blackout, stage, many, messages, chance))
            blackout.look()
            restarts += stage.restarts
            shutil.rmtree(folder)
    return {
        **totals,
        "lost": 0,
        "restart_p50_s": round(quantile(restarts, 0.5), 2),
        "restart_max_s": round(max(restarts), 2),
    }


def _cut_while_it_starts(service: RunningService, disk: Disk, chance: random.Random) -> None:
    """The very first start of a service does not come to its end."""
    starting = subprocess.Popen(service.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(chance.uniform(0.2, 1.2))
        disk.cut()
    finally:
        starting.kill()
        starting.wait()
    disk.come_back()


def _in_one_folder(
    blackout: Blackout, stage: Stage, cuts: int, messages: int, chance: random.Random
) -> dict[str, int]:
    figures: Counter[str] = Counter()
    truths: list[Path] = []
    blackout.post()
    blackout.cut()
    while blackout.cuts < cuts:
        truths.append(stage.truth.with_name(f"truth-{stage.folder.name}-{len(truths)}.jsonl"))
        sender = stage.simulate(
            "--messages", str(messages), "--chaos", "--seed", truths[-1].name, "--tries", "1000",
            "--give-up", "300", truth=truths[-1],
        )  # fmt: skip
        while sender.poll() is None and blackout.cuts < cuts:
            time.sleep(chance.uniform(0.05, 2.0))  # the moment of the fault
            if sender.poll() is None:
                blackout.cut()
        stage.sent(sender)
    for truth in truths:
        found = stage.verify("--others-allowed", truth=truth)
        figures.update({name: found[name] for name in ("messages", "acknowledged", "reports", "repeats")})
    figures.update({"cuts": blackout.cuts, "refused_503": blackout.refused, "died": blackout.died})
    return dict(figures)
