"""An open-loop load, `python -m bench.paced`: requests are due at times that no answer can move.

What comes late counts from when it was due, be it that the server was slow or that all connections were waiting: no
coordinated omission, and nothing to correct. Plain sockets and `select`, since a loop's timers are no finer than a
millisecond, and a request must cost little here: the cores are the server's.
"""

import argparse
import gc
import random
import select
import socket
import sys
import time
from collections import deque
from typing import Final

import msgspec

from bench.bodies import STAMPS, after, template
from bench.load import Load, Target, head_of, quantile

_PATIENCE: Final = 30.0
"""Seconds after the last request was due that answers are waited for."""
_READ: Final = 65536


def schedule(rate: float, seconds: float, seed: int) -> list[float]:
    """When requests are due, from 0: a Poisson process, since callers do not wait for one another."""
    chance = random.Random(seed)
    found: list[float] = []
    at = chance.expovariate(rate)
    while at < seconds:
        found.append(at)
        at += chance.expovariate(rate)
    return found


def status_of(answer: bytes) -> int | None:
    """The code of an answer that is whole; None while it is not. An answer must name its length."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    _, named, length = head.lower().partition(b"content-length: ")
    return int(head[9:12]) if named and len(body) >= int(length.split(b"\r", 1)[0]) else None


class _Asking:
    """The connections of one run, and what came of their requests."""

    def __init__(self, target: Target) -> None:
        self._made = template(target.reports, target.seed)
        self._head = head_of(target, self._made).encode()
        self._number = target.seed % STAMPS
        self._free: deque[socket.socket] = deque()
        self._due: dict[socket.socket, float] = {}
        """When the request was due that a connection waits for."""
        self._seen: dict[socket.socket, bytes] = {}
        self.took: list[float] = []
        self.behind: list[float] = []
        """How late requests were sent though a connection was free: what this side adds."""
        self.refused = self.failed = 0
        for _ in range(target.connections):
            self._free.append(socket.create_connection(("127.0.0.1", target.port)))

    def run(self, offsets: list[float]) -> int:
        """Sends all when they are due; gives how many are still without an answer."""
        began = time.perf_counter() + 0.05
        due = deque(began + offset for offset in offsets)
        ends = began + (offsets[-1] if offsets else 0.0) + _PATIENCE
        idle_since = began
        while (due or self._due) and (now := time.perf_counter()) < ends and (self._free or self._due):
            while due and due[0] <= now and self._free:
                self.behind.append(now - max(due[0], idle_since))
                self._ask(due.popleft())
                now = time.perf_counter()
            wait = ends - now if not due or not self._free else max(due[0] - now, 0.0)
            was_free = bool(self._free)
            ready, _, _ = select.select(list(self._due), (), (), wait)
            for one in ready:
                self._hear(one)
            if not was_free:
                idle_since = time.perf_counter()
        for one in [*self._free, *self._due]:
            one.close()
        return len(due) + len(self._due)

    def _ask(self, due: float) -> None:
        one = self._free.popleft()
        self._number = after(self._number)
        self._due[one], self._seen[one] = due, b""
        try:
            one.sendall(self._head + self._made.body(self._number))
        except OSError:
            self._lose(one)

    def _hear(self, one: socket.socket) -> None:
        try:
            data = one.recv(_READ)
        except OSError:
            data = b""
        now = time.perf_counter()
        if not data:
            self._lose(one)
            return
        self._seen[one] += data
        status = status_of(self._seen[one])
        if status is None:
            return
        took = now - self._due.pop(one)
        if status == 200:
            self.took.append(took * 1000)
        else:
            self.refused += 1
        self._free.append(one)

    def _lose(self, one: socket.socket) -> None:
        self.failed += 1
        del self._due[one]
        one.close()


def paced_load(target: Target) -> Load:
    """Loads `target` at its rate."""
    offsets = schedule(target.rate, target.seconds, target.seed)
    asking = _Asking(target)
    began = time.perf_counter()
    left = asking.run(offsets)
    took = max(time.perf_counter() - began, float(target.seconds))
    asking.took.sort()
    asking.behind.sort()
    p50, p99 = (quantile(asking.took, share) for share in (0.5, 0.99))
    behind = (quantile(asking.behind, 0.99) or 0.0) * 1000
    return Load(took, len(asking.took), 0, asking.refused, asking.failed, left, p50, p99, behind)


def main() -> int:
    """Does what the one argument, a `Target` as JSON, says; prints a `Load`."""
    parser = argparse.ArgumentParser(prog="bench.paced")
    parser.add_argument("target", type=lambda text: msgspec.json.decode(text, type=Target))
    gc.disable()  # of a process that ends soon: a collection would be somebody's latency
    print(msgspec.json.encode(paced_load(parser.parse_args().target)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
