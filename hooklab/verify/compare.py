"""What is found in a data folder, beside what was expected."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hooklab.verify.model import NOTHING, Difference, Expected, Row

_COUNTERS: Final = (
    "batches", "malformed", "retries", "elements", "reports", "repeats", "duplicates", "late", "quarantined",
    "messages", "delivered", "not_delivered", "pending", "conflicts",
)  # fmt: skip
_MINUTE: Final = (
    "batches", "elements", "reports", "repeats", "quarantined", "delivered", "not_delivered", "pending",
)  # fmt: skip


def compare(kind: str, where: str, expected: Mapping[str, Any] | None, found: Mapping[str, Any]) -> list[Difference]:
    """In what a row of the store differs from the one expected; `found` may have more than is compared."""
    if expected is None:
        return [Difference(kind, where, "all of it", NOTHING, "there")]
    differences: list[Difference] = []
    for name, value in expected.items():
        if name == "timeline":
            differences += _compare_timelines(where, value, found[name])
        elif value != found[name]:
            differences.append(Difference(kind, where, name, value, found[name]))
    return differences


def _compare_timelines(where: str, expected: list[Row], found: list[Row]) -> Iterator[Difference]:
    wanted = {(one["batch"], one["index"]): one for one in expected}
    there = {(one["batch"], one["index"]): one for one in found}
    for place in sorted({*wanted, *there}):
        what = f"arrival in batch {place[0]}, index {place[1]}"
        if place not in there or place not in wanted:
            one, other = (("there", NOTHING), (NOTHING, "there"))[place in there]
            yield Difference("message", where, what, one, other)
            continue
        for name, value in wanted[place].items():
            if value != there[place][name]:
                yield Difference("message", where, f"{what}: {name}", value, there[place][name])
    if list(wanted) != list(there) and set(wanted) == set(there):
        yield Difference("message", where, "order of arrivals", list(wanted), list(there))


def missing(kind: str, where: Iterable[object]) -> list[Difference]:
    """What was expected and is not there."""
    return [Difference(kind, str(one), "all of it", "there", NOTHING) for one in where]


def compare_counters(expected: Expected, found: Mapping[str, Any]) -> Iterator[Difference]:
    """The counters beside those that follow; where others sent too, they must be no smaller. And conservation."""
    for name in _COUNTERS:
        wanted, there = expected.counters[name], found[name]
        if there < wanted or (there > wanted and not expected.others):
            yield Difference("counter", name, "value", wanted, there)
    known = found["reports"] + found["repeats"] + found["quarantined"] - found["malformed"]
    if found["elements"] != known:
        yield Difference("counter", "conservation", "elements", known, found["elements"])


def compare_minutes(expected: Expected, found: Mapping[int, Mapping[str, Any]]) -> Iterator[Difference]:
    """The counters of each minute, likewise."""
    quiet = Counter[str]()
    for minute in sorted({*expected.minutes, *found}):
        for name in _MINUTE:
            wanted, there = expected.minutes.get(minute, quiet)[name], found.get(minute, quiet)[name]
            if there < wanted or (there > wanted and not expected.others):
                yield Difference("minute", str(minute), name, wanted, there)
