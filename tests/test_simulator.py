"""What the simulator plans: lives with the shapes that it promises, and each misbehaviour only where it is wished."""

import itertools
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from hooklab.simulator.campaign import CHAOS, Campaign, Chances, Wishes, plan
from hooklab.simulator.lives import DELIVERED_SHARE, FAILURES, MEDIAN_SECONDS, NEVER_SHARE, PENDINGS, SIGMA
from hooklab.simulator.truth import (
    VERSION,
    BodyLine,
    CampaignLine,
    LifeLine,
    Misfit,
    TruthError,
    TruthWriter,
    read_truth,
)
from hooklab.wire import FIELDS, Elements, Report

BEGIN: Final = datetime(2026, 11, 1, tzinfo=UTC)
GOOD: Final = Chances()
FINALS: Final = {"DELIVERED", "NOT_DELIVERED"}


def wishes(**changes: Any) -> Wishes:
    return replace(Wishes(seed="7", messages=2000, begin=BEGIN), **changes)


@lru_cache(maxsize=4)
def planned(chances: Chances = GOOD, messages: int = 2000, batch: int | None = None) -> Campaign:
    return plan(wishes(chances=chances, messages=messages, batch=batch))


def elements(campaign: Campaign) -> list[list[Any]]:
    return [json.loads(content) for content in campaign.contents]


def micros(element: dict[str, Any]) -> float:
    return datetime.fromisoformat(element["ReportDateTime"]).timestamp()


class TestLives:
    def test_follow_the_documented_shape(self) -> None:
        """Without misbehaviour every element has the eight fields in the documented types, and is a new report."""
        digests = set()
        for content in planned().contents:
            for one in Elements(content, 1000):
                assert isinstance(one, Report)
                assert one.extra is None
                digests.add(one.digest)
        all_elements = list(itertools.chain(*elements(planned())))
        assert all(tuple(one) == FIELDS for one in all_elements)
        assert len(digests) == len(all_elements) == planned().reports

    def test_have_the_shares_that_are_put_in(self) -> None:
        """Delivered, never final, reasons of failure, PENDINGs: each within two points of its weight."""
        lives = planned(messages=20_000).lives
        finals = [life.final() for life in lives]
        said = [final.element for final in finals if final is not None]
        failed = [one["ReportDescription"] for one in said if one["Status"] == "NOT_DELIVERED"]
        assert 1 - len(said) / len(lives) == pytest.approx(NEVER_SHARE, abs=0.005)
        assert 1 - len(failed) / len(said) == pytest.approx(DELIVERED_SHARE, abs=0.01)
        for reason, weight in FAILURES.items():
            assert failed.count(reason) / len(failed) == pytest.approx(weight / 100, abs=0.03)
        pendings = Counter(sum(one.element["Status"] == "PENDING" for one in life.reports) for life in lives)
        for count, weight in PENDINGS.items():
            assert pendings[count] / len(lives) == pytest.approx(weight / 100, abs=0.02)

    def test_end_after_a_log_normal_time(self) -> None:
        """From the first PENDING to the final, by the times that the reports bear."""
        took = [
            micros(final.element) - micros(life.reports[0].element)
            for life in planned(messages=20_000).lives
            if (final := life.final()) is not None and life.reports[0] is not final
        ]
        logs = [math.log(seconds) for seconds in took if seconds > 0]
        assert math.exp(statistics.mean(logs)) == pytest.approx(MEDIAN_SECONDS, rel=0.03)
        assert statistics.stdev(logs) == pytest.approx(SIGMA, rel=0.03)

    def test_come_from_several_organizations_in_several_segments_with_payloads_of_all_kinds(self) -> None:
        """Three organizations of unlike size; 1 to 3 segments; payloads that are JSON, and that are not."""
        said = [life.reports[0].element for life in planned().lives]
        by_size = Counter(one["OrganizationId"] for one in said).most_common()
        assert len(by_size) == 3
        assert by_size[0][1] > 1.5 * by_size[2][1]
        assert set(Counter(one["TotalSegments"] for one in said)) == {1, 2, 3}
        payloads = [one["CustomPayload"] for one in said]
        assert 0.5 < sum(map(is_json, payloads)) / len(payloads) < 0.75
        assert any(not payload.isascii() for payload in payloads)
        assert any(payload.startswith("{") and not is_json(payload) for payload in payloads)
        assert "" in payloads


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class TestCampaign:
    def test_a_seed_decides_everything(self) -> None:
        """The same wishes give the same bodies and sendings; another seed gives other messages."""
        one, again = (plan(wishes(chances=CHAOS, messages=300)) for _ in range(2))
        assert (one.contents, one.sendings) == (again.contents, again.sendings)
        assert list(one.lines()) == list(again.lines())
        other = plan(wishes(chances=CHAOS, messages=300, seed="8"))
        assert not {life.message_id for life in one.lives} & {life.message_id for life in other.lives}

    def test_batches_are_mixed(self) -> None:
        """Pairs of one message, single reports, and batches of up to 1000 of many messages."""
        sizes = Counter(map(len, elements(planned(messages=20_000))))
        assert max(sizes) <= 1000
        assert sizes[1] > 1000
        assert sizes[2] > 5000
        assert sum(count for size, count in sizes.items() if size > 100) > 10
        pairs = [body for body in elements(planned()) if len(body) == 2]
        assert sum(one["MessageId"] == other["MessageId"] for one, other in pairs) > 0.95 * len(pairs)

    @pytest.mark.parametrize("size", [1, 2, 7, 1000])
    def test_batches_have_the_size_that_is_wished(self, size: int) -> None:
        """As many reports in each, but where none are left; also with elements that nobody understands."""
        for chances in (Chances(), Chances(bad=0.5)):
            sizes = Counter(map(len, elements(planned(chances, batch=size))))
            if size > 2:
                assert max(sizes) == size
                assert sizes[size] >= sizes.total() - 1
            elif not chances.bad:
                assert set(sizes) <= {1, size}
                assert sizes[size] > 1000

    def test_labels_part_the_states(self) -> None:
        """Each body holds the reports of one state and goes to that state's URL; without labels there is one URL."""
        campaign = plan(wishes(labels=True))
        for line, body in zip(campaign.bodies, elements(campaign), strict=True):
            assert {one["Status"].lower() for one in body} == {line.label}
        assert {line.label for line in campaign.bodies} == {"pending", "delivered", "not_delivered"}
        assert {line.label for line in planned().bodies} == {None}

    def test_every_report_is_sent_and_the_truth_says_where(self) -> None:
        """The truth's elements are those of the bodies, whose digests are right; no report is forgotten."""
        campaign = planned(CHAOS)
        sent = set()
        for line, content in zip(campaign.bodies, campaign.contents, strict=True):
            assert line.digest == sha256(content).hexdigest()
            told = [
                one.misfit if isinstance(one, Misfit) else campaign.lives[one[0]].reports[one[1]].element
                for one in line.elements
            ]
            assert told == json.loads(content)
            sent |= {one for one in line.elements if not isinstance(one, Misfit)}
        assert len(sent) == campaign.reports
        assert {sending.body for sending in campaign.sendings} == set(range(len(campaign.bodies)))


