"""Commands in the process of the test: hundreds of processes of their own would take minutes."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from hooklab import cli


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path, folder: Path | None = None) -> Said:
    """A command in this process: thousands of them would take many minutes in processes of their own."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    named = [] if folder is None else [f"--data-dir={folder}"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([*map(str, arguments), *named])
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, *(one.detach().getvalue().decode() for one in (out, err)))
