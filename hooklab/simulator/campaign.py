"""A campaign: which reports travel in which bodies, and how the network misbehaves. Pure: a seed decides all.

Nothing here depends on what is answered, so that a seed gives the same bodies on every network.
"""

import copy
import json
import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct, field

from hooklab.simulator.lives import (
    DELIVERED,
    NOT_DELIVERED,
    PENDING,
    WAITING,
    Life,
    Said,
    choose,
    lives,
    new_uuid,
    time_text,
)
from hooklab.simulator.truth import BodyLine, LifeLine, Misfit, Ref

MAX_REPORTS: Final = 1000
"""The most that the provider puts into one batch."""
_SHARES: Final = {"pair": 50, "single": 20, "many": 30}
"""Of the messages, where batches are mixed: how their reports travel."""
_SAMPLE: Final = 20


class Chances(Struct, frozen=True, kw_only=True):
    """How likely each misbehaviour is, between 0 and 1."""

    disorder: float = 0.0
    """A report is held up, or a batch is shuffled."""
    again: float = 0.0
    """A batch is sent again though it was answered 200."""
    lost: float = 0.0
    """The connection is cut after the body went out, so that the answer is lost."""
    regroup: float = 0.0
    """Reports of a batch are sent again in another batch."""
    conflict: float = 0.0
    """A message gets a final of the other kind too."""
    late: float = 0.0
    """A PENDING of a message comes after its final."""
    bad: float = 0.0
    """A batch has elements that nobody understands; a report has a field of a wrong type, or unlike the others."""


CHAOS: Final = Chances(disorder=0.1, again=0.05, lost=0.05, regroup=0.05, conflict=0.02, late=0.04, bad=0.02)
"""All of it, far oftener than on any network."""


class Wishes(Struct, frozen=True, kw_only=True):
    """What a campaign is to be.

    Attributes:
        batch: reports in a batch (the last may have fewer); None for a mix of 1, 2 and up to 1000.
        labels: a URL for each state, instead of one for all.
        begin: the birth of the first message.
    """

    seed: str
    messages: int
    begin: datetime
    organizations: int = 3
    batch: int | None = None
    labels: bool = False
    chances: Chances = Chances()


class Sending(Struct, frozen=True):
    """One body on its way, until it is acknowledged.

    Attributes:
        at: when it is due, seconds after the campaign's beginning.
        body: its number.
        lost: how many of the first answers are lost.
        again: it is sent once more after this was acknowledged; None in most cases.
    """

    at: float
    body: int
    lost: int = 0
    again: "Sending | None" = None


class Campaign(Struct):
    """All that will be sent. `contents` and `bodies` have the same order, that of the bodies' numbers."""

    lives: list[Life]
    bodies: list[BodyLine] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)

    def lines(self) -> Iterator[LifeLine | BodyLine]:
        """The truth of it, before anything is sent."""
        for number, life in enumerate(self.lives):
            yield LifeLine(number, life.message_id, [said.element for said in life.reports])
        yield from self.bodies

    @property
    def reports(self) -> int:
        """Distinct reports."""
        return sum(len(life.reports) for life in self.lives)


def plan(wishes: Wishes) -> Campaign:
    """The campaign that `wishes` describe: the same wishes give the same one for ever."""
    known = lives(random.Random(f"lives {wishes.seed}"), wishes.messages, wishes.organizations, wishes.begin)
    seed = random.Random(f"network {wishes.seed}")
    campaign = Campaign([_spoilt(life, wishes, seed) for life in known])
    _Grouping(campaign, wishes, seed).run()
    campaign.sendings.sort(key=attrgetter("at"))
    return campaign


# What becomes of one message's reports ---------------------------------------------------------------------------


def _spoilt(life: Life, wishes: Wishes, seed: random.Random) -> Life:
    chances = wishes.chances
    final = life.final()
    if final is not None and seed.random() < chances.conflict:
        life.reports.append(_contradiction(final, wishes.begin, seed))
    if final is not None and seed.random() < chances.late:
        _make_late(life, final, wishes.begin, seed)
    for said in list(life.reports):
        if seed.random() < chances.bad:
            _spoil(life, said, seed)
        if seed.random() < chances.disorder:
            said.at += seed.uniform(0.5, 60)
    return life


