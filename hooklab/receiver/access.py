"""Who may post where: the token in the path, and the label behind it."""

import hmac
import re
from typing import Final

_LABEL: Final = re.compile(rb"[a-z0-9_-]{1,64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX: Final = b"/hooks/"


class Hook:
    """The one hook URL: ``/hooks/TOKEN`` and ``/hooks/TOKEN/LABEL``."""

    def __init__(self, token: str) -> None:
        """Takes the secret.

        Raises:
            ValueError: it has other characters than A-Z a-z 0-9 _ -.
        """
        if not _TOKEN.fullmatch(token):
            raise ValueError("a token is made of A-Z a-z 0-9 _ - and nothing else")
        self._token = token.encode()

    def match(self, raw_path: bytes) -> tuple[bool, str | None]:
        """Whether a path as sent is this hook's, and the label it carries.

        The path is compared as bytes, undecoded and not normalised, so that there is one spelling of it.
        """
        if not raw_path.startswith(_PREFIX):
            return False, None
        token, slash, label = raw_path[len(_PREFIX) :].partition(b"/")
        right = hmac.compare_digest(token, self._token)
        if slash and not _LABEL.fullmatch(label):
            return False, None
        return right, label.decode() if slash else None