def held_up(campaign: Campaign) -> int:
    """Reports that are due out of the order of their times."""
    return sum(
        one.at > other.at and micros(one.element) < micros(other.element)
        for life in campaign.lives
        for one, other in itertools.pairwise(life.reports)
        if one.element["Status"] == other.element["Status"] == "PENDING"
    )


def contradictions(campaign: Campaign) -> int:
    return sum({one.element["Status"] for one in life.reports} >= FINALS for life in campaign.lives)


def late(campaign: Campaign) -> int:
    """PENDINGs that are due after their message's final."""
    return sum(
        one.element["Status"] == "PENDING" and (final := life.final()) is not None and one.at > final.at
        for life in campaign.lives
        for one in life.reports
    )


def regrouped(campaign: Campaign) -> int:
    """Reports that are in more than one body."""
    times = Counter(one for body in campaign.bodies for one in body.elements if not isinstance(one, Misfit))
    return sum(count > 1 for count in times.values())


def misfits(campaign: Campaign) -> int:
    return sum(isinstance(one, Misfit) for body in campaign.bodies for one in body.elements)


def odd(campaign: Campaign) -> int:
    documented = dict.fromkeys(FIELDS, str) | {"TotalSegments": int}
    return sum(
        any(not isinstance(one.element.get(name), kind) for name, kind in documented.items())
        for life in campaign.lives
        for one in life.reports
    )


def again(campaign: Campaign) -> int:
    return sum(sending.again is not None for sending in campaign.sendings)


def lost(campaign: Campaign) -> int:
    return sum(sending.lost for sending in campaign.sendings)


MISBEHAVIOURS: Final[list[tuple[str, Callable[[Campaign], int]]]] = [
    ("disorder", held_up),
    ("again", again),
    ("lost", lost),
    ("regroup", regrouped),
    ("conflict", contradictions),
    ("late", late),
    ("bad", misfits),
    ("bad", odd),
]


@pytest.mark.parametrize(("name", "count"), MISBEHAVIOURS, ids=[f"{a}-{b.__name__}" for a, b in MISBEHAVIOURS])
def test_each_chance_brings_its_misbehaviour_and_no_other(name: str, count: Callable[[Campaign], int]) -> None:
    """0 brings none of it, a tenth brings some, everything in `CHAOS` brings all; the others' chances bring none."""
    assert count(planned()) == 0
    assert count(planned(replace(Chances(), **{name: 0.1}))) > 20
    assert count(planned(CHAOS)) > 5
    others = [other for other in Chances.__struct_fields__ if other not in {name, "disorder"}]
    assert count(planned(replace(Chances(), **dict.fromkeys(others, 0.1)))) == 0


