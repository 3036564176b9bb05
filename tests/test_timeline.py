"""A message with more arrivals than anybody reads: told by its ends, printed page by page, never read whole."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict
from support import RunningService, body_of, conserved, hooklab, json_of, report

from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.monitor import FolderMonitor
from hooklab.store.timeline import FIRST, LAST

ID = "00000000-0000-4000-8000-00000000000a"
COUNT = 3_000


def _reports() -> list[Any]:
    """PENDINGs, then a final, finals of both kinds, PENDINGs that are late, and repeats."""
    statuses = ["PENDING"] * 40 + (["DELIVERED", "NOT_DELIVERED", "PENDING"] * COUNT)[: COUNT - 40]
    several = [report(ID, status, ReportDescription=f"{at}") for at, status in enumerate(statuses)]
    return [several[at - 7] if at % 50 == 49 else one for at, one in enumerate(several)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service that was sent 3,000 arrivals of one message, 20 in a batch."""
    reports = _reports()
    with RunningService(tmp_path_factory.mktemp("long") / "data") as service:
        for at in range(0, COUNT, 20):
            assert service.post(body_of(reports[at : at + 20]))[0] == 200
        assert conserved(service.settled())
        yield service.data_dir


def _monitor(folder: Path) -> FolderMonitor:
    return FolderMonitor(Folder(folder), lambda: time.time_ns() // 1000, no_service)


@pytest.mark.parametrize("size", [7, 1_000, 10_000])
async def test_pages_of_any_size_are_one_timeline(folder: Path, size: int) -> None:
    """Each arrival once and in order, of the kind that it has among all: what came on earlier pages is known."""
    monitor = _monitor(folder)
    try:
        pages = [page async for page in monitor.timeline(ID, size)]
        assert [page async for page in monitor.timeline("00000000-0000-4000-8000-00000000000b")] == []
    finally:
        await monitor.close()
    assert {len(page) for page in pages[:-1]} <= {size}
    told = [one for page in pages for one in page]
    assert [(one.batch, one.index) for one in told] == [(at // 20 + 1, at % 20) for at in range(COUNT)]
    kinds = [one.kind for one in told]
    assert kinds[40] == "final"
    assert (kinds.count("final"), kinds.count("duplicate"), kinds.count("retry")) == (1, 60, 0)
    assert set(kinds[60:]) == {"final-again", "conflict", "late", "duplicate"}


async def test_a_message_is_told_with_the_ends_of_its_timeline(folder: Path) -> None:
    """The first and the last arrivals, of the kinds that they have among all, and how many there are between."""
    monitor = _monitor(folder)
    try:
        found = await monitor.message(ID)
        whole = [one async for page in monitor.timeline(ID) for one in page]
    finally:
        await monitor.close()
    assert found is not None
    assert found.timeline == [*whole[:FIRST], *whole[-LAST:]]
    assert found.hidden == COUNT - FIRST - LAST
    assert found.message.arrivals == COUNT


def test_show_prints_all_of_them(folder: Path) -> None:
    """As JSON one object as ever, and as a table one head and a line for each."""
    found = json_of("show", ID, data_dir=folder)
    assert found["arrivals"] == len(found["timeline"]) == COUNT
    assert list(found)[-1] == "timeline"
    shown = hooklab("show", ID, data_dir=folder).stdout.decode()
    assert shown.count("RECEIVED  ") == 1
    assert shown.count("report") == 0
    assert len(shown.splitlines()) == COUNT + 14
    entry = found["timeline"][40]
    assert entry["kind"] == "final"
    assert list(entry) == ["kind", "status", "reported_at", "received_at", "batch", "index", "label", "description"]


async def test_what_one_read_gives_does_not_grow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,000 arrivals as of 500 the rows that leave SQLite are those that are told."""
    monitor = _monitor(folder)
    try:
        await monitor.message(ID)
        assert monitor._store is not None
        rows = 0
        fetch = monitor._store._connection.execute_fetchall

        async def counting(*arguments: Any) -> Any:
            nonlocal rows
            found = list(await fetch(*arguments))
            rows += len(found)
            return found

        monkeypatch.setattr(monitor._store._connection, "execute_fetchall", counting)
        found = await monitor.message(ID)
    finally:
        await monitor.close()
    assert found is not None
    assert rows <= FIRST + LAST + 10
    assert len(json.dumps([asdict(one) for one in found.timeline])) < 500 * 300
