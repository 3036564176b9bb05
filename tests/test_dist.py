"""The wheel of `make dist`: installed where nothing of this folder is, as pipx does, it is the whole of hooklab."""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path
from typing import Final

import pytest
from support import RunningService, report

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ROOT: Final = Path(__file__).parent.parent
ID: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"


def _done(command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(list(map(str, command)), capture_output=True, check=False, cwd=cwd, timeout=200)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it."""
    if importlib.util.find_spec("build") is None:
        pytest.skip("build is not here: make dist installs it")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "-qq", "--outdir", str(folder), str(ROOT)]
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def hooklab(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in a clean environment into which nothing but the wheel was installed."""
    place = tmp_path_factory.mktemp("clean")
    [wheel] = built.glob("*.whl")
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", place / "venv"],
        [place / "venv/bin/python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel],
    ]
    for command in commands:
        done = _done(command, place)
        assert done.returncode == 0, done.stderr
    return place / "venv/bin/hooklab"


class _Installed(RunningService):
    """`hooklab serve` as installed, in another folder than this one."""

    def __init__(self, program: Path, data_dir: Path) -> None:
        self._program = program
        hidden = ("PYTHONPATH", "PYTHONHOME")
        super().__init__(data_dir, environment=dict.fromkeys(hidden, ""))

    def command(self) -> list[str]:
        return [str(self._program), "serve", "--data-dir", str(self.data_dir), "--bind=127.0.0.1:0"]


def test_the_wheel_runs_in_a_clean_environment(hooklab: Path, tmp_path: Path) -> None:
    """`serve`, `send`, `show` and SIGTERM; what is loaded is what was installed."""
    found = _done([hooklab.with_name("python"), "-I", "-c", "import hooklab; print(hooklab.__file__)"], tmp_path)
    assert Path(found.stdout.decode().strip()).is_relative_to(hooklab.parent.parent)
    (tmp_path / "sample.json").write_text(json.dumps([report(ID)]))
    folder = tmp_path / "data"
    with _Installed(hooklab, folder) as service:
        assert _done([hooklab, "send", "--data-dir", folder, "sample.json"], tmp_path).returncode == 0
        service.settled()
        shown = _done([hooklab, "show", ID, "--json", "--data-dir", folder], tmp_path)
        assert json.loads(shown.stdout)["state"] == "DELIVERED"
        assert service.terminate() == 0
    # The screen's own files are there as well: the sheet of its looks is read when it starts.
    looks = "from importlib.resources import files; print(files('hooklab.tui').joinpath('hooklab.tcss').read_text())"
    assert b"Screen" in _done([hooklab.with_name("python"), "-I", "-c", looks], tmp_path).stdout


def test_what_the_wheel_says_of_itself(built: Path) -> None:
    """The command, the README as text, the licence, the Python that it wants; and no tests are in it."""
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        told = message_from_bytes(archive.read(metadata))
        points = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert "hooklab = hooklab.cli:main" in points
    assert (told["Name"], told["License-Expression"], told["Requires-Python"]) == ("hooklab", "MIT", ">=3.11")
    assert told["Description-Content-Type"] == "text/markdown"
    assert "never loses one" in told.get_payload()
    assert {name.partition("/")[0] for name in names} == {"hooklab", metadata.partition("/")[0]}
    assert {"hooklab/py.typed", "hooklab/store/schema.sql", "hooklab/tui/hooklab.tcss"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_has_what_builds_and_tests_it(built: Path) -> None:
    """From it all of `make` works: also the one file."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "LICENSE", "constraints.txt", "tests/binary/hooklab.spec", "tests/support.py"} <= names
    assert not any(name.startswith(("dist", "build", ".venv")) for name in names)
