"""What a command loads: the service must never pay for the screen, nor fail with it."""

import signal
import subprocess
import sys
from pathlib import Path


def test_serve_does_not_import_textual(tmp_path: Path) -> None:
    """A whole run of `serve`, from start to stop, loads neither Textual nor Rich nor plotext."""
    command = [sys.executable, "-X", "importtime", "-m", "hooklab", "serve", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        [*command, "--bind", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline().startswith(b"hooklab: ready ")
        service.send_signal(signal.SIGTERM)
        _, log = service.communicate(timeout=30)
    loaded = {line.rpartition(b"|")[2].strip().split(b".")[0] for line in log.splitlines() if b"import time:" in line}
    assert {b"hooklab", b"litestar", b"aiosqlite"} <= loaded
    assert not loaded & {b"textual", b"rich", b"plotext", b"textual_plotext"}


def test_the_screen_loads_plotext_only_where_it_draws() -> None:
    """`run` starts without it: what its commands import does not."""
    code = "import sys, hooklab.commands.screen; print('textual' in sys.modules, 'plotext' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "True False\n"
