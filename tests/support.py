"""What tests share: reports to send, a service in a process of its own, and a client that speaks raw HTTP."""

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hooklab.files import Folder, socket_address
from hooklab.journal.packing import Packer

TOKEN = "test-token-0123456789"
ORGANIZATION = "6f1a3c1e-52a4-4c43-9d8e-0c9a53d1b7aa"
Report = dict[str, Any]
HEEDING_MODES = (
    sys.executable,
    "-c",
    """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
""",
)
"""Runs the command after it without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root too has to heed modes."""


def report(message_id: str | None = None, status: str = "DELIVERED", **fields: Any) -> Report:
    """One documented element; `fields` replace or add."""
    return {
        "Msisdn": "351900000123",
        "Status": status,
        "MessageId": message_id or str(uuid.uuid4()),
        "OrganizationId": ORGANIZATION,
        "ReportDescription": {"PENDING": "Accepted by operator", "DELIVERED": "Delivered to handset"}.get(
            status, "Absent subscriber"
        ),
        "ReportDateTime": "2026-11-22T09:31:02.120Z",
        "TotalSegments": 1,
        "CustomPayload": '{"order": 4711}',
        **fields,
    }


def pair(seed: random.Random | None = None) -> list[Report]:
    """The common PENDING and DELIVERED of one new message."""
    message_id = str(uuid.UUID(int=seed.getrandbits(128), version=4)) if seed else str(uuid.uuid4())
    return [
        report(message_id, "PENDING", ReportDateTime="2026-11-22T09:31:00Z"),
        report(message_id, "DELIVERED", ReportDateTime="2026-11-22T09:31:02Z"),
    ]


def body_of(reports: Sequence[Any]) -> bytes:
    """A request body."""
    return json.dumps(reports).encode()


def hooklab(
    *arguments: str | Path, data_dir: Path | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Runs one command to its end, with pipes and no terminal."""
    command = [sys.executable, "-m", "hooklab", *map(str, arguments)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    options.setdefault("timeout", 60)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command, capture_output=True, check=False, **options)


def json_of(*arguments: str | Path, data_dir: Path) -> Any:
    """What a command prints with `--json`, as one value."""
    done = hooklab(*arguments, "--json", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def json_lines_of(*arguments: str | Path, data_dir: Path) -> list[Any]:
    """What a command prints with `--json`, as a list."""
    done = hooklab(*arguments, "--json", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


_NUMBERS: Final = itertools.count()


class NotReady(AssertionError):  # noqa: N818  a test that did not expect it fails
    """A service ended before its ready line."""


class RunningService:
    """`hooklab serve` in a process of its own, on a free port; leaving the block stops it by SIGTERM.

    A subclass with another `command` runs any server that says `NAME: ready URL` on its first line.
    """

    def __init__(self, data_dir: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._options = options
        self._environment = {**os.environ, **(environment or {})}
        self.url = ""
        self.port = 0
        self.path = ""
        self.stderr = b""
        self.log = b""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # such as Ctrl-C while it starts
            if hasattr(self, "process") and self.process.poll() is None:
                self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.terminate()

    def command(self) -> list[str]:
        """The command line."""
        command = [sys.executable, "-m", "hooklab", "serve", "--data-dir", str(self.data_dir)]
        if "--bind" not in self._options:
            command += ["--bind", "127.0.0.1:0"]
        if not {"--token", "--token-file"} & set(self._options):
            command += ["--token", TOKEN]
        return [*command, *self._options]

    def start(self) -> None:
        """Returns once the ready line is there."""
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        _, ready, self.url = line.strip().partition(": ready ")
        if not ready:
            _, self.stderr = self.process.communicate(timeout=20)
            raise NotReady(f"no ready line but {line!r}, {self.stderr!r}")
        place, _, self.path = self.url.removeprefix("http://").partition("/")
        port = place.rpartition(":")[2]
        self.port = int(port) if port.isdigit() else 0
        self.path = "/" + self.path

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.process.kill()
        self._collect()

    def terminate(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self._collect()
        return self.process.returncode

    def _collect(self) -> None:
        """What it logged goes to `log`, and of that what is more than its start and end to `stderr`."""
        _, self.log = self.process.communicate(timeout=20)
        self.stderr = b"".join(line for line in self.log.splitlines(keepends=True) if b'"level":"info"' not in line)

    def post(self, body: bytes, label: str | None = None, **headers: str) -> tuple[int, bytes]:
        """POSTs to the hook; gives code and text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", self.path + (f"/{label}" if label else ""), body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A plain connection to the public port, each from another address of loopback: who fails often waits."""
        number = next(_NUMBERS)
        source = f"127.{1 + number // 62500 % 200}.{1 + number // 250 % 250}.{1 + number % 250}"
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0))

    def stats(self) -> dict[str, Any]:
        """`hooklab stats --json`."""
        found: dict[str, Any] = json_of("stats", data_dir=self.data_dir)
        return found

    def settled(self, seconds: float = 20.0) -> dict[str, Any]:
        """The counters once all is projected."""
        ends = time.monotonic() + seconds
        while True:
            counters: dict[str, Any] = self.admin("/status")[1]
            if not counters["lag"] and not counters["queue_depth"]:
                return counters
            assert time.monotonic() < ends, "the projector does not catch up"

    def admin(self, path: str) -> tuple[int, Any]:
        """GETs a page of the admin socket; gives code and JSON."""
        return ask_admin(self.data_dir, path)


def ask_admin(data_dir: Path, path: str) -> tuple[int, Any]:
    """GETs a page of the admin socket in `data_dir`; gives code and JSON."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        with socket_address(Folder(data_dir)) as address:
            client.connect(address)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = read_to_end(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def read_to_end(connection: socket.socket) -> bytes:
    """All that the other side sends until it closes; a reset counts as an end."""
    parts: list[bytes] = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def conserved(counters: dict[str, Any]) -> bool:
    """The conservation law of the design's section 4."""
    known = counters["reports"] + counters["repeats"] + counters["quarantined"] - counters["malformed"]
    return bool(counters["elements"] == known)


def spoil(path: Path, sequence: int, share: float = 0.5) -> None:
    """Changes one byte of what a closed journal holds of a batch, after a `share` of it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        [(stored,)] = connection.execute("SELECT body FROM batches WHERE sequence = ?", (sequence,))
    at = path.read_bytes().index(stored) + int(len(stored) * share)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def unpacking(connection: sqlite3.Connection) -> sqlite3.Connection:
    """For a journal: in SQL there are now ``body_of(encoding, body)`` and ``headers_of(encoding, headers, body)``.

    They give what was received, in whichever encoding a row has it.
    """
    packer = Packer()
    connection.create_function(
        "body_of", 2, lambda encoding, body: packer.unpack(body, encoding)[2] if encoding else body
    )
    connection.create_function(
        "headers_of", 3, lambda encoding, headers, body: packer.unpack(body, encoding)[1] if encoding else headers
    )
    return connection
