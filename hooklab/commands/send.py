"""`send`."""

import argparse
import asyncio
import http.client
from pathlib import Path
from urllib.parse import urlsplit

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError, print_line
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.text import clean

_TIMEOUT = 15.0


def send(given: argparse.Namespace, settings: Settings) -> int:
    """POSTs files as they are; 0 if every answer was 200."""
    bodies = [(path, _read(path)) for path in given.files]
    url = given.url or running_url(settings)
    answers = [_send_one(url, path, body) for path, body in bodies]
    return 0 if all(answers) else 1


def running_url(settings: Settings) -> str:
    """The hook URL of the service that runs on the data folder, by its address on this machine."""
    folder = Folder(settings.data_dir)
    running = asyncio.run(ask_service(folder))
    if running is None:
        folder.require()
        raise CommandError(f"no hooklab runs on {folder.path}; start it, or say where to with --url")
    return running.local_url


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def _send_one(url: str, path: Path, body: bytes) -> bool:
    try:
        status, text = post(url, body)
    except (OSError, http.client.HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise CommandError(f"{path}: no answer from {place(url)}: {why or type(error).__name__}") from error
    print_line(f"{path}: {status}" + (f" {clean(text, 200)}" if text else ""))
    return status == 200


def post(url: str, body: bytes) -> tuple[int, str]:
    """POSTs `body` as JSON and gives the answer's code and text.

    Raises:
        CommandError: `url` is not an http or https URL.
        OSError, http.client.HTTPException: there was no answer.
    """
    connection, target = connection_to(url)
    connection.timeout = _TIMEOUT
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json", "User-Agent": "hooklab-send"})
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace").strip()
    finally:
        connection.close()


def connection_to(url: str) -> tuple[http.client.HTTPConnection, str]:
    """A connection to a URL's host, which opens itself when it is used, and the target to ask it for.

    Raises:
        CommandError: `url` is not an http or https URL.
    """
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        parts = urlsplit(url)
        kind, host, port = kinds[parts.scheme], parts.hostname, parts.port
    except (KeyError, ValueError):
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        # Not quoted: it may hold the token, or a password.
        raise CommandError("the URL does not begin with http://HOST or https://HOST, or is not percent-encoded")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise CommandError(f"{place(url)} has a host that is no name") from error
    return kind(host, port), (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def place(url: str) -> str:
    """Where a URL points, without its token and whatever else it may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{clean(parts.netloc.rpartition('@')[2], 100)}"
