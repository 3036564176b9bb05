"""What must be in a data folder, from the truth about what was sent and the order in which the journal has it.

Pure, and on purpose a second reading of the design's section 4: it shares no code with the rules that it judges. All
is plain: the simplest way to say what a message's arrivals mean, with no regard to speed or to order of writing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from msgspec import Struct, field

from hooklab.simulator.truth import BodyLine, Misfit, Truth

_FIELDS: Final = (
    "Msisdn", "Status", "MessageId", "OrganizationId",
    "ReportDescription", "ReportDateTime", "TotalSegments", "CustomPayload",
)  # fmt: skip
_STATES: Final = ("PENDING", "DELIVERED", "NOT_DELIVERED")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_MINUTE: Final = {"elements": "elements", "reports": "new", "repeats": "repeats", "quarantined": "quarantined"}
NOTHING: Final = "nothing"
"""Stands for what is missing where a difference is shown."""

Row = dict[str, Any]


class Journaled(Struct, frozen=True):
    """One batch as the journal has it. `digest` is SHA-256 of the body in hexadecimal."""

    batch: int
    received_at: int
    label: str | None
    malformed: bool
    digest: str
    body: bytes


class Difference(Struct, frozen=True):
    """Something that is not as the truth wants it.

    Attributes:
        kind: what is compared, such as "body" or "message".
        where: which, such as a digest, a message's id or a batch's number.
        what: the name of what differs.
    """

    kind: str
    where: str
    what: str
    expected: Any
    found: Any


class Expected(Struct):
    """What must be found. Keys and values are those of the commands' JSON, times in microseconds."""

    messages: dict[str, Row] = field(default_factory=dict)
    batches: dict[int, Row] = field(default_factory=dict)
    quarantine: dict[tuple[int, int], Any] = field(default_factory=dict)
    """By batch and index: the element."""
    minutes: dict[int, Counter[str]] = field(default_factory=dict)
    """By minute since 1970 UTC."""
    counters: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    """Between truth and journal."""
    others: int = 0
    """Batches that the truth does not know."""


class _Arrival(Struct):
    batch: int
    index: int
    received_at: int
    label: str | None
    report: Row
    identity: str
    kind: str = ""


