"""What the command palette offers: all that a key does, and some filters that are often wanted."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.app import SystemCommand

from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.targets import ToMessages
from hooklab.tui.widgets.tabs import SCREENS

if TYPE_CHECKING:
    from hooklab.tui.app import MonitorApp

FILTERS: Final = (
    ("all messages", ""),
    ("failed messages", "state:not_delivered"),
    ("messages that failed in the last hour", "state:not_delivered since:1h"),
    ("pending messages", "state:pending"),
    ("stuck messages", "is:stuck"),
    ("messages in conflict", "is:conflict"),
    ("messages with a mismatched label", "is:label_mismatch"),
)


def offers(app: "MonitorApp") -> Iterator[SystemCommand]:
    """Each with its key, or its filter words."""
    messages = app.messages
    for key, name in SCREENS:
        yield SystemCommand(f"Go to {name}", f"key {key}", partial(app.action_go, name))
    for title, text in FILTERS:
        follow = partial(app.follow, ToMessages(text))
        yield SystemCommand(f"Show {title}", f"filter {text}" if text else "key esc", follow)
    yield SystemCommand("Filter messages", "key /", partial(_filter, app))
    yield SystemCommand("Export the messages shown to CSV or JSON Lines", "key e", partial(_export, app))
    yield SystemCommand("Pause or follow again", "key space", partial(_pause, app))
    yield SystemCommand("Hide or show the message beside the list", "key v", messages.action_pane)
    yield SystemCommand("Move between the list and the message beside it", "key tab", messages.action_turn)
    yield SystemCommand("Go to a time", "key t", partial(_jump, app))
    yield SystemCommand("Copy the id or number", "key y", app.action_copy)
    yield SystemCommand("Reveal or mask phone numbers", "key m", app.action_reveal)
    yield SystemCommand("Retry the quarantine by this version's rules", "key R", app.action_retry)
    yield SystemCommand("Change theme: dark, light, the terminal's own", "key T", app.action_next_theme)
    yield SystemCommand("Help", "key ?", app.action_help)
    yield SystemCommand("Hook URL, curl line and snippet", "key u", app.action_setup)
    yield SystemCommand("Quit: stop the service, or only close the screen", "key q", app.action_leave)


def _filter(app: "MonitorApp") -> None:
    app.action_go("messages")
    app.messages.action_filter()


def _export(app: "MonitorApp") -> None:
    app.action_go("messages")
    app.messages.action_export()


def _jump(app: "MonitorApp") -> None:
    if not isinstance(app.front(), ListScreen):
        app.action_go("messages")
    screen = app.front()
    if isinstance(screen, ListScreen) and screen.check_action("jump", ()):
        screen.action_jump()


def _pause(app: "MonitorApp") -> None:
    screen = app.front()
    if isinstance(screen, ListScreen):
        screen.action_pause()
