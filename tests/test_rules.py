"""The rules against the words of the design's section 4: tables, properties, and a second model of our own."""

import random
import sqlite3
from collections.abc import Sequence
from functools import reduce
from itertools import permutations
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooklab import rules
from hooklab.rules import Arrival, Verdict, kinds, merge, verdict_of
from hooklab.wire import DELIVERED, NOT_DELIVERED, PENDING, STATUSES, Report

EARLIEST = -62_135_596_800 * 1_000_000  # 0001-01-01T00:00:00Z in microseconds
LATEST = 253_402_300_800 * 1_000_000 - 1  # 9999-12-31T23:59:59.999999Z


class Said(NamedTuple):
    """One report as these tests write it; `at` is its reported time, None if that cannot be parsed."""

    status: int
    at: int | None = 0
    description: str | None = None
    msisdn: str | None = None
    organization: str | None = None
    segments: int | None = None
    custom: str | None = None

    def verdict(self) -> Verdict:
        """What the code makes of it."""
        report = Report(
            message_id=bytes(16),
            status=self.status,
            digest=bytes(16),
            reported_at=None,
            description=self.description,
            msisdn=self.msisdn,
            organization_id=self.organization,
            total_segments=self.segments,
            custom_payload=self.custom,
            extra=None,
        )
        return verdict_of(report, self.at)


def verdict_from(reports: Sequence[Said]) -> Verdict:
    """The merge of some reports, one after the other."""
    return reduce(merge, [report.verdict() for report in reports])


# --- the state ---------------------------------------------------------------------------------------------------

P, D, N = PENDING, DELIVERED, NOT_DELIVERED

STATES: dict[str, tuple[list[Said], int, int | None, bool]] = {
    "one pending": ([Said(P, 5)], P, None, False),
    "several pending": ([Said(P, 5), Said(P, 9), Said(P, None)], P, None, False),
    "delivered alone": ([Said(D, 5)], D, 5, False),
    "not delivered alone": ([Said(N, 5)], N, 5, False),
    "a final beats a later pending": ([Said(D, 5), Said(P, 900)], D, 5, False),
    "a final without time beats any pending": ([Said(N, None), Said(P, LATEST)], N, None, False),
    "the first time beats the last of a pending": ([Said(N, EARLIEST), Said(P, LATEST)], N, EARLIEST, False),
    "the later final decides: delivered": ([Said(N, 5), Said(D, 6)], D, 6, True),
    "the later final decides: not delivered": ([Said(D, 5), Said(N, 6)], N, 6, True),
    "at a tie delivered wins": ([Said(D, 5), Said(N, 5)], D, 5, True),
    "at a tie without times delivered wins": ([Said(D, None), Said(N, None)], D, None, True),
    "no time is the smallest: not delivered wins": ([Said(D, None), Said(N, EARLIEST)], N, EARLIEST, True),
    "no time is the smallest: delivered wins": ([Said(N, None), Said(D, EARLIEST)], D, EARLIEST, True),
    "one microsecond decides": ([Said(D, LATEST - 1), Said(N, LATEST)], N, LATEST, True),
    "before 1970": ([Said(N, -7), Said(D, -8)], N, -7, True),
    "two of a kind are no conflict": ([Said(D, 5), Said(D, 8), Said(P, 9)], D, 8, False),
}  # fmt: skip


@pytest.mark.parametrize(("reports", "state", "final_at", "conflict"), list(STATES.values()), ids=list(STATES))
def test_state_final_time_and_conflict(reports: list[Said], state: int, final_at: int | None, conflict: bool) -> None:
    """The final with the greatest reported time decides; DELIVERED at a tie; both kinds are a conflict."""
    for order in permutations(reports):
        verdict = verdict_from(order)
        assert STATUSES[rules.state_of(verdict.rank)] == STATUSES[state]
        assert rules.final_at(verdict.rank) == final_at
        assert rules.is_conflict(verdict.seen) is conflict


DESCRIPTIONS: dict[str, tuple[list[Said], str | None]] = {
    "of the deciding final": ([Said(D, 5, "old"), Said(N, 6, "new"), Said(P, 9, "pending")], "new"),
    "of the deciding final at a tie": ([Said(D, 5, "a"), Said(N, 5, "z")], "a"),
    "missing in the deciding final": ([Said(D, 6, None), Said(N, 5, "old"), Said(P, 9, "pending")], None),
    "while pending the newest by reported time": ([Said(P, 7, "new"), Said(P, 6, "old"), Said(P, None, "z")], "new"),
    "a pending without time only alone": ([Said(P, None, "only")], "only"),
    "a final without time": ([Said(D, None, "final"), Said(P, 7, "pending")], "final"),
    "two deciding ones alike but for the words": ([Said(D, 5, "b"), Said(D, 5, "c"), Said(D, 5, None)], "c"),
}


