"""What is wrong now, or was within the last hour, and since when: a few words each, worst first. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hooklab.times import HOUR, SECOND
from hooklab.tui.cells import Piece, width_of
from hooklab.tui.format import bytes_of, duration, short_moment
from hooklab.tui.view import View

_LATELY: Final = HOUR
_BEHIND_FOR: Final = 5 * SECOND
"""How long many batches must have waited to be worth a word."""


class Notice(NamedTuple):
    """What it is about (disk, silence, lag, stuck, quarantine, conflict or refused), and the words."""

    about: str
    text: str


def notices(view: View) -> list[Notice]:
    """What to say beside the counters, which say how many there are in all."""
    return [Notice(*one) for one in _notices(view)] if view.snapshot is not None else []


def _notices(view: View) -> Iterator[tuple[str, str]]:
    counters, now, service = view.counters, view.now, view.service
    assert view.snapshot is not None
    signs, seen = view.snapshot.signs, view.seen
    reserve = None if service is None else service.disk_reserve
    if reserve and signs.disk_size is not None:
        reserve = min(reserve, signs.disk_size // 10)  # as the journal does
    if reserve and signs.disk_free is not None and signs.disk_free < 2 * reserve:
        yield "disk", f"disk nearly full, {bytes_of(signs.disk_free)} left"
    if signs.silent and signs.last_at is not None:
        yield "silence", f"silent since {short_moment(signs.last_at, now)}, which is not usual"
    if seen.behind_since is not None and view.ticks - seen.behind_since >= _BEHIND_FOR:
        yield "lag", f"{counters.lag:,} batches behind for {duration(view.ticks - seen.behind_since)}"
    if counters.stuck and signs.stuck_since is not None:
        since = "since" if counters.stuck == 1 else "the first since"
        yield "stuck", f"{counters.stuck:,} stuck, {since} {short_moment(signs.stuck_since, now)}"
    for about, count, what, at in (
        ("quarantine", counters.quarantined, "in quarantine", signs.quarantined_at),
        ("conflict", counters.conflicts, "in conflict", signs.conflict_at),
        ("refused", seen.refused or 0, "refused", seen.refused_at),
    ):
        if count and at is not None and 0 <= now - at <= _LATELY:
            yield about, f"{count:,} {what}, {'at' if count == 1 else 'the last at'} {short_moment(at, now)}"


def notice_pieces(found: Sequence[Notice], room: int) -> list[Piece]:
    """As many as `room` holds, each whole but for the first; how many there are besides."""
    pieces: list[Piece] = []
    for at, one in enumerate(found):
        grown = [*pieces, Piece(" · " if at else " ⚑ ", "quiet" if at else "warn"), Piece(one.text, "warn")]
        left = len(found) - at - 1
        more = [Piece(f" · {left} more", "quiet")] if left else []
        if at and width_of([*grown, *more]) > room:
            return [*pieces, Piece(f" · {left + 1} more", "quiet")]
        pieces = grown
    return pieces
