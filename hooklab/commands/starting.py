"""The line that a log begins with."""

import re
import shlex
from typing import Final

import msgspec

from hooklab.commands.logs import mask_urls
from hooklab.config import Settings
from hooklab.layered.about import known
from hooklab.metrics import ServiceStatus
from hooklab.text import MASK, clean

_SAID: Final = frozenset({"data_dir", "bind", "public_url"})
"""What the line says anyway."""


def start_line(status: ServiceStatus, settings: Settings) -> str:
    """Version, addresses, folder and the settings that differ from the default; no secret."""
    changed = ", ".join(f"{name}={_shown(name, value)}" for name, value in _changed(settings))
    return (
        f"hooklab {status.version} receives at {_word(mask_urls(status.hook_url))},"
        f" listens on {_word(status.listens_on)}, data in {_word(str(settings.data_dir))};"
        f" {changed or 'all else as by default'}"
    )


def _changed(settings: Settings) -> list[tuple[str, object]]:
    default = Settings()
    return [
        (name, value)
        for name in Settings.__struct_fields__
        if name not in _SAID and (value := getattr(settings, name)) != getattr(default, name)
    ]


def _shown(name: str, value: object) -> str:
    if known(Settings)[name].about.secret:
        return MASK
    plain = msgspec.to_builtins(value, enc_hook=str)
    return _word(plain if isinstance(plain, str) else msgspec.json.encode(plain).decode())


def _word(text: str) -> str:
    """One word, so that no value looks like two."""
    shown = clean(text, 500)
    return shown if re.fullmatch(r"[\w.:/@%+=\[\]\u00b7\u2022-]+", shown) else shlex.quote(shown)
