"""One POST and what each of its elements became, as lines. Pure."""

from collections.abc import Iterator

import msgspec
from rich.cells import chop_cells

from hooklab.rules import WHOLE_BODY, label_mismatches, pack
from hooklab.store.base import BatchDetail, BatchRow, ElementFate
from hooklab.text import clean, clean_lines, mask_numbers
from hooklab.tui.cells import EMPTY, Line, Piece, fit, line, squeeze, wrap
from hooklab.tui.facts import block, fact, folded, indented, rule
from hooklab.tui.format import bytes_of, full_stamp, ordinal, state_piece
from hooklab.tui.targets import Target, ToBatch, ToMessage, ToQuarantined
from hooklab.wire import STATUSES

_BODY_SHOWN = 512 * 1024
"""Bytes of a body that are drawn: a thousand reports and more. The command line writes all of it."""


def became(row: BatchRow) -> list[Piece]:
    """What the elements of a batch became, in words: ``2 new, 1 repeated``."""
    if row.malformed:
        return [Piece("⚑ not understood, answered 400", "warn")]
    if not row.elements:
        return [Piece("an empty array", "quiet")]
    parts = []
    if row.new:
        parts.append(Piece(f"{row.new:,} new"))
    if row.repeats:
        parts.append(Piece(f"↻ {row.repeats:,} repeated", "quiet"))
    if row.quarantined:
        parts.append(Piece(f"⚑ {row.quarantined:,} quarantined", "warn"))
    return [piece for at, part in enumerate(parts) for piece in ((Piece(", ", "quiet"), part) if at else (part,))]


def became_in_short(row: BatchRow) -> list[Piece]:
    """Like `became`, but of a body that came before which batch it repeats: ``↻ batch 18,206, 3rd time``."""
    if row.retry_of is None or row.malformed:
        return became(row)
    again = Piece(f"↻ batch {row.retry_of:,}, {ordinal(row.attempt)} time", "quiet")
    return [again, Piece(f", ⚑ {row.quarantined:,} quarantined" if row.quarantined else "", "warn")]


def batch_lines(detail: BatchDetail, width: int, *, raw: bool, revealed: bool) -> list[Line]:
    """Facts, headers, elements and body; `raw` shows the body as it came and not as indented JSON."""
    lines = [rule(f"batch {detail.row.batch:,}", width), *folded(_facts(detail, width), width)]
    if detail.elements:
        count = max(detail.row.elements, len(detail.elements))
        title = "1 element, and what it became" if count == 1 else f"{count:,} elements, and what each became"
        lines += [EMPTY, rule(title, width)]
        lines += [_element(detail, fate, width) for fate in detail.elements]
    if detail.body is None:
        return [*lines, EMPTY, line(Piece("   The body is no longer kept.", "quiet"))]
    whole = f"hooklab batch {detail.row.batch} --raw"
    return [*lines, EMPTY, *body_lines("body", detail.body, width, raw=raw, revealed=revealed, whole=whole)]


def _facts(detail: BatchDetail, width: int) -> Iterator[Line]:
    row, room = detail.row, max(width - 20, 8)
    yield fact("received", [Piece(full_stamp(row.received_at))])
    yield from block("from", [clean(row.peer or "an unknown address", 80)], room)
    label = "none" if row.label is None else clean(row.label, 80)
    wrong = sum(_mismatches(row, fate) for fate in detail.elements)
    said = f"   ⚑ names another state than {wrong:,} of the reports" if wrong else ""
    yield fact("label", [Piece(label, "quiet" if row.label is None else ""), Piece(said, "warn")])
    took = "" if detail.took_ms is None else f", {detail.took_ms:,} ms to arrive"
    yield fact("body", [Piece(f"{bytes_of(row.bytes)}{took}")])
    yield fact("became", became(row))
    if detail.malformed is not None:
        yield from block("why", [clean(detail.malformed, 600)], room)
        target = ToQuarantined(pack(row.retry_of or row.batch, WHOLE_BODY))
        yield fact("kept", [Piece("in quarantine", "accent")], target)
    answer = "400, kept in quarantine" if row.malformed else "200, once it was on disk"
    yield fact("answered", [Piece(answer)])
    if row.retry_of is not None:
        said = f"the same body as batch {row.retry_of:,}, for the {ordinal(row.attempt)} time"
        yield fact("again", [Piece("↻ "), Piece(said, "accent")], ToBatch(row.retry_of))
    headers = [f"{clean(name, 40)}: {clean(value, 600)}" for name, value in detail.headers or []]
    yield from block("headers", headers or ["none are kept"], room)


def _element(detail: BatchDetail, fate: ElementFate, width: int) -> Line:
    index = Piece(f"   {fate.index:>6,}  ", "quiet")
    if fate.became == "quarantined":
        said = clean(fate.reason or "among the elements beyond the limit, which were not read", 400)
        target: Target = ToQuarantined(pack(detail.row.batch, fate.index))
        return _cut(line(index, Piece("⚑ quarantined  ", "warn"), Piece(said), target=target), width)
    mark = Piece(fit({"new": "  new", "retry": "↻ retry", "duplicate": "↻ duplicate"}[fate.became], 15))
    state = state_piece(fate.status or "")
    flag = Piece("⚑ " if _mismatches(detail.row, fate) else "  ", "warn")
    target = ToMessage(fate.message_id or "")
    said_of = Piece(fit(state.text, 15), state.role), flag, Piece(fate.message_id or "", "quiet")
    return _cut(line(index, mark, *said_of, target=target), width)


def _mismatches(row: BatchRow, fate: ElementFate) -> bool:
    return fate.status in STATUSES and label_mismatches(row.label, STATUSES.index(fate.status))


def body_lines(name: str, body: bytes, width: int, *, raw: bool, revealed: bool, whole: str) -> Iterator[Line]:
    """A body under a title that says how it is shown, its phone numbers masked unless they are `revealed`; `whole`
    is the command that writes all of it.
    """
    shown = body if raw else _indented_json(body)
    yield rule(f"{name}, as it came" if shown is body else f"{name}, as indented JSON", width)
    said = shown[:_BODY_SHOWN].decode(errors="replace")
    for text in clean_lines(said if revealed else mask_numbers(said)).split("\n"):
        room = max(width - 4, 8)
        for part in (chop_cells(text, room) or [""]) if shown is body else indented(text, room):
            yield line(f"   {part}")
    if len(shown) > _BODY_SHOWN:
        more = f"… and {bytes_of(len(shown) - _BODY_SHOWN)} more: {whole} writes all"
        yield from (line(Piece(f"   {text}", "quiet")) for text in wrap(more, width - 4))


def _indented_json(body: bytes) -> bytes:
    """The body itself where it is no JSON."""
    try:
        return msgspec.json.format(body, indent=2)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body


def _cut(one: Line, width: int) -> Line:
    return one._replace(pieces=tuple(squeeze(one.pieces, width)))
