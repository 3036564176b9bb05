"""The monitor on a data folder: what the screen and the commands ask."""

import time
from pathlib import Path

from support import RunningService, body_of, pair, report

from hooklab.admin_client import ask_service, no_service
from hooklab.files import Folder
from hooklab.healing import Retried
from hooklab.monitor import FolderMonitor


async def test_a_batch_says_what_each_element_became(tmp_path: Path) -> None:
    """New, retry, duplicate and quarantined, by index; those beyond the limit too; a malformed body has none."""
    one, two = pair()
    with RunningService(tmp_path / "data", "--max-elements", "4") as service:
        first = body_of([one, {"MessageId": 1}, two, two, report()])
        service.post(first, "delivered")
        service.post(first)
        service.post(body_of([two, report()]))
        service.post(b"{}")
        service.post(b"{}")
        service.settled()
        folder = Folder(service.data_dir)
        monitor = FolderMonitor(folder, lambda: time.time_ns() // 1000, lambda: ask_service(folder))
        try:
            found = [await monitor.batch(number) for number in (1, 2, 3, 4, 5)]
            assert await monitor.batch(6) is None
            assert await monitor.retry_quarantine() == Retried(tried=5, healed=0, left=5)
        finally:
            await monitor.close()
    became = [sorted((fate.index, fate.became) for fate in batch.elements) for batch in found if batch is not None]
    assert became == [
        [(0, "new"), (1, "quarantined"), (2, "new"), (3, "duplicate"), (4, "quarantined")],
        [(0, "retry"), (1, "quarantined"), (2, "retry"), (3, "retry"), (4, "quarantined")],
        [(0, "duplicate"), (1, "new")],
        [],
        [],
    ]
    assert found[0] is not None
    assert [fate.index for fate in found[0].elements] == [0, 1, 2, 3, 4]
    assert found[0].elements[1].reason == "MessageId is not a UUID: 1"
    whys = [batch.malformed for batch in found if batch is not None]
    assert whys == [None, None, None, *["the body is JSON, but an object and not an array"] * 2]
    assert found[0].body == first
    assert found[0].row.label == "delivered"
    assert {fate.message_id for fate in found[0].elements if fate.index in (0, 2, 3)} == {one["MessageId"]}


async def test_follows_a_service_that_stops_and_starts(tmp_path: Path) -> None:
    """The snapshot has the service's own word while one runs, and the store's counters always."""
    data = tmp_path / "data"
    folder = Folder(data)
    monitor = FolderMonitor(folder, lambda: time.time_ns() // 1000, lambda: ask_service(folder))
    try:
        with RunningService(data) as service:
            service.post(body_of(pair()))
            service.settled()
            seen = await monitor.snapshot()
            assert seen.service is not None
            assert seen.service.hook_url == service.url
            assert seen.counters.queue_depth == 0
        seen = await monitor.snapshot()
        assert seen.service is None
        assert (seen.counters.reports, seen.counters.refused) == (2, None)
        with RunningService(data) as service:
            seen = await monitor.snapshot()
            assert seen.service is not None
            assert seen.service.pid == service.process.pid
    finally:
        await monitor.close()


async def test_elements_beyond_the_limit_are_one_line_however_many(tmp_path: Path) -> None:
    """Millions of them are in quarantine as one thing, and are neither judged nor listed one by one."""
    with RunningService(tmp_path / "data", "--max-elements", "4") as service:
        service.post(b"[" + b"0," * 99_999 + b"0]")
        service.settled()
        monitor = FolderMonitor(Folder(service.data_dir), lambda: time.time_ns() // 1000, no_service)
        try:
            found = await monitor.batch(1)
        finally:
            await monitor.close()
    assert found is not None
    assert found.row.elements == 100_000
    assert [fate.index for fate in found.elements] == [0, 1, 2, 3, 4]
    assert found.elements[4].reason == "99996 elements beyond the first 4 of one array were not read"
