"""The filter words of the design's section 7, against a real store."""

import asyncio
import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from support import ORGANIZATION, report

from hooklab.filters import FilterError, parse_filter, split_words
from hooklab.journal.base import NewBatch
from hooklab.journal.sqlite import JournalLimits, SqliteJournal
from hooklab.projector import Projector
from hooklab.store.base import MessageRow
from hooklab.store.read import SqliteStoreReader
from hooklab.store.sqlite import SqliteStore
from hooklab.times import DAY, HOUR, MINUTE, parse_reported

_PARSED = parse_reported("2026-11-22T12:00:00Z", UTC)
assert _PARSED is not None
NOW = _PARSED
OTHER = "CBF27734-AC10-4525-8B66-402800E03D2C"
IDS = {
    "old": "11111111-aaaa-4111-8111-000000000001",
    "waiting": "22222222-bbbb-4222-8222-000000000002",
    "arrived": "33333333-cccc-4333-8333-000000000003",
    "failed": "44444444-dddd-4444-8444-000000000004",
    "both": "5555abcd-eeee-4555-8555-000000000005",
    "overtaken": "66666666-ffff-4666-8666-000000000006",
    "again": "77777777-abab-4777-8777-000000000007",
    "bare": "88888888-cdcd-4888-8888-000000000008",
    "odd": "99999999-dede-4999-8999-000000000009",
    "zeros": "00000000-0000-4000-8000-000000000000",
}
NAMES = {message_id: name for name, message_id in IDS.items()}
ODD_DESCRIPTION = "Straße 100%_x 'quoted' \"twice\" \\ \x1b[31m😀 Ação;DROP TABLE messages"
OLD = {
    "Msisdn": "351911111111",
    "ReportDescription": "Accepted by operator",
    "CustomPayload": '{"order": "A-1001"}',
}
AGAIN = [report(IDS["again"], "DELIVERED", Msisdn="49170000077", CustomPayload="again")]
ARRIVALS: list[tuple[int, list[dict[str, Any]]]] = [
    (NOW - 5 * DAY, [report(IDS["failed"], "NOT_DELIVERED", Msisdn="34600111222", CustomPayload="winter sale")]),
    (NOW - 3 * DAY, [report(IDS["old"], "PENDING", **OLD)]),
    (NOW - 26 * HOUR, [{"MessageId": IDS["bare"], "Status": "DELIVERED"}]),
    (NOW - 5 * HOUR, [report(IDS["both"], "DELIVERED", Msisdn="351955550000", OrganizationId=OTHER)]),
    (NOW - 4 * HOUR, [report(IDS["both"], "NOT_DELIVERED", Msisdn="351955550000", OrganizationId=OTHER)]),
    (NOW - 3 * HOUR, [report(IDS["overtaken"], "DELIVERED", Msisdn="351966660000", CustomPayload="x-order-66")]),
    (NOW - 2 * HOUR, [report(IDS["overtaken"], "PENDING", Msisdn="351966660000", CustomPayload="x-order-66")]),
    (NOW - 50 * MINUTE, AGAIN),
    (NOW - 45 * MINUTE, AGAIN),
    (NOW - 40 * MINUTE, [report(IDS["odd"], "DELIVERED", Msisdn="'--%", ReportDescription=ODD_DESCRIPTION)]),
    (NOW - 20 * MINUTE, [report(IDS["arrived"], "PENDING", Msisdn="351933334521", CustomPayload=None)]),
    (NOW - 19 * MINUTE, [report(IDS["arrived"], "DELIVERED", Msisdn="351933334521", CustomPayload=None)]),
    (NOW - 15 * MINUTE, [report(IDS["zeros"], "DELIVERED", Msisdn="1212", CustomPayload="zéro")]),
    (
        NOW - 10 * MINUTE,
        [
            report(
                IDS["waiting"],
                "PENDING",
                Msisdn="+351922224521",
                ReportDescription="Waiting for handset",
                CustomPayload="campaign:autumn",
            )
        ],
    ),
]
NEWEST_FIRST = ["waiting", "zeros", "arrived", "odd", "again", "overtaken", "both", "bare", "old", "failed"]
"""By the last arrival of each."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the real journal and projector made of `ARRIVALS`."""
    folder = tmp_path_factory.mktemp("filters")
    asyncio.run(_fill(folder))
    return folder / "store.db"


