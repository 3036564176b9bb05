"""A disk that holds up whoever writes; see `faults.stall`."""

import http.client
import sys
from pathlib import Path

import pytest
from faults import stall
from faults.machine import MIB, loop_disk, skipping
from faults.stage import free_port, wait_until
from pty_stage import Terminal
from support import TOKEN, ask_admin, body_of, pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_a_sync_that_stalls_is_503_within_bounded_memory(tmp_path: Path) -> None:
    """One sync of the journal that takes very long: 503, nothing lost, ready by itself; memory stays bounded."""
    with skipping():
        figures = stall.by_sync(tmp_path, 3.0, ("--commit-timeout", "1"))
    assert figures["refused"] > 0


def test_a_frozen_file_system_is_503_within_bounded_memory(tmp_path: Path) -> None:
    """Likewise where nothing at all can be written, by the store neither."""
    with skipping():
        figures = stall.by_frozen(tmp_path, 3.0, ("--commit-timeout", "1"))
    assert figures["refused"] > 0


def test_a_log_on_a_frozen_disk_holds_up_no_answer(tmp_path: Path) -> None:
    """`run` keeps its log in the folder: with the disk frozen it answers 503 all the same, and goes on after."""
    port = free_port()
    with skipping(), loop_disk(tmp_path, 64 * MIB) as disk:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "hooklab",
            "run",
            "--data-dir",
            disk / "data",
            "--token",
            TOKEN,
        ]
        command += ["--bind", f"127.0.0.1:{port}", "--commit-timeout", "1"]

        def post() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", f"/hooks/{TOKEN}", body_of(pair()))
                return connection.getresponse().status
            finally:
                connection.close()

        with Terminal(command, 120, 36) as terminal:
            terminal.wait_for("well")
            assert post() == 200
            with stall.frozen(disk):
                assert [post() for _ in range(3)] == [503] * 3
                # A read may hang as well, or find all it wants in memory.
                says = ("answers 503", "cannot read the data: no answer for")
                wait_until(lambda: any(one in terminal.text() for one in says), "word of it on the screen")
            wait_until(lambda: ask_admin(disk / "data", "/ready")[0] == 200, "ready by itself")
            assert post() == 200
            terminal.keys("q")
            terminal.wait_for("stop")
            terminal.keys("s")
            assert terminal.ends_with() == 0
        log = (disk / "data" / "hooklab.log").read_text()
        assert "answering 503: a commit takes longer than 1 s" in log
        assert "the journal can be written again" in log
