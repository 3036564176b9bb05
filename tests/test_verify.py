"""`verify`: a campaign with all that can go wrong is as the truth says, and no lie and no fault passes."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from support import RunningService, body_of, hooklab, pair, unpacking

from hooklab.cli import main
from hooklab.journal.packing import Packer, seal_of

Line = dict[str, Any]


@dataclass
class Story:
    """A campaign in a folder whose service was killed afterwards."""

    folder: Path
    truth: Path
    figures: dict[str, Any]
    counters: dict[str, Any]

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.truth.read_text().splitlines()]

    def copy(self, place: Path) -> Path:
        return shutil.copytree(self.folder, place / "data", ignore=shutil.ignore_patterns("*.sock"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Every misbehaviour, three labels, and everything counted."""
    place = tmp_path_factory.mktemp("verify")
    folder, truth = place / "data", place / "T"
    options = ["--messages", "250", "--chaos", "--labels", "--seed", "5", "--bad", "0.05", "--late", "0.2"]
    with RunningService(folder) as service:
        done = hooklab("simulate", "--truth", truth, *options, "--json", data_dir=folder)
        assert done.returncode == 0, done.stderr
        counters = service.settled()
        service.kill()
    names = ("retries", "duplicates", "late", "conflicts", "quarantined", "not_delivered", "pending")
    assert not [name for name in names if not counters[name]], "there is nothing to lie about"
    return Story(folder, truth, json.loads(done.stdout), counters)


@dataclass
class Said:
    """What `verify` said, run in this process."""

    code: int
    out: str
    errors: str


Verify = Callable[..., Said]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    """Runs it; no phone number is ever shown."""

    def run(folder: Path, truth: Path, *options: str) -> Said:
        code = main(["verify", "--truth", str(truth), "--data-dir", str(folder), *options])
        said = capsys.readouterr()
        assert not re.search(r"3519000\d{5}", said.out + said.err), "a phone number"
        return Said(code, said.out, said.err)

    return run


def test_the_truth_verifies(story: Story, verify: Verify) -> None:
    """Exit 0 and one line that counts what was compared."""
    said = verify(story.folder, story.truth)
    assert (said.code, said.errors) == (0, "")
    assert said.out.count("\n") == 1
    assert said.out.startswith(f"as the truth says: {story.counters['messages']} messages, ")
    assert f"{story.figures['acknowledged']} acknowledged of {story.figures['posts']} POSTs" in said.out


# A truth that lies -----------------------------------------------------------------------------------------------


def body_in(lines: list[Line], holds: Callable[[Line], bool] = lambda _: True) -> Line:
    """The first body such that `holds`."""
    return next(one for one in lines if one["kind"] == "body" and holds(one))


def is_misfit(element: Any) -> bool:
    return isinstance(element, dict)


def with_misfit(lines: list[Line]) -> tuple[list[Any], int]:
    """The elements of a body with one that nobody understands, and its place."""
    elements = body_in(lines, lambda one: any(map(is_misfit, one["elements"])))["elements"]
    return elements, next(at for at, element in enumerate(elements) if is_misfit(element))


def claim_an_answer(lines: list[Line]) -> None:
    body = body_in(lines, lambda one: one["posts"] == one["acknowledged"])
    body["posts"] += 1
    body["acknowledged"] += 1


def hide_a_post(lines: list[Line]) -> None:
    body = body_in(lines, lambda one: one["posts"] == one["acknowledged"] == 2)
    body["posts"] = body["acknowledged"] = 1


def hide_a_body(lines: list[Line]) -> None:
    lines.remove(body_in(lines))


def invent_a_body(lines: list[Line]) -> None:
    lines.append({**body_in(lines), "body": 10**6, "digest": "0" * 64, "posts": 1, "acknowledged": 1})


def another_digest(lines: list[Line]) -> None:
    body_in(lines)["digest"] = "0" * 64


def another_label(lines: list[Line]) -> None:
    body = body_in(lines)
    body["label"] = {"pending": "delivered"}.get(body["label"], "pending")


def swap_elements(lines: list[Line]) -> None:
    body_in(lines, lambda one: len(one["elements"]) > 1)["elements"].reverse()


def forget_an_element(lines: list[Line]) -> None:
    body_in(lines, lambda one: len(one["elements"]) > 1)["elements"].pop()


def invent_an_element(lines: list[Line]) -> None:
    body_in(lines)["elements"].append({"misfit": None})


def a_report_is_a_misfit(lines: list[Line]) -> None:
    body_in(lines, lambda one: not is_misfit(one["elements"][0]))["elements"][0] = {"misfit": None}


