"""The payload as it comes over the wire: arrays, elements, and the identity of a report.

An element is decoded twice at most: fast and typed where everything is as the provider documents it, leniently
where it is not. Both ways give one digest for one report (design, section 4).
"""

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

PENDING: Final = 0
DELIVERED: Final = 1
NOT_DELIVERED: Final = 2
STATUSES: Final = ("PENDING", "DELIVERED", "NOT_DELIVERED")
_STATUS_CODES: Final = {name: code for code, name in enumerate(STATUSES)}

FIELDS: Final = (
    "Msisdn",
    "Status",
    "MessageId",
    "OrganizationId",
    "ReportDescription",
    "ReportDateTime",
    "TotalSegments",
    "CustomPayload",
)
"""The eight documented fields, in the order in which a report's digest takes them."""

_MAX_SEGMENTS: Final = 2**31 - 1


class Report(Struct, frozen=True, gc=False):
    """One status of one message, judged fit to store. Strings are as sent; what did not fit its type is None."""

    message_id: bytes  # 16 bytes
    status: int
    digest: bytes  # 8 bytes
    reported_at: str | None
    description: str | None
    msisdn: str | None
    organization_id: str | None
    total_segments: int | None
    custom_payload: str | None
    extra: str | None  # JSON object: unknown fields, and documented ones of a wrong type, raw


class Misfit(Struct, frozen=True, gc=False):
    """An element that cannot be understood: its raw bytes, and why in words."""

    raw: bytes
    reason: str


class NotAnArray(ValueError):  # noqa: N818  it is an answer, not a fault
    """The body is not JSON, or is JSON but not an array; the text says which."""


class _Documented(Struct, forbid_unknown_fields=True, gc=False):
    # In the order of `FIELDS`.
    Msisdn: str
    Status: str
    MessageId: str
    OrganizationId: str
    ReportDescription: str
    ReportDateTime: str
    TotalSegments: int
    CustomPayload: str


_raw_whole = msgspec.json.Decoder(Raw)
_raw_list = msgspec.json.Decoder(list[Raw])
_fast_list = msgspec.json.Decoder(list[_Documented])
_fast_one = msgspec.json.Decoder(_Documented)
_object = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


def _keep(text: str) -> str:
    """Numbers stay text: Python refuses to convert very long ones, and nobody asks for their value here."""
    return text


_tolerant = json.JSONDecoder(strict=False, parse_int=_keep, parse_float=_keep, parse_constant=_keep)
_SPACE: Final = " \t\r\n"
_MAX_DEPTH: Final = 256
_SHORT: Final = 16_384
"""Bytes of which counting brackets is cheaper than going further down."""
_AT_ONCE: Final = 4_096
_BRACKETS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_KINDS: Final = {"{": "an object", '"': "a string", "t": "true", "f": "false", "n": "null"}


def check_array(body: bytes) -> None:
    """Says by returning that `body` is a JSON array; nothing is known of its elements then.

    Raises:
        NotAnArray: it is not; the text says what was found.
    """
    # How deep a parser can go depends on the stack it is called from. What could nest deeply is checked from
    # further down, so that `Elements` takes all that goes through here, wherever it is called from.
    might_be_deep = len(body) > _SHORT or body.count(b"[") + body.count(b"{") > _MAX_DEPTH
    _check_below(100 if might_be_deep else 0, body)


