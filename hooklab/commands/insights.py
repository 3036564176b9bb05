"""`insights`."""

import argparse

import msgspec

from hooklab.commands.common import clock, print_json, print_line, read
from hooklab.config import Settings
from hooklab.filters import parse_since
from hooklab.findings import Section, findings, widths_of, window_of

_BAR = 24


def insights(given: argparse.Namespace, settings: Settings) -> int:
    """Answers about delivery and about the provider."""
    since = None if given.since is None else parse_since(given.since, clock())
    found = read(settings, lambda monitor: monitor.insights(since, given.org))
    if given.json:
        print_json(msgspec.to_builtins(found))
        return 0
    print_line(window_of(found))
    for section in findings(found):
        _print(section)
    return 0


def _print(section: Section) -> None:
    print_line()
    print_line(section.title)
    if section.says:
        print_line(f"  {section.says}")
    for text in section.warns:
        print_line(f"  ! {text}")
    label, widths = widths_of(section.rows)
    for row in section.rows:
        figures = "  ".join(text.rjust(width) for text, width in zip(row.figures, widths, strict=True))
        bar = "" if row.bar is None else "#" * round(row.bar * _BAR)
        print_line(f"  {row.label:<{label}}  {figures}  {bar}".rstrip())
    for text in (*section.notes, *section.of_rows):
        print_line(f"  ({text.rstrip('.')})")
