"""The machine's clock jumps an hour, forward and back, while a service runs and somebody looks at its screen.

libfaketime sets the time that programs see and leaves CLOCK_MONOTONIC alone, as a real step of the clock does.
"""

import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pty_stage import Terminal
from support import RunningService, body_of, json_lines_of, json_of, pair

from faults.stage import CannotRun, Figures, Stage, wait_until

_LIBRARIES: Final = ("usr/lib*/faketime/libfaketimeMT.so.1", "usr/lib*/*/faketime/libfaketimeMT.so.1")
_HOUR: Final = 3600
_STEPS: Final = (0, _HOUR, -_HOUR, 0)
"""Seconds that the clock is off by, one after another: an hour forward, two back, and one forward again."""
_BELOW_ZERO: Final = re.compile(r"(?<![\w.:])[-\N{MINUS SIGN}]\s?\d[\d,.]*\s?(?:ms|s|min|h|d)\b")
_HINT: Final = "the end of a number"
"""What the filter box says below what is typed."""
_SIGNED: Final = {"p50_s", "p90_s", "p99_s", "offset_s"}
"""Of the provider's lag: its clock may be ahead of ours, and JSON says so by the sign."""


class FakeClock:
    """The time that services see which are of `kind`."""

    def __init__(self, place: Path) -> None:
        """It is the real one until `set_off` is called."""
        library = next((path for where in _LIBRARIES for path in Path("/").glob(where)), None)
        if library is None:
            raise CannotRun("libfaketime is not here; Debian: apt install libfaketime")
        self._file = place / "offset"
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.offset = 0
        self.set_off(0)
        environment = self.environment

        class Faked(RunningService):
            def __init__(self, data_dir: Path, *options: str) -> None:
                super().__init__(data_dir, *options, environment=environment)

        self.kind = Faked

    def set_off(self, seconds: int) -> None:
        """Whoever looks at the clock from now on sees it off by so much."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)
        self.offset = seconds


def run(place: Path, *, rounds: int = 5, walks: Sequence[int] = _STEPS) -> Figures:
    """The clock jumps through its steps `rounds` times under load; then it jumps by `walks`, and each time somebody
    goes through all screens.
    """
    fake = FakeClock(place)
    with Stage(place) as stage:
        stage.service.terminate()
        stage.kind = fake.kind
        stage.start()
        truths = list(_under_load(stage, fake, place, rounds))
        looked, spanning = _check_order(stage)
        with Terminal(_attach(stage), 160, 48, **fake.environment) as screen:
            _choose(screen, spanning)
            for step in walks:
                fake.set_off(step)
                _nothing_fires(stage, fake)
                _walk(screen, step)
        totals = [stage.verify("--others-allowed", truth=truth) for truth in truths]
        refused = stage.service.admin("/status")[1]["refused"]
        assert not refused, f"something was refused for the clock: {refused}"
        stage.service.terminate()
        assert not stage.service.stderr, stage.service.stderr
    names = ("messages", "acknowledged", "reports", "repeats")
    return {**{name: sum(found[name] for found in totals) for name in names}, **looked}


def _under_load(stage: Stage, fake: FakeClock, place: Path, rounds: int) -> Iterator[Path]:
    """A campaign at each step, and one all the while, so that histories span the jumps."""
    for number in range(rounds):
        truth = place / f"through{number}.jsonl"
        # The provider's clock is ahead, so that the time from reported to received is below zero.
        begin = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        through = stage.simulate(
            "--messages", "300", "--rate", "60", "--seed", f"through{number}", "--begin", begin, "--disorder", "0.3",
            "--again", "0.2", "--late", "0.2", truth=truth,
        )  # fmt: skip
        yield truth
        for at, step in enumerate(_STEPS):
            fake.set_off(step)
            truth = place / f"step{number}-{at}.jsonl"
            stage.sent(
                stage.simulate(
                    "--messages", "100", "--chaos", "--seed", f"step{number}-{at}", "--begin", begin, truth=truth
                )
            )
            yield truth
        stage.sent(through)
    stage.service.settled()


def _attach(stage: Stage) -> list[str | Path]:
    return [sys.executable, "-m", "hooklab", "attach", "--data-dir", stage.folder]


def _nothing_fires(stage: Stage, fake: FakeClock) -> None:
    """An open connection and a body that is half there outlive a jump; the Date header follows it."""
    service, body = stage.service, body_of(pair())
    idle = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    slow = service.connect()
    try:
        idle.request("POST", service.path, body_of(pair()))
        assert idle.getresponse().read() == b""
        kept = idle.sock
        head = f"POST {service.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        slow.sendall(head.encode() + body[:20])
        for seconds in (fake.offset + _HOUR, fake.offset - _HOUR, fake.offset):
            fake.set_off(seconds)
            wait_until(lambda: abs(_date_of(service) - time.time() - fake.offset) < 10, "a true Date header")
        slow.sendall(body[20:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        idle.request("POST", service.path, body_of(pair()))
        assert idle.getresponse().status == 200
        assert idle.sock is kept, "the connection was closed for the clock"
        assert service.admin("/ready")[0] == 200
    finally:
        idle.close()
        slow.close()


def _date_of(service: RunningService) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request("POST", service.path, b"[]")
        return parsedate_to_datetime(connection.getresponse().headers["Date"]).timestamp()
    finally:
        connection.close()


def _choose(screen: Terminal, message: str) -> None:
    """From now on the list of messages has this one alone."""
    screen.wait_for("1 Messages")
    wait_until(lambda: screen.text().count("3519") > 1, "the messages")
    screen.keys("/")
    screen.wait_for(_HINT)
    screen.keys(f"id:{message}", "\r")
    wait_until(lambda: _HINT not in screen.text() and "1 found" in screen.text(), "the one message")


def _walk(screen: Terminal, step: int) -> None:
    """Through all screens after a jump, the chosen message, a batch and each window of the insights."""
    now = datetime.fromtimestamp(time.time() + step, UTC)
    hours = (f"{now:%H:}", f"{datetime.fromtimestamp(now.timestamp() + 60, UTC):%H:}")
    wait_until(lambda: any(f" {hour}" in screen.text() for hour in hours), f"the time of the screen, {hours[0]}")
    places = (
        ("1", "1 Messages"), ("\r", "arrivals, in order"), ("1", "1 Messages"), ("2", "2 Batches"),
        ("\r", "body"), ("\x1b", "2 Batches"), ("3", "3 Problems"), ("4", "4 Quarantine"), ("5", "delivery"),
        *((key, shown) for _ in range(3) for key, shown in (("G", "from reported to received"), ("]g", "delivery"))),
        *(("[", "delivery") for _ in range(4)), ("1", "1 Messages"),
    )  # fmt: skip
    for key, shown in places:
        screen.keys(key)
        screen.wait_for(shown)
        time.sleep(0.7)  # so that it was drawn once more, with what the jump changed
        text = screen.text()
        assert not _BELOW_ZERO.search(text), f"after a jump by {step} s, key {key!r}:\n{text}"
        assert "cannot read" not in text, text
        assert "no answer" not in text, text


def _check_order(stage: Stage) -> tuple[Figures, str]:
    """What the commands list goes by arrival, never by the clock; also gives a message whose history spans a jump."""
    batches = json_lines_of("batches", "--limit", "1000000", data_dir=stage.folder)
    numbers = [one["batch"] for one in batches]
    assert numbers == sorted(numbers, reverse=True)
    times = [datetime.fromisoformat(one["received_at"]).timestamp() for one in reversed(batches)]
    back = sum(later - earlier < -_HOUR / 2 for earlier, later in pairwise(times))
    ahead = sum(later - earlier > _HOUR / 2 for earlier, later in pairwise(times))
    assert back, "the service did not see the clock go back"
    assert ahead, "the service did not see the clock go forward"
    newest = json_lines_of("messages", "--limit", "60", data_dir=stage.folder)
    spanning: list[str] = []
    last: list[tuple[int, int]] = []
    for message in newest + json_lines_of("messages", "is:late", "--limit", "60", data_dir=stage.folder):
        timeline = json_of("show", message["message_id"], data_dir=stage.folder)["timeline"]
        arrivals = [(one["batch"], one["index"]) for one in timeline]
        assert arrivals == sorted(arrivals), f"{message['message_id']} is not in order of arrival"
        received = [one["received_at"] for one in timeline]
        if received != sorted(received):
            spanning.append(message["message_id"])
        last.append(arrivals[-1])
    assert last[: len(newest)] == sorted(last[: len(newest)], reverse=True), "newest activity first is by arrival"
    assert spanning, "no history spans a jump back"
    _not_below_zero(json_of("insights", data_dir=stage.folder), ())
    told = json_of("insights", data_dir=stage.folder)["provider"]["lag"]
    assert told["p50_s"] < 0, "the provider's clock is not ahead of ours"
    figures = {"batches": len(batches), "jumps_back": back, "jumps_forward": ahead, "histories": len(spanning)}
    return figures, spanning[0]


def _not_below_zero(value: Any, where: Sequence[str]) -> None:
    """No number of insights is negative, but those that tell of a provider's clock that is ahead."""
    if isinstance(value, dict):
        for name, one in value.items():
            _not_below_zero(one, (*where, name))
    elif isinstance(value, list):
        for one in value:
            _not_below_zero(one, where)
    elif isinstance(value, int | float) and not ("lag" in where and where[-1] in _SIGNED):
        assert value >= 0, f"{'.'.join(where)} is {value}"
