"""The secret in the hook URL: where it is kept, and whether it is one. It is never in a finding."""

import shlex
from math import log2
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from hooklab.config import Settings
from hooklab.files import Folder, FolderError
from hooklab.health.base import Finding, many, ok, problem, warning
from hooklab.metrics import ServiceStatus
from hooklab.tokens import SHORT as SHORT_TOKEN
from hooklab.tokens import tokens_in_force

_GUESSABLE_BITS: Final = 48
_OTHERS: Final = 0o077
_OTHERS_ENTER: Final = 0o011


class Token(Struct, frozen=True, kw_only=True):
    """The secret in the hook URL, without itself."""

    where: str
    """Such as `in the file …`."""
    state: str
    """kept, set, missing, or why it cannot be used."""
    number: int = 0
    """Of tokens that are kept."""
    length: int = 0
    bits: float = 0.0
    """Of the weakest, the running service's among them."""
    exposed: bool = False
    """Others may read the file."""
    path: str = ""
    running: bool | None = None
    """Whether the running service has the one that is kept; None where none runs."""


def look_at_token(settings: Settings, folder: Folder, status: ServiceStatus | None) -> Token:
    """The facts; the token itself is in none of them."""
    kept: list[str] = []
    where, path = "from the settings", ""
    state, exposed = "set", False
    if settings.token is None:
        file = settings.token_file or folder.token
        where, path = f"in {file}", str(file)
    try:
        kept = [one.secret for one in tokens_in_force(settings, folder)]
        if path:
            state = "kept" if kept else "missing"
            exposed = bool(kept) and _is_exposed(Path(path))
    except (FolderError, OSError) as error:
        state = str(error)
    running = None if status is None else urlsplit(status.hook_url).path.rpartition("/")[2]
    weakest = min([*kept, *([running] if running else [])], key=bits_of, default="")
    return Token(
        where=where,
        state=state,
        number=len(kept),
        length=len(weakest),
        bits=bits_of(weakest),
        exposed=exposed,
        path=path,
        running=None if running is None else running in kept[-1:],
    )


def _is_exposed(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & _OTHERS and file.parent.stat().st_mode & _OTHERS_ENTER)
    except OSError:
        return False


def bits_of(token: str) -> float:
    """How hard to guess a token looks, by how evenly its characters are used; an upper bound."""
    counts = [token.count(one) for one in set(token)]
    return sum(count * log2(len(token) / count) for count in counts)


def judge_token(found: Token) -> Finding:
    """`token`."""
    if found.state not in {"kept", "set", "missing"}:
        return problem("token", found.state, "the hook URL is the same again only with the same token")
    if found.state == "missing" and found.running is None:
        return warning("token", f"{found.path} is not there", "hooklab makes one, and a new hook URL, when it starts")
    says = f"{many(found.length, 'character')} {found.where}"
    if found.number > 1:
        says = f"{found.number} tokens, {many(found.length, 'character')} the weakest, {found.where}"
    if found.state == "missing":
        says = f"{many(found.length, 'character')}, given to the running hooklab and not kept in the folder"
    elif found.exposed:
        return problem("token", f"{says}, which others may read", f"chmod 600 {shlex.quote(found.path)}")
    elif found.running is False:
        return warning(
            "token",
            f"the running hooklab has another than the one {found.where}: its hook URL may change when it is started"
            " again",
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
