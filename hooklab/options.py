"""What options may say, and the options of commands that have many."""

import argparse
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_CHANCES: Final = {
    "disorder": "reports out of order",
    "again": "a batch is sent again though it was answered",
    "lost": "an answer is lost: the connection is cut after the body went out",
    "regroup": "reports are sent again in another batch",
    "conflict": "a message gets both kinds of final",
    "late": "a PENDING after the final",
    "bad": "elements that cannot be understood, and fields of a wrong type",
}


def add_export(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    add = parser.add_argument
    add("words", nargs="*", metavar="FILTER", help="words that must all hold; see the README")
    add("--format", choices=("csv", "jsonl"), help="default: what FILE ends in, else csv")
    add("--output", metavar="FILE", help="a file that is there once it is whole (default: - for standard output)")
    add("--force", action="store_true", help="replace FILE without asking")
    add("--mask", action="store_true", help="hide the middle of phone numbers")


def add_simulate(parser: argparse.ArgumentParser) -> None:
    """The options of `simulate`."""
    add = parser.add_argument
    add("--messages", metavar="N", type=messages, default=1000, help="how many (default 1000)")
    add("--seed", metavar="TEXT", help="the same seed and options give the same bodies (default: another every time)")
    add(
        "--truth", metavar="FILE", type=Path, help="write what was sent, how often, and what was answered; for verify"
    )
    add("--url", help="where to (default: the hook URL of this data folder)")
    add("--organizations", metavar="N", type=positive, default=3, help="that send them (default 3)")
    add("--batch", metavar="N|mix", type=batch, help="reports in a request: 1 to 1000, or mixed (default mix)")
    add("--labels", action="store_true", help="a URL for each state, instead of one for all")
    add("--connections", metavar="N", type=connections, default=8, help="at the same time (default 8)")
    add("--rate", metavar="N", type=amount, help="requests a second at most (default: as fast as possible)")
    add("--time-scale", metavar="N", type=amount, help="send when due, N times faster than life (default: at once)")
    add("--begin", metavar="TIME", type=moment, help="of the first report, ISO 8601 (default: now with --time-scale)")
    add("--tries", metavar="N", type=positive, default=12, help="for one request (default 12)")
    add(
        "--backoff",
        metavar="SECONDS",
        type=amount,
        default=0.25,
        help="until the second try, then doubled (default 0.25)",
    )
    add(
        "--give-up", metavar="SECONDS", type=amount, default=60.0, help="end after so long without a 200 (default 60)"
    )
    group = parser.add_argument_group("misbehaviour", "How likely, from 0 to 1 (default 0).")
    group.add_argument("--chaos", action="store_true", help="all of these, far oftener than on any network")
    for name, does in _CHANCES.items():
        group.add_argument(f"--{name}", metavar="P", type=chance, help=does)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """The options of `verify`."""
    add = parser.add_argument
    add("--truth", metavar="FILE", type=Path, required=True, help="what `simulate --truth` wrote")
    add("--others-allowed", action="store_true", help="requests that the truth does not know are no difference")
    add("--wait", metavar="SECONDS", type=amount, default=60.0, help="for what is not counted yet (default 60)")
    add("--limit", metavar="N", type=positive, default=5, help="print at most N differences of a kind (default 5)")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**62:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def messages(text: str) -> int:
    """So many messages as fit into memory: all is planned before the first byte is sent."""
    value = positive(text)
    if value > 500_000:
        raise argparse.ArgumentTypeError("at most 500,000 messages: each takes some 4 KB of memory")
    return value


def connections(text: str) -> int:
    """So many connections as a process may well have: each is a thread."""
    value = positive(text)
    if value > 512:
        raise argparse.ArgumentTypeError("at most 512 connections")
    return value


def amount(text: str) -> float:
    """A number above 0."""
    return _number(text, 0.001, 1e9, "a number above 0")


def chance(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, 0, 1, "a number from 0 to 1")


def _number(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:  # not a number is neither
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def batch(text: str) -> int | None:
    """Reports in a batch; None for a mix."""
    if text == "mix":
        return None
    value = positive(text)
    if value > 1000:
        raise argparse.ArgumentTypeError("the provider sends at most 1000 reports in a request")
    return value


def moment(text: str) -> datetime:
    """A time in ISO 8601; UTC where it names no zone."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or not 1970 <= value.year < 9000:  # a campaign must not reach the end of time
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-22T09:30:00Z")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
