"""Messages as lines of CSV or JSON. Pure: rows in, text out.

JSON Lines are exact: each is what `messages --json` prints. CSV is for spreadsheets and terminals too: text is
always quoted and counts never, what a terminal might obey is made visible, and what a spreadsheet would run as a
formula gets a ``'`` before it.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from hooklab.store.base import MessageRow
from hooklab.text import MASK, clean_cell, mask_number, mask_numbers
from hooklab.times import iso

Format = Literal["csv", "jsonl"]

KEYS: Final = (
    "message_id",
    "state",
    "flags",
    "description",
    "organization_id",
    "msisdn",
    "total_segments",
    "custom_payload",
    "first_received_at",
    "last_received_at",
    "final_at",
    "arrivals",
)
"""What is told of a message, in this order."""
_TIMES: Final = ("first_received_at", "last_received_at", "final_at")

_FORMULA: Final = re.compile(r"""[\s"'`\u200b-\u200d\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]""")
"""Beginnings by which a spreadsheet may take a cell for a formula (OWASP, "CSV Injection"): also behind quotes and
spaces, which some strip, and in full width."""
_NUMBER: Final = re.compile(rf"\+[0-9]{{1,15}}|\+[0-9]{{3}}{MASK}[0-9]{{4}}")
"""A phone number as E.164 writes it, or masked: only digits follow, so that as a formula it is the number."""


def values_of(row: MessageRow, *, masked: bool = False) -> dict[str, Any]:
    """A message as JSON tells it, times in ISO 8601 UTC; `masked` hides phone numbers, in the custom payload those
    under the usual names.
    """
    values = {name: getattr(row, name) for name in KEYS}
    values |= {name: iso(values[name]) for name in _TIMES}
    if masked:
        values["msisdn"] = None if row.msisdn is None else mask_number(row.msisdn)
        values["custom_payload"] = None if row.custom_payload is None else mask_numbers(row.custom_payload)
    return values


def json_line(value: Any) -> str:
    """JSON without a line break; what a terminal might obey is escaped, and means the same to who parses it."""
    text = msgspec.json.encode(value).decode()
    if not text.isprintable():
        text = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
        text = text.replace("\x7f", "\\u007f")
    return text


def header(form: Format) -> bytes:
    """What stands before the first message."""
    return _csv([KEYS]) if form == "csv" else b""


def lines_of(rows: Sequence[MessageRow], form: Format, *, masked: bool = False) -> bytes:
    """Messages as whole lines, in UTF-8."""
    values = [values_of(row, masked=masked) for row in rows]
    if form == "jsonl":
        return "".join(f"{json_line(one)}\n" for one in values).encode()
    return _csv([_cells(one) for one in values])


def _cells(values: Mapping[str, Any]) -> list[Any]:
    return [cell(" ".join(one) if isinstance(one, list) else one) for one in values.values()]


def cell(value: str | int | None) -> str | int | None:
    """A value as a cell of CSV. Take away the ``'`` of one that is dangerous without it, and it is the text."""
    if not isinstance(value, str):
        return value
    text = clean_cell(value)
    return f"'{text}" if is_dangerous(text) else text


def is_dangerous(text: str) -> bool:
    """Whether a spreadsheet might take a cell for a formula."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    # RFC 4180. That only text is quoted tells a reader that heeds it which digits are a number, and which are text.
    made = io.StringIO()
    csv.writer(made, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return made.getvalue().encode()
