"""The bench: that it sends what it says, that its totals catch what is wrong, and that it runs from end to end."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench import __main__ as command
from bench import cells, curves, verdicts
from bench.bodies import STAMPS, after, template
from bench.curves import Curve
from bench.growth import Grown, Window, grow
from bench.history import History
from bench.load import Load, Target, corrected, quantile, wrk_is_here, wrk_script
from bench.many import fill_index, make, number_of, order_of
from bench.options import parser
from bench.paced import paced_load, schedule, status_of
from bench.projection import measure
from bench.queries import BY_ID, Answered, ask
from bench.report import Machine, Report, Row, Run, file_system, mismatches, report_of, rows_of, table
from bench.screen import Watched
from bench.screen import table as screen_table
from bench.subjects import NAMES, end_left_over
from bench.truth import lost, verify
from bench.verdicts import Verdict
from bench.whole import PARTS, Measured
from pty_stage import until
from support import RunningService, conserved, json_lines_of, json_of

from hooklab.files import Folder
from hooklab.wire import format_uuid

_TESTS = Path(__file__).parent
_SAMPLE = _TESTS.parent / "sample_payloads" / "04_thousand_reports.json"
_MACHINE = Machine(
    "2026-11-25 10:00 UTC", 2, "A Processor", "Linux 6", "3.11.7", "3.40.1", "0.1.0", "0.54.0", "ext4", "wrk", 0.0
)


def loaded(answered: int = 100, **changes: Any) -> Load:
    """A load that went well."""
    load = Load(2.0, answered, late=0, refused=0, failed=0, cut=4, p50_ms=1.5, p99_ms=12.25)
    return msgspec.structs.replace(load, **changes)


def counters(batches: int = 100, each: int = 4, **changes: int) -> dict[str, Any]:
    """What `/status` says after `batches` of `each` reports were received well."""
    good = {
        "batches": batches,
        "lag": 0,
        "elements": batches * each,
        "reports": batches * each,
        "messages": batches * each // 2,
        "delivered": batches * each // 2,
        "repeats": 0,
        "quarantined": 0,
        "malformed": 0,
    }
    return good | changes


class TestBodies:
    def test_have_the_shape_and_size_of_the_samples(self) -> None:
        """A batch of 1000 has the fields of the sample, in its order, and is as long within a few per cent."""
        sample = json.loads(_SAMPLE.read_text())
        made = json.loads(template(1000, seed=1).body(0))
        assert [list(element) for element in made] == [list(element) for element in sample]
        assert [element["Status"] for element in made[:4]] == ["PENDING", "DELIVERED", "PENDING", "DELIVERED"]
        length = len(_SAMPLE.read_bytes())
        assert 0.95 < len(template(1000, seed=1).body(0)) / length < 1.05

    def test_pair_pending_and_delivered_of_one_uuid4(self) -> None:
        """Two elements share an id, which is written as a uuid4 is."""
        made = json.loads(template(6, seed=2).body(12345))
        ids = [element["MessageId"] for element in made]
        assert ids[0::2] == ids[1::2]
        assert len(set(ids)) == 3
        for one in ids:
            assert uuid.UUID(one).version == 4
            assert str(uuid.UUID(one)) == one

    def test_are_fresh_and_equally_long(self) -> None:
        """No id comes twice, in one body, in bodies of other numbers, or of other seeds; the length stays."""
        seen: set[str] = set()
        lengths: set[int] = set()
        for seed in (1, 2):
            made, number = template(10, seed), seed
            for _ in range(500):
                number = after(number)
                body = made.body(number)
                lengths.add(len(body))
                seen |= {element["MessageId"] for element in json.loads(body)}
        assert len(seen) == 2 * 500 * 5
        assert len(lengths) == 1

    def test_come_in_no_order(self) -> None:
        """The ids of bodies in a row are as scattered as uuid4s: an ordered index would be cheap to keep."""
        made, number = template(2, seed=3), 0
        ids = []
        for _ in range(1000):
            number = after(number)
            ids.append(json.loads(made.body(number))[0]["MessageId"])
        rises = sum(one < other for one, other in pairwise(ids))
        assert 300 < rises < 700

    def test_stamps_do_not_come_again_soon(self) -> None:
        """The step shares no divisor with the number of stamps, so that all come up before one comes again."""
        number, seen = 7, set()
        for _ in range(100_000):
            number = after(number)
            seen.add(number)
        assert len(seen) == 100_000
        assert after(0) % 2 == 1
        assert STAMPS & (STAMPS - 1) == 0


class TestLatency:
    def test_is_completed_for_what_was_not_sent(self) -> None:
        """One answer of 10 where others take 1 stands for those of 8, 6 and 4 that were not asked for meanwhile."""
        assert corrected([1.0] * 4 + [10.0], connections=1, took=10.0) == [1.0] * 4 + [4.0, 6.0, 8.0, 10.0]

    def test_that_is_even_is_left_alone(self) -> None:
        """Nothing is added where every answer takes about the mean."""
        shuffled = random.Random(1).sample([1.0, 1.1, 1.2, 1.3] * 5, 20)
        assert corrected(shuffled, connections=2, took=12.0) == sorted(shuffled)

    def test_quantiles(self) -> None:
        """Half and 99 hundredths of a hundred; of nothing there are none."""
        hundred = [float(value) for value in range(1, 101)]
        assert (quantile(hundred, 0.5), quantile(hundred, 0.99)) == (51.0, 100.0)
        assert quantile([], 0.5) is None


class TestPaced:
    """The load whose requests are due at fixed times."""

    def test_schedule_is_a_poisson_process_of_the_rate(self) -> None:
        """As many as asked for within some deviations, in order, in the time, and as irregular as chance is."""
        due = schedule(1_000.0, 20.0, seed=3)
        assert len(due) == pytest.approx(20_000, abs=600)
        assert due[0] > 0
        assert due[-1] < 20.0
        gaps = [later - earlier for earlier, later in pairwise(due)]
        assert min(gaps) > 0
        assert statistics.pstdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
        assert due == schedule(1_000.0, 20.0, seed=3) != schedule(1_000.0, 20.0, seed=4)

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
            (b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno", 503),
            (b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nn", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", None),
        ],
    )
    def test_answer_is_one_when_it_is_whole(self, answer: bytes, status: int | None) -> None:
        """Head and as much as it says."""
        assert status_of(answer) == status

    def test_latency_counts_from_when_a_request_was_due(self) -> None:
        """One connection, answers that take 50 ms, 40 a second: each waits for those before it, and that counts."""
        listener = socket.create_server(("127.0.0.1", 0))

        def answer_slowly() -> None:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(65536):
                    time.sleep(0.05)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        with listener:
            thread = threading.Thread(target=answer_slowly)
            thread.start()
            load = paced_load(Target(listener.getsockname()[1], "/", 2, 1, 1, seed=2, rate=40.0))
            thread.join(10)
        assert load.answered == len(schedule(40.0, 1.0, seed=2))
        assert (load.refused, load.failed, load.cut) == (0, 0, 0)
        assert load.seconds > 1.3
        assert load.p50_ms is not None
        assert load.p50_ms > 150


class TestTotals:
    def test_that_hold(self) -> None:
        """What was cut at the end may or may not have arrived; a lag counts as received."""
        assert mismatches(counters(100), loaded(100), 4) == []
        assert mismatches(counters(104), loaded(100), 4) == []
        assert mismatches(counters(60, lag=40), loaded(100), 4) == []
        assert mismatches(counters(106), loaded(100, refused=1, failed=1), 4) == []

    @pytest.mark.parametrize(
        ("seen", "says"),
        [
            (counters(99), "99 batches, but 100 to 104 were sent"),
            (counters(105), "105 batches"),
            (counters(elements=401), "elements"),
            (counters(reports=399, repeats=1), "repeats is 1"),
            (counters(reports=399, quarantined=1), "quarantined is 1"),
            (counters(reports=399), "elements are not reports + repeats"),
            (counters(messages=199), "messages is 199"),
            (counters(delivered=199), "delivered is 199"),
            ({}, "/status does not answer"),
        ],
    )
    def test_that_do_not_hold(self, seen: dict[str, Any], says: str) -> None:
        """Each number that is off is named."""
        assert says in "; ".join(mismatches(seen, loaded(100), 4))

    def test_of_an_odd_number_of_reports(self) -> None:
        """The last message of a batch of 5 is only pending."""
        seen = counters(10, 5) | {"messages": 30, "delivered": 20}
        assert mismatches(seen, loaded(10), 5) == []


def report_with(**runs: list[Run]) -> Report:
    """One cell of 2 x 32."""
    named = {name.replace("_", "+"): rounds for name, rounds in runs.items()}
    return report_of(_MACHINE, 12.3, rows_of(2, 32, 2, named))


class TestReport:
    def test_ratios_are_of_medians(self) -> None:
        """A subject's ratio is its median rate by a reference's; nothing is compared with itself."""
        rounds = [Run(load=loaded(answered)) for answered in (10, 50, 1000)]
        report = report_with(F=[Run(load=loaded(200))], hooklab=rounds)
        first, second = report.rows
        assert (first.rate, second.rate) == (100.0, 25.0)
        assert (first.ratios, second.ratios) == ({}, {"F": 0.25})

    def test_rate_leaves_out_what_came_late(self) -> None:
        """An answer after the end of the time counts among the totals and not for the speed."""
        assert loaded(100, late=20).rate() == 40.0

    def test_table_fits_a_terminal(self) -> None:
        """No line is longer than 100 columns, and every subject has its line."""
        run = Run(
            load=loaded(9_999_999, refused=123_456, failed=7, p50_ms=9_999.4, p99_ms=99_999.4),
            start_seconds=0.25,
            idle_kib=999 * 1024,
            peak_kib=9_999 * 1024,
            lag=9_999_999,
            drain_seconds=30.04,
            lag_left=999_999,
            terminal_bytes=99_999,
        )
        text = table(report_with(**{name.replace("+", "_"): [run] for name in NAMES}))
        assert max(map(len, text.splitlines())) <= 100
        for label in ("F bare ASGI", "L Litestar", "J journal", "N naive app", "hooklab", "hooklab+TUI"):
            assert sum(line.startswith(f" {label} ") for line in text.splitlines()) == 1
        assert ">30.0" in text
        assert "waited no longer for the lag, which was still 999,999" in text
        assert "123456 answers other than 200, 7 connections failed" in text

    def test_says_what_does_not_hold(self) -> None:
        """A problem of any run is in the table, and the whole does not hold."""
        report = report_with(hooklab=[Run(load=loaded()), Run(load=loaded(), problems=["elements is 1"])])
        assert not report.totals_hold
        assert "TOTALS: 2 x 32, hooklab: elements is 1" in table(report)
        assert "TOTALS DO NOT HOLD" in table(report)
        assert "All totals hold." in table(report_with(hooklab=[Run(load=loaded())]))

    def test_says_what_makes_the_numbers_look_good_or_bad(self) -> None:
        """Data in memory and a machine that others use are said."""
        tmpfs = msgspec.structs.replace(_MACHINE, file_system="tmpfs", load_average=3.0)
        text = table(report_of(tmpfs, 1.0, []))
        assert "an fsync costs nothing there" in text
        assert "load average 3.0" in text
        assert "fsync costs" not in table(report_with(F=[Run(load=loaded())]))

    def test_subject_without_answers(self) -> None:
        """One that answered nothing has no latency, and is nobody's measure."""
        silent = loaded(0, p50_ms=None, p99_ms=None)
        report = report_with(F=[Run(load=silent)], hooklab=[Run(load=loaded())])
        assert report.rows[1].ratios == {}
        assert "0.00" in table(report)

    def test_file_system_is_that_of_the_deepest_mount(self) -> None:
        """The longest mount point above a path counts, the last of two on one place, and no mere beginning."""
        mounts = (
            "/dev/a / ext4 rw 0 0\nnone /tmp tmpfs rw 0 0\n/dev/b /tmp/in\\040side xfs rw 0 0\n"
            "/dev/c /data ext3 rw 0 0\n/dev/d /data btrfs rw 0 0\n"
        )
        found = [file_system(path, mounts) for path in ("/tmp/x", "/tmpfile", "/tmp/in side/x", "/data", "/home/x")]
        assert found == ["tmpfs", "ext4", "xfs", "btrfs", "ext4"]
        assert file_system("/x", "") == "unknown"


