"""`install-service` and `uninstall-service`."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

import hooklab
from hooklab.commands.common import CommandError, print_line
from hooklab.commands.reach import why_hidden, why_not_executed, why_unreadable
from hooklab.config import Settings, SettingsError, load_settings
from hooklab.files import fsync
from hooklab.text import clean
from hooklab.unit import DATA, MARK, UNIT, USER, UnitError, Wish, sysusers_text, unit_text

_SCRATCH: Final = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108  the unit makes them private
"""Where the single file may unpack itself: on a disk rather than in memory."""
_NO_ENVIRONMENT: Final = {"HOOKLAB_TRACEBACK"}


class Machine(Struct, frozen=True, kw_only=True):
    """What a service is installed on."""

    root: Path
    """Where its files are; `/` but in tests."""
    program: Sequence[str]
    """The command that runs now, its path absolute."""
    needs: Sequence[Path]
    """What must be there for that: the program, and what it loads."""
    one_file: bool
    environment: Mapping[str, str]
    run: Callable[[Sequence[str]], str | None]
    """Runs a command of systemd's; gives what it complained of, None if it did well."""
    is_booted: bool
    """Whether systemd runs here."""

    @property
    def unit(self) -> Path:
        """The unit's file."""
        return self.root / "etc/systemd/system" / UNIT

    @property
    def sysusers(self) -> Path:
        """The file that declares the user."""
        return self.root / "etc/sysusers.d" / f"{USER}.conf"


def install(given: argparse.Namespace, settings: Settings) -> int:
    """Writes the unit and makes its user, or prints the unit; starts nothing."""
    del settings  # those of the service, which has another environment, are loaded below
    return install_on(this_machine(), given)


def uninstall(given: argparse.Namespace, settings: Settings) -> int:
    """Stops the service and removes what `install` wrote."""
    del given, settings
    return uninstall_from(this_machine())


def this_machine() -> Machine:
    """The one that this process runs on."""
    frozen = bool(getattr(sys, "frozen", False))
    script = Path(sys.executable).with_name("hooklab")
    if frozen or not script.is_file():
        program = [sys.executable] if frozen else [sys.executable, "-m", "hooklab"]
        needs = [Path(sys.executable)]
    else:
        program, needs = [str(script)], [script, Path(sys.executable)]
    return Machine(
        root=Path("/"),
        program=program,
        needs=needs if frozen else [*needs, Path(hooklab.__file__), Path(os.__file__)],
        one_file=frozen,
        environment=os.environ,
        run=_run,
        is_booted=Path("/run/systemd/system").is_dir(),
    )


def install_on(machine: Machine, given: argparse.Namespace) -> int:
    """Does what `install` says."""
    wish, settings = _wish(machine, given)
    try:
        text = unit_text(wish)
    except UnitError as error:
        raise CommandError(str(error)) from error
    hidden = _why_not_startable(machine)
    warnings = [*_unheeded(machine), *_unreadable_files(settings)]
    if given.dry_run:
        _say(warnings if hidden is None else [hidden, *warnings])
        sys.stdout.write(text)
        return 0
    if hidden is not None:
        raise CommandError(hidden)
    _write(machine.unit, text)
    _write(machine.sysusers, sysusers_text())
    at_root = [] if machine.root == Path("/") else [f"--root={machine.root}"]
    complaint = machine.run(["systemd-sysusers", *at_root, str(machine.sysusers)])
    print_line(f"written: {machine.unit} and {machine.sysusers}")
    _say(warnings)
    _print_steps(machine, wish, complaint)
    return 0


def uninstall_from(machine: Machine) -> int:
    """Does what `uninstall` says."""
    there = [file for file in (machine.unit, machine.sysusers) if file.is_file() and _is_ours(file)]
    if not there:
        raise CommandError(f"there is no service to remove: {machine.unit} is not there, or is not hooklab's")
    if machine.unit in there and machine.is_booted:
        complaint = machine.run(["systemctl", "disable", "--now", UNIT])
        if complaint is not None:
            raise CommandError(f"the service cannot be stopped, so nothing is removed: {complaint}")
    for file in there:
        try:
            file.unlink()
        except OSError as error:
            raise CommandError(_need_root(f"{file} cannot be removed: {error.strerror}", error)) from error
    if machine.is_booted:
        machine.run(["systemctl", "daemon-reload"])
    print_line(f"removed: {' and '.join(map(str, there))}")
    print_line(f"kept: {DATA} with all data and the token, and the user {USER} that it belongs to")
    print_line(f"To be rid of these too: rm -r {DATA} && userdel {USER}")
    return 0


