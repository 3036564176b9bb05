"""The colours: dark, light, and those that are the terminal's own."""

import pytest
from tui_stage import colours, stage

from hooklab.config import Settings, SettingsError, load_settings
from hooklab.tui.theme import THEMES


async def test_t_goes_through_the_themes() -> None:
    """Dark, light, the terminal's own, and dark again; what is on the screen stays."""
    with colours():
        async with stage() as on:
            seen, said = [on.app.theme], on.text()
            for _ in range(3):
                await on.press("T")
                seen.append(on.app.theme)
                assert on.text() == said
    assert seen == [*(one.name for one in THEMES.values()), THEMES["dark"].name]


async def test_another_theme_is_drawn_in_its_colours() -> None:
    """After `T` nothing on the screen has a ground or a colour of the theme before."""
    with colours():
        async with stage() as on:
            await on.press("T")
            svg = on.app.export_screenshot()
    assert (THEMES["light"].background or "") in svg
    for colour in (THEMES["dark"].background, THEMES["dark"].foreground, THEMES["dark"].primary):
        assert str(colour) not in svg


async def test_the_palette_changes_the_theme() -> None:
    """By its name."""
    with colours():
        async with stage() as on:
            commands = {one.title: one for one in on.app.get_system_commands(on.app.screen)}
            commands["Change theme: dark, light, the terminal's own"].callback()
            assert on.app.theme == THEMES["light"].name


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"COLORTERM": "", "TERM": "xterm-16color"}])
async def test_a_terminal_of_few_colours_keeps_its_own(environment: dict[str, str]) -> None:
    """Without colours, or with 16, `T` changes nothing: the colours of other themes would not be there."""
    with colours(**environment):
        async with stage() as on:
            await on.press("T")
            assert on.app.theme == THEMES["terminal"].name


def test_the_setting_names_a_theme() -> None:
    """HOOKLAB_THEME, a file or nothing: dark; another name is refused with the names that there are."""
    assert Settings().theme == "dark"
    assert load_settings({}, {"HOOKLAB_THEME": "light"}).theme == "light"
    assert {"dark", "light", "terminal"} == set(THEMES)
    with pytest.raises(SettingsError, match=r"theme \(HOOKLAB_THEME\)"):
        load_settings({}, {"HOOKLAB_THEME": "pink"})
