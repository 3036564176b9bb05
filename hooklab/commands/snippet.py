"""`snippet`."""

import argparse
import asyncio

from hooklab.commands.common import CommandError
from hooklab.config import Settings
from hooklab.files import Folder
from hooklab.monitor import ask_service
from hooklab.service import ServiceError, hook_url, token_of
from hooklab.snippets import sms_webhooks


def snippet(given: argparse.Namespace, settings: Settings) -> int:
    """The `smsWebhooks` JSON with this data folder's hook URL."""
    base = given.base_url
    if base is not None and not base.startswith(("https://", "http://")):
        raise CommandError(f"--base-url {base!r} does not begin with https:// or http://")
    print(sms_webhooks(present_hook_url(settings, base)))
    return 0


def present_hook_url(settings: Settings, base_url: str | None = None) -> str:
    """The hook URL: the running service's, else the one that it would have; at `base_url` if that is given."""
    folder = Folder(settings.data_dir)
    running = asyncio.run(ask_service(folder))
    if running is not None:
        if base_url is None:
            return running.hook_url
        return f"{base_url.rstrip('/')}/hooks/{running.hook_url.rpartition('/')[2]}"
    folder.prepare()
    try:
        token = token_of(settings, folder)
    except ServiceError as error:
        raise CommandError(str(error)) from error
    if base_url is not None:
        return f"{base_url.rstrip('/')}/hooks/{token}"
    return hook_url(settings, token, settings.host_and_port())
