"""The empty start: what a newcomer pastes."""

import json
import re
import shlex

import pytest
from tui_fakes import TOKEN, URL, FakeClock, FakeMonitor, row, status
from tui_stage import stage

from hooklab.tui.screens.timeline import TimelineScreen
from hooklab.tui.widgets.empty_start import steps, wrap_shell


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_empty_start_can_be_pasted(size: tuple[int, int]) -> None:
    """URL with token and curl line are complete on the screen; the lines as shown are a command that works."""
    async with stage(FakeMonitor(FakeClock()), size) as on:
        lines = [line.rstrip() for line in on.lines()]
        assert f"  {URL}" in lines
        first = next(at for at, line in enumerate(lines) if "curl -sS" in line)
        command = "\n".join(lines[first : lines.index("", first)])
        words = shlex.split(command)
        assert words[:7] == ["curl", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "-d"]
        (report,) = json.loads(words[7])
        assert len(report) == 8
        assert words[8:] == [URL]
        assert "2  Make it reachable" in on.text()
        assert "4  Send one" in on.text()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080/hooks/t", True),
        ("http://localhost:8080/hooks/t", True),
        ("http://[::1]:8080/hooks/t", True),
        ("https://localhost.example.com/hooks/t", False),
        ("http://10.0.0.7:8080/hooks/t", False),
        (None, False),
    ],
)
def test_a_url_that_the_provider_cannot_reach_is_pointed_out(url: str | None, local: bool) -> None:
    """A loopback address is this machine's alone; the steps are numbered without a gap."""
    told = steps(url).split("\n")
    assert ("reachable" in told[1]) == local
    assert [line.split()[0] for line in told] == ["1", "2", "3", "4"][: 3 + local]


@pytest.mark.parametrize(
    ("local", "posts_to"),
    [
        ("http://127.0.0.1:8080/hooks/t", "http://127.0.0.1:8080/hooks/t"),
        ("https://127.0.0.1:8443/hooks/t", "https://hooks.example.com/hooks/t"),
        ("", "https://hooks.example.com/hooks/t"),
    ],
)
async def test_the_curl_line_works_before_the_public_address_does(local: str, posts_to: str) -> None:
    """It posts to this machine, unless that takes a certificate in another name; the JSON has the public address."""
    monitor = FakeMonitor(FakeClock())
    monitor.service = status(hook_url="https://hooks.example.com/hooks/t", local_url=local)
    async with stage(monitor, (200, 50)) as on:
        assert f"'{posts_to}'" in on.text() or f" {posts_to}" in on.text()
        assert '"url": "https://hooks.example.com/hooks/t/delivered"' in on.text()


async def test_the_empty_start_shows_the_snippet_below() -> None:
    """The smsWebhooks JSON is reached by scrolling, with all three URLs whole."""
    async with stage(FakeMonitor(FakeClock())) as on:
        for _ in range(40):
            await on.press("j")
        text = "".join(on.text().split())
        for state in ("not_delivered", "pending"):
            assert f'"url":"{URL}/{state}"' in text


async def test_the_empty_start_gives_way_to_the_first_message() -> None:
    """When the first message arrives the list takes over and the token is masked."""
    async with stage(FakeMonitor(FakeClock())) as on:
        assert TOKEN in on.text()
        on.monitor.add(row(1))
        await on.tick()
        assert TOKEN not in on.text()
        assert "Message delivered to handset" in on.text()
        await on.press("enter")
        assert isinstance(on.app.screen, TimelineScreen)


async def test_an_empty_start_with_trouble_shows_the_counters() -> None:
    """Without a message but with something in quarantine the counters are in sight."""
    monitor = FakeMonitor(FakeClock())
    monitor.counters = {"quarantined": 4, "elements": 4}
    async with stage(monitor) as on:
        assert re.search(r"quarantined +4 ⚑", on.text())


async def test_y_copies_the_curl_line() -> None:
    """`y` puts the curl line on the clipboard in one line, `Y` the JSON."""
    async with stage(FakeMonitor(FakeClock())) as on:
        await on.press("Y")
        assert json.loads(on.app.clipboard)["smsWebhooks"]["pending"] == {"url": f"{URL}/pending", "enabled": True}
        await on.press("y")
        assert on.app.clipboard.startswith("curl -sS")
        assert "\n" not in on.app.clipboard


def test_a_narrow_curl_line_loses_nothing() -> None:
    """At any width each line fits and the whole is there."""
    command = 'curl -d \'[{"a": "b c", "d": 1}]\' ' + URL
    for width in range(5, 100):
        wrapped = wrap_shell(command, width).split("\n")
        assert all(len(line) <= width for line in wrapped)
        assert "".join(wrapped).replace(" ", "") == command.replace(" ", "")
