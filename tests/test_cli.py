"""What the commands answer: live, after a kill, after a rebuild, without a service, and from a read-only copy."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from support import (
    HEEDING_MODES,
    TOKEN,
    RunningService,
    body_of,
    conserved,
    hooklab,
    json_lines_of,
    json_of,
    report,
)

from hooklab import __version__

SAMPLES: Final = Path(__file__).parent.parent / "sample_payloads"
EXPECTED: Final = "expected a JSON array of delivery reports, but "
NOT_ARRAYS: Final = {
    "18_not_json.json": EXPECTED + "the body is not JSON",
    "19_not_an_array.json": EXPECTED + "the body is JSON, but an object and not an array",
    "send_request.json": EXPECTED + "the body is JSON, but an object and not an array",
}
OURS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
STORED: Final = {
    # Counted by hand from the files: 17 arrays of 1, 2, 6, 1000, 1, 1, 2, 4, 2, 3, 1, 2, 2, 5, 1, 4 and 3 elements.
    "batches": 17,
    "malformed": 3,
    "retries": 1,
    "elements": 1040,
    "reports": 1032,
    "repeats": 6,  # the two of the retried batch, the four of the regrouped one
    "duplicates": 4,
    "late": 1,
    "quarantined": 5,  # one MessageId that is no UUID, one lone surrogate, three bodies
    "messages": 525,
    "delivered": 492,
    "not_delivered": 27,
    "pending": 6,
    "stuck": 0,
    "conflicts": 1,
    "lag": 0,
}
OF_SERVICE: Final = ("refused", "ack_p50_ms", "ack_p99_ms", "queue_depth")
MESSAGE_KEYS: Final = [
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
]
ENTRY_KEYS: Final = ["kind", "status", "reported_at", "received_at", "batch", "index", "label", "description"]
BATCH_KEYS: Final = [
    "batch",
    "received_at",
    "peer",
    "label",
    "bytes",
    "elements",
    "new",
    "repeats",
    "quarantined",
    "retry_of",
    "attempt",
]
MESSAGES: Final = {
    # id: state, flags, description, msisdn, final_at, kinds of its timeline
    "e0a3a91f-2346-4c13-bc27-ed12b10877a9": (
        "DELIVERED",
        ["repeated"],
        "Message delivered to handset",
        "351900000001",
        "2026-11-20T09:30:21.000000Z",
        ["final", "duplicate"],
    ),
    "f1260ebc-7d56-4b56-b714-dc919b27dbdf": (
        "DELIVERED",
        ["repeated"],
        "Message delivered to handset",
        "351900000002",
        "2026-11-20T09:30:38.000000Z",
        ["pending", "final", "retry", "retry", "duplicate"],
    ),
    "004498f4-b987-47c1-8c9c-26a813678d7a": (
        "NOT_DELIVERED",
        ["repeated"],
        "Absent subscriber",
        "351900000005",
        "2026-11-20T09:31:34.000000Z",
        ["final", "duplicate", "duplicate"],
    ),
    "0fa3b33e-9f47-4080-ae0b-dbff9e44eff7": (
        "DELIVERED",
        ["late"],
        "Message delivered to handset",
        "351900000507",
        "2026-11-20T11:53:43.000000Z",
        ["final", "late"],
    ),
    "26c4e99a-9b59-4e45-b8c8-269b05a73451": (
        "DELIVERED",
        ["conflict"],
        "Message delivered to handset",
        "351900000508",
        "2026-11-20T11:55:00.000000Z",
        ["final", "conflict"],
    ),
    "440268f5-762f-4308-8f9b-564691f35db5": (
        "PENDING",
        [],
        "Absent subscriber, will be tried again",
        "351900000509",
        None,
        ["pending", "pending", "pending"],
    ),
    "867f07b2-29b1-4fb0-8210-3dcf8f12d089": ("DELIVERED", [], None, None, None, ["final"]),
    "3521f225-ed5b-4ee3-8daa-004d90625178": (
        "NOT_DELIVERED",
        [],
        "Call barred by operator",
        "351900000518",
        None,  # "20/11/2026 09:40" is no time
        ["final"],
    ),
}
LOOKS: Final = "this looks like {}; this URL takes Arpoone's SMS delivery reports, as an array ({})"
NO_ARRAY: Final = "the body is JSON, but an object and not an array"
QUARANTINE: Final = [
    # batch, index, reason
    (20, None, LOOKS.format("the request with which an SMS is sent", NO_ARRAY)),
    (19, None, LOOKS.format("a delivery report that is not in an array", NO_ARRAY)),
    (18, None, LOOKS.format("a form, and not JSON", "the body is not JSON")),
    (17, 1, "the element is not valid JSON (a lone surrogate, a control character, or NaN)"),
    (16, 2, "MessageId is not a UUID: 'SMS-000042'"),
]
BATCHES: Final = {
    # batch: elements, new, repeats, quarantined, retry_of, attempt
    1: (1, 1, 0, 0, None, 1),
    2: (2, 2, 0, 0, None, 1),
    4: (1000, 1000, 0, 0, None, 1),
    7: (2, 0, 2, 0, 2, 2),
    8: (4, 0, 4, 0, None, 1),
    16: (4, 3, 0, 1, None, 1),
    17: (3, 2, 0, 1, None, 1),
    18: (0, 0, 0, 1, None, 1),
    20: (0, 0, 0, 1, None, 1),
}


def samples() -> list[Path]:
    """The sample payloads in order of their names."""
    return sorted(SAMPLES.glob("*.json"))


@dataclass
class Answers:
    """What the commands said in one situation."""

    stats: dict[str, Any]
    shown: dict[str, Any]
    messages: list[Any]
    batches: list[Any]
    quarantine: list[Any]


def answers_of(folder: Path, shown: tuple[str, ...] = tuple(MESSAGES)) -> Answers:
    """Asks every reading command."""
    return Answers(
        json_of("stats", data_dir=folder),
        {message_id: json_of("show", message_id, data_dir=folder) for message_id in shown},
        json_lines_of("messages", "--limit", "1000", data_dir=folder),
        json_lines_of("batches", data_dir=folder),
        json_lines_of("quarantine", "list", data_dir=folder),
    )


def tables_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a store, in the order of all its columns, but for the mark of this one store."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in sorted(names)}
        return {**found, "settings": [row for row in found["settings"] if row[0] != "search"]}
    finally:
        connection.close()


@dataclass
class Story:
    """The samples, sent once, and what was answered at every stop of one folder's life."""

    folder: Path
    sent: subprocess.CompletedProcess[bytes]
    live: Answers
    at: dict[str, Answers] = field(default_factory=dict)
    tables: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict)
    rebuilt: subprocess.CompletedProcess[bytes] | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One folder: live, without a service after a kill, restarted, and rebuilt."""
    few = ("f1260ebc-7d56-4b56-b714-dc919b27dbdf",)
    folder = tmp_path_factory.mktemp("cli") / "data"
    with RunningService(folder) as service:
        sent = hooklab("send", *samples(), data_dir=folder)
        service.settled()
        told = Story(folder, sent, answers_of(folder))
        service.kill()
    told.at["after kill -9, without a service"] = answers_of(folder, few)
    with RunningService(folder) as service:
        service.settled()
        told.at["after a restart"] = answers_of(folder, few)
    told.tables["before"] = tables_of(folder / "store.db")
    told.rebuilt = hooklab("rebuild", data_dir=folder)
    told.tables["after"] = tables_of(folder / "store.db")
    told.at["after a rebuild"] = answers_of(folder, few)
    return told


# The samples -----------------------------------------------------------------------------------------------------


def test_send_prints_one_line_an_answer_and_fails_if_one_was_not_200(story: Story) -> None:
    """Every array is answered 200, what is none 400 with what was expected; exit 1, nothing on stderr."""
    lines = story.sent.stdout.decode().splitlines()
    expected = [f"{path}: {400 if path.name in NOT_ARRAYS else 200}" for path in samples()]
    for line, begins in zip(lines, expected, strict=True):
        assert line.startswith(begins)
    said = {Path(line.partition(": ")[0]).name: line.partition(": 400 ")[2] for line in lines if ": 400" in line}
    assert said == NOT_ARRAYS
    assert (story.sent.returncode, story.sent.stderr) == (1, b"")


def test_stats_has_the_counters_of_the_contract(story: Story) -> None:
    """Exactly the names of the design's section 4, with the values that the files have when counted by hand."""
    assert list(story.live.stats) == [*STORED, *OF_SERVICE]
    assert {name: story.live.stats[name] for name in STORED} == STORED
    assert story.live.stats["refused"] == {"400": 3}
    assert story.live.stats["queue_depth"] == 0
    assert 0 < story.live.stats["ack_p50_ms"] <= story.live.stats["ack_p99_ms"]
    assert conserved(story.live.stats)


