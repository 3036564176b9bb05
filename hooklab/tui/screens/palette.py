"""The command palette, for somebody who types faster than it opens."""

from contextlib import suppress
from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.css.query import NoMatches
from textual.worker import Worker

from hooklab.tui.screens.one_size import OneSize


class Palette(CommandPalette, OneSize[None]):
    """Textual's, which would end the app where it is closed while it still gathers its commands."""

    def __init__(self) -> None:
        # Without Textual's id, which the one before may still have while it is removed.
        super().__init__()
        self._answered = False

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Answers once: a second Enter may come before the first has closed it."""
        if self._answered:
            return AwaitComplete()
        self._answered = True
        return super().dismiss(result)

    def run_worker(self, *work: Any, **options: Any) -> Worker[Any]:
        """As every widget's, but one that fails ends nothing: what it gathers for may be gone already."""
        return super().run_worker(*work, **{**options, "exit_on_error": False})

    def _action_command_list(self, action: str) -> None:
        with suppress(KeyError, NoMatches):  # a page up or down in a list that has no lines yet, or is gone
            super()._action_command_list(action)
