"""`install-service` and `uninstall-service`: what they write, print, refuse and leave."""

import argparse
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support import HEEDING_MODES, hooklab

from hooklab.commands import install_service as service
from hooklab.commands.common import CommandError
from hooklab.commands.install_service import Machine, install_on, uninstall_from
from hooklab.commands.reach import why_hidden, why_not_executed, why_unreadable
from hooklab.config import SettingsError


class Ran:
    """The commands of systemd's that were run; each complains of what stands in `complaints`."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.complaints: dict[str, str] = {}

    def __call__(self, command: Sequence[str]) -> str | None:
        self.commands.append(" ".join(command))
        return self.complaints.get(command[0])


@pytest.fixture
def ran() -> Ran:
    """What was run."""
    return Ran()


@pytest.fixture
def machine(tmp_path: Path, ran: Ran) -> Machine:
    """A machine whose files are in a folder of ours, with a program that every service can run."""
    return Machine(
        root=tmp_path,
        program=["/bin/true"],
        needs=[Path("/bin/true")],
        one_file=True,
        environment={},
        run=ran,
        is_booted=True,
    )


def wished(**options: Any) -> argparse.Namespace:
    """What the command line gave."""
    return argparse.Namespace(**{"config": None, "dry_run": False, **options})


def config_of(machine: Machine, text: str) -> Path:
    """A settings file where a service may see it, such as the tests' folders are not."""
    assert machine.root != Path("/")
    path = Path("/dev/shm") / f"hooklab-{os.getpid()}.toml"
    path.write_text(text)
    return path


# Install ---------------------------------------------------------------------------------------------------------


def test_the_unit_and_the_user_are_written_and_the_steps_printed(
    machine: Machine, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files that all may read, the user made by systemd's own tool, nothing started; the steps are printed."""
    assert install_on(machine, wished(bind="0.0.0.0:80", public_url="https://x.example")) == 0
    assert "ExecStart=/bin/true serve --data-dir %S/hooklab --bind 0.0.0.0:80 --public-url https://x.example\n" in (
        machine.unit.read_text()
    )
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in machine.unit.read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (machine.unit, machine.sysusers)} == {0o644}
    assert ran.commands == [f"systemd-sysusers --root={machine.root} {machine.sysusers}"]
    out, errors = capsys.readouterr()
    assert errors == ""
    for line in ("systemctl daemon-reload", "systemctl enable hooklab", "systemctl restart hooklab"):
        assert f"\n  {line}\n" in out
    assert "useradd" not in out
    assert sorted(path.name for path in machine.root.rglob("*") if path.is_file()) == [
        "hooklab.conf",
        "hooklab.service",
    ]


def test_installing_again_replaces_what_is_ours_and_nothing_else(machine: Machine) -> None:
    """An upgrade or another wish writes the unit anew; a unit that somebody else wrote stays, and is named."""
    install_on(machine, wished(bind="127.0.0.1:1"))
    install_on(machine, wished(bind="127.0.0.1:2"))
    assert "--bind 127.0.0.1:2" in machine.unit.read_text()
    machine.unit.write_text("[Service]\nExecStart=/bin/mine\n")
    with pytest.raises(CommandError, match="hooklab did not write it"):
        install_on(machine, wished())
    machine.sysusers.unlink()
    with pytest.raises(CommandError, match="is not hooklab's"):
        uninstall_from(machine)
    assert machine.unit.read_text() == "[Service]\nExecStart=/bin/mine\n"


