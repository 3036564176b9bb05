"""`install-service` under a real systemd: the unit as it is written, started, watched and removed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from binary.__main__ import why_not
from binary.built import built
from support import body_of, pair
from systemd_stage import Machine, has_systemd_analyze, why_not_here

from hooklab.unit import Wish, unit_text

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
needs_systemd = pytest.mark.skipif(why_not_here() is not None, reason=f"no systemd of our own here: {why_not_here()}")
needs_analyze = pytest.mark.skipif(not has_systemd_analyze(), reason="no systemd-analyze here")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One for all tests here; each has its own installation."""
    with Machine() as booted:
        yield booted


@pytest.fixture(params=["environment", "one file"])
def program(request: pytest.FixtureRequest, machine: Machine) -> Iterator[str]:
    """An installation where a service can run it; removed with its data."""
    if request.param == "environment":
        yield machine.install_environment()
    else:
        if why := why_not():
            pytest.skip(why)
        built()
        machine.ok("install", "-m", "755", "/mnt/source/dist/hooklab", "/usr/local/bin/hooklab")
        yield "/usr/local/bin/hooklab"
    machine.run("systemctl", "kill", "--signal=KILL", "hooklab")
    machine.run("systemctl", "stop", "hooklab")
    machine.run("systemctl", "reset-failed", "hooklab")
    machine.run(
        "sh", "-c", "rm -rf /var/lib/hooklab /etc/systemd/system/hooklab* /etc/hooklab.toml; journalctl --rotate"
    )
    machine.run("journalctl", "--vacuum-time=1s")
    machine.ok("systemctl", "daemon-reload")


def install(machine: Machine, program: str, *options: str) -> None:
    """Installs, and does what it says is to be done."""
    told = machine.ok(program, "install-service", *options)
    steps = told.partition("(as root):\n")[2].partition("Look at it:")[0].splitlines()
    assert len(steps) >= 3, told
    for step in steps:
        machine.ok("sh", "-c", step)


