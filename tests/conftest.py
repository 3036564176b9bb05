"""What must be the same for the tests wherever and however they are started."""

import os
import signal

import pytest

if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # nohup would have it ignored by every service that a test starts, and hooklab respects that.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def unchanged_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """`export` lowers its process' priority: done here, all tests after it would be the slower ones."""
    monkeypatch.setattr(os, "nice", lambda by: by)
