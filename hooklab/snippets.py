"""What to paste: the provider's settings, and a command that sends one sample report. Pure."""

import json
import shlex
from typing import Final

STATES: Final = ("delivered", "not_delivered", "pending")

SAMPLE_REPORT: Final = {
    "Msisdn": "351900000123",
    "Status": "DELIVERED",
    "MessageId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "OrganizationId": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "ReportDescription": "Message delivered to handset",
    "ReportDateTime": "2026-11-22T09:31:02Z",
    "CustomPayload": "order 4711",
    "TotalSegments": 1,
}


def sms_webhooks(hook_url: str) -> str:
    """The ``smsWebhooks`` JSON of an Arpoone request: one labelled URL a state, pretty-printed."""
    hooks = {state: {"url": f"{hook_url}/{state}", "enabled": True} for state in STATES}
    return json.dumps({"smsWebhooks": hooks}, indent=2)


def curl_line(hook_url: str) -> str:
    """One shell line that POSTs one sample report to `hook_url`."""
    body = shlex.quote(json.dumps([SAMPLE_REPORT]))
    return f"curl -sS -X POST -H 'Content-Type: application/json' -d {body} {shlex.quote(hook_url)}"
