"""How things are written on the screen: numbers, times, marks and sentences. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from hooklab.rules import label_mismatches
from hooklab.store.base import MessageRow, TimelineEntry
from hooklab.text import clean, clean_lines, mask_number
from hooklab.times import DAY, HOUR, MINUTE, SECOND
from hooklab.tui.cells import Piece
from hooklab.wire import STATUSES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
NOTHING: Final = "\N{EN DASH}"
_MAX_PAYLOAD: Final = 20_000

_STATES: Final = {
    "DELIVERED": ("✔", "delivered", "good"),
    "NOT_DELIVERED": ("✖", "not_delivered", "bad"),
    "PENDING": ("…", "pending", "wait"),
}
STATE_WIDTH: Final = 15

FLAGS: Final = {
    "conflict": ("⚑", "both kinds of final came; the one with the later reported time decides"),
    "label_mismatch": ("⚑", "the URL's label names another state than the report; the report counts"),
    "late": (" ", "a PENDING came after the final; it changes nothing"),
    "repeated": ("↻", "a report came more than once; it counts once"),
    "stuck": ("⚑", "pending, and nothing new for too long; a final may still come"),
}
ALARMS: Final = frozenset({"conflict", "label_mismatch", "stuck"})

_KINDS: Final = {
    "pending": ("…", "wait"),
    "late": ("…", "wait"),
    "retry": ("↻", "quiet"),
    "duplicate": ("↻", "quiet"),
    "conflict": ("⚑", "warn"),
}


# numbers


def number(value: int, width: int = 11) -> str:
    """`value` grouped by thousands, right-aligned in `width`; shortened with k, M, G or T where it does not fit."""
    text = f"{value:,}"
    if len(text) <= width:
        return text.rjust(width)
    scaled = float(value)
    for unit in "kMGT":
        scaled /= 1000
        for digits in (2, 1, 0):
            text = f"{scaled:,.{digits}f}{unit}"
            if len(text) <= width:
                return text.rjust(width)
    return ">" * width


def share(part: int, whole: int) -> str:
    """``91.4%`` in six cells, empty when there is nothing to share; never rounded up to 100 or down to 0."""
    if whole <= 0:
        return " " * 6
    permille = round(1000 * part / whole)
    if 0 < part < whole:
        permille = min(max(permille, 1), 999)
    text = f"{permille / 10:.1f}%" if permille not in {0, 1000} else f"{permille // 10}%"
    return text.rjust(6)


def bytes_of(size: int) -> str:
    """``812 B``, ``1.2 kB``, ``340 kB``, ``4.2 MB``."""
    if size < 1000:
        return f"{size} B"
    power = 1 if size < 999_500 else 2 if size < 999_500_000 else 3
    scaled = size / 1000**power
    unit = ("kB", "MB", "GB")[power - 1]
    return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:,.0f} {unit}"


def ordinal(value: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``11th``."""
    ending = "th" if value % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value:,}{ending}"


def milliseconds(value: float | None) -> str:
    """``1.2 ms``, ``340 ms``, ``1.4 s`` in at most seven cells."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def per_second(rate: float | None) -> str:
    """``38/s`` in at most seven cells; a slow rate has one decimal."""
    if rate is None:
        return f"{NOTHING}/s"
    return f"{rate:.1f}/s" if 0 < rate < 9.95 else f"{rate:,.0f}/s"


# times


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def clock_time(micros: int) -> str:
    """``12:04:51``."""
    return _moment(micros).strftime("%H:%M:%S")


def stamp(micros: int) -> str:
    """``22 Nov 09:31:02.120``, 19 cells; the year stands on the screen once, with the day of the message."""
    moment = _moment(micros)
    return f"{moment.day:2} {MONTHS[moment.month - 1]} {moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def full_stamp(micros: int) -> str:
    """``2026-11-22 09:31:02.120 UTC``."""
    moment = _moment(micros)
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {moment:%H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def short_time(micros: int, now: int) -> str:
    """Eight cells: the time if it is today's, else the day, else month and year."""
    moment, today = _moment(micros), _moment(now)
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S}"
    month = MONTHS[moment.month - 1]
    return f"  {moment.day:2} {month}" if moment.year == today.year else f"{month} {moment.year:04}"


def around(text: str | None, sought: Sequence[str], room: int) -> str:
    """A text from outside, from some characters before the first of `sought` on where that would be out of sight."""
    shown = clean(text or "", 4_000)
    folded = shown.casefold()
    found = [at for at in (folded.find(word) for word in sought) if at >= 0]
    if not found or min(found) + 12 <= room:
        return shown
    return f"…{shown[max(min(found) - 4, 0) :]}"


def short_moment(micros: int, now: int) -> str:
    """``02:14``, with the day before it where that is not today."""
    moment, today = _moment(micros), _moment(now)
    day = "" if moment.date() == today.date() else f"{moment.day} {MONTHS[moment.month - 1]} "
    return f"{day}{moment:%H:%M}"


