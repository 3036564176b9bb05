"""Every hostile string through every command, plain and as JSON: no control byte, no forged line, no formula."""

import csv
import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hostile import BAD_CATEGORIES, BODIES, HOSTILE, LONG, harmful
from hostile_stage import _HTTP, NAMES, ROOM, Fed, about, feed, message_of
from inside import Said, run
from pty_stage import Terminal
from support import RunningService, body_of, hooklab, read_to_end

from hooklab import cli
from hooklab.health.service import Door, Runs, judge_door
from hooklab.metrics import ServiceStatus, TurnedAway

FORMULA: Final = re.compile(r"[\s\"'`]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ")
NUMBER: Final = re.compile(r" *\d+  ")
STATUS: Final = ServiceStatus(
    version="0",
    pid=1,
    started_at=0,
    hook_url="http://127.0.0.1:1/hooks/x",
    local_url="http://127.0.0.1:1/hooks/x",
    ready=True,
)
ALL_OF_THEM: Final = ("--limit", "100000")


def _is_argument(text: str) -> bool:
    """Whether the kernel would hand it to a program."""
    try:
        return "\0" not in text and len(os.fsencode(text)) < 5_000
    except UnicodeEncodeError:
        return False


TYPED: Final = {name: text for name, text in HOSTILE.items() if _is_argument(text)}


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """One service for all."""
    with RunningService(tmp_path_factory.mktemp("hostile") / "data", environment=ROOM) as service:
        yield feed(service)


@pytest.fixture(autouse=True)
def _one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """To build it anew for thousands of commands would take most of the time."""
    monkeypatch.setattr(cli, "_build_parser", _parser)


_parser: Final = lru_cache(cli._build_parser)


def plain(folder: Path, *arguments: str) -> list[str]:
    """The lines of what a command prints for people; they do nothing to a terminal."""
    done = run(*arguments, folder=folder)
    assert done.code in {0, 1 if arguments == ("doctor",) else 0}, (arguments, done)
    assert not harmful(done.out + done.err, "\n"), (arguments, harmful(done.out + done.err, "\n"))
    return done.out.splitlines()


def as_json(folder: Path, *arguments: str) -> list[Any]:
    """The values that a command prints as JSON Lines; nothing in them is a control."""
    done = run(*arguments, "--json", folder=folder)
    assert done.code in {0, 1 if arguments == ("doctor",) else 0}, (arguments, done)
    odd = {char for char in done.out if char != "\n" and unicodedata.category(char) in BAD_CATEGORIES}
    assert not odd, (arguments, ascii(odd))
    return [json.loads(line) for line in done.out.splitlines()]


def test_there_are_a_hundred_strings() -> None:
    """And no two of them are the same."""
    assert len(set(HOSTILE.values())) >= 100
    assert len(TYPED) >= 90


@pytest.mark.parametrize(
    ("command", "begins"), [("messages", MOMENT), ("batches", NUMBER), ("quarantine list", NUMBER)]
)
def test_lists(fed: Fed, command: str, begins: re.Pattern[str]) -> None:
    """A row is a line, whatever is in it; none is forged."""
    rows = as_json(fed.folder, *command.split(), *ALL_OF_THEM)
    _, *lines = plain(fed.folder, *command.split(), *ALL_OF_THEM)
    assert len(lines) == len(rows) > 100
    assert all(begins.match(line) for line in lines)
    if command == "messages":
        told = {row["description"] for row in rows}
        assert sum(f"a{text}b" in told for text in HOSTILE.values()) > 100


@pytest.mark.parametrize("command", ["stats", "insights", "doctor", "config", "snippet"])
def test_what_is_told_of_the_folder(fed: Fed, command: str) -> None:
    """Counters, reasons, organizations, findings, settings."""
    assert plain(fed.folder, command)
    if command != "snippet":
        assert as_json(fed.folder, command)


