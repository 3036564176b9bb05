"""`make soak`: the long forms of the fault campaigns, one after another, with their figures.

Run it as `make soak`, or `make soak ARGS="kill behind"` for some. Exit code 1 if a promise was broken or a
campaign could not run here. A campaign is a module with `run`; its `AT_MOST` says what figures should not exceed, and
`MINUTES` that it goes by time.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from faults.stage import CannotRun

CAMPAIGNS = (
    "kill", "torn", "power", "full", "fsync", "stall", "clock", "damage", "behind", "overload", "soak",
    "slow", "fuzz", "amplify",
)  # fmt: skip


def main() -> int:
    """Runs what was asked for; prints one line of figures for each."""
    parser = argparse.ArgumentParser(prog="make soak", description="Long fault campaigns against a real service.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {' '.join(CAMPAIGNS)}")
    parser.add_argument("--minutes", type=float, help="how long those last that go by time (default: each its own)")
    parser.add_argument("--dir", type=Path, help="where the data lie (default: the folder for temporary files)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    given = parser.parse_args()
    if unknown := set(given.names) - set(CAMPAIGNS):
        parser.error(f"there is no campaign {', '.join(sorted(unknown))}")
    results = {name: _run(name, given) for name in given.names or CAMPAIGNS}
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 1 if any("failed" in figures for figures in results.values()) else 0


def _run(name: str, given: argparse.Namespace) -> dict[str, object]:
    campaign = importlib.import_module(f"faults.{name}")
    options = {"minutes": given.minutes} if given.minutes is not None and hasattr(campaign, "MINUTES") else {}
    begun = time.monotonic()
    figures: dict[str, object]
    with tempfile.TemporaryDirectory(prefix="hooklab-soak-", dir=given.dir) as place:
        try:
            figures = dict(campaign.run(Path(place), **options))
        except (AssertionError, CannotRun) as error:
            figures = {"failed": f"{type(error).__name__}: {error}"}
    figures["took_s"] = round(time.monotonic() - begun)
    at_most: dict[str, float] = getattr(campaign, "AT_MOST", {})
    print(f"{name}:", *(_line(key, value, at_most.get(key)) for key, value in figures.items()), sep="\n", flush=True)
    return figures


def _line(name: str, value: object, at_most: float | None) -> str:
    """A figure, and whether it is what it should be. A time that is not fails nothing: machines are busy."""
    verdict = ""
    if at_most is not None and isinstance(value, int | float):
        verdict = f"   at most {at_most:g}: " + ("yes" if value <= at_most else "NO")
    return f"  {name:<40} {value}{verdict}"


if __name__ == "__main__":
    sys.exit(main())
