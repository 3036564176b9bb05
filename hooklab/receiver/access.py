"""Who may post where: the token in the path or as a password, the allow-list, and the label behind it."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from hooklab.metrics import UNKNOWN_PATH, WRONG_ADDRESS, WRONG_TOKEN
from hooklab.networks import Networks, client_of
from hooklab.tokens import Token

_LABEL: Final = re.compile(rb"[a-z0-9_-]{1,64}")
_PREFIX: Final = b"/hooks/"
_BARE: Final = b"/hooks"
_LONGEST_PASSWORD: Final = 4096

Fields = Sequence[tuple[bytes, bytes]]


class Key:
    """A token at the door, and how often it was used since the start."""

    def __init__(self, token: Token) -> None:
        """Nobody has used it yet."""
        self.token = token
        self.secret = token.secret.encode()
        self.uses = 0
        self.last_used: int | None = None
        """Microseconds UTC."""

    def used(self, now: int) -> None:
        """Counts a batch that came with it and was taken."""
        self.uses += 1
        self.last_used = now


class Entry(Struct, frozen=True):
    """What the door says of one request."""

    client: str
    """Who asks, behind named proxies too; empty where that is not known."""
    key: Key | None
    """The token that it came with; None: it is turned away."""
    label: str | None = None
    why: str = ""
    """For which of the reasons it is turned away."""


class Door:
    """Judges who may post: ``/hooks/TOKEN`` and ``/hooks/TOKEN/LABEL``, or with the token as HTTP Basic password
    ``/hooks`` and ``/hooks/LABEL``.
    """

    def __init__(
        self, tokens: Sequence[Token], allow: Networks | None = None, proxies: Networks | None = None
    ) -> None:
        """Opens for `tokens`.

        Args:
            tokens: One or more.
            allow: Who may post at all; None or empty lets everybody try.
            proxies: Whose ``X-Forwarded-For`` is believed.
        """
        self.allow = allow or Networks([])
        self.proxies = proxies or Networks([])
        self.keys: list[Key] = []
        self.change_tokens(tokens)

    def change_tokens(self, tokens: Sequence[Token]) -> None:
        """Opens for others from now on; those that stay keep their counts."""
        if not tokens:
            raise ValueError("a door without a token lets nobody in, or everybody")
        known = {key.token: key for key in self.keys}
        self.keys = [known.get(token) or Key(token) for token in tokens]

    def judge(self, raw_path: bytes, peer: str, fields: Fields) -> Entry:
        """Whether a request may come in.

        Paths and secrets are compared as bytes, undecoded and not normalised, so that there is one spelling of them;
        and in a time that does not tell how much of a secret was right.
        """
        client: str | None = peer
        if self.proxies:
            forwarded = [value for name, value in fields if name == b"x-forwarded-for"]
            client = client_of(peer, forwarded, self.proxies)
        if client is None or (self.allow and client not in self.allow):
            return Entry(client or peer, None, None, WRONG_ADDRESS)
        if raw_path.startswith(_PREFIX):
            secret, slash, label = raw_path[len(_PREFIX) :].partition(b"/")
            key = self._key(secret)
            if key is not None and (not slash or _LABEL.fullmatch(label)):
                return Entry(client, key, label.decode() if slash else None)
            if not slash and _LABEL.fullmatch(secret):
                return self._by_password(client, secret, fields)
        elif raw_path == _BARE:
            return self._by_password(client, None, fields)
        return Entry(client, None, None, WRONG_TOKEN if raw_path.startswith(_BARE) else UNKNOWN_PATH)

    def _by_password(self, client: str, label: bytes | None, fields: Fields) -> Entry:
        password = _password_of(fields)
        key = None if password is None else self._key(password)
        if key is None:
            return Entry(client, None, None, WRONG_TOKEN)
        return Entry(client, key, None if label is None else label.decode())

    def _key(self, secret: bytes) -> Key | None:
        """The key of a secret; all are compared, whichever is right."""
        found = None
        for key in self.keys:
            if hmac.compare_digest(secret, key.secret):
                found = key
        return found


def _password_of(fields: Fields) -> bytes | None:
    """The password of HTTP Basic authentication (RFC 7617), whoever the user is said to be.

    None where there is none; several such fields are none either.
    """
    given = [value for name, value in fields if name == b"authorization"]
    if len(given) != 1 or len(given[0]) > _LONGEST_PASSWORD:
        return None
    scheme, _, coded = given[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(coded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    del user
    return password if colon else None