def test_without_systemds_tool_the_user_is_a_step(
    machine: Machine, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be done is said, and is the first of the steps."""
    ran.complaints["systemd-sysusers"] = "systemd-sysusers: No such file or directory"
    assert install_on(machine, wished()) == 0
    out, errors = capsys.readouterr()
    assert errors == "hooklab: the user hooklab could not be made: systemd-sysusers: No such file or directory\n"
    assert "(as root):\n  useradd --system " in out


def test_a_dry_run_prints_the_unit_and_does_nothing(
    machine: Machine, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same text as would be written, and nothing else on stdout."""
    assert install_on(machine, wished(dry_run=True, bind="127.0.0.1:9")) == 0
    printed = capsys.readouterr().out
    assert list(machine.root.iterdir()) == []
    assert ran.commands == []
    install_on(machine, wished(bind="127.0.0.1:9"))
    assert machine.unit.read_text() == printed


def test_a_settings_file_is_checked_and_opened_to_the_service(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that only root may read is to be given to the service's group; its port counts; a wrong one is refused."""
    config = config_of(machine, 'bind = "127.0.0.1:81"\n')
    try:
        config.chmod(0o600)
        install_on(machine, wished(config=config))
        assert f"\n  chgrp hooklab {config} && chmod 640 {config}\n" in capsys.readouterr().out
        assert f"--config {config}\n" in machine.unit.read_text()
        assert "CAP_NET_BIND_SERVICE" in machine.unit.read_text()
        config.chmod(0o644)
        install_on(machine, wished(config=config))
        assert "chgrp" not in capsys.readouterr().out
        config.write_text("token_file = '/root/token'\n")
        install_on(machine, wished(config=config))
        assert "token_file: the user hooklab may not be able to read /root/token: " in capsys.readouterr().err
        config.write_text("colour = 1\n")
        with pytest.raises(SettingsError, match="colour"):
            install_on(machine, wished(config=config))
    finally:
        config.unlink()
    (machine.root / "x.toml").write_text("")
    with pytest.raises(CommandError, match=r"lies under /(tmp|root|home), which a service does not see"):
        install_on(machine, wished(config=machine.root / "x.toml"))


def test_what_the_environment_says_is_not_silently_left_out(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service has another environment: what is set here is named, not its value."""
    here = replace(machine, environment={"HOOKLAB_TOKEN": "s3cret", "HOOKLAB_TRACEBACK": "1", "HOME": "/x"})
    install_on(here, wished())
    errors = capsys.readouterr().err
    assert "the service does not have this environment: HOOKLAB_TOKEN; use a settings file and --config" in errors
    assert "s3cret" not in errors + machine.unit.read_text()


def test_another_data_folder_is_refused(machine: Machine) -> None:
    """A service has the one that systemd makes for it."""
    with pytest.raises(SettingsError, match="/var/lib/hooklab"):
        install_on(machine, wished(data_dir="/srv/x"))


@pytest.mark.parametrize(
    "path", ["/root/hooklab", "/home/ana/bin/hooklab", "/tmp/hooklab", "/var/tmp/x/hooklab", "/run/user/7/hooklab"]
)
@pytest.mark.parametrize("one_file", [True, False])
def test_a_program_that_a_service_does_not_see_is_refused(machine: Machine, path: str, one_file: bool) -> None:
    """Homes and temporary folders: why, and what to do; nothing is written, and a dry run prints the unit."""
    hidden = replace(machine, program=[path], needs=[Path(path)], one_file=one_file)
    with pytest.raises(CommandError) as caught:
        install_on(hidden, wished())
    assert f"a service cannot run {path}: it lies under " in str(caught.value)
    assert ("install -m 755 " in str(caught.value)) == one_file
    assert "/usr/local/bin" in str(caught.value)
    assert list(machine.root.iterdir()) == []
    assert install_on(hidden, wished(dry_run=True)) == 0


def test_modes_and_mounts_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that others may not execute or read, a folder that they may not enter, a link into a home, noexec."""
    monkeypatch.setattr("hooklab.commands.reach._HIDDEN", {Path("/root"): "ProtectHome"})
    for folder in tmp_path.parents:
        if not folder.stat().st_mode & 0o001:
            monkeypatch.setattr("hooklab.commands.reach._lets", _lets_below(tmp_path))
            break
    program = tmp_path / "bin" / "hooklab"
    program.parent.mkdir(mode=0o755)
    program.write_text("")
    program.chmod(0o755)
    assert why_not_executed(program) is None
    program.chmod(0o744)
    assert why_not_executed(program) == "may not be executed by other users"
    assert why_unreadable(program) is None
    program.chmod(0o711)
    assert "may not be executed" in str(why_not_executed(program))  # the single file reads itself
    assert why_unreadable(program) == "is not for other users to read"
    program.parent.chmod(0o750)
    assert why_unreadable(program) == f"lies under {program.parent}, which other users may not enter"
    assert why_unreadable(tmp_path / "nothing") == "cannot be examined: No such file or directory"
    (tmp_path / "link").symlink_to("/root/hooklab")
    assert "lies under /root" in str(why_hidden(tmp_path / "link"))
    program.parent.chmod(0o755)
    program.chmod(0o755)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert why_not_executed(program) == "lies on a file system that is mounted noexec"


def _lets_below(top: Path) -> Any:
    """Modes as they are, but for what is above the test's folder, which pytest made private."""

    def lets(path: Path, wanted: int) -> bool:
        return not path.is_relative_to(top) or path == top or path.stat().st_mode & wanted == wanted

    return lets


def test_a_single_file_without_room_to_unpack_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be executed in either folder for temporary files: said now, and not by a service that fails."""
    mounts = {"/var/tmp": os.ST_NOEXEC, "/tmp": 0}
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=mounts.get(str(path), 0)))
    install_on(machine, wished())
    assert "\nEnvironment=TMPDIR=/tmp\n" in machine.unit.read_text()
    mounts["/tmp"] = os.ST_NOEXEC
    with pytest.raises(CommandError, match="are mounted noexec"):
        install_on(machine, wished())
    mounts.clear()
    install_on(machine, wished())
    assert "\nEnvironment=TMPDIR=/var/tmp\n" in machine.unit.read_text()


# Uninstall -------------------------------------------------------------------------------------------------------


def test_uninstalling_undoes_it_and_keeps_the_data(
    machine: Machine, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service is stopped first, then both files go; the folder is named, and how to be rid of it."""
    install_on(machine, wished())
    ran.commands.clear()
    capsys.readouterr()
    assert uninstall_from(machine) == 0
    assert ran.commands == ["systemctl disable --now hooklab.service", "systemctl daemon-reload"]
    assert not any(path.is_file() for path in machine.root.rglob("*"))
    out = capsys.readouterr().out
    assert "kept: /var/lib/hooklab with all data and the token, and the user hooklab" in out
    with pytest.raises(CommandError, match="no service to remove"):
        uninstall_from(machine)


def test_a_service_that_cannot_be_stopped_is_not_removed(machine: Machine, ran: Ran) -> None:
    """Its unit stays, with what systemd said."""
    install_on(machine, wished())
    ran.complaints["systemctl"] = "Access denied"
    with pytest.raises(CommandError, match="nothing is removed: Access denied"):
        uninstall_from(machine)
    assert machine.unit.is_file()
    unbooted = replace(machine, is_booted=False)
    assert uninstall_from(unbooted) == 0


# The commands ----------------------------------------------------------------------------------------------------


def test_the_commands_as_they_are_called() -> None:
    """A dry run needs no root and prints a unit for this very program; a wrong value is one line and 2."""
    done = hooklab("install-service", "--dry-run", "--bind", "127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    script = Path(sys.executable).with_name("hooklab")
    assert f"ExecStart={script} serve --data-dir %S/hooklab --bind 127.0.0.1:9\n" in done.stdout.decode()
    wrong = hooklab("install-service", "--dry-run", "--bind", "8080")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count(b"\n")) == (2, b"", 1)
    folder = hooklab("install-service", "--dry-run", data_dir=Path("/srv/x"))
    assert (folder.returncode, folder.stdout) == (2, b"")
    assert b"--data-dir: a service keeps its data in /var/lib/hooklab" in folder.stderr
    token = hooklab("install-service", "--dry-run", "--token", "x")
    assert token.returncode == 2


def test_without_the_right_to_write_it_says_so(machine: Machine, tmp_path: Path) -> None:
    """Somebody who is not root: one line that says sudo, nothing half written."""
    (tmp_path / "etc").mkdir(mode=0o500)
    code = (
        "import sys, argparse\nfrom pathlib import Path\nfrom msgspec.structs import replace\n"
        "from hooklab.commands import install_service as service\n"
        "machine = replace(service.this_machine(), root=Path(sys.argv[1]), program=['/bin/true'],"
        " needs=[Path('/bin/true')], one_file=False)\n"
        "service.install_on(machine, argparse.Namespace(config=None, dry_run=False))\n"
    )
    heeding = HEEDING_MODES if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*heeding, sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False, timeout=60
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("hooklab.service cannot be written: Permission denied; call it as root (sudo)")


def test_what_runs_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The single file as it was called, else the script beside this Python, with all that it loads."""
    environment = service.this_machine()
    assert environment.program == [str(Path(sys.executable).with_name("hooklab"))]
    assert not environment.one_file
    assert Path(sys.executable) in environment.needs
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/usr/local/bin/hooklab")
    frozen = service.this_machine()
    assert (list(frozen.program), list(frozen.needs)) == (
        ["/usr/local/bin/hooklab"],
        [Path("/usr/local/bin/hooklab")],
    )
    assert frozen.one_file
