"""A service under strace, which makes its system calls fail or wait; and what strace saw."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from support import RunningService

from faults.machine import require
from faults.stage import wait_until

SEEN: Final = "fdatasync,fsync,ftruncate,pwrite64,write,writev,sendto,sendmsg"
"""Calls of which the log tells: what reaches the disk, and what is answered."""
_CALL: Final = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)")
_CUT: Final = " <unfinished ...>"
_RESULT: Final = re.compile(r"\) += ")
_FAILED: Final = re.compile(r"= -1 E\w+ .*\(INJECTED\)$")


def traced(log: Path, *injections: str, paths: tuple[Path, ...] = (), calls: str = SEEN) -> type[RunningService]:
    """A kind of service whose calls strace tampers with.

    Args:
        log: where strace writes what it saw.
        injections: such as ``fdatasync:error=EIO:when=3``; strace counts for each thread of the service on its own.
        paths: only calls on these files are seen and tampered with; none for all files.
        calls: which system calls are seen.
    """
    require("strace", package="strace")
    command = ["strace", "-D", "-f", "--seccomp-bpf", "-q", "-y", "-s", "24", "-o", str(log), "-e", f"trace={calls}"]
    command += [part for injection in injections for part in ("-e", f"inject={injection}")]
    command += [part for path in paths for part in ("-P", str(path))]

    class Traced(RunningService):
        def command(self) -> list[str]:
            # -D: the service is our child, so that its signals and its exit code are its own.
            return [*command, *super().command()]

    return Traced


class Call(NamedTuple):
    """One system call as it ended."""

    thread: int
    name: str
    what: str
    """Arguments and result."""

    @property
    def failed(self) -> bool:
        """Whether it was made to fail."""
        return _FAILED.search(self.what) is not None


def calls_in(log: Path, pid: int) -> Iterator[Call]:
    """The calls of process `pid`, which has ended, in the order in which they ended."""
    end = re.compile(rf"^{pid} +\+\+\+ ", re.MULTILINE)
    wait_until(lambda: end.search(log.read_text(encoding="utf-8", errors="replace")) is not None, "strace's end")
    begun: dict[int, str] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if (found := _CALL.match(line)) is None:
            continue
        thread, name, what = int(found[1]), found[2], found[3]
        if what.endswith(_CUT):
            begun[thread] = what.removesuffix(_CUT)
        else:
            yield Call(thread, name, _RESULT.sub(") = ", begun.pop(thread, "") + what))