def test_every_misfit_goes_to_quarantine_and_every_odd_report_does_not() -> None:
    """What the receiver's own decoder makes of them is what the truth says: all kinds of both are drawn."""
    campaign = planned(Chances(bad=0.3))
    kinds = set()
    for line, content in zip(campaign.bodies, campaign.contents, strict=True):
        for told, one in zip(line.elements, Elements(content, 1000), strict=True):
            assert isinstance(told, Misfit) == (not isinstance(one, Report))
            if not isinstance(one, Report):
                kinds.add(one.reason.partition(":")[0])
    assert {"the element is not an object", "MessageId is missing", "MessageId is not a UUID"} <= kinds
    assert sum(kind.startswith("Status is not one of") for kind in kinds) == 1


# The truth -------------------------------------------------------------------------------------------------------

_LIFE: Final = LifeLine(0, "00000000-0000-4000-8000-000000000001", [{"Status": "PENDING"}])
_BODY: Final = BodyLine(0, "ab", None, [(0, 0), Misfit([None])])


def written(path: Path, *, posts: int = 3, acknowledged: int = 2) -> TruthWriter:
    writer = TruthWriter(path)
    writer.plan([CampaignLine(VERSION, "7", BEGIN.isoformat(), {}), _LIFE, replace(_BODY)])
    for _ in range(posts):
        writer.posted(0)
    for _ in range(acknowledged):
        writer.acknowledged(0)
    return writer


@pytest.mark.parametrize("ended", ["killed", "killed in the middle of a line", "finished"])
def test_the_truth_is_whole_however_its_writer_ended(tmp_path: Path, ended: str) -> None:
    """Counts are there without an end; a half line, whose POST was never made, counts for nothing."""
    path = tmp_path / "T"
    with written(path) as writer:
        if ended == "finished":
            writer.finish(finished=True)
    if ended == "killed in the middle of a line":
        with path.open("ab") as file:
            file.write(b'{"kind":"posted","bo')
    truth = read_truth(path)
    assert truth.lives == {0: _LIFE}
    assert truth.bodies == {0: replace(_BODY, posts=3, acknowledged=2)}
    assert (truth.end is not None) == (ended == "finished")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["T"]


def test_a_finished_truth_has_a_line_a_body_with_its_sums(tmp_path: Path) -> None:
    """The file is JSON Lines that say how often each body was sent and acknowledged."""
    with written(tmp_path / "T") as writer:
        writer.finish(finished=False)
    lines = [json.loads(line) for line in (tmp_path / "T").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["campaign", "life", "body", "end"]
    assert (lines[2]["posts"], lines[2]["acknowledged"]) == (3, 2)
    assert lines[2]["elements"] == [[0, 0], {"misfit": [None]}]


def test_a_truth_goes_through_a_link_and_leaves_a_device_alone(tmp_path: Path) -> None:
    """What a link points to is written; what is no plain file is not replaced by one."""
    (tmp_path / "link").symlink_to(tmp_path / "T")
    with written(tmp_path / "link") as writer:
        writer.finish(finished=True)
    assert (tmp_path / "link").is_symlink()
    assert read_truth(tmp_path / "T").end is not None
    with written(Path("/dev/null")) as writer:
        writer.finish(finished=True)
    assert Path("/dev/null").is_char_device()


_FIRST: Final = b'{"kind":"campaign","version":1,"seed":"1","begin":"","options":{}}\n'


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"", "no first line"),
        (b"hello\n", "line 1"),
        (b'{"kind":"report"}\n', "line 1"),
        (b'{"kind":"campaign","version":9,"seed":"1","begin":"","options":{}}\n', "version 9"),
        (b'{"kind":"posted","body":4}\n', "body 4 was sent"),
        (
            _FIRST + b'{"kind":"body","body":0,"digest":"","label":null,"elements":[[5,0]]}\n',
            "no life has",
        ),
        (
            _FIRST + b'{"kind":"body","body":0,"digest":"","label":null,"elements":[],"posts":1,"acknowledged":2}\n',
            "oftener",
        ),
        (
            _FIRST + b'{"kind":"end","posts":1,"acknowledged":1,"finished":true}\n',
            "sums",
        ),
    ],
)
def test_what_is_no_truth_is_refused(tmp_path: Path, lines: bytes, says: str) -> None:
    """One line that says which file and what is wrong with it."""
    path = tmp_path / "T"
    path.write_bytes(lines)
    with pytest.raises(TruthError, match=says) as refused:
        read_truth(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
