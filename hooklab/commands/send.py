"""`send`."""

import argparse
import http.client
from pathlib import Path
from urllib.parse import urlsplit

from hooklab.commands.common import CommandError, print_line
from hooklab.commands.snippet import present_hook_url
from hooklab.config import Settings
from hooklab.text import clean, mask_token

_TIMEOUT = 15.0


def send(given: argparse.Namespace, settings: Settings) -> int:
    """POSTs files as they are; 0 if every answer was 200."""
    bodies = [(path, _read(path)) for path in given.files]
    url = given.url or present_hook_url(settings)
    answers = [_send_one(url, path, body) for path, body in bodies]
    return 0 if all(answers) else 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def _send_one(url: str, path: Path, body: bytes) -> bool:
    try:
        status, text = post(url, body)
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
        raise CommandError(f"{path}: no answer from {mask_token(url)}: {why}; is hooklab running?") from error
    print_line(f"{path}: {status}" + (f" {clean(text, 200)}" if text else ""))
    return status == 200


def post(url: str, body: bytes) -> tuple[int, str]:
    """POSTs `body` as JSON and gives the answer's code and text.

    Raises:
        CommandError: `url` is not an http or https URL.
        OSError, http.client.HTTPException: there was no answer.
    """
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        kind, host, port = kinds[parts.scheme], parts.hostname, parts.port
    except (KeyError, ValueError):
        kind, host, port = http.client.HTTPConnection, None, None
    if not host:
        raise CommandError(f"{mask_token(url)} is not a URL that begins with http:// or https://")
    connection = kind(host, port, timeout=_TIMEOUT)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Content-Type": "application/json", "User-Agent": "hooklab-send"})
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace").strip()
    except UnicodeEncodeError as error:
        raise CommandError("the URL has characters that must be percent-encoded") from error
    finally:
        connection.close()
