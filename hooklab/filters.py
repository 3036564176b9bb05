"""The filter words of the design's section 7, parsed once, to SQL over the store's table of messages."""

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, Final

from msgspec import Struct

from hooklab.rules import LATE, MISMATCH, REPEATED, SEEN_DELIVERED, SEEN_NOT_DELIVERED
from hooklab.store import words as index
from hooklab.store.base import Condition, Lookup
from hooklab.store.compact import DESCRIPTION, LAST_AT, NEW_AT, ORGANIZATION
from hooklab.store.ids import message_of
from hooklab.times import parse_duration, parse_reported

_STATES: Final = {
    "pending": "rank < 0",
    "delivered": "rank >= 0 AND rank & 1 = 1",
    "not_delivered": "rank >= 0 AND rank & 1 = 0",
}
_ASKED: Final = {
    "state:pending": index.PENDING,
    "state:delivered": index.DELIVERED,
    "state:not_delivered": index.NOT_DELIVERED,
    "is:late": index.IS_LATE,
    "is:repeated": index.IS_REPEATED,
}
_BOTH_FINALS: Final = SEEN_DELIVERED | SEEN_NOT_DELIVERED
_OVERLAYS: Final = {
    "stuck": f"rank < 0 AND {NEW_AT} < :stuck_before",
    "conflict": f"seen & {_BOTH_FINALS} = {_BOTH_FINALS}",
    "label_mismatch": f"seen & {MISMATCH} <> 0",
    "late": f"seen & {LATE} <> 0",
    "repeated": f"seen & {REPEATED} <> 0",
}
_NARROW: Final = frozenset({"is:stuck", "is:conflict", "is:label_mismatch"})
"""Words for which the store has an index of just the messages that they let through."""
_NARROW_ID: Final = 6
"""Digits of an id from which on its index finds few enough."""
_MAX_WORDS: Final = 400
_MAX_LOOKUPS: Final = 16
"""Words that the search index is asked for; the exact condition has them all."""
_NUMBER: Final = "ltrim(msisdn, '+')"
WORDS: Final = (
    ("state:", "pending, delivered or not_delivered"),
    ("is:", "stuck, conflict, label_mismatch, late or repeated"),
    ("to: org: id:", "what a number, an organization, a message id begins with"),
    ("since:", "the last report came since then: 30m, 1h, 7d ago, or 2026-11-22T09:30"),
    ("desc: custom:", 'how a word of description or custom payload begins; custom:"two words"'),
    ("0508", "digits: how a number begins, or ends from four digits on"),
    ("absent", "other text: how a word of description, custom payload or id begins"),
)
"""The filter words, and what each lets through."""
HELP: Final = (
    "state:pending|delivered|not_delivered, is:stuck|conflict|label_mismatch|late|repeated, to:PREFIX, org:PREFIX,"
    " id:PREFIX, since:1h|30m|7d|ISO time, desc:WORD, custom:WORD; or a bare word"
)


class FilterError(ValueError):
    """A filter word cannot be understood; the text names it and says what would be."""


def parse_filter(words: Sequence[str], now: int) -> Condition:
    """The condition that all of `words` hold; `now` is microseconds UTC. The reader knows `:stuck_before`.

    Raises:
        FilterError: a word is wrong.
    """
    values: dict[str, Any] = {}

    def bind(value: Any) -> str:
        name = f"f{len(values)}"
        values[name] = value
        return f":{name}"

    if len(words) > _MAX_WORDS:
        raise FilterError(f"{len(words)} filter words are too many; at most {_MAX_WORDS} go together")
    for word in words:
        if any("\ud800" <= char <= "\udfff" for char in word):
            raise FilterError(f"{word!r} is not valid text in this terminal's encoding")
    parts = [_parse(word.strip(), now, bind) for word in words if word.strip()]
    return Condition(
        " AND ".join(f"({part.sql})" for part in parts) or "1",
        values,
        narrow=any(_is_narrow(word.strip().lower()) for word in words),
        lookups=tuple(Lookup(part.sql, part.asked) for part in parts if part.asked is not None)[:_MAX_LOOKUPS],
        since=max((part.since for part in parts if part.since is not None), default=None),
    )


def split_words(text: str) -> list[str]:
    """A line as filter words: at spaces, but for those within double quotes, as in ``custom:"order 4711"``.

    Raises:
        FilterError: a quote is not closed.
    """
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.quotes, words.commenters, words.escape = True, '"', "", ""
    try:
        return list(words)
    except ValueError as error:
        raise FilterError('a double quote is not closed; write custom:"order 4711"') from error


def _is_narrow(word: str) -> bool:
    return word in _NARROW or (word.startswith("id:") and len(word.replace("-", "")) >= 3 + _NARROW_ID)


def is_known(word: str) -> bool:
    """Whether a word is one of the named ones, and not a bare one."""
    name, colon, _ = word.partition(":")
    return bool(colon) and name.lower() in _WORDS