def _wish(machine: Machine, given: argparse.Namespace) -> tuple[Wish, Settings]:
    if getattr(given, "data_dir", None) is not None:
        raise SettingsError(f"--data-dir: a service keeps its data in {DATA}; leave it out")
    config = None if given.config is None else Path(given.config).absolute()
    bind, url = getattr(given, "bind", None), getattr(given, "public_url", None)
    settings = load_settings({"bind": bind, "public_url": url}, {}, config)
    if config is not None and (why := why_hidden(config)) is not None:
        raise CommandError(f"the settings file {config} {why}; put it into /etc, such as /etc/hooklab.toml")
    wish = Wish(
        program=machine.program,
        one_file=machine.one_file,
        scratch=_scratch() if machine.one_file else None,
        bind=bind,
        public_url=url,
        config=None if config is None else str(config),
        port=settings.host_and_port()[1],
    )
    return wish, settings


def _scratch() -> str:
    for folder in _SCRATCH:
        if folder.is_dir() and not os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return str(folder)
    raise CommandError(
        f"the single file unpacks itself before it runs, and {' and '.join(map(str, _SCRATCH))} are mounted noexec;"
        " remount one of them with exec, or install hooklab with pipx"
    )


def _why_not_startable(machine: Machine) -> str | None:
    for path in machine.needs:
        why = why_not_executed(path) if path == machine.needs[0] else why_unreadable(path)
        if why is None:
            continue
        if machine.one_file:
            mend = f"install -m 755 {shlex.quote(str(path))} /usr/local/bin/hooklab && hooklab install-service"
        else:
            mend = (
                "install the single file in /usr/local/bin, or hooklab in an environment in /opt, and call that one"
            )
        return f"a service cannot run {path}: it {why}; {mend}"
    return None


def _unheeded(machine: Machine) -> Iterable[str]:
    names = sorted(name for name in machine.environment if name.startswith("HOOKLAB_"))
    if names := [name for name in names if name not in _NO_ENVIRONMENT]:
        yield f"the service does not have this environment: {', '.join(names)}; use a settings file and --config"


def _unreadable_files(settings: Settings) -> Iterable[str]:
    for name in Settings.__struct_fields__:
        path = getattr(settings, name)
        if name != "data_dir" and isinstance(path, Path) and (why := why_unreadable(path)) is not None:
            yield f"{name}: the user {USER} may not be able to read {path}: it {why}"


def _print_steps(machine: Machine, wish: Wish, complaint: str | None) -> None:
    steps: list[str] = []
    if complaint is not None:
        _say([f"the user {USER} could not be made: {complaint}"])
        steps.append(f"useradd --system --user-group --home-dir {DATA} --shell /usr/sbin/nologin {USER}")
    if wish.config is not None and why_unreadable(Path(wish.config)) is not None:
        file = shlex.quote(wish.config)
        steps.append(f"chgrp {USER} {file} && chmod 640 {file}")
    steps += ["systemctl daemon-reload", f"systemctl enable {USER}", f"systemctl restart {USER}"]
    program = " ".join(map(shlex.quote, machine.program))
    print_line("Start it, now and with the machine (as root):")
    for step in steps:
        print_line(f"  {step}")
    print_line("Look at it:")
    for look in (
        f"systemctl status {USER}",
        f"journalctl -u {USER}",
        f"sudo -u {USER} {program} attach --data-dir {DATA}",
    ):
        print_line(f"  {look}")


def _say(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"hooklab: {clean(warning)}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    """Under its name once it is whole."""
    aside = path.with_name(f".{path.name}.new")
    try:
        if path.exists() and not _is_ours(path):
            raise CommandError(f"{path} is there, and hooklab did not write it; move it away first")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.chmod(0o644)
        fsync(aside)
        aside.replace(path)
        fsync(path.parent)
    except OSError as error:
        raise CommandError(_need_root(f"{path} cannot be written: {error.strerror}", error)) from error


def _need_root(text: str, error: OSError) -> str:
    return f"{text}; call it as root (sudo)" if isinstance(error, PermissionError) else text


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError as error:
        raise CommandError(_need_root(f"{path} cannot be read: {error.strerror}", error)) from error


def _run(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  constants, and paths of ours
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    said = done.stderr.strip().splitlines()
    return (said[-1] if said else f"{command[0]} ended with {done.returncode}") if done.returncode else None
