"""A store that lives: lives drawn, grouped, repeated, restarts, upgrades, retries and rebuilds, against a model."""

import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support import Report, body_of, conserved, report
from test_store import NOON, MemoryJournal

from hooklab import projector
from hooklab.healing import Healer
from hooklab.judging import Reading, judge_element
from hooklab.metrics import Counters
from hooklab.projector import Projector
from hooklab.store.base import ALL, MessageDetail
from hooklab.store.fold import Judged, Quarantined
from hooklab.store.read import SqliteStoreReader
from hooklab.store.sqlite import SqliteStore
from hooklab.times import HOUR
from hooklab.wire import Elements, parse_uuid

LIMIT = 8
IDS = [f"0f8fad5b-d9cb-469f-a165-{number:012x}" for number in range(3)]
NEW = "what yesterday's rules did not understand"
STATES = ("PENDING", "DELIVERED", "NOT_DELIVERED")
TIMES = ("2026-11-22T09:31:00Z", "2026-11-22T09:32:00Z", "2026-11-22T09:33:00+01:00", "never")


class Model:
    """What the design's section 4 says of what was sent, written from its text alone."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[Any], set[int]]] = []
        """Each batch: its label, its elements, and the indexes that are in quarantine."""

    def arrivals(self, message_id: str) -> list[tuple[int, str, Report, str]]:
        """Of one message: batch number, label, report, and "", "retry" or "duplicate"."""
        found, known = [], set[str]()
        for at, (label, elements, away) in enumerate(self.sent):
            retry = any(other == elements for _, other, _ in self.sent[:at])
            for index, one in enumerate(elements):
                if index not in away and one["MessageId"] == message_id:
                    same = json.dumps(one, sort_keys=True)
                    found.append((at, label, one, "" if same not in known else "retry" if retry else "duplicate"))
                    known.add(same)
        return found

    def message(self, message_id: str) -> dict[str, Any] | None:
        arrivals = self.arrivals(message_id)
        if not arrivals:
            return None
        reports = [one for _, _, one, again in arrivals if not again]
        finals = [one for one in reports if one["Status"] != "PENDING"]
        decides = max(finals, key=lambda one: (seconds(one), one["Status"] == "DELIVERED"), default=None)
        kinds, first = [], None
        for at, _, one, again in arrivals:
            status = one["Status"]
            if again:
                kinds.append(again)
            elif status == "PENDING":
                kinds.append("late" if first is not None and first[0] < at else "pending")
            else:
                kinds.append("final" if first is None else "final-again" if first[1] == status else "conflict")
                first = first or (at, status)
        flags = {
            "conflict": len({one["Status"] for one in finals}) == 2,
            "label_mismatch": any(label and label != one["Status"].lower() for _, label, one, _ in arrivals),
            "late": "late" in kinds,
            "repeated": any(again for *_, again in arrivals),
        }
        return {
            "state": decides["Status"] if decides else "PENDING",
            "flags": [name for name, holds in flags.items() if holds],
            "segments": max(one["TotalSegments"] for one in reports),
            "payload": max(one["CustomPayload"] for one in reports),
            "kinds": kinds,
        }


def seconds(one: Report) -> float:
    try:
        return datetime.fromisoformat(one["ReportDateTime"]).timestamp()
    except ValueError:
        return float("-inf")


def told(found: MessageDetail | None) -> dict[str, Any] | None:
    """The same of what the store says."""
    if found is None:
        return None
    one = found.message
    return {
        "state": one.state,
        "flags": one.flags,
        "segments": one.total_segments,
        "payload": one.custom_payload,
        "kinds": [entry.kind for entry in found.timeline],
    }


class LivingStore(RuleBasedStateMachine):
    """One folder over its years."""

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.path = Path(self.place.name) / "store.db"
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(projector, "judge_element", self.judge)
        self.upgraded = False
        self.journal, self.model = MemoryJournal(), Model()
        self.store = self.loop.run_until_complete(SqliteStore.open(self.path))

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.is_as_the_model_says()
        finally:
            self.loop.run_until_complete(self.store.close())
            self.loop.close()
            self.patch.undo()
            self.place.cleanup()

    def judge(self, elements: Elements, index: int, reading: Reading) -> Judged | Quarantined:
        if not self.upgraded and NEW.encode() in elements.raws[index]:
            return Quarantined(index, elements.raws[index], "yesterday's rules")
        return judge_element(elements, index, reading)

    def take(self, elements: list[Any], label: str) -> None:
        self.journal.add(body_of(elements), label or None)
        odd = {at for at, one in enumerate(elements) if not isinstance(one, dict) or one["Status"] not in STATES}
        if not self.upgraded:
            odd |= {at for at, one in enumerate(elements) if NEW in str(one)}
        self.model.sent.append((label, elements, odd))

    @rule(
        label=st.sampled_from(["", "", "pending", "delivered"]),
        elements=st.lists(
            st.builds(
                lambda *drawn: dict(
                    zip(
                        ("MessageId", "Status", "ReportDateTime", "TotalSegments", "CustomPayload"),
                        drawn,
                        strict=True,
                    )
                ),
                st.sampled_from(IDS),
                st.sampled_from([*STATES, *STATES, "LOST"]),
                st.sampled_from(TIMES),
                st.integers(1, 2),
                st.sampled_from(["a", "b", NEW]),
            )
            | st.just(17),
            max_size=LIMIT,
        ),
    )
    def comes(self, elements: list[Any], label: str) -> None:
        self.take([{**report(), **one} if isinstance(one, dict) else one for one in elements], label)

    @precondition(lambda self: self.model.sent)
    @rule(data=st.data())
    def comes_again(self, data: st.DataObject) -> None:
        label, elements, _ = data.draw(st.sampled_from(self.model.sent))
        self.take(elements, label)

    @precondition(lambda self: self.model.sent)
    @rule(data=st.data())
    def is_regrouped(self, data: st.DataObject) -> None:
        everything = [one for _, elements, _ in self.model.sent for one in elements]
        if everything:
            self.take(data.draw(st.lists(st.sampled_from(everything), min_size=1, max_size=4)), "")

    @rule()
    def is_projected(self) -> None:
        self.loop.run_until_complete(self.caught_up())

    @rule()
    def restarts(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.store = self.loop.run_until_complete(SqliteStore.open(self.path))

    @rule()
    def is_upgraded(self) -> None:
        self.loop.run_until_complete(self.caught_up())
        self.upgraded = True

    @precondition(lambda self: self.upgraded)
    @rule()
    def retries_its_quarantine(self) -> None:
        self.loop.run_until_complete(self.caught_up())
        self.loop.run_until_complete(Healer(self.journal, self.store, Reading(UTC), max_elements=LIMIT).retry())
        self.understand()

    @rule()
    def is_rebuilt(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.path = self.path.with_name(f"{self.path.name}x")
        self.store = self.loop.run_until_complete(SqliteStore.open(self.path))
        if self.upgraded:
            self.understand()

    def understand(self) -> None:
        for _, elements, away in self.model.sent:
            away -= {at for at in away if isinstance(elements[at], dict) and elements[at]["Status"] in STATES}

    async def caught_up(self) -> None:
        await Projector(self.journal, self.store, assumed=UTC, max_elements=LIMIT).catch_up()

    async def seen(self) -> tuple[Counters, dict[str, Any]]:
        await self.caught_up()
        reader = await SqliteStoreReader.open(self.path, lambda: NOON + HOUR)
        try:
            messages = {one: await reader.message(parse_uuid(one) or b"") for one in IDS}
            listed = {one.message_id for one in await reader.messages(ALL, 100)}
            assert listed == {one for one, held in messages.items() if held}
            return await reader.counters(len(self.journal.batches)), {k: told(v) for k, v in messages.items()}
        finally:
            await reader.close()

    @rule()
    def is_as_the_model_says(self) -> None:
        counters, messages = self.loop.run_until_complete(self.seen())
        wanted = {one: self.model.message(one) for one in IDS}
        assert messages == wanted
        arrivals = [one for each in IDS for one in self.model.arrivals(each)]
        assert conserved({name: getattr(counters, name) for name in counters.__struct_fields__})
        assert counters.elements == sum(len(elements) for _, elements, _ in self.model.sent)
        assert counters.quarantined == sum(len(away) for *_, away in self.model.sent)
        assert counters.reports == sum(not again for *_, again in arrivals)
        assert counters.duplicates == sum(again == "duplicate" for *_, again in arrivals)
        assert counters.late == sum(one["kinds"].count("late") for one in wanted.values() if one)
        states = [one["state"] for one in wanted.values() if one]
        assert (counters.pending, counters.delivered, counters.not_delivered) == tuple(map(states.count, STATES))


LivingStore.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLivingStore = LivingStore.TestCase
TestLivingStore.__doc__ = "Whenever somebody looks, and at the end, the store says what the model says."
