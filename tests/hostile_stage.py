"""A real service that was sent every hostile string in every field, and what the tests on it share."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from hostile import BODIES, HOSTILE, harmful
from support import Report, RunningService, report
from textual.app import App

FAR: Final = 1_000_000
"""More lines and rows than there are."""
NAMES: Final = list(HOSTILE)
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,64}")
_HTTP: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Bytes that no HTTP server takes in a header's value."""
_OTHERS: Final = ("Msisdn", "OrganizationId", "TotalSegments", "CustomPayload")
_SHORT: Final = 2_000
ROOM: Final = {"HOOKLAB_MAX_BODY": str(8 * 1024 * 1024)}
"""A string of 64 KB is six times as long where JSON escapes it, and stands in ten fields."""


def message_of(name: str, kind: int = 0) -> str:
    """The id under which a hostile string is reported; of `kind` 1 is the one that stays pending."""
    return f"00000000-0000-4000-8000-{kind:04}{NAMES.index(name):08}"


def name_of(message_id: str) -> str:
    """The other way round."""
    return NAMES[int(message_id[-8:])]


def _reports(name: str) -> list[Report]:
    text = HOSTILE[name]
    fields: dict[str, Any] = dict.fromkeys(
        ("Msisdn", "OrganizationId", "ReportDescription", "ReportDateTime", "TotalSegments", "CustomPayload"), text
    )
    final = {**fields, "CustomPayload": "", "OrganizationId": None, "TotalSegments": None, text: text}
    if len(text) > _SHORT:
        final |= {"Msisdn": None, text: 1}
    return [
        {**report(message_of(name), "PENDING"), **fields},
        {**report(message_of(name), "DELIVERED"), **final},
        # Of most fields the greatest value counts, so that a third one is not to be in the way.
        {**report(message_of(name), "NOT_DELIVERED", ReportDescription=f"a{text}b"), **dict.fromkeys(_OTHERS)},
        report(message_of(name, 1), "PENDING", Msisdn=f"+351{text}", CustomPayload=f'{{"{text}": "{text}"}}'),
    ]


def _misfits(name: str) -> list[Any]:
    text = HOSTILE[name]
    return [
        text,
        report(message_of(name, 3), text),
        {**report(message_of(name, 4)), "MessageId": text},
        {text: text, "MessageId": [text], "Status": {text: text}},
        report(message_of(name, 2), CustomPayload={text: [text]}, OrganizationId=[text], ReportDescription={}),
    ]


def _json(value: Any, *, escaped: bool) -> bytes:
    """As JSON; what has to be escaped is, the rest where `escaped` says so."""
    text = json.dumps(value, ensure_ascii=escaped)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _headers(text: str) -> dict[str, str]:
    value = _HTTP.sub(b"", text.encode(errors="surrogatepass"))[:900].decode("latin-1")
    return {name: value for name in ("User-Agent", "Via", "X-Forwarded-For") if value.strip()}


class Fed(NamedTuple):
    """A folder whose service was sent everything.

    Attributes:
        senders: by batch (the first is batch 1), the name of what it holds.
        retries: the batches whose body is that of the one before.
    """

    folder: Path
    senders: list[str]
    retries: set[int]

    def name_of_batch(self, number: int) -> str:
        """What a batch holds."""
        return self.senders[number - 1]

    def is_whole(self, number: int) -> bool:
        """Whether a batch's body is a string or odd bytes and nothing else."""
        name = self.name_of_batch(number)
        return name not in HOSTILE or number == self.last_known(name) + 2

    def last_known(self, name: str) -> int:
        """The last batch with the reports on a string."""
        first = self.senders.index(name) + 1
        return first + 1 if first + 1 in self.retries else first


def feed(service: RunningService) -> Fed:
    """Posts every string in every place that one can come from, and waits until all is in the store."""
    senders: list[str] = []
    retries: set[int] = set()

    def post(name: str, body: bytes, label: str | None = None) -> None:
        code, said = service.post(body, label, **_headers(HOSTILE.get(name, "")))
        assert code in {200, 400}, f"{name}: {code} {said!r}"
        senders.append(name)

    for name, text in HOSTILE.items():
        known = _json(_reports(name), escaped=False)
        label = text if _LABEL.fullmatch(text) else "pending"
        post(name, known, label)
        if len(text) <= _SHORT:
            post(name, known, label)
            retries.add(len(senders))
        post(name, _json(_misfits(name), escaped=len(text) > _SHORT))
        post(name, text.encode(errors="surrogatepass"))
    for name, body in BODIES.items():
        post(name, body)
    counters = service.settled()
    assert counters["batches"] + counters["refused"]["400"] == len(senders)
    assert counters["messages"] >= 2 * 60
    assert counters["quarantined"] >= 4 * len(HOSTILE)
    return Fed(service.data_dir, senders, retries)


@contextmanager
def about(what: str) -> Iterator[None]:
    """A failure inside says what it is about."""
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        error.add_note(f"this happened with {what}")
        raise


def harmless(app: App[Any], what: str) -> None:
    """The app runs, and what is on its screen does nothing to a terminal and fits it exactly."""
    assert app._exception is None, f"{what}: the app failed with {app._exception!r}"
    assert app.is_running, f"{what}: the app has ended"
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    assert len(strips) == height, what
    for strip in strips:
        assert strip.cell_length == width, f"{what}: {strip.cell_length} cells in {strip.text!a}"
        for text, style, control in strip:
            assert not control, f"{what}: control {control}"
            assert style is None or not style.link, f"{what}: a link in {text!a}"
            assert not harmful(text), f"{what}: {harmful(text)} in {text!a}"
