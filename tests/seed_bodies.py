"""Bodies that try to hurt a receiver: small ones kept in `seeds`, each below the answer that it is to get.

What is huge, or is one thing many times over, is made here.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from support import body_of, report

_PLACE: Final = Path(__file__).parent / "seeds"
_KB64: Final = 64 * 1024
_ID: Final = "5eed0000-0000-4000-8000-{:012x}"


class Seed(Struct, frozen=True):
    """A body, and the code that answers it."""

    name: str
    code: int
    body: bytes


def as_text(value: str) -> str:
    """Numbers stay text, so that the oracle converts none."""
    return value


def oracle(body: bytes) -> list[Any] | None:
    """The elements of an array by Python's own json, at its most tolerant; None for anything that is no array."""
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    try:
        value = json.loads(text, strict=False, parse_int=as_text, parse_float=as_text, parse_constant=as_text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def kept() -> list[Seed]:
    """Those that are files."""
    return [Seed(path.name, int(path.parent.name), path.read_bytes()) for path in sorted(_PLACE.glob("*/*"))]


def _some(count: int, start: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [report(_ID.format(start + at), "PENDING" if at % 2 else "DELIVERED", **fields) for at in range(count)]


def huge() -> list[Seed]:
    """Those that are made: much of everything, deep, long, and compressed so that little is much."""
    text = "é" * (_KB64 // 2)
    escapes = body_of(_some(1, 20_001, CustomPayload="\x1b" * (_KB64 // 6)))
    return [
        Seed("1001 reports", 200, body_of(_some(1001, 30_000))),
        Seed("100,000 numbers", 200, b"[" + b",".join(b"%d" % at for at in range(100_000)) + b"]"),
        Seed("100,000 empty objects", 200, b"[" + b"{}," * 99_999 + b"{}]"),
        Seed("100,000 empty arrays", 200, b"[" + b"[]," * 99_999 + b"[]]"),
        Seed("100,000 elements, the first a lone surrogate", 200, b'["\\ud800"' + b",0" * 99_999 + b"]"),
        Seed("nested 100,000 deep", 400, b"[" * 100_000 + b"]" * 100_000),
        Seed("objects nested 100,000 deep", 400, b'[{"a":' * 100_000),
        Seed("a field nested 100,000 deep", 400, b'[{"Status":' + b"[" * 100_000 + b"]" * 100_000 + b"}]"),
        *[
            Seed(f"64 KB in {field}", 200, body_of([*_some(1, 20_100 + at, **{field: text}), *_some(1, 20_200 + at)]))
            for at, field in enumerate(("Msisdn", "OrganizationId", "ReportDescription", "ReportDateTime"))
        ],
        Seed("64 KB in the custom payload", 200, body_of(_some(2, 20_300, CustomPayload=text))),
        Seed(
            "64 KB in the id and in the status", 200, body_of([{"MessageId": text}, {"Status": text}, *_some(1, 9)])
        ),
        Seed("64 KB of escapes", 200, escapes),
        Seed("64 KB in a key", 200, body_of([{**report(_ID.format(20_002)), text: text}])),
        Seed("64 KB of digits", 200, b'[{"TotalSegments":' + b"9" * _KB64 + b"}," + body_of(_some(1, 20_003))[1:]),
        Seed("64 KB of backslashes, never closed", 400, b'["' + b"\\" * (_KB64 + 1)),
        Seed("64 KB of lone surrogates", 200, b'["' + b"\\ud800" * (_KB64 // 6) + b'"]'),
        Seed("64 KB of quotes", 400, b'"' * _KB64),
        Seed("64 KB of spaces", 400, b" " * _KB64),
        Seed("64 KB of spaces in an array", 200, b"[" + b" " * _KB64 + b"]"),
        Seed("a gzip bomb", 400, gzip.compress(bytes(4 * 1024 * 1024), mtime=0)),
        Seed("20,000 keys", 200, b"[{" + b",".join(b'"%d":0' % at for at in range(20_000)) + b"}]"),
    ]


def cut_at_every_byte() -> Iterator[Seed]:
    """A small sample with an escape, an é, an emoji and a number, cut off at each of its bytes."""
    fields: dict[str, Any] = {"ReportDescription": 'é😀\\"', "TotalSegments": -1, "Msisdn": None}
    short = {name: value for name, value in report(_ID.format(0xC07), **fields).items() if name != "OrganizationId"}
    whole = json.dumps([short], ensure_ascii=False).encode()
    for end in range(len(whole) + 1):
        yield Seed(f"cut at byte {end}", 200 if end == len(whole) else 400, whole[:end])


def every() -> list[Seed]:
    """All of them."""
    return [*kept(), *huge(), *cut_at_every_byte()]
