"""The time of sending, which the payload does not have, out of a custom payload that tells it. Pure."""

from datetime import tzinfo
from typing import Any, Final

import msgspec

from hooklab.times import SECOND, parse_reported

_MAX_PAYLOAD: Final = 20_000
_SECONDS: Final = 10**11
_MILLISECONDS: Final = 10**14


def sent_at(payload: str | None, key: str, assumed: tzinfo) -> int | None:
    """Microseconds UTC of the time under `key` of a payload that is a JSON object; None where there is none.

    Args:
        payload: as it came.
        key: a key of the object, or keys of objects within objects joined by dots, as in ``meta.sent_at``.
        assumed: the zone of a time that names none.

    The time is ISO 8601 as in `parse_reported`, or seconds or milliseconds since 1970 as a number or its digits.
    """
    if payload is None or len(payload) > _MAX_PAYLOAD:
        return None
    try:
        value: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    for name in key.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 16):
            return parse_reported(value, assumed)
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < _MILLISECONDS:
        return None
    return int(value * (SECOND if value < _SECONDS else SECOND // 1000))
