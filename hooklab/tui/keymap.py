"""Every key, once: the help shows this table, and a test holds it against the bindings."""

from typing import Final, NamedTuple


class Key(NamedTuple):
    """Keys as they are written on the screen, what they do, and the names under which Textual knows them."""

    shown: str
    does: str
    names: tuple[str, ...]


KEYMAP: Final = (
    Key("1 2 3 4 5", "messages, batches, problems, quarantine, insights", ("1", "2", "3", "4", "5")),
    Key("j k ↓ ↑", "one line down, up; in a text: to the next line that leads somewhere", ("j", "k", "down", "up")),
    Key("PgDn PgUp", "one screen down, up (ctrl+f ctrl+b)", ("pagedown", "pageup", "ctrl+f", "ctrl+b")),
    Key("t", "in a list: go to a time, as 14:05, 25 Nov 14:05 or 2h (ago); g returns", ("t",)),
    Key("tab", "where there is room: to the message beside the list, and back (esc)", ("tab", "shift+tab")),
    Key("v", "hide the message beside the list, or show it again", ("v",)),
    Key("g G", "the newest (and follow it), the oldest loaded (Home End)", ("g", "G", "home", "end")),
    Key("enter", "open what is selected, or what a line leads to", ("enter",)),
    Key("esc", "back; in the messages: show all of them again", ("escape", "backspace", "h", "left")),
    Key("/", "filter the messages, with results while typing; enter keeps it, esc takes it back", ("slash",)),
    Key("space", "pause a list, follow again; in a text: one screen down", ("space",)),
    Key("m", "show phone numbers whole, or mask them again", ("m",)),
    Key("y", "copy the id or number, and show it for selecting; on the empty start the curl line", ("y",)),
    Key("e", "export the messages that the filter lets through, to a CSV or JSON Lines file", ("e",)),
    Key("Y", "on the empty start: copy the smsWebhooks JSON", ("Y",)),
    Key("r", "a body as it came, or as indented JSON again", ("r",)),
    Key("R", "in the quarantine: judge all of it once more, by this version's rules", ("R",)),
    Key("u", "the hook URL, the curl line and the smsWebhooks JSON", ("u",)),
    Key("[ ]", "in the insights: a shorter, a longer window", ("left_square_bracket", "right_square_bracket")),
    Key("T", "another theme: dark, light, the terminal's own colours", ("T",)),
    Key("ctrl+p :", "command palette: everything by its name", ("ctrl+p", "colon")),
    Key("?", "this help", ("question_mark",)),
    Key(
        "q ctrl+c",
        "quit; where this window runs the service it asks how; a second ctrl+c stops it",
        ("q", "ctrl+c", "ctrl+q"),
    ),
)
