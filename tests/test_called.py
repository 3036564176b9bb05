"""What is printed to be pasted names hooklab as it was called."""

import os
import sys
from pathlib import Path

import platformdirs
import pytest

from hooklab.commands.common import called
from hooklab.config import SettingsError, load_settings

DEFAULT = load_settings({}, {}).data_dir


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOOKLAB_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (".venv/bin/hooklab", ".venv/bin/hooklab"),
        ("hooklab", "./hooklab"),
        ("/opt/a b/hooklab", "'/opt/a b/hooklab'"),
        ("-c", f"{sys.executable} -m hooklab"),
        ("", f"{sys.executable} -m hooklab"),
        ("/x/hooklab/__main__.py", f"{sys.executable} -m hooklab"),
    ],
)
def test_it_can_be_pasted(monkeypatch: pytest.MonkeyPatch, name: str, shown: str) -> None:
    """From PATH, from a folder, as a module; the default folder needs no word."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [name])
    assert called("attach", DEFAULT) == f"{shown} attach"
    assert called("attach", Path("/a b")) == f"{shown} attach --data-dir '/a b'"


def test_what_is_in_path_needs_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a package puts it there."""
    script = tmp_path / "hooklab"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert called("serve", DEFAULT) == "hooklab serve"


def test_a_setting_in_the_environment_makes_the_folder_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another there, where this is pasted too."""
    monkeypatch.setenv("HOOKLAB_DATA_DIR", "/other")
    assert called("attach", DEFAULT).endswith(f" --data-dir {DEFAULT}")


def test_a_current_folder_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line is printed all the same."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["/opt/hooklab"])
    assert called("attach", DEFAULT) == "/opt/hooklab attach"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("hooklab", "hooklab"), ("./hooklab", "./hooklab"), ("/opt/hooklab", "/opt/hooklab"), ("", sys.executable)],
)
def test_the_one_file(monkeypatch: pytest.MonkeyPatch, name: str, shown: str) -> None:
    """It is no script: found in PATH it knows only its name, which is enough; in a folder it needs that."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "argv", [name])
    assert called("attach", DEFAULT) == f"{shown} attach"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no default folder: hooklab asks for one in one line, and names it in what is to be pasted."""

    def no_home(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_data_path", no_home)
    with pytest.raises(SettingsError, match="--data-dir DIR"):
        load_settings({}, {})
    monkeypatch.setattr(sys, "argv", ["/hooklab"])
    assert called("attach", Path("/data")) == "/hooklab attach --data-dir /data"
