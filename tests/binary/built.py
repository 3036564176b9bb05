"""The one file for tests: what is there, or what is built now."""

from pathlib import Path

from binary.__main__ import ROOT, bill_beside, build


def built() -> Path:
    """The file that `make binary` has built of what is here now, or one that is built for this.

    Raises:
        BuildError: it cannot be built.
    """
    program = ROOT / "dist" / "hooklab"
    whole = _up_to_date(program) and bill_beside(program).exists()
    return program if whole else build(ROOT / "dist", ROOT / "build")


def _up_to_date(program: Path) -> bool:
    made_of = [*(ROOT / "hooklab").rglob("*.*"), *(ROOT / "tests" / "binary").iterdir(), ROOT / "constraints.txt"]
    newest = max(one.stat().st_mtime for one in made_of if one.is_file() and "__pycache__" not in one.parts)
    return program.is_file() and program.stat().st_mtime > newest
