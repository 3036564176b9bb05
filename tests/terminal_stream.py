"""What may go to a terminal, as a grammar: printable text, and the sequences that Textual's own code writes."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from hostile import is_harmful

_MODES: Final = "7|25|1000|1003|1004|1006|1015|1049|2004|2026"
"""Private modes: wrapping, cursor, mouse, focus, alternate screen, bracketed paste, synchronised output."""
_OWN: Final = re.compile(
    r"\x1b\[(?:"
    r"(?:\d+(?:;\d+)*)?m"  # colours and looks
    r"|\d+;\d+H"  # to a place
    rf"|\?(?:{_MODES})[hl]"
    r"|\?(?:2026|2048)\$p"  # asks for synchronised output, and for in-band resizing
    r"|>\d+u|<u"  # kitty's keyboard protocol, on and off
    r")"
    r"|\x1b\]22;(?:default|pointer|text)\x07"  # the mouse pointer's shape
)
_NEXT_LINE: Final = re.compile(r"\r\n\x1b\[\d+;\d+H")
"""How a frame goes on after a line: a line feed, of which the tty makes two bytes, and then to a place."""
_CLIPBOARD: Final = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")


def foreign_parts(received: bytes, copies: Collection[str] = ()) -> Iterator[tuple[int, str]]:
    """Offset and text of all that is not of the grammar; `copies` are what may go to the clipboard, in base64."""
    try:
        text = received.decode()
    except UnicodeDecodeError as error:
        yield error.start, f"bytes that are not UTF-8: {received[error.start : error.start + 20]!r}"
        return
    at = 0
    for found in re.finditer(r"[^\x20-\x7e]", text):
        if found.start() < at:
            continue
        at = found.end()
        if found[0] == "\x1b":
            own, copy = _OWN.match(text, found.start()), _CLIPBOARD.match(text, found.start())
            if own or (copy and copy[1] in copies):
                at = (own or copy).end()  # type: ignore[union-attr]
                continue
        elif next_line := _NEXT_LINE.match(text, found.start()):
            at = next_line.end()
            continue
        elif not is_harmful(found[0]):
            continue
        yield len(text[: found.start()].encode()), ascii(text[found.start() : found.start() + 40])
