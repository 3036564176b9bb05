"""What the one file runs: hooklab, in the child of the process that unpacked it."""

import ctypes
import os
import signal
import sys
from pathlib import Path

from hooklab.cli import main

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Has SIGTERM come when the parent is gone: after `kill -9 PID` nothing may go on that nobody sees."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it went in this moment
        os.kill(os.getpid(), signal.SIGTERM)


def _give_back_library_path() -> None:
    """Programs started from here are the system's: the libraries that were unpacked are not for them."""
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before


def _add_zones() -> None:
    """The zones that `assume_timezone` may name, where the system has none."""
    sys.path.append(str(Path(__file__).with_name("tzdata.zip")))


if __name__ == "__main__":
    _add_zones()
    _end_with_parent()
    _give_back_library_path()
    sys.exit(main())
