"""Who comes in, while the service runs: tokens, allow-list, proxies and certificate, and their change."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from hooklab.config import Settings
from hooklab.files import Folder, FolderError
from hooklab.metrics import TokenUse
from hooklab.networks import Networks
from hooklab.receiver.access import Door
from hooklab.receiver.connections import ConnectionLimits, Connections
from hooklab.times import SECOND, Clock
from hooklab.tls import Certificate
from hooklab.tokens import SHORT, Token, TokenError, keep_tokens, read_tokens, tokens_in_force, with_new, without

log = logging.getLogger("hooklab.door")

_LOOK_SECONDS: Final = 60.0
"""Between two looks whether the certificate was renewed."""
_MOST: Final = 4096
_OTHER_FILES: Final = 64
"""Open files that are no connections: databases, the log, the loop's own."""


class Doorkeeper:
    """Holds the keys. What it changes takes effect with the next request, or connection."""

    def __init__(self, settings: Settings, folder: Folder, clock: Clock, open_files: int) -> None:
        """Reads, or makes, the tokens, and reads the certificate.

        Args:
            settings: Those in force.
            folder: Has the token file, unless the settings name another.
            clock: Says when a token was made.
            open_files: That this process may have.

        Raises:
            FolderError: a file cannot be read or used.
        """
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self.certificate = _certificate(settings)
        self.door = Door(
            tokens_in_force(settings, folder, make=True), Networks(settings.allow), Networks(settings.trusted_proxies)
        )
        limits = ConnectionLimits(_most(settings, open_files), settings.max_connections_per_peer)
        self.connections = Connections(limits, self.door.proxies)
        self._changing = asyncio.Lock()
        self._say_short()

    @property
    def shown(self) -> str:
        """The secret that is shown, and to be pasted: the newest."""
        return self.door.keys[-1].token.secret

    def uses(self) -> list[TokenUse]:
        """How each token was used."""
        return [TokenUse(name=key.token.name, uses=key.uses, last_used=key.last_used) for key in self.door.keys]

    async def new_token(self, name: str | None) -> Token:
        """Makes one more and keeps it.

        Raises:
            TokenError: it cannot be made.
            FolderError: it cannot be kept.
        """
        today = datetime.fromtimestamp(self._clock() // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        tokens = await self._change(lambda tokens: with_new(tokens, name, today))
        return tokens[-1]

    async def revoke(self, name: str) -> None:
        """Takes one away: who comes with it is turned away from now on.

        Raises:
            TokenError: there is none of that name, or it is the only one.
            FolderError: the file cannot be written.
        """
        await self._change(lambda tokens: without(tokens, name))

    async def _change(self, change: Callable[[list[Token]], list[Token]]) -> list[Token]:
        if self._settings.token is not None:
            raise TokenError(
                "the service was started with a token of its own (--token, HOOKLAB_TOKEN, a settings file)"
            )
        path = self._settings.token_file or self._folder.token
        async with self._changing:
            # What stands in the file counts: somebody may have written there by hand.
            kept = await asyncio.to_thread(read_tokens, path)
            tokens = change(kept or [])
            await asyncio.to_thread(keep_tokens, path, tokens)
            self.door.change_tokens(tokens)
            return tokens

    async def reload(self, settings: Settings) -> list[str]:
        """Takes over networks, limits, tokens and certificate; says in a line each what the files changed.

        What cannot be used stays as it was, and is said too.
        """
        self._settings = settings
        self.door.allow, self.door.proxies = Networks(settings.allow), Networks(settings.trusted_proxies)
        limits = ConnectionLimits(self.connections.limits.most, settings.max_connections_per_peer)
        self.connections.change(limits, self.door.proxies)
        return [*await self._reload_tokens(), *await self._reload_certificate()]

    async def _reload_tokens(self) -> list[str]:
        try:
            tokens = await asyncio.to_thread(tokens_in_force, self._settings, self._folder)
        except FolderError as error:
            return [f"the tokens stay as they were: {error}"]
        if not tokens:
            return [
                "the tokens stay as they were: their file is gone; restore it, or restart hooklab to have one made"
            ]
        if tokens == [key.token for key in self.door.keys]:
            return []
        self.door.change_tokens(tokens)
        self._say_short()
        return [f"the tokens are now: {', '.join(one.name for one in tokens)}"]

    async def _reload_certificate(self) -> list[str]:
        if self.certificate is None:
            return []
        try:
            renewed = await asyncio.to_thread(self._read_certificate)
        except FolderError as error:
            return [f"the certificate stays as it was: {error}"]
        return ["the certificate was read again"] if renewed else []

    def _read_certificate(self) -> bool:
        assert self.certificate is not None
        if not self.certificate.is_renewed():
            return False
        self.certificate.read_again()
        return True

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Looks now and then whether the certificate was renewed, and takes the new one."""
        while self.certificate is not None:
            await sleep(_LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self._read_certificate):
                    log.info("the certificate was renewed and read again")
            except FolderError as error:
                log.error("the renewed certificate is not taken: %s", error)  # noqa: TRY400  no fault of ours

    def _say_short(self) -> None:
        for key in self.door.keys:
            if len(key.secret) < SHORT:
                log.warning(
                    "the token is short: whoever guesses it can post; %d characters or more are wise (the token %r)",
                    SHORT,
                    key.token.name,
                )


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_certificate is None:
        if settings.tls_key is not None:
            raise FolderError("tls_key is of no use without tls_certificate: set both, or neither")
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


def _most(settings: Settings, open_files: int) -> int:
    """Connections; more than there are descriptors for would shut everybody out, commands too."""
    possible = max(open_files - _OTHER_FILES, 8)
    wanted = settings.max_connections or min(_MOST, possible)
    if wanted > possible:
        log.warning(
            "max_connections is %d, but %d files may be open: at most %d connections (ulimit -n; LimitNOFILE=)",
            wanted,
            open_files,
            possible,
        )
    return min(wanted, possible)
