"""The service: does it run and answer, may others hear its token, and who else writes its files."""

import ipaddress
import os
import re
import shlex
import socket
from collections.abc import Iterable, Iterator
from math import log2
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from hooklab import __version__
from hooklab.config import Settings, SettingsError, split_bind
from hooklab.files import SHORT_TOKEN, Folder, FolderError, read_token
from hooklab.findings import took
from hooklab.health.base import Finding, listed, many, ok, problem, warning
from hooklab.health.folder import name_of
from hooklab.metrics import ServiceStatus
from hooklab.times import SECOND

_TIMEOUT: Final = 3.0
_GUESSABLE_BITS: Final = 48
_OTHERS: Final = 0o077
_WRITES: Final = os.O_WRONLY | os.O_RDWR


class Runs(Struct, frozen=True, kw_only=True):
    """What is known of a service on the folder."""

    status: ServiceStatus | None
    """Its own word; None where none answers."""
    holder: int | None
    """The process that holds the folder's lock, 0 where only that is known; None where nobody does."""
    barred: bool = False
    """Its admin socket may not be used by who looks."""
    now: int = 0


class Door(Struct, frozen=True, kw_only=True):
    """The address where batches are received."""

    address: str
    """HOST:PORT."""
    answered: int | None = None
    """The code with which a service that runs answered; 100 is right."""
    failed: str | None = None
    """Why there was no answer, or (no service runs) why none could listen there."""
    hook_url: str = ""
    """As the provider sees it, with its token."""
    local_url: str = ""


class Token(Struct, frozen=True, kw_only=True):
    """The secret in the hook URL, without itself."""

    where: str
    """Such as `in the file …`."""
    state: str
    """kept, set, missing, or why it cannot be used."""
    length: int = 0
    bits: float = 0.0
    exposed: bool = False
    """Others may read the file."""
    path: str = ""
    running: bool | None = None
    """Whether the running service has the same; None where none runs."""


class Writers(Struct, frozen=True):
    """The processes that have files open for writing."""

    by_file: dict[str, set[int]]
    hidden: set[int]
    """Processes of which this user may not see it."""


def look_at_lock(folder: Folder) -> int | None:
    """The process that holds the folder's lock; see `Runs.holder`. The lock is not tried: that could stop a start."""
    try:
        wanted = folder.path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    try:
        written = folder.lock.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        written = ""
    said = int(written) if written.isdigit() and len(written) < 12 else 0
    device = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}"
    for pid, place, inode in locks_of(table):
        # Some file systems have a device here that no stat tells; then the lock file must name the same process.
        if inode == wanted.st_ino and (place == device or pid == said):
            return pid or said
    return None


def locks_of(table: str) -> Iterator[tuple[int, str, int]]:
    """Process, device and inode of every whole-file write lock in a table as /proc/locks."""
    for found in re.finditer(r"FLOCK +\w+ +WRITE +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+)", table):
        yield max(int(found[1]), 0), found[2], int(found[3])


def look_at_door(runs: Runs, settings: Settings) -> Door:
    """Knocks where the service listens, or looks whether one could listen where the settings say."""
    if runs.status is None:
        return Door(address=settings.bind, failed=_why_not_to_bind(settings) if runs.holder is None else None)
    status = runs.status
    parts = urlsplit(status.local_url or status.hook_url)
    code, why = None, None
    try:
        code = _knock(parts.hostname or "", parts.port or 80, parts.path)
    except (OSError, ValueError) as error:
        why = "it does not answer in time" if isinstance(error, TimeoutError) else str(error)
    return Door(
        address=status.listens_on or parts.netloc,
        answered=code,
        failed=why,
        hook_url=status.hook_url,
        local_url=status.local_url,
    )


