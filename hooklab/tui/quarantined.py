"""One thing in quarantine, as lines. Pure."""

from collections.abc import Iterator

from hooklab.store.base import QuarantineDetail
from hooklab.text import clean
from hooklab.tui.batch import body_lines
from hooklab.tui.cells import EMPTY, Line, Piece, wrap
from hooklab.tui.facts import block, fact, folded, rule
from hooklab.tui.format import NOTHING, bytes_of, full_stamp
from hooklab.tui.targets import ToBatch

_ELEMENT = (
    "The other elements of its batch were stored, and the batch was answered 200. This one is kept as it came;"
    " nothing is lost."
)
_BODY = (
    "It was answered 400, and is kept as it came. If it is not Arpoone's, something else posts to your hook URL."
    " If it is, its URL may be meant for another kind of webhook."
)
_INTERNAL = "This is a fault of hooklab itself: please report it. The element is kept and can be tried again."


def quarantined_lines(detail: QuarantineDetail, width: int, *, raw: bool, revealed: bool) -> list[Line]:
    """Why it was not understood, where it came from, what that means, and its bytes."""
    what = "a whole body" if detail.row.index is None else f"element {detail.row.index:,}"
    lines = [
        rule(f"in quarantine: {what} of batch {detail.row.batch:,}", width),
        *folded(_facts(detail, width), width),
    ]
    name = "body" if detail.row.index is None else "element"
    whole = f"hooklab quarantine show {detail.row.id}"
    return [*lines, EMPTY, *body_lines(name, detail.raw, width, raw=raw, revealed=revealed, whole=whole)]


def _facts(detail: QuarantineDetail, width: int) -> Iterator[Line]:
    row, room = detail.row, max(width - 20, 8)
    yield from block("why", [clean(row.reason, 600)], room)
    yield fact("received", [Piece(NOTHING if row.received_at is None else full_stamp(row.received_at))])
    times = "once" if row.count == 1 else f"{row.count:,} times, kept once"
    yield fact("came", [Piece(times)])
    yield fact("in", [Piece(f"batch {row.batch:,}", "accent")], ToBatch(row.batch))
    yield fact("size", [Piece(bytes_of(len(detail.raw)))])
    means = _INTERNAL if row.reason.startswith("internal: ") else _BODY if row.index is None else _ELEMENT
    for at, text in enumerate(wrap(means, room)):
        yield fact("" if at else "means", [Piece(text, "quiet")])
    written = f"hooklab quarantine show {row.id} writes its bytes"
    for at, text in enumerate(wrap(written, room)):
        yield fact("" if at else "elsewhere", [Piece(text, "quiet")])