@pytest.mark.parametrize("message_id", MESSAGES)
def test_show_tells_a_message_and_its_timeline(story: Story, message_id: str) -> None:
    """State, flags and kinds by the rules; exactly the keys of section 7, times of ours with microseconds."""
    shown = story.live.shown[message_id]
    state, flags, description, msisdn, final_at, kinds = MESSAGES[message_id]
    assert list(shown) == [*MESSAGE_KEYS, "timeline"]
    assert shown["message_id"] == message_id
    assert (shown["state"], shown["flags"]) == (state, flags)
    assert (shown["description"], shown["msisdn"], shown["final_at"]) == (description, msisdn, final_at)
    assert [entry["kind"] for entry in shown["timeline"]] == kinds
    assert shown["arrivals"] == len(kinds)
    assert all(list(entry) == ENTRY_KEYS for entry in shown["timeline"])
    order = [(entry["batch"], entry["index"]) for entry in shown["timeline"]]
    assert order == sorted(order)
    for at in (shown["first_received_at"], shown["last_received_at"], *(e["received_at"] for e in shown["timeline"])):
        assert OURS.fullmatch(at)
    assert shown["first_received_at"] == shown["timeline"][0]["received_at"]
    assert shown["last_received_at"] == shown["timeline"][-1]["received_at"]


