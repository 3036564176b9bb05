"""Names what was posted to the wrong URL: another webhook of Arpoone, another service's event or test. Pure.

The shapes of Arpoone's other webhooks are those of its public pages; the others are those that the services document.
A name is a help for whoever reads the quarantine, and decides nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from hooklab.wire import FIELDS

_LONGEST: Final = 64 * 1024
"""Bytes that are looked at; a test ping is short, and nobody pastes a video."""
_EMAIL: Final = frozenset({"EventType", "Email", "Time", "EventDetails"})
_INBOUND: Final = frozenset({"ReceiveDateTime", "From", "To", "Keyword", "Text", "Encoding", "Mcc", "Mnc"})
_WORDS: Final = frozenset({"ping", "test", "hello", "hello world"})
_FORMS: Final = {
    "MessageSid": "a status callback of Twilio",
    "SmsSid": "a status callback of Twilio",
    "payload": "a form with a field `payload`, as GitHub and Slack send one",
}

_Object = Mapping[str, Any]


def _has(*names: str) -> Callable[[_Object], bool]:
    return lambda value: value.keys() >= set(names)


def _is(name: str, *texts: str) -> Callable[[_Object], bool]:
    return lambda value: value.get(name) in texts


def _any_of(names: frozenset[str], least: int) -> Callable[[_Object], bool]:
    return lambda value: len(names & value.keys()) >= least and "Status" not in value


_SHAPES: Final[tuple[tuple[Callable[[_Object], bool], str], ...]] = (
    (_any_of(_EMAIL, 3), "an e-mail event of Arpoone"),
    (_any_of(_INBOUND, 4), "an inbound SMS of Arpoone"),
    (lambda value: _holds(value.get("messages"), "to"), "the request with which an SMS is sent"),
    (_has("zen", "hook_id"), "a test ping of GitHub"),
    (lambda value: _is("type", "url_verification")(value) and "challenge" in value, "a URL verification of Slack"),
    (_has("Type", "TopicArn"), "a message of Amazon SNS"),
    (lambda value: _is("object", "event")(value) and {"id", "type", "data"} <= value.keys(), "an event of Stripe"),
    (_is("object", "whatsapp_business_account", "page", "instagram"), "a webhook of Meta"),
    (_has("sg_message_id", "event"), "an event of SendGrid"),
    (_has("message_uuid", "status"), "a message status of Vonage"),
    (_has("messageId", "msisdn", "err-code"), "a delivery receipt of Vonage"),
    (lambda value: _holds(value.get("results"), "messageId"), "a delivery report of Infobip"),
    (_has("specversion", "source", "type"), "a CloudEvent"),
)
_BODIES: Final[tuple[tuple[Callable[[_Object], bool], str], ...]] = (
    *_SHAPES,
    (lambda value: len(value.keys() & set(FIELDS)) >= 4, "a delivery report that is not in an array"),
    (
        lambda value: any(_holds(held, "MessageId") for held in value.values()),
        "an object around the array of reports",
    ),
    (lambda value: len(value) <= 2 and any(_is_ping(*item) for item in value.items()), "a test ping"),
)
"""What an object can be that is the whole body: from the particular to the general, the first that fits."""


def name_of_body(body: bytes) -> str | None:
    """What a body that is no array looks like, in words; None where it looks like nothing known."""
    if len(body) > _LONGEST:
        return None
    text = body.decode(errors="replace").strip()
    if text.strip('"').lower() in _WORDS:
        return "a test ping"
    if text.startswith("<"):
        return "XML or HTML"
    value = _decoded(body)
    return _first(_BODIES, value) if isinstance(value, dict) else _name_of_form(text)


def name_of_element(raw: bytes) -> str | None:
    """What an element of an array looks like that is no report; None where it looks like nothing known."""
    value = _decoded(raw) if len(raw) <= _LONGEST else None
    return _first(_SHAPES, value) if isinstance(value, dict) else None


def explained(reason: str, name: str | None) -> str:
    """A reason for the quarantine, with the name of what it looks like before it."""
    if name is None:
        return reason
    return f"this looks like {name}; this URL takes Arpoone's SMS delivery reports, as an array ({reason})"


def _first(shapes: Iterable[tuple[Callable[[_Object], bool], str]], value: _Object) -> str | None:
    return next((name for fits, name in shapes if fits(value)), None)


def _name_of_form(text: str) -> str | None:
    if "=" not in text or any(char in text for char in "{}[]<>\n"):
        return None
    names = {name for name, _ in parse_qsl(text, keep_blank_values=True, max_num_fields=200)}
    return next((said for name, said in _FORMS.items() if name in names), "a form, and not JSON") if names else None


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _holds(value: Any, name: str) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and name in value[0]


def _is_ping(name: str, value: Any) -> bool:
    word = value.strip().lower() if isinstance(value, str) else ""
    return name.lower() in _WORDS or word in _WORDS
