"""What is named in the quarantine: another webhook of Arpoone, another service, a test."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RunningService, body_of, json_lines_of, report

from hooklab.strangers import explained, name_of_body, name_of_element

EMAIL = {
    "EventType": "Delivered",
    "Email": "someone@example.com",
    "MessageId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "Time": 1795435491,
    "EventDetails": "250 OK",
}
INBOUND = {
    "Id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "OrganizationId": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "ReceiveDateTime": "2026-11-22T09:31:02Z",
    "From": "351913462111",
    "To": "351900000000",
    "Keyword": "STOP",
    "Text": "STOP",
    "Encoding": "GSM7",
    "Mcc": "268",
    "Mnc": "01",
    "TotalSegments": 1,
}
NAMED: list[tuple[Any, str]] = [
    (EMAIL, "an e-mail event of Arpoone"),
    (INBOUND, "an inbound SMS of Arpoone"),
    ({"zen": "Keep it logically awesome.", "hook_id": 1, "hook": {}}, "a test ping of GitHub"),
    ({"type": "url_verification", "challenge": "x", "token": "y"}, "a URL verification of Slack"),
    ({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:x"}, "a message of Amazon SNS"),
    ({"object": "event", "id": "evt_1", "type": "ping", "data": {}}, "an event of Stripe"),
    ({"object": "whatsapp_business_account", "entry": []}, "a webhook of Meta"),
    ({"message_uuid": "x", "status": "delivered"}, "a message status of Vonage"),
    ({"messageId": "x", "msisdn": "1", "err-code": "0"}, "a delivery receipt of Vonage"),
    ({"results": [{"messageId": "x", "status": {"groupName": "DELIVERED"}}]}, "a delivery report of Infobip"),
    ({"specversion": "1.0", "source": "/x", "type": "y", "data": {}}, "a CloudEvent"),
    ({"organizationId": "x", "messages": [{"text": "x", "to": "1"}]}, "the request with which an SMS is sent"),
]
BODIES: list[tuple[bytes, str | None]] = [
    (json.dumps(report()).encode(), "a delivery report that is not in an array"),
    (json.dumps({"reports": [report()]}).encode(), "an object around the array of reports"),
    (b"ping", "a test ping"),
    (b'"Hello World"', "a test ping"),
    (b'{"test": true}', "a test ping"),
    (b'{"event": "ping"}', "a test ping"),
    (b"<html></html>", "XML or HTML"),
    (b"MessageSid=SM1&MessageStatus=delivered", "a status callback of Twilio"),
    (b"Status=DELIVERED&MessageId=1", "a form, and not JSON"),
    (b"payload=%7B%7D", "a form with a field `payload`, as GitHub and Slack send one"),
    (b"", None),
    (b"{}", None),
    (b"17", None),
    (b'{"order": 1, "total": 3}', None),
    (b'[{"MessageId": ', None),
    (b"\xff\xfe=\x00", "a form, and not JSON"),
    (b'{"test": "' + b"x" * 100_000 + b'"}', None),
]


@pytest.mark.parametrize(("value", "name"), NAMED)
def test_a_known_shape_is_named(value: Any, name: str) -> None:
    """As a whole body and as an element of an array."""
    raw = json.dumps(value).encode()
    assert name_of_body(raw) == name
    assert name_of_element(raw) == name


@pytest.mark.parametrize(("body", "name"), BODIES)
def test_a_body_is_named_by_what_it_looks_like(body: bytes, name: str | None) -> None:
    """Reports without their array, pings, forms and mark-up; what looks like nothing known is not guessed."""
    assert name_of_body(body) == name


@pytest.mark.parametrize(
    "fields", [{"Status": "BUFFERED"}, {"MessageId": "abc"}, {"MessageId": None}, {"From": "x", "Text": "y"}]
)
def test_a_faulty_report_is_no_stranger(fields: dict[str, Any]) -> None:
    """A report with something wrong in it keeps its own reason."""
    assert name_of_element(json.dumps({**report(), **fields}).encode()) is None
    assert explained("MessageId is missing", None) == "MessageId is missing"


@given(
    st.binary()
    | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_nothing_breaks_it(value: Any) -> None:
    """Whatever comes, it gives a name or none."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert isinstance(name_of_body(raw), str | None)
    assert isinstance(name_of_element(raw), str | None)


def test_the_quarantine_says_which_webhook_was_pasted_here(tmp_path: Path) -> None:
    """An array of e-mail events is answered 200 and each is named; a lone inbound SMS 400 and named; reports between
    them are stored.
    """
    with RunningService(tmp_path / "data") as service:
        assert service.post(body_of([EMAIL, report(), INBOUND]))[0] == 200
        assert service.post(json.dumps(INBOUND).encode())[0] == 400
        counters = service.settled()
        rows = json_lines_of("quarantine", data_dir=service.data_dir)
    assert (counters["reports"], counters["quarantined"]) == (1, 3)
    named = "this looks like {}; this URL takes Arpoone's SMS delivery reports, as an array ({})"
    assert [row["reason"] for row in rows] == [
        named.format("an inbound SMS of Arpoone", "the body is JSON, but an object and not an array"),
        named.format("an inbound SMS of Arpoone", "MessageId is missing"),
        named.format("an e-mail event of Arpoone", "Status is missing"),
    ]