def test_show_keeps_what_was_sent(story: Story) -> None:
    """One timeline written out: reported times as sent, batch and index, and the attributes of the message."""
    shown = story.live.shown["f1260ebc-7d56-4b56-b714-dc919b27dbdf"]
    assert shown["organization_id"] == "f3c95789-ace1-4954-ac5d-6baed2eac902"
    assert shown["total_segments"] == 2
    assert shown["custom_payload"] == '{"order": "A-1002", "kind": "confirmation"}'
    assert [
        (one["kind"], one["status"], one["reported_at"], one["batch"], one["index"], one["label"])
        for one in shown["timeline"]
    ] == [
        ("pending", "PENDING", "2026-11-20T09:30:34Z", 2, 0, None),
        ("final", "DELIVERED", "2026-11-20T09:30:38Z", 2, 1, None),
        ("retry", "PENDING", "2026-11-20T09:30:34Z", 7, 0, None),
        ("retry", "DELIVERED", "2026-11-20T09:30:38Z", 7, 1, None),
        ("duplicate", "DELIVERED", "2026-11-20T09:30:38Z", 8, 2, None),
    ]
    assert (
        story.live.shown["3521f225-ed5b-4ee3-8daa-004d90625178"]["timeline"][0]["reported_at"] == "20/11/2026 09:40"
    )


