"""The real `hooklab verify` on a run's folder, with the truth that follows from the seed of its bodies."""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bench.bodies import STAMPS, after, template
from bench.load import Load, Target
from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.monitor import FolderMonitor
from hooklab.simulator.truth import VERSION, BodyLine, CampaignLine, LifeLine, Misfit, Ref, TruthWriter

_UNSENT: Final = 16
"""Bodies that a generator may make and not send; wrk makes one only to see what a request looks like."""
_PATIENCE: Final = 600.0
_SAMPLE: Final = 500
_SHOWN: Final = 5


def lines(target: Target, bodies: int) -> Iterator[CampaignLine | LifeLine | BodyLine]:
    """The truth about the first `bodies` of a load.

    Which of them were answered a generator does not say, so that each may be there once or not; that as many are
    there as were answered is a matter of counting, and no body can stand in for another.
    """
    yield CampaignLine(VERSION, str(target.seed), "", {})
    made, number, life = template(target.reports, target.seed), target.seed % STAMPS, 0
    for at in range(bodies):
        number = after(number)
        body = made.body(number)
        elements: list[Ref | Misfit] = []
        for reports in _by_message(json.loads(body)):
            yield LifeLine(life, reports[0]["MessageId"], reports)
            elements += [(life, place) for place in range(len(reports))]
            life += 1
        yield BodyLine(at, sha256(body).hexdigest(), None, elements, posts=1)


def _by_message(reports: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return (reports[at : at + 2] for at in range(0, len(reports), 2))


def verify(folder: Path, target: Target, load: Load) -> tuple[float, list[str]]:
    """Runs `hooklab verify` on the folder of a service that has ended: seconds, and what is wrong."""
    began = time.perf_counter()
    truth = folder / "truth.jsonl"
    try:
        with TruthWriter(truth) as writer:
            writer.plan(lines(target, load.most() + target.connections + _UNSENT))
        command = [sys.executable, "-m", "hooklab", "verify", "--data-dir", str(folder), "--truth", str(truth)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    finally:
        truth.unlink(missing_ok=True)
    said = [] if done.returncode == 0 else [f"verify: {line}" for line in (done.stdout + done.stderr).splitlines()]
    return time.perf_counter() - began, [*said[-_SHOWN:], *unsound(Folder(folder))]


def lost(folder: Path, before: int) -> list[str]:
    """Of some of the batches after the first `before`: what the journal has and the store does not, or not so.

    The truth of a folder with millions of other reports would take minutes to compare.
    """
    return asyncio.run(_lost(Folder(folder), before))


async def _lost(folder: Folder, before: int) -> list[str]:
    problems = []
    monitor = FolderMonitor(folder, lambda: 0, no_service)
    try:
        last = (await monitor.batches(1))[0].batch
        for number in range(before + 1, last + 1, max((last - before) // _SAMPLE, 1)):
            kept = await monitor.kept(number)
            reports = [] if kept is None else json.loads(kept.body)
            for identity in {one["MessageId"] for one in reports}:
                found = await monitor.message(identity)
                arrivals = [] if found is None else [(one.batch, one.status) for one in found.timeline]
                wanted = [(number, one["Status"]) for one in reports if one["MessageId"] == identity]
                if arrivals != wanted:
                    problems.append(f"message {identity}: {arrivals}, should be {wanted}")
            if not reports:
                problems.append(f"batch {number} is not in the journal")
    finally:
        await monitor.close()
    return problems[:_SHOWN]


def unsound(folder: Folder) -> list[str]:
    """What SQLite says about the two files of a service that has ended, unless it is well."""
    problems = []
    for path in (folder.journal, folder.store):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
        problems += [f"{path.name}: {one}" for one in said if one != "ok"]
    return problems
