"""The parsers that read what others wrote, as targets of a fuzzer: each takes any bytes, and says what must hold."""

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from msgspec import Struct
from seed_bodies import huge, kept, oracle

from hooklab.config import SettingsError, load
from hooklab.filters import FilterError, parse_filter, split_words
from hooklab.store.read import id_begins, word_begins
from hooklab.times import parse_reported, zone
from hooklab.wire import Elements, Misfit, NotAnArray, Report, check_array

Check = Callable[[bytes], bool]
"""Takes an input; gives whether it was understood, and raises where a promise is broken."""
_LIMIT: Final = 7
"""Elements of an array that are judged, so that many arrays have more."""
_NOW: Final = 1_795_000_000_000_000
_FIRST: Final = -62_135_596_800_000_000
_LAST: Final = 253_402_300_799_999_999
_ZONES: Final = [zone(name) for name in ("UTC", "Europe/Lisbon", "Pacific/Apia", "America/New_York")]


class Target(Struct, frozen=True):
    """A parser, inputs to begin with, and what is put into them."""

    prepare: Callable[[Path], Check]
    """Gives the check; the folder is for files that it needs."""
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]


def _body(_: Path) -> Check:
    def check(body: bytes) -> bool:
        """The receiver and the projector are of one mind: what is answered 200 can be split."""
        try:
            check_array(body)
        except NotAnArray as error:
            return _said(error, _refused(body))
        Elements(body, _LIMIT)
        return True

    return check


def _said(error: Exception, holds: object = True) -> bool:
    """False: it was not understood, and says so in words."""
    assert str(error)
    assert holds
    return False


def _refused(body: bytes) -> bool:
    try:
        Elements(body, _LIMIT)
    except NotAnArray:
        return True
    return False


def _wire(_: Path) -> Check:
    def check(body: bytes) -> bool:
        """No element is lost, and each is a report or is kept as it came."""
        try:
            elements = Elements(body, _LIMIT)
        except NotAnArray:
            assert oracle(body) is None
            return False
        wanted = oracle(body)
        assert wanted is not None
        judged = list(elements)
        beyond = 0 if elements.rest is None else len(oracle(elements.rest) or [])
        assert elements.count == len(wanted) == len(judged) + beyond
        for raw, one in zip(elements.raws, judged, strict=True):
            assert isinstance(one, Report) or (one.raw == raw and one.reason)
        return not all(isinstance(one, Misfit) for one in judged)

    return check


def _time(_: Path) -> Check:
    zones = itertools.cycle(_ZONES)

    def check(body: bytes) -> bool:
        """A time within the years that there are, or none."""
        value = parse_reported(body.decode(errors="surrogateescape"), next(zones))
        assert value is None or _FIRST <= value <= _LAST
        return value is not None

    return check


def _filter(_: Path) -> Check:
    store = sqlite3.connect(":memory:")
    store.executescript(resources.files("hooklab.store").joinpath("schema.sql").read_text(encoding="utf-8"))
    store.create_function("word_begins", 2, word_begins, deterministic=True)
    store.create_function("id_begins", 2, id_begins, deterministic=True)

    turns = itertools.count()

    def check(body: bytes) -> bool:
        """A condition that SQLite takes, in which no value is SQL; or an error of one line."""
        try:
            where = parse_filter(split_words(body.decode(errors="surrogateescape")), _NOW)
        except FilterError as error:
            return _said(error)
        if next(turns) % 8 == 0:  # it takes as long as all before
            store.execute(f"SELECT 1 FROM messages WHERE {where.sql}", {**where.values, "stuck_before": 0}).fetchall()
        return True

    return check


def _settings(place: Path) -> Check:
    file = place / "fuzz.toml"

    turns = itertools.count()

    def check(body: bytes) -> bool:
        """Settings or an error in words: from a file and, without NUL, from the environment, in turn."""
        environment, path = {"HOME": "/"}, None
        if next(turns) % 2:
            file.write_bytes(body)
            path = file
        else:
            name, _, value = body.decode(errors="surrogateescape").replace("\0", "").partition("=")
            environment[f"HOOKLAB_{name.strip().upper()}"] = value.strip().strip('"')
        try:
            load({}, environment, path).settings.host_and_port()
        except SettingsError as error:
            return _said(error)
        return True

    return check


