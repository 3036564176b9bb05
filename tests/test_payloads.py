"""Huge custom payloads: what touches or lists their messages does not take them all into memory."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.subjects import memory
from support import RunningService, body_of, conserved, json_of, report

from hooklab.admin_client import no_service
from hooklab.files import Folder
from hooklab.monitor import FolderMonitor
from hooklab.store.compact import BRIEF
from hooklab.tui.sources import Messages

COUNT = 60
LENGTH = 1_000_000
IDS = [f"00000000-0000-4000-8000-{at:012x}" for at in range(COUNT)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One that has 60 messages with a payload of 1 MB each."""
    with RunningService(tmp_path_factory.mktemp("payloads") / "data") as running:
        for one in IDS:
            assert running.post(body_of([report(one, "PENDING", CustomPayload="m" * LENGTH)]))[0] == 200
        running.settled()
        yield running


async def test_a_list_gets_the_beginnings_of_long_texts(service: RunningService) -> None:
    """A screenful may be gigabytes: what is read of each row is what a list can show."""
    monitor = FolderMonitor(Folder(service.data_dir), lambda: time.time_ns() // 1000, no_service)
    source = Messages()
    try:
        found = await source.step(monitor, 100)
        newer = await source.newer(monitor, 100, 0)
        changes = await source.changes(monitor, 0, 100)
        whole = await monitor.message(IDS[0])
    finally:
        await monitor.close()
    rows = [*found.rows, *newer.rows, *(row for row, _ in changes.rows)]
    assert len(rows) == 3 * COUNT
    assert {row.custom_payload for row in rows} == {"m" * BRIEF + "…"}
    assert whole is not None
    assert whole.message.custom_payload == "m" * LENGTH


def test_an_export_writes_them_whole_and_holds_few(service: RunningService, tmp_path: Path) -> None:
    """Long ones are read a few at a time, and none is cut: neither among short ones nor after them."""
    short = ["", "n" * 400, "a\0b", "\0" * 600, "…", "ends with …"]
    hidden = "\0" + "n" * 9_000  # SQLite's own functions see nothing of it
    payloads = [*short, hidden, *short, "é" * 600, *short]
    for at, payload in enumerate(payloads):
        service.post(body_of([report(f"00000000-0000-4000-9000-{at:012x}", CustomPayload=payload)]))
    service.settled()
    code = "import resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True);"
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    command = [sys.executable, "-m", "hooklab", "export", "--output", str(tmp_path / "all.jsonl")]
    command += ["--data-dir", str(service.data_dir)]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=True)
    assert int(done.stdout.split()[-1]) < 130
    found = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    found_payloads = [one["custom_payload"] for one in found]
    assert found_payloads[: len(payloads)] == payloads[::-1]
    assert [len(one) for one in found_payloads[len(payloads) :]] == [LENGTH] * COUNT


def test_who_touches_many_of_them_takes_little_memory(service: RunningService) -> None:
    """A small batch with a report on each: the payloads stay where they are, and the greatest counts, as ever."""
    before = memory(service.process.pid, "VmHWM")
    payloads = {IDS[0]: None, IDS[1]: "a", IDS[2]: "z"}
    service.post(body_of([report(one, CustomPayload=payloads.get(one)) for one in IDS]))
    assert conserved(service.settled())
    assert (memory(service.process.pid, "VmHWM") - before) / 1024 < 40
    for one, wanted in ((IDS[0], LENGTH), (IDS[1], LENGTH), (IDS[2], 1)):
        assert len(json_of("show", one, data_dir=Path(service.data_dir))["custom_payload"]) == wanted
