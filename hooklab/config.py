"""Settings: frozen, checked, from a TOML file, `HOOKLAB_*` and flags, in that order (later ones win)."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta, Struct

from hooklab.times import parse_duration, zone

_Bytes = Annotated[int, Meta(ge=1024, le=2**29)]
"""SQLite takes no value of a gigabyte or more."""
_Seconds = Annotated[float, Meta(gt=0, le=3600)]


class SettingsError(ValueError):
    """A setting cannot be used; the text names it, where it came from and what to do."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set. Sizes are bytes, times seconds unless said otherwise."""

    data_dir: Path = Path()
    """The data folder; empty means hooklab's folder in the user's data directory."""
    bind: str = "127.0.0.1:8080"
    """The address to listen on, HOST:PORT; port 0 takes a free one."""
    token: str | None = None
    """The secret in the hook URL; without it the one in `token_file`, made once."""
    token_file: Path | None = None
    """Where the token is kept; without it the file `token` in the data folder."""
    public_url: str | None = None
    """The address as the provider sees it, such as https://hooks.example.com."""
    stuck_after: str | None = None
    """A message is stuck when it is pending with nothing new for longer than this: 90s, 30m, 7d. None is 24h."""
    assume_timezone: str | None = None
    """The zone of reported times that name none; the store keeps it, a change wants `hooklab rebuild`."""
    theme: Literal["dark", "light", "terminal"] = "dark"
    """The screen's colours, where the terminal has 256 or more; "terminal" leaves them to it."""
    sent_at_key: str | None = None
    """The key of a JSON custom payload under which your system tells when it sent the message, dots between keys of
    nested objects; empty for none. The store keeps it, a change wants `hooklab rebuild`."""
    max_body: _Bytes = 4 * 1024 * 1024
    max_elements: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Elements of one array that are judged; what lies beyond is kept in quarantine. None is what the store was
    made with, or 10,000; a change wants `hooklab rebuild`."""
    max_head: _Bytes = 16 * 1024
    max_fields: Annotated[int, Meta(ge=8, le=10_000)] = 100
    head_timeout: _Seconds = 10.0
    body_timeout: _Seconds = 30.0
    idle_timeout: _Seconds = 60.0
    """How long a connection without a request stays open."""
    max_receiving: _Bytes = 32 * 1024 * 1024
    """Bodies in memory, all connections together, until they are answered: what is admitted has to be written before
    the next, so that this bounds how long an answer waits under overload. Measured with 64 MiB and 320 connections
    of 1000 reports: a third of the answers, two and a half times the p99."""
    """Bodies in flight, all connections together."""
    max_queue: _Bytes = 32 * 1024 * 1024
    """Batches waiting for their commit."""
    max_group: _Bytes = 8 * 1024 * 1024
    """Batches in one commit."""
    commit_timeout: _Seconds = 8.0
    """A commit slower than this is answered 503; a provider gives up at about 10 s."""
    disk_reserve: Annotated[int, Meta(ge=0)] = 256 * 1024 * 1024
    """Free disk below which (or below 10 %, whichever is less) the answer is 503."""

    def host_and_port(self) -> tuple[str, int]:
        """`bind` taken apart; an IPv6 host is written in brackets."""
        return split_bind(self.bind)


def split_bind(bind: str) -> tuple[str, int]:
    """HOST:PORT or [IPv6]:PORT taken apart.

    Raises:
        SettingsError: it is neither.
    """
    host, colon, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise SettingsError(f"bind: {bind!r} is not HOST:PORT; write for example 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """The settings in force: defaults, then the file, then `HOOKLAB_*`, then flags that are not None.

    Raises:
        SettingsError: a value or a name is wrong, or the file cannot be read.
    """
    chosen: dict[str, Any] = {}
    source: dict[str, str] = {}
    layers = (
        (str(config_file), _read_file(config_file) if config_file else {}),
        ("the environment", _from_environment(environment)),
        ("the command line", {name: value for name, value in flags.items() if value is not None}),
    )
    for where, layer in layers:
        for name, value in layer.items():
            if name not in Settings.__struct_fields__:
                raise SettingsError(f"{where}: there is no setting called {name!r}")
            chosen[name], source[name] = value, where
    if not str(chosen.get("data_dir", "")):
        try:
            chosen["data_dir"] = platformdirs.user_data_path("hooklab")
        except RuntimeError as error:  # as of a number that a container was told to run as
            wanted = "name a data folder with --data-dir DIR or HOOKLAB_DATA_DIR"
            raise SettingsError(f"data_dir: this user has no home folder; {wanted}") from error
    for name in ("data_dir", "token_file"):
        if chosen.get(name) is not None:
            try:
                chosen[name] = str(Path(chosen[name]).expanduser().absolute())
            except (TypeError, RuntimeError) as error:
                what = f"{chosen[name]!r} is not a path: {error}"
                raise SettingsError(f"{name} ({source[name]}): {what}") from error
    try:
        settings = msgspec.convert(
            chosen,
            Settings,
            strict=False,
            dec_hook=lambda kind, value: Path(value) if kind is Path else value,
        )
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), source)) from error
    try:
        _check(settings)
    except SettingsError as error:
        name, _, what = str(error).partition(": ")
        raise SettingsError(f"{name} ({source.get(name, 'the default')}): {what}") from error
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`HOOKLAB_MAX_BODY=1048576` sets max_body. Empty means not set."""
    prefix = "HOOKLAB_"
    own = {"HOOKLAB_CONFIG", "HOOKLAB_TRACEBACK"}
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in environment.items()
        if name.startswith(prefix) and name not in own and value
    }


def _explain(error: str, source: Mapping[str, str]) -> str:
    what, _, where = error.partition(" - at `$.")
    name = where.rstrip("`")
    return f"{name} ({source.get(name, 'the settings')}): {what}" if name else what


def _check(settings: Settings) -> None:
    split_bind(settings.bind)
    if settings.token == "":
        raise SettingsError("token: it is empty; leave it out to have one made")
    if settings.stuck_after is not None and not parse_duration(settings.stuck_after):
        raise SettingsError(f"stuck_after: {settings.stuck_after!r} is not a time; write for example 24h, 30m or 7d")
    if settings.assume_timezone is not None:
        try:
            zone(settings.assume_timezone)
        except ValueError as error:
            raise SettingsError(f"assume_timezone: {error}") from error
    if settings.max_group > settings.max_queue:
        raise SettingsError("max_group: it cannot be larger than max_queue")
    if settings.max_body > settings.max_group:
        raise SettingsError("max_body: it cannot be larger than max_group, since a commit holds whole batches")
    url = settings.public_url
    if url is not None and not url.startswith(("http://", "https://")):
        raise SettingsError(f"public_url: {url!r} does not begin with https:// or http://")
    if url is not None and (not url.isprintable() or " " in url):
        raise SettingsError(f"public_url: {url!a} holds a space or a character that cannot be printed")


def default_config(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The settings file that `HOOKLAB_CONFIG` names, if it names one."""
    named = environment.get("HOOKLAB_CONFIG")
    return Path(named) if named else None
