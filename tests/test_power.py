"""The power fails under a real service on a real disk: what was answered 200 is there when it comes back."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.power import Disk, run
from faults.stage import CannotRun
from support import RunningService, hooklab

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut; skipped where there can be none."""
    with contextlib.ExitStack() as stack:
        try:
            mounted = stack.enter_context(Disk(tmp_path))
        except CannotRun as error:
            pytest.skip(str(error))
        yield mounted


class _WithoutFsync(RunningService):
    """A service that does not fsync each commit of its journal."""

    def command(self) -> list[str]:
        code = (
            "import sys, msgspec\n"
            "from hooklab.journal import opening\n"
            "opening.JOURNAL = msgspec.structs.replace(opening.JOURNAL, synchronous='NORMAL')\n"
            "from hooklab.cli import main\n"
            "sys.exit(main())"
        )
        _, _, _, *rest = super().command()
        return [sys.executable, "-c", code, *rest]


def _run(place: Path, kind: type[RunningService] = RunningService) -> dict[str, object]:
    try:
        return run(place, cuts=4, cuts_a_folder=2, messages=1_500, kind=kind)
    except CannotRun as error:
        pytest.skip(str(error))


def test_nothing_acknowledged_is_lost_in_a_power_cut(tmp_path: Path) -> None:
    """Four power cuts under load, two of them right after the first 200 in a new folder: `verify` finds all."""
    figures = _run(tmp_path)
    assert figures["cuts"] == 4
    assert figures["folders"] == 2
    assert not (tmp_path / "disk").is_mount()


def test_a_service_without_fsyncs_loses_in_a_power_cut(tmp_path: Path) -> None:
    """The same with `synchronous=NORMAL` on the journal loses, and the test above would notice."""
    with pytest.raises(AssertionError, match="lost"):
        _run(tmp_path, _WithoutFsync)


def test_a_hook_url_that_was_shown_outlives_a_power_cut(disk: Disk) -> None:
    """`snippet` makes the token before there is a service: pasted at the provider, it must not be another later."""
    folder = disk.root / "data"

    def shown() -> str:
        done = hooklab("snippet", "--base-url", "https://hooks.example.com", data_dir=folder)
        assert done.returncode == 0, done.stderr
        return json.dumps(json.loads(done.stdout))

    before = shown()
    disk.cut()
    disk.come_back()
    assert shown() == before
