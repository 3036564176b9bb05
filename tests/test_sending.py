"""The time of sending in a custom payload: what is read, and that nothing else is taken for it."""

import json
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooklab.sending import sent_at

NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22 13:00:00+01:00",
        "2026-11-22T12:00",
        NOON // 1_000_000,
        NOON / 1_000_000,
        NOON // 1_000,
        str(NOON // 1_000_000),
        str(NOON // 1_000),
    ],
)
def test_every_way_to_tell_a_time(told: object) -> None:
    """ISO 8601, and seconds or milliseconds since 1970 as a number or its digits."""
    assert sent_at(json.dumps({"sent": told, "order": 1}), "sent", UTC) == NOON
    assert sent_at(json.dumps({"meta": {"sent": told}}), "meta.sent", UTC) == NOON


def test_a_time_without_a_zone_is_read_in_the_assumed_one() -> None:
    """As reported times are."""
    assert sent_at('{"at": "2026-11-22T13:00"}', "at", ZoneInfo("Europe/Madrid")) == NOON


@pytest.mark.parametrize(
    "payload",
    [
        None, "", "order 4711", "[1]", "4711", "{}", "[" * 9000,
        '{"at": null}', '{"at": true}', '{"at": {"x": 1}}', '{"at": -5}', '{"at": "soon"}', '{"at": 1e99}',
        '{"at": "99999999999999999999"}', '{"at": 1e14}', '{"at": "\ud800"}', '{"at": "²"}',
        '{"at": 5, "pad": "' + "x" * 20_000 + '"}',
    ],
)  # fmt: skip
def test_what_tells_no_time(payload: str | None) -> None:
    """None, and never a fault."""
    assert sent_at(payload, "at", UTC) is None


@given(
    st.text() | st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists).map(json.dumps), st.text()
)
def test_nothing_makes_it_fail(payload: str, key: str) -> None:
    """Whatever the payload and the key are."""
    told = sent_at(payload, key, UTC)
    assert told is None or isinstance(told, int)
