"""What came from outside is harmless to a terminal once it is cleaned."""

import re
import sys
from typing import Final

import pytest
from hostile import INVISIBLE, harmful
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooklab.text import MASK, clean, clean_lines, mask_number, mask_numbers, mask_token

# Every character that there is, lone surrogates too: hypothesis leaves those out of its texts by itself.
_any_text = st.text(st.characters(categories=None, exclude_categories=()), max_size=60)
_controls = "\x00\x07\x08\t\n\r\x1b\x7f\x80\x84\x85\x90\x9b\x9c\x9d\u00a0\u00ad\u061c\u200b\u200d\u2028\u2029\u202e"
_others = "\u2066\u2069\ufeff\ufe0f\u034f\u0301\u20dd\u0e49\ud800\udfff\U000e0041\U0001f600a \u3000\ue000"
_hostile = st.lists(st.sampled_from([*_controls, *_others]), max_size=40).map("".join)


def test_every_character_that_there_is_comes_out_harmless() -> None:
    """All 1,114,112 code points, lone surrogates too: no control, format, private or invisible one is left."""
    for start in range(0, sys.maxunicode + 1, 0x1000):
        text = "".join(map(chr, range(start, start + 0x1000)))
        assert harmful(clean(text)) == []
        assert harmful(clean_lines(text), "\n") == []


@settings(deadline=None, max_examples=300)
@given(_any_text | _hostile, st.none() | st.integers(0, 50))
def test_nothing_harmful_leaves_clean(text: str, limit: int | None) -> None:
    """One line, nothing harmful, no longer than asked for, and clean already when it is cleaned again."""
    shown = clean(text, limit)
    assert harmful(shown) == []
    assert len(shown.splitlines()) <= 1
    assert shown.isprintable()
    assert clean(shown) == shown
    shown.encode()
    if limit is not None:
        assert len(shown) <= limit


@settings(deadline=None, max_examples=300)
@given(_any_text | _hostile, st.none() | st.integers(0, 50))
def test_nothing_harmful_leaves_clean_lines(text: str, limit: int | None) -> None:
    """The same for many lines, where only line breaks are left of the controls."""
    shown = clean_lines(text, limit)
    assert harmful(shown, "\n") == []
    if limit is not None:
        assert len(shown) <= limit


ATTACKS: dict[str, tuple[str, str]] = {
    "colour": ("a\x1b[31mred\x1b[0m", "a␛[31mred␛[0m"),
    "clipboard by OSC 52": ("\x1b]52;c;cm0gLXJm\x07", "␛]52;c;cm0gLXJm␇"),
    "title by OSC 0": ("\x1b]0;owned\x1b\\", "␛]0;owned␛\\"),
    "eight-bit CSI": ("\x9b31m", "\ufffd31m"),
    "eight-bit OSC": ("\x9d0;owned\x9c", "\ufffd0;owned\ufffd"),
    "overwriting the line": ("Absent subscriber\rDelivered", "Absent subscriber␍Delivered"),
    "backspaces": ("abc\b\b\bxyz", "abc␈␈␈xyz"),
    "another line": ("a\nb\r\nc", "a␊b␍␊c"),
    "NUL and DEL": ("a\0b\x7f", "a␀b␡"),
    "right-to-left override": ("\u202egnp.exe", "\ufffdgnp.exe"),
    "isolates": ("\u2067a\u2069", "\ufffda\ufffd"),
    "zero width": ("a\u200bb\u200dc\ufeffd", "a\ufffdb\ufffdc\ufffdd"),
    "fillers": ("\u3164a\u115f\u034fb", "ab"),
    "variation selectors": ("\u2764\ufe0f\U000e0100", "\u2764"),
    "tags": ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\ufffd\ufffd"),
    "line separator": ("a\u2028b\u2029c", "a\ufffdb\ufffdc"),
    "odd spaces": ("a\u00a0b\u3000c\u2003d", "a b c d"),
    "lone surrogates": ("\ud800x\udfff", "\ufffdx\ufffd"),
    "private use": ("\ue000\U0010fffd", "\ufffd\ufffd"),
    "a tower of marks": ("e" + "\u0301" * 500, "e" + "\u0301" * 3),
    "a tower of Thai marks": ("\u0e01" + "\u0e49" * 500 + "\u0e01", "\u0e01" + "\u0e49" * 3 + "\u0e01"),
    "a tower with fillers between": ("e" + "\u0301\ufe0f" * 500, "e" + "\u0301" * 3),
    "two towers": ("a" + "\u0327" * 9 + "b" + "\u20dd" * 9, "a" + "\u0327" * 3 + "b" + "\u20dd" * 3),
}


@pytest.mark.parametrize(("text", "shown"), list(ATTACKS.values()), ids=list(ATTACKS))
def test_hostile_text_is_shown_and_does_nothing(text: str, shown: str) -> None:
    """C0 controls become their pictures, odd spaces a space, what cannot be printed U+FFFD; fillers go."""
    assert clean(text) == shown


