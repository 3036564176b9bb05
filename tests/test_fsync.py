"""Syncs and writes that fail under a real service; see `faults.fsync`."""

from pathlib import Path

import pytest
from faults import fsync
from faults.fsync import Case, proven
from faults.machine import skipping
from faults.traced import Call, calls_in

CASES = (
    Case("fdatasync,fsync:error=EIO:when=3"),
    Case("fdatasync,fsync:error=EIO:when=40", connections=1),
    Case("fdatasync,fsync:error=EIO:when=25..35", connections=1, killed=True),
    Case("pwrite64:error=EIO:when=200"),
    Case("pwrite64:error=EIO:when=30..50", of_store=True),
)


@pytest.mark.system
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.inject}{' of store' if case.of_store else ''}")
def test_a_failed_sync_is_503_and_the_opening_rule_comes_before_the_next_200(tmp_path: Path, case: Case) -> None:
    """Each fault is met, told of in the log, never a false 200 after it, and what strace saw proves the order."""
    with skipping():
        figures = fsync.run(tmp_path, chosen=[case])
    assert figures["acknowledged"] > 150
    if "failed_starts" not in figures and not case.of_store:
        assert figures["refused"] >= 1
        assert figures["proofs"] >= 1 or case.killed


WAL, FILE = "15</d/journal.db-wal>", "14</d/journal.db>"
FAILED = Call(7, "fdatasync", f"{WAL}) = -1 EIO (Input/output error) (INJECTED)")
COPIED = Call(7, "pwrite64", f'{FILE}, "x"..., 4096, 0) = 4096')
SYNCED = Call(7, "fdatasync", f"{FILE}) = 0")
TRUNCATED = Call(7, "ftruncate", f"{WAL}, 0) = 0")
WRITTEN = Call(7, "pwrite64", f'{WAL}, "x"..., 24, 0) = 24')
ANSWERED = Call(1, "write", '9<socket:[1]>, "HTTP/1.1 200 OK\\r\\n"..., 50) = 50')
REFUSED = Call(1, "write", '9<socket:[1]>, "HTTP/1.1 503 Service"..., 50) = 50')


def test_the_proof_holds_for_the_rule_and_for_nothing_less() -> None:
    """Copied, fsynced, truncated, and only then written and answered; any step left out is found."""
    rule = [REFUSED, COPIED, SYNCED, TRUNCATED, WRITTEN, ANSWERED]
    assert proven([ANSWERED, FAILED, *rule], by_answers=True) == 1
    assert proven([WRITTEN, ANSWERED], by_answers=True) == 0
    assert proven([FAILED, ANSWERED, *rule], by_answers=False) == 1  # of a commit before
    for without in (SYNCED, TRUNCATED):
        with pytest.raises(AssertionError, match=r"truncated before|before the opening rule"):
            proven([FAILED, *(call for call in rule if call is not without)], by_answers=True)
    with pytest.raises(AssertionError, match="a 200 before"):
        proven([FAILED, ANSWERED, *rule], by_answers=True)


def test_calls_that_are_cut_in_two_in_the_log_are_one(tmp_path: Path) -> None:
    """Strace writes a call that others run beside in two pieces; it counts where it ended, with all it had."""
    log = tmp_path / "log"
    log.write_text(
        f"7 fdatasync({WAL} <unfinished ...>\n"
        f'1 write(9<socket:[1]>, "HTTP/1.1 200 OK\\r\\n"..., 50) = 50\n'
        "7 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n"
        f"7 ftruncate({WAL}, 0 <unfinished ...>\n"
        "7 <... ftruncate resumed>)           = 0\n"
        "1     +++ exited with 0 +++\n"
    )
    assert list(calls_in(log, 1)) == [
        ANSWERED,
        FAILED,
        TRUNCATED,
    ]
    assert [call.failed for call in calls_in(log, 1)] == [False, True, False]