@pytest.mark.parametrize(("reports", "description"), list(DESCRIPTIONS.values()), ids=list(DESCRIPTIONS))
def test_the_description_is_that_of_the_deciding_report(reports: list[Said], description: str | None) -> None:
    """A message shows the words of the report that decides its state, even where that one has none."""
    for order in permutations(reports):
        assert verdict_from(order).description == description


def test_every_other_attribute_is_the_greatest_value() -> None:
    """Number, organization, segments and custom payload are the greatest of their reports, missing below all."""
    reports = [
        Said(D, 9, None, "3519", None, 2, ""),
        Said(P, 1, None, "3520", "b", None, None),
        Said(P, 2, None, None, "a", 10, None),
    ]
    for order in permutations(reports):
        verdict = verdict_from(order)
        assert (verdict.msisdn, verdict.organization_id) == ("3520", "b")
        assert (verdict.total_segments, verdict.custom_payload) == (10, "")


# --- a second model, from the words alone -------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What is known of a message."""

    state: str
    final_at: int | None
    conflict: bool
    description: str | None
    attributes: tuple[object, ...]


def modelled(reports: Sequence[Said]) -> Outcome:
    """Section 4, "State of a message", said again in the plainest Python."""
    finals = [one for one in reports if one.status in (D, N)]
    candidates = finals or list(reports)
    parsed = [one.at for one in candidates if one.at is not None]
    newest = max(parsed) if parsed else None
    deciding = [one for one in candidates if one.at == newest]
    if any(one.status == D for one in deciding):
        deciding = [one for one in deciding if one.status == D]
    descriptions = [one.description for one in deciding if one.description is not None]

    def greatest(values: list[str | None]) -> str | None:
        present = [value for value in values if value is not None]
        return max(present) if present else None

    segments = [one.segments for one in reports if one.segments is not None]
    return Outcome(
        STATUSES[deciding[0].status],
        newest if finals else None,
        {one.status for one in finals} == {D, N},
        max(descriptions) if descriptions else None,
        (
            greatest([one.msisdn for one in reports]),
            greatest([one.organization for one in reports]),
            max(segments) if segments else None,
            greatest([one.custom for one in reports]),
        ),
    )


def outcome_of(verdict: Verdict) -> Outcome:
    """What the code says, in the same shape."""
    return Outcome(
        STATUSES[rules.state_of(verdict.rank)],
        rules.final_at(verdict.rank),
        rules.is_conflict(verdict.seen),
        verdict.description,
        (verdict.msisdn, verdict.organization_id, verdict.total_segments, verdict.custom_payload),
    )


_times = st.sampled_from([None, EARLIEST, -1, 0, 1, LATEST]) | st.integers(EARLIEST, LATEST)
_words = st.sampled_from([None, "", "a", "b", "\uffff", "\U0001f600"])
_reports = st.builds(
    Said,
    st.sampled_from([P, D, N]),
    _times,
    _words,
    _words,
    _words,
    st.sampled_from([None, 0, 1, 2, 10]),
    _words,
)


@settings(deadline=None, max_examples=400)
@given(st.lists(_reports, min_size=1, max_size=6))
def test_the_verdict_is_what_the_words_say(reports: list[Said]) -> None:
    """For any reports the code and the model agree on state, time, conflict, description and attributes."""
    assert outcome_of(verdict_from(reports)) == modelled(reports)


@settings(deadline=None, max_examples=200)
@given(_reports, _reports, _reports)
def test_merge_is_commutative_associative_and_idempotent(one: Said, two: Said, three: Said) -> None:
    """The merge is the join of a semilattice."""
    a, b, c = one.verdict(), two.verdict(), three.verdict()
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(merge(a, b), b) == merge(a, b)


@settings(deadline=None, max_examples=200)
@given(st.lists(_reports, min_size=1, max_size=6), st.randoms(use_true_random=True))
def test_order_grouping_and_repetition_change_nothing(reports: list[Said], dice: random.Random) -> None:
    """Shuffled, with repeats, and merged pair by pair in any grouping: the verdict stays the same."""
    heap = [one.verdict() for one in reports + dice.choices(reports, k=dice.randrange(5))]
    while len(heap) > 1:
        dice.shuffle(heap)
        heap.append(merge(heap.pop(), heap.pop()))
    assert heap == [verdict_from(reports)]


@given(st.tuples(st.sampled_from([P, D, N]), _times), st.tuples(st.sampled_from([P, D, N]), _times))
def test_the_rank_orders_as_the_words_do(one: tuple[int, int | None], other: tuple[int, int | None]) -> None:
    """Finals above pending, then the time with none below all, then DELIVERED above NOT_DELIVERED."""

    def key(status: int, at: int | None) -> tuple[bool, bool, int, bool]:
        return (status != P, at is not None, at or 0, status == D)

    assert (rules.rank_of(*one) < rules.rank_of(*other)) is (key(*one) < key(*other))