def _knock(host: str, port: int, path: str) -> int:
    """Offers a body and takes the offer back once the receiver wants it (100): it judged the token, and counts
    nothing, neither a batch nor a refusal.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((host, port), timeout=_TIMEOUT) as connection:
        connection.sendall(head.encode())
        answer = b""
        while b"\r\n" not in answer and len(answer) < 1024:
            part = connection.recv(1024)
            if not part:
                break
            answer += part
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    if found is None:
        raise ValueError("what answers there does not speak HTTP")
    return int(found[1])


def _why_not_to_bind(settings: Settings) -> str | None:
    """Why a service could not listen at `bind`; nothing is listened on."""
    try:
        host, port = settings.host_and_port()
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "it is no address"
    return None


def look_at_token(settings: Settings, folder: Folder, status: ServiceStatus | None) -> Token:
    """The facts; the token itself is in none of them."""
    token: str | None
    where, path = "from the settings", ""
    state, exposed = "set", False
    if settings.token is not None:
        token = settings.token
    else:
        file = settings.token_file or folder.token
        where, path = f"in {file}", str(file)
        try:
            token = read_token(file)
            state = "kept" if token is not None else "missing"
            exposed = token is not None and _is_exposed(file)
        except (FolderError, OSError) as error:
            token, state = None, str(error)
    running = None if status is None else urlsplit(status.hook_url).path.rpartition("/")[2]
    return Token(
        where=where,
        state=state,
        length=len(token or ""),
        bits=bits_of(token or ""),
        exposed=exposed,
        path=path,
        running=None if running is None or token is None else running == token,
    )


def _is_exposed(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & _OTHERS and file.parent.stat().st_mode & 0o011)
    except OSError:
        return False


def bits_of(token: str) -> float:
    """How hard to guess a token looks, by how evenly its characters are used; an upper bound."""
    counts = [token.count(one) for one in set(token)]
    return sum(count * log2(len(token) / count) for count in counts)


def look_at_writers(paths: Iterable[Path]) -> Writers:
    """The processes that have a file open for writing, by the file's name."""
    wanted: dict[tuple[int, int], str] = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        wanted[found.st_dev, found.st_ino] = path.name
    found_in: dict[str, set[int]] = {name: set() for name in wanted.values()}
    hidden: set[int] = set()
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        written = _written_by(process, wanted)
        if written is None:
            hidden.add(int(process.name))
        for name in written or ():
            found_in[name].add(int(process.name))
    return Writers(found_in, hidden)


def _written_by(process: Path, wanted: dict[tuple[int, int], str]) -> list[str] | None:
    written: list[str] = []
    try:
        for link in (process / "fd").iterdir():
            found = link.stat()
            name = wanted.get((found.st_dev, found.st_ino))
            if name is None:
                continue
            flags = re.search(r"flags:\s*([0-7]+)", (process / "fdinfo" / link.name).read_text(encoding="ascii"))
            if flags and int(flags[1], 8) & _WRITES:
                written.append(name)
    except OSError:  # it is another user's, or ended
        return None
    return written


def command_of(pid: int) -> str:
    """What a process is called."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def owner_of(path: Path) -> str:
    """The name of a file's owner; empty where there is no file."""
    try:
        return name_of(path.stat().st_uid)
    except OSError:
        return ""


def judge_runs(found: Runs, *, owner: str = "") -> Finding:
    """`service`."""
    status = found.status
    if status is None:
        if found.holder is None:
            return warning(
                "service", "no hooklab runs on this folder: nothing is received", "start it: hooklab serve"
            )
        holder = f"process {found.holder}" if found.holder else "a process"
        if found.barred:
            return warning(
                "service", f"{holder} runs on this folder as {owner}, and may not be asked", f"run this as {owner}"
            )
        return problem(
            "service",
            f"{holder} holds this folder and does not answer: it starts, is a rebuild, or hangs",
            "ask again in a minute; if it stays so, look into its log, stop it and start it again",
        )
    since = took(max(found.now - status.started_at, 0) / SECOND)
    says = f"process {status.pid}, hooklab {status.version}, for {since}"
    if not status.ready:
        return problem(
            "service",
            f"{says}: it answers 503, because {status.problem or 'it is not ready'}",
            "see the lines below; hooklab takes up again by itself once the cause is gone",
        )
    if status.version != __version__:
        return warning(
            "service",
            f"{says}, but this is hooklab {__version__}",
            "stop hooklab and start it again with one version",
        )
    return ok("service", f"{says}; ready")


