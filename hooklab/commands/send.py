"""`send`."""

import argparse
import asyncio
import base64
import http.client
import ssl
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError, print_line
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.text import clean

_TIMEOUT = 15.0


def send(given: argparse.Namespace, settings: Settings) -> int:
    """POSTs files as they are; 0 if every answer was 200."""
    bodies = [(path, _read(path)) for path in given.files]
    hook = hook_of(given.url, settings)
    answers = [_send_one(hook, path, body) for path, body in bodies]
    return 0 if all(answers) else 1


class Hook:
    """A hook URL to post to."""

    def __init__(self, url: str, *, own: bool = False) -> None:
        """Takes it apart.

        Args:
            url: http or https; its user and password go as HTTP Basic authentication.
            own: It came from a service of this machine through its own folder, so that its certificate, which is in
                another name, proves nothing more.

        Raises:
            CommandError: it is no such URL.
        """
        try:
            parts = urlsplit(url)
            host, self._port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or not _is_plain(url):
            # Not quoted: it may hold the token, or a password.
            raise CommandError("the URL does not begin with http://HOST or https://HOST, or is not percent-encoded")
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise CommandError(f"{place(url)} has a host that is no name") from error
        self.place = place(url)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.headers: dict[str, str] = {}
        user, at, _ = parts.netloc.rpartition("@")
        if at:
            self.headers["Authorization"] = f"Basic {base64.b64encode(unquote_to_bytes(user)).decode()}"
        self._host = host
        self._tls = _context(own=own) if parts.scheme == "https" else None

    def connect(self) -> http.client.HTTPConnection:
        """A connection, which opens itself when it is used."""
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=self._tls)


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def _context(*, own: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if own:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def hook_of(url: str | None, settings: Settings) -> Hook:
    """What `--url` names, or else the service that runs on the data folder, by its address on this machine."""
    if url is not None:
        return Hook(url)
    folder = Folder(settings.data_dir)
    running = asyncio.run(ask_service(folder))
    if running is None:
        folder.require()
        raise CommandError(f"no hooklab runs on {folder.path}; start it, or say where to with --url")
    return Hook(running.local_url, own=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def _send_one(hook: Hook, path: Path, body: bytes) -> bool:
    try:
        status, text = post(hook, body)
    except (OSError, http.client.HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise CommandError(f"{path}: no answer from {hook.place}: {why or type(error).__name__}") from error
    print_line(f"{path}: {status}" + (f" {clean(text, 200)}" if text else ""))
    return status == 200


def post(hook: Hook, body: bytes) -> tuple[int, str]:
    """POSTs `body` as JSON and gives the answer's code and text.

    Raises:
        OSError, http.client.HTTPException: there was no answer.
    """
    connection = hook.connect()
    headers = {"Content-Type": "application/json", "User-Agent": "hooklab-send", **hook.headers}
    try:
        connection.request("POST", hook.target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace").strip()
    finally:
        connection.close()


def place(url: str) -> str:
    """Where a URL points, without its token and whatever else it may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{clean(parts.netloc.rpartition('@')[2], 100)}"
