"""What every screen looks like, at three sizes, dark and light: as it did when somebody last looked at it."""

import asyncio
from pathlib import Path

import pytest
from gallery import EMPTY, REFERENCES, SIZES, THEMES, WALK, Filled, batches, differences, fill, walk

from hooklab.files import Folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return asyncio.run(fill(Folder(tmp_path_factory.mktemp("gallery") / "data"), batches()))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return asyncio.run(fill(Folder(tmp_path_factory.mktemp("gallery") / "empty"), []))


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        # Another theme changes colours alone: one size tells of it here, the others in `make test-system`.
        pytest.param(size, theme, marks=[] if theme == THEMES[0] or size == SIZES[1] else [pytest.mark.system])
        for size in SIZES
        for theme in THEMES
    ],
)
async def test_every_screen_looks_as_it_did(filled: Filled, nothing: Filled, size: str, theme: str) -> None:
    """Text and look of every cell are those of the pictures in tests/screenshots; `make screenshots` renews them."""
    told = []
    async for name, svg in walk(filled, nothing, size, theme):
        path = REFERENCES / f"{name}-{size}-{theme}.svg"
        changed = differences(path.read_text(encoding="utf-8") if path.exists() else "", svg)
        told += [f"{path.name}:", *changed] if changed else []
    assert not told, "\n".join([*told, "If this is as it should be: make screenshots, and look at what git shows."])


def test_there_is_a_picture_of_every_screen_and_no_other() -> None:
    """None that nobody compares stays behind."""
    wanted = {f"{name}-{size}-{theme}.svg" for name in (EMPTY, *dict(WALK)) for size in SIZES for theme in THEMES}
    assert {path.name for path in Path(REFERENCES).iterdir()} == wanted


def test_a_changed_picture_says_what_changed() -> None:
    """The line with both texts where the text is another, else which words look otherwise, and how."""
    was = (REFERENCES / "messages-80x24-dark.svg").read_text(encoding="utf-8")
    assert differences(was, was) == []
    (told,) = differences(was, was.replace("> Messages<", "> Massages<"))
    assert "Messages" in told.split("\n")[0]
    assert "Massages" in told.split("\n")[1]
    looks = differences(was, was.replace("fill: #7ec98f", "fill: #123456"))
    assert looks[0] == "line 1, column 11: '●' looked like fill: #7ec98f, now like fill: #123456"
    assert all("✔delivered" in one for one in looks[1:])
