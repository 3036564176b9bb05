"""The clock of this machine, and how the provider's times compare with it."""

import ctypes
import sys
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from hooklab.findings import percent, took
from hooklab.health.base import Finding, ok, warning
from hooklab.insights import Lag
from hooklab.times import SECOND, iso

_RELEASED: Final = 1_793_491_200 * SECOND
"""2026-11-01: no clock that is right tells a time before this program was."""
_LATER: Final = 5 * SECOND
_ERROR: Final = 5
"""What adjtimex gives for a clock that nothing keeps."""
_FEW: Final = 20
"""Below so many reports nothing is said of the provider's times."""


class Times(Struct, frozen=True, kw_only=True):
    """What clocks say."""

    now: int
    newest: int | None
    """When the newest batch was received; microseconds UTC, as `now`."""
    kept: bool | None
    """Whether something keeps the clock by a time server; None where it cannot be told."""


class _Timex(ctypes.Structure):
    """The kernel's struct timex, as far as it is of use; the rest is room that the kernel writes to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def is_kept() -> bool | None:
    """Whether the kernel knows its clock to be kept by a time server; None where it does not say."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # No mode is set: it only tells.
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(_Timex())))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _ERROR


def judge_times(found: Times, lag: Lag | None) -> Iterator[Finding]:
    """`clock`, and `reported` where enough came to tell."""
    yield _judge_clock(found)
    if lag is not None and lag.reports >= _FEW:
        yield _judge_reported(lag)


def _judge_clock(found: Times) -> Finding:
    says = f"it is {(iso(found.now) or '')[:19].replace('T', ' ')} UTC"
    keep = "have it set by a time server: timedatectl set-ntp true, or install chrony"
    if found.now < _RELEASED:
        return warning("clock", f"{says} by this machine, which is before this hooklab was made", keep)
    if found.newest is not None and found.newest > found.now + _LATER:
        ahead = took((found.newest - found.now) / SECOND)
        return warning(
            "clock",
            f"{says}, but the newest batch was received {ahead} later: the clock was set back, or was wrong then",
            f"{keep}. Nothing is lost: order goes by the journal, never by the clock",
        )
    if found.kept is False:
        return warning(
            "clock",
            f"{says}; as far as the kernel knows no time server keeps it right",
            f"{keep}, unless the host of this machine keeps it",
        )
    kept = "kept by a time server" if found.kept else "whether a time server keeps it cannot be told here"
    return ok("clock", f"{says}, {kept}")


def _judge_reported(lag: Lag) -> Finding:
    off = lag.clock_off
    if off is not None:
        way = "behind" if off.offset_s > 0 else "ahead"
        zone = f", such as {off.assume_timezone}" if off.assume_timezone else ""
        return warning(
            "reported",
            f"{percent(off.share)} of the last day's reports tell a time {took(abs(off.offset_s))} {way}, as a local"
            " time does",
            f"if those times name no zone, set assume_timezone to the provider's{zone}, and run hooklab rebuild",
        )
    return ok(
        "reported", f"half of the last day's reports came within {took(lag.p50_s)}, 99 % within {took(lag.p99_s)}"
    )
