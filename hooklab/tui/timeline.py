"""One message and its history as lines. Pure."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from rich.cells import cell_len

from hooklab.store.base import MessageDetail, MessageRow, TimelineEntry
from hooklab.text import clean
from hooklab.tui.cells import EMPTY, Line, Piece, cut, fit, line, wrap
from hooklab.tui.facts import NAMES, block, fact, folded, rule, text_fact
from hooklab.tui.format import (
    FLAGS,
    NOTHING,
    duration,
    full_stamp,
    gap,
    kind_piece,
    phone,
    pretty_payload,
    sentences,
    stamp,
    state_piece,
)
from hooklab.tui.targets import ToBatch

_FIRST: Final = 100
_LAST: Final = 400
"""As many as the store tells of a long history."""


def message_lines(
    detail: MessageDetail, width: int, *, revealed: bool, now: int, stuck_after: int | None = None
) -> list[Line]:
    """All that is known of a message: its facts, then each arrival; `stuck_after` in microseconds, where known."""
    lines = [rule(f"message {clean(detail.message.message_id, 64)}", width)]
    lines += folded(_facts(detail, width, revealed=revealed, now=now, stuck_after=stuck_after), width)
    count = len(detail.timeline) + detail.hidden
    lines += [EMPTY, rule(f"{count:,} arrival{'' if count == 1 else 's'}, in order", width)]
    lines += _arrivals(detail, width)
    return lines


def _facts(detail: MessageDetail, width: int, *, revealed: bool, now: int, stuck_after: int | None) -> Iterator[Line]:
    row, room = detail.message, max(width - NAMES - 4, 8)
    yield fact("state", [state_piece(row.state)])
    heard = max((entry.received_at for entry in detail.timeline if entry.kind == "pending"), default=now)
    if row.state == "PENDING":
        said = f"for {duration(max(now - row.first_received_at, 0))}; nothing new for {duration(max(now - heard, 0))}"
        yield from block("waiting", [said], room)
    yield from _flags(row, room, None if stuck_after is None else (heard, stuck_after))
    number = phone(row.msisdn, revealed=revealed)
    hint = "" if revealed or not row.msisdn else "   m shows it"
    yield fact("number", [Piece(cut(number, room) or NOTHING), Piece(hint, "quiet")])
    yield from text_fact("description", row.description, room)
    yield from text_fact("organization", row.organization_id, room)
    yield fact("segments", [Piece(NOTHING if row.total_segments is None else f"{row.total_segments:,}")])
    if row.final_at is not None:
        yield fact("final at", [Piece(full_stamp(row.final_at)), Piece("   as reported", "quiet")])
    elif row.state != "PENDING":
        yield fact("final at", [Piece("its reported time cannot be read", "quiet")])
    yield fact("first received", [Piece(full_stamp(row.first_received_at))])
    payload = pretty_payload(row.custom_payload) if row.custom_payload else [NOTHING]
    yield from block("custom payload", payload, room)


def _flag_means(row: MessageRow, flag: str, waits: tuple[int, int] | None) -> str:
    """What a flag says of this message; `waits` is when the last news came, and after how long that is too long."""
    if flag == "stuck" and waits is not None:
        since, after = full_stamp(sum(waits))[:-8], duration(waits[1])
        return f"nothing new for longer than {after}: stuck since {since} UTC; a final may still come"
    if flag == "conflict" and row.total_segments == 1:
        return f"{FLAGS[flag][1]}; it has but one segment: ask Arpoone which holds"
    if flag == "conflict":
        return f"{FLAGS[flag][1]}; usual for several segments"
    return FLAGS[flag][1] if flag in FLAGS else "a flag that this version has no words for"


def _flags(row: MessageRow, room: int, waits: tuple[int, int] | None) -> Iterator[Line]:
    for at, flag in enumerate(row.flags):
        mark, words = FLAGS.get(flag, (" ", ""))[0], _flag_means(row, flag, waits)
        name = Piece(f"{mark} {fit(clean(flag, 30), 16)}", "warn" if mark == "⚑" else "")
        first, *more = wrap(words, room - 18) if room >= 50 else ["", *wrap(words, room)]
        yield fact("" if at else "flags", [name, Piece(first, "quiet")])
        indent = " " * 18 if room >= 50 else ""
        yield from (fact("", [Piece(indent + text, "quiet")]) for text in more)


def _arrivals(detail: MessageDetail, width: int) -> Iterator[Line]:
    timeline = detail.timeline
    told = sentences(timeline, detail.message.state)
    gaps = ["", *(_gap(one, other) for one, other in pairwise(timeline))]
    entries = list(zip(timeline, gaps, told, strict=True))
    hidden = len(entries) + detail.hidden - _FIRST - _LAST
    if hidden <= 0:
        for entry in entries:
            yield from _arrival(*entry, width)
        return
    for entry in entries[:_FIRST]:
        yield from _arrival(*entry, width)
    yield line(Piece(f"   … {hidden:,} more arrivals between: hooklab show prints all", "quiet"))
    for entry in entries[-_LAST:]:
        yield from _arrival(*entry, width)


def _gap(one: TimelineEntry, other: TimelineEntry) -> str:
    return "same batch" if one.batch == other.batch else gap(one.received_at, other.received_at)


def _arrival(entry: TimelineEntry, after: str, told: str, width: int) -> Iterator[Line]:
    """Three lines: when and what; what that means; where it came from."""
    tight = width < 66
    indent = "   " if tight else " " * 24
    kind = kind_piece(entry)
    room = max(width - len(indent) - 1, 8)
    target = ToBatch(entry.batch)
    if tight:
        yield line(f"  {stamp(entry.received_at)} ", Piece(after, "quiet"), target=target)
        yield line(indent, kind, Piece(f" {clean(entry.status, 20)}", "quiet"))
    else:
        said = clean(entry.status, 20)
        status = Piece((fit(said, 13) if width >= 100 else cut(said, 13)) + "  ", "quiet")
        words = cut(clean(entry.description or NOTHING, 800), room - 15 - cell_len(status.text))
        shown = Piece(fit(kind.text, 15), kind.role), status, words
        yield line(f"   {stamp(entry.received_at)}  ", *shown, target=target)
    first, *more = wrap(told, room)
    margin = indent if tight else f"   {fit(after, 19, right=True)}  "
    yield line(Piece(margin, "quiet"), first)
    for text in more:
        yield line(indent, text)
    for text in wrap(_origin(entry), room):
        yield line(indent, Piece(text, "quiet"))


def _origin(entry: TimelineEntry) -> str:
    reported = "no reported time" if entry.reported_at is None else f"reported {clean(entry.reported_at, 64)}"
    label = "" if entry.label is None else f" · label {clean(entry.label, 64)}"
    return f"{reported} · batch {entry.batch:,}, element {entry.index:,}{label}"