@given(st.sampled_from([D, N]), _times)
def test_a_final_time_comes_back_out_of_the_rank(status: int, at: int | None) -> None:
    """State and time of a final can be read from its rank, which fits in SQLite's 64 bits."""
    rank = rules.rank_of(status, at)
    assert rules.final_at(rank) == at
    assert rules.state_of(rank) == status
    assert -(2**63) <= rules.rank_of(P, at) < rank < 2**63


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=4) | st.none(), st.text(max_size=4) | st.none()), max_size=10))
def test_python_merges_in_the_order_of_sqlite(pairs: list[tuple[str | None, str | None]]) -> None:
    """The greater of two texts is the one that `coalesce(max(a, b), a, b)` gives."""
    database = sqlite3.connect(":memory:")
    try:
        for one, other in pairs:
            row = database.execute("SELECT coalesce(max(?1, ?2), ?1, ?2)", (one, other)).fetchone()
            assert merge(Said(P, msisdn=one).verdict(), Said(P, msisdn=other).verdict()).msisdn == row[0]
    finally:
        database.close()


# --- arrivals ------------------------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 2**40), st.integers(0, 2**22 - 1)),
    st.tuples(st.integers(1, 2**40), st.integers(0, 2**22 - 1)),
)
def test_an_arrival_packs_into_an_integer_that_sorts(one: tuple[int, int], other: tuple[int, int]) -> None:
    """(batch, index) comes back out of the integer, sorts as the pair does and fits in 64 bits."""
    assert rules.unpack(rules.pack(*one)) == one
    assert (rules.pack(*one) < rules.pack(*other)) is (one < other)
    assert rules.pack(*one) < 2**63


def test_the_whole_body_sorts_behind_every_element() -> None:
    """The index that stands for a whole body is beyond any element's, and is still of that batch."""
    assert rules.pack(7, 1_000_000) < rules.pack(7, rules.WHOLE_BODY) < rules.pack(8, 0)
    assert rules.unpack(rules.pack(7, rules.WHOLE_BODY)) == (7, rules.WHOLE_BODY)


class Came(NamedTuple):
    """One arrival as these tests write it."""

    batch: int
    place: int
    status: int
    repeat: str | None = None


def kinds_of(arrivals: Sequence[Came]) -> list[str]:
    """What the code calls them."""
    return kinds([Arrival(rules.pack(one.batch, one.place), one.status, one.repeat) for one in arrivals])