def _contradiction(final: Said, begin: datetime, seed: random.Random) -> Said:
    """A final of the other kind, now and then with the very same time."""
    after = 0.0 if seed.random() < 0.2 else seed.uniform(-2, 60)
    other = NOT_DELIVERED if final.element["Status"] == DELIVERED else DELIVERED
    element = {
        **final.element,
        "Status": other,
        "ReportDescription": "Contradicts what was said before",
        "ReportDateTime": time_text(begin, final.at + after),
    }
    return Said(max(final.at + after, 0), element)


def _make_late(life: Life, final: Said, begin: datetime, seed: random.Random) -> None:
    """Holds up the last PENDING until after the final; a message without one gets one."""
    pendings = [said for said in life.reports if said.element["Status"] == PENDING]
    if not pendings:
        element = {
            **final.element,
            "Status": PENDING,
            "ReportDescription": seed.choice(WAITING),
            "ReportDateTime": time_text(begin, max(final.at - 1, 0)),
        }
        pendings = [Said(0, element)]
        life.reports += pendings
    pendings[-1].at = final.at + seed.uniform(0.5, 30)


def _spoil(life: Life, said: Said, seed: random.Random) -> None:
    """Gives an optional field something that it should not have: the report is stored all the same.

    No value may be spelled in two ways: what is no text is known by its raw JSON, and would be two reports.
    """
    element = said.element
    if seed.random() < 0.1:  # not this one, but another of the same time
        life.reports.append(Said(said.at, {**element, "ReportDescription": seed.choice(("A word", "Zero words"))}))
        return
    name, value = seed.choice(
        (
            ("Msisdn", int(element["Msisdn"])),
            ("TotalSegments", str(element["TotalSegments"])),
            ("TotalSegments", -4),
            ("OrganizationId", None),
            ("ReportDescription", ["a list"]),
            ("ReportDateTime", "20/11/2026 09:40"),
            ("ReportDateTime", element["ReportDateTime"].removesuffix("Z").replace("T", " ")),
            ("ReportDateTime", element["ReportDateTime"].removesuffix("Z") + "+01:00"),
            ("CustomPayload", seed.choice((4711, 1.5, True, {}))),
            # What the message's other reports do not say.
            ("Msisdn", f"3519000{seed.randrange(10**5):05}"),
            ("TotalSegments", element["TotalSegments"] + 1),
            ("OrganizationId", new_uuid(seed)),
            ("CustomPayload", seed.choice(("", "~"))),
        )
    )
    element[name] = value
    if seed.random() < 0.2:
        del element[seed.choice(("Msisdn", "CustomPayload", "ReportDescription"))]


def _misfit(element: dict[str, Any], seed: random.Random) -> Any:
    """An element that cannot be understood."""
    return copy.deepcopy(
        seed.choice(
            (
                {**element, "MessageId": f"SMS-{seed.randrange(10**6):06}"},
                {**element, "MessageId": new_uuid(seed), "Status": "BUFFERED"},
                {name: value for name, value in element.items() if name != "MessageId"},
                {**element, "MessageId": new_uuid(seed), "Status": 1},
                "DELIVERED",
                seed.randrange(100),
                None,
                [element["MessageId"], "DELIVERED"],
            )
        )
    )


# What travels together -------------------------------------------------------------------------------------------


class _Due(Struct, frozen=True):
    at: float
    ref: Ref


class _Parcel(Struct, frozen=True):
    """What travels together; it leaves when its last report is due."""

    at: float
    refs: list[Ref]
    misfits: int