def duration(micros: int) -> str:
    """``120 ms``, ``3.2 s``, ``31 s``, ``12 min``, ``26 h``, ``3 d``."""
    for limit, unit, name in (
        (SECOND, 1000, "ms"),
        (100 * SECOND, SECOND, "s"),
        (100 * MINUTE, MINUTE, "min"),
        (48 * HOUR, HOUR, "h"),
    ):
        if micros < limit:
            value = micros / unit
            return f"{value:.1f} {name}" if name == "s" and value < 10 else f"{int(value)} {name}"
    return f"{micros // DAY:,} d"


def gap(earlier: int, later: int) -> str:
    """``+3.2 s`` between two arrivals; what time went by cannot be told where our clock was set back meanwhile."""
    return f"+{duration(later - earlier)}" if later >= earlier else "clock set back"


def up_time(micros: int) -> str:
    """``3 d 04:12`` or ``04:12``: days, hours and minutes."""
    days, rest = divmod(max(micros, 0), DAY)
    hours, minutes = rest // HOUR, rest % HOUR // MINUTE
    return f"{days} d {hours:02}:{minutes:02}" if days else f"{hours:02}:{minutes:02}"


# states, numbers of phones, payloads


def state_piece(state: str) -> Piece:
    """A state as mark and word: ``✔ delivered``."""
    mark, word, role = _STATES.get(state, ("?", clean(state, 20), "warn"))
    return Piece(f"{mark} {word}", role)


def needs_a_look(row: MessageRow) -> bool:
    """Whether a flag says that a person should look."""
    return not ALARMS.isdisjoint(row.flags)


def phone(value: str | None, *, revealed: bool) -> str:
    """A phone number, masked unless the numbers are revealed."""
    return clean(value or "", 64) if revealed else mask_number(value)


def pretty_payload(payload: str) -> list[str]:
    """A custom payload in lines, indented where it is a JSON object or array; numbers stay as sent."""
    shown = payload
    if payload.lstrip()[:1] in {"{", "["} and len(payload) <= _MAX_PAYLOAD:
        try:
            shown = msgspec.json.format(payload, indent=2)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            shown = payload
    return clean_lines(shown, _MAX_PAYLOAD).split("\n")


# what an arrival means


def kind_piece(entry: TimelineEntry) -> Piece:
    """The kind of an arrival as mark and word."""
    if entry.kind in {"final", "final-again"}:
        mark, _, role = _STATES.get(entry.status, ("?", "", "warn"))
    else:
        mark, role = _KINDS.get(entry.kind, ("?", "warn"))
    return Piece(f"{mark} {clean(entry.kind, 20)}", role)


def sentences(timeline: Sequence[TimelineEntry], state: str) -> list[str]:
    """What each arrival means, for somebody who sees this for the first time."""
    told: list[str] = []
    seen: dict[object, int] = {}
    finals: list[int] = []
    for entry in timeline:
        told.append(_sentence(entry, state, seen, finals) + _about_label(entry))
        if entry.kind in {"final", "final-again", "conflict"}:
            finals.append(entry.batch)
        seen.setdefault(_looks(entry), entry.batch)
        seen.setdefault((entry.index, *_looks(entry)), entry.batch)
    return told


def _looks(entry: TimelineEntry) -> tuple[object, ...]:
    return entry.status, entry.reported_at, entry.description


def _sentence(entry: TimelineEntry, state: str, seen: dict[object, int], finals: list[int]) -> str:
    first = seen.get((entry.index, *_looks(entry))) if entry.kind == "retry" else seen.get(_looks(entry))
    status = clean(entry.status, 20)
    match entry.kind:
        case "pending" if entry.batch in finals:
            return "sent together with the final; within one batch the order means nothing"
        case "pending":
            return "still on its way; no final yet" if seen else "the first report of this message: it is on its way"
        case "late":
            return "came after the final; a final stands, so this changes nothing"
        case "final" if entry.status == state:
            return f"{status}: this decides the state"
        case "final":
            return f"{status}: the first final, overruled by the reported time of the other kind"
        case "final-again":
            return f"{status} again, as for each of several segments; the state stays"
        case "conflict":
            decides = "this one" if entry.status == state else "the other"
            return f"{status}, a second final of the other kind: conflict; by reported time {decides} decides"
        case "retry":
            batch = "an earlier batch" if first is None else f"batch {first:,}"
            return f"the same report again, in a retry of {batch}; changes nothing"
        case "duplicate" if first == entry.batch:
            return "the same report twice in one batch; changes nothing"
        case "duplicate":
            known = "" if first is None else f" (first in batch {first:,})"
            return f"the same report again, in another batch{known}; changes nothing"
        case _:
            return "an arrival that this version has no words for"


def _about_label(entry: TimelineEntry) -> str:
    code = STATUSES.index(entry.status) if entry.status in STATUSES else None
    if code is None or not label_mismatches(entry.label, code):
        return ""
    return f'. The URL\'s label says "{clean(entry.label or "", 64)}", which is another state: the report counts'