PRINTABLE: Final = [
    "",
    "Message delivered to handset",
    "[bold]not markup[/] {braces} %s \\n",
    "Número não atribuído, coração, €",
    "доставлено 配信済み 전달됨 تم التسليم נמסר",
    "हिन्दी संदेश ภาษาไทยที่นี่ Tiếng Việt",
    "e\u0301\u0327\u0302 in three marks",
    "\U0001f600 ✓ ▲ ─ │ ·",
]


@pytest.mark.parametrize("text", PRINTABLE)
def test_printable_text_is_unchanged(text: str) -> None:
    """What people write in any script stays as it is, on one line or in many."""
    assert clean(text) == text
    assert clean_lines(text) == text
    assert clean(text, len(text)) == text


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "Sm", "Sc", "So"]) | st.just(" ")))
def test_letters_digits_and_signs_are_unchanged(text: str) -> None:
    """The same for any text without marks and fillers."""
    plain = "".join(char for char in text if ord(char) not in INVISIBLE)
    assert clean(plain) == plain


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("abcdef", 1, "…"), ("abcdef", 0, ""), ("", 0, "")],
)
def test_a_limit_cuts_and_says_so(text: str, limit: int, shown: str) -> None:
    """What is too long ends with an ellipsis and is as long as the limit; what fits is whole."""
    assert clean(text, limit) == shown
    assert clean_lines(text, limit) == shown


def test_lines_stay_lines_and_tabs_become_spaces() -> None:
    """A pretty-printed body keeps its line breaks, of any of the three kinds; other controls do not come through."""
    assert clean_lines("a\r\nb\rc\nd\x0be\x1b") == "a\nb\nc\nd␋e␛"
    assert clean_lines("{\n\t1\n}\n") == "{\n    1\n}\n"
    assert clean_lines("\u2028a\x85b") == "\ufffda\ufffdb"


# --- masks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, ""),
        ("", MASK),
        ("1", MASK),
        ("1234", MASK),
        ("12345", MASK + "45"),
        ("123456789", MASK + "89"),
        ("1234567890", "1234" + MASK + "7890"),
        ("351900004521", "3519" + MASK + "4521"),
    ],
)
def test_numbers_are_masked(number: str | None, shown: str) -> None:
    """Of a long number the first and last four digits are seen, of a short one the last two, else none."""
    assert mask_number(number) == shown


@given(st.text("0123456789", max_size=90) | _any_text)
@example("000·000000")
def test_a_mask_never_shows_more_than_four_and_four(number: str) -> None:
    """Whatever stands where a number should: at most its first and last four characters are seen, and harmless."""
    shown = mask_number(number)
    assert MASK in shown
    assert len(shown) <= 4 + len(MASK) + 4
    assert harmful(shown) == []
    if number.isascii() and number.isdigit():
        before, _, after = shown.partition(MASK)
        assert number.startswith(before)
        assert len(before) + len(after) <= max(len(number) - 2, 0)
        if len(number) <= 64:
            assert number.endswith(after)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8080/hooks/s3cret", "http://127.0.0.1:8080/hooks/••••"),
        ("https://h.example.com/hooks/s3cret/delivered", "https://h.example.com/hooks/••••/delivered"),
        ("/hooks/s3cret?x=1#y", "/hooks/••••?x=1#y"),
        ("POST /hooks/s3cret HTTP/1.1", "POST /hooks/•••• HTTP/1.1"),
        ("/hooks/s3cret and /hooks/s3cret/pending", "/hooks/•••• and /hooks/••••/pending"),
        ("/proxy/hooks/s3cret/", "/proxy/hooks/••••/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ("/hooks/", "/hooks/"),
    ],
)
def test_the_token_in_a_url_is_masked(url: str, shown: str) -> None:
    """Of a hook URL the token is hidden, wherever in a text it stands; the rest is kept."""
    assert mask_token(url) == shown


@given(st.from_regex(re.compile(r"[A-Za-z0-9_-]{8,40}"), fullmatch=True))
def test_no_token_gets_through(token: str) -> None:
    """No token that can be one is seen, and not its length either."""
    url = f"https://hooks.example.com/hooks/{token}/delivered"
    assert mask_token(url) == "https://hooks.example.com/hooks/••••/delivered"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('[{"Msisdn": "351900000123"}]', '[{"Msisdn": "3519····0123"}]'),
        ('{"msisdn":351900000123,"to":"+44 7700 900123"}', '{"msisdn":3519····0123,"to":"+44 ····0123"}'),
        ("Msisdn=351900000123&Status=DELIVERED", "Msisdn=3519····0123&Status=DELIVERED"),
        ('{"From": "351900000123", "Text": "351900000123"}', '{"From": "3519····0123", "Text": "351900000123"}'),
        ('{"TotalSegments": 1, "to": null, "from": "Shop"}', '{"TotalSegments": 1, "to": null, "from": "Shop"}'),
        ("", ""),
    ],
)
def test_numbers_in_bodies_are_masked_by_their_fields(body: str, shown: str) -> None:
    """Where a field of a usual name holds a phone number; whatever else a body has stays as it came."""
    assert mask_numbers(body) == shown