def test_messages_has_the_keys_of_show_without_the_timeline(story: Story) -> None:
    """All messages, each as `show` has it, the newest activity first."""
    assert len(story.live.messages) == 525
    assert all(list(row) == MESSAGE_KEYS for row in story.live.messages)
    by_id = {row["message_id"]: row for row in story.live.messages}
    for message_id, shown in story.live.shown.items():
        assert by_id[message_id] == {key: shown[key] for key in MESSAGE_KEYS}
    times = [row["last_received_at"] for row in story.live.messages]
    assert times == sorted(times, reverse=True)
    states = [row["state"] for row in story.live.messages]
    assert [states.count(state) for state in ("DELIVERED", "NOT_DELIVERED", "PENDING")] == [492, 27, 6]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["state:pending"], 6),
        (["state:delivered"], 492),
        (["state:not_delivered"], 27),
        (["is:stuck"], 0),
        (["is:conflict"], 1),
        (["is:late"], 1),
        (["is:repeated"], 3),
        (["to:35190000050", "is:late"], 1),
        (["org:CBF27734", "id:3f0c9931"], 1),
        (["since:1h"], 525),
        (["since:2100-01-01"], 0),
        (["desc:barred", "custom:a-1518"], 1),
        (["0518"], 1),
        (["autumn", "state:delivered"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_messages_takes_the_filter_words(story: Story, words: list[str], count: int) -> None:
    """Each word of the list, as the command takes it; all of them must hold."""
    assert len(json_lines_of("messages", *words, "--limit", "1000", data_dir=story.folder)) == count


def test_batches_are_the_requests_newest_first(story: Story) -> None:
    """Exactly the keys of section 7; sizes are those of the files, a repeated body names its first batch."""
    assert [row["batch"] for row in story.live.batches] == list(range(20, 0, -1))
    assert all(list(row) == BATCH_KEYS for row in story.live.batches)
    by_number = {row["batch"]: row for row in story.live.batches}
    for number, path in enumerate(samples(), start=1):
        row = by_number[number]
        assert row["bytes"] == path.stat().st_size
        assert (row["peer"], row["label"]) == ("127.0.0.1", None)
        assert OURS.fullmatch(row["received_at"])
    for number, expected in BATCHES.items():
        row = by_number[number]
        assert tuple(row[key] for key in BATCH_KEYS[5:]) == expected
    assert json_lines_of("batches", "--limit", "3", data_dir=story.folder) == story.live.batches[:3]


def test_the_raw_body_of_a_batch_is_the_file_that_was_sent(story: Story) -> None:
    """`batch N --raw` is byte for byte what came, malformed or not; plain and `--json` tell of it."""
    for number in (1, 4, 17, 18, 20):
        done = hooklab("batch", str(number), "--raw", data_dir=story.folder)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == samples()[number - 1].read_bytes()
    told = json_of("batch", "16", data_dir=story.folder)
    assert list(told) == [*BATCH_KEYS, "took_ms", "headers", "became"]
    assert {key: told[key] for key in BATCH_KEYS} == story.live.batches[4]
    assert ["user-agent", "hooklab-send"] in told["headers"]
    assert not [name for name, _ in told["headers"] if "authorization" in name.lower()]
    plain = hooklab("batch", "16", data_dir=story.folder).stdout.decode()
    assert '"MessageId": "SMS-000042"' in plain


def test_quarantine_lists_and_shows_what_was_not_understood(story: Story) -> None:
    """Exactly the keys of section 7, newest first; `show` writes the raw bytes as they came."""
    listed = story.live.quarantine
    assert all(list(row) == ["id", "batch", "index", "reason", "count"] for row in listed)
    assert [(row["batch"], row["index"], row["reason"]) for row in listed] == QUARANTINE
    assert [row["count"] for row in listed] == [1] * 5
    for row in listed:
        raw = hooklab("quarantine", "show", str(row["id"]), data_dir=story.folder).stdout
        body = samples()[row["batch"] - 1].read_bytes()
        if row["index"] is None:
            assert raw == body
        else:
            assert raw in body
            assert raw[:1] + raw[-1:] == b"{}"
            assert json.loads(raw) == json.loads(body)[row["index"]]


@pytest.mark.parametrize("when", ["after kill -9, without a service", "after a restart", "after a rebuild"])
def test_the_answers_stay_the_same(story: Story, when: str) -> None:
    """Kill, restart and rebuild change nothing that a command says, but for the service's own counters."""
    now = story.at[when]
    assert {name: now.stats[name] for name in STORED} == STORED
    of_service = {name: now.stats[name] for name in OF_SERVICE}
    if when == "after a restart":
        assert of_service == {"refused": {}, "ack_p50_ms": None, "ack_p99_ms": None, "queue_depth": 0}
    else:
        assert of_service == dict.fromkeys(OF_SERVICE)
    assert now.messages == story.live.messages
    assert now.batches == story.live.batches
    assert now.quarantine == story.live.quarantine
    assert now.shown == {message_id: story.live.shown[message_id] for message_id in now.shown}


def test_a_rebuild_is_exact(story: Story) -> None:
    """Every row of every table of the store is the same after the journal was projected again."""
    assert story.rebuilt is not None
    assert (story.rebuilt.returncode, story.rebuilt.stdout) == (0, b"rebuilt from 20 batches\n")
    before, after = story.tables["before"], story.tables["after"]
    assert set(before) >= {"messages", "reports", "repeats", "batches", "quarantine", "minutes", "totals"}
    assert list(before) == list(after)
    for name, rows in before.items():
        # Ids leave the small table for the large one from the hundred thousandth on (test_ids.py).
        assert rows or name == "ids", f"the table {name} should have been put to the test"
        assert after[name] == rows, f"the table {name} differs"
    assert not list(story.folder.glob("store.new*"))


def from_read_only(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a command on a folder made read-only for the while."""
    folder.chmod(0o500)
    try:
        command = [*HEEDING_MODES, sys.executable, "-m", "hooklab", *arguments]
        done = subprocess.run(
            [*command, "--data-dir", folder], capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL
        )
    finally:
        folder.chmod(0o700)
    return done


def test_a_read_only_copy_answers_like_the_folder(story: Story, tmp_path: Path) -> None:
    """A copy in a folder that cannot be written is read as it stands, and left as it is; writing is refused."""
    copy = shutil.copytree(story.folder, tmp_path / "copy")
    for left_by_readers in (*copy.glob("*-wal"), *copy.glob("*-shm")):
        assert left_by_readers.suffix == ".db-shm" or left_by_readers.stat().st_size == 0
        left_by_readers.unlink()
    inside = {path.name: path.read_bytes() for path in copy.iterdir()}
    stats = json.loads(from_read_only(copy, "stats", "--json").stdout)
    assert {name: stats[name] for name in STORED} == STORED
    listed = [
        json.loads(line) for line in from_read_only(copy, "messages", "--json", "--limit", "1000").stdout.splitlines()
    ]
    assert listed == story.live.messages
    assert from_read_only(copy, "batch", "18", "--raw").stdout == samples()[17].read_bytes()
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == inside
    for arguments in (["rebuild"], ["serve"]):
        refused = from_read_only(copy, *arguments)
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert refused.stderr.count(b"\n") == 1
    assert {path.name for path in copy.iterdir()} == set(inside)


def test_a_read_only_copy_of_a_killed_folder_is_not_read_stale(tmp_path: Path) -> None:
    """What a kill left in the WAL belongs to the copy: it is counted, or the command says that it cannot."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        service.post(body_of([report()]))
        service.settled()
    with RunningService(folder) as service:
        service.post(body_of([report(), report()]))
        service.settled()
        service.kill()
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=lambda *_: ["hooklab.sock"])
    done = from_read_only(copy, "stats", "--json")
    assert done.returncode != 0 or json.loads(done.stdout)["reports"] == 3


# Every kind, every flag ------------------------------------------------------------------------------------------


def test_every_kind_on_a_timeline(tmp_path: Path) -> None:
    """pending, final, final-again, conflict, late, retry, duplicate: each from what the design says makes it."""
    folder = tmp_path / "data"
    message = "0d3e9a4e-52f0-4b0a-9d1a-6b1f0f6a7b11"
    other = report()
    first = report(message, "PENDING", ReportDateTime="2026-11-22T09:00:00Z")
    with RunningService(folder) as service:
        for body, label in (
            ([first], "pending"),
            ([report(message, "DELIVERED", ReportDateTime="2026-11-22T09:00:05Z", TotalSegments=2)], "pending"),
            ([report(message, "DELIVERED", ReportDateTime="2026-11-22 09:00:06", TotalSegments=2)], "delivered"),
            ([report(message, "NOT_DELIVERED", ReportDateTime="2026-11-22T10:00:07.5+01:00")], "not-delivered"),
            ([report(message, "PENDING", ReportDateTime="2026-11-22T09:00:01Z", Msisdn="351900000999")], "any"),
            ([first], None),
            ([other, first], None),
        ):
            assert service.post(body_of(body), label)[0] == 200
        service.settled()
        shown = json_of("show", message.upper(), data_dir=folder)
        plain = hooklab("show", message, data_dir=folder).stdout.decode()
        stats = service.stats()
    assert [(one["kind"], one["status"], one["label"], one["batch"], one["index"]) for one in shown["timeline"]] == [
        ("pending", "PENDING", "pending", 1, 0),
        ("final", "DELIVERED", "pending", 2, 0),
        ("final-again", "DELIVERED", "delivered", 3, 0),
        ("conflict", "NOT_DELIVERED", "not-delivered", 4, 0),
        ("late", "PENDING", "any", 5, 0),
        ("retry", "PENDING", None, 6, 0),
        ("duplicate", "PENDING", None, 7, 1),
    ]
    assert shown["state"] == "NOT_DELIVERED"  # the greatest reported time decides
    assert shown["final_at"] == "2026-11-22T09:00:07.500000Z"
    assert shown["timeline"][3]["reported_at"] == "2026-11-22T10:00:07.5+01:00"
    assert shown["flags"] == ["conflict", "label_mismatch", "late", "repeated"]
    assert (shown["arrivals"], shown["total_segments"], shown["msisdn"]) == (7, 2, "351900000999")
    for kind in ("pending", "final-again", "conflict", "late", "retry", "duplicate"):
        assert f" {kind} " in plain
    wanted = {"reports": 6, "repeats": 2, "duplicates": 1, "retries": 1, "late": 1, "conflicts": 1, "messages": 2}
    assert {name: stats[name] for name in wanted} == wanted


def test_order_within_one_batch_makes_nothing_late_and_a_body_repeats_as_one(tmp_path: Path) -> None:
    """A PENDING after its final in the same array is not late; a report twice in one array is a duplicate."""
    folder = tmp_path / "data"
    message = "5f0b7c7e-15a1-4a4f-8d4e-3f5b1c2d3e4f"
    final, pending = report(message, "DELIVERED"), report(message, "PENDING")
    with RunningService(folder) as service:
        assert service.post(body_of([final, pending, final]))[0] == 200
        assert service.post(b"not an array")[0] == 400
        assert service.post(b"not an array")[0] == 400
        assert service.post(b"[]")[0] == 200
        service.settled()
        shown = json_of("show", message, data_dir=folder)
        [body] = json_lines_of("quarantine", data_dir=folder)
        batches = json_lines_of("batches", data_dir=folder)
        stats = service.stats()
    assert [one["kind"] for one in shown["timeline"]] == ["final", "pending", "duplicate"]
    assert shown["flags"] == ["repeated"]
    assert (body["batch"], body["index"], body["count"]) == (2, None, 2)
    assert [(row["batch"], row["elements"], row["retry_of"], row["attempt"]) for row in batches] == [
        (4, 0, None, 1),
        (3, 0, 2, 2),
        (2, 0, None, 1),
        (1, 3, None, 1),
    ]
    assert (stats["batches"], stats["malformed"], stats["quarantined"], stats["late"]) == (2, 1, 1, 0)
    assert conserved(stats)


def test_an_array_beyond_max_elements_keeps_its_rest_in_quarantine(tmp_path: Path) -> None:
    """The first ones are stored, the rest is one remainder in quarantine, counted by its elements."""
    folder = tmp_path / "data"
    reports = [report() for _ in range(25)]
    settings = {"HOOKLAB_MAX_ELEMENTS": "10"}
    with RunningService(folder, environment=settings) as service:
        assert service.post(body_of(reports))[0] == 200
        stats = service.settled()
        [row] = json_lines_of("quarantine", data_dir=folder)
        rest = hooklab("quarantine", "show", str(row["id"]), data_dir=folder).stdout
    assert (stats["elements"], stats["reports"], stats["quarantined"], stats["messages"]) == (25, 10, 15, 10)
    assert conserved(stats)
    assert (row["batch"], row["index"]) == (1, 10)
    assert row["reason"].startswith("15 elements beyond the first 10")
    assert json.loads(rest) == reports[10:]
    before = tables_of(folder / "store.db")
    assert hooklab("rebuild", data_dir=folder, env={**os.environ, **settings}).returncode == 0
    assert tables_of(folder / "store.db") == before


# Hostile text ----------------------------------------------------------------------------------------------------

HOSTILE: Final = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202eevil\u2066\u200b\r\nfake line\tx\x7f\x00end"
CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@pytest.mark.parametrize("escaped", [True, False], ids=["escaped in JSON", "raw UTF-8 where JSON lets it"])
def test_hostile_text_does_nothing_to_a_terminal_and_stays_whole_in_json(tmp_path: Path, escaped: bool) -> None:
    """ESC, OSC, C1, bidi and line breaks in every field: no control byte in plain output, all there in `--json`."""
    folder = tmp_path / "data"
    message = "7a0b7c7e-15a1-4a4f-8d4e-3f5b1c2d3e4f"
    names = ("Msisdn", "OrganizationId", "ReportDescription", "ReportDateTime", "CustomPayload")
    good = {"MessageId": message, "Status": "PENDING", "Odd" + HOSTILE: HOSTILE}
    hostile = {**good, **{name: f"{name} {HOSTILE}" for name in names}}
    bad = {"MessageId": HOSTILE, "Status": "PENDING"}
    bad_status = {"MessageId": message, "Status": [HOSTILE]}
    body = json.dumps([hostile, bad, bad_status], ensure_ascii=escaped).encode()
    with RunningService(folder) as service:
        assert service.post(body, **{"User-Agent": "evil\x9b2J \xad\x85"})[0] == 200
        assert service.post(b"\x1b[31m not json \xc2\x9b2J \xe2\x80\xae")[0] == 400
        counters = service.settled()
        assert counters["reports"] == 1
        for arguments in (
            ["messages"],
            ["show", message],
            ["batches"],
            ["batch", "1"],
            ["batch", str(counters["batches"] + 1)],
            ["quarantine", "list"],
        ):
            done = hooklab(*arguments, data_dir=folder)
            assert (done.returncode, done.stderr) == (0, b""), arguments
            text = done.stdout.decode()  # valid UTF-8, with no lone surrogate
            assert not CONTROL.search(text), (arguments, text)
            assert "\nfake line" not in text
        shown = json_of("show", message, data_dir=folder)
        [row] = json_lines_of("messages", data_dir=folder)
        reasons = [one["reason"] for one in json_lines_of("quarantine", data_dir=folder)]
        raw = hooklab("batch", "1", "--raw", data_dir=folder).stdout
    assert shown["description"] == row["description"] == f"ReportDescription {HOSTILE}"
    assert shown["timeline"][0]["reported_at"] == f"ReportDateTime {HOSTILE}"
    assert (row["msisdn"], row["organization_id"]) == (f"Msisdn {HOSTILE}", f"OrganizationId {HOSTILE}")
    assert row["custom_payload"] == f"CustomPayload {HOSTILE}"
    assert any("MessageId" in reason for reason in reasons)
    assert raw == body


# Errors, pipes, small things -------------------------------------------------------------------------------------


def error_of(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one line on stderr of a command that failed."""
    # A service that does not start has logged what it tried; the reason stands last.
    *logged, text = done.stderr.decode().splitlines(keepends=True)
    assert all(line.startswith('{"time"') for line in logged)
    assert (done.returncode, done.stdout) == (code, b""), (done, text)
    assert text.startswith("hooklab: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    assert "fault of hooklab" not in text
    assert not re.search(r"3519\d{8}", text), "a phone number"
    return text.removeprefix("hooklab: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "00000000-0000-4000-8000-00000000dead"], 1, "no message 00000000-0000-4000-8000-00000000dead"),
        (["show", "SMS-42"], 1, "'SMS-42' is not a message id"),
        (["show", "f1260ebc\x1b[31m"], 1, "not a message id"),
        (["messages", "state:sent"], 1, "state:sent"),
        (["messages", "since:yesterday"], 1, "since:yesterday"),
        (["messages", "desc:"], 1, "desc:"),
        (["messages", "desc:\udcff"], 1, "not valid text"),
        (["messages", "--limit", "0"], 2, "'0'"),
        (["messages", "--limit", "many"], 2, "'many'"),
        (["batch", "21"], 1, "no batch 21"),
        (["batch", "21", "--raw"], 1, "batch 21"),
        (["batch", "x"], 2, "'x'"),
        (["batch", str(2**80)], 2, "whole number"),
        (["quarantine", "show", "1"], 1, "the id 1"),
        (["quarantine", "show", str(10**30)], 2, "whole number"),
        (["quarantine", "show", "x"], 2, "'x'"),
        (["send", "/nowhere/there.json"], 1, "/nowhere/there.json"),
        (["send", str(SAMPLES / "01_single_report.json"), "--url", "ftp://x/hooks/t"], 1, "http"),
        (["snippet", "--base-url", "hooks.example.com"], 1, "--base-url"),
        (["stats", "--nonsense"], 2, "--nonsense"),
        (["nonsense"], 2, "nonsense"),
    ],
    ids=lambda value: ascii(" ".join(value))[:50] if isinstance(value, list) else None,
)
def test_an_error_is_one_line_that_says_what_is_wrong(
    story: Story, arguments: list[str], code: int, says: str
) -> None:
    """One line on stderr, nothing on stdout, 1 for what failed and 2 for a wrong use, never a traceback."""
    command, *rest = (os.fsencode(argument) for argument in arguments)
    words = [sys.executable.encode(), b"-m", b"hooklab", command, b"--data-dir", os.fsencode(story.folder), *rest]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    said = error_of(done, code)
    assert says in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "arguments",
    [["stats"], ["batch", "1"], ["rebuild"]],
    ids=lambda value: value[0],
)
def test_a_folder_without_data_is_named_and_not_made(tmp_path: Path, arguments: list[str]) -> None:
    """A reading command on a folder that is not there says so, and does not make it."""
    folder = tmp_path / "nothing"
    assert str(folder) in error_of(hooklab(*arguments, data_dir=folder), 1)
    assert not folder.exists()


def test_no_answer_is_an_error_that_hides_the_token(story: Story) -> None:
    """Where nobody listens, `send` says so, without the secret of the URL."""
    done = hooklab("send", SAMPLES / "01_single_report.json", "--url", f"http://127.0.0.1:1/hooks/{TOKEN}/pending")
    said = error_of(done, 1)
    assert "no answer from http://127.0.0.1:1: Connection refused" in said
    assert TOKEN not in said


def test_a_files_that_are_not_a_database_are_an_error(tmp_path: Path) -> None:
    """Garbage, or somebody else's database, in place of ours: a line that says which file."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "journal.db").write_bytes(b"garbage" * 1000)
    assert str(folder) in error_of(hooklab("stats", data_dir=folder), 1)
    assert str(folder) in error_of(hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder), 1)
    (folder / "journal.db").unlink()
    foreign = sqlite3.connect(folder / "journal.db")
    foreign.execute("CREATE TABLE theirs (a)")
    foreign.close()
    assert "not a hooklab journal" in error_of(hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder), 1)
    foreign = sqlite3.connect(folder / "journal.db")
    assert foreign.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    foreign.close()


def test_a_damaged_store_does_not_hang_a_reading_command(story: Story, tmp_path: Path) -> None:
    """A store whose pages are garbage behind a good header: one line, and the command ends."""
    folder = shutil.copytree(story.folder, tmp_path / "data")
    good = (folder / "store.db").read_bytes()
    (folder / "store.db").write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    try:
        done = hooklab("stats", data_dir=folder, timeout=4)
    except subprocess.TimeoutExpired:
        pytest.fail("it hangs")
    assert str(folder) in error_of(done, 1)


def test_a_damaged_journal_does_not_hang_a_starting_service(story: Story, tmp_path: Path) -> None:
    """A journal whose pages are garbage behind a good header: one line, and the process ends."""
    folder = shutil.copytree(story.folder, tmp_path / "data")
    good = (folder / "journal.db").read_bytes()
    (folder / "journal.db").write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    try:
        done = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder, timeout=4)
    except subprocess.TimeoutExpired:
        pytest.fail("it hangs")
    assert str(folder) in error_of(done, 1)


