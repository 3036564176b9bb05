"""Two load generators, `wrk` and one in Python for where there is none: each a process, with one kind of answer.

Both keep every connection busy: a new body follows as soon as an answer is there. `python -m bench.load` is the
second one.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop
from msgspec import Struct

from bench.bodies import STAMPS, STEP, Template, after, template

_PATIENCE: Final = 30.0
"""Seconds that an answer, or the generator itself, may be late."""


class LoadError(Exception):
    """A generator could not do its work; the text says what it said."""


class Load(Struct, frozen=True):
    """What one generator saw. Latencies are corrected as in `corrected`; None where nothing was answered."""

    seconds: float
    answered: int
    """Requests answered 200, of which `late` after the end of the time."""
    late: int
    refused: int
    """Requests answered otherwise."""
    failed: int
    """Connections that could not be made or broke."""
    cut: int
    """At most this many requests were under way when the generator left."""
    p50_ms: float | None
    p99_ms: float | None
    behind_p99_ms: float | None = None
    """How late a paced generator itself was."""

    def rate(self) -> float:
        """Answers a second."""
        return (self.answered - self.late) / self.seconds

    def most(self) -> int:
        """The most requests that can have arrived; the least is `answered`."""
        return self.answered + self.refused + self.failed + self.cut


class Target(Struct, frozen=True):
    """Where to, how much, and with which bodies."""

    port: int
    path: str
    reports: int
    connections: int
    seconds: int
    seed: int
    rate: float = 0.0
    """Requests a second that are due, whatever the answers; 0: as many as are answered."""


def wrk_is_here() -> bool:
    """Whether `wrk` can be started."""
    return shutil.which("wrk") is not None


def run_load(generator: str, target: Target) -> Load:
    """Loads `target` with `wrk` or `python`, or at its rate with `bench.paced`, in a process of its own.

    Raises:
        LoadError: it failed.
    """
    if target.rate or generator == "python":
        module = "bench.paced" if target.rate else "bench.load"
        return _answer_of([sys.executable, "-m", module, msgspec.json.encode(target).decode()], target)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(wrk_script(target))
        script.flush()
        options = ["-t1", f"-c{target.connections}", f"-d{target.seconds}s", f"--timeout={int(_PATIENCE)}s"]
        url = f"http://127.0.0.1:{target.port}{target.path}"
        return _answer_of(["wrk", *options, "-s", script.name, url], target)


def _answer_of(command: Sequence[str], target: Target) -> Load:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=target.seconds + 2 * _PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{command[0]} does not end") from error
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Load)
    except (IndexError, msgspec.MsgspecError) as error:
        said = (done.stdout + done.stderr).decode(errors="replace")[-500:]
        raise LoadError(f"{command[0]} ended with {done.returncode} and said {said!r}") from error


def wrk_script(target: Target) -> str:
    """Lua for one thread of wrk: `request` makes the next body, `done` prints a `Load` as the last line."""
    made = template(target.reports, target.seed)
    first = [f"{head_of(target, made)}{made.parts[0]}", *made.parts[1:]]
    # JSON's escapes of plain text are Lua's; no part holds any but \" \\ \r and \n.
    parts = ",\n".join(msgspec.json.encode(part).decode() for part in first)
    return f"""
local parts = {{
{parts}
}}
local concat, format, floor, number = table.concat, string.format, math.floor, {target.seed % STAMPS}
function request()
    number = (number + {STEP}) % {STAMPS}
    return concat(parts, format("-%04x-4%03x-8", floor(number / 4096), number % 4096))
end
function done(summary, latency)
    local errors = summary.errors
    local answered = summary.requests - errors.status
    local function ms(share)
        return summary.requests > 0 and format("%.3f", latency:percentile(share) / 1000) or "null"
    end
    io.write(format('\\n{{"seconds":%.6f,"answered":%d,"late":0,"refused":%d,"failed":%d,"cut":%d,"p50_ms":%s,"p99_ms":%s}}\\n',
        summary.duration / 1e6, answered, errors.status, errors.connect + errors.read + errors.write,
        {target.connections}, ms(50), ms(99)))
end
"""


def head_of(target: Target, made: Template) -> str:
    """The head that every request of `target` has."""
    length = len(made.body(0))
    return (
        f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )


def corrected(latencies: Sequence[float], connections: int, took: float) -> list[float]:
    """Latencies in order, completed as wrk completes its own, for coordinated omission; `took` is in their unit.

    A connection that waits does not ask. An answer that took longer than two mean intervals therefore stands also
    for the requests that would have been sent meanwhile, each an interval shorter.
    """
    rounds = len(latencies) // connections
    if not rounds:
        return sorted(latencies)
    interval = took / rounds
    found = list(latencies)
    for latency in latencies:
        if latency >= 2 * interval:
            missed = latency - interval
            while missed > interval:
                found.append(missed)
                missed -= interval
    return sorted(found)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value within which `share` (0 to 1) of `ordered` lies; None of nothing."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


class _Run:
    """What the connections of one run share."""

    def __init__(self, target: Target) -> None:
        made = template(target.reports, target.seed)
        self._head = head_of(target, made).encode()
        self._made = made
        self._number = target.seed % STAMPS
        self.ends = 0.0
        self.answered = self.late = self.refused = self.failed = self.open = 0
        self.latencies_ms: list[float] = []
        self.done = asyncio.Event()

    def request(self) -> bytes:
        self._number = after(self._number)
        return self._head + self._made.body(self._number)

    def count(self, status: int, took: float, now: float) -> None:
        if status != 200:
            self.refused += 1
            return
        self.answered += 1
        if now > self.ends:
            self.late += 1
        self.latencies_ms.append(took * 1000)

    def leave(self) -> None:
        self.open -= 1
        if not self.open:
            self.done.set()


class _Connection(asyncio.Protocol):
    """Asks, waits for the answer, asks again; after the end of the time it waits for its last answer and leaves."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._seen = b""
        self._asked = 0.0
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by its type
        self._ask()

    def _ask(self) -> None:
        request = self._run.request()
        self._waiting = True
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        if not end:
            return
        fields = head.lower()
        _, named, length = fields.partition(b"content-length: ")
        if not named or len(body) < int(length.split(b"\r", 1)[0]):
            return
        now = time.perf_counter()
        self._seen = b""
        self._waiting = False
        self._run.count(int(head[9:12]), now - self._asked, now)
        if now >= self._run.ends or b"connection: close" in fields:
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._run.failed += 1
        self._run.leave()


async def python_load(target: Target) -> Load:
    """Loads `target` from this loop. An answer must name its length; one that does not is waited for in vain."""
    run = _Run(target)
    loop = asyncio.get_running_loop()
    run.open = target.connections
    began = time.perf_counter()
    run.ends = began + target.seconds
    made = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Connection(run), "127.0.0.1", target.port)
            for _ in range(target.connections)
        ),
        return_exceptions=True,
    )
    for one in made:
        if isinstance(one, BaseException):
            run.failed += 1
            run.leave()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(run.done.wait(), target.seconds + _PATIENCE)
    ordered = corrected(run.latencies_ms, target.connections, (time.perf_counter() - began) * 1000)
    p50, p99 = (quantile(ordered, 0.5), quantile(ordered, 0.99))
    return Load(target.seconds, run.answered, run.late, run.refused, run.failed, run.open, p50, p99)


def main() -> int:
    """Does what the one argument, a `Target` as JSON, says; prints a `Load`."""
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("target", type=lambda text: msgspec.json.decode(text, type=Target))
    target: Target = parser.parse_args().target
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(python_load(target))
    print(msgspec.json.encode(load).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