class Reading:
    """Takes the journal's batches in order, and says what follows from them and the truth."""

    def __init__(self, truth: Truth, assumed: tzinfo) -> None:
        """Takes the truth; `assumed` is the zone of reported times that name none."""
        self._truth = truth
        self._assumed = assumed
        self._bodies = {body.digest: body for body in truth.bodies.values()}
        self._firsts: dict[str, int] = {}
        self._times: Counter[str] = Counter()
        self._arrivals: dict[str, list[_Arrival]] = {}
        self._expected = Expected()

    def add(self, batch: Journaled) -> None:
        """The next batch."""
        body = self._bodies.get(batch.digest)
        if body is None:
            self._expected.others += 1
        else:
            self._read_batch(batch, body)

    def finish(self) -> Expected:
        """What must be found now that there are no more."""
        expected = self._expected
        for body in self._truth.bodies.values():
            kept = self._times[body.digest]
            if not body.acknowledged <= kept <= body.posts:
                wanted = f"from {body.acknowledged} (acknowledged) to {body.posts} (posted)"
                self._differ("body", body.digest[:16], "times in the journal", wanted, kept)
        for message_id, arrivals in self._arrivals.items():
            expected.messages[message_id] = self._message(message_id, arrivals)
        for row in expected.messages.values():
            expected.counters["messages"] += 1
            expected.counters[row["state"].lower()] += 1
            expected.counters["conflicts"] += "conflict" in row["flags"]
        return expected

    def _differ(self, kind: str, where: str, what: str, expected: Any, found: Any) -> None:
        self._expected.differences.append(Difference(kind, where, what, expected, found))

    def _read_batch(self, batch: Journaled, body: BodyLine) -> None:
        first = self._firsts.setdefault(batch.digest, batch.batch)
        self._times[batch.digest] += 1
        elements = [
            one.misfit if isinstance(one, Misfit) else self._truth.lives[one[0]].reports[one[1]]
            for one in body.elements
        ]
        if first == batch.batch:
            self._compare_body(batch, body, elements)
        row: Row = {
            "received_at": batch.received_at,
            "label": batch.label,
            "bytes": len(batch.body),
            "elements": len(elements),
            "new": 0,
            "repeats": 0,
            "quarantined": 0,
            "retry_of": None if first == batch.batch else first,
            "attempt": self._times[batch.digest],
            "malformed": False,
        }
        for index, (one, value) in enumerate(zip(body.elements, elements, strict=True)):
            if isinstance(one, Misfit):
                self._expected.quarantine[batch.batch, index] = value
                row["quarantined"] += 1
            else:
                arrival = _Arrival(batch.batch, index, batch.received_at, batch.label, value, _identity(value))
                new = self._arrive(arrival, first)
                row["new" if new else "repeats"] += 1
                self._minute(batch)[value["Status"].lower()] += new
        self._expected.batches[batch.batch] = row
        self._count(row)
        self._minute(batch)["batches"] += 1
        for name, counted in _OF_MINUTE.items():
            self._minute(batch)[name] += row[counted]

    def _compare_body(self, batch: Journaled, body: BodyLine, elements: list[Any]) -> None:
        where = body.digest[:16]
        if batch.malformed:
            self._differ("body", where, "malformed", False, True)
        if batch.label != body.label:
            self._differ("body", where, "label", body.label, batch.label)
        kept = json.loads(batch.body)
        if len(kept) != len(elements):
            self._differ("body", where, "elements", len(elements), len(kept))
        for index, (told, found) in enumerate(zip(elements, kept, strict=False)):
            if _spelled(told) != _spelled(found):
                for what, one, other in _unequal(told, found):
                    self._differ("body", where, f"element {index}{what}", one, other)

    def _arrive(self, arrival: _Arrival, first: int) -> bool:
        """Names the kind of an arrival; whether it is a new report."""
        before = self._arrivals.setdefault(arrival.report["MessageId"].lower(), [])
        finals = [one for one in before if one.kind in {"final", "final-again", "conflict"}]
        if any(one.identity == arrival.identity for one in before):
            arrival.kind = "duplicate" if first == arrival.batch else "retry"
        elif arrival.report["Status"] == "PENDING":
            arrival.kind = "late" if finals and finals[0].batch < arrival.batch else "pending"
        elif not finals:
            arrival.kind = "final"
        else:
            same = finals[0].report["Status"] == arrival.report["Status"]
            arrival.kind = "final-again" if same else "conflict"
        before.append(arrival)
        self._expected.counters["late"] += arrival.kind == "late"
        self._expected.counters["duplicates"] += arrival.kind == "duplicate"
        return arrival.kind not in {"duplicate", "retry"}

    def _minute(self, batch: Journaled) -> Counter[str]:
        return self._expected.minutes.setdefault(batch.received_at // 60_000_000, Counter())

    def _count(self, row: Row) -> None:
        counters = self._expected.counters
        counters["batches"] += 1
        counters["retries"] += row["attempt"] > 1
        counters["elements"] += row["elements"]
        counters["reports"] += row["new"]
        counters["repeats"] += row["repeats"]
        counters["quarantined"] += row["quarantined"]

    # what the arrivals of one message mean

    def _message(self, message_id: str, arrivals: list[_Arrival]) -> Row:
        reports = [one.report for one in arrivals]
        finals = [one for one in reports if one["Status"] != "PENDING"]
        deciding = max(finals or reports, key=self._weight)
        kinds = {one.kind for one in arrivals}
        flags = {
            "conflict": len({one["Status"] for one in finals}) > 1,
            "label_mismatch": any(_contradicts(one.label, one.report["Status"]) for one in arrivals),
            "late": "late" in kinds,
            "repeated": bool(kinds & {"retry", "duplicate"}),
        }
        return {
            "message_id": message_id,
            "state": deciding["Status"],
            "flags": [name for name, holds in flags.items() if holds],
            "description": _text(deciding, "ReportDescription"),
            "organization_id": _greatest(_text(one, "OrganizationId") for one in reports),
            "msisdn": _greatest(_text(one, "Msisdn") for one in reports),
            "total_segments": _greatest(_segments(one) for one in reports),
            "custom_payload": _greatest(_text(one, "CustomPayload") for one in reports),
            "first_received_at": arrivals[0].received_at,
            "last_received_at": arrivals[-1].received_at,
            "final_at": self._time(deciding) if finals else None,
            "arrivals": len(arrivals),
            "timeline": [
                {
                    "kind": one.kind,
                    "status": one.report["Status"],
                    "reported_at": _text(one.report, "ReportDateTime"),
                    "received_at": one.received_at,
                    "batch": one.batch,
                    "index": one.index,
                    "label": one.label,
                    "description": _text(one.report, "ReportDescription"),
                }
                for one in arrivals
            ],
        }

    def _weight(self, report: Row) -> tuple[Any, ...]:
        """Orders reports by which decides; of two that are equal in this the greater description is shown."""
        time, said = self._time(report), _text(report, "ReportDescription")
        return (time is not None, time or 0, report["Status"] == "DELIVERED", said is not None, said or "")

    def _time(self, report: Row) -> int | None:
        """Microseconds UTC of a reported time; the simulator sends none that Python reads in another way than us."""
        try:
            value = datetime.fromisoformat(_text(report, "ReportDateTime") or "")
        except ValueError:
            return None
        if value.tzinfo is None:
            value = value.replace(tzinfo=self._assumed)
        return (value - _EPOCH) // timedelta(microseconds=1)


def _spelled(value: Any) -> str:
    """A JSON value as text: true is not 1, and 1 is not 1.0."""
    return json.dumps(value)


def _identity(report: Row) -> str:
    """Two reports are one if this is equal; missing and null are not."""
    return _spelled([[report[name]] if name in report else [] for name in _FIELDS])


def _text(report: Row, name: str) -> str | None:
    value = report.get(name)
    return value if isinstance(value, str) else None


def _segments(report: Row) -> int | None:
    value = report.get("TotalSegments")
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if fits else None


def _greatest(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def _contradicts(label: str | None, status: str) -> bool:
    named = {state.replace("_", ""): state for state in _STATES}.get(
        (label or "").upper().replace("-", "").replace("_", "")
    )
    return named is not None and named != status


def _unequal(told: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """In what two elements differ; "" and the whole of both where they are not two objects."""
    if not isinstance(told, dict) or not isinstance(found, dict):
        yield "", told, found
        return
    for name in {**told, **found}:
        one, other = told.get(name, NOTHING), found.get(name, NOTHING)
        if _spelled(one) != _spelled(other):
            yield f" {name}", one, other
