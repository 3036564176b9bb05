"""`simulate` against a real service: its campaigns through kills verify, and what a person sees of it."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pty_stage import Terminal, until
from support import TOKEN, RunningService, conserved, hooklab

KILLS: Final = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def posts_in(truth: Path) -> int:
    """POSTs so far whose answers are waited for."""
    lines = truth.read_bytes().splitlines()
    return sum(line.startswith(b'{"kind":"posted"') and b'"lost"' not in line for line in lines)


def journaled_in(folder: Path) -> int:
    journal = sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)
    try:
        count: int = journal.execute("SELECT count(*) FROM batches").fetchone()[0]
    finally:
        journal.close()
    return count


def simulating(url: str, truth: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "hooklab", "simulate", "--url", url, "--truth", str(truth), *options]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# Through kills ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "between"),
    [
        # The rate leaves connections free, so that a POST begins soon after the service was stopped.
        (("--messages", "700", "--rate", "150"), 80),
        (("--messages", "8000", "--batch", "1000", "--rate", "8"), 2),
    ],
    ids=["mixed", "1000 reports a batch"],
)
def test_a_campaign_through_kills_leaves_what_is_true(tmp_path: Path, options: Sequence[str], between: int) -> None:
    """Five times `kill -9` while requests are unanswered, and a start on the same port: all is acknowledged in the
    end, and the folder is what follows from the truth.
    """
    folder, truth = tmp_path / "data", tmp_path / "T"
    with RunningService(folder, "--bind", f"127.0.0.1:{free_port()}") as service:
        simulation = simulating(service.url, truth, *options, "--chaos", "--seed", "7", "--json")
        try:
            for number in range(1, KILLS + 1):
                wanted = between * number
                until(lambda wanted=wanted: journaled_in(folder) >= wanted, "nothing is sent")  # type: ignore[misc]
                assert simulation.poll() is None, "it was over before it was disturbed"
                kill_with_a_request_unanswered(service, truth)
                service.start()
            out, errors = simulation.communicate(timeout=90)
        finally:
            simulation.kill()
        assert simulation.returncode == 0, errors
        figures = json.loads(out)
        service.settled(60)
        verified = hooklab("verify", "--truth", truth, data_dir=folder)
        assert (verified.returncode, verified.stderr) == (0, b""), verified.stdout
        counters = service.stats()
    assert figures["acknowledged"] == figures["sendings"]
    assert figures["unanswered"] >= KILLS
    assert counters["elements"] > figures["reports"] == counters["reports"]
    assert counters["repeats"] > 0
    assert conserved(counters)


def kill_with_a_request_unanswered(service: RunningService, truth: Path) -> None:
    """SIGKILL to a service that is stopped until one POST more has begun, which it cannot have answered."""
    service.process.send_signal(signal.SIGSTOP)
    before = posts_in(truth)
    until(lambda: posts_in(truth) > before, "nothing more is sent")
    service.kill()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_simulator_that_is_ended_leaves_a_whole_truth(tmp_path: Path, ending: signal.Signals) -> None:
    """In the middle of a campaign: what was sent until then verifies; Ctrl-C and SIGTERM say what is left, exit 1."""
    folder, truth = tmp_path / "data", tmp_path / "T"
    with RunningService(folder) as service:
        simulation = simulating(service.url, truth, "--messages", "3000", "--chaos", "--seed", "3")
        until(lambda: journaled_in(folder) > 200, "nothing is sent")
        simulation.send_signal(ending)
        out, errors = simulation.communicate(timeout=60)
        service.settled(60)
        verified = hooklab("verify", "--truth", truth, data_dir=folder)
    assert (verified.returncode, verified.stderr) == (0, b""), verified.stdout
    kinds = {line["kind"] for line in lines_of(truth)}
    if ending == signal.SIGKILL:
        assert simulation.returncode == -signal.SIGKILL
        assert "end" not in kinds
        return
    assert simulation.returncode == 1
    assert re.fullmatch(rb"hooklab: [\d,]+ of [\d,]+ sendings were not acknowledged: interrupted\n", errors)
    assert b"messages" in out
    assert kinds == {"campaign", "life", "body", "end"}
    assert 100 < sum(line["acknowledged"] for line in lines_of(truth) if line["kind"] == "body") < 3000


# Looks -----------------------------------------------------------------------------------------------------------


def test_says_how_far_it_is_without_a_terminal(tmp_path: Path) -> None:
    """Every few seconds a plain line on stderr, and at the end two on stdout."""
    with RunningService(tmp_path / "data") as service:
        rate = ("--rate", "10", "--messages", "16", "--batch", "1", "--seed", "1")
        done = hooklab("simulate", "--url", service.url, *rate)
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert lines
    assert all(re.fullmatch(r"acknowledged \d+ of \d+, \d+ retried, \d+ refused", line) for line in lines)
    assert re.fullmatch(
        r"seed 1: 16 messages, \d+ reports, \d+ bodies in \d+ sendings\n"
        r"\d+ POSTs, \d+ acknowledged, 0 retried, 0 refused, 0 unanswered, 0 answers lost on purpose\n",
        done.stdout.decode(),
    )


def test_shows_a_bar_in_a_terminal(tmp_path: Path) -> None:
    """A bar with what is acknowledged, retried and refused; Ctrl-C ends it well and the terminal is as before."""
    truth = tmp_path / "T"
    bar = re.compile(r"━.* [1-9]\d*/\d+ acknowledged, \d+ retried, \d+ refused")
    with RunningService(tmp_path / "data") as service:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "hooklab",
            "simulate",
            "--url",
            service.url,
            "--truth",
            truth,
        ]
        with Terminal([*command, "--rate", "20", "--messages", "500"], 100, 24) as terminal:
            until(lambda: bar.search(terminal.text()), "there is no bar")
            terminal.keys("\x03")
            terminal.wait_for("not acknowledged: interrupted")
            assert terminal.ends_with() == 1
            assert terminal.mode_is_restored()
            until(lambda: b"\x1b[?25h" in terminal.received, "the cursor is not shown again")
    assert lines_of(truth)[-1]["kind"] == "end"


def test_goes_to_the_folders_own_service(tmp_path: Path) -> None:
    """Without --url the running service's address is used; what a seed gave is known when it comes again."""
    with RunningService(tmp_path / "data") as service:
        for seed, messages in (("1", 30), ("1", 30), ("2", 60)):
            done = hooklab("simulate", "--messages", "30", "--seed", seed, data_dir=tmp_path / "data")
            assert done.returncode == 0, done.stderr
            assert service.settled()["messages"] == messages


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--late", "2"], 2, "'2' is not a number from 0 to 1"),
        (["--late", "nan"], 2, "'nan'"),
        (["--rate", "0"], 2, "'0' is not a number above 0"),
        (["--batch", "1001"], 2, "at most 1000"),
        (["--batch", "many"], 2, "'many'"),
        (["--messages", "500001"], 2, "at most 500,000"),
        (["--connections", "513"], 2, "at most 512"),
        (["--begin", "yesterday"], 2, "'yesterday' is not a time"),
        (["--begin", "9999-12-31"], 2, "is not a time"),
        (["--url", "ftp://x/hooks/t"], 1, "http"),
        (["--url", "http://h\u00f6st/"], 1, "http"),
        (["--url", f"http://{'a' * 70}.example/hooks/t"], 1, "a host that is no name"),
        (["--url", "http://127.0.0.1:1/hooks/t?x=1"], 1, "query"),
        (["--url", f"http://127.0.0.1:1/hooks/{TOKEN}", "--give-up", "0.1"], 1, "1:1 there was no connection"),
        (["--url", "http://127.0.0.1:1/hooks/t", "--truth", "/nowhere/T"], 1, "/nowhere/T: No such file"),
        (["--url", "http://127.0.0.1:1/hooks/t", "--truth", "/dev/full"], 1, "/dev/full: No space left"),
    ],
)
def test_an_error_is_one_line(options: list[str], code: int, says: str) -> None:
    """On stderr, without the token; 2 for a wrong use and 1 for what failed."""
    done = hooklab("simulate", "--seed", "1", *options)
    assert done.returncode == code
    text = done.stderr.decode()
    assert text.startswith("hooklab: ")
    assert text.count("\n") == 1, text
    assert says in text
    assert TOKEN not in text


def test_a_refusal_is_said_in_the_end(tmp_path: Path) -> None:
    """A wrong token: 404 to everything, exit 1, and the one line says so."""
    with RunningService(tmp_path / "data") as service:
        url = service.url.replace(TOKEN, "another")
        done = hooklab("simulate", "--url", url, "--messages", "5", "--tries", "2", "--backoff", "0.01")
        place = b"127.0.0.1:%d" % service.port
    assert done.returncode == 1
    assert done.stderr.endswith(b"sendings were not acknowledged: at http://%b the answer was 404\n" % place)