def judge_door(found: Door, runs: Runs) -> Iterator[Finding]:
    """`listener` and, where the token is heard by others, `exposure`."""
    if runs.status is None:
        if runs.holder is None and found.failed is not None:
            yield warning(
                "listener",
                f"hooklab could not listen on {found.address}: {found.failed.lower()}",
                "stop what uses that address, or choose another with --bind HOST:PORT",
            )
        return
    if found.answered is None:
        yield problem(
            "listener",
            f"{found.address} cannot be reached from this machine: {found.failed}",
            "look into hooklab's log and this machine's firewall; stop hooklab and start it again",
        )
    elif found.answered == 100:
        yield ok("listener", f"{found.address} takes batches")
    else:
        yield _judge_answer(found, runs.status)
    yield from _judge_exposure(found)


def _judge_answer(found: Door, status: ServiceStatus) -> Finding:
    says = f"{found.address} answers {found.answered} to an offered batch"
    if found.answered == 503:
        return problem("listener", says, "see the line about the service")
    if found.answered == 404:
        return problem(
            "listener",
            f"{says}: another program, or a hooklab on another folder, listens there",
            f"stop it; or start hooklab (process {status.pid}) with another --bind HOST:PORT",
        )
    return problem("listener", says, "look whether another program listens there, and into hooklab's log")


def _judge_exposure(found: Door) -> Iterator[Finding]:
    try:
        host = split_bind(found.address)[0]
    except SettingsError:
        return
    public = urlsplit(found.hook_url)
    tls = "put a proxy with TLS in front (Caddy, nginx) and set --public-url https://…"
    if public.scheme == "http" and found.hook_url != found.local_url and not _is_own(public.hostname or ""):
        yield warning("exposure", "the public URL begins with http://: whoever is on the way can read the token", tls)
    elif public.scheme == "http" and not _is_own(host):
        yield warning(
            "exposure",
            f"it listens on {found.address} without TLS: whoever is on the way can read the token",
            f"{tls}; listen on 127.0.0.1 if the proxy is on this machine",
        )


def _is_own(host: str) -> bool:
    """Whether a host is this machine to itself."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def judge_token(found: Token) -> Finding:
    """`token`."""
    if found.state == "missing":
        return warning("token", f"{found.path} is not there", "hooklab makes one, and a new hook URL, when it starts")
    if found.state not in {"kept", "set"}:
        return problem("token", found.state, "the hook URL is the same again only with the same token")
    says = f"{many(found.length, 'character')} {found.where}"
    if found.exposed:
        return problem("token", f"{says}, which others may read", f"chmod 600 {shlex.quote(found.path)}")
    if found.running is False:
        return warning(
            "token",
            f"{says}, but the running hooklab has another: its hook URL changes when it is started again",
            "give --token or --token-file always or never, and look whether the provider has the right URL",
        )
    if found.length < SHORT_TOKEN or found.bits < _GUESSABLE_BITS:
        short = "short" if found.length < SHORT_TOKEN else "easy to guess"
        return warning(
            "token",
            f"{says}: it is {short}, and whoever guesses it can post",
            "start hooklab without it: then it makes a long one, and with it a new hook URL",
        )
    return ok("token", f"{says}{', the same as the running one' if found.running else ''}")


def judge_writers(found: Writers, status: ServiceStatus | None) -> Iterator[Finding]:
    """`writers`: whether a service that runs writes these files, and it alone."""
    if status is None:
        return
    for name, pids in found.by_file.items():
        if status.pid not in pids | found.hidden:
            yield problem(
                "writers",
                f"hooklab writes another {name} than the one in the folder, which was put there while it runs",
                "stop hooklab before files are replaced. What came since is in a file without a name, which goes when"
                f" hooklab stops: copy it, with its -wal, out of /proc/{status.pid}/fd",
            )
    others = sorted((pid, name) for name, pids in found.by_file.items() for pid in pids - {status.pid})
    if others:
        names = listed(f"process {pid} ({command_of(pid)}) {name}" for pid, name in others)
        yield warning(
            "writers",
            f"opened for writing beside hooklab: {names}",
            "let nothing else write or checkpoint these files, or they may be damaged; to read: sqlite3 -readonly",
        )
