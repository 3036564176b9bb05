"""A service that is killed at any moment: nothing that was answered 200 is lost, nothing is counted twice."""

import http.client
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from support import RunningService, body_of, conserved, json_of, pair, report, unpacking

from hooklab.store.compact import REPORTED_AT

ROUNDS: Final = 8  # `make soak ARGS="kill"` kills two hundred times
CLIENTS: Final = 6
SIZES: Final = (1, 2, 2, 2, 30)


class Load:
    """Clients that post batches until their service dies, and what each of them saw."""

    def __init__(self, port: int, path: str, seed: int, old: list[bytes]) -> None:
        self._port = port
        self._path = path
        self._lock = threading.Lock()
        self._unanswered = 0
        self._over = threading.Event()
        self._old = old
        self.answered = threading.Semaphore(0)
        self.posted: Counter[bytes] = Counter()
        self.acknowledged: Counter[bytes] = Counter()
        self.others: list[int] = []
        self.failures: list[str] = []
        self.cut_off = 0
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(seed * 1000 + number),))
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def kill_with_one_unanswered(self, service: RunningService) -> int:
        """SIGKILL while nobody can finish or begin a request in our books; how many were unanswered then."""
        ends = time.monotonic() + 10
        while True:
            with self._lock:
                if self._unanswered:
                    # A client that has its answer counts it under this lock: so far, none of these has been counted.
                    unanswered = self._unanswered
                    self._over.set()
                    service.process.kill()
                    break
            assert time.monotonic() < ends, "no request is ever under way"
            time.sleep(0)
        service.kill()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        return unanswered

    def _client(self, chance: random.Random) -> None:
        mine: list[bytes] = []
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            while not self._over.is_set():
                body = self._choose(chance, mine)
                with self._lock:
                    self._unanswered += 1
                    self.posted[body] += 1
                status = 0
                try:
                    connection.request("POST", self._path, body)
                    answer = connection.getresponse()
                    status = answer.status
                    answer.read()
                except (OSError, http.client.HTTPException) as error:
                    with self._lock:
                        self.cut_off += 1
                        if not self._over.is_set():
                            self.failures.append(repr(error))
                    return
                finally:
                    with self._lock:
                        self._unanswered -= 1
                        if status == 200:
                            self.acknowledged[body] += 1
                        elif status:
                            self.others.append(status)
                if chance.random() < 0.05:
                    connection.close()
                self.answered.release()
        finally:
            connection.close()

    def _choose(self, chance: random.Random, mine: list[bytes]) -> bytes:
        """A new body; now and then one that was posted before, by this client or in an earlier round."""
        again = chance.random()
        if mine and again < 0.10:
            return chance.choice(mine)
        if self._old and again < 0.15:
            return chance.choice(self._old)
        size = chance.choice(SIZES)
        reports: list[Any] = [one for _ in range((size + 1) // 2) for one in pair(chance)][:size]
        if chance.random() < 0.05:
            reports.append({"MessageId": "nobody understands this", "Status": "DELIVERED"})
        if chance.random() < 0.05:
            reports.append(reports[0])  # the same report twice in one batch
        body = body_of(reports)
        mine.append(body)
        return body


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_over_many_kills(tmp_path: Path) -> None:
    """Eight times `kill -9` under load on one folder: what was answered 200 is there, each report counted once."""
    folder = tmp_path / "data"
    chance = random.Random(20261122)
    posted: Counter[bytes] = Counter()
    acknowledged: Counter[bytes] = Counter()
    cut_off = 0
    for number in range(ROUNDS):
        with RunningService(folder) as service:
            load = Load(service.port, service.path, number, chance.sample(sorted(posted), min(len(posted), 50)))
            load.start()
            for _ in range(chance.randrange(1, 60)):
                assert load.answered.acquire(timeout=20)
            time.sleep(chance.random() * 0.03)  # not to kill just after an answer every time
            assert load.kill_with_one_unanswered(service) >= 1
        assert service.process.returncode == -9
        assert (load.others, load.failures) == ([], [])
        posted += load.posted
        acknowledged += load.acknowledged
        cut_off += load.cut_off

    assert cut_off >= ROUNDS, "hardly a request was under way when its service was killed"
    with RunningService(folder) as service:
        service.settled()
        counters = json_of("stats", data_dir=folder)
    _check_journal(folder, posted, acknowledged)
    _check_counters(counters, _journaled(folder), posted, acknowledged)
    _check_reports(folder, acknowledged)


def _journaled(folder: Path) -> list[bytes]:
    journal = sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)
    try:
        rows = unpacking(journal).execute("SELECT sequence, body_of(encoding, body) FROM batches ORDER BY sequence")
        sequences, bodies = zip(*rows, strict=True)
        assert sequences == tuple(range(1, len(sequences) + 1))
        return list(bodies)
    finally:
        journal.close()


def _check_journal(folder: Path, posted: Counter[bytes], acknowledged: Counter[bytes]) -> None:
    kept = Counter(_journaled(folder))
    assert acknowledged.total() > ROUNDS * 10
    lost = acknowledged - kept
    assert not lost, f"{lost.total()} acknowledged batches are not in the journal"
    more = kept - posted
    assert not more, f"{more.total()} batches are in the journal oftener than they were posted"
    assert sum(count > 1 for count in acknowledged.values()) > 10, "repeated bodies belong to the load"


def _check_counters(
    counters: dict[str, Any], bodies: list[bytes], posted: Counter[bytes], acknowledged: Counter[bytes]
) -> None:
    arrays: list[list[dict[str, Any]]] = [json.loads(body) for body in bodies]
    understood = [one for array in arrays for one in array if len(one) > 2]
    distinct = {json.dumps(one) for one in understood}
    elements = sum(map(len, arrays))
    assert counters["batches"] == len(bodies)
    assert counters["retries"] == len(bodies) - len(set(bodies))
    assert counters["elements"] == elements
    assert counters["reports"] == len(distinct)
    assert counters["repeats"] == len(understood) - len(distinct)
    assert counters["quarantined"] == elements - len(understood)
    assert counters["malformed"] == 0
    assert counters["messages"] == len({one["MessageId"] for one in understood})
    assert counters["lag"] == 0
    assert conserved(counters)
    assert _elements(acknowledged) <= elements <= _elements(posted)


def _elements(sent: Counter[bytes]) -> int:
    return sum(len(json.loads(body)) * count for body, count in sent.items())


def _check_reports(folder: Path, acknowledged: Counter[bytes]) -> None:
    """Every report of an acknowledged body is in the store, under its message, as it was sent."""
    store = sqlite3.connect(f"file:{folder / 'store.db'}?mode=ro", uri=True)
    try:
        found = {
            (message.hex(), status, reported_at)
            for message, status, reported_at in store.execute(
                f"SELECT m.message_id, status, {REPORTED_AT} FROM reports r JOIN messages m ON m.id = message"
            )
        }
        arrivals = store.execute("SELECT count(*) FROM reports").fetchone()[0]
    finally:
        store.close()
    assert arrivals == len(found)
    codes = {"PENDING": 0, "DELIVERED": 1, "NOT_DELIVERED": 2}
    sent = {
        (one["MessageId"].replace("-", ""), codes[one["Status"]], one["ReportDateTime"])
        for body in acknowledged
        for one in json.loads(body)
        if len(one) > 2
    }
    assert sent <= found


def test_what_was_in_the_journal_and_not_yet_projected_is_projected_after_a_kill(tmp_path: Path) -> None:
    """Killed with the store's writing held up: every batch waits in the journal, and the next start projects it."""
    folder = tmp_path / "data"
    bodies = [body_of([report()]) for _ in range(20)]
    with RunningService(folder) as service:
        holder = sqlite3.connect(folder / "store.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            assert [service.post(body)[0] for body in bodies] == [200] * 20
            assert json_of("stats", data_dir=folder)["lag"] == 20
            service.kill()
            holder.execute("ROLLBACK")
        finally:
            holder.close()
    before = json_of("stats", data_dir=folder)
    assert (before["lag"], before["reports"], before["refused"]) == (20, 0, None)
    with RunningService(folder) as service:
        after = service.settled()
    assert (after["batches"], after["reports"], after["messages"], after["lag"]) == (20, 20, 20, 0)
    assert conserved(after)
