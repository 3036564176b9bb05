"""Since when something needs a look, as far as an index tells it at once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from hooklab.metrics import Signs
from hooklab.rules import INDEX_BITS
from hooklab.store.compact import NEW_AT
from hooklab.store.measure import lasting_silence
from hooklab.times import MINUTE

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]

_QUIET: Final = 10 * MINUTE
"""Only after so long is it reckoned whether it is quieter than usual."""
_SIGNS: Final = f"""
SELECT (SELECT value FROM settings WHERE name = 'search'),
       (SELECT max(minute) * {MINUTE} FROM minutes WHERE batches > 0),
       (SELECT min({NEW_AT}) FROM messages WHERE rank < 0),
       (SELECT received_at FROM batches WHERE sequence = (SELECT max(id) >> {INDEX_BITS} FROM quarantine)),
       (SELECT {NEW_AT} FROM messages WHERE seen & 6 = 6 ORDER BY last_arrival DESC LIMIT 1)
"""


class SignReader:
    """Reads them; what is usual it reckons once a minute at most."""

    def __init__(self) -> None:
        self._reckoned: tuple[int, int] | None = None
        self._silent_since: str | None = None

    async def read(self, fetch: Fetch, now: int, stuck_after: int) -> Signs:
        """The signs of one moment; `now` and `stuck_after` in microseconds."""
        [(judged, last_at, waits_since, quarantined_at, conflict_at)] = await fetch(_SIGNS, {})
        stuck = waits_since is not None and waits_since < now - stuck_after
        return Signs(
            judged=judged,
            last_at=last_at,
            stuck_after=stuck_after,
            stuck_since=waits_since + stuck_after if stuck else None,
            quarantined_at=quarantined_at,
            conflict_at=conflict_at,
            silent=last_at is not None and now - last_at > _QUIET and await self._is_silent(fetch, last_at, now),
        )

    async def _is_silent(self, fetch: Fetch, last_at: int, now: int) -> bool:
        asked = last_at, now // MINUTE
        if asked != self._reckoned:
            self._silent_since = await lasting_silence(fetch, now)
            self._reckoned = asked
        return self._silent_since is not None
