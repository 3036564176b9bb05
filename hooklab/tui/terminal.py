"""Signals: Textual installs no handlers, and a process that dies by one leaves the terminal raw."""

import asyncio
import signal
from typing import Any, Final

from textual.app import App

RESULTS: Final = {signal.SIGTERM: "stop", signal.SIGINT: "stop", signal.SIGHUP: "hangup"}


def install_signals(app: App[Any]) -> None:
    """Ends `app` in good order on SIGTERM, SIGINT and SIGHUP; to be called on its own loop, in `on_mount`.

    Signals come to the main thread only; elsewhere (under test) nothing is installed.
    """
    loop = asyncio.get_running_loop()
    for number, result in RESULTS.items():
        try:
            loop.add_signal_handler(number, app.exit, result)
        except (RuntimeError, ValueError):
            return


def remove_signals() -> None:
    """Gives the signals back."""
    loop = asyncio.get_running_loop()
    for number in RESULTS:
        loop.remove_signal_handler(number)
