"""The short forms of the fault campaigns: `make soak` runs the long ones."""

from pathlib import Path

from faults import amplify, behind, damage, kill, overload, soak


def test_killed_under_load_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    """`verify` is clean after kills at random moments, whatever was in flight."""
    figures = kill.run(tmp_path, kills=4, messages=1500)
    assert figures["kills"] == 4
    assert figures["acknowledged"] > 500


def test_damaged_files_are_mended_or_named(tmp_path: Path) -> None:
    """Whatever is harmed, the service comes up, says which file it was, and believes nothing that is false."""
    figures = damage.run(tmp_path, rounds=8, messages=150, seed="short")
    assert figures["came_up"] == 8
    assert figures["unsaid"] == 0


def test_a_journal_that_nobody_has_projected_keeps_no_answer_waiting(tmp_path: Path) -> None:
    """A service that is behind takes load at once, and its counters are right once it has caught up."""
    figures = behind.run(tmp_path, reports=20_000, seconds=1, messages=100)
    assert figures["waiting_reports"] == 20_000
    assert figures["lag_at_ready"] > 0
    assert figures["reports_counted"] > 20_000


def test_overload_is_200_or_503_with_retry_after(tmp_path: Path) -> None:
    """Ten times the connections, then with large bodies: no other answer, bounded memory, and `verify` is clean."""
    little = ("--max-body", "1000000", "--max-receiving", "1200000")
    figures = overload.run(tmp_path, minutes=0.05, reports=40, options=little)
    assert figures["small_other"] == figures["broken_connections"] == 0
    assert figures["large_503"] > 0
    assert figures["honest_acknowledged"] > 0


def test_half_of_capacity_with_chaos_and_a_screen(tmp_path: Path) -> None:
    """Some seconds of the long run: nothing lost, no WAL that grows."""
    figures = soak.run(tmp_path, minutes=0.05, messages=300)
    assert figures["acknowledged"] > 100


def test_floods_stay_small_and_can_be_looked_at(tmp_path: Path) -> None:
    """One message again and again, and what nobody understands: counted, within bounds, and shown at once."""
    figures = amplify.run(tmp_path, sizes={"million": 1500, "elements": 1500}, keys=4)
    for name, most in amplify.AT_MOST.items():
        assert figures.get(name, 0) <= 2 * most, name
    assert figures["million_journal_bytes_per_byte"] < 1
