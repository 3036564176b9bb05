"""The one file of `make binary`: copied into a root with next to nothing in it, it is the whole of hooklab."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from binary.__main__ import ROOT, BuildError, bill_beside, build, why_not
from binary.built import built
from binary.messages import INSTEAD, UnknownBootloaderError, reworded
from binary.needs import lowest_glibc, lowest_glibc_of, unpack
from pty_stage import Terminal
from support import ORGANIZATION, RunningService, report

from hooklab.admin_client import _ask
from hooklab.files import Folder

_ITS_OWN: Final = re.compile(r"lib(c|m|dl|pthread|rt|util|z)\.so\.\d+|ld-linux.*\.so\.\d+")
"""What the system has to have: glibc, and zlib."""
ID: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"


def system(test: object) -> object:
    """Marks a test that builds, needs root and a file of its own."""
    return pytest.mark.system(pytest.mark.timeout(300)(test))


@pytest.fixture(scope="session")
def program() -> Path:
    """The file that `make binary` has built, or one that is built now."""
    missing = [name for name in ("chroot", "unshare", "ldd", "readelf") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"{missing[0]} is not here" if missing else "only root may chroot")
    if why := why_not():
        pytest.skip(why)
    return built()


@pytest.fixture(scope="session")
def parts(program: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The file, and every library that it holds."""
    return unpack(program, tmp_path_factory.mktemp("parts"))


def _needed(parts: Sequence[Path]) -> set[Path]:
    """The libraries of the system that `ldd` names for the file and for what it holds, but for what it holds."""
    told = subprocess.run(["ldd", *map(str, parts)], capture_output=True, text=True, check=False).stdout
    named = {Path(path) for path in re.findall(r"\s(/\S+\.so\S*) \(0x", told)}
    return {path for path in named if path.name not in {part.name for part in parts}}


