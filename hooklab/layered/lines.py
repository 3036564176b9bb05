"""On which line a key of a TOML file stands, which `tomllib` does not tell."""

import tomllib
from typing import Final

_WORK: Final = 8 * 1024 * 1024
"""Characters that are parsed at most; a value of very many lines is parsed again with each of them."""


def lines_of(text: str) -> dict[str, int]:
    """The line of each key at the top of a sound TOML text; a key whose line is not certain is left out.

    No statement of TOML can end before its last line, and each is a text of its own: so the lines that parse when
    taken together are one statement, whatever quotes, dots and brackets are in it. A key in a table, and the table's
    own header, count for the name at the top under which they stand.
    """
    found: dict[str, int] = {}
    table: str | None = None
    pending, begins, work = "", 1, 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        pending += f"{line}\n"
        work += len(pending)
        if work > _WORK:
            break
        try:
            parsed = tomllib.loads(pending)
        except (ValueError, RecursionError):
            continue
        name = next(iter(parsed), None)
        if name is not None and pending.lstrip(" \t").startswith("["):
            table = name
        if name is not None:
            found.setdefault(table if table is not None else name, begins)
        pending, begins = "", number + 1
    return found
