"""The tokens of the hook URL: each has a name, so that one can be changed while the other still works.

They are lines of a small file: the secret, its name, when it was made. A file of before holds one secret and nothing
else. The last line is the one that is shown, and to be pasted.
"""

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from hooklab.config import Settings
from hooklab.files import Folder, FolderError, fsync, touch_private

SHORT: Final = 16
"""Characters below which a token is easy to guess."""
MOST: Final = 16
"""Each request is compared with all of them."""
FIRST: Final = "first"
"""The name of the one that is made at the first start, and of one without a name."""
SET: Final = "set"
"""The name of the one that the settings give."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,512}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MADE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LARGEST: Final = 64 * 1024


class Token(Struct, frozen=True, kw_only=True):
    """One secret that opens the door."""

    secret: str
    name: str = FIRST
    made: str | None = None
    """ISO 8601, UTC; None where the file does not say."""


class TokenError(ValueError):
    """A token or a name cannot be used; the text says why, and never the secret."""


def check_secret(secret: str) -> str:
    """The secret, if it can stand in a URL as it is.

    Raises:
        TokenError: it cannot.
    """
    if not _SECRET.fullmatch(secret):
        raise TokenError("a token is made of A-Z a-z 0-9 _ - and nothing else, 512 at most")
    return secret


def parse_tokens(text: str) -> list[Token]:
    """The tokens of a file; empty lines and those that begin with # mean nothing.

    Raises:
        TokenError: a line is none, or says what another says.
    """
    found: list[Token] = []
    for number, one in enumerate(text.splitlines(), 1):
        words = one.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            found.append(_token_of(words))
        except TokenError as error:
            raise TokenError(f"line {number}: {error}") from error
        if len({one.name for one in found}) < len(found) or len({one.secret for one in found}) < len(found):
            raise TokenError(f"line {number}: it has the secret or the name of a line before")
    if len(found) > MOST:
        raise TokenError(f"it holds more than {MOST} tokens")
    return found


def _token_of(words: Sequence[str]) -> Token:
    if len(words) > 3 or (len(words) == 3 and not _MADE.fullmatch(words[2])):
        raise TokenError("a line is a secret, its name, and when it was made")
    name = words[1] if len(words) > 1 else FIRST
    return Token(secret=check_secret(words[0]), name=_check_name(name), made=words[2] if len(words) > 2 else None)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise TokenError("a token's name is made of a-z 0-9 _ -, 32 at most, such as arpoone-2")
    return name


def with_new(tokens: Sequence[Token], name: str | None, today: str) -> list[Token]:
    """`tokens` and a new one behind them.

    Args:
        tokens: Those that there are.
        name: Of the new one; None takes the first number that is free.
        today: When that is, ISO 8601.

    Raises:
        TokenError: the name cannot be used, or there are too many.
    """
    names = {one.name for one in tokens}
    if name is None:
        name = next(str(number) for number in range(2, MOST + 3) if str(number) not in names)
    if _check_name(name) in names:
        raise TokenError(f"there is a token called {name} already: choose another name, or revoke that one first")
    if len(tokens) >= MOST:
        raise TokenError(f"there are {MOST} tokens already: revoke one first")
    return [*tokens, Token(secret=secrets.token_urlsafe(24), name=name, made=today)]


def without(tokens: Sequence[Token], name: str) -> list[Token]:
    """`tokens` but for the one of that name.

    Raises:
        TokenError: there is none, or it is the last.
    """
    left = [one for one in tokens if one.name != name]
    if len(left) == len(tokens):
        known = ", ".join(one.name for one in tokens)
        raise TokenError(f"there is no token of that name; there is: {known}")
    if not left:
        raise TokenError("it is the only one, and nothing could be received without: make another first")
    return left


def read_tokens(path: Path) -> list[Token] | None:
    """The tokens kept in `path`; None where there is no such file.

    Raises:
        FolderError: it cannot be read, or holds none, or something else.
    """
    restore = "restore it, or delete it to get a new hook URL"
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode("ascii")
        tokens = parse_tokens(text) if len(text) <= _LARGEST else []
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FolderError(f"the token file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FolderError(f"the token file {path} holds no token (A-Z a-z 0-9 _ -); {restore}") from error
    except TokenError as error:
        raise FolderError(f"the token file {path} holds no token that can be used: {error}; {restore}") from error
    if not tokens:
        raise FolderError(f"the token file {path} holds no token (A-Z a-z 0-9 _ -); {restore}")
    return tokens


def read_or_make_tokens(path: Path) -> list[Token]:
    """The tokens kept in `path`; where there is no such file, one is made and kept there, mode 0600.

    Raises:
        FolderError: it cannot be read or written.
    """
    kept = read_tokens(path)
    if kept is None:
        kept = [Token(secret=secrets.token_urlsafe(24))]
        keep_tokens(path, kept)
    return kept


def keep_tokens(path: Path, tokens: Sequence[Token]) -> None:
    """Writes the file anew; whoever reads it meanwhile sees the old or the new.

    Raises:
        FolderError: it cannot be written.
    """
    aside = path.with_name(path.name + ".new")
    try:
        touch_private(aside)
        with aside.open("w", encoding="ascii") as file:
            file.writelines(_lines(tokens))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        fsync(path.parent)
    except OSError as error:
        raise FolderError(f"the token cannot be kept in {path}: {error.strerror}") from error


def _lines(tokens: Sequence[Token]) -> list[str]:
    """The first one alone is written as ever: a bare secret, which an older hooklab reads too."""
    if [one.name for one in tokens] == [FIRST]:
        return [f"{tokens[0].secret}\n"]
    return [" ".join([one.secret, one.name, *([one.made] if one.made else [])]) + "\n" for one in tokens]


def tokens_in_force(settings: Settings, folder: Folder, *, make: bool = False) -> list[Token]:
    """The token that the settings give, else those of the token file.

    Args:
        settings: May name a token, or a file.
        folder: Has a file of its own.
        make: The folder's own file, if it is not there. Without it there may be none.

    Raises:
        FolderError: they cannot be read, made or used; the text says what to do.
    """
    if settings.token is not None:
        try:
            return [Token(secret=check_secret(settings.token), name=SET)]
        except TokenError as error:
            raise FolderError(f"token: {error}") from error
    if settings.token_file is None:
        return read_or_make_tokens(folder.token) if make else read_tokens(folder.token) or []
    kept = read_tokens(settings.token_file)
    if kept is None and make:
        raise FolderError(f"the token file {settings.token_file} is not there; only the data folder's own is made")
    return kept or []


def hook_url(settings: Settings, secret: str, address: tuple[str, int]) -> str:
    """The hook URL as the provider sees it, as far as the settings say; `address` is where hooklab listens."""
    if settings.public_url is not None:
        return f"{settings.public_url.rstrip('/')}/hooks/{secret}"
    return local_url(settings, secret, address)


def local_url(settings: Settings, secret: str, address: tuple[str, int]) -> str:
    """The hook URL as it is on this machine."""
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)  # noqa: S104  only looked at
    return f"http{'' if settings.tls_certificate is None else 's'}://{written(host, port)}/hooks/{secret}"


def written(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"