@pytest.mark.parametrize(
    "command",
    ["messages --limit 1000", "messages --json --limit 1000", "batch 4", "batch 4 --raw", "batches", "--help"],
)
def test_a_reader_that_leaves_early_gets_no_noise(story: Story, command: str) -> None:
    """`hooklab … | head -c 1`, or a reader that takes nothing: no word on stderr, no traceback."""
    for reader in ("head -c 1", "true")[: 2 if command.startswith("messages") else 1]:
        line = f"'{sys.executable}' -m hooklab {command} --data-dir '{story.folder}' | {reader}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60)
        assert done.stderr == b""
        assert len(done.stdout) <= 1


def test_output_that_cannot_be_written_is_said_and_is_not_our_fault(story: Story) -> None:
    """A full disk behind `> file` is an error of that disk; an encoding without the character gets a `?`."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hooklab", "messages", "--data-dir", story.folder],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.endswith(b"hooklab: the output cannot be written: No space left on device\n")
    folder = shutil.copytree(story.folder, story.folder.parent / "latin")
    store = sqlite3.connect(folder / "store.db")
    store.execute("UPDATE messages SET description = 'caf\u00e9 \u2026'")
    store.commit()
    store.close()
    listed = hooklab("messages", "--limit", "1", data_dir=folder, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert listed.returncode == 0
    assert b"only the newest 1 are shown" in listed.stderr
    assert "caf\u00e9 ?".encode("latin-1") in listed.stdout


def test_the_snippet_is_what_the_provider_wants(story: Story) -> None:
    """`smsWebhooks` with one enabled URL a state under the base URL, carrying the folder's token."""
    token = (story.folder / "token").read_text() if (story.folder / "token").exists() else None
    done = hooklab("snippet", "--base-url", "https://hooks.example.com/", "--data-dir", story.folder)
    assert (done.returncode, done.stderr) == (0, b"")
    [(key, hooks)] = json.loads(done.stdout).items()
    assert key == "smsWebhooks"
    token = token or (story.folder / "token").read_text()
    base = f"https://hooks.example.com/hooks/{token.strip()}"
    assert hooks == {
        state: {"url": f"{base}/{state}", "enabled": True} for state in ("delivered", "not_delivered", "pending")
    }