def _check_below(frames: int, body: bytes) -> None:
    if frames:
        _check_below(frames - 1, body)
        return
    try:
        # Nothing is made of it: as a list, millions of elements would be 64 bytes each.
        is_array = bytes(memoryview(_raw_whole.decode(body))[:1]) == b"["
    except RecursionError:
        raise NotAnArray("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        is_array = False
    if not is_array:
        _check_tolerantly(body)


def _check_tolerantly(body: bytes) -> None:
    text = _text_of(body)
    try:
        value = _tolerant.decode(text)
    except RecursionError:
        raise NotAnArray("the JSON is nested too deeply") from None
    except ValueError:
        raise NotAnArray("the body is empty" if not body.strip() else "the body is not JSON") from None
    if not isinstance(value, list):
        found = _KINDS.get(text[0], "a number")
        raise NotAnArray(f"the body is JSON, but {found} and not an array")


def _text_of(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip(_SPACE)


def split_array(body: bytes) -> list[bytes]:
    """The raw bytes of each element of an array that `check_array` lets through.

    Raises:
        NotAnArray: `check_array` would not have let it through.
    """
    return [bytes(raw) for raw in _split(body)]


def _split(body: bytes) -> Sequence[Raw | bytes]:
    try:
        return _raw_list.decode(body)
    except RecursionError:
        raise NotAnArray("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        _check_tolerantly(body)
    return _split_tolerantly(_text_of(body))


def _joined(raws: Sequence[Raw | bytes]) -> bytes:
    """An array of raw elements, joined by pieces: for each that is joined at once Python takes 80 bytes."""
    pieces = (b",".join(raws[at : at + _AT_ONCE]) for at in range(0, len(raws), _AT_ONCE))
    return b"[%b]" % b",".join(pieces)


def _split_tolerantly(text: str) -> list[bytes]:
    elements: list[bytes] = []
    at = _skip(text, 1)
    while text[at] != "]":
        _, end = _tolerant.raw_decode(text, at)
        elements.append(text[at:end].encode("utf-8", "surrogateescape"))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return elements


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


class Elements:
    """The elements of one array, each judged when it is asked for: a report, or what is wrong with it.

    Attributes:
        count: how many elements the array has in all.
        rest: what lies beyond the limit, as a JSON array of its raw bytes; None where nothing does.
    """

    def __init__(self, body: bytes, limit: int) -> None:
        """Splits `body`; of more than `limit` elements only the first `limit` are judged.

        Raises:
            NotAnArray: the body is not an array.
        """
        self._body = body
        self._raws: list[bytes] | None = None
        self._documented: list[_Documented] | None = None
        self.rest: bytes | None = None
        try:
            self._documented = _fast_list.decode(body)
            self.count = len(self._documented)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raws = _split(body)
            self.count = len(raws)
            self._take(raws, limit)
        else:
            if self.count > limit:
                self._take(_split(body), limit)
        self._judged = min(self.count, limit)

    def _take(self, raws: Sequence[Raw | bytes], limit: int) -> None:
        # Only what is judged is copied: of what lies beyond there may be millions.
        self._raws = [bytes(raw) for raw in raws[:limit]]
        if len(raws) > limit:
            self.rest = _joined(raws[limit:])

    @property
    def raws(self) -> list[bytes]:
        """The raw bytes of every element that is judged."""
        if self._raws is None:
            self._raws = split_array(self._body)
        return self._raws

    def __len__(self) -> int:
        return self._judged

    def __iter__(self) -> Iterator[Report | Misfit]:
        return (self[index] for index in range(self._judged))

    def __getitem__(self, index: int) -> Report | Misfit:
        if not 0 <= index < self._judged:
            raise IndexError(index)
        if self._documented is not None:
            report = _from_documented(self._documented[index])
            return report if report is not None else _decode_leniently(self.raws[index])
        raw = self.raws[index]
        try:
            report = _from_documented(_fast_one.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            report = None
        return report if report is not None else _decode_leniently(raw)


def parse_uuid(text: str) -> bytes | None:
    """The 16 bytes of a UUID in any letter case, with its four hyphens or without any; None for anything else."""
    if len(text) == 36:
        if text[8:24:5] != "----":
            return None
        text = text.replace("-", "")
    if len(text) != 32:
        return None
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) == 16 else None


def format_uuid(value: bytes) -> str:
    """The usual text of 16 bytes: lower case, with hyphens."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _from_documented(element: _Documented) -> Report | None:
    message_id = parse_uuid(element.MessageId)
    status = _STATUS_CODES.get(element.Status)
    segments = element.TotalSegments
    # Zero may have been sent as -0, which is another raw text: the lenient way looks at it.
    if message_id is None or status is None or not 0 < segments <= _MAX_SEGMENTS:
        return None
    # By position: this is made for every report there is.
    return Report(
        message_id,
        status,
        _digest(_encode(astuple(element))),
        element.ReportDateTime,
        element.ReportDescription,
        element.Msisdn,
        element.OrganizationId,
        segments,
        element.CustomPayload,
        None,
    )


def _digest(fields: bytes) -> bytes:
    """Of the eight fields as one JSON array, in which nothing stands for what is missing.

    Each is a whole JSON value, so that no two lists of fields give one text. Eight bytes are enough: they tell the
    reports of one message apart.
    """
    return blake2b(fields, digest_size=8).digest()


def _decode_leniently(raw: bytes) -> Report | Misfit:
    fields = _fields_of(raw)
    if isinstance(fields, str):
        return Misfit(raw, fields)
    parts: list[bytes] = []
    texts: dict[str, str] = {}
    odd: dict[str, Raw] = {}
    for name in FIELDS:
        value = fields.pop(name, None)
        if value is None:
            parts.append(b"")
        elif value[:1] == b'"':
            try:
                text = _string.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return Misfit(raw, f"{name} is not valid text")
            parts.append(_encode(text))
            texts[name] = text
        else:
            parts.append(value)
            odd[name] = Raw(value)
    message_id = parse_uuid(texts.get("MessageId", ""))
    if message_id is None:
        return Misfit(raw, "MessageId is " + _said(texts.get("MessageId"), odd.get("MessageId"), "not a UUID"))
    status = _STATUS_CODES.get(texts.get("Status", ""))
    if status is None:
        wanted = "not one of DELIVERED, NOT_DELIVERED, PENDING"
        return Misfit(raw, "Status is " + _said(texts.get("Status"), odd.get("Status"), wanted))
    segments = _segments(odd)
    if "TotalSegments" in texts:  # a string where a number is wanted: kept raw
        odd["TotalSegments"] = Raw(_encode(texts["TotalSegments"]))
    odd.update({name: Raw(value) for name, value in fields.items()})
    return Report(
        message_id=message_id,
        status=status,
        digest=_digest(b"[%b]" % b",".join(parts)),
        reported_at=texts.get("ReportDateTime"),
        description=texts.get("ReportDescription"),
        msisdn=texts.get("Msisdn"),
        organization_id=texts.get("OrganizationId"),
        total_segments=segments,
        custom_payload=texts.get("CustomPayload"),
        extra=_encode(odd).decode() if odd else None,
    )


def _is_deep(raw: bytes) -> bool:
    """Whether an element nests deeper than is taken: judged by a number of ours, the same on every stack."""
    depth = 0
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH:
        for found in _BRACKETS.finditer(raw):
            depth += (found[0] in b"[{") - (found[0] in b"]}")
            if depth > _MAX_DEPTH:
                return True
    return False


def _fields_of(raw: bytes) -> dict[str, bytes] | str:
    """An object's members as raw JSON, or why there are none."""
    if _is_deep(raw):
        return "the element is nested too deeply"
    try:
        raw.decode()
        return {name: bytes(value) for name, value in _object.decode(raw).items()}
    except UnicodeDecodeError:
        return "the element is not valid UTF-8"
    except RecursionError:
        return "the element is nested too deeply"
    except msgspec.ValidationError:
        return "the element is not an object"
    except msgspec.DecodeError:
        return "the element is not valid JSON (a lone surrogate, a control character, or NaN)"


def _segments(odd: dict[str, Raw]) -> int | None:
    """Takes a whole number that fits out of `odd`; leaves anything else there."""
    raw = bytes(odd.get("TotalSegments", b""))
    if not raw.removeprefix(b"-").isdigit() or len(raw) > 11:
        return None
    value = int(raw)
    if not 0 <= value <= _MAX_SEGMENTS:
        return None
    del odd["TotalSegments"]
    return value


def _said(text: str | None, raw: Raw | None, wrong: str) -> str:
    """What is wrong with a field, quoting what was sent (the caller cleans it before it is shown)."""
    if text is not None:
        return f"{wrong}: {text[:60]!r}"
    if raw is None:
        return "missing"
    sent = bytes(raw)
    return "null" if sent == b"null" else f"{wrong}: {sent[:60].decode(errors='replace')}"
