"""What is shown before the first message: where to point the provider, and how to try it now."""

import re
from typing import Final

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from hooklab.snippets import curl_line, sms_webhooks
from hooklab.text import clean, clean_lines
from hooklab.tui.cells import wrap

_STEPS: Final = (
    "Try it: paste the curl line into another terminal.",
    "Put the smsWebhooks JSON into the request with which you send an SMS.",
    "Send one: its PENDING and its final report appear as they arrive.",
)
_REACH: Final = "Make it reachable, as the README says: that address is this machine's own."
_LOCAL: Final = re.compile(r"https?://(127\.|localhost[:/]|\[::1\])")


def steps(hook_url: str | None) -> str:
    """What to do, numbered; where nobody else can reach the hook URL that too."""
    local = hook_url is not None and _LOCAL.match(hook_url) is not None
    wanted = [_STEPS[0], *([_REACH] if local else []), *_STEPS[1:]]
    return "\n".join(f"{number}  {step}" for number, step in enumerate(wanted, 1))


def wrap_shell(command: str, width: int) -> str:
    """A command in lines of at most `width` cells, broken after the commas of its JSON where that fits: there a
    line break does not change what the shell sends, even if a terminal copies it.
    """
    lines: list[str] = []
    current = ""
    for part in _parts(command):
        if current and cell_len(current) + cell_len(part.rstrip()) > width:
            lines.append(current.rstrip())
            current = ""
        current += part
        while cell_len(current.rstrip()) > width:
            first = wrap(current.replace(" ", "\xa0"), width)[0].replace("\xa0", " ")
            lines.append(first)
            current = current[len(first) :]
    return "\n".join([*lines, current])


def _parts(command: str) -> list[str]:
    """Cuts where JSON lets a line break stand: after the opening brace, after commas, before the closing brace."""
    return re.split(r"""(?<='\[\{)|(?<=", )|(?=\}\]')""", command)


class EmptyStart(VerticalScroll):
    """Shows the hook URL as it is given: in clear where nothing was received yet, or it could not be pasted."""

    def __init__(self, title: str = "No message yet. Reports are taken at") -> None:
        super().__init__(id="empty")
        self._title = title
        self._urls: tuple[str | None, str | None] = None, None
        self._shown: tuple[str | None, str | None, int] | None = None
        self._texts = {
            name: Static("", id=f"empty-{name}", markup=False) for name in ("url", "curl", "steps", "snippet")
        }

    def compose(self) -> ComposeResult:
        """Titles, and what can be selected with the mouse."""
        yield Static(self._title, classes="title", markup=False)
        yield self._texts["url"]
        yield Static("Send a sample report to yourself (y copies the line)", classes="title", markup=False)
        yield self._texts["curl"]
        yield Static("Next", classes="title", markup=False)
        yield self._texts["steps"]
        yield Static("For the Arpoone request (Y copies it)", classes="title", markup=False)
        yield self._texts["snippet"]

    def show(self, hook_url: str | None, try_url: str | None) -> None:
        """Fills in the hook URL, and the one to which the curl line posts."""
        self._urls = hook_url, try_url
        width = self.size.width - 4
        if self._shown == (hook_url, try_url, width) or width < 1:
            return
        self._shown = (hook_url, try_url, width)
        if hook_url is None:
            self._fill("no hook URL is known: start the service with `hooklab serve`", "", "")
            return
        url = clean(hook_url)
        self._fill(url, wrap_shell(curl_line(clean(try_url or hook_url)), width), clean_lines(sms_webhooks(url)))

    def on_resize(self, _event: events.Resize) -> None:
        """Another width wraps elsewhere."""
        self.show(*self._urls)

    def _fill(self, url: str, curl: str, snippet: str) -> None:
        for name, text in (("url", url), ("curl", curl), ("steps", steps(self._urls[0])), ("snippet", snippet)):
            self._texts[name].update(Content(text))
