"""Three looks: a quiet dark one, a quiet light one, and one that leaves every colour to the terminal."""

from typing import Final

from textual.theme import BUILTIN_THEMES, Theme

QUIET: Final = Theme(
    name="hooklab",
    primary="#7cb7ff",
    secondary="#7cb7ff",
    accent="#7cb7ff",
    foreground="#d5dae1",
    background="#0f1318",
    surface="#0f1318",
    panel="#171d25",
    success="#7ec98f",
    warning="#f0a35e",
    error="#f07178",
    dark=True,
    variables={"wait": "#d8c37a", "quiet": "#8792a2", "rule": "#2f3845", "strong": "#ffffff", "ground": "#1f2a38"},
)

LIGHT: Final = Theme(
    name="hooklab-light",
    primary="#0b5cad",
    secondary="#0b5cad",
    accent="#0b5cad",
    foreground="#24292f",
    background="#fbfbf9",
    surface="#fbfbf9",
    panel="#eef1f5",
    success="#1a7f37",
    warning="#a04a00",
    error="#c0262d",
    dark=False,
    variables={"wait": "#7a5d00", "quiet": "#5b6675", "rule": "#c3cbd5", "strong": "#000000", "ground": "#dce8f6"},
)

TERMINAL: Final = Theme(
    name="hooklab-terminal",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_magenta",
    error="ansi_red",
    dark=True,
    variables={
        **BUILTIN_THEMES["ansi-dark"].variables,
        "wait": "ansi_yellow",
        "quiet": "ansi_default",
        "rule": "ansi_bright_black",
        "strong": "ansi_default",
        "ground": "ansi_default",
    },
)

THEMES: Final = {"dark": QUIET, "light": LIGHT, "terminal": TERMINAL}
"""By the names that the setting `theme` has for them, in the order in which `T` goes through them."""
