"""The machine's clock is set by an hour, forward and back; see `faults.clock`."""

import time
from pathlib import Path

import pytest
from faults import clock
from faults.machine import skipping
from support import TOKEN

from hooklab.config import Settings
from hooklab.service import running
from hooklab.times import HOUR, MINUTE


async def test_a_service_tells_when_it_began_by_the_clock_of_today(tmp_path: Path) -> None:
    """The clock is set by an hour: the time for which it is up stays what it is."""
    offset = 0

    def now() -> int:
        return time.time_ns() // 1000 + offset

    settings = Settings(data_dir=tmp_path / "data", bind="127.0.0.1:0", token=TOKEN)
    async with running(settings, now) as service:
        for by in (0, HOUR, -HOUR):
            offset = by
            assert 0 <= now() - service.status().started_at < MINUTE


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_clock_jumps_an_hour_both_ways(tmp_path: Path) -> None:
    """Nothing is lost or out of order, nothing ends or fires for it, and nothing is shown that is below zero."""
    with skipping():
        figures = clock.run(tmp_path, rounds=1, walks=(3600, -3600))
    assert figures["jumps_back"] >= 1
    assert figures["acknowledged"] > 500
