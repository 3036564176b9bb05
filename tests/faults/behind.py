"""The projector is behind: a million reports in the journal that nobody has projected when the service starts."""

import asyncio
import time
from pathlib import Path
from typing import Final

from bench.bodies import STEP, Template, template
from bench.load import Load, Target, run_load, wrk_is_here

from faults.stage import Figures, Stage, wait_until
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal

_AT_ONCE: Final = 256
_HEADERS: Final = '[["host", "127.0.0.1:8080"], ["content-type", "application/json"]]'
AT_MOST: Final = {"ready_s": 2.0}


def run(place: Path, *, reports: int = 1_000_000, seconds: int = 10, messages: int = 500) -> Figures:
    """Half of the reports two in a batch, half a thousand in a batch; then a load of two in a batch at full speed.

    An honest sender sends `messages` beside it. The same load on an empty folder is what full speed means.
    """
    empty = place / "empty"
    with Stage(place, folder=empty) as stage:
        alone = _load(stage, seconds, seed=1)
    folder = place / "data"
    folder.mkdir(mode=0o700)
    small, large = reports // 4, reports // 2 // 1000
    asyncio.run(_fill(folder / "journal.db", small, large))
    with Stage(place, folder=folder) as stage:
        lag_at_ready = stage.lag()
        sender = stage.simulate("--messages", str(messages), "--chaos", "--seed", "behind", "--rate", "100")
        load = _load(stage, seconds, seed=2)
        stage.sent(sender)
        lag_after_load = stage.lag()
        drained = wait_until(lambda: not stage.lag(), "the end of the lag", 900)
        counters = stage.service.stats()
        found = stage.verify("--others-allowed")
    filled = small * 2 + large * 1000
    posted = counters["batches"] - small - large - found["batches"]
    assert load.answered <= posted <= load.most(), (load, counters)
    assert counters["reports"] == filled + posted * 2 + found["reports"]
    assert counters["repeats"] == found["repeats"]
    assert counters["elements"] == counters["reports"] + counters["repeats"] + counters["quarantined"]
    return {
        "waiting_reports": filled,
        "ready_s": round(stage.restarts[0], 2),
        "lag_at_ready": lag_at_ready,
        "requests_per_s": round(load.rate()),
        "of_an_empty_folder": round(load.rate() / alone.rate(), 2),
        "p99_ms": load.p99_ms,
        "p99_ms_empty_folder": alone.p99_ms,
        "lag_after_load": lag_after_load,
        "drained_after_s": round(drained, 1),
        "reports_counted": counters["reports"],
    }


def _load(stage: Stage, seconds: int, seed: int) -> Load:
    service = stage.service
    generator = "wrk" if wrk_is_here() else "python"
    return run_load(generator, Target(service.port, service.path, 2, 32, seconds, seed))


async def _fill(path: Path, small: int, large: int) -> None:
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0, max_queue=1 << 30))
    try:
        for count, made in ((small, template(2, 101)), (large, template(1000, 102))):
            for first in range(0, count, _AT_ONCE):
                numbers = range(first, min(first + _AT_ONCE, count))
                await asyncio.gather(*(journal.append(_batch(made, number)) for number in numbers))
    finally:
        await journal.close()


def _batch(made: Template, number: int) -> NewBatch:
    body = made.body(number * STEP % (1 << 28))
    return NewBatch(time.time_ns() // 1000, 0, "127.0.0.1", None, _HEADERS, body, malformed=False)
