"""Arrays, elements and the identity of a report, as they come over the wire (design, section 4)."""

import json
import random
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seed_bodies import oracle

from hooklab import wire
from hooklab.wire import FIELDS, STATUSES, Elements, Misfit, NotAnArray, Report, check_array, split_array

MESSAGE = "0f0e7b5e-3f6c-4a2b-9c1d-1a2b3c4d5e6f"
ORGANIZATION = "7c0e1f3a-5b2d-4e6f-8a9b-0c1d2e3f4a5b"
GOOD = {
    "Msisdn": '"351900000001"',
    "Status": '"DELIVERED"',
    "MessageId": f'"{MESSAGE}"',
    "OrganizationId": f'"{ORGANIZATION}"',
    "ReportDescription": '"Message delivered to handset"',
    "ReportDateTime": '"2026-11-20T09:31:02Z"',
    "TotalSegments": "1",
    "CustomPayload": '"{}"',
}
"""A documented element: each field with its raw JSON."""

ATTRIBUTES = {
    "Msisdn": "msisdn",
    "OrganizationId": "organization_id",
    "ReportDescription": "description",
    "ReportDateTime": "reported_at",
    "TotalSegments": "total_segments",
    "CustomPayload": "custom_payload",
}
"""The fields that an element may lack, and where a report has them."""


def raw_of(**changes: str | None) -> bytes:
    """The good element with some fields' raw JSON changed; None takes a field out."""
    fields = {**GOOD, **changes}
    return ("{" + ",".join(f'"{name}":{raw}' for name, raw in fields.items() if raw is not None) + "}").encode()


def judge(raw: bytes) -> Report | Misfit:
    """What an element is when it is alone in its array."""
    elements = Elements(b"[" + raw + b"]", 10)
    assert elements.count == len(elements) == 1
    return elements[0]


def report_of(raw: bytes) -> Report:
    """The same, where it must be a report."""
    judged = judge(raw)
    assert isinstance(judged, Report), judged
    return judged


def misfit_of(raw: bytes) -> Misfit:
    """The same, where it must be a misfit."""
    judged = judge(raw)
    assert isinstance(judged, Misfit), judged
    return judged


def every_way(raw: bytes) -> list[Report | Misfit]:
    """One element decoded on every path that there is."""
    good = raw_of()
    return [
        judge(raw),
        Elements(b"[" + raw + b"," + good + b"]", 10)[0],  # beside a documented one
        Elements(b"[1," + raw + b"]", 10)[1],  # beside one that is no object: element by element
        Elements(b'["\\ud800",' + raw + b"]", 10)[1],  # beside one that msgspec cannot split: Python's json
        Elements(b"\xef\xbb\xbf[ " + raw + b"\n]", 10)[0],
        wire._decode_leniently(raw),
    ]


# --- arrays --------------------------------------------------------------------------------------------------

ARRAYS: dict[str, tuple[bytes, int]] = {
    "empty": (b"[]", 0),
    "empty, with spaces": (b" \t\r\n[ \t\r\n] \t\r\n", 0),
    "byte order mark": (b"\xef\xbb\xbf[1,2]", 2),
    "non-objects": (b'[1,"a",null,true,false,[],1.5e-3]', 7),
    "NaN and infinities": (b"[NaN,Infinity,-Infinity,1]", 4),
    "a number beyond any float": (b"[1e999,-1e-999]", 2),
    "an integer that Python would not convert": (b"[" + b"9" * 5000 + b"]", 1),
    "the same beside a lone surrogate": (b"[" + b"9" * 5000 + b',"\\ud800"]', 2),
    "minus zero": (b"[-0,-0.0]", 2),
    "lone high surrogate": (b'["\\ud800"]', 1),
    "lone low surrogate": (b'["\\udc00"]', 1),
    "surrogates the wrong way round": (b'["\\udc00\\ud800"]', 1),
    "surrogate pair": (b'["\\ud83d\\ude00"]', 1),
    "encoded surrogate": (b'["\xed\xa0\x80"]', 1),
    "bad UTF-8 in a string": (b'["\xff",{"a":"\xc3"}]', 2),
    "raw control characters in a string": (b'["a\x01b","c\nd"]', 2),
    "brackets and commas in strings": (b'["],[","}{","\\"]"]', 3),
    "duplicate keys": (b'[{"a":1,"a":2}]', 1),
}

NOT_ARRAYS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "white space": (b" \r\n", "empty"),
    "object": (b' {"a":[]} ', "an object"),
    "object with a lone surrogate": (b'{"a":"\\ud800"}', "an object"),
    "string": (b'"[]"', "a string"),
    "number": (b"-12", "a number"),
    "true": (b"true", "true"),
    "false": (b"false", "false"),
    "null": (b"null", "null"),
    "open": (b"[1,2", "not JSON"),
    "only a bracket": (b"[", "not JSON"),
    "closed twice": (b"[1]]", "not JSON"),
    "two arrays": (b"[1] [2]", "not JSON"),
    "JSON lines": (b"[1]\n[2]\n", "not JSON"),
    "comma at the end": (b"[1,]", "not JSON"),
    "comma at the beginning": (b"[,1]", "not JSON"),
    "comment": (b"[1] // one", "not JSON"),
    "single quotes": (b"['a']", "not JSON"),
    "leading zero": (b"[01]", "not JSON"),
    "bare plus": (b"[+1]", "not JSON"),
    "no digits after the point": (b"[1.]", "not JSON"),
    "unknown escape": (b'["\\q"]', "not JSON"),
    "short escape": (b'["\\u12"]', "not JSON"),
    "half a word": (b"[tru]", "not JSON"),
    "no comma": (b'[{"a":1 "b":2}]', "not JSON"),
    "form": (b"Status=DELIVERED&MessageId=1", "not JSON"),
    "XML": (b"<reports/>", "not JSON"),
    "bad UTF-8 outside a string": (b"[\xff]", "not JSON"),
    "UTF-16": ("[1]".encode("utf-16"), "not JSON"),
    "NUL before": (b"\0[]", "not JSON"),
    "NUL after": (b"[]\0", "not JSON"),
    "no-break space": (b"\xc2\xa0[]", "not JSON"),
    "form feed": (b"\x0c[]", "not JSON"),
    "nested beyond any parser": (b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    "nested and never closed": (b"[" * 200_000, "nested too deeply"),
    "objects nested beyond any parser": (b'[{"a":' * 5000, "nested too deeply"),
}


@pytest.mark.parametrize(("body", "count"), list(ARRAYS.values()), ids=list(ARRAYS))
def test_an_array_is_taken_whatever_its_elements_are(body: bytes, count: int) -> None:
    """What is an array by its structure goes through, and is split into as many elements as it has."""
    check_array(body)
    assert len(split_array(body)) == count
    elements = Elements(body, 100)
    assert elements.count == len(elements) == len(list(elements)) == len(elements.raws) == count
    assert elements.rest is None


@pytest.mark.parametrize(("body", "said"), list(NOT_ARRAYS.values()), ids=list(NOT_ARRAYS))
def test_what_is_not_an_array_is_named(body: bytes, said: str) -> None:
    """What is not JSON, or not an array, is refused by all three doors alike, in words that say what was found."""
    doors: list[Callable[[bytes], object]] = [check_array, split_array, lambda body: Elements(body, 10)]
    for door in doors:
        with pytest.raises(NotAnArray, match=said):
            door(body)


def test_splitting_gives_the_bytes_as_sent() -> None:
    """Each element keeps its own bytes, bad UTF-8 and odd spacing inside it included, on both paths."""
    wanted = [b'{"a" : 1, "b":[ ]}', b'"\xff"', b"-0", b'"\\u0041"']
    fast = b"[ " + b" ,\n".join(wanted) + b" ]"
    assert split_array(fast) == wanted
    assert split_array(b'["\\ud800", ' + fast[1:]) == [b'"\\ud800"', *wanted]


def deeper(frames: int, then: Callable[[], Any]) -> Any:
    """Calls `then` from further down the stack."""
    return deeper(frames - 1, then) if frames else then()


@pytest.mark.parametrize("opener", [b"[", b'{"a":'])
@pytest.mark.parametrize("beside", [b"", b',"\\ud800"'])
def test_what_is_let_through_can_be_split_on_another_stack(opener: bytes, beside: bytes) -> None:
    """However deep an array nests: if it was let through, it can be read from 60 calls further down as well."""
    closer = b"]" if opener == b"[" else b"}"
    taken = 0
    for depth in range(500, 1000, 3):
        body = b"[" + opener * depth + b"1" + closer * depth + beside + b"]"
        try:
            check_array(body)
        except NotAnArray:
            continue
        taken += 1
        elements = deeper(60, lambda body=body: Elements(body, 10))  # type: ignore[misc]
        assert elements.count == 1 + bool(beside)
    assert taken > 10


def test_how_deep_an_element_may_nest_does_not_depend_on_the_stack() -> None:
    """An element of 256 levels is a report, one of 257 is not, wherever the call comes from.

    Brackets in strings and brackets side by side are no levels.
    """

    def nested(levels: int) -> bytes:
        return raw_of(Extra="[" * (levels - 1) + "]" * (levels - 1))

    for frames in (0, 300):
        assert isinstance(deeper(frames, lambda: judge(nested(256))), Report)
        assert isinstance(deeper(frames, lambda: judge(nested(257))), Misfit)
    assert "nested too deeply" in misfit_of(nested(257)).reason
    report_of(raw_of(Extra="[" + "[]," * 600 + "0]"))
    report_of(raw_of(ReportDescription='"' + '[\\"{' * 600 + '"', Extra="1"))


# --- the limit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [b"", b',"\\ud800"', b",7"])
def test_elements_beyond_the_limit_are_kept_as_one_rest(odd: bytes) -> None:
    """Only `limit` elements are judged; the others are kept as a JSON array of their raw bytes; all are counted."""
    raws = [raw_of(ReportDescription=f'"{n}"') for n in range(7)]
    body = b"[" + b",".join(raws) + odd + b"]"
    total = 8 if odd else 7
    elements = Elements(body, 3)
    assert elements.count == total
    assert len(elements) == len(list(elements)) == 3
    assert [one.description for one in elements if isinstance(one, Report)] == ["0", "1", "2"]
    assert elements.rest == b"[" + b",".join(raws[3:]) + odd + b"]"
    assert len(split_array(elements.rest)) + len(elements) == elements.count
    assert elements.raws == split_array(body)[: len(elements)]


@pytest.mark.parametrize("at_most", [pytest.param(1, id="to check it"), pytest.param(100, id="to split it")])
def test_many_tiny_elements_take_little_memory(at_most: int) -> None:
    """To see that it is an array nothing is made of it; to split it each takes 70 bytes, and no copy of itself."""
    body = b"[" + b"0," * 200_000 + b"0]"
    tracemalloc.start()
    try:
        check_array(body) if at_most == 1 else Elements(body, 10)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / 200_000 < at_most


@pytest.mark.parametrize("limit", [7, 8, 10_000])
def test_a_limit_that_is_not_exceeded_leaves_no_rest(limit: int) -> None:
    """An array of exactly the limit is judged whole."""
    elements = Elements(b"[" + b",".join([raw_of()] * 7) + b"]", limit)
    assert (elements.count, len(elements), elements.rest) == (7, 7, None)


def test_nothing_beyond_the_limit_can_be_asked_for() -> None:
    """An index beyond the judged elements is an IndexError, as for any sequence."""
    for body in (b"[" + b",".join([raw_of()] * 3) + b"]", b"[1,2,3]"):
        with pytest.raises(IndexError):
            Elements(body, 2)[2]


# --- what an element needs ---------------------------------------------------------------------------------------


def test_a_documented_element_is_taken_over_as_it_is() -> None:
    """All eight fields arrive in the report; nothing is extra."""
    report = report_of(raw_of())
    assert report == Report(
        message_id=bytes.fromhex(MESSAGE.replace("-", "")),
        status=wire.DELIVERED,
        digest=report.digest,
        reported_at="2026-11-20T09:31:02Z",
        description="Message delivered to handset",
        msisdn="351900000001",
        organization_id=ORGANIZATION,
        total_segments=1,
        custom_payload="{}",
        extra=None,
    )
    assert len(report.digest) == 8


def test_the_digest_of_a_known_report_never_changes() -> None:
    """The digest is kept on disk: another way of computing it would make every repeat a new report."""
    assert report_of(raw_of()).digest.hex() == "00f565a18770b71a"
    odd = report_of(raw_of(CustomPayload=None, Msisdn="null", TotalSegments="-0"))
    assert odd.digest.hex() == "914567ea0e5f2515"


@pytest.mark.parametrize(("code", "name"), list(enumerate(STATUSES)))
def test_the_three_states_are_understood(code: int, name: str) -> None:
    """PENDING, DELIVERED and NOT_DELIVERED are what a Status may be."""
    assert report_of(raw_of(Status=f'"{name}"')).status == code


def test_only_message_id_and_status_are_needed() -> None:
    """An element without the six others is a report that knows nothing else."""
    report = report_of(raw_of(**dict.fromkeys(ATTRIBUTES)))
    assert [getattr(report, attribute) for attribute in ATTRIBUTES.values()] == [None] * 6
    assert report.extra is None


MISFITS: dict[str, tuple[bytes, str]] = {
    "number": (b"1", "not an object"),
    "string": (b'"DELIVERED"', "not an object"),
    "null": (b"null", "not an object"),
    "array": (b"[{}]", "not an object"),
    "empty object": (b"{}", "MessageId is missing"),
    "no MessageId": (raw_of(MessageId=None), "MessageId is missing"),
    "null MessageId": (raw_of(MessageId="null"), "MessageId is null"),
    "number as MessageId": (raw_of(MessageId="17"), "MessageId is not a UUID: 17"),
    "other MessageId": (raw_of(MessageId='"SMS-17"'), "MessageId is not a UUID: 'SMS-17'"),
    "empty MessageId": (raw_of(MessageId='""'), "MessageId is not a UUID: ''"),
    "no Status": (raw_of(Status=None), "Status is missing"),
    "null Status": (raw_of(Status="null"), "Status is null"),
    "unknown Status": (raw_of(Status='"EXPIRED"'), "Status is not one of .*: 'EXPIRED'"),
    "lower-case Status": (raw_of(Status='"delivered"'), "Status is not one of"),
    "Status with a space": (raw_of(Status='"DELIVERED "'), "Status is not one of"),
    "number as Status": (raw_of(Status="1"), "Status is not one of .*: 1"),
    "field names in another case": (raw_of().replace(b"MessageId", b"messageId"), "MessageId is missing"),
    "lone surrogate": (raw_of(ReportDescription='"a\\ud800b"'), "not valid JSON"),
    "lone surrogate in an unknown field": (raw_of(Other='{"x":"\\udfff"}'), "not valid JSON"),
    "raw control character": (raw_of(ReportDescription='"a\x1bb"'), "not valid JSON"),
    "NaN": (raw_of(TotalSegments="NaN"), "not valid JSON"),
    "Infinity": (raw_of(Other="[-Infinity]"), "not valid JSON"),
    "bad UTF-8": (raw_of(ReportDescription='"a?b"').replace(b"a?b", b"a\xffb"), "not valid UTF-8"),
    "bad UTF-8 in an unknown field": (
        raw_of(Other='["a?b"]').replace(b"a?b", b"\xc0\x80"),
        "not valid UTF-8",
    ),
    "bad UTF-8 in a field name": (raw_of(Oth="1").replace(b"Oth", b"\xed\xa0\x80"), "not valid UTF-8"),
    "e-mail event": (b'{"EventType":"open","Email":"a@example.com","MessageId":"x","Time":1}', "not a UUID"),
}


@pytest.mark.parametrize(("raw", "said"), list(MISFITS.values()), ids=list(MISFITS))
def test_an_element_that_cannot_be_understood_is_quarantined_alone(raw: bytes, said: str) -> None:
    """A misfit keeps its bytes and says why, the same on every path; its neighbours are understood."""
    elements = Elements(b"[" + b",".join([raw_of(), raw, raw_of(Msisdn='"2"')]) + b"]", 10)
    first, bad, last = elements
    assert isinstance(first, Report)
    assert isinstance(last, Report)
    assert isinstance(bad, Misfit)
    assert bad.raw == raw
    for misfit in every_way(raw):
        assert misfit == bad
    assert re.search(said, bad.reason), bad.reason


def test_a_reason_quotes_only_the_beginning() -> None:
    """Of a value that is megabytes long a reason quotes a little."""
    assert len(misfit_of(raw_of(MessageId='"' + "x" * 100_000 + '"')).reason) < 200
    assert len(misfit_of(raw_of(Status="9" * 100_000)).reason) < 200


UUIDS: dict[str, bool] = {
    MESSAGE: True,
    MESSAGE.upper(): True,
    MESSAGE[:18].upper() + MESSAGE[18:]: True,
    MESSAGE.replace("-", ""): True,
    "00000000-0000-0000-0000-000000000000": True,
    "{" + MESSAGE + "}": False,
    "urn:uuid:" + MESSAGE: False,
    " " + MESSAGE: False,
    MESSAGE + "\n": False,
    MESSAGE[:-1]: False,
    MESSAGE + "0": False,
    MESSAGE[:-1] + "g": False,
    MESSAGE.replace("-", "_"): False,
    MESSAGE.replace("-", " "): False,
    MESSAGE[:-2] + "  ": False,
    MESSAGE.replace("-", "")[:-2] + "  ": False,
    MESSAGE[:-1] + "\u0661": False,
    MESSAGE[:-1] + "\uff11": False,
    "0f0e7b5e3-f6c-4a2b-9c1d-1a2b3c4d5e6f": False,
    "-" * 32: False,
    "-" * 36: False,
}


@pytest.mark.parametrize(("text", "right"), list(UUIDS.items()))
def test_a_message_id_is_a_uuid_in_any_letter_case(text: str, right: bool) -> None:
    """Upper and lower case, with all four hyphens or without any, are one message; nothing else is a UUID."""
    judged = judge(raw_of(MessageId=json.dumps(text)))
    assert isinstance(judged, Report) is right
    if right and not text.startswith("0000"):
        assert isinstance(judged, Report)
        assert wire.format_uuid(judged.message_id) == MESSAGE


@given(st.uuids())
def test_uuids_make_the_round_trip(value: Any) -> None:
    """A UUID's text is read and written as Python's own uuid does."""
    assert wire.parse_uuid(str(value)) == wire.parse_uuid(str(value).upper()) == value.bytes
    assert wire.format_uuid(value.bytes) == str(value)


ODD = ["null", "true", "false", "[]", "{}", '["a"]', '{"a":1}', "1.5", "-1.0", "1e400", "-0.0"]
ODD_FOR_TEXT = [*ODD, "0", "7", "-0", "9" * 400]
ODD_FOR_SEGMENTS = [*ODD, "1.0", "1e0", "-1", "2147483648", "9" * 400, '""', '"1"', '"a\\u0001"']


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        (field, raw)
        for field in ATTRIBUTES
        for raw in (ODD_FOR_SEGMENTS if field == "TotalSegments" else ODD_FOR_TEXT)
    ],
)
def test_a_wrong_value_counts_as_missing_and_is_kept_raw(field: str, raw: str) -> None:
    """Null, another type, or out of range: the report is stored without it, its raw JSON goes to `extra`."""
    report = report_of(raw_of(**{field: raw}))
    assert getattr(report, ATTRIBUTES[field]) is None
    assert report.extra == f'{{"{field}":{raw}}}'
    for other, attribute in ATTRIBUTES.items():
        assert (getattr(report, attribute) is None) is (other == field)


@pytest.mark.parametrize(("raw", "value"), [("0", 0), ("-0", 0), ("1", 1), ("255", 255), ("2147483647", 2**31 - 1)])
def test_a_whole_number_of_segments_is_taken(raw: str, value: int) -> None:
    """Zero (also -0) up to 2,147,483,647 is a number of segments."""
    report = report_of(raw_of(TotalSegments=raw))
    assert (report.total_segments, report.extra) == (value, None)


def test_a_number_that_python_would_not_convert_is_out_of_range() -> None:
    """Thousands of digits are no number of segments; the report is stored and the digits are kept."""
    digits = "9" * 5000
    for way in every_way(raw_of(TotalSegments=digits)):
        assert isinstance(way, Report)
        assert (way.total_segments, way.extra) == (None, f'{{"TotalSegments":{digits}}}')


def test_unknown_fields_are_kept_and_are_no_part_of_the_identity() -> None:
    """What the provider adds one day is stored raw with the report; the same report without it is a repeat."""
    plain = report_of(raw_of())
    richer = report_of(raw_of(Mcc='"268"', Info='{"b": [1, 2.50] , "a":null}'))
    assert richer.extra == '{"Mcc":"268","Info":{"b": [1, 2.50] , "a":null}}'
    assert richer.digest == plain.digest
    assert richer.description == plain.description


def test_of_duplicate_keys_the_last_counts_on_every_path() -> None:
    """One element with a key twice is one report with one digest, however it is decoded."""
    twice = raw_of()[:-1] + b',"ReportDescription":"second","TotalSegments":5}'
    wanted = report_of(raw_of(ReportDescription='"second"', TotalSegments="5"))
    assert every_way(twice) == [wanted] * 6
    odd_first = b'{"TotalSegments":"x","Msisdn":7,' + raw_of()[1:]
    assert every_way(odd_first) == [report_of(raw_of())] * 6


def test_control_and_astral_characters_in_escapes_are_text() -> None:
    """An escaped NUL, ESC and an emoji written as two escapes are valid text and arrive as they are."""
    report = report_of(raw_of(ReportDescription='"a\\u0000\\u001b\\ud83d\\ude00"'))
    assert report.description == "a\0\x1b\U0001f600"


# --- identity --------------------------------------------------------------------------------------------------

DIFFERENT = [None, "null", '""', '"null"', '"1"', "1", "1.0", "1e0", "true", '"true"', "false", "[]", "{}"]
DIFFERENT += [
    "0",
    "-0",
    "0.0",
    "-0.0",
    '"0"',
    '" "',
    '"1 "',
    "[1]",
    "[ 1]",
    '"s1:1"',
    "10",
    "1" * 40,
    "1" * 41,
]


@pytest.mark.parametrize("field", list(ATTRIBUTES))
def test_values_that_differ_make_reports_that_differ(field: str) -> None:
    """Missing, null, empty and every other type and spelling of a number are told apart, in each of the fields."""
    digests = {report_of(raw_of(**{field: raw})).digest for raw in DIFFERENT}
    assert len(digests) == len(DIFFERENT)


def test_two_spellings_of_one_value_are_two_reports() -> None:
    """The identity takes text as sent: another spelling of a time or a UUID is another report of one message."""
    plain = report_of(raw_of())
    times = report_of(raw_of(ReportDateTime='"2026-11-20T09:31:02+00:00"'))
    upper = report_of(raw_of(MessageId=f'"{MESSAGE.upper()}"'))
    assert len({plain.digest, times.digest, upper.digest}) == 3
    assert plain.message_id == times.message_id == upper.message_id


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    """The parts of an identity are length-prefixed: what ends one field never reads as the beginning of another."""
    pairs = [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("as1:b", "c"), ("a", "s1:bc")]
    digests = {
        report_of(raw_of(OrganizationId=json.dumps(one), ReportDescription=json.dumps(other))).digest
        for one, other in pairs
    }
    assert len(digests) == len(pairs)


def spell_text(text: str, dice: random.Random) -> str:
    """A JSON string of `text`, each character in one of its possible spellings."""
    short = {
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        "\t": "\\t",
        "\r": "\\r",
        "\b": "\\b",
        "\f": "\\f",
        "/": "\\/",
    }
    spelled = []
    for char in text:
        units = char.encode("utf-16-be")
        escape = "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
        if dice.random() < 0.5:
            escape = escape.upper().replace("\\U", "\\u")
        choices = [escape]
        if char in short:
            choices.append(short[char])
        if char not in '"\\' and char >= " ":
            choices.extend([char] * 4)
        spelled.append(dice.choice(choices))
    return '"' + "".join(spelled) + '"'


def spell(fields: dict[str, str | bytes], dice: random.Random) -> bytes:
    """A JSON object of `fields` (str: a text; bytes: raw JSON) in some order, spacing and spelling."""

    def gap() -> str:
        return dice.choice(["", "", "", " ", "\n", "\t \r\n"])

    members = [
        gap() + spell_text(name, dice) + gap() + ":" + gap()
        + (spell_text(value, dice) if isinstance(value, str) else value.decode()) + gap()
        for name, value in dice.sample(list(fields.items()), len(fields))
    ]  # fmt: skip
    return ("{" + ",".join(members) + "}").encode()


_odd = st.sampled_from([raw.encode() for raw in {*ODD_FOR_TEXT, *ODD_FOR_SEGMENTS} if not raw.startswith('"')])
_text = st.text(max_size=12)
_segments = st.one_of(st.integers(-2, 2**33).map(lambda value: str(value).encode()), st.just(b"1"), _text, _odd)


@st.composite
def elements_with_fields(draw: st.DrawFn) -> dict[str, str | bytes]:
    """Documented elements, elements with some odd fields, and elements that cannot be understood."""
    documented: dict[str, str | bytes] = {
        "Msisdn": draw(_text),
        "Status": draw(st.sampled_from(STATUSES)),
        "MessageId": draw(st.uuids().map(str)),
        "OrganizationId": draw(_text),
        "ReportDescription": draw(_text),
        "ReportDateTime": draw(_text),
        "TotalSegments": str(draw(st.integers(1, 9))).encode(),
        "CustomPayload": draw(_text),
    }
    if draw(st.booleans()):
        return documented
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=4)):
        if field in ("Status", "MessageId"):
            if draw(st.integers(0, 3)) == 0:
                documented[field] = draw(st.one_of(_text, _odd))
        elif draw(st.integers(0, 2)) == 0:
            documented.pop(field, None)
        else:
            documented[field] = draw(_segments if field == "TotalSegments" else st.one_of(_text, _odd))
    extra = draw(st.dictionaries(_text.filter(lambda name: name not in FIELDS), st.one_of(_text, _odd), max_size=2))
    return {**documented, **extra}


def same(one: Report | Misfit, other: Report | Misfit) -> bool:
    """Whether two spellings of one element mean the same; their raw bytes and the order in `extra` may differ."""
    if isinstance(one, Misfit) or isinstance(other, Misfit):
        return isinstance(one, Misfit) and isinstance(other, Misfit) and one.reason == other.reason

    def known(report: Report) -> list[Any]:
        fields = {name: getattr(report, name) for name in Report.__struct_fields__}
        extra = fields.pop("extra")
        return [fields, None if extra is None else json.loads(extra, parse_int=str, parse_float=str)]

    return known(one) == known(other)


@settings(deadline=None, max_examples=250)
@given(elements_with_fields(), st.randoms(use_true_random=True))
def test_every_path_and_every_spelling_gives_one_report(fields: dict[str, str | bytes], dice: random.Random) -> None:
    """Fast or lenient, any order of keys, any spacing and escapes: one element is one report with one digest."""
    one, other = spell(fields, dice), spell(fields, dice)
    ways = every_way(one)
    assert ways == [ways[0]] * len(ways)
    ways_of_other = every_way(other)
    assert ways_of_other == [ways_of_other[0]] * len(ways)
    assert same(ways[0], ways_of_other[0])


@settings(deadline=None, max_examples=150)
@given(elements_with_fields(), elements_with_fields(), st.sampled_from(FIELDS), st.randoms(use_true_random=True))
def test_one_digest_means_eight_equal_fields(
    fields: dict[str, str | bytes], others: dict[str, str | bytes], field: str, dice: random.Random
) -> None:
    """Two elements have one digest if, and only if, all eight documented fields are the same as sent."""
    changed = dict(fields)
    changed.pop(field, None)
    if field in others:
        changed[field] = others[field]
    one, other = judge(spell(fields, dice)), judge(spell(changed, dice))
    if isinstance(one, Report) and isinstance(other, Report):
        assert (one.digest == other.digest) is (fields.get(field) == changed.get(field))


# --- check_array and Elements agree on everything ----------------------------------------------------------------


def assert_all_agree(body: bytes, limit: int = 5) -> None:
    """The receiver's check, the projector's splitting and Python's json are of one mind on `body`."""
    wanted = oracle(body)
    if wanted is None:
        doors: list[Callable[[bytes], object]] = [
            check_array,
            split_array,
            lambda body: Elements(body, limit),
        ]
        for door in doors:
            with pytest.raises(NotAnArray):
                door(body)
        return
    check_array(body)
    elements = Elements(body, limit)
    assert elements.count == len(wanted)
    assert len(elements) == min(limit, len(wanted))
    assert len(elements) + len(split_array(elements.rest or b"[]")) == elements.count
    raws = split_array(body)
    assert raws == [*elements.raws, *split_array(elements.rest or b"[]")]
    assert [oracle(b"[" + raw + b"]") for raw in raws] == [[value] for value in wanted]
    for raw, judged in zip(raws, elements, strict=False):
        assert isinstance(judged, Report | Misfit)
        if isinstance(judged, Misfit):
            assert judged.raw == raw
            assert judged.reason


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_tokens = [
    *[b'"', b"\\", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\u00e9", b"\xff", b"\xed\xa0\x80", b"\xc3\xa9"],
    *[b"NaN", b"Infinity", b"-", b"0", b"1e5", b".", b"+", b",", b":", b"[", b"]", b"{", b"}", b"[]", b"{}", b"tru"],
    *[b"true", b"null", b'""', b'"a"', b'"a":', b" ", b"\n", b"\x0b", b"\x01", b"\x7f", b"\xef\xbb\xbf", b"\xc2\xa0"],
    *[b"\0", b"/", raw_of(), raw_of(TotalSegments="-0"), raw_of(ReportDescription='"\\ud800"')],
]  # fmt: skip
_soup = st.lists(st.sampled_from(_tokens), max_size=12).map(b"".join)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A JSON body, mostly an array, with some of its bytes cut out, put in or cut off."""
    value = draw(st.lists(_json, max_size=4) | _json)
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode()
    if draw(st.booleans()):
        body = b"[" + raw_of(Msisdn=json.dumps(value)) + b"," + body + b"]"
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        gone = draw(st.sampled_from([0, 0, 1, 1, 3, len(body)]))
        body = body[:at] + draw(st.sampled_from([b"", *_tokens])) + body[at + gone :]
    return body


@settings(deadline=None, max_examples=500)
@given(bodies())
def test_all_agree_on_json_that_was_tampered_with(body: bytes) -> None:
    """Whatever is let through can be split, with as many elements as Python's json finds; nothing else escapes."""
    assert_all_agree(body)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40) | _soup | _soup.map(lambda soup: b"[" + soup + b"]"))
@example(b"[" + b'"\\ud800",' * 3 + b"1]")
def test_all_agree_on_any_bytes(body: bytes) -> None:
    """The same for bytes of no sense at all and for a soup of JSON's own tokens."""
    assert_all_agree(body)


def test_all_agree_on_every_truncation() -> None:
    """A body cut off at any byte is refused by all, except where nothing is missing."""
    odd = raw_of(ReportDescription='"caf\u00e9 \\ud800"')
    for body in (b"[" + raw_of() + b",1]\n", b"[-1.5e3,\xef\xbb\xbf]", b" [" + odd + b' ,[{"a":"\xff"}]] '):
        for end in range(len(body) + 1):
            assert_all_agree(body[:end])