class _Grouping:
    """Puts the reports into bodies, and has the network spoil those."""

    def __init__(self, campaign: Campaign, wishes: Wishes, seed: random.Random) -> None:
        self._campaign = campaign
        self._wishes = wishes
        self._chances = wishes.chances
        self._seed = seed
        self._numbers: dict[str, int] = {}
        self._room = wishes.batch or _SAMPLE
        self._recent: deque[Ref] = deque(maxlen=2 * self._room)

    def run(self) -> None:
        for parcel in sorted(self._parcels(), key=attrgetter("at")):
            refs = parcel.refs
            if self._happens(self._chances.disorder):
                self._seed.shuffle(refs)
            self._send(parcel.at, self._with_misfits(refs, parcel.misfits), self._label(refs))
            self._recent.extend(refs)
            if self._happens(self._chances.regroup):
                self._send_regrouped(parcel.at, refs)

    def _parcels(self) -> Iterator[_Parcel]:
        many: dict[str | None, list[_Due]] = {}
        for number, life in enumerate(self._campaign.lives):
            dues = [_Due(said.at, (number, place)) for place, said in enumerate(life.reports)]
            together = self._together()
            if together == 0:
                for due in dues:
                    many.setdefault(self._label([due.ref]), []).append(due)
            elif together == 1 or self._wishes.labels:
                yield from (self._parcel([due], self._misfits()) for due in dues)
            else:
                yield from (self._parcel(dues[at : at + 2], self._misfits()) for at in range(0, len(dues), 2))
        for dues in many.values():
            yield from self._cut(sorted(dues, key=attrgetter("at")))

    def _together(self) -> int:
        """How many reports of a message travel together; 0 for whatever is due at about the same time."""
        batch = self._wishes.batch
        if batch is not None:
            return batch if batch <= 2 else 0
        return {"single": 1, "pair": 2, "many": 0}[choose(self._seed, _SHARES)]

    def _cut(self, dues: Sequence[_Due]) -> Iterator[_Parcel]:
        at = 0
        while at < len(dues):
            size = self._wishes.batch or round(math.exp(self._seed.uniform(math.log(3), math.log(MAX_REPORTS))))
            misfits = min(self._misfits(), size - 1)
            taken = size - misfits
            yield self._parcel(dues[at : at + taken], misfits)
            at += taken

    @staticmethod
    def _parcel(dues: Sequence[_Due], misfits: int) -> _Parcel:
        return _Parcel(max(due.at for due in dues), [due.ref for due in dues], misfits)

    def _misfits(self) -> int:
        return self._seed.randint(1, 3) if self._happens(self._chances.bad) else 0

    def _label(self, refs: Sequence[Ref]) -> str | None:
        """The URL of the first report's state, where each has its own."""
        if not self._wishes.labels:
            return None
        return str(self._element(refs[0])["Status"]).lower()

    def _with_misfits(self, refs: Sequence[Ref], misfits: int) -> list[Ref | Misfit]:
        elements: list[Ref | Misfit] = list(refs)
        for _ in range(misfits):
            bad = Misfit(_misfit(self._element(refs[0]), self._seed))
            elements.insert(self._seed.randrange(len(elements) + 1), bad)
        return elements

    def _send_regrouped(self, at: float, refs: Sequence[Ref]) -> None:
        """Some reports of this and of earlier batches, put together by another of the provider's machines."""
        some = self._seed.sample(refs, self._seed.randint(1, min(len(refs), self._room)))
        taken = set(some)
        others = [ref for ref in self._recent if ref not in taken]
        room = min(self._room - len(some), len(others))
        some += self._seed.sample(others, self._seed.randint(0, room))
        self._seed.shuffle(some)
        self._send(at + self._seed.uniform(1, 60), list(some), self._label(some), other_spelling=True)

    def _send(
        self, at: float, elements: list[Ref | Misfit], label: str | None, *, other_spelling: bool = False
    ) -> None:
        body = self._body(elements, label, other_spelling=other_spelling)
        again = None
        if self._happens(self._chances.again):
            again = Sending(at + self._seed.uniform(1, 60), body, self._lost())
        self._campaign.sendings.append(Sending(at, body, self._lost(), again))

    def _body(self, elements: list[Ref | Misfit], label: str | None, *, other_spelling: bool) -> int:
        """The number of a body; one of the same bytes is the same body."""
        values = [one.misfit if isinstance(one, Misfit) else self._element(one) for one in elements]
        separators = (", ", ": ") if other_spelling else (",", ":")
        content = json.dumps(values, ensure_ascii=other_spelling, separators=separators).encode()
        digest = sha256(content).hexdigest()
        number = self._numbers.setdefault(digest, len(self._numbers))
        if number == len(self._campaign.bodies):
            self._campaign.bodies.append(BodyLine(number, digest, label, elements))
            self._campaign.contents.append(content)
        return number

    def _lost(self) -> int:
        return self._seed.choice((1, 1, 1, 2)) if self._happens(self._chances.lost) else 0

    def _happens(self, chance: float) -> bool:
        return self._seed.random() < chance

    def _element(self, ref: Ref) -> dict[str, Any]:
        return self._campaign.lives[ref[0]].reports[ref[1]].element
