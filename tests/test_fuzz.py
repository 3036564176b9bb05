"""The short form of the fuzzer, and Hypothesis on its targets. `make soak ARGS="fuzz"` is the long one."""

from pathlib import Path

import pytest
from faults import fuzz
from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", list(TARGETS))
def test_mutated_seeds_break_no_promise(name: str, tmp_path: Path) -> None:
    """Each is understood or refused in words, with nothing lost, in less than a second and little memory."""
    figures = fuzz.fuzz(name, 1_500, 7, tmp_path)
    assert 0 < figures["understood"] < 1_500
    assert figures["peak_growth_mib"] < fuzz.AT_MOST[f"{name}_peak_growth_mib"]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", list(TARGETS))
def test_tokens_in_any_order_break_no_promise(name: str, tmp_path: Path, data: st.DataObject) -> None:
    """What Hypothesis makes of a target's own tokens and seeds; where one breaks, it finds the smallest that does."""
    target = TARGETS[name]
    check = target.prepare(tmp_path)
    small = [seed for seed in target.seeds if len(seed) < 300]
    parts = st.one_of(st.sampled_from(target.tokens), st.sampled_from(small), st.binary(max_size=8))
    check(data.draw(st.lists(parts, max_size=8).map(b"".join)))


def test_a_target_that_breaks_names_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fuzzer finds can be tried again by hand."""

    def check(body: bytes) -> bool:
        raise AssertionError("broken")

    monkeypatch.setitem(TARGETS, "time", Target(lambda _: check, [b"2026"], [b"x"]))
    with pytest.raises(AssertionError) as caught:
        fuzz.fuzz("time", 10, 1, tmp_path)
    assert caught.value.__notes__ == ["time, with b'2026' (4 bytes)"]