def test_messages_one_by_one(fed: Fed) -> None:
    """`show`: a line for each value and each report."""
    known = {row["message_id"] for row in as_json(fed.folder, "messages", *ALL_OF_THEM)}
    names = [name for name in NAMES if message_of(name) in known]
    assert len(names) > 100
    for name in names:
        with about(name):
            [whole] = as_json(fed.folder, "show", message_of(name))
            lines = plain(fed.folder, "show", message_of(name))
            assert len(lines) == 12 + 1 + 1 + len(whole["timeline"])


def test_batches_one_by_one(fed: Fed) -> None:
    """`batch N`, with its headers, what became of it, and its body."""
    for number, name in enumerate(fed.senders, 1):
        if number in fed.retries or (len(HOSTILE.get(name, "")) > LONG // 4 and not fed.is_whole(number)):
            continue
        with about(f"batch {number} ({name})"):
            plain(fed.folder, "batch", str(number))
            as_json(fed.folder, "batch", str(number))


def test_raw_bytes_on_a_terminal(tmp_path: Path) -> None:
    """`quarantine show` and `batch --raw` write every byte to a pipe, and nothing that a terminal obeys to one."""
    whole = b"".join(text.encode(errors="surrogatepass")[:200] for text in HOSTILE.values()) + b"".join(
        BODIES.values()
    )
    with RunningService(tmp_path / "data") as service:
        assert service.post(whole)[0] == 400
        assert service.post(body_of(["harmless"]))[0] == 200
        service.settled()
        rows = as_json(service.data_dir, "quarantine", "list")
        number = next(row["id"] for row in rows if row["index"] is None)
        for words in (["quarantine", "show", str(number)], ["batch", "1", "--raw"]):
            assert hooklab(*words, data_dir=service.data_dir).stdout == whole
            command: list[str | Path] = [sys.executable, "-m", "hooklab", *words, "--data-dir", service.data_dir]
            with Terminal(command, 200, 50) as shown:
                shown.wait_for("into a file or a pipe it goes as it came")
                assert shown.ends_with() == 0
            assert not harmful(shown.received.decode(), "\r\n")
        with Terminal([*command[:4], "2", *command[5:]]) as shown:
            shown.wait_for('["harmless"]')
            assert shown.ends_with() == 0
        assert b"made harmless" not in shown.received


def test_exports(fed: Fed) -> None:
    """CSV runs nothing in a spreadsheet and JSON Lines are exact; line breaks within a cell stay, by RFC 4180."""
    csv.field_size_limit(16 * LONG)
    told = hooklab("export", "--format=csv", data_dir=fed.folder).stdout.decode()
    odd = {char for char in told if char not in "\r\n\t" and unicodedata.category(char) == "Cc"}
    assert not odd, ascii(odd)
    rows = list(csv.DictReader(io.StringIO(told, newline=""), strict=True))
    messages = as_json(fed.folder, "messages", *ALL_OF_THEM)
    assert len(rows) == len(messages) > 100
    for row in rows:
        for column, cell in row.items():
            number = column == "msisdn" and re.fullmatch(r"\+\d{1,15}", cell)
            assert number or not FORMULA.match(cell) or cell.startswith("'"), (column, cell)
    lines = hooklab("export", "--format=jsonl", data_dir=fed.folder).stdout
    assert [json.loads(line) for line in lines.splitlines()] == messages


_WORDS: Final = (
    "{}",
    "--{}",
    "show {}",
    "batch {}",
    "quarantine show {}",
    "messages is:{}",
    "messages --limit {}",
    "export since:{}",
    "export --output /nowhere/{}",
    "insights --since {}",
    "send /nowhere/{}",
    "send --url {} /dev/null",
    "snippet --base-url {}",
    "token new {}",
    "token revoke {} --yes",
    "config --bind {}",
    "config --public-url https://{}",
    "config --assume-timezone {}",
    "config --allow {}",
    "config --theme {}",
    "config --token-file {}",
    "config --config /nowhere/{}",
    "verify --truth /nowhere/{}",
    "stats --data-dir /nowhere/{}",
    "doctor --data-dir /nowhere/{}",
)


def test_who_was_turned_away() -> None:
    """`doctor` tells of a stranger in one harmless line, whatever a service calls them."""
    for text in HOSTILE.values():
        stranger = TurnedAway(address=text, why=text, count=1, last_at=0)
        runs = Runs(status=msgspec.structs.replace(STATUS, turned_away=[stranger]), holder=None)
        [*_, said] = judge_door(Door(address="127.0.0.1:1", answered=100), runs)
        assert said.name == "strangers"
        assert not harmful(said.found)


def test_a_proxy_that_forges_addresses(tmp_path: Path) -> None:
    """What a trusted proxy says in X-Forwarded-For is an address that is written anew, or nobody: never its text."""
    forged = [b"198.51.100.7", b"2001:db8::7", b"::ffff:198.51.100.9"]
    for number, text in enumerate(HOSTILE.values(), 16):  # who fails often waits, hence an address for each
        odd = _HTTP.sub(b"", text.encode(errors="surrogatepass"))[:300]
        forged += [odd, b"2001:db8:%x::1%%%b" % (number, odd)]
    with RunningService(tmp_path / "data", "--trusted-proxies", "127.0.0.0/8") as service:
        for value in forged:
            answer = _ask_as(service, "/nothing", value)
            assert answer.startswith(b"HTTP/1.1 404 "), value
        seen = service.admin("/status")[1]["service"]["turned_away"]
        assert seen
        assert all(str(ip_address(one["address"])) == one["address"] for one in seen)
        lines = plain(service.data_dir, "doctor")
        assert any("turned away: " in line for line in lines)
        as_json(service.data_dir, "doctor")
        for value in forged[:3]:
            assert _ask_as(service, service.path, value).startswith(b"HTTP/1.1 200 ")
        service.settled()
        peers = {row["peer"] for row in as_json(service.data_dir, "batches")}
        assert peers == {"198.51.100.7", "2001:db8::7", "198.51.100.9"}


def _ask_as(service: RunningService, path: str, forwarded: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\nX-Forwarded-For: ".encode()
    with service.connect() as connection:
        connection.sendall(head + forwarded + b"\r\n\r\n[]")
        return read_to_end(connection)


@pytest.mark.parametrize("words", _WORDS)
def test_what_is_typed(tmp_path: Path, words: str) -> None:
    """Each string as each kind of argument: an error is one harmless line, and no fault of hooklab."""
    folder = None if "--data-dir" in words else tmp_path
    for name, text in TYPED.items():
        with about(name):
            done = run(*(word.replace("{}", text) for word in words.split()), folder=folder)
            _is_harmless(done)


def _is_harmless(done: Said) -> None:
    assert not harmful(done.out + done.err, "\n"), done
    assert done.code in {0, 1, 2}, done
    assert "fault of hooklab" not in done.err, done
    if done.code and not done.out:
        assert done.err.startswith("hooklab: "), done
        assert done.err.count("\n") == 1, done


def test_what_stands_in_files(tmp_path: Path) -> None:
    """Each string in a settings file, as its name and value, and beside a token in the tokens' file."""
    tmp_path.chmod(0o700)
    settings, tokens = tmp_path / "hooklab.toml", tmp_path / "token"
    for name, text in HOSTILE.items():
        if len(text) > 400:
            continue
        written = text.encode(errors="surrogatepass")
        quoted = json.dumps(text.encode(errors="replace").decode())
        for content in (written, f"{quoted} = 1".encode(), f"public_url = {quoted}".encode()):
            settings.write_bytes(content)
            with about(f"{name} in {content[:60]!r}"):
                _is_harmless(run("config", "--config", settings))
        for content in (b"s3cret-s3cret-s3cret " + written, b"s3cret-s3cret-s3cret name " + written):
            tokens.write_bytes(content)
            tokens.chmod(0o600)
            with about(f"{name} in {content[:60]!r}"):
                done = run("token", "list", folder=tmp_path)
                _is_harmless(done)
                assert "s3cret" not in done.out + done.err