async def _fill(folder: Path) -> None:
    journal = await SqliteJournal.open(folder / "journal.db", JournalLimits(disk_reserve=0))
    store = await SqliteStore.open(folder / "store.db")
    try:
        for received_at, reports in ARRIVALS:
            body = json.dumps(reports).encode()
            await journal.append(NewBatch(received_at, 1, "127.0.0.1", None, "[]", body, malformed=False))
        await store.keep_settings(assume_timezone="UTC", stuck_after=str(DAY))
        await Projector(journal, store, assumed=UTC, max_elements=100).catch_up()
    finally:
        await journal.close()
        await store.close()


def rows_of(store: Path, *words: str, limit: int = 100) -> list[MessageRow]:
    """What the reader finds for these words at the moment `NOW`."""

    async def reading() -> list[MessageRow]:
        reader = await SqliteStoreReader.open(store, lambda: NOW)
        try:
            return await reader.messages(parse_filter(words, NOW), limit)
        finally:
            await reader.close()

    return asyncio.run(reading())


def found(store: Path, *words: str) -> list[str]:
    """The names of the messages that all of `words` let through."""
    return [NAMES[row.message_id] for row in rows_of(store, *words)]


ALL_BUT_OTHER = [name for name in NEWEST_FIRST if name not in {"both", "bare"}]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), NEWEST_FIRST),
        (("", "  "), NEWEST_FIRST),
        (("state:pending",), ["waiting", "old"]),
        (("state:PENDING",), ["waiting", "old"]),
        (("State:Pending",), ["waiting", "old"]),
        (("state:delivered",), ["zeros", "arrived", "odd", "again", "overtaken", "both", "bare"]),
        (("state:not_delivered",), ["failed"]),
        (("state:NOT-DELIVERED",), ["failed"]),
        (("is:stuck",), ["old"]),
        (("is:conflict",), ["both"]),
        (("is:late",), ["overtaken"]),
        (("is:repeated",), ["again"]),
        (("is:REPEATED",), ["again"]),
        (("to:351",), ["waiting", "arrived", "overtaken", "both", "old"]),
        (("to:+351",), ["waiting", "arrived", "overtaken", "both", "old"]),
        (("to:351933334521",), ["arrived"]),
        (("to:4521",), []),
        (("to:'--%",), ["odd"]),
        (("to:%",), []),
        (("to:_",), []),
        ((f"org:{ORGANIZATION}",), ALL_BUT_OTHER),
        (("org:6F1A3C1E",), ALL_BUT_OTHER),
        (("org:cbf27734-ac10",), ["both"]),
        (("org:CBF27734",), ["both"]),
        (("org:52a4",), []),
        (("id:5555",), ["both"]),
        (("id:5555ABCD",), ["both"]),
        (("id:5555abcdeeee",), ["both"]),
        (("id:5555abcd-eeee-4555-8555-000000000005",), ["both"]),
        (("id:5555abcd-eeee-4555-8555-000000000006",), []),
        (("id:0",), ["zeros"]),
        (("id:aaaa",), []),
        (("since:12m",), ["waiting"]),
        (("since:900s",), ["waiting", "zeros"]),
        (("since:899s",), ["waiting"]),
        (("since:1h",), ["waiting", "zeros", "arrived", "odd", "again"]),
        (("since:1H",), ["waiting", "zeros", "arrived", "odd", "again"]),
        (("since:3d",), [name for name in NEWEST_FIRST if name != "failed"]),
        (("since:4d",), [name for name in NEWEST_FIRST if name != "failed"]),
        (("since:999999d",), NEWEST_FIRST),
        (("since:0s",), []),
        (("since:2026-11-22",), ["waiting", "zeros", "arrived", "odd", "again", "overtaken", "both"]),
        (("since:2026-11-22T11:44",), ["waiting", "zeros"]),
        (("since:2026-11-22 11:44:59.999",), ["waiting", "zeros"]),
        (("since:2026-11-22T12:50:00+01:00",), ["waiting"]),
        (("since:2027-01-01",), []),
        (("desc:absent",), ["failed"]),
        (("desc:ABS",), ["failed"]),
        (("desc:bsent",), []),
        (("desc:handset",), ["waiting", "zeros", "arrived", "again", "overtaken", "both"]),
        (("desc:strasse",), ["odd"]),
        (("desc:ação",), ["odd"]),
        (("desc:%",), ["odd"]),
        (("desc:100%_x",), ["odd"]),
        (("desc:_x",), ["odd"]),
        (("desc:😀",), ["odd"]),
        (("custom:order",), ["odd", "overtaken", "both", "old"]),
        (("custom:4711",), ["odd", "both"]),
        (("custom:a-1001",), ["old"]),
        (("custom:zÉro",), ["zeros"]),
        (("custom:campaign:autumn",), ["waiting"]),
        (("4521",), ["waiting", "arrived"]),
        (("34521",), ["arrived"]),
        (("521",), []),
        (("351",), ["waiting", "arrived", "overtaken", "both", "old"]),
        (("+35192",), ["waiting"]),
        (("1212",), ["zeros"]),
        (("12",), ["zeros"]),
        (("autumn",), ["waiting"]),
        (("campaign:autumn",), ["waiting"]),
        (("winter",), ["failed"]),
        (("nter",), []),
        (("absent",), ["failed"]),
        (("5555abcd",), ["both"]),
        (("eeee",), ["both"]),
        (("abcd",), []),
        (("cdcd-4888",), ["bare"]),
        (("sale", "winter", "state:not_delivered", "to:34", "since:7d"), ["failed"]),
        (("sale", "state:delivered"), []),
        (("is:stuck", "state:delivered"), []),
        (("is:late", "is:repeated"), []),
        (("state:pending", "since:1h"), ["waiting"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_filter_word_lets_through_exactly_what_it_names(
    store: Path, words: tuple[str, ...], names: list[str]
) -> None:
    """Each word of the list means one thing, all words must hold, and what is found comes newest first."""
    assert found(store, *words) == names


def test_the_overlay_words_agree_with_the_flags(store: Path) -> None:
    """What `is:FLAG` finds are the messages that carry the flag, and no other; `state:` likewise."""
    rows = rows_of(store)
    assert len(rows) == len(IDS)
    for flag in ("stuck", "conflict", "late", "repeated"):
        assert rows_of(store, f"is:{flag}") == [row for row in rows if flag in row.flags]
    for state in ("pending", "delivered", "not_delivered"):
        assert rows_of(store, f"state:{state}") == [row for row in rows if row.state == state.upper()]


def test_a_limit_and_a_cursor_cut_the_list(store: Path) -> None:
    """`limit` gives the newest; the last row's cursor gives what follows, without gap or overlap."""
    assert [NAMES[row.message_id] for row in rows_of(store, limit=3)] == NEWEST_FIRST[:3]

    async def pages() -> list[str]:
        reader = await SqliteStoreReader.open(store, lambda: NOW)
        names: list[str] = []
        before: int | None = None
        try:
            while page := await reader.messages(parse_filter(["state:delivered"], NOW), 2, before):
                names += [NAMES[row.message_id] for row in page]
                before = page[-1].cursor
        finally:
            await reader.close()
        return names

    assert asyncio.run(pages()) == found(store, "state:delivered")


@pytest.mark.parametrize(
    "word",
    [
        "state:",
        "state:sent",
        "state:pending,delivered",
        "is:",
        "is:lost",
        "is:mismatch",
        "to:",
        "org:",
        "id:",
        "id:xyz",
        "id:" + "a" * 33,
        "since:",
        "since:yesterday",
        "since:2026-13-01",
        "since:1w",
        "since:-1h",
        "desc:",
        "custom:",
    ],
)
def test_a_wrong_word_is_named(store: Path, word: str) -> None:
    """A word that cannot be understood is an error that names the word, right ones beside it notwithstanding."""
    with pytest.raises(FilterError) as caught:
        parse_filter(["state:pending", word, "to:351"], NOW)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_no_encoding_holds_is_an_error_of_the_word() -> None:
    """A byte that the terminal's encoding does not have (a lone surrogate in Python) is named, not passed on."""
    for word in ("desc:\udcff", "\udcff", "to:\udcff", "since:\udcff", "org:\ud800"):
        with pytest.raises(FilterError, match="not valid text"):
            parse_filter([word], NOW)


HOSTILE = [
    "'",
    '"',
    "''",
    "' OR 1=1 --",
    "'; DROP TABLE messages; --",
    "\"; DELETE FROM messages WHERE '1'='1",
    ":f0",
    ":stuck_before",
    "?1",
    "%",
    "_",
    "%%%",
    "\\",
    "*",
    "[a-z]",
    "\0",
    "351\0",
    "a\0b",
    "\x1b[2J",
    "\u202e",
    "😀" * 50,
    "é" * 3,
    "İ",
    "x" * 100_000,
    "9" * 5_000,
    "٣٤٥",
    "²",
    "+",
    "-",
    "--",
    "/*",
    ")",
    ") OR (1",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value[:12]))
def test_a_hostile_value_is_only_ever_a_value(store: Path, value: str) -> None:
    """Whatever stands behind the colon or alone: it is searched for or refused by name, and never becomes SQL."""
    for prefix in ("", "state:", "is:", "to:", "org:", "id:", "since:", "desc:", "custom:"):
        try:
            rows = rows_of(store, prefix + value)
        except FilterError:
            assert prefix in {"state:", "is:", "id:", "since:"}
            continue
        assert all(_holds(row, prefix, value.strip()) for row in rows)
    assert found(store) == NEWEST_FIRST


def _holds(row: MessageRow, prefix: str, value: str) -> bool:
    """Whether what a word looks for is there at all; where in the text is another test's matter."""
    number = (row.msisdn or "").removeprefix("+")
    texts = [(row.description or "").casefold(), (row.custom_payload or "").casefold()]
    wanted = value.casefold()
    if prefix == "desc:":
        return wanted in texts[0]
    if prefix == "custom:":
        return wanted in texts[1]
    if prefix == "to:":
        return number.startswith(value.removeprefix("+"))
    if prefix == "id:":
        return not value.strip("-")
    if prefix == "org:":
        return False
    return any(wanted in text for text in [*texts, row.message_id])


def test_hostile_text_in_the_data_is_found_as_it_stands(store: Path) -> None:
    """Quotes, percent, underscore, backslash and an escape in a description are ordinary characters to look for."""
    for value in ("'quoted'", '"twice"', "\\", "\x1b[31m", "%_x", "drop table messages", ";drop"):
        assert found(store, f"desc:{value}") == ["odd"]


@pytest.mark.parametrize("count", [40, 399])
def test_many_words_are_one_condition(store: Path, count: int) -> None:
    """Forty words, ten times that too, all must hold; one that does not empties the list."""
    words = ["absent", "winter", "to:34", "state:not_delivered", "since:7d", "desc:abs", "id:4444", "custom:sale"]
    many = (words * count)[:count]
    assert found(store, *many) == ["failed"]
    assert found(store, *many, "autumn") == []


def test_too_many_words_are_refused_by_their_number() -> None:
    """SQLite takes no endless conditions: the error says how many go together."""
    with pytest.raises(FilterError, match="401 filter words are too many; at most 400"):
        parse_filter(["x"] * 401, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  state:pending   0123 ", ["state:pending", "0123"]),
        ('custom:"order 4711" x', ["custom:order 4711", "x"]),
        ("desc:can't #1 back\\slash", ["desc:can't", "#1", "back\\slash"]),
    ],
)
def test_a_line_is_split_at_spaces_outside_of_quotes(text: str, words: list[str]) -> None:
    """Double quotes keep a space within a word; nothing else means anything."""
    assert split_words(text) == words


def test_an_open_quote_is_said() -> None:
    """A quote that is not closed is an error that shows how."""
    with pytest.raises(FilterError, match="double quote is not closed"):
        split_words('custom:"order')
