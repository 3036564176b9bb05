"""What needs a look, worst first, each with what one can do about it, as lines. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hooklab.store.base import MessageRow, QuarantineRow
from hooklab.text import clean
from hooklab.tui.cells import EMPTY, Line, Piece, line, wrap
from hooklab.tui.format import duration, short_moment
from hooklab.tui.notices import notices
from hooklab.tui.targets import Target, ToMessage, ToMessages, ToQuarantined, ToScreen
from hooklab.tui.view import View
from hooklab.tui.widgets.message_list import columns_for as message_columns
from hooklab.tui.widgets.message_list import row_line
from hooklab.tui.widgets.quarantine_list import columns_for as quarantine_columns
from hooklab.tui.widgets.quarantine_list import quarantine_line

SHOWN: Final = 5
"""Of each group so many are shown here; the list has all."""
KINDS: Final = ("is:stuck", "is:conflict", "is:label_mismatch")
"""The filters whose messages need a look, worst first."""

_STUCK: Final = (
    "pending, and nothing new for longer than {after}; longest first. A final report may still come; if none does,"
    " ask Arpoone about the message id (y copies it)."
)
_CONFLICT: Final = (
    "both a DELIVERED and a NOT_DELIVERED came; the one with the later reported time decides. Usual for several"
    " segments; otherwise ask Arpoone which holds."
)
_MISMATCH: Final = (
    "a report came to a URL whose label names another state. The report counts, never the label: look at the"
    " smsWebhooks of your requests, two URLs may be swapped."
)
_QUARANTINE: Final = "what was received and could not be understood. It is kept; its neighbours are stored."
_NOW: Final = {
    "disk": "when less is free than the reserve, new reports are answered 503 until there is room again: what was"
    " taken stays safe. Make room, or move the data folder.",
    "silence": "other days had reports at this time. Does the hook URL still lead here (u shows it), and did anything"
    " go out? The provider sends again for a while what it could not deliver.",
    "lag": "reports are safe on disk, and in these figures once the machine gets to them.",
}
_REFUSALS: Final = {
    "400": "not JSON, or no array: each distinct body is in quarantine (4)",
    "404": "a wrong token, an unknown path, an address not allowed: somebody guesses, or an old URL is in use",
    "405": "another method than POST; a browser that opened the URL, perhaps",
    "408": "head or body came too slowly; the provider sends it again",
    "413": "a body over max_body; raise it if it was the provider's",
    "415": "a compressed body; the provider does not compress, so this was somebody else",
    "431": "a header block over the cap; not the provider's, or a proxy adds much",
    "503": "the queue or the disk was full, or the journal could not be written; the provider sends it again",
}


@dataclass(frozen=True, slots=True)
class Troubled:
    """The newest few of each group, of the stuck ones those with the oldest news; one more than are shown says that
    there are more.
    """

    messages: Mapping[str, Sequence[MessageRow]] = field(default_factory=dict)
    """By filter word of `KINDS`."""
    quarantine: Sequence[QuarantineRow] = ()


def problem_lines(view: View, found: Troubled, width: int) -> list[Line]:
    """All groups that have something, or that there is nothing."""
    groups = [list(group) for group in _groups(view, found, width)]
    shown = [group for group in groups if group]
    if not shown:
        return [EMPTY, line(Piece("   ● ", "good"), "Nothing needs a look.")]
    return [one for group in shown for one in (*group, EMPTY)][:-1]


def _groups(view: View, found: Troubled, width: int) -> Iterator[Iterator[Line]]:
    yield _service(view, width)
    counts = {"is:stuck": view.counters.stuck, "is:conflict": view.counters.conflicts}
    after = None if view.snapshot is None else view.snapshot.signs.stuck_after
    stuck = _STUCK.format(after="stuck_after" if after is None else duration(after))
    texts = {"is:stuck": ("stuck", stuck), "is:conflict": ("in conflict", _CONFLICT)}
    for word in ("is:stuck", "is:conflict"):
        yield _messages(view, word, counts[word], *texts[word], found.messages.get(word, ()), width)
    yield _quarantine(view, found.quarantine, width)
    mismatched = found.messages.get("is:label_mismatch", ())
    many = len(mismatched)
    yield _messages(view, "is:label_mismatch", many, "with a mismatched label", _MISMATCH, mismatched, width)
    yield _refusals(view, width)


def _service(view: View, width: int) -> Iterator[Line]:
    service = view.service
    if service is not None and service.problem:
        yield from _title("answers 503", f"{service.problem}. The provider sends again what it was not answered"
                          " 200.", width)  # fmt: skip
    for at, one in enumerate(one for one in notices(view) if one.about in _NOW):
        yield from [EMPTY] if at else []
        yield from _title(one.text, _NOW[one.about], width)


def _messages(
    view: View, word: str, count: int, name: str, means: str, rows: Sequence[MessageRow], width: int
) -> Iterator[Line]:
    if not rows:
        return
    several = f"more than {SHOWN}" if count > SHOWN and word == "is:label_mismatch" else f"{count:,}"
    yield from _title(f"{several} message{'' if count == 1 else 's'} {name}", means, width)
    columns = message_columns(width, revealed=view.revealed)
    for row in rows[:SHOWN]:
        yield row_line(row, columns, view, selected=False)._replace(target=ToMessage(row.message_id))
    if len(rows) > SHOWN:
        yield _all(ToMessages(word), "all of them in the list")


def _quarantine(view: View, rows: Sequence[QuarantineRow], width: int) -> Iterator[Line]:
    if not rows:
        return
    yield from _title(f"{view.counters.quarantined:,} in quarantine", _QUARANTINE, width)
    columns = quarantine_columns(width)
    for row in rows[:SHOWN]:
        yield quarantine_line(row, columns, view, selected=False)._replace(target=ToQuarantined(row.id))
    if len(rows) > SHOWN:
        yield _all(ToScreen("quarantine"), "all of them in the list")


def _refusals(view: View, width: int) -> Iterator[Line]:
    refused = view.counters.refused or {}
    if not any(refused.values()):
        return
    means = "requests that were not answered 200 since the service started, by the answer they got"
    yield from _title(f"{sum(refused.values()):,} refused", means, width)
    for code, count in sorted(refused.items()):
        first, *more = wrap(_REFUSALS.get(code, "an answer that this version has no words for"), width - 21)
        yield line(f"    {clean(code, 3):<4}", Piece(f"{count:>9,}   "), Piece(first, "quiet"))
        yield from (line(" " * 20, Piece(text, "quiet")) for text in more)
    for one in view.service.turned_away if view.service is not None else ():
        times = f"{one.count:,} time{'' if one.count == 1 else 's'}"
        said = f"{one.why}, {times}, last {short_moment(one.last_at, view.now)}"
        who = f"from {clean(one.address, 45)}   "
        first, *more = wrap(f"{who}{clean(said, 100)}", width - 11)
        yield line(" " * 9, Piece(first[: len(who)]), Piece(first[len(who) :], "quiet"))
        yield from (line(" " * 9, Piece(text, "quiet")) for text in more)


def _title(name: str, means: str, width: int) -> Iterator[Line]:
    first, *more = wrap(name, width - 4)
    yield line(Piece(" ⚑ ", "warn"), Piece(first, "strong"))
    yield from (line(Piece(f"   {text}", "strong")) for text in more)
    yield from (line(Piece(f"   {text}", "quiet")) for text in wrap(clean(means, 600), width - 4))


def _all(target: Target, says: str) -> Line:
    return line("  ", Piece(f"→ {says}", "accent"), target=target)
