"""Screens on a terminal whose size changes fast. It reaches into Textual, hence the test with two sizes at once."""

from typing import TypeVar

from textual.geometry import Size
from textual.screen import Screen

T = TypeVar("T")


class OneSize(Screen[T]):
    """Lays itself out for the size that the terminal has now, and not for one that an event was sent about.

    Textual sends a screen that was laid out anew an event with its size. With two sizes on their way to a screen it
    then lays itself out for one and for the other in turn, without end, and nothing else gets done.

    To be named after another base that is a screen too: Textual takes styles from the first alone.
    """

    def _screen_resized(self, size: Size) -> None:
        del size
        super()._screen_resized(self.app.size)
