"""`token new`, `token list`, `token revoke`: one token can be changed while the other still works."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from hooklab.admin_client import NoAnswerError, ask_service, order_service
from hooklab.commands.common import CommandError, clock, confirmed, print_json, print_table
from hooklab.config import Settings
from hooklab.files import Folder, FolderLock
from hooklab.metrics import ServiceStatus
from hooklab.times import SECOND
from hooklab.tokens import Token, TokenError, hook_url, keep_tokens, read_tokens, tokens_in_force, with_new, without

_MASK = "\u2022" * 4


def new(given: argparse.Namespace, settings: Settings) -> int:
    """Makes one more token and prints its hook URL; the others go on working."""
    folder = Folder(settings.data_dir)
    path = "/tokens/new" + (f"/{_checked(given.name)}" if given.name else "")
    said = _ordered(folder, path)
    if said is None:
        folder.require()  # or a token would be made where no service looks
        today = _moment(clock())
        tokens = _changed(settings, folder, lambda tokens: with_new(tokens, given.name, today))
        said = {
            "name": tokens[-1].name,
            "hook_url": hook_url(settings, tokens[-1].secret, settings.host_and_port()),
        }
    if given.json:
        print_json(said)
        return 0
    print(f"hooklab: token {said['name']} made; the others go on working until they are revoked", file=sys.stderr)
    print(said["hook_url"])
    return 0


def revoke(given: argparse.Namespace, settings: Settings) -> int:
    """Takes a token away: who comes with it is turned away from now on."""
    folder, name = Folder(settings.data_dir), _checked(given.name)
    folder.require()
    status = asyncio.run(ask_service(folder))
    used = next((one for one in status.tokens if one.name == name), None) if status is not None else None
    if not given.yes and sys.stdin.isatty():
        last = f" (last used {_moment(used.last_used)})" if used is not None and used.last_used else ""
        if not confirmed(f"Turn away whoever comes with the token {name}{last} from now on?"):
            raise CommandError("nothing was changed")
    if _ordered(folder, f"/tokens/revoke/{name}") is None:
        _changed(settings, folder, lambda tokens: without(tokens, name))
    print(f"hooklab: the token {name} opens nothing any more", file=sys.stderr)
    return 0


def list_tokens(given: argparse.Namespace, settings: Settings) -> int:
    """The tokens, the newest last: its hook URL is the one that is shown."""
    folder = Folder(settings.data_dir)
    folder.require()
    tokens = tokens_in_force(settings, folder)
    if not tokens:
        raise CommandError(f"there is no token in {folder.path}; the next start of hooklab makes one")
    status = asyncio.run(ask_service(folder))
    rows = [_row(one, status, settings, reveal=given.reveal, shown=one is tokens[-1]) for one in tokens]
    if given.json:
        for row in rows:
            print_json(row)
        return 0
    print_table(
        ("NAME", "MADE", "USED SINCE START", "LAST USED", "SHOWN", "HOOK URL"),
        (
            (
                row["name"],
                row["made"] or "-",
                "-" if row["uses"] is None else f"{row['uses']:,}",
                row["last_used"] or "-",
                "yes" if row["shown"] else "",
                row["hook_url"] or _MASK,
            )
            for row in rows
        ),
        right=(2,),
    )
    return 0


def _row(
    token: Token, status: ServiceStatus | None, settings: Settings, *, reveal: bool, shown: bool
) -> dict[str, Any]:
    used = next((one for one in status.tokens if one.name == token.name), None) if status is not None else None
    return {
        "name": token.name,
        "made": token.made,
        "uses": None if used is None else used.uses,
        "last_used": None if used is None or used.last_used is None else _moment(used.last_used),
        "shown": shown,
        "hook_url": _url(token, status, settings) if reveal else None,
    }


def _url(token: Token, status: ServiceStatus | None, settings: Settings) -> str:
    """As the running service shows it, which knows its address better than today's settings."""
    if status is None:
        return hook_url(settings, token.secret, settings.host_and_port())
    return f"{status.hook_url.rpartition('/')[0]}/{token.secret}"


def _checked(name: str) -> str:
    """A name as it may stand in the order's path."""
    try:
        with_new([], name, "")
    except TokenError as error:
        raise CommandError(str(error)) from error
    return name


def _ordered(folder: Folder, path: str) -> dict[str, Any] | None:
    """What the running service says to the order; None where none runs."""
    try:
        answer = order_service(folder, path)
    except NoAnswerError as error:
        raise CommandError(str(error)) from error
    if answer is None:
        return None
    code, said = answer
    if code != 200:
        raise CommandError(str(said.get("problem", f"the service answered {code}")))
    return dict(said)


def _changed(settings: Settings, folder: Folder, change: Callable[[list[Token]], list[Token]]) -> Sequence[Token]:
    """Changes the file while no service runs."""
    if settings.token is not None:
        raise CommandError("the settings give the token (--token, HOOKLAB_TOKEN, a settings file): change it there")
    path = settings.token_file or folder.token
    folder.prepare()
    with FolderLock(folder):
        try:
            tokens = change(read_tokens(path) or [])
        except TokenError as error:
            raise CommandError(str(error)) from error
        keep_tokens(path, tokens)
    return tokens


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