class TestCommand:
    @pytest.fixture
    def stub(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Run]]:
        """Runs that are given instead of measured; the handlers of signals are put back."""
        runs: list[Run] = []
        monkeypatch.setattr(cells, "run_subject", lambda *_: runs[0])
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        yield runs
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_ends_with_1_when_totals_do_not_hold(
        self, stub: list[Run], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """A mismatch is printed, is in the JSON, and is the exit code."""
        options = ["--only", "2x1", "--load", "python", "--dir", str(tmp_path), "--json", str(tmp_path / "b.json")]
        stub.append(Run(load=loaded(), problems=["repeats is 3, should be 0"]))
        assert command.main(options) == 1
        assert "repeats is 3, should be 0" in capsys.readouterr().out
        assert json.loads((tmp_path / "b.json").read_text())["totals_hold"] is False
        stub[0] = Run(load=loaded())
        assert command.main(options) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["b.json"]

    def test_finds_out_first_that_it_cannot_write(
        self, stub: list[Run], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """A file that cannot be written is said before anything is measured; `stub` has nothing to give."""
        missing = tmp_path / "missing" / "b.json"
        assert command.main(["--load", "python", "--json", str(missing)]) == 1
        assert "No such file" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "wrong", [["--only", "2"], ["--only", "0x1"], ["--subjects", "F,X"], ["--part", "disk,X"], ["--seconds", "0"]]
    )
    def test_refuses_a_wrong_use(self, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """What cannot be meant is named, and nothing is started."""
        with pytest.raises(SystemExit) as ended:
            command.main(wrong)
        assert ended.value.code == 2
        assert "is not a whole number" in (said := capsys.readouterr().err) or "there is no 'X'" in said


@pytest.mark.parametrize(
    ("options", "does"),
    [
        ([], command._whole),
        (["--part", "disk"], command._whole),
        (["--cells"], command._cells),
        (["--only", "2x1"], command._cells),
        (["--subjects", "F"], command._cells),
        (["--screen", "--only", "2x32"], command._screen),
        (["--search", "--indexed", "0"], command._search),
    ],
)
def test_what_is_asked_for_is_measured(options: list[str], does: Any) -> None:
    """All with its verdicts, unless cells or something else is named."""
    assert command._does(parser().parse_args(options)) is does


def bench(*options: str | Path, **environment: str) -> list[str]:
    """The command line that `make bench` runs."""
    return [sys.executable, "-m", "bench", *map(str, options)]


def environment(**changes: str) -> dict[str, str]:
    """As `make bench` sets it."""
    return {**os.environ, "PYTHONPATH": str(_TESTS), **changes}


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param("wrk", marks=[pytest.mark.system, pytest.mark.skipif(not wrk_is_here(), reason="no wrk here")]),
        pytest.param("python", marks=pytest.mark.system),
    ],
)
def test_whole_instrument(generator: str, tmp_path: Path) -> None:
    """Every subject is started, loaded, checked and stopped, with wrk and without; nothing stays behind."""
    data = tmp_path / "data"
    data.mkdir()
    found = tmp_path / "bench.json"
    # Without wrk on the path the other generator is taken unasked.
    changes = {} if generator == "wrk" else {"PATH": str(data)}
    options = ("--only", "4x3", "--seconds", "1", "--settle", "0.1", "--dir", data, "--json", found)
    done = subprocess.run(
        bench(*options), capture_output=True, text=True, check=False, timeout=100, env=environment(**changes)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(data.iterdir()) == []
    report = msgspec.json.decode(found.read_bytes(), type=Report)
    assert report.machine.generator == generator
    assert f"load by {generator}" in done.stdout
    assert [row.subject for row in report.rows] == list(NAMES)
    for row in report.rows:
        [run] = row.rounds
        assert run.load.answered > 0, row.subject
        assert (run.load.refused, run.load.failed, run.problems) == (0, 0, []), row.subject
        assert run.load.p50_ms is not None
        assert run.load.p99_ms is not None
        assert run.load.p50_ms <= run.load.p99_ms
        if row.subject != "J":
            assert run.idle_kib is not None
            assert run.peak_kib is not None
            assert 0 < run.idle_kib <= run.peak_kib
        assert (row.terminal_kb_s is not None) == (row.subject == "hooklab+TUI")
    assert set(report.start_seconds) == {"F", "L", "N", "hooklab"}
    assert done.stderr.count("/s") == len(NAMES)


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends every process that was started and removes the data."""
    with subprocess.Popen(
        bench("--only", "2x2", "--subjects", "F,hooklab+TUI", "--seconds", "1", "--settle", "0.1", "--dir", tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert b"F bare ASGI" in process.stderr.readline()
        # The next one is about to start or has started: at any moment of it the end is the same.
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert b"interrupted" in rest
    assert list(tmp_path.iterdir()) == []
    assert running_with(str(tmp_path)) == []


def test_ends_what_no_block_holds(tmp_path: Path) -> None:
    """A child that was started on the folder and is nobody's is ended; another is left alone."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleeper, str(tmp_path / "3")]) as lost, subprocess.Popen(sleeper) as other:
        until(lambda: len(running_with(str(tmp_path))) == 1, "it does not start")
        end_left_over(tmp_path)
        assert running_with(str(tmp_path)) == []
        assert lost.wait(10) is not None
        assert other.poll() is None
        other.kill()


def running_with(text: str) -> list[int]:
    """Processes that have `text` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_wrk_sends_the_bodies_of_the_template() -> None:
    """The script makes what `Template.body` makes: the same parts, the same stamps, the length in the head."""
    target = Target(8080, "/hooks/x", reports=4, connections=2, seconds=1, seed=9)
    script = wrk_script(target)
    made = template(4, 9)
    assert f"Content-Length: {len(made.body(1))}\\r\\n\\r\\n" in script
    for part in made.parts[1:]:
        assert msgspec.json.encode(part).decode() in script


class TestManyReports:
    """The folder that `--search` measures on."""

    def test_is_one_as_the_projector_leaves_it(self, tmp_path: Path) -> None:
        """The counters add up, the commands read it, and it can be indexed and searched."""
        folder = Folder(tmp_path)
        made = make(folder, 24_000, lambda _: None)
        stats = json_of("stats", data_dir=tmp_path)
        assert conserved(stats)
        assert stats["messages"] == made.messages == 12_000
        plain = sqlite3.connect(folder.store)
        [(sums,)] = plain.execute("SELECT sum(reports) || ' ' || sum(repeats) FROM messages")
        [(rows,)] = plain.execute("SELECT (SELECT count(*) FROM reports) || ' ' || (SELECT count(*) FROM repeats)")
        plain.close()
        assert sums == rows
        assert asyncio.run(fill_index(folder, 12_000, lambda _: None)) == 2_000
        chosen = sorted(made.ids)[1]
        found = json_lines_of("messages", f"custom:A-{order_of(chosen)}", data_dir=tmp_path)
        assert [one["message_id"] for one in found] == [format_uuid(made.ids[chosen])]
        assert found[0]["msisdn"] == number_of(chosen)


def test_what_the_screen_costs_has_a_verdict() -> None:
    """Each figure stands beside what is asked, and says where it is not met; totals that do not hold fail it too."""
    good = Watched(
        reports=2,
        connections=32,
        seconds=6,
        rounds=3,
        throughput=0.93,
        throughputs=[0.9, 0.93, 0.95],
        p99=1.1,
        p99s=[1.0, 1.1, 1.4],
        kb_s=12.0,
        keys_ms=[30.0, 40.0, 150.0],
        problems=[],
    )
    assert good.holds
    assert "NOT MET" not in screen_table([good])
    worse: list[dict[str, Any]] = [
        {"throughput": 0.89},
        {"p99": 1.6},
        {"kb_s": 30.0},
        {"keys_ms": [250.0]},
        {"keys_ms": []},
    ]
    for changes in worse:
        bad = msgspec.structs.replace(good, **changes)
        assert not bad.holds
        assert screen_table([bad]).count("NOT MET") == 1
    assert not msgspec.structs.replace(good, problems=["reports is 3, should be 4"]).holds


def test_a_projection_is_measured_against_plain_inserts(tmp_path: Path) -> None:
    """Of small and of large batches: rates, and what a report takes on disk; nothing is left of it."""
    found = measure(tmp_path, 2_000, 1)
    assert [one.per_batch for one in found] == [2, 1000]
    for one in found:
        assert one.hooklab > 0
        [ratio] = one.ratios
        assert one.plain * ratio == pytest.approx(one.hooklab)
        assert one.store_bytes > 50
        assert one.journal_bytes > 10
    assert list(tmp_path.iterdir()) == []


def runs_at(*rates: int, **changes: Any) -> list[Run]:
    """Runs of one second that answered so much."""
    changes = {"drain_seconds": 0.5, **changes}
    return [Run(load=loaded(rate, seconds=1.0), **changes) for rate in rates]


def met(*found: Verdict) -> list[bool]:
    """Of each."""
    return [one.met for one in found]


class TestVerdicts:
    """Each line of the table, on either side of its target."""

    def test_of_receiving_compare_runs_that_followed_each_other(self) -> None:
        """The ratio is the median of the rounds' ratios, not the ratio of medians."""
        runs = {"hooklab": runs_at(30, 60, 200), "L": runs_at(100, 100, 400), "N": runs_at(10, 10, 10)}
        of_l, _, of_n = verdicts.receive(runs)
        assert (of_l.value, of_l.values) == (0.5, [0.3, 0.6, 0.5])
        assert of_l.figure == "0.50 (0.30 to 0.60)"
        assert (of_n.value, of_n.met) == (6.0, True)

    def test_of_receiving_with_little_lag_need_rate_and_lag(self) -> None:
        """Half of L's rate, all counted within 2 s, and a lag that never came to 0 is no small one."""
        other = {"L": runs_at(100), "N": runs_at(10)}
        assert met(*verdicts.receive({"hooklab": runs_at(60), **other})) == [True, True, True]
        assert met(*verdicts.receive({"hooklab": runs_at(55), **other})) == [False, True, True]
        assert met(*verdicts.receive({"hooklab": runs_at(49), **other})) == [False, False, True]
        slow = {"hooklab": runs_at(60, drain_seconds=2.5), **other}
        assert met(*verdicts.receive(slow)) == [True, False, True]
        left = {"hooklab": runs_at(60, lag_left=1), **other}
        assert met(*verdicts.receive(left)) == [True, False, True]

    def test_of_large_batches_are_against_the_journal_and_the_naive(self) -> None:
        """0.6 of J and 6 times N."""
        assert met(*verdicts.large({"hooklab": runs_at(60), "J": runs_at(100), "N": runs_at(10)})) == [True, True]
        assert met(*verdicts.large({"hooklab": runs_at(59), "J": runs_at(100), "N": runs_at(10)})) == [False, False]

    def test_of_one_connection_may_be_600_us_above_the_commit(self) -> None:
        """J's median commit is the measure; what was never answered took for ever."""
        commit = [Run(load=loaded(p50_ms=0.25))]
        for answer, within in ((0.85, True), (0.86, False), (None, False)):
            assert verdicts.single({"J": commit, "hooklab": [Run(load=loaded(p50_ms=answer))]}).met is within

    def test_of_the_slowest_are_against_the_commit_or_15_ms(self) -> None:
        """Whichever is more; and F's own at that pace is beside it."""
        bare = [Run(load=loaded(p99_ms=1.25))]
        for commit, answer, within in ((0.3, 15.0, True), (0.3, 15.1, False), (2.0, 20.0, True), (2.0, 20.1, False)):
            runs = {"J": [Run(load=loaded(p50_ms=commit))], "F": bare, "hooklab": [Run(load=loaded(p99_ms=answer))]}
            found = verdicts.paced(runs, "9,000/s, 70 %")
            assert found.met is within
            assert "9,000/s, 70 %" in found.what
            assert "1.25 ms" in found.what

    def test_of_memory_take_the_worst_peak(self) -> None:
        """Start and idle memory are medians; the peak is the greatest of all."""
        mib = 1024
        runs = [
            Run(load=loaded(), start_seconds=start, idle_kib=idle * mib, peak_kib=peak * mib)
            for start, idle, peak in ((0.5, 50, 100), (0.6, 55, 161), (3.0, 70, 100))
        ]
        assert met(*verdicts.serve(runs)) == [True, True, False]
        assert met(*verdicts.serve(runs[1:2] + runs[2:])) == [False, False, False]

    def test_of_growth_compare_with_the_small_store(self) -> None:
        """0.7 of the projection's first windows, 0.95 of what an empty folder receives in the same round."""
        grown = Grown(
            reports=9, windows=[Window(1, 100.0), Window(9, 70.0)], store_bytes=1, journal_bytes=1, problems=[]
        )
        received = {"grown": runs_at(95, 190), "empty": runs_at(100, 200)}
        assert met(*verdicts.growth(grown, received)) == [True, True]
        slower = msgspec.structs.replace(grown, windows=[Window(1, 101.0), Window(9, 70.0)])
        assert met(*verdicts.growth(slower, {**received, "empty": runs_at(101, 201)})) == [False, False]

    def test_of_questions_name_the_slowest_kind(self) -> None:
        """A message by its id has a target of its own, and is not the slowest of the others."""

        def took(kind: str, p95: float) -> Answered:
            return Answered(kind=kind, example="", tries=15, p50=1.0, p95=p95, worst=p95)

        slowest, by_id = verdicts.queries([took("one", 49.0), took(BY_ID, 60.0), took("other", 50.0)])
        assert "other" in slowest.what
        assert met(slowest, by_id) == [True, False]
        assert met(*verdicts.queries([took("one", 50.1), took(BY_ID, 5.0)])) == [False, True]

    def test_stand_in_a_table_of_100_columns(self) -> None:
        """What is not met is in capitals, and wide figures push nothing over the edge."""
        runs = {"hooklab": runs_at(1, 2), "L": runs_at(100, 100), "N": runs_at(1, 1), "J": runs_at(1, 1)}
        found = [*verdicts.receive(runs), *verdicts.large(runs), verdicts.single(runs), *verdicts.disk("x", 151, 99)]
        lines = verdicts.table(found).splitlines()
        assert max(map(len, lines)) <= 100
        assert [line.endswith("NOT MET") for line in lines[1:]] == [not one.met for one in found]
        assert " ".join(lines[-2].split()) == "store, bytes a report, x at most 150 bytes 151 NOT MET"


class TestVerify:
    """The truth that follows from a load's seed."""

    @pytest.fixture
    def sent(self, tmp_path: Path) -> tuple[Path, Target, Load]:
        """A folder whose service was sent three batches and has ended."""
        target = Target(0, "", 4, 1, 1, seed=5)
        number = target.seed
        with RunningService(tmp_path / "data") as service:
            for _ in range(3):
                number = after(number)
                assert service.post(template(4, 5).body(number))[0] == 200
            service.settled()
        return tmp_path / "data", target, loaded(3)

    def test_is_what_a_load_leaves(self, sent: tuple[Path, Target, Load]) -> None:
        """No difference, and the truth is gone again."""
        took, problems = verify(*sent)
        assert problems == []
        assert took > 0
        assert not list(sent[0].glob("truth*"))

    def test_finds_a_message_that_is_counted_wrong(self, sent: tuple[Path, Target, Load]) -> None:
        """What no counter shows: one description that is another."""
        with contextlib.closing(sqlite3.connect(sent[0] / "store.db")) as connection, connection:
            connection.execute("UPDATE messages SET description = 'Moved' WHERE rowid = 2")
        assert "description" in "; ".join(verify(*sent)[1])

    def test_knows_no_other_bodies(self, sent: tuple[Path, Target, Load]) -> None:
        """What another seed's load sent is none of this one's."""
        folder, target, load = sent
        assert verify(folder, msgspec.structs.replace(target, seed=6), load)[1] != []


class TestGrowth:
    """The store that grows by the projector itself."""

    def test_bodies_tell_of_what_is_counted(self) -> None:
        """As many elements, and of each kind as many messages, as the history says."""
        made = History(10_000, end=1_790_000_000_000_000)
        elements = [one for _ in range(made.batches) for one in json.loads(made.next()[1])]
        assert len(elements) == made.counts["elements"]
        assert len({one["MessageId"] for one in elements}) == made.counts["messages"] == 5_000
        final = {one["MessageId"]: one["Status"] for one in elements if one["Status"] != "PENDING"}
        assert list(final.values()).count("DELIVERED") == made.counts["delivered"]
        assert list(final.values()).count("NOT_DELIVERED") == made.counts["not_delivered"]
        assert len({json.dumps(one) for one in elements}) == made.counts["reports"]
        assert made.counts["elements"] - made.counts["reports"] == made.counts["repeats"] > 0
        assert made.counts["late"] > 0

    def test_half_of_the_finals_come_in_later_batches(self) -> None:
        """A projector meets messages that it knows, and not only new ones."""
        made = History(10_000, end=1_790_000_000_000_000)
        first: dict[str, int] = {}
        waited = [
            batch - first.setdefault(one["MessageId"], batch)
            for batch in range(made.batches)
            for one in json.loads(made.next()[1])
            if one["Status"] != "PENDING" or one["MessageId"] not in first
        ]
        # Each message's pending is one of the zeros.
        assert 0.2 < sum(one >= 40 for one in waited) / len(waited) < 0.3

    def test_ratio_is_of_the_first_and_the_last_windows(self) -> None:
        """Medians of a twentieth at each end, so that a checkpoint in one window does not decide."""
        rates = [100.0, 10.0, 100.0, 100.0] + [1.0] * 72 + [50.0, 5.0, 50.0, 50.0]
        windows = [Window(at, rate) for at, rate in enumerate(rates)]
        assert Grown(reports=1, windows=windows, store_bytes=1, journal_bytes=1, problems=[]).ratio() == 0.5

    def test_folder_is_one_of_a_service(self, tmp_path: Path) -> None:
        """Nothing is counted wrong, what screen and commands ask is there, and a service goes on from it."""
        folder, made = Folder(tmp_path), History(10_000, end=1_790_000_000_000_000)
        grown = grow(folder, made)
        assert grown.problems == []
        assert grown.reports >= grown.windows[-1].rows > 9_000
        found = ask(folder, made, indexed=False)
        assert {BY_ID, "insights of all", "for state, few"} <= {one.kind for one in found}
        assert not any("custom" in one.kind for one in found)
        assert all(0 < one.p50 <= one.p95 <= one.worst for one in found)
        with RunningService(tmp_path) as service:
            assert service.post(template(2, 1).body(1))[0] == 200
            assert service.settled()["reports"] == grown.reports + 2
        assert lost(tmp_path, made.batches) == []
        with contextlib.closing(sqlite3.connect(folder.store)) as connection, connection:
            connection.execute("DELETE FROM reports WHERE arrival >> 22 = ?", (made.batches + 1,))
        assert "should be" in "; ".join(lost(tmp_path, made.batches))


def curve_rows(name: str, *rates: int, drain: float | None = None) -> list[Row]:
    """Of 1, 2, 4 ... connections, a second each."""
    return [
        row
        for at, rate in enumerate(rates)
        for row in rows_of(2, 2**at, 1, {name: runs_at(rate, drain_seconds=drain)})
    ]


class TestCurves:
    def test_have_a_point_for_each_measurement(self) -> None:
        """Of hooklab also what it counted: answers by the time until none of them lagged."""
        rows = [*curve_rows("L", 100, 200), *curve_rows("hooklab", 50, 80, drain=1.0)]
        assert curves.throughput(rows) == [
            Curve("L", [(1.0, 100.0), (2.0, 200.0)]),
            Curve("hooklab", [(1.0, 50.0), (2.0, 80.0)]),
            Curve("hooklab, counted", [(1.0, 25.0), (2.0, 40.0)]),
        ]
        assert curves.growth([Window(1_500_000, 45_000.0)]).points == [(1.5, 45.0)]

    def test_without_matplotlib_say_so_at_once(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """One line, before anything is measured; no empty picture stays."""
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert command.main(["--picture", str(tmp_path / "curves.svg"), "--load", "python"]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert "no picture without matplotlib" in line
        assert list(tmp_path.iterdir()) == []

    def test_are_drawn_the_same_again(self, tmp_path: Path) -> None:
        """One SVG of the same figures, with its words as text, and no date."""
        pytest.importorskip("matplotlib", reason="only `make bench` installs it")
        for name in ("one", "other"):
            curves.draw(curve_rows("L", 100, 200), [Window(10, 5.0), Window(20, 4.0)], tmp_path / name)
        text = (tmp_path / "one").read_text()
        assert text == (tmp_path / "other").read_text()
        assert "million reports in the store</text>" in text
        assert "<dc:date>" not in text


@pytest.mark.system
def test_whole_measurement(tmp_path: Path) -> None:
    """What is asked for is measured, small, and has its lines, and so has what it needs; nothing stays."""
    data, found = tmp_path / "data", tmp_path / "bench.json"
    data.mkdir()
    options = ("--rounds", "1", "--seconds", "1", "--settle", "0.1", "--waiting", "2000", "--json", found)
    done = subprocess.run(
        bench(*options, "--part", "paced,disk", "--load", "python", "--dir", data),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(data.iterdir()) == []
    measured = msgspec.json.decode(found.read_bytes(), type=Measured)
    parts = dict.fromkeys(one.part for one in measured.verdicts)
    assert list(parts) == ["paced", "disk"]
    assert set(parts) < set(PARTS)
    assert measured.totals_hold
    assert measured.runs_of_hooklab == measured.runs_verified == 2
    assert f"`hooklab verify` read {measured.runs_verified} of them" in done.stdout
    assert all(one.what in done.stdout for one in measured.verdicts)
    again = subprocess.run(bench("--from", found), capture_output=True, text=True, check=True, env=environment())
    assert again.stdout == done.stdout


@pytest.mark.system
def test_a_pace_that_is_asked_for(tmp_path: Path) -> None:
    """It is the one that is measured, and nothing else is, to find one."""
    options = (
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--settle",
        "0.1",
        "--part",
        "paced",
        "--rate",
        "50",
        "--dir",
        tmp_path,
    )
    done = subprocess.run(
        bench(*options), capture_output=True, text=True, check=False, timeout=100, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "p99 at 50/s (F's " in done.stdout
    assert "Totals were compared after each of 1 runs of hooklab" in done.stdout
