"""A disk filled by the load, and one that is full at the start; see `faults.full`."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from faults import full
from faults.machine import fill, skipping, small_disk
from faults.stage import wait_until
from pty_stage import Terminal, hooklab_run, until
from support import TOKEN, RunningService, body_of, hooklab, pair

pytestmark = pytest.mark.system
_PAGE: Final = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB with 64 files at most."""
    with skipping(), small_disk(tmp_path, full.DISK, inodes=64) as place:
        yield place


def test_a_disk_that_the_load_fills_is_503_and_takes_up_again_by_itself(tmp_path: Path) -> None:
    """With a reserve and without: no 200 for what is not kept, 503 while it is full, then well again."""
    with skipping():
        figures = full.run(tmp_path, disks=2, rounds=1)
    assert figures["refused"] > 0
    assert figures["acknowledged"] > 500


class WithItsOwnToken(RunningService):
    """A service that makes and keeps its token, as most do."""

    def command(self) -> list[str]:
        return [part for part in super().command() if part not in {"--token", TOKEN}]


def _one_line(error: bytes) -> str:
    [line] = error.decode().splitlines()
    assert line.startswith("hooklab: ")
    return line


def test_a_first_start_on_a_full_disk_says_so_in_one_line(disk: Path) -> None:
    """No byte is free: neither lock nor token nor journal can be made; one line says where and why, exit code 1."""
    fill(disk / "filler")
    done = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=disk / "data")
    assert done.returncode == 1
    line = _one_line(done.stderr)
    assert str(disk / "data") in line
    assert "No space left on device" in line
    assert not (disk / "data" / "token").exists(), "an empty token would be kept for ever"


def test_a_token_that_finds_no_room_is_not_half_kept(disk: Path) -> None:
    """The folder and its lock have room and the token has none: one line, and the next start makes a whole one."""
    data = disk / "data"
    data.mkdir(mode=0o700)
    fill(disk / "filler", leave=_PAGE)  # for the lock
    done = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=data)
    assert done.returncode == 1
    assert f"the token cannot be kept in {data / 'token'}: No space left on device" in _one_line(done.stderr)
    assert not (data / "token").exists()
    (disk / "filler").unlink()
    with WithItsOwnToken(data) as service:
        assert service.post(body_of(pair()))[0] == 200
        assert len((data / "token").read_text().strip()) == 32


def test_a_log_that_cannot_be_made_is_named(disk: Path) -> None:
    """`run` keeps its log in the folder: where the disk takes no more files, one line says so, exit code 1."""
    data = disk / "data"
    data.mkdir(mode=0o700)
    for number in range(100):
        with suppress(OSError):
            (disk / f"file{number}").touch()
    with Terminal(hooklab_run(data), columns=200) as terminal:
        assert terminal.ends_with() == 1
        until(lambda: terminal.text().strip(), "it says nothing")
        assert terminal.text().strip() == (
            f"hooklab: the log {data / 'hooklab.log'} cannot be written: No space left on device"
        )


def test_a_start_on_a_full_disk_that_was_killed_comes_up_and_answers_503(disk: Path) -> None:
    """After `kill -9` and with no byte free: it starts, says what is wrong, keeps what it had, and recovers alone."""
    with RunningService(disk / "data") as service:
        assert service.post(body_of(pair()))[0] == 200
        service.kill()
    fill(disk / "filler")
    with RunningService(disk / "data") as service:
        assert service.post(body_of(pair()))[0] == 503
        assert service.admin("/ready")[0] == 503
        (disk / "filler").unlink()
        wait_until(lambda: service.admin("/ready")[0] == 200, "ready again")
        assert service.post(body_of(pair()))[0] == 200
        assert service.settled()["batches"] == 2
