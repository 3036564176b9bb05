"""A systemd of its own in namespaces of its own: units start as on a machine, and nothing of this one changes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

REPOSITORY: Final = Path(__file__).parent.parent
_SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
_INIT: Final = Path("/lib/systemd/systemd")
_CGROUPS: Final = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))

_BOOT: Final = r"""
set -e
ip link set lo up 2>/dev/null || true
umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
source=/run/hooklab-source
mkdir -p $source
mount --bind "$1" $source
mount -t tmpfs none /mnt
mkdir /mnt/source /mnt/packages /mnt/upper /mnt/work
mount --move $source /mnt/source
mount --bind "$2" /mnt/packages
mount -t tmpfs none /run
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work none /etc
for folder in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 none $folder; done
for folder in /var/lib /var/log /opt /usr/local/bin /etc/systemd/system; do
    mount -t tmpfs -o mode=755 none $folder
done
for unit in systemd-journald.service systemd-journald.socket; do
    ln -s /usr/lib/systemd/system/$unit /etc/systemd/system/$unit
done
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' > /etc/systemd/journald.conf.d/test.conf
for unit in sysinit basic network-online; do
    printf '[Unit]\nDefaultDependencies=no\n' > /etc/systemd/system/$unit.target
done
printf '[Unit]\nWants=systemd-journald.service\n' > /etc/systemd/system/multi-user.target
exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=hooklab-test \
    SYSTEMD_UNIT_PATH=/etc/systemd/system "$3" --system --unit=multi-user.target --log-target=null
"""


def why_not_here() -> str | None:
    """Why no such systemd can run here; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    for needed in (_INIT, _SYSTEM_PYTHON, Path("/usr/bin/unshare"), Path("/usr/bin/nsenter")):
        if not needed.exists():
            return f"no {needed}"
    if _cgroup_root() is None:
        return "no cgroup2"
    version = subprocess.run(
        [_SYSTEM_PYTHON, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=False
    )
    if version.stdout.split() != [str(number).encode() for number in sys.version_info[:2]]:
        return f"{_SYSTEM_PYTHON} has another version than this Python"
    return None


def _cgroup_root() -> Path | None:
    return next((path for path in _CGROUPS if (path / "cgroup.procs").is_file()), None)


class Machine:
    """A booted systemd with its journal; leaving the block ends it and all that it started."""

    def __enter__(self) -> Self:
        root = _cgroup_root()
        assert root is not None
        self._cgroup = root / f"hooklab-test-{os.getpid()}"
        self._cgroup.mkdir()
        packages = next(Path(one) for one in sys.path if one.endswith("site-packages"))
        begin = f"echo $$ > {self._cgroup}/cgroup.procs; exec unshare -m -p -n -u -i -C -f --kill-child --mount-proc"
        self._process = subprocess.Popen(
            ["sh", "-c", f'{begin} sh -c "$@"', "sh", _BOOT, "boot", REPOSITORY, packages, _INIT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            self.until(lambda: self.run("systemctl", "is-active", "systemd-journald").returncode == 0, "it boots")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """SIGKILL for its first process takes all others along."""
        self._process.kill()
        self._process.communicate(timeout=20)
        ends = time.monotonic() + 20
        while any((path / "cgroup.procs").read_text() for path in [self._cgroup, *self._cgroup.rglob("*/")]):
            assert time.monotonic() < ends
            time.sleep(0.05)
        for path in sorted(self._cgroup.rglob("*/"), reverse=True):
            path.rmdir()
        self._cgroup.rmdir()

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command there, as root."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return subprocess.CompletedProcess(command, 1, "", "it is not there yet")
        inside = ["nsenter", "-t", children[0], "-m", "-p", "-n", "-u", "-i", "-C"]
        environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        options = {"timeout": 60, "env": environment, **options}
        return subprocess.run([*inside, *command], capture_output=True, text=True, check=False, **options)

    def ok(self, *command: str | Path, **options: Any) -> str:
        """What a command says that must do well."""
        done = self.run(*command, **options)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self._said())
        return done.stdout

    def _said(self) -> str:
        return self.run("journalctl", "-n", "40", "--no-pager").stdout

    def shown(self, *names: str, unit: str = "hooklab") -> list[str]:
        """Properties of a unit."""
        told = self.ok("systemctl", "show", unit, *(f"--property={name}" for name in names))
        found = dict(line.partition("=")[::2] for line in told.splitlines())
        return [found[name] for name in names]

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        """Polls until `holds` says so."""
        ends = time.monotonic() + seconds
        while not holds():
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < ends, (f"it does not come: {what}", self._said())
            time.sleep(0.1)

    def install_environment(self) -> str:
        """Installs hooklab in /opt/hooklab with the system's Python; gives the command."""
        self.ok(_SYSTEM_PYTHON, "-m", "venv", "--without-pip", "/opt/hooklab")
        version = ".".join(map(str, sys.version_info[:2]))
        self._write(f"/opt/hooklab/lib/python{version}/site-packages/hooklab.pth", "/mnt/source\n/mnt/packages\n")
        script = "#!/opt/hooklab/bin/python\nimport sys\nfrom hooklab.cli import main\nsys.exit(main())\n"
        self._write("/opt/hooklab/bin/hooklab", script)
        self.ok("chmod", "755", "/opt/hooklab/bin/hooklab")
        return "/opt/hooklab/bin/hooklab"

    def _write(self, path: str, text: str) -> None:
        self.ok("sh", "-c", 'cat > "$1"', "sh", path, input=text)


def has_systemd_analyze() -> bool:
    """Whether units can be judged here."""
    return shutil.which("systemd-analyze") is not None
