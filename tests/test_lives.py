"""The stream that feeds demo and picture: like a provider's, the same for ever, never ahead of itself."""

import itertools
import json
import random
import statistics
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from lives import Post, pace, play, stream
from support import RunningService, conserved, json_lines_of

BEGAN: Final = 1_795_000_000.0
SECONDS: Final = 480


def posts(seed: int = 4711, seconds: float = SECONDS, busy: float = 1) -> list[Post]:
    return list(itertools.takewhile(lambda one: one.at < seconds, stream(random.Random(seed), BEGAN, busy)))


def elements(post: Post) -> list[Any]:
    try:
        found = json.loads(post.body)
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def test_a_seed_gives_the_same_posts_for_ever() -> None:
    """Nothing but the seed, the beginning and the rate decides; no post is due before the one ahead of it."""
    assert posts() == posts()
    assert posts() != posts(seed=4712)
    times = [post.at for post in posts()]
    assert times == sorted(times)


@pytest.mark.parametrize("busy", [1, 6])
def test_as_many_reports_as_promised(busy: float) -> None:
    """2 to 12 a second, changing gently, times what is asked for."""
    paces = [pace(second) for second in range(SECONDS)]
    assert 2 <= min(paces) < 3
    assert 11 < max(paces) <= 12
    count = sum(len(elements(post)) for post in posts(busy=busy))
    assert count / SECONDS == pytest.approx(statistics.mean(paces) * busy, rel=0.2)


def test_a_final_comes_seconds_after_its_pending_in_another_batch() -> None:
    """So it is with most messages; a few have both in one batch, a few never get a final."""
    seen: dict[str, dict[str, list[Post]]] = defaultdict(lambda: defaultdict(list))
    for post in posts():
        for one in elements(post):
            if isinstance(one, dict):
                seen[str(one.get("MessageId"))][str(one.get("Status"))].append(post)
    waits, together, open_for_long = [], 0, 0
    for states in seen.values():
        pending, final = states["PENDING"], states["DELIVERED"] + states["NOT_DELIVERED"]
        if pending and final:
            waits.append(final[0].at - pending[0].at)
            together += final[0] is pending[0]
        elif pending:
            open_for_long += pending[0].at < SECONDS - 240
    assert 3 < statistics.median(waits) < 8
    assert statistics.quantiles(waits, n=100)[98] > 20
    assert 0 < together < len(waits) / 10
    assert 0 < open_for_long < len(waits) / 20


def test_shows_all_that_hooklab_tells_apart(tmp_path: Path) -> None:
    """A few minutes hold every kind that the counters know, and are answered 200, the malformed bodies 400."""
    sent = posts()
    with RunningService(tmp_path / "data") as service:
        answers = Counter(service.post(post.body, post.label)[0] for post in sent)
        counters = service.settled()
        rows = json_lines_of("messages", "--limit", "100000", data_dir=tmp_path / "data")
    assert set(answers) == {200, 400}
    assert answers[400] < 10
    names = ("malformed", "retries", "duplicates", "late", "conflicts", "delivered", "not_delivered", "pending")
    assert not [name for name in names if not counters[name]]
    assert counters["quarantined"] > counters["malformed"]
    assert counters["elements"] == sum(len(elements(post)) for post in sent)
    assert conserved(counters)

    assert 0.85 < counters["delivered"] / counters["messages"] < 0.97
    assert {"label_mismatch", "late", "conflict", "repeated"} <= {flag for row in rows for flag in row["flags"]}
    assert len({row["description"] for row in rows if row["state"] == "NOT_DELIVERED"}) >= 4
    assert {row["total_segments"] for row in rows} == {1, 2, 3}
    customs = [row["custom_payload"] for row in rows]
    assert any(custom.startswith("order ") for custom in customs)
    assert any(custom and isinstance(parsed(custom), dict) for custom in customs)
    assert all(row["msisdn"].startswith("3519000") for row in rows)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_play_sends_in_order_until_it_is_over() -> None:
    """What had its time before `since` goes at once; nothing more is sent when it is over."""
    over = threading.Event()
    sent: list[tuple[bytes, str | None]] = []

    def send(body: bytes, label: str | None) -> None:
        sent.append((body, label))
        if len(sent) == 3:
            over.set()

    play((Post(1000 + number / 100, b"%d" % number, "pending") for number in itertools.count()), send, over, 1000)
    assert sent == [(b"0", "pending"), (b"1", "pending"), (b"2", "pending")]
    play(iter([Post(0, b"3", None)]), send, over)
    assert len(sent) == 3