@pytest.fixture
def root(program: Path, parts: list[Path], tmp_path: Path) -> Path:
    """A root with the file, glibc, zlib, a folder for temporary files and one for terminals; no /proc, no shell."""
    for folder in ("tmp", "dev/pts"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy2(program, tmp_path / "hooklab")
    for path in _needed(parts):
        place = tmp_path / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return tmp_path


def _inside(root: Path, *arguments: str, terminal: bool = False) -> list[str]:
    """The command that runs the file in that root, with nothing in its environment."""
    # A terminal is opened by its name. The mount is gone when the command is.
    mount = 'mount --bind /dev/pts "$0/dev/pts" && ' if terminal else ""
    command = f'{mount}exec env -i "$(command -v chroot)" "$0" /hooklab "$@"'
    return ["unshare", "--mount", "sh", "-c", command, str(root), *arguments]


def _said(root: Path, *arguments: str) -> str:
    done = subprocess.run(_inside(root, *arguments), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class _Inside(RunningService):
    """`hooklab serve` from the one file in that root, on its folder /data."""

    def __init__(self, root: Path, *options: str) -> None:
        super().__init__(root / "data", *options)
        self._root = root

    def command(self) -> list[str]:
        return _inside(self._root, "serve", "--data-dir=/data", "--bind=127.0.0.1:0", *self._options)


@system
def test_needs_glibc_and_zlib_and_nothing_else(parts: list[Path]) -> None:
    """And the lowest glibc that is told is that of the highest version which stands in any of the files."""
    assert {path.name for path in _needed(parts) if not _ITS_OWN.fullmatch(path.name)} == set()
    written = {found for part in parts for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", part.read_bytes())}
    newest = max((int(major), int(minor)) for major, minor in written)
    assert lowest_glibc_of(parts) == f"{newest[0]}.{newest[1]}"


@system
def test_the_bill_beside_it_names_what_is_in_it(program: Path, parts: list[Path]) -> None:
    """Each run-time dependency with the version that is pinned, no tool of the tests, Python and the libraries that
    it brings along, and every library of the system that was put in; as CycloneDX knows it.
    """
    bill = json.loads(bill_beside(program).read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "hooklab")
    named = {one["name"]: one.get("version") for one in bill["components"]}
    pins = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[1:])
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for one in (re.split(r"[<>=]", line)[0] for line in needed):
        assert named[one] == pins[one], one
    assert not {"pytest", "mypy", "numpy", "faker"} & set(named)
    assert named["python"] == sys.version.split()[0]
    assert f"SQLite {named['sqlite']};" in _said_by(program, "doctor", "--data-dir", "/nowhere")
    assert {"openssl", "zlib", "pyinstaller"} <= set(named)
    assert {part.name for part in parts[1:] if part.name.startswith("lib")} <= set(named)
    assert all(one["licenses"] for one in bill["components"] if one.get("purl") and one["name"] != "rich-click")


def _said_by(program: Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60).stdout


@system
def test_runs_in_an_almost_empty_root(root: Path) -> None:
    """`serve`, `send`, `show`, the zones, `attach` in a terminal, and SIGTERM to the process that was started."""
    (root / "sample.json").write_text(json.dumps([report(ID, ReportDateTime="2026-07-22T09:31:02")]))
    with _Inside(root, "--assume-timezone=Europe/Lisbon") as service:
        assert "200" in _said(root, "send", "--data-dir=/data", "/sample.json")
        service.settled()
        shown = json.loads(_said(root, "show", ID, "--json", "--data-dir=/data"))
        assert (shown["state"], shown["organization_id"]) == ("DELIVERED", ORGANIZATION)
        assert shown["final_at"].startswith("2026-07-22T08:31:02")  # summer time in Lisbon
        with Terminal(_inside(root, "attach", "--data-dir=/data", terminal=True), 120, 36) as screen:
            screen.wait_for("3519····0123")
            screen.keys("5")
            screen.wait_for("finals received")
            screen.keys("q")
            assert screen.ends_with() == 0
            assert screen.mode_is_restored()
        started = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - started < 10
        assert service.stderr == b""
    assert list((root / "tmp").iterdir()) == []  # what was unpacked


@system
def test_every_command_is_there(root: Path) -> None:
    """Each is a module that nothing but its name leads to: none ends with a fault."""
    with _Inside(root):
        _said(root, "simulate", "--data-dir=/data", "--messages=5", "--seed=1", "--truth=/sent")
        _said(root, "verify", "--data-dir=/data", "--truth=/sent")
        for words in ("stats", "insights", "messages", "export", "batches", "batch 1", "quarantine", "snippet"):
            assert _said(root, *words.split(), "--data-dir=/data") or words == "quarantine"
        told = subprocess.run(_inside(root, "doctor", "--data-dir=/data"), capture_output=True, check=False)
        assert b"listener" in told.stdout
        assert told.stderr == b""
    for words in ("rebuild", "salvage"):
        _said(root, words, "--yes", "--data-dir=/data")


@system
def test_names_itself_as_it_was_called(root: Path) -> None:
    """What is printed to be pasted is the file and no Python; one Ctrl-C, which comes twice, ends it with 0."""
    run = _inside(root, "run", "--data-dir=/data", "--bind=127.0.0.1:0", terminal=True)
    with Terminal(run, 200, 50) as screen:
        screen.wait_for("smsWebhooks")
        screen.keys("q")
        screen.wait_for("close the screen")
        screen.keys("d")
        screen.wait_for("/hooklab attach --data-dir /data")
        screen.keys("\x03")
        assert screen.ends_with() == 0
        assert b"Traceback" not in screen.received


@system
def test_no_home_and_no_folder_named(root: Path) -> None:
    """A user who is only a number, as in a container, is told to name a folder."""
    done = subprocess.run(_inside(root, "stats"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--data-dir" in done.stderr


@system
def test_nothing_goes_on_when_the_process_that_was_started_is_killed(root: Path) -> None:
    """SIGKILL cannot be handed on: the service notices, and ends in good order."""
    with _Inside(root) as service:
        status = _ask(Folder(service.data_dir))
        assert status is not None
        assert status.pid != service.process.pid
        try:
            service.kill()  # returns when nobody has its output any more
            assert not (service.data_dir / "hooklab.sock").exists()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGKILL)


@system
@pytest.mark.parametrize("options", ["noexec", "size=5m"])
def test_a_folder_for_temporary_files_that_is_of_no_use(program: Path, tmp_path: Path, options: str) -> None:
    """Where nothing may run, or too little fits, the error says what to set."""
    mount = f'mount -t tmpfs -o {options} none "$1" && TMPDIR="$1" exec "$0" --version'
    command = ["unshare", "--mount", "sh", "-c", mount, str(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(line.startswith("hooklab: ") for line in lines)
    assert any("TMPDIR" in line for line in lines)
    assert ("noexec?" in done.stderr) == (options == "noexec")


@system
def test_a_python_that_cannot_build_it(program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a shared libpython there is one line with what to do, and no half of a file."""
    from PyInstaller.depend import bindepend

    monkeypatch.setattr(bindepend, "get_python_library_path", lambda: None)
    with pytest.raises(BuildError, match=r"apt install libpython3\.\d+") as refused:
        build(tmp_path / "dist", tmp_path / "work")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_lowest_glibc() -> None:
    """Versions are compared as numbers, weak symbols may be missing, and packed relocations want 2.36."""
    line = "  0x0010:   Name: GLIBC_{}  Flags: {}  Version: 16\n"
    told = "".join(line.format(*one) for one in [("2.4", "none"), ("2.14", "none"), ("2.38", "WEAK")])
    assert lowest_glibc(told) == (2, 14)
    assert lowest_glibc(told + line.format("2.2.5", "none")) == (2, 14)
    assert lowest_glibc(told + line.format("ABI_DT_RELR", "none")) == (2, 36)
    assert lowest_glibc("") == ()


def test_other_words_for_the_bootloader() -> None:
    """Nothing moves in the program, each place to fill in stays, and one that says something else is refused."""
    theirs = b"\x7fELF\0" + b"\0".join(INSTEAD) + b"\0rest"
    ours = reworded(theirs)
    assert len(ours) == len(theirs)
    assert b"Set TMPDIR" in ours
    assert ours.endswith(b"\0rest")
    for before, after in list(INSTEAD.items())[2:]:
        assert re.findall(rb"%.", before) == re.findall(rb"%.", after)
    with pytest.raises(UnknownBootloaderError, match=r"messages\.py"):
        reworded(theirs.replace(b"Failed to load", b"Could not load"))


def test_the_library_path_of_who_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hooklab starts gets the caller's libraries, not those that were unpacked for it."""
    from binary.entry import _give_back_library_path

    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEI1:/mine")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/mine")
    _give_back_library_path()
    assert os.environ["LD_LIBRARY_PATH"] == "/mine"
    _give_back_library_path()
    assert "LD_LIBRARY_PATH" not in os.environ
