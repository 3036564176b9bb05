"""`snippet`."""

import argparse
import asyncio
import sys
from urllib.parse import urlsplit

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError
from hooklab.config import Settings
from hooklab.files import Folder, read_token
from hooklab.service import ServiceError, hook_url, token_of
from hooklab.snippets import sms_webhooks
from hooklab.text import clean


def snippet(given: argparse.Namespace, settings: Settings) -> int:
    """The `smsWebhooks` JSON with this data folder's hook URL."""
    base = given.base_url
    if base is not None:
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise CommandError(f"--base-url {clean(base, 200)!r} is not like https://hooks.example.com")
    url = present_hook_url(settings, base)
    if urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}:
        print("hooklab: Arpoone cannot reach this address: see --base-url", file=sys.stderr)
    print(sms_webhooks(url))
    return 0


def present_hook_url(settings: Settings, base_url: str | None = None) -> str:
    """The hook URL: the running service's, else the one that it would have; at `base_url` if that is given.

    Raises:
        FolderError, CommandError: the token can neither be read nor made.
    """
    folder = Folder(settings.data_dir)
    running = asyncio.run(ask_service(folder))
    if running is not None:
        if base_url is None:
            return running.hook_url
        return f"{base_url.rstrip('/')}/hooks/{running.hook_url.rpartition('/')[2]}"
    token = settings.token or read_token(settings.token_file or folder.token)
    if token is None:  # before the first start: what is made now is what that start will have
        folder.prepare()
        try:
            token = token_of(settings, folder)
        except ServiceError as error:
            raise CommandError(str(error)) from error
    if base_url is not None:
        return f"{base_url.rstrip('/')}/hooks/{token}"
    return hook_url(settings, token, settings.host_and_port())
