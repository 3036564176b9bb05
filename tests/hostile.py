"""Text and bytes that try to hurt a screen: the tables that every hostile test goes through, and what harm is."""

import unicodedata
from functools import lru_cache
from typing import Final

LONG: Final = 64 * 1024
_ESC: Final = "\x1b"

HOSTILE: Final[dict[str, str]] = {
    # markup of Textual and Rich
    "markup: closes nothing": "[/]",
    "markup: closes what is not open": "[/bold] and [/red]",
    "markup: quits on a click": "[@click=app.quit]read me[/]",
    "markup: rings on a click": "[@click='app.bell()']x[/@click]",
    "markup: a link": "[link=file:///etc/passwd]invoice[/link]",
    "markup: unbalanced": "[[[bold]x[/",
    "markup: unbalanced the other way": "]]]x[/]]\\[",
    "markup: black on black": "[black on black]x[/][conceal]y[/conceal]",
    "markup: a colour that is none": "[#zzzzzz]x[/] [rgb(300,0,0)]y[/]",
    "markup: a style variable": "[$text-error on $nothing 900%]x[/]",
    "markup: emoji codes": ":skull: :e-mail: :warning-emoji: [:-)",
    # sequences to a terminal, in seven bits
    "CSI: colours that stay": f"{_ESC}[30;40;8m",
    "CSI: clears the screen": f"{_ESC}[2J{_ESC}[3J{_ESC}[H",
    "CSI: moves": f"a{_ESC}[1;1Hb{_ESC}[99A{_ESC}[99Dc{_ESC}[5T",
    "CSI: alternate screen": f"{_ESC}[?1049l{_ESC}[?47l",
    "CSI: private modes": f"{_ESC}[?25l{_ESC}[?1000l{_ESC}[?2004l{_ESC}[?2026h{_ESC}[?7h",
    "CSI: a scrolling region": f"{_ESC}[2;3r{_ESC}[?6h",
    "CSI: asks where, what and which": f"{_ESC}[6n{_ESC}[5n{_ESC}[c{_ESC}[>c{_ESC}[=c{_ESC}[>q{_ESC}[?2048$p",
    "CSI: reports the window's title": f"{_ESC}[21t{_ESC}[14t{_ESC}[8;1;1t",
    "CSI: keyboard protocol": f"{_ESC}[>31u{_ESC}[?u{_ESC}[<9u",
    "CSI: ends a paste": f"{_ESC}[201~q{_ESC}[200~",
    "CSI: not finished": f"x{_ESC}[38;2;1;",
    "ESC: reset": f"{_ESC}c",
    "ESC: other characters": f"{_ESC}(0lqqk{_ESC}#8{_ESC}N{_ESC}n{_ESC}%@",
    "ESC: at the end": f"x{_ESC}",
    "OSC: title": f"{_ESC}]0;owned\x07{_ESC}]2;owned{_ESC}\\",
    "OSC 8: a link": f"{_ESC}]8;;https://evil.example{_ESC}\\click{_ESC}]8;;{_ESC}\\",
    "OSC 52: fills the clipboard": f"{_ESC}]52;c;cm0gLXJmIH4=\x07",
    "OSC 52: reads the clipboard": f"{_ESC}]52;c;?{_ESC}\\",
    "OSC: palette and folder": f"{_ESC}]4;0;#fff\x07{_ESC}]11;?\x07{_ESC}]7;file://h/\x07{_ESC}]22;x\x07",
    "OSC: a file, and notes": f"{_ESC}]1337;File=name=eA==;inline=1:AAAA\x07{_ESC}]9;n\x07{_ESC}]777;notify;a;b\x07",
    "OSC: not finished": f"{_ESC}]0;and all that follows",
    "DCS: a terminal's settings": f'{_ESC}P$q"p{_ESC}\\{_ESC}P+q544e{_ESC}\\',
    "DCS: a picture in Sixel": f"{_ESC}Pq#0;2;0;0;0#0~~@@vv@@~~$-{_ESC}\\",
    "DCS: through tmux": f"{_ESC}Ptmux;{_ESC}{_ESC}]52;c;eA==\x07{_ESC}\\",
    "APC: a picture by kitty's protocol": f"{_ESC}_Gf=100,a=T;AAAA{_ESC}\\",
    "PM and SOS": f"{_ESC}^private{_ESC}\\{_ESC}Xstring{_ESC}\\",
    # the same in eight bits
    "C1: CSI": "\x9b31mred\x9b2J\x9b6n",
    "C1: OSC": "\x9d0;owned\x9c\x9d52;c;eA==\x9c",
    "C1: DCS, SOS, PM, APC": "\x90q~\x9c\x98s\x9c\x9ep\x9c\x9fGa=T;A\x9c",
    "C1: moves": "a\x84b\x85c\x8dd\x88e\x8ef\x8f",
    "C1: all": "".join(map(chr, range(0x80, 0xA0))),
    # single controls
    "NUL": "a\x00b\x00",
    "BEL": "\x07" * 40,
    "BS": "Absent\x08\x08\x08\x08\x08\x08Delivered",
    "CR": "NOT_DELIVERED\rDELIVERED    ",
    "LF": "a\nb\n\nc\n",
    "CRLF, LFCR and CR": "a\r\nb\n\rc\rd",
    "VT and FF": "a\x0bb\x0cc",
    "DEL": "a\x7f\x7fb",
    "shifts": "\x0elqk\x0f\x0e",
    "CAN and SUB": f"{_ESC}[3\x18x{_ESC}[3\x1ay",
    "separators": "a\x1cb\x1dc\x1ed\x1f",
    "all of C0": "".join(map(chr, range(0x20))),
    "tabs": "\t\ta\t\tb" + "\t" * 60,
    "tabs and line feeds": "\t\n" * 200 + "end",
    # characters that are not seen, or that turn what is seen around
    "line and paragraph separator": "a\u2028b\u2029c",
    "bidi overrides": "\u202egnp.exe\u202c \u202dabc",
    "bidi isolates": "\u2066a\u2067b\u2068c\u2069\u2069\u2069",
    "bidi marks": "\u200e\u200f\u061cabc\u202a\u202b",
    "zero width": "pay\u200bpal\u200c\u200d.com\u2060\u2064",
    "BOM": "\ufeffabc\ufeff",
    "variation selectors": "\u2764\ufe0f \u2764\ufe0e a\U000e0100\U000e01ef",
    "tags": "\U0001f3f4\U000e0067\U000e0062\U000e007f \U000e0001",
    "interlinear annotation": "\ufff9base\ufffanote\ufffb",
    "soft hyphens": "pass\u00adword" + "\u00ad" * 50,
    "odd spaces": "a\u00a0b\u2003c\u202fd\u205fe\u3000f\u1680",
    "musical and shorthand format": "\U0001d173a\U0001d17a\U0001bca0b",
    "deprecated format": "\u206aa\u206bb\u206f",
    # no characters at all
    "a lone high surrogate": "\ud800 lone",
    "a lone low surrogate": "lone \udfff",
    "surrogates the wrong way round": "\udc00\ud800",
    "bytes smuggled in as surrogates": "\udc80\udc9b31m\udcff",
    "private use": "\ue000\uf8ff\U000f0000\U0010fffd",
    "noncharacters": "\ufdd0\ufffe\uffff\U0001ffff\U0010ffff",
    "replacement characters": "\ufffd" * 20,
    "unassigned": "\u0378\U000e0fff\U0003ffff",
    # widths
    "wide": "日本語テスト한국어中文" * 20,
    "wide at every edge": "a" + "日" * 300,
    "emoji in sequences": "👩\u200d👩\u200d👧\u200d👦 👍🏽 🏳\ufe0f\u200d🌈 👨🏿\u200d🚀 1\ufe0f\u20e3 ❤\ufe0f",
    "flags": "🇵🇹🇧🇷🇵 🇹🇵🇹",
    "full width and half width": "\uff21\uff22\uff23\uff3b\uff0f\uff3d\uff71\uff72\uff9e\uffe6",
    "a tower of marks": "e" + "\u0301" * 300 + "\u0301a",
    "zalgo": "".join(char + "\u0300\u0316\u0334\u0489\u035c\u20dd\u0fad" * 9 for char in "delivered"),
    "marks with nothing below": "\u0301\u0308\u20e3abc \u0301",
    "Hangul jamo": "\u1112\u1161\u11ab\u1100\u1161 \ua960\ud7b0\ud7cb",
    "Hangul fillers": "\u3164\u115f\u1160\uffa0\u3164",
    "Arabic": "ﷺ﷽ \u0627\u0644\u0644\u0647 \u0628\u0650\u0633\u0652\u0645\u0650",
    "Hebrew and Latin": "שלום abc עולם 123",
    "Thai": "ก็ที่นี่" + "\u0e49" * 100 + "\u0e33",
    "Indic": "क्षि ந்தி \u0d4d\u0d4d ශ්\u200dරී",
    "widest and blocks": "𒐫𒈙⸻﷽꧅ ███▓▒░",
    # text that other programs trip over
    "JSON that ends early": '"}],"Status":"DELIVERED"}] {{{',
    "JSON with hostile keys": '{"\\u001b[2J":1,"[/]":{"\\u202e":"\\ud800"},"__proto__":{"a":[]},"":null,"a":1e999}',
    "JSON that nests deeply": "[" * 20_000 + "]" * 20_000,
    "JSON that nests, in one line": '{"a":' * 300 + "1" + "}" * 300,
    "format strings": "%s%n%x {0} {0.__class__} {{}} ${HOME} $(id) `id` %(a)s",
    "a CSV formula": '=HYPERLINK("http://evil.example";"x")\t+1\t@SUM(A1)\t-2+3',
    "SQL": "'; DROP TABLE messages; --\" OR 1=1 /* %_",
    "paths": "../../../../etc/passwd\\..\\con file:///dev/tty",
    "a forged line of a log": "ok\n2026-11-22 09:31:02,120 error hooklab: all is lost\n",
    "a forged line of the screen": "\n ● well  12:04:51\n ▸12:04:51  3519····0000   ✔ delivered",
    "HTML": "<script>alert(1)</script>&#27;&nbsp;<!--",
    "an option": "-rf",
    "a name of JavaScript's": "__proto__",
    "only spaces": " " * 300,
    "nothing": "",
    # 64 KB
    "64 KB in one word": "x" * LONG,
    "64 KB of spaces and letters": "a " * (LONG // 2),
    "64 KB of line feeds": "\n" * LONG,
    "64 KB of escapes": _ESC * LONG,
    "64 KB of wide characters": "語" * (LONG // 3),
    "64 KB of marks": "a" + "\u0301" * (LONG // 2),
    "64 KB of markup": "[bold]" * (LONG // 6),
    "64 KB of JSON": '{"k":[' + "1," * (LONG // 2 - 5) + "1]}",
}
"""Text by a name that says what it tries. Each comes as JSON where JSON has a spelling for it."""

BODIES: Final[dict[str, bytes]] = {
    "raw C1": b"\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "raw C1 in an element": b'["\x9b2J\x9d52;c;eA==\x9c"]',
    "overlong UTF-8": b"\xc0\x9b\xe0\x80\x9b[2J\xc1\xbf",
    "UTF-8 that ends early": b'["\xf0\x9f\x98',
    "surrogates in UTF-8": b'["\xed\xa0\x80\xed\xbf\xbf"]',
    "beyond Unicode": b'["\xf4\x90\x80\x80\xf8\x88\x80\x80\x80"]',
    "UTF-16": "\ufeff[/]\x1b[2J\u202e".encode("utf-16"),
    "a program": bytes(range(256)) * 8,
    "nothing at all": b"",
    "a number": b"1e999",
    "an empty array": b"[]",
}
"""Whole bodies that are no text, or odd ones."""

INVISIBLE: Final = frozenset(
    code
    for first, last in [
        *[(0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)],
        *[(0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)],
        *[(0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3)],
        *[(0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)],
    ]
    for code in range(first, last + 1)
)
"""Unicode's default-ignorable characters: nothing is seen of them, so they hide what is there."""
BAD_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@lru_cache(maxsize=8192)
def is_harmful(char: str) -> bool:
    """Whether a character must not reach a terminal."""
    return unicodedata.category(char) in BAD_CATEGORIES or ord(char) in INVISIBLE


def harmful(text: str, allowed: str = "") -> list[str]:
    """The characters of `text` that must not reach a terminal, as code points, each once."""
    if text.isascii() and text.isprintable():
        return []
    return [f"U+{ord(char):04X}" for char in dict.fromkeys(text) if char not in allowed and is_harmful(char)]
