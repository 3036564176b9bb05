"""The door: who may post, over real sockets; and how connections are counted."""

import base64
import http.client
import json
import os
import threading
import time
from pathlib import Path

import pytest
from support import TOKEN, RunningService, ask_admin, hooklab, json_lines_of

from hooklab.metrics import UNKNOWN_PATH, WRONG_ADDRESS, WRONG_TOKEN
from hooklab.networks import Networks
from hooklab.receiver.access import Door
from hooklab.receiver.connections import ConnectionLimits, Connections
from hooklab.receiver.failures import MOST_SECONDS, Failures
from hooklab.times import MINUTE
from hooklab.tokens import Token

SECRET = b"s3cret_of_some_length"
OTHER = b"an0ther-0ne"


def door(allow: tuple[str, ...] = (), proxies: tuple[str, ...] = ()) -> Door:
    tokens = [Token(secret=SECRET.decode()), Token(secret=OTHER.decode(), name="other")]
    return Door(tokens, Networks(allow), Networks(proxies))


def basic(password: bytes, user: bytes = b"hooklab") -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(user + b":" + password)


@pytest.mark.parametrize(
    ("path", "fields", "name", "label"),
    [
        (b"/hooks/" + SECRET, [], "first", None),
        (b"/hooks/" + OTHER + b"/delivered", [], "other", "delivered"),
        (b"/hooks", [basic(SECRET)], "first", None),
        (b"/hooks/pending", [basic(OTHER)], "other", "pending"),
        (b"/hooks", [basic(OTHER, b"")], "other", None),
        (b"/hooks", [(b"authorization", b"bAsIc " + base64.b64encode(b"a:" + SECRET))], "first", None),
        (b"/hooks/" + SECRET, [basic(b"of a proxy")], "first", None),
    ],
)
def test_each_token_opens_in_the_path_and_as_password(
    path: bytes, fields: list[tuple[bytes, bytes]], name: str, label: str | None
) -> None:
    """Whichever of the tokens, with and without a label, whatever the user is called."""
    entry = door().judge(path, "203.0.113.7", fields)
    assert entry.key is not None
    assert (entry.key.token.name, entry.label, entry.client) == (name, label, "203.0.113.7")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (b"/hooks", []),
        (b"/hooks/", [basic(SECRET)]),
        (b"/hooks/x/y", [basic(SECRET)]),
        (b"/hooks/BIG", [basic(SECRET)]),
        (b"/hooks/" + SECRET + b"/", []),
        (b"/hooks/" + SECRET + b"/BIG", []),
        (b"/hooks/" + SECRET[:-1], []),
        (b"/hooks/" + SECRET + b"x", []),
        (b"//hooks/" + SECRET, []),
        (b"/hooks//" + SECRET, []),
        (b"/Hooks/" + SECRET, []),
        (b"/hooks/%73" + SECRET[1:], []),
        (b"/hooks/" + SECRET.upper(), []),
        (b"/hooks/./" + SECRET, []),
        (b"/hooks", [basic(b"wrong")]),
        (b"/hooks", [basic(SECRET), basic(SECRET)]),
        (b"/hooks", [basic(b"wrong"), basic(SECRET)]),
        (b"/hooks", [(b"authorization", b"Bearer " + SECRET)]),
        (b"/hooks", [(b"authorization", b"Basic " + SECRET)]),
        (b"/hooks", [(b"authorization", b"Basic " + base64.b64encode(SECRET))]),
        (b"/hooks", [(b"authorization", b"Basic " + b"A" * 100_000)]),
        (b"/hooks", [(b"authorization", b"Basic \xff\xfe")]),
        (b"/hooks", [(b"proxy-authorization", basic(SECRET)[1])]),
        (b"/", []),
        (b"", []),
    ],
)
def test_nothing_else_opens(path: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """There is one spelling of a path, and one way to give a password."""
    assert door().judge(path, "203.0.113.7", fields).key is None


def test_the_allow_list_looks_at_who_really_asks() -> None:
    """At the peer, or at what a named proxy says of it; without a right token nobody comes in for his address."""
    path = b"/hooks/" + SECRET
    said = [(b"x-forwarded-for", b"203.0.113.7")]
    listed = door(allow=("203.0.113.0/24",))
    assert listed.judge(path, "203.0.113.7", []).key is not None
    assert listed.judge(b"/hooks/x", "203.0.113.7", []).why == WRONG_TOKEN
    assert listed.judge(b"/", "203.0.113.7", []).why == UNKNOWN_PATH
    for peer in ("198.51.100.1", "127.0.0.1", ""):
        assert listed.judge(path, peer, said).why == WRONG_ADDRESS
    behind = door(allow=("203.0.113.0/24",), proxies=("127.0.0.1",))
    entry = behind.judge(path, "127.0.0.1", said)
    assert (entry.key is not None, entry.client) == (True, "203.0.113.7")
    assert behind.judge(path, "198.51.100.1", said).why == WRONG_ADDRESS
    assert behind.judge(path, "127.0.0.1", []).why == WRONG_ADDRESS
    assert behind.judge(path, "127.0.0.1", [(b"x-forwarded-for", b"203.0.113.7, 198.51.100.1")]).key is None
    assert behind.judge(path, "127.0.0.1", [(b"x-forwarded-for", b"junk")]).why == WRONG_ADDRESS


def test_failures_wait_longer_and_longer() -> None:
    """From the sixth on, to a limit; another address and a pause begin anew; few are remembered."""
    now = [1_000_000]
    failures = Failures(lambda: now[0])
    waits = [failures.count("203.0.113.7", WRONG_TOKEN) for _ in range(12)]
    assert waits == [0, 0, 0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, MOST_SECONDS, MOST_SECONDS]
    assert failures.count("198.51.100.1", WRONG_TOKEN) == 0
    assert [(one.address, one.count) for one in failures.newest(5)] == [("198.51.100.1", 1), ("203.0.113.7", 12)]
    now[0] += 10 * MINUTE
    assert failures.count("203.0.113.7", WRONG_TOKEN) == 0
    for number in range(3000):
        failures.count(f"2001:db8:{number:x}::1", UNKNOWN_PATH)
    assert len(failures.newest(10_000)) == 1000
    for _ in range(100_000):
        wait = failures.count("2001:db8::1", UNKNOWN_PATH)
    assert wait == MOST_SECONDS


class Fake:
    """A connection that waits since a moment, or is being answered."""

    def __init__(self, since: float | None) -> None:
        self.since = since
        self.gave_way = False

    def waits_since(self) -> float | None:
        return self.since

    def give_way(self) -> None:
        self.gave_way = True


def test_one_peer_cannot_take_all_connections() -> None:
    """A real peer has a limit, loopback and named proxies none; one that leaves makes room."""
    counted = Connections(ConnectionLimits(most=100, per_peer=2), Networks(["10.0.0.1"]))
    first = Fake(None)
    assert counted.admit(first, "203.0.113.7")
    assert counted.admit(Fake(None), "203.0.113.7")
    assert not counted.admit(Fake(None), "203.0.113.7")
    assert not counted.admit(Fake(None), "::ffff:203.0.113.7")
    assert counted.admit(Fake(None), "203.0.113.8")
    for peer in ("127.0.0.1", "::1", "10.0.0.1"):
        assert all(counted.admit(Fake(None), peer) for _ in range(5))
    counted.leave(first)
    counted.leave(first)
    assert counted.admit(Fake(None), "203.0.113.7")
    assert not counted.admit(Fake(None), "203.0.113.7")


def test_who_only_waits_makes_room() -> None:
    """Where all is full the peer with most connections gives one up that waits, the oldest; never one at work."""
    now = [0.0]
    counted = Connections(ConnectionLimits(most=5, per_peer=10), Networks([]), lambda: now[0])
    idle, newer, oldest = Fake(1.0), Fake(5.0), Fake(3.0)
    assert counted.admit(idle, "198.51.100.1")
    assert all(counted.admit(one, "203.0.113.7") for one in (newer, oldest, Fake(None), Fake(None)))
    assert counted.admit(Fake(None), "192.0.2.1")
    assert (idle.gave_way, newer.gave_way, oldest.gave_way) == (False, False, True)
    assert counted.admit(Fake(None), "192.0.2.1")
    assert (idle.gave_way, newer.gave_way) == (False, True)
    assert not counted.admit(Fake(None), "192.0.2.1"), "who has two pushes out one who has one"
    now[0] += 1
    assert counted.admit(Fake(None), "192.0.2.2")
    assert idle.gave_way
    assert not counted.admit(Fake(None), "192.0.2.3")
    assert len(counted) == 5


def test_a_flood_of_new_connections_does_not_look_through_all_of_them_each_time() -> None:
    """Under a flood of 10,000 that each want a place, the 4,000 that are open are asked a bounded number of times."""

    class Asked(Fake):
        times = 0

        def waits_since(self) -> float | None:
            Asked.times += 1
            return self.since

    for since in (1.0, None):
        counted = Connections(ConnectionLimits(most=4000, per_peer=10), Networks([]), clock=lambda: 1.0)
        assert all(counted.admit(Asked(since), "127.0.0.1") for _ in range(4000))
        Asked.times = 0
        assert [counted.admit(Asked(since), "127.0.0.1") for _ in range(10_000)] == [since is not None] * 10_000
        assert Asked.times < 20 * 10_000


def test_a_password_in_the_url_works_on_the_wire(tmp_path: Path) -> None:
    """`send` posts to a URL with user and password, as such a provider does; nothing is kept of them."""
    folder, sample = tmp_path / "data", tmp_path / "body.json"
    sample.write_text("[]")
    with RunningService(folder) as service:
        for path, code in (("/hooks", b"200"), ("/hooks/pending", b"200"), ("/hooks/BIG", b"404")):
            url = f"http://anybody:{TOKEN}@127.0.0.1:{service.port}{path}"
            assert code in hooklab("send", sample, "--url", url, data_dir=folder).stdout
        wrong = hooklab("send", sample, "--url", f"http://a:b@127.0.0.1:{service.port}/hooks", data_dir=folder)
        assert b"404" in wrong.stdout
        service.settled()
        assert [row["label"] for row in json_lines_of("batches", data_dir=folder)] == ["pending", None]
        kept = hooklab("batch", "1", data_dir=folder).stdout.lower()
        assert b"authorization" not in kept
        assert TOKEN.lower().encode() not in kept


def test_failing_answers_are_slow_and_right_ones_are_not(tmp_path: Path) -> None:
    """Somebody who guesses waits; who has the token, from the same address, does not; and it is shown who failed."""
    with RunningService(tmp_path / "data") as service:
        for _ in range(8):
            guess(service)
        began = time.perf_counter()
        waiting = threading.Thread(target=guess, args=(service,))
        waiting.start()
        answered = 0
        while waiting.is_alive():
            assert service.post(b"[]")[0] == 200
            answered += 1
        assert time.perf_counter() - began >= 0.8
        assert answered > 10
        (seen,) = service.admin("/status")[1]["service"]["turned_away"]
        assert (seen["address"], seen["why"], seen["count"]) == ("127.0.0.1", WRONG_TOKEN, 9)
        told = hooklab("doctor", data_dir=tmp_path / "data").stdout.decode()
        assert "turned away: 127.0.0.1 (wrong token, 9 times" in told


def guess(service: RunningService) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.request("POST", "/hooks/wrong", b"[]")
    assert connection.getresponse().status == 404
    connection.close()


def test_a_service_that_ends_waits_for_no_guesser(tmp_path: Path) -> None:
    """Answers that are held back do not keep it from ending in time."""
    with RunningService(tmp_path / "data") as service:
        for _ in range(10):
            guess(service)
        threads = [threading.Thread(target=guess, args=(service,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        while service.admin("/status")[1]["service"]["turned_away"][0]["count"] < 15:
            pass
        assert service.terminate() == 0
        for thread in threads:
            thread.join()


def test_an_allow_list_and_a_proxy_on_the_wire(tmp_path: Path) -> None:
    """Only who is listed comes in; behind a named proxy whoever it names, and that is the peer that is kept."""
    folder = tmp_path / "data"
    settings = {"HOOKLAB_ALLOW": "203.0.113.0/24", "HOOKLAB_TRUSTED_PROXIES": "127.0.0.1"}
    with RunningService(folder, environment=settings) as service:
        assert service.post(b"[]")[0] == 404
        assert service.post(b"[]", **{"X-Forwarded-For": "198.51.100.1"})[0] == 404
        assert service.post(b"[]", **{"X-Forwarded-For": "203.0.113.9"})[0] == 200
        service.settled()
        assert [row["peer"] for row in json_lines_of("batches", data_dir=folder)] == ["203.0.113.9"]
        told = hooklab("doctor", data_dir=folder).stdout.decode()
        assert "turns this machine away" in " ".join(told.split())
        assert "warning strangers" in " ".join(told.split())
        assert "`allow` lacks its network" in told
        assert [one["why"] for one in service.admin("/status")[1]["service"]["turned_away"]] == [WRONG_ADDRESS] * 2


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALLOW", "example.com", b"HOOKLAB_ALLOW=203.0.113.0/24"),
        ("ALLOW", "203.0.113.7/24", b"has host bits set"),
        ("TRUSTED_PROXIES", "yes", b"is no address or network"),
    ],
)
def test_a_network_that_is_none_is_refused(tmp_path: Path, name: str, value: str, says: bytes) -> None:
    """In a line that names the setting and gives an example."""
    environment = {**os.environ, f"HOOKLAB_{name}": value}
    ended = hooklab("serve", data_dir=tmp_path / "data", env=environment)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert b"write for example HOOKLAB_" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


def test_when_all_connections_are_taken_a_new_one_gets_in(tmp_path: Path) -> None:
    """Connections that only wait give way, so that a batch comes in however many of them there are."""
    with RunningService(tmp_path / "data", "--max-connections", "8") as service:
        idle = [service.connect() for _ in range(20)]
        try:
            for _ in range(20):
                assert service.post(b"[]")[0] == 200
        finally:
            for one in idle:
                one.close()


def test_a_token_on_the_command_line_is_not_in_the_process_list(tmp_path: Path) -> None:
    """Everybody on a machine may read everybody's command lines."""
    with RunningService(tmp_path / "data") as service:
        line = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert TOKEN.encode() not in line
        assert line.startswith(b"hooklab serve")


def test_no_token_is_in_the_log_or_an_answer(tmp_path: Path) -> None:
    """Whatever is asked for, wrong or right."""
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        for method, path in (("GET", service.path), ("POST", service.path + "/BAD"), ("PUT", service.path)):
            connection.request(method, path, b"{", {"Expect": "x"})
            answer = connection.getresponse()
            assert TOKEN.encode() not in answer.read() + str(answer.headers).encode()
        assert ask_admin(folder, "/ready")[0] == 200
        status = json.dumps(service.admin("/status")[1]["service"]["tokens"])
        assert TOKEN not in status
    assert TOKEN.encode() not in service.stderr


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever writes there could put a token of his own in it: one line with what to do, nothing listens."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    ended = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=folder)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"can be written by others; mend it with: chmod 700" in ended.stderr
    assert not (folder / "token").exists()