def a_misfit_is_a_report(lines: list[Line]) -> None:
    elements, at = with_misfit(lines)
    elements[at] = next(element for element in elements if not is_misfit(element))


def another_misfit(lines: list[Line]) -> None:
    elements, at = with_misfit(lines)
    elements[at]["misfit"] = "never sent"


def forget_a_field(lines: list[Line]) -> None:
    life = next(one for one in lines if one["kind"] == "life" and "CustomPayload" in one["reports"][0])
    del life["reports"][0]["CustomPayload"]


def a_field(name: str, value: Any, status: str = "DELIVERED") -> Callable[[list[Line]], None]:
    """Another value in the reports of a status of the first message that has any."""

    def lie(lines: list[Line]) -> None:
        lives = ([one for one in line["reports"] if one["Status"] == status] for line in lines if "reports" in line)
        for report in next(reports for reports in lives if reports):
            report[name] = value

    lie.__name__ = f"{name}={value}"
    return lie


NOBODY: Final = "00000000-0000-4000-8000-00000000dead"
LIES: Final[list[tuple[Callable[[list[Line]], None], str]]] = [
    (claim_an_answer, "times in the journal"),
    (hide_a_post, "times in the journal"),
    (hide_a_body, "batches that the truth does not know"),
    (invent_a_body, "times in the journal"),
    (another_digest, "times in the journal"),
    (another_label, "label"),
    (swap_elements, "element 0 "),
    (forget_an_element, ": elements: "),
    (invent_an_element, ": elements: "),
    (a_report_is_a_misfit, "element 0"),
    (a_misfit_is_a_report, ": element "),
    (another_misfit, ": element "),
    (forget_a_field, "CustomPayload"),
    (a_field("Status", "NOT_DELIVERED"), "state: expected NOT_DELIVERED"),
    (a_field("Status", "DELIVERED", "NOT_DELIVERED"), "state: expected DELIVERED"),
    (a_field("Status", "DELIVERED", "PENDING"), ": kind: expected final"),
    (a_field("ReportDateTime", "2031-01-01T00:00:00Z"), "final_at: expected 19"),
    (a_field("ReportDescription", "zzz never said"), "description: expected zzz"),
    (a_field("MessageId", NOBODY), f"message {NOBODY}: all of it"),
    (a_field("OrganizationId", "zz"), "organization_id: expected zz"),
    (a_field("Msisdn", "99999999999"), "msisdn: expected 9999····9999"),
    (a_field("TotalSegments", 99), "total_segments: expected 99"),
    (a_field("CustomPayload", "~"), "custom_payload: expected ~"),
]


