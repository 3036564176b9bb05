"""The messages that a list holds: the newest page joined with what was loaded before. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from hooklab.store.base import MessageRow

MOST: Final = 10_000
"""Rows held at most."""
FOLLOWING_MOST: Final = 1_000
"""Rows held at most while the list follows the newest."""
_LONGEST: Final = 512


class Rows:
    """Messages with the newest activity first, each once.

    Attributes:
        items: the rows.
        complete: nothing older is left to load.
        behind: so much arrived at once that the newest are not shown until somebody goes to the top.
    """

    def __init__(self) -> None:
        self.items: list[MessageRow] = []
        self.complete = False
        self.behind = False

    def __len__(self) -> int:
        return len(self.items)

    @property
    def full(self) -> bool:
        """Whether no more rows are taken."""
        return len(self.items) >= MOST

    def joins(self, page: Sequence[MessageRow], limit: int) -> bool:
        """Whether no message can be missing between the newest `page` (read with `limit`) and these rows."""
        return not self.items or len(page) < limit or self.items[0].cursor >= page[-1].cursor

    def take_newest(self, page: Sequence[MessageRow], limit: int, *, following: bool) -> None:
        """Puts the newest page on top. Where it does not join, what was held before goes."""
        joined = self.joins(page, limit)
        kept: list[MessageRow] = []
        if joined and len(page) >= limit:
            here = {row.message_id for row in page}
            last = page[-1].cursor
            kept = [row for row in self.items if row.cursor < last and row.message_id not in here]
        else:
            self.complete = len(page) < limit
        self.items = [_slim(row) for row in page] + kept
        self.behind = False
        most = FOLLOWING_MOST if following else MOST
        if len(self.items) > most:
            del self.items[most:]
            self.complete = False

    def take_older(self, page: Sequence[MessageRow], limit: int, before: int) -> None:
        """Appends the page that was read with the cursor `before`, unless the rows changed meanwhile."""
        if not self.items or self.items[-1].cursor != before:
            return
        here = {row.message_id for row in self.items}
        self.items.extend(_slim(row) for row in page if row.message_id not in here)
        self.complete = len(page) < limit

    def find(self, message_id: str | None) -> int | None:
        """Where a message stands, None if it is not held."""
        for index, row in enumerate(self.items):
            if row.message_id == message_id:
                return index
        return None


def _slim(row: MessageRow) -> MessageRow:
    """A list needs no 64 KB of payload a row."""
    payload, description = row.custom_payload or "", row.description or ""
    if len(payload) <= _LONGEST and len(description) <= _LONGEST:
        return row
    return replace(
        row,
        custom_payload=None if row.custom_payload is None else payload[:_LONGEST],
        description=None if row.description is None else description[:_LONGEST],
    )
