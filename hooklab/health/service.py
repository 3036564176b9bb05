"""The service: does it run and answer, and may others hear its token."""

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from hooklab import __version__
from hooklab.config import Settings, SettingsError, split_bind
from hooklab.findings import took
from hooklab.health.base import Finding, many, ok, problem, warning
from hooklab.health.folder import name_of
from hooklab.metrics import WRONG_ADDRESS, ServiceStatus
from hooklab.times import SECOND

_TIMEOUT: Final = 3.0


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


def look_at_door(runs: Runs, settings: Settings) -> Door:
    """Knocks where the service listens, or looks whether one could listen where the settings say."""
    if runs.status is None:
        return Door(address=settings.bind, failed=_why_not_to_bind(settings) if runs.holder is None else None)
    status = runs.status
    parts = urlsplit(status.local_url or status.hook_url)
    code, why = None, None
    try:
        code = _knock(parts.hostname or "", parts.port or 80, parts.path, tls=parts.scheme == "https")
    except (OSError, ValueError) as error:
        why = "it does not answer in time" if isinstance(error, TimeoutError) else str(error)
    return Door(
        address=status.listens_on or parts.netloc,
        answered=code,
        failed=why,
        hook_url=status.hook_url,
        local_url=status.local_url,
    )


def _knock(host: str, port: int, path: str, *, tls: bool) -> int:
    """Offers a body and takes the offer back once the receiver wants it (100): it judged the token, and counts
    nothing, neither a batch nor a refusal.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((host, port), timeout=_TIMEOUT) as plain, _wrapped(plain, tls=tls) as connection:
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


def _wrapped(plain: socket.socket, *, tls: bool) -> socket.socket:
    """With TLS where it is spoken. Whose certificate it is says nothing here: it is in the public name."""
    if not tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


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
    allow = runs.status.allow
    if found.answered is None:
        yield problem(
            "listener",
            f"{found.address} cannot be reached from this machine: {found.failed}",
            "look into hooklab's log and this machine's firewall; stop hooklab and start it again",
        )
    elif found.answered == 100:
        yield ok("listener", f"{found.address} takes batches")
    elif found.answered == 404 and allow:
        yield ok(
            "listener",
            f"{found.address} turns this machine away: `allow` lets {', '.join(allow)} in, and what"
            " those are answered cannot be tried from here",
        )
    else:
        yield _judge_answer(found, runs.status)
    yield from _judge_exposure(found)
    yield from _judge_strangers(runs.status, runs.now)


def _judge_strangers(status: ServiceStatus, now: int) -> Iterator[Finding]:
    """Says who was turned away lately; that is what a door is for."""
    if status.turned_away:
        said = [
            f"{one.address} ({one.why}, {many(one.count, 'time')}, {took(max(now - one.last_at, 0) / SECOND)} ago)"
            for one in status.turned_away
        ]
        says = f"turned away: {', '.join(said)}"
        if status.allow and any(one.why == WRONG_ADDRESS for one in status.turned_away):
            yield warning("strangers", says, "if that is the provider, `allow` lacks its network")
        else:
            yield ok("strangers", says)


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