def write_truth(path: Path, lines: list[Line], *, sums_fit: bool) -> Path:
    bodies = [line for line in lines if line["kind"] == "body"]
    sums = {name: sum(body[name] for body in bodies) for name in ("posts", "acknowledged")} if sums_fit else {}
    lines = [{**line, **sums} if line["kind"] == "end" else line for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(("lie", "says"), LIES, ids=[lie.__name__ for lie, _ in LIES])
def test_a_truth_that_lies_does_not_verify(
    story: Story, tmp_path: Path, verify: Verify, lie: Callable[[list[Line]], None], says: str
) -> None:
    """Whatever is falsified, with sums that fit: exit 1, and a difference that names it."""
    lines = story.lines()
    lie(lines)
    said = verify(story.folder, write_truth(tmp_path / "T", lines, sums_fit=True), "--limit", "1000")
    assert said.code == 1
    assert says in said.out
    assert re.fullmatch(r"hooklab: [\d,]+ differences? from the truth\n", said.errors)


@pytest.mark.parametrize(("name", "by"), [("posts", 1), ("acknowledged", -1)])
def test_a_truth_whose_sums_are_wrong_is_refused(
    story: Story, tmp_path: Path, verify: Verify, name: str, by: int
) -> None:
    """POSTs that are added, or acknowledgements that are taken away, break no law: only the sums tell."""
    lines = story.lines()
    body_in(lines)[name] += by
    said = verify(story.folder, write_truth(tmp_path / "T", lines, sums_fit=False))
    assert (said.code, said.out) == (1, "")
    assert "contradicts itself" in said.errors
    assert said.errors.count("\n") == 1


# A folder that is wrong ------------------------------------------------------------------------------------------

_ONE: Final = "UPDATE messages SET {} WHERE id = 7"
_REPORT: Final = "UPDATE reports SET {} WHERE message = 7"
_BATCH: Final = "UPDATE batches SET {} WHERE sequence = 3"
_REPEAT: Final = "WHERE arrival = (SELECT min(arrival) FROM repeats)"
_FIRST: Final = "UPDATE messages SET {} WHERE id = (SELECT min(id) FROM messages WHERE {})"
_OTHER: Final = Packer().pack("127.0.0.1", "[]", b"[1]")
FAULTS: Final = {
    # What hooklab might do wrong: the file, a statement that does it to a copy, and what the difference names.
    "a state": ("store", _FIRST.format("rank = rank - 1", "rank & 1"), "state"),
    "a final's time": ("store", _FIRST.format("rank = rank + 2", "rank > 0"), "final_at"),
    "a description": ("store", _ONE.format("description = 'x'"), "description"),
    "a number": ("store", _ONE.format("msisdn = '351900012345'"), "msisdn"),
    "an organization": ("store", _ONE.format("organization_id = NULL"), "organization_id"),
    "segments": ("store", _ONE.format("total_segments = 9"), "total_segments"),
    "a custom payload": ("store", _ONE.format("custom_payload = 'x'"), "custom_payload"),
    "the conflict flag": ("store", _FIRST.format("seen = seen | 6", "seen & 6 <> 6"), "flags"),
    "the late flag": ("store", _ONE.format("seen = (seen | 8) - (seen & 8)"), "flags"),
    "the repeated flag": ("store", _ONE.format("seen = (seen | 16) - (seen & 16)"), "flags"),
    "the mismatch flag": ("store", _ONE.format("seen = (seen | 32) - (seen & 32)"), "flags"),
    "when it came first": ("store", _ONE.format("first_at = first_at - 1"), "first_received_at"),
    "when it came last": ("store", _ONE.format("last_after = last_after + 1"), "last_received_at"),
    "a report lost": ("store", "DELETE FROM reports WHERE message = 7", "arrival in batch"),
    "a report's time": ("store", _REPORT.format("reported_at = 'x'"), "reported_at"),
    "a report's description": ("store", _REPORT.format("description = 'x'"), ": description"),
    "a report's status": ("store", _REPORT.format("status = (status + 1) % 3"), ": status"),
    "a report's place": ("store", _REPORT.format("arrival = arrival + 1"), "arrival in batch"),
    "a repeat lost": ("store", f"DELETE FROM repeats {_REPEAT}", "arrival in batch"),
    "a repeat's kind": ("store", f"UPDATE repeats SET retry = 1 - retry {_REPEAT}", ": kind"),
    "a message lost": ("store", "DELETE FROM messages WHERE id = 7", "all of it: expected there"),
    "a message invented": ("store", _ONE.format("message_id = randomblob(16)"), "all of it: expected nothing"),
    "a batch's numbers": ("store", _BATCH.format("new = new + 1"), "batch 3: new"),
    "a batch's attempt": ("store", _BATCH.format("attempt = 4"), "batch 3: attempt"),
    "a batch's first": ("store", _BATCH.format("retry_of = 1"), "batch 3: retry_of"),
    "a batch's label": ("store", _BATCH.format("label = 'x'"), "batch 3: label"),
    "a batch lost": ("store", "DELETE FROM batches WHERE sequence = 3", "batch 3: all of it"),
    "quarantine lost": ("store", "DELETE FROM quarantine", "quarantine batch"),
    "quarantine changed": ("store", "UPDATE quarantine SET raw = CAST('[1]' AS BLOB)", "element"),
    "quarantine damaged": ("store", "UPDATE quarantine SET raw = CAST('{\"a' AS BLOB)", "element"),
    "quarantine counted": ("store", "UPDATE quarantine SET count = 2", "count"),
    "quarantine invented": ("store", "INSERT INTO quarantine VALUES (4195303, 'x', 1, 1, x'31')", "index 999"),
    "a minute": ("store", "UPDATE minutes SET delivered = delivered + 1", ": delivered: "),
    "a minute lost": ("store", "DELETE FROM minutes", ": batches: "),
    "a total": ("store", "UPDATE totals SET late = late + 1", "counter late"),
    "totals that cancel out": ("store", "UPDATE totals SET reports = reports + 1, repeats = repeats - 1", "repeats"),
    "conservation": ("store", "UPDATE totals SET malformed = malformed + 1", "counter conservation"),
    "an acknowledged batch lost": ("journal", "DELETE FROM batches WHERE sequence = 3", "times in the journal"),
    "a body in another's place": (
        "journal",
        _BATCH.format("body = (SELECT body FROM batches WHERE sequence = 4)"),
        "times in the journal",
    ),
    "a body changed": (
        "journal",
        _BATCH.format(f"body = x'{_OTHER.hex()}', digest = x'{seal_of(_OTHER).hex()}'"),
        "batches that the truth does not know",
    ),
    "a label changed": ("journal", _BATCH.format("label = 'x'"), "label"),
    "an array called malformed": ("journal", _BATCH.format("malformed = 1"), "malformed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_wrong_does_not_verify(story: Story, tmp_path: Path, verify: Verify, fault: str) -> None:
    """Anything that store or journal have otherwise than the truth wants it: exit 1, and a difference names it."""
    file, statement, says = FAULTS[fault]
    folder = story.copy(tmp_path)
    change(folder / f"{file}.db", statement)
    said = verify(folder, story.truth, "--limit", "1000")
    assert said.code == 1
    assert says in said.out


def change(path: Path, *statements: str) -> None:
    """Does it to a database, and something is changed by it."""
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
        connection.commit()
    finally:
        connection.close()


def test_differences_are_bounded_and_counted(story: Story, tmp_path: Path, verify: Verify) -> None:
    """The first of each kind, how many more there are, and with `--json` the same as one object."""
    folder = story.copy(tmp_path)
    change(
        folder / "store.db",
        "UPDATE messages SET msisdn = '351900012345', description = 'x'",
        "UPDATE batches SET bytes = 0",
    )
    said = verify(folder, story.truth, "--limit", "3")
    lines = said.out.splitlines()
    assert said.code == 1
    assert [line.split()[0] for line in lines] == ["message"] * 3 + ["batch"] * 3 + ["message:", "batch:"]
    assert all("more differences" in line for line in lines[-2:])
    assert any("found 3519····2345" in line for line in lines)
    done = hooklab("verify", "--truth", story.truth, "--json", "--limit", "1", data_dir=folder)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["differences"]["message"] > 250
    assert [one["kind"] for one in told["shown"]] == ["message", "batch"]


# What is around it -----------------------------------------------------------------------------------------------


def test_others_requests_are_a_difference_unless_they_are_allowed(story: Story, tmp_path: Path) -> None:
    """Another sender's bodies, well-formed or not. One of the campaign's that somebody sends again is never right."""
    folder = story.copy(tmp_path)
    journal = sqlite3.connect(folder / "journal.db")
    [(known,)] = unpacking(journal).execute("SELECT body_of(encoding, body) FROM batches WHERE sequence = 1")
    journal.close()
    with RunningService(folder) as service:
        for body in (body_of([*pair(), "odd"]), b"not JSON"):
            service.post(body)
        service.settled()
        strict = hooklab("verify", "--truth", story.truth, data_dir=folder)
        allowed = hooklab("verify", "--truth", story.truth, "--others-allowed", data_dir=folder)
        for _ in range(5):
            service.post(known)
        service.settled()
    again = hooklab("verify", "--truth", story.truth, "--others-allowed", data_dir=folder)
    assert strict.returncode == 1
    assert b"batches that the truth does not know: expected 0, found 2" in strict.stdout
    assert (allowed.returncode, allowed.stderr) == (0, b""), allowed.stdout
    assert b"and 2 batches of others" in allowed.stdout
    assert again.returncode == 1
    assert b"times in the journal" in again.stdout


def test_says_that_there_is_lag(story: Story, tmp_path: Path, verify: Verify) -> None:
    """What is not counted is waited for while a service runs, and then named; without one it is named at once."""
    folder = story.copy(tmp_path)
    with RunningService(folder) as service:
        holder = sqlite3.connect(folder / "store.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            service.post(b"[]")
            waited = verify(folder, story.truth, "--wait", "0.2")
            service.kill()
        finally:
            holder.close()
    assert (waited.code, waited.out) == (1, "")
    assert waited.errors == "hooklab: batches not counted yet after 0.2 s: 1; see --wait\n"
    said = verify(folder, story.truth)
    assert (said.code, said.out) == (1, "")
    assert said.errors.startswith("hooklab: batches not counted yet: 1; no hooklab runs on ")


@pytest.mark.parametrize(
    ("folder", "truth", "says"),
    [
        ("none", None, "no hooklab data"),
        (None, "none", "cannot be read: No such file"),
        (None, "hello", "is no truth of `hooklab simulate`: line 1"),
    ],
)
def test_what_is_not_there_or_is_no_truth_is_named(
    story: Story, tmp_path: Path, verify: Verify, folder: str | None, truth: str | None, says: str
) -> None:
    """One line on stderr, exit 1."""
    (tmp_path / "hello").write_text("hello\n")
    place = story.folder if folder is None else tmp_path / folder
    said = verify(place, story.truth if truth is None else tmp_path / truth)
    assert (said.code, said.out) == (1, "")
    assert says in said.errors
    assert said.errors.count("\n") == 1
