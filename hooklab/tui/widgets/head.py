"""The head: is it well, how fast, how many in each state, what needs a look."""

from collections.abc import Sequence
from typing import Final

from textual import events

from hooklab.metrics import Counters
from hooklab.text import clean, mask_token
from hooklab.tui.cells import EMPTY, Line, Piece, cut, ends, fit, line, width_of, wrap
from hooklab.tui.format import NOTHING, clock_time, milliseconds, number, per_second, share, short_moment, up_time
from hooklab.tui.notices import notice_pieces, notices
from hooklab.tui.rate import bars
from hooklab.tui.view import View
from hooklab.tui.widgets.lines import Lines

WIDE: Final = 112
SMALL: Final = 66
LOW: Final = 18
_MOST_LINES: Final = 3
"""Lines that the words of a problem may take."""
_GAP: Final = "  "


def head_lines(view: View, width: int, height: int) -> list[Line]:
    """The head of a screen of `width` by `height`: one line where there is little room, else all of it."""
    if is_small(width, height):
        return [_one_line(view, width)]
    rule = line(Piece("─" * width, "rule"))
    return [*status_lines(view, width), rule, *_counter_lines(view, width)]


def is_small(width: int, height: int) -> bool:
    """Whether the list alone has to do."""
    return width < SMALL or height < LOW


def status_lines(view: View, width: int) -> list[Line]:
    """Well or not, and the figures of the service; below what is wrong in words, or else the hook URL."""
    mark, word, sentence = health(view)
    name = (Piece(" hooklab", "accent"), Piece("  "), mark, Piece(f" {word}"))
    counters = view.counters
    figures = [
        *_figure("p50", milliseconds(counters.ack_p50_ms), 7),
        *_figure("p99", milliseconds(counters.ack_p99_ms), 7),
        *_figure("lag", f"{counters.lag:,}" if view.snapshot else NOTHING, 5),
        Piece(f"  {clock_time(view.now)}", "strong"),
        Piece(" UTC ", "quiet"),
    ]
    service = view.service
    up = f"up {up_time(view.snapshot.taken_at - service.started_at)} " if view.snapshot and service else " "
    if sentence:
        below = [line(Piece(f" {text}", "warn")) for text in wrap(sentence, width - 2)[:_MOST_LINES]]
    else:
        right = [Piece(f"  {up}", "quiet")]
        said = notice_pieces(notices(view), width - width_of(right))
        below = [ends(said or [Piece(f" {shown_url(view)}", "quiet")], right, width)]
    return [ends(name, figures, width), *below]


def health(view: View) -> tuple[Piece, str, str]:
    """A mark, a word, and the sentence that says what is wrong ("" while nothing is)."""
    service = view.service
    if view.trouble:
        return Piece("▲", "warn"), "cannot read", view.trouble
    if view.snapshot is None:
        return Piece("○", "quiet"), "reading …", ""
    if service is None:
        return Piece("○", "quiet"), "no service", ""
    if service.problem:
        since = "" if view.seen.wrong_since is None else f" (since {short_moment(view.seen.wrong_since, view.now)})"
        return Piece("▲", "warn"), "answers 503", f"{clean(service.problem, 500)}{since}"
    if not service.ready:
        return Piece("▲", "warn"), "not ready", "the service does not take reports yet"
    return Piece("●", "good"), "well", ""


def shown_url(view: View) -> str:
    """The hook URL with its token masked."""
    return clean(mask_token(view.hook_url), 500) if view.hook_url else "no hook URL is known"


def _figure(name: str, value: str, width: int) -> list[Piece]:
    return [Piece(f"  {name} ", "quiet"), Piece(fit(value, width, right=True))]


def _one_line(view: View, width: int) -> Line:
    mark, word, sentence = health(view)
    said = [Piece(" "), mark, Piece(f" {sentence or word}", "warn" if sentence else "")]
    said += [] if sentence else notice_pieces(notices(view)[:1], width)
    figures = [Piece(f" {per_second(view.rate):>6}"), Piece(f" {clock_time(view.now)} ", "strong")]
    return ends(said, figures, width)


def _counter_lines(view: View, width: int) -> list[Line]:
    """Four lines of cells, each with its own place: nothing moves when a digit is added."""
    counters = view.counters
    columns = [_states(counters), _volumes(counters), _alarms(counters)]
    used = 1 + 33 + 2 * len(_GAP) + 20 + 21
    if width >= WIDE:
        columns.append(_rate_block(view, width - used - len(_GAP) - 1))
    else:
        columns[0][3] = _rate_line(view, 33)
    lines = []
    for row in range(4):
        pieces = [Piece(" ")]
        for at, column in enumerate(columns):
            pieces += [Piece(_GAP if at else ""), *column[row]]
        lines.append(line(*pieces))
    return lines


def _states(counters: Counters) -> list[list[Piece]]:
    whole = counters.messages
    cells = []
    for mark, name, role in (
        ("✔", "delivered", "good"),
        ("✖", "not_delivered", "bad"),
        ("…", "pending", "wait"),
    ):
        value = getattr(counters, name)
        named = Piece(f"{mark} {name:<13}", role)
        cells.append([named, Piece(number(value), "strong"), Piece(f" {share(value, whole)}", "quiet")])
    return [*cells, [Piece(" " * 33)]]


def _volumes(counters: Counters) -> list[list[Piece]]:
    return [
        [Piece(f"{name:<8} ", "quiet"), Piece(number(getattr(counters, name)))]
        for name in ("messages", "reports", "repeats", "late")
    ]


def _alarms(counters: Counters) -> list[list[Piece]]:
    refused = None if counters.refused is None else sum(counters.refused.values())
    values = {
        "stuck": counters.stuck,
        "conflicts": counters.conflicts,
        "quarantined": counters.quarantined,
        "refused": refused,
    }
    cells = []
    for name, value in values.items():
        raised = bool(value)
        count = NOTHING.rjust(7) if value is None else number(value, 7)
        flag = Piece(" ⚑" if raised else "  ", "warn")
        cells.append([Piece(f"{name:<11} ", "quiet"), Piece(count, "strong" if raised else ""), flag])
    return cells


def _rate_line(view: View, width: int) -> list[Piece]:
    rate = Piece(f"{per_second(view.rate):>7} ", "strong")
    return [rate, Piece(bars(view.history, width - 8)[0], "accent")]


def _rate_block(view: View, width: int) -> list[list[Piece]]:
    width = min(width, len(view.history) or width)
    peak = max(view.history[-width:], default=0)
    title = ends(
        [Piece(per_second(view.rate), "strong"), Piece(" reports", "quiet")],
        [Piece(f"peak {peak:,} in {width} s", "quiet")],
        width,
    )
    drawn = bars(view.history, width, 3)
    return [list(title.pieces), *([Piece(row, "accent")] for row in drawn)]


class Head(Lines):
    """The head of a screen; `brief` leaves the counters out."""

    def __init__(self, *, brief: bool = False) -> None:
        super().__init__(id="head")
        self._view = View()
        self.brief = brief

    def show(self, view: View) -> None:
        """Draws what changed since the last time."""
        self._view = view
        lines = self._made()
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = len(lines)
        self.draw(lines)

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wants other columns."""
        self.show(self._view)

    def _made(self) -> Sequence[Line]:
        width, height = self.app.size
        if not self.brief or is_small(width, height):
            return head_lines(self._view, width, height)
        return [*status_lines(self._view, width), EMPTY]


def trouble_sentence(what: str, why: str) -> str:
    """``cannot read the counters: why``."""
    return cut(f"cannot read {what}: {clean(why, 400)}", 500)
