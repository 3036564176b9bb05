"""The text of hooklab's systemd unit and of the user it runs as: pure."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

USER: Final = "hooklab"
UNIT: Final = "hooklab.service"
DATA: Final = "/var/lib/hooklab"
"""Where a service keeps its data: `%S` is /var/lib."""
MARK: Final = "# Written by `hooklab install-service`"
"""How what hooklab wrote begins; nothing else is overwritten or removed."""
_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9_./+@:~ -]*")
_LAST_PRIVILEGED: Final = 1023


class UnitError(ValueError):
    """A value cannot stand in a unit; the text says which and why."""


class Wish(Struct, frozen=True, kw_only=True):
    """What a unit is made of."""

    program: Sequence[str]
    """The command, its path absolute, without `serve`."""
    one_file: bool = False
    """Whether that is the single file, which unpacks itself and has a child that does the work."""
    scratch: str | None = None
    """A folder for temporary files from which may be executed; None for the usual one."""
    bind: str | None = None
    public_url: str | None = None
    config: str | None = None
    port: int = 8080
    """The port that it comes to, whoever says so."""


def unit_text(wish: Wish) -> str:
    """The unit.

    Raises:
        UnitError: a value cannot stand in one.
    """
    command = " ".join([_program(wish.program[0]), *(quoted("the command", one) for one in wish.program[1:])])
    options = "".join(
        f" {option} {quoted(option, value)}"
        for option, value in (("--config", wish.config), ("--bind", wish.bind), ("--public-url", wish.public_url))
        if value is not None
    )
    start = f"{command} serve --data-dir %S/{USER}{options}"
    scratch = "" if wish.scratch is None else f"Environment={quoted('the folder', f'TMPDIR={wish.scratch}')}\n"
    return _UNIT.format(
        mark=MARK,
        start=start,
        # Only all of the cgroup covers the child of the single file: it is no process that systemd started.
        access="all" if wish.one_file else "main",
        scratch=scratch,
        privileges=_LOW_PORT if 0 < wish.port <= _LAST_PRIVILEGED else _NO_PRIVILEGES,
    )


def quoted(name: str, value: str) -> str:
    """`value` as one word of a unit's command line, whatever is in it.

    Raises:
        UnitError: it holds a line break or another character that cannot be printed.
    """
    if not value.isprintable():
        raise UnitError(f"{name}: {value!a} holds a character that cannot stand in a systemd unit")
    for char, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        value = value.replace(char, written)
    return value if re.fullmatch(r"[A-Za-z0-9_./:+@=%\[\]-]+", value) else f'"{value}"'


def _program(path: str) -> str:
    # Nothing replaces variables in the path itself, and before it some characters have a meaning.
    if not _PLAIN_PATH.fullmatch(path):
        raise UnitError(
            f"the program {path!a} has a path that systemd might misread;"
            " install it under a plain one: install -m 755 hooklab /usr/local/bin"
        )
    return f'"{path}"' if " " in path else path


def sysusers_text() -> str:
    """The user, as systemd-sysusers takes it."""
    return f'{MARK}\nu {USER} - "hooklab, receiver of delivery webhooks" {DATA} /usr/sbin/nologin\n'


_NO_PRIVILEGES: Final = """\
CapabilityBoundingSet=
PrivateUsers=yes
"""
_LOW_PORT: Final = """\
# For a port below 1024; a user namespace of its own would not have it.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
"""
_UNIT: Final = """\
{mark}, which overwrites it.
# Changes of your own belong beside it: systemctl edit hooklab

[Unit]
Description=hooklab, receiver of SMS delivery webhooks
Wants=network-online.target
After=network-online.target
# An address that is not there yet, or a full disk, may last: never give up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess={access}
ExecStart={start}
ExecReload=/bin/kill -HUP $MAINPID
{scratch}\
# A damaged journal is salvaged at the start, for as long as it takes.
TimeoutStartSec=infinity
TimeoutStopSec=20
KillMode=mixed
WatchdogSec=30
Restart=on-failure
RestartSec=5
# A setting that is wrong now is wrong in five seconds too.
RestartPreventExitStatus=2
SyslogIdentifier=hooklab

User=hooklab
Group=hooklab
StateDirectory=hooklab
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536
LimitCORE=0

{privileges}\
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""