def sought_in_payloads(words: Sequence[str]) -> list[str]:
    """Of the words those that custom payloads may hold, casefolded."""
    folded = [word.casefold() for word in words]
    found = [word.removeprefix("custom:") for word in folded if word.startswith("custom:") or not is_known(word)]
    return [word for word in found if word]


def taken_for(word: str) -> str:
    """Where a bare word was looked for, as a sentence without its end."""
    digits = word.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        return f"{word} was looked for in phone numbers; custom:{word} looks in custom payloads"
    return f"{word!r} was looked for as text, in descriptions, custom payloads and ids"


_Bind = Callable[[Any], str]


class _Part(Struct, frozen=True):
    """What one word asks of a message: as SQL, of the search index, and the earliest time it may have come last."""

    sql: str
    asked: str | None = None
    since: int | None = None


def _parse(word: str, now: int, bind: _Bind) -> _Part:
    name, colon, value = word.partition(":")
    known = _WORDS.get(name.lower()) if colon else None
    if known is None:
        return _bare(word, bind)
    if not value:
        raise FilterError(f"{word!r} says nothing after the colon; filter words are {HELP}")
    return known(value, now, bind)


def _state(value: str, _: int, __: _Bind) -> _Part:
    return _one_of("state", value.lower().replace("-", "_"), _STATES)


def _overlay(value: str, _: int, __: _Bind) -> _Part:
    return _one_of("is", value.lower(), _OVERLAYS)


def _one_of(name: str, value: str, table: dict[str, str]) -> _Part:
    if value not in table:
        raise FilterError(f"{name}:{value} is not known; write {name}:{'|'.join(table)}")
    return _Part(table[value], _ASKED.get(f"{name}:{value}"))


def _to(value: str, _: int, bind: _Bind) -> _Part:
    begin = value.removeprefix("+")
    return _Part(_begins(_NUMBER, begin, bind), index.number_begins(begin))


def _org(value: str, _: int, bind: _Bind) -> _Part:
    begin = value.lower()
    return _Part(_begins(f"lower({ORGANIZATION})", begin, bind), index.organization_begins(begin))


def _begins(column: str, value: str, bind: _Bind) -> str:
    mark = bind(value)
    return f"substr({column}, 1, length({mark})) = {mark}"


def _id(value: str, _: int, bind: _Bind) -> _Part:
    digits = value.replace("-", "").lower()
    if len(digits) > 32 or any(char not in "0123456789abcdef" for char in digits):
        raise FilterError(f"id:{value} is not the beginning of a message id, which has only 0-9, a-f and hyphens")
    low, high = (bytes.fromhex(digits.ljust(32, filler)) for filler in "0f")
    begins = f"message_id BETWEEN {bind(low)} AND {bind(high)}"
    if len(digits) >= _NARROW_ID:
        return _Part(f"id IN {message_of(begins)}")
    return _Part(begins, index.text_begins(index.ID, digits[:8]))


def parse_since(value: str, now: int) -> int:
    """The moment that ``since:`` takes, microseconds UTC: how long ago, or an ISO time.

    Raises:
        FilterError: it is neither.
    """
    ago = parse_duration(value.lower())
    at = parse_reported(value if len(value) > 10 else f"{value}T00:00", UTC) if ago is None else now - ago
    if at is None:
        raise FilterError(f"since:{value} is no time; write since:30m, since:1h, since:7d or since:2026-11-22T09:30")
    return at


def _since(value: str, now: int, bind: _Bind) -> _Part:
    at = parse_since(value, now)
    return _Part(f"{LAST_AT} >= {bind(at)}", since=at)


def _description(value: str, _: int, bind: _Bind) -> _Part:
    word = value.casefold()
    return _Part(f"word_begins({DESCRIPTION}, {bind(word)})", index.text_begins(index.DESCRIPTION, word))


def _custom(value: str, _: int, bind: _Bind) -> _Part:
    word = value.casefold()
    return _Part(f"word_begins(custom_payload, {bind(word)})", index.text_begins(index.CUSTOM, word))


def _bare(word: str, bind: _Bind) -> _Part:
    digits = word.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        begins = _begins(_NUMBER, digits, bind)
        if len(digits) < 4:
            return _Part(begins, index.number_begins(digits))
        return _Part(
            f"{begins} OR substr(msisdn, -{len(digits)}) = {bind(digits)}",
            index.any_of(index.number_begins(digits), index.number_ends(digits)),
        )
    mark, folded = bind(word.casefold()), word.casefold()
    return _Part(
        f"word_begins({DESCRIPTION}, {mark}) OR word_begins(custom_payload, {mark}) OR id_begins(message_id, {mark})",
        index.any_of(*(index.text_begins(one, folded) for one in (index.DESCRIPTION, index.CUSTOM, index.ID))),
    )


_WORDS: Final[dict[str, Callable[[str, int, _Bind], _Part]]] = {
    "state": _state,
    "is": _overlay,
    "to": _to,
    "org": _org,
    "id": _id,
    "since": _since,
    "desc": _description,
    "custom": _custom,
}