def test_the_snippet_of_a_running_service_has_its_token(tmp_path: Path) -> None:
    """Token and address are those in force, not those that another start would have."""
    with RunningService(tmp_path / "data") as service:
        local = hooklab("snippet", data_dir=tmp_path / "data")
        based = hooklab("snippet", "--base-url", "https://hooks.example.com", data_dir=tmp_path / "data")
        assert json.loads(local.stdout)["smsWebhooks"]["pending"]["url"] == f"{service.url}/pending"
    url = json.loads(based.stdout)["smsWebhooks"]["not_delivered"]["url"]
    assert url == f"https://hooks.example.com/hooks/{TOKEN}/not_delivered"


def test_the_version_is_one_line() -> None:
    """`hooklab --version` names program and version, and needs no data."""
    done = hooklab("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"hooklab {__version__}\n".encode(), b"")


@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- <&- 2>&-"])
@pytest.mark.parametrize("command", ["stats", "messages --json"])
def test_closed_streams_are_no_fault(story: Story, command: str, closed: str) -> None:
    """A command whose standard streams are closed does its work and ends with 0."""
    line = f'"{sys.executable}" -m hooklab {command} --data-dir "{story.folder}" {closed}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_serve_with_closed_streams_serves(tmp_path: Path) -> None:
    """The loop does not take the number of a closed stream for its own: POSTs are answered, SIGTERM ends it."""
    folder = tmp_path / "data"
    line = f'exec "{sys.executable}" -m hooklab serve --bind 127.0.0.1:0 --data-dir "{folder}" >&- <&-'
    with subprocess.Popen(["sh", "-c", line], stderr=subprocess.PIPE) as service:
        ends = time.monotonic() + 20
        while not (folder / "hooklab.sock").exists():
            assert time.monotonic() < ends
            assert service.poll() is None
        while (sent := hooklab("send", SAMPLES / "01_single_report.json", data_dir=folder)).returncode:
            assert time.monotonic() < ends, sent.stderr
        service.terminate()
        assert service.wait(20) == 0


def test_json_says_the_same_without_a_byte_that_a_terminal_obeys(tmp_path: Path) -> None:
    """C1 controls, DEL and bidirectional marks are escaped in `--json`, and come back whole for who parses it."""
    odd = "a\x9b31mX\x7f\u202e\u2028\U000e0041é…"
    with RunningService(tmp_path / "data") as service:
        service.post(body_of([report(ReportDescription=odd)]))
        service.settled()
        raw = hooklab("messages", "--json", data_dir=service.data_dir).stdout.decode()
    assert raw.rstrip("\n").isprintable()
    assert json.loads(raw)["description"] == odd


def test_a_mistyped_filter_word_is_pointed_out(story: Story) -> None:
    """Nothing found for a word that only looks like a filter word: stderr says how it was taken."""
    done = hooklab("messages", "status:pending", data_dir=story.folder)
    assert done.returncode == 0
    digits = hooklab("messages", "47110815", data_dir=story.folder)
    assert b"47110815 was looked for in phone numbers; custom:47110815 looks in custom payloads" in digits.stderr
    assert (
        b"'status:pending' was looked for as text, in descriptions, custom payloads and ids; words are state:"
        in done.stderr
    )


def test_a_token_file_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    """A typo must not make another hook URL: nothing is made, the start is refused."""
    done = hooklab("serve", "--token-file", tmp_path / "nope", "--bind", "127.0.0.1:0", data_dir=tmp_path / "data")
    assert "is not there" in error_of(done, 1)
    assert not (tmp_path / "nope").exists()


def test_send_goes_to_this_machine_whatever_the_provider_sees(tmp_path: Path) -> None:
    """With --public-url the local address is posted to; without a service nothing is sent and nothing is made."""
    folder = tmp_path / "data"
    assert "no hooklab data" in error_of(hooklab("send", SAMPLES / "01_single_report.json", data_dir=folder), 1)
    assert not folder.exists()
    with RunningService(folder, "--public-url", "https://hooks.example.com") as service:
        assert service.url.startswith("https://hooks.example.com/hooks/")
        done = hooklab("send", SAMPLES / "01_single_report.json", data_dir=folder)
        assert (done.returncode, done.stdout.endswith(b": 200\n")) == (0, True)
    assert "no hooklab runs" in error_of(hooklab("send", SAMPLES / "01_single_report.json", data_dir=folder), 1)


def test_insights_tell_what_the_counters_tell(story: Story) -> None:
    """States, repeats and late reports are those of `stats`; an empty window has none; the text says the same."""
    found = json_of("insights", data_dir=story.folder)
    stats = json_of("stats", data_dir=story.folder)
    for name in ("messages", "delivered", "not_delivered", "pending", "conflicts", "stuck"):
        assert found[name] == stats[name], name
    for name in ("batches", "reports", "repeats", "late"):
        assert found["provider"][name] == stats[name], name
    assert found["delivery_rate"] == 492 / 519
    assert sum(one["messages"] for one in found["failure_reasons"]) + found["other_reasons"] == 27
    assert sum(one["messages"] for one in found["by_hour"]) == 525
    assert [(one["attempt"], one["batches"]) for one in found["provider"]["retries"]] == [(2, 1)]
    times = found["pending_to_final"]
    without = times["without_pending"] + times["without_time"] + times["backwards"]
    assert times["messages"] + without == 519
    assert found["sent_to_final"] is None
    assert json_of("insights", "--since", "2999-01-01", data_dir=story.folder)["messages"] == 0
    assert json_of("insights", "--since", "7d", data_dir=story.folder)["messages"] == 525
    organization = found["by_organization"][0]["organization_id"]
    ours = json_of("insights", "--org", organization.upper()[:13], data_dir=story.folder)
    assert ours["messages"] == found["by_organization"][0]["messages"]
    text = hooklab("insights", data_dir=story.folder).stdout.decode()
    assert "94.8 % of 519 messages with a final were delivered, 93.7 % of all 525." in text


def test_a_live_service_reads_the_time_of_sending(tmp_path: Path) -> None:
    """With `sent_at_key` the JSON has send-to-final; retries of a body are timed as they come."""
    with RunningService(tmp_path / "data", "--sent-at-key", "sent") as service:
        final = report(CustomPayload='{"sent": "2026-11-22T09:30:02.120Z"}')
        service.post(body_of([final]))
        service.post(body_of([final]))
        service.settled()
        found = json_of("insights", data_dir=tmp_path / "data")
    assert found["sent_to_final"]["key"] == "sent"
    assert found["sent_to_final"]["p50_s"] == pytest.approx(60, rel=0.032)
    [retry] = found["provider"]["retries"]
    assert (retry["attempt"], retry["batches"]) == (2, 1)
    assert found["pending_to_final"]["without_pending"] == 1


def test_a_window_that_is_no_time_is_an_error(story: Story) -> None:
    """The same sentence as for the filter word."""
    done = hooklab("insights", "--since", "yesterday", data_dir=story.folder)
    assert "since:yesterday is no time; write since:30m" in error_of(done, 1)