_JSON: Final = [
    *[b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"null", b"true", b"NaN", b"-Infinity", b"1e400", b"-0"],
    *[b"\\ud800", b"\\udc00", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", b"9" * 400, b"[" * 300],
    *[b'"Status":"DELIVERED"', b'"MessageId":"5eed0000-0000-4000-8000-000000000001"', b'"TotalSegments":1', b" \n\t"],
    *[b'{"MessageId":"5eed0000-0000-4000-8000-000000000001","Status":"PENDING"}', b"[]"],
]  # fmt: skip
_BODIES: Final = [one.body for one in (*kept(), *huge())]
_TIMES: Final = [
    *[b"2026-11-22T09:31:02Z", b"2026-11-22 09:31:02.120+01:00", b"0001-01-01T00:00:00+23:59", b"2026-02-29T00:00Z"],
    *[b"9999-12-31T23:59:59.999999999-23:59", b"2026-03-29T01:30:00", b"2011-12-30T12:00:00", b"1763803862", b"now"],
    *["\u0662\u0660\u0662\u0666-11-22T09:31:02Z".encode(), b"2026-11-22T24:00:00", b"2026-11-22T09:31:60Z"],
]  # fmt: skip
_TIME_TOKENS: Final = [
    *[b"T", b"t", b" ", b"Z", b"z", b"+", b"-", b":", b".", b"00", b"99", b"0000", b"9999", b"-0000", b"1"],
    *["\u0663".encode(), b"\xff", b"\0", b"." + b"9" * 400, b"2", b"02", b"11"],
]  # fmt: skip
_FILTERS: Final = [
    *[b"state:pending is:stuck", b"to:351 org:6f1a", b'custom:"two words" desc:absent', b"since:1h", b"0508 absent"],
    *[b"id:5eed0000-0000-4000", b"since:2026-11-22T09:30 is:conflict", b"+351900 +", b"'; DROP TABLE messages; --"],
    *["\u0130stanbul \xdf \ufb01".encode(), b":f0 :stuck_before ?1", b"%_*[a-z]", b"a " * 399, b"x" * 9000, b'"'],
]  # fmt: skip
_FILTER_TOKENS: Final = [
    *[b"state:", b"is:", b"to:", b"org:", b"id:", b"since:", b"desc:", b"custom:", b"pending", b"late", b"7d", b"*"],
    *[b'"', b"'", b" ", b":", b"\\", b"%", b"--", b")", b"\0", b"\xff", b"9" * 400, b"999999d"],
    *["\xb2".encode(), "\u202e".encode()],
]  # fmt: skip
_TOML: Final = [
    *[b'bind = "127.0.0.1:8080"\n', b"max_body = 1_048_576\nmax_elements = 20000\n", b'allow = ["203.0.113.0/24"]\n'],
    *[b'stuck_after = "24h"\nassume_timezone = "Europe/Lisbon"\n', b"[table]\nx = 1\n", b"head_timeout = 1e400\n"],
    *[b'public_url = "https://hooks.example.com"\ntheme = "dark"\n', b"tls_key = '''\n/etc/x\n'''\n", b"a.b=nan"],
    *[b"disk_reserve = 0x1_0\n", b'token = "A-Za-z0-9_-A-Za-z0-9_-"\n', b"max_receiving = 2026-11-22T09:31:02Z\n"],
    *[b"max_fields=100", b"trusted_proxies=127.0.0.1, ::1", b"data_dir=~nobody/x", b"x = [[[{a=[]}]]]\n"],
]  # fmt: skip
_TOML_TOKENS: Final = [
    *[b"=", b"[", b"]", b"[[", b"{", b"}", b'"', b"'", b'"""', b"#", b"\n", b"\r\n", b".", b",", b"nan", b"-inf"],
    *[b"true", b"1e999", b"9" * 5000, b"\\u0000", b"\\ud800", b"\xff", b"\0", b"1979-05-27", b"a.a.a", b"[" * 300],
    *[b"bind", b"max_body", b"allow", b"theme", b"token", b"data_dir", b"tls_key", b"commit_timeout", b"0x", b"~"],
]  # fmt: skip
TARGETS: Final = {
    "body": Target(_body, _BODIES, _JSON),
    "wire": Target(_wire, _BODIES, _JSON),
    "time": Target(_time, _TIMES, _TIME_TOKENS),
    "filter": Target(_filter, _FILTERS, _FILTER_TOKENS),
    "settings": Target(_settings, _TOML, _TOML_TOKENS),
}
