"""`snippet`."""

import argparse
import asyncio
import sys
from urllib.parse import urlsplit

from hooklab.admin_client import ask_service
from hooklab.commands.common import CommandError
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.snippets import sms_webhooks
from hooklab.tokens import hook_url, tokens_in_force


def snippet(given: argparse.Namespace, settings: Settings) -> int:
    """The `smsWebhooks` JSON with this data folder's hook URL."""
    base = given.base_url
    if base is not None:
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            # Not quoted: it may hold the token, or a password.
            raise CommandError("what --base-url names is not like https://hooks.example.com")
    url = present_hook_url(settings, base)
    if urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}:
        print("hooklab: Arpoone cannot reach this address: see --base-url", file=sys.stderr)
    print(sms_webhooks(url))
    return 0


def present_hook_url(settings: Settings, base_url: str | None = None) -> str:
    """The hook URL: the running service's, else the one that it would have; at `base_url` if that is given.

    Raises:
        FolderError: the token can neither be read nor made.
    """
    folder = Folder(settings.data_dir)
    running = asyncio.run(ask_service(folder))
    if running is not None:
        if base_url is None:
            return running.hook_url
        return f"{base_url.rstrip('/')}/hooks/{running.hook_url.rpartition('/')[2]}"
    tokens = tokens_in_force(settings, folder)
    if not tokens:  # before the first start: what is made now is what that start will have
        folder.prepare()
        if not folder.journal.is_file():
            print(
                f"hooklab: no hooklab has run in {folder.path} yet: this is the token of one that will (else name its"
                " --data-dir)",
                file=sys.stderr,
            )
        tokens = tokens_in_force(settings, folder, make=True)
    if base_url is not None:
        return f"{base_url.rstrip('/')}/hooks/{tokens[-1].secret}"
    return hook_url(settings, tokens[-1].secret, settings.host_and_port())