TIMELINES: dict[str, tuple[list[Came], list[str]]] = {
    "nothing": ([], []),
    "pending, then delivered": ([Came(1, 0, P), Came(2, 0, D)], ["pending", "final"]),
    "both in one batch": ([Came(1, 0, P), Came(1, 1, D)], ["pending", "final"]),
    "both in one batch, the other way round": ([Came(1, 0, D), Came(1, 1, P)], ["final", "pending"]),
    "late: a final in an earlier batch": ([Came(1, 0, D), Came(2, 0, P)], ["final", "late"]),
    "late after NOT_DELIVERED": ([Came(1, 0, N), Came(2, 0, P), Came(9, 4, P)], ["final", "late", "late"]),
    "late as to the first final, not to the last": (
        [Came(1, 0, D), Came(2, 0, D), Came(2, 1, P)],
        ["final", "final-again", "late"],
    ),
    "late although its own batch begins with a final again": (
        [Came(1, 5, N), Came(2, 0, D), Came(2, 1, P)],
        ["final", "conflict", "late"],
    ),
    "several pending": ([Came(1, 0, P), Came(2, 0, P), Came(2, 1, P)], ["pending"] * 3),
    "final again": ([Came(1, 0, D), Came(1, 1, D), Came(2, 0, D)], ["final", "final-again", "final-again"]),
    "conflict": ([Came(1, 0, N), Came(2, 0, D)], ["final", "conflict"]),
    "conflict, other way": ([Came(1, 0, D), Came(1, 1, N)], ["final", "conflict"]),
    "after a conflict the first final still counts": (
        [Came(1, 0, N), Came(2, 0, D), Came(3, 0, N), Came(4, 0, D)],
        ["final", "conflict", "final-again", "conflict"],
    ),
    "retry": (
        [Came(1, 0, P), Came(1, 1, D), Came(2, 0, P, "retry"), Came(2, 1, D, "retry")],
        ["pending", "final", "retry", "retry"],
    ),
    "duplicate": ([Came(1, 0, D), Came(1, 1, D, "duplicate")], ["final", "duplicate"]),
    "a repeated pending is not late": (
        [Came(1, 0, P), Came(2, 0, D), Came(3, 0, P, "duplicate")],
        ["pending", "final", "duplicate"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arrivals", "named"), list(TIMELINES.values()), ids=list(TIMELINES))
def test_kinds_on_the_timeline(arrivals: list[Came], named: list[str]) -> None:
    """Each arrival has the kind that the arrivals before it make of it."""
    assert kinds_of(arrivals) == named


def modelled_kinds(arrivals: Sequence[Came]) -> list[str]:
    """Section 4, "Kinds on the timeline", said again in the plainest Python."""
    named = []
    for place, one in enumerate(arrivals):
        finals = [other for other in arrivals[:place] if other.status != P and other.repeat is None]
        if one.repeat is not None:
            named.append(one.repeat)
        elif one.status == P:
            late = any(other.batch < one.batch for other in finals)
            named.append("late" if late else "pending")
        elif not finals:
            named.append("final")
        elif one.status == finals[0].status:
            named.append("final-again")
        else:
            named.append("conflict")
    return named


_came = st.builds(
    Came,
    st.integers(1, 4),
    st.integers(0, 4),
    st.sampled_from([P, P, D, N]),
    st.sampled_from([None, None, None, "retry", "duplicate"]),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(_came, max_size=8, unique_by=lambda one: (one.batch, one.place)))
def test_kinds_are_what_the_words_say(arrivals: list[Came]) -> None:
    """For any arrivals the code and the model agree."""
    in_order = sorted(arrivals)
    assert kinds_of(in_order) == modelled_kinds(in_order)


@pytest.mark.parametrize(
    ("status", "arrival", "first_final", "late"),
    [
        (P, (2, 0), (1, 0), True),
        (P, (2, 0), (1, 4_000_000), True),
        (P, (2, 1), (2, 0), False),
        (P, (2, 0), (2, 1), False),
        (P, (1, 0), (2, 0), False),
        (P, (2, 0), None, False),
        (D, (2, 0), (1, 0), False),
        (N, (2, 0), (1, 0), False),
    ],
)
def test_late_is_a_pending_after_a_final_of_an_earlier_batch(
    status: int, arrival: tuple[int, int], first_final: tuple[int, int] | None, late: bool
) -> None:
    """Only a PENDING is late, and only if the first final came in an earlier batch: an index means nothing."""
    first = None if first_final is None else rules.pack(*first_final)
    assert rules.is_late(status, rules.pack(*arrival), first) is late


def test_only_the_two_finals_are_final() -> None:
    """DELIVERED and NOT_DELIVERED end a message's life, PENDING does not."""
    assert [rules.is_final(status) for status in (P, D, N)] == [False, True, True]


# --- labels and flags -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "fits"),
    [
        ("delivered", {D}),
        ("Delivered", {D}),
        ("not-delivered", {N}),
        ("not_delivered", {N}),
        ("NOT_DELIVERED", {N}),
        ("notdelivered", {N}),
        ("-not--delivered_", {N}),
        ("pending", {P}),
        ("pen-ding", {P}),
        ("undelivered", {P, D, N}),
        ("delivered2", {P, D, N}),
        ("shop-1", {P, D, N}),
        ("", {P, D, N}),
        (None, {P, D, N}),
    ],
)
def test_a_label_mismatches_only_if_it_names_another_state(label: str | None, fits: set[int]) -> None:
    """Letter case, hyphens and underscores aside; a label that names no state mismatches nothing."""
    assert {status for status in (P, D, N) if not rules.label_mismatches(label, status)} == fits


def test_flags_are_sorted_and_say_what_was_seen() -> None:
    """Every combination gives the sorted list of exactly the flags that hold."""
    for seen in range(64):
        for stuck in (False, True):
            wanted = {
                "conflict": seen & rules.SEEN_DELIVERED and seen & rules.SEEN_NOT_DELIVERED,
                "late": seen & rules.LATE,
                "repeated": seen & rules.REPEATED,
                "label_mismatch": seen & rules.MISMATCH,
                "stuck": stuck,
            }
            assert rules.flags_of(seen, stuck=stuck) == sorted(name for name, holds in wanted.items() if holds)


def test_every_bit_of_what_was_seen_is_its_own() -> None:
    """The bits of `seen` are six different ones, and each status sets its own."""
    bits = [
        rules.SEEN_PENDING,
        rules.SEEN_DELIVERED,
        rules.SEEN_NOT_DELIVERED,
        rules.LATE,
        rules.REPEATED,
        rules.MISMATCH,
    ]
    assert sorted(bits) == [1, 2, 4, 8, 16, 32]
    assert [Said(status).verdict().seen for status in (P, D, N)] == bits[:3]
