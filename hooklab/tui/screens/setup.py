"""What the empty start shows, at any time: the hook URL, the curl line, the JSON to paste; in clear when asked."""

from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hooklab.snippets import curl_line, sms_webhooks
from hooklab.text import mask_token
from hooklab.tui.screens.one_size import OneSize
from hooklab.tui.widgets.empty_start import EmptyStart
from hooklab.tui.widgets.keys import Keys

_HINTS: Final = (
    ("esc", "back"),
    ("y", "copy the curl line"),
    ("Y", "copy the JSON"),
    ("m", "show or mask the token"),
)


class SetupScreen(OneSize[None]):
    """Its own screen, since it is the one place that shows the token in clear once there are messages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q,u", "app.back", show=False),
        Binding("y", "copy(False)", show=False),
        Binding("Y", "copy(True)", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("m", "reveal", show=False),
    ]

    def __init__(self, hook_url: str | None, try_url: str | None, *, runs: bool) -> None:
        """`try_url` is where this machine reaches it, `runs` says whether there is a service now."""
        super().__init__()
        self._hook_url = hook_url
        self._try_url = try_url
        self._revealed = False
        self._body = EmptyStart(
            "Reports are taken at" if runs else "No service runs. When one does, it takes reports at"
        )
        self._keys = Keys(_HINTS)

    def compose(self) -> ComposeResult:
        """The text and the way back."""
        yield self._body
        yield self._keys

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wraps elsewhere, once the layout is done."""
        self.call_after_refresh(self._show)
        self._keys.show()

    def _show(self) -> None:
        urls = (self._hook_url, self._try_url)
        self._body.show(*(url if url is None or self._revealed else mask_token(url) for url in urls))

    def action_reveal(self) -> None:
        """Shows the token in clear, or masks it again: somebody may look on, or a recording run."""
        self._revealed = not self._revealed
        self._show()

    def action_copy(self, snippet: bool) -> None:
        """Copies the curl line or the JSON, without the line breaks of the screen."""
        if self._hook_url is not None:
            text = sms_webhooks(self._hook_url) if snippet else curl_line(self._try_url or self._hook_url)
            self.app.copy_to_clipboard(text)
            self._keys.show("copied, if your terminal allows it")

    def action_scroll(self, by: int) -> None:
        """Scrolls the text."""
        self._body.scroll_relative(y=by, animate=False)
