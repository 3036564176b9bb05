"""New settings for a service that runs: read again when asked, and handed to all that can take them over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hooklab.config import Loaded, Settings, SettingsError
from hooklab.layered.changes import changes

log = logging.getLogger("hooklab.reload")

Taker = Callable[[Settings], Awaitable[list[str]]]
"""Takes over what concerns it of the settings in force from now on, and says what else is to be told, if anything.

It is called at every reload: what it depends on may be a file that changed while its name did not.
"""


class Reloading:
    """What a running service takes over."""

    def __init__(self, settings: Settings) -> None:
        """The settings with which it started."""
        self.settings = settings
        self._takers: list[Taker] = []

    def add(self, taker: Taker) -> None:
        """From now on `taker` is called at a reload; one that fails keeps the others from nothing."""
        self._takers.append(taker)

    async def take(self, settings: Settings) -> list[str]:
        """Takes over what can be of `settings`; gives a line for each change, also for what needs a restart."""
        found = changes(self.settings, settings)
        self.settings = found.settings
        lines = found.lines()
        for taker in self._takers:
            try:
                lines += await taker(self.settings)
            except Exception as error:  # whatever it is, the service goes on
                log.exception("not everything could be taken over")
                lines.append(f"not everything could be taken over: {type(error).__name__}; restart hooklab")
        return lines


class Rereading:
    """Reads the settings again when asked, one reading after the other."""

    def __init__(self, load: Callable[[], Loaded[Settings]]) -> None:
        """`load` reads what was read at the start: the same file, environment and options."""
        self._load = load
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Has them read, once the service is there; on its loop."""
        self._asked.set()

    async def run(self, reload: Callable[[Settings], Awaitable[list[str]]]) -> None:
        """Hands on what is read, and logs what became of it, until it is cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                # The file may be on a disk that stalls.
                loaded = await asyncio.to_thread(self._load)
                for line in await reload(loaded.settings):
                    log.info("%s", line)
            except SettingsError as error:
                log.error("nothing is reloaded: %s", error)  # noqa: TRY400  the reason says it all
            except Exception:
                log.exception("nothing is reloaded")
