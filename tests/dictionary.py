"""Trains the dictionary that the journal's batches are packed with: `python tests/dictionary.py FILE`.

It was done once, for `hooklab/journal/packing.dictionary`; another version of zstd may train another one, and another
one is another encoding (`packing.py`). The requests are made as Arpoone, and proxies before hooklab, make them.
Nothing in them is anybody's: chance gives ids, numbers and addresses, so that what they share is their form.
"""

import json
import random
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import zstandard

SEED: Final = 1
REQUESTS: Final = 4000
BYTES: Final = 4096
"""More of them pack no better: what requests have in common is not much."""
_LEVEL: Final = 1
_SECONDS: Final = 10 * 365 * 86_400
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_PENDING: Final = ("PENDING", "Message accepted by operator")
_OTHERS: Final = (
    ("DELIVERED", "Message delivered to handset"),
    ("NOT_DELIVERED", "Absent subscriber"),
    ("NOT_DELIVERED", "Unknown subscriber"),
    ("NOT_DELIVERED", "Message expired"),
    ("NOT_DELIVERED", "Rejected by operator"),
)
_AGENTS: Final = (
    "arpoone/1.0",
    "Java-http-client/17",
    "axios/1.7.2",
    "Go-http-client/1.1",
    "Apache-HttpClient/5.3",
)
_HOSTS: Final = ("127.0.0.1:8080", "localhost:8080", "hooks.example.com", "sms.example.org")


def request(chosen: random.Random) -> bytes:
    """Peer, headers and body of one request, as `Packer` puts them together."""
    organization = _uuid(chosen)
    elements: list[dict[str, Any]] = []
    while not elements or chosen.random() < 0.5:
        elements += _reports(chosen, organization)
    body = json.dumps(elements, separators=(",", ":") if chosen.random() < 0.7 else None)
    headers = [
        ["host", chosen.choice(_HOSTS)],
        ["user-agent", chosen.choice(_AGENTS)],
        ["accept", "*/*"],
        ["content-type", "application/json"],
        ["content-length", str(len(body))],
    ]
    peer = "127.0.0.1"
    if chosen.random() < 0.5:
        headers += [["x-forwarded-for", _address(chosen)], ["x-forwarded-proto", "https"]]
    else:
        peer = _address(chosen)
    return f"{peer}\n{json.dumps(headers)}\n{body}".encode()


def _reports(chosen: random.Random, organization: str) -> list[dict[str, Any]]:
    """One or two of a message."""
    said = [_PENDING, chosen.choice(_OTHERS)] if chosen.random() < 0.5 else [chosen.choice([_PENDING, *_OTHERS])]
    number = f"351{chosen.randrange(9 * 10**8, 10**9)}"
    message, custom, segments = _uuid(chosen), _custom(chosen), chosen.choice([1, 1, 1, 2, 3])
    at = _FIRST + timedelta(seconds=chosen.randrange(_SECONDS))
    return [
        {
            "Msisdn": number,
            "Status": status,
            "MessageId": message,
            "OrganizationId": organization,
            "ReportDescription": description,
            "ReportDateTime": f"{at + timedelta(seconds=chosen.randrange(600)):%Y-%m-%dT%H:%M:%SZ}",
            "TotalSegments": segments,
            "CustomPayload": custom,
        }
        for status, description in said
    ]


def _custom(chosen: random.Random) -> str | None:
    order = f"A-{chosen.randrange(1000, 10**5)}"
    kind = chosen.choice(["confirmation", "reminder", "code"])
    known = [None, "", _uuid(chosen), str(chosen.randrange(10**6))]
    return chosen.choice([*known, json.dumps({"order": order}), json.dumps({"order": order, "kind": kind})])


def _address(chosen: random.Random) -> str:
    return ".".join(str(chosen.randrange(256)) for _ in range(4))


def _uuid(chosen: random.Random) -> str:
    return str(uuid.UUID(int=chosen.getrandbits(128), version=4))


def trained() -> bytes:
    """The dictionary."""
    chosen = random.Random(SEED)
    requests: list[bytes | bytearray | memoryview[int]] = [request(chosen) for _ in range(REQUESTS)]
    return zstandard.train_dictionary(BYTES, requests, level=_LEVEL).as_bytes()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(trained())
