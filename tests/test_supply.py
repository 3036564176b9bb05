"""`make supply`: the table is of what is installed, and says nothing that nobody knows."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from supply import from_index, from_list, licence_of, part_of, parts, table

ROOT: Final = Path(__file__).parent.parent


def test_every_dependency_is_there_and_what_it_needs() -> None:
    """Those of pyproject.toml with the pinned version and a licence; and those that come by an extra of another."""
    rows = {one.name: one for one in parts()}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[1:])
    for name in (re.split(r"[<>=]", line)[0] for line in needed):
        assert (rows[name].version, rows[name].wanted_by) == (pins[name], "hooklab")
        assert rows[name].licence != "not said"
    assert rows["linkify-it-py"].wanted_by == "markdown-it-py"  # textual wants it by `markdown-it-py[linkify]`
    assert "pytest" not in rows


def test_the_command_prints_markdown(tmp_path: Path) -> None:
    """With the dates of a file; of what it does not have, that it is not known."""
    dates = tmp_path / "dates.tsv"
    dates.write_text("Litestar\t2.25.0\t2026-10\tweb\nshort\n")
    command = [sys.executable, str(ROOT / "tests" / "supply.py"), "--dates", str(dates)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert f"| litestar | {part_of('litestar').version} | MIT | 2026-10 | hooklab |" in lines
    assert any(re.fullmatch(r"\| rich \| [\d.]+ \| MIT \| not known \| hooklab \|", line) for line in lines)


def test_licences() -> None:
    """The expression first; a whole licence text is not one; none at all is said."""
    assert licence_of({"License-Expression": "MIT", "License": "x"}, []) == "MIT"
    assert licence_of({"License": "Copyright\nall"}, ["License :: OSI Approved :: MIT License"]) == "MIT License"
    assert licence_of({}, ["Topic :: x"]) == "not said"


def test_dates() -> None:
    """The newest file's day, by the index; nothing where it does not answer or answers something else."""
    answers = {"a": {"urls": [{"upload_time_iso_8601": "2026-10-18T19:13:39Z"}]}, "b": {"urls": []}, "c": {}}

    def get(url: str) -> bytes:
        name = url.split("/")[-2]
        if name not in answers:
            raise OSError(name)
        return json.dumps(answers[name]).encode()

    released = from_index(get)
    assert [released(name) for name in "abcd"] == ["2026-10-18", "", "", ""]
    assert from_list("py.x\t1\t2026-01\n")("py-x") == "2026-01"
    assert table([part_of("rich")], released)[-1].endswith("| not known |  |")