def worker(machine: Machine) -> int:
    """The process that does the work: of a single file the child of the one that was started."""
    [group] = machine.shown("ControlGroup")
    return max(map(int, machine.ok("cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()))


def logged(machine: Machine) -> list[dict[str, str]]:
    """What the service logged."""
    lines = machine.ok("journalctl", "-u", "hooklab", "-o", "cat", "--no-pager").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@needs_systemd
def test_a_service_is_installed_used_and_removed(machine: Machine, program: str, tmp_path: Path) -> None:
    """The printed steps start it as a user of its own; it receives; the log is JSON in systemd's journal; `attach`'s
    folder is that user's; `uninstall-service` stops it, and keeps the data.
    """
    url = 'https://x.example/%n$HOME"q\\;é'
    install(machine, program, "--public-url", url)
    assert machine.shown("ActiveState", "StatusText", "User") == ["active", "receiving on 127.0.0.1:8080", "hooklab"]
    body = tmp_path / "body.json"
    body.write_bytes(body_of(pair()))
    as_user = ("runuser", "-u", "hooklab", "--", program)
    machine.ok("sh", "-c", "cat > /tmp/body.json", input=body.read_text())
    token = machine.ok("cat", "/var/lib/hooklab/token").strip()
    sent = machine.ok(*as_user, "send", "/tmp/body.json", "--url", f"http://127.0.0.1:8080/hooks/{token}")
    assert sent.endswith(": 200\n")
    counters = json.loads(machine.ok(*as_user, "stats", "--json", "--data-dir", "/var/lib/hooklab"))
    assert counters["batches"] + counters["lag"] == 1
    assert machine.ok("stat", "-c", "%a %U", "/var/lib/hooklab", "/var/lib/hooklab/journal.db") == (
        "700 hooklab\n600 hooklab\n"
    )
    started = logged(machine)[0]
    assert (started["level"], started["logger"]) == ("info", "hooklab")
    assert (
        f"receives at '{url}/hooks/••••', listens on 127.0.0.1:8080, data in /var/lib/hooklab;" in started["message"]
    )
    assert machine.ok("journalctl", "-u", "hooklab", "-o", "cat", "-p", "warning", "--no-pager") == ""
    assert token not in machine.ok("journalctl", "-o", "cat", "--no-pager")

    told = machine.ok(program, "uninstall-service")
    assert "kept: /var/lib/hooklab" in told
    assert machine.run("systemctl", "cat", "hooklab").returncode != 0
    assert machine.run("pgrep", "-u", "hooklab").stdout == ""
    assert "journal.db" in machine.ok("ls", "/var/lib/hooklab")
    again = machine.run(program, "uninstall-service")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)


@needs_systemd
def test_what_hangs_is_restarted_and_what_is_stopped_is_not(machine: Machine, program: str) -> None:
    """A service that gives no sign of life (SIGSTOP for its process) is killed and comes back with its data; its end
    after `systemctl stop` is an orderly one.
    """
    machine.ok("mkdir", "-p", "/etc/systemd/system/hooklab.service.d")
    machine.ok(
        "sh",
        "-c",
        "printf '[Service]\\nWatchdogSec=2\\nRestartSec=0\\n' > /etc/systemd/system/hooklab.service.d/t.conf",
    )
    install(machine, program)
    first = worker(machine)
    # Signs of life keep it alive for longer than it would be without.
    machine.run("sleep", "4")
    assert machine.shown("NRestarts", "ActiveState") == ["0", "active"]
    machine.ok("kill", "-STOP", str(first))
    machine.until(lambda: machine.shown("NRestarts", "ActiveState") == ["1", "active"], "it is restarted")
    assert worker(machine) != first
    machine.ok("systemctl", "stop", "hooklab")
    assert machine.shown("ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]
    assert [line["message"] for line in logged(machine)][-1] == "stopping"


@needs_systemd
def test_settings_are_those_of_the_file_and_a_wrong_one_is_no_restart_loop(machine: Machine, program: str) -> None:
    """A file that only root may read is opened to the service by the printed steps; a port below 1024 can be had;
    `systemctl reload` has the service read it again;
    a setting that turns wrong ends the service once (exit 2), and not again and again.
    """
    machine.ok("sh", "-c", "echo 'max_elements = 7' > /etc/hooklab.toml; chmod 600 /etc/hooklab.toml")
    install(machine, program, "--config", "/etc/hooklab.toml", "--bind", "127.0.0.1:81")
    assert machine.ok("stat", "-c", "%a %G", "/etc/hooklab.toml") == "640 hooklab\n"
    assert "max_elements=7" in logged(machine)[0]["message"]
    assert machine.shown("StatusText") == ["receiving on 127.0.0.1:81"]
    machine.ok("sh", "-c", "echo 'max_elements = 7\nmax_fields = 50' > /etc/hooklab.toml")
    machine.ok("systemctl", "reload", "hooklab")
    machine.until(lambda: logged(machine)[-1]["message"] == "reloaded: max_fields is now 50", "it is reloaded")
    machine.ok("sh", "-c", "echo 'max_elements = none' > /etc/hooklab.toml")
    assert machine.run("systemctl", "restart", "hooklab").returncode != 0
    assert machine.shown("ActiveState", "ExecMainStatus") == ["failed", "2"]


@needs_analyze
@pytest.mark.parametrize("one_file", [False, True])
@pytest.mark.parametrize("port", [8080, 443])
def test_the_unit_is_valid_and_little_exposed(tmp_path: Path, one_file: bool, port: int) -> None:
    """What systemd says of it: no complaint, and an exposure of at most 1.5.

    (1.6 where a single file, whose child has to be heard, wants a port that needs a privilege.)
    """
    program = tmp_path / "my hooklab"
    shutil.copy("/bin/true", program)
    unit = tmp_path / "hooklab.service"
    unit.write_text(unit_text(Wish(program=[str(program)], one_file=one_file, scratch="/var/tmp", port=port)))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    ours = [line for line in verified.stderr.splitlines() if "hooklab" in line]
    assert (verified.returncode, ours) == (0, []), verified.stderr
    most = 16 if one_file and port < 1024 else 15
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout
