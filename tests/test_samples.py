"""The sample payloads are what their README says of them."""

import json
from collections import Counter
from functools import cache, reduce
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import pytest

from hooklab import rules
from hooklab.times import parse_reported, zone
from hooklab.wire import FIELDS, STATUSES, Elements, Misfit, NotAnArray, Report, check_array, format_uuid

FOLDER: Final = Path(__file__).parent.parent / "sample_payloads"


class Expected(NamedTuple):
    """What a file is answered, how many elements it has, and how many of them are understood or not."""

    answer: int
    elements: int = 0
    understood: int = 0
    misfits: int = 0


TABLE: Final = {
    "01_single_report.json": Expected(200, 1, 1),
    "02_pending_and_delivered.json": Expected(200, 2, 2),
    "03_mixed_states.json": Expected(200, 6, 6),
    "04_thousand_reports.json": Expected(200, 1000, 1000),
    "05_final_first.json": Expected(200, 1, 1),
    "06_late_pending.json": Expected(200, 1, 1),
    "07_retried_batch.json": Expected(200, 2, 2),
    "08_regrouped_duplicates.json": Expected(200, 4, 4),
    "09_conflict.json": Expected(200, 2, 2),
    "10_several_pending.json": Expected(200, 3, 3),
    "11_unknown_field.json": Expected(200, 1, 1),
    "12_null_field.json": Expected(200, 2, 2),
    "13_missing_fields.json": Expected(200, 2, 2),
    "14_wrong_types.json": Expected(200, 5, 5),
    "15_custom_payload_not_json.json": Expected(200, 1, 1),
    "16_one_bad_element.json": Expected(200, 4, 3, 1),
    "17_lone_surrogate.json": Expected(200, 3, 2, 1),
    "18_not_json.json": Expected(400),
    "19_not_an_array.json": Expected(400),
    "send_request.json": Expected(400),
}

DOCUMENTED: Final = [
    name for name in TABLE if name[:2] in {"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "15"}
]
"""The files whose elements are exactly as the provider documents them."""


@cache
def body(name: str) -> bytes:
    """A file as it would be sent."""
    return (FOLDER / name).read_bytes()


def judged(name: str) -> list[Report | Misfit]:
    """The elements of a file that is an array."""
    return list(Elements(body(name), 10_000))


def reports(name: str) -> list[Report]:
    """The understood elements of a file."""
    return [one for one in judged(name) if isinstance(one, Report)]


def verdicts(*names: str) -> dict[str, rules.Verdict]:
    """What becomes of each message when these files are sent."""
    found: dict[str, rules.Verdict] = {}
    for name in names:
        for one in reports(name):
            reported = None if one.reported_at is None else parse_reported(one.reported_at, zone("UTC"))
            verdict = rules.verdict_of(one, reported)
            key = format_uuid(one.message_id)
            found[key] = rules.merge(found[key], verdict) if key in found else verdict
    return found


def states(*names: str) -> Counter[str]:
    """How many messages are in each state then."""
    return Counter(STATUSES[rules.state_of(verdict.rank)] for verdict in verdicts(*names).values())


def readme_rows() -> dict[str, list[str]]:
    """The README's table: file (or "in all") to its other cells."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_every_file_is_in_the_table_and_in_the_readme() -> None:
    """No sample goes untested or unexplained, and none is explained that is not there; they stand in name order."""
    files = sorted(path.name for path in FOLDER.iterdir() if path.name != "README.md")
    assert files == list(TABLE)
    assert [*files, "in all"] == list(readme_rows())


@pytest.mark.parametrize(("name", "expected"), list(TABLE.items()))
def test_a_sample_gets_its_answer(name: str, expected: Expected) -> None:
    """A 200 has the elements, understood reports and misfits of the table; a 400 is no array to any door."""
    if expected.answer == 400:
        with pytest.raises(NotAnArray):
            check_array(body(name))
        with pytest.raises(NotAnArray):
            Elements(body(name), 10_000)
        return
    check_array(body(name))
    found = Counter(type(one) for one in judged(name))
    assert (found.total(), found[Report], found[Misfit]) == expected[1:]


def test_the_readme_counts_right() -> None:
    """Sent once each in name order: elements, new reports, repeats and quarantined of every file, and in all."""
    rows = readme_rows()
    seen: set[bytes] = set()
    in_all = Counter[str]()
    for name, expected in TABLE.items():
        here = Counter[str]()
        if expected.answer == 200:
            for one in judged(name):
                if isinstance(one, Misfit):
                    here["quarantined"] += 1
                else:
                    here["repeats" if one.digest in seen else "new"] += 1
                    seen.add(one.digest)
        counts = [str(here[column]) for column in ("new", "repeats", "quarantined")]
        elements = str(here.total()) if expected.answer == 200 else "-"
        assert rows[name][1:6] == [str(expected.answer), elements, *counts], name
        in_all += here
    counts = [str(in_all[column]) for column in ("new", "repeats", "quarantined")]
    assert rows["in all"][2:6] == [str(in_all.total()), *counts]
    malformed = [name for name, expected in TABLE.items() if expected.answer == 400]
    assert len({body(name) for name in malformed}) == len(malformed) == 3


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_samples_have_the_shape_of_the_providers_page(name: str) -> None:
    """Eight fields in the page's order and of its types, version-4 UUIDs, times that parse, invented numbers."""
    for element in json.loads(body(name)):
        assert list(element) == list(FIELDS)
        segments = element.pop("TotalSegments")
        assert isinstance(segments, int)
        assert all(isinstance(value, str) for value in element.values())
        assert element["Status"] in STATUSES
        assert UUID(element["MessageId"]).version == UUID(element["OrganizationId"]).version == 4
        assert parse_reported(element["ReportDateTime"], zone("UTC")) is not None
        assert element["Msisdn"].startswith("3519000")
        assert len(element["Msisdn"]) == 12


def test_samples_can_be_read_by_people() -> None:
    """All but the one of 1000 reports are pretty-printed, and all end with a line break."""
    for name in TABLE:
        assert body(name).endswith(b"\n")
        if name[:2] not in {"04", "18"}:
            assert len(body(name).splitlines()) > 5
    assert len(body("04_thousand_reports.json").splitlines()) == 1


def test_the_retried_batch_is_the_same_body() -> None:
    """A retry is byte for byte what was sent before."""
    assert body("07_retried_batch.json") == body("02_pending_and_delivered.json")


def test_the_regrouped_reports_are_known_ones() -> None:
    """Each has the digest of a report of 01, 02 or 03, in a body that is none of those; one is there twice."""
    earlier = ["01_single_report.json", "02_pending_and_delivered.json", "03_mixed_states.json"]
    known = [{one.digest for one in reports(name)} for name in earlier]
    digests = [one.digest for one in reports("08_regrouped_duplicates.json")]
    assert all(set(digests) & one for one in known)
    assert set(digests) <= set.union(*known)
    assert len(digests) == len(set(digests)) + 1
    assert body("08_regrouped_duplicates.json") not in [body(name) for name in earlier]


def test_messages_get_the_states_that_the_readme_names() -> None:
    """Each file leads to the states that its line says."""
    assert states("01_single_report.json") == {"DELIVERED": 1}
    assert states("02_pending_and_delivered.json") == {"DELIVERED": 1}
    assert states("03_mixed_states.json") == {"DELIVERED": 2, "NOT_DELIVERED": 1, "PENDING": 1}
    thousand = states("04_thousand_reports.json")
    assert readme_rows()["04_thousand_reports.json"][-1] == ", ".join(
        f"{thousand[state]} {state}" for state in ("DELIVERED", "NOT_DELIVERED")
    )
    assert thousand.total() == 500
    assert states("11_unknown_field.json") == {"DELIVERED": 1}
    assert states("12_null_field.json") == {"DELIVERED": 1, "NOT_DELIVERED": 1}
    assert states("13_missing_fields.json") == {"DELIVERED": 1, "PENDING": 1}


def test_the_late_pending_is_late() -> None:
    """05 and 06 are one message: its final comes first, in a batch of its own, and its PENDING is the older one."""
    (final,), (pending,) = reports("05_final_first.json"), reports("06_late_pending.json")
    assert final.message_id == pending.message_id
    assert pending.reported_at is not None
    assert final.reported_at is not None
    assert pending.reported_at < final.reported_at
    arrivals = [rules.Arrival(rules.pack(batch, 0), one.status) for batch, one in ((5, final), (6, pending))]
    assert rules.kinds(arrivals) == ["final", "late"]
    assert states("05_final_first.json", "06_late_pending.json") == {"DELIVERED": 1}


def test_the_conflict_is_one() -> None:
    """09 has both finals of one message; the later, DELIVERED, decides."""
    (verdict,) = verdicts("09_conflict.json").values()
    assert rules.is_conflict(verdict.seen)
    assert STATUSES[rules.state_of(verdict.rank)] == "DELIVERED"


def test_the_several_pending_are_of_one_message() -> None:
    """10 has three different reports of one message, which stays PENDING with the newest description."""
    three = reports("10_several_pending.json")
    assert len({one.digest for one in three}) == 3
    (verdict,) = verdicts("10_several_pending.json").values()
    assert STATUSES[rules.state_of(verdict.rank)] == "PENDING"
    assert verdict.description == three[-1].description


def test_odd_fields_are_kept_and_count_as_missing() -> None:
    """11, 12 and 14 keep raw what is unknown, null or of a wrong type; 13 keeps nothing, since nothing was sent."""
    kept: dict[str, list[Any]] = {
        name: [json.loads(one.extra) if one.extra else None for one in reports(name)]
        for name in ("11_unknown_field.json", "12_null_field.json", "13_missing_fields.json", "14_wrong_types.json")
    }
    assert [list(one) for one in kept["11_unknown_field.json"]] == [["Mcc", "OperatorInfo"]]
    assert kept["12_null_field.json"] == [{"CustomPayload": None}, {"ReportDescription": None}]
    assert kept["13_missing_fields.json"] == [None, None]
    number, text, negative, time, nested = kept["14_wrong_types.json"]
    assert isinstance(number["Msisdn"], int)
    assert (text, negative, time) == ({"TotalSegments": "1"}, {"TotalSegments": -4}, None)
    assert sorted(nested) == ["CustomPayload", "OrganizationId"]
    odd_time = reports("14_wrong_types.json")[3].reported_at
    assert odd_time is not None
    assert parse_reported(odd_time, zone("UTC")) is None
    assert [reports("14_wrong_types.json")[place].total_segments for place in (1, 2)] == [None, None]


def test_the_custom_payload_is_not_json() -> None:
    """15 has text that Python's json refuses, and it arrives as it is."""
    (report,) = reports("15_custom_payload_not_json.json")
    assert report.custom_payload is not None
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(report.custom_payload)


def test_the_misfits_stand_among_good_elements() -> None:
    """16 and 17 have one misfit between understood neighbours, each for its own reason."""
    for name, said in (
        ("16_one_bad_element.json", "MessageId is not a UUID"),
        ("17_lone_surrogate.json", "surrogate"),
    ):
        kinds = [type(one) for one in judged(name)]
        place = kinds.index(Misfit)
        assert kinds[place - 1] is kinds[place + 1] is Report
        misfit = judged(name)[place]
        assert isinstance(misfit, Misfit)
        assert said in misfit.reason
    assert rb"\ud800" in body("17_lone_surrogate.json")


def test_the_send_request_sets_three_hooks() -> None:
    """It has the shape of Arpoone's send request, with one URL per state, each with its label."""
    request = json.loads(body("send_request.json"))
    assert list(request) == ["organizationId", "messages"]
    (message,) = request["messages"]
    assert list(message) == ["text", "to", "from", "expirationDateTime", "smsWebhooks"]
    hooks = message["smsWebhooks"]
    assert list(hooks) == ["delivered", "not_delivered", "pending", "customPayload"]
    for state in ("delivered", "not_delivered", "pending"):
        assert list(hooks[state]) == ["url", "enabled"]
        assert hooks[state]["enabled"] is True
        label = hooks[state]["url"].removeprefix("https://hooks.example.com/hooks/TOKEN/")
        code = STATUSES.index(state.upper())
        assert not rules.label_mismatches(label, code)
        assert rules.label_mismatches(label, (code + 1) % 3)


def test_messages_of_different_samples_do_not_mix() -> None:
    """But for the retry, the duplicates and the late one, each file has messages of its own."""
    own = [name for name in TABLE if TABLE[name].answer == 200 and name[:2] not in {"06", "07", "08"}]
    messages = [set(verdicts(name)) for name in own]
    assert sum(map(len, messages)) == len(reduce(set.union, messages))
