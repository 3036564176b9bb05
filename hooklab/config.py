"""Settings: frozen, checked, from a TOML file, `HOOKLAB_*` and flags, in that order (later ones win).

A new setting is a field of `Settings` with its `About`: `hooklab config`, the options and their help, the README's
list and every error come from there. Lists are tuples, paths `Path`; see `hooklab.layered`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import platformdirs
from msgspec import Meta, Struct
from msgspec.structs import replace

from hooklab.layered.about import About, SettingsError, known
from hooklab.layered.load import Loaded, from_environment, from_file, from_options, settle
from hooklab.networks import Networks
from hooklab.times import parse_duration, zone

__all__ = ["About", "Loaded", "Settings", "SettingsError", "default_config", "load", "load_settings", "split_bind"]

_Bytes = Annotated[int, Meta(ge=1024, le=2**29)]
"""SQLite takes no value of a gigabyte or more."""
_Seconds = Annotated[float, Meta(gt=0, le=3600)]
_Elements = Annotated[int, Meta(ge=1, le=1_000_000)]
DEFAULT_ELEMENTS: Final = 10_000
"""Of a store that was made with no `max_elements`."""
_OWN_VARIABLES: Final = frozenset({"HOOKLAB_CONFIG", "HOOKLAB_TRACEBACK"})
_REBUILD: Final = "`hooklab rebuild`"
_STORED: Final = "what the store was made with, or"
"""A new store takes these settings, an old one keeps them: `hooklab.projection` says why."""


def split_bind(bind: str) -> tuple[str, int]:
    """HOST:PORT or [IPv6]:PORT taken apart.

    Raises:
        SettingsError: it is neither.
    """
    host, colon, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise SettingsError(f"{bind!r} is not HOST:PORT or [IPv6]:PORT")
    return host, int(port)


def _check_token(token: str) -> None:
    if not token:
        raise ValueError("it is empty; leave it out to have one made")


def _check_network(text: str) -> None:
    Networks([text])


def _check_duration(text: str) -> None:
    if not parse_duration(text):
        raise ValueError(f"{text!r} is not a time such as 24h, 30m or 7d")


def _check_url(url: str) -> None:
    # It is shown in settings, logs and on the screen, where nobody looks for a secret in it. Not quoted, hence.
    if "@" in url.partition("://")[2].partition("/")[0] or re.search("/hooks/.", url):
        raise ValueError("it holds a token, or a user and password, which are not part of it")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} does not begin with https:// or http://")
    if not url.isprintable() or " " in url:
        raise ValueError(f"{url!a} holds a space or a character that cannot be printed")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set. Sizes are bytes, times seconds unless said otherwise."""

    data_dir: Annotated[
        Path,
        About("the data folder", "/var/lib/hooklab", "DIR", "hooklab's folder in the user's data directory"),
    ] = Path()
    bind: Annotated[
        str,
        About("the address to listen on; port 0 takes a free one", "127.0.0.1:8080", "HOST:PORT", check=split_bind),
    ] = "127.0.0.1:8080"
    token: Annotated[
        str | None,
        About(
            "the secret in the hook URL; for trials, a service keeps it in a file",
            "replace-me-by-32-random-letters",
            "TOKEN",
            "made once, kept in token_file",
            secret=True,
            check=_check_token,
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        About("the file that holds the token", "/etc/hooklab/token", "FILE", "the file token in the data folder"),
    ] = None
    public_url: Annotated[
        str | None,
        About(
            "the address as the provider sees it, without /hooks",
            "https://hooks.example.com",
            "URL",
            "the address listened on",
            reload=True,
            check=_check_url,
        ),
    ] = None
    stuck_after: Annotated[
        str | None,
        About(
            "a pending message with nothing new for longer than this is stuck",
            "36h",
            "TIME",
            "24h",
            reload=True,
            check=_check_duration,
        ),
    ] = None
    assume_timezone: Annotated[
        str | None,
        About(
            "the zone of reported times that name none",
            "Europe/Lisbon",
            "ZONE",
            f"{_STORED} UTC",
            needs=_REBUILD,
            check=zone,
        ),
    ] = None
    theme: Annotated[
        Literal["dark", "light", "terminal"],
        About("the screen's colours, where there are 256 or more; terminal leaves them to it", "light", "NAME"),
    ] = "dark"
    log_format: Annotated[
        Literal["auto", "text", "json"],
        About("what the log is written in; auto is text on a terminal and in hooklab.log, else JSON", "text", "NAME"),
    ] = "auto"
    sent_at_key: Annotated[
        str | None,
        About(
            "the key in a JSON custom payload of yours that tells when you sent the message, dots between keys of"
            " nested objects, empty for none",
            "meta.sent_at",
            "KEY",
            f"{_STORED} none",
            needs=_REBUILD,
        ),
    ] = None
    max_body: Annotated[
        _Bytes, About("the largest body; a larger one is answered 413", 1024 * 1024, "BYTES", reload=True)
    ] = 4 * 1024 * 1024
    max_elements: Annotated[
        _Elements | None,
        About(
            "elements of one array that are judged; what lies beyond is kept in quarantine",
            20_000,
            "N",
            f"{_STORED} 10000",
            needs=_REBUILD,
        ),
    ] = None
    max_head: Annotated[
        _Bytes, About("the largest header block; a larger one is answered 431", 32 * 1024, "BYTES", reload=True)
    ] = 16 * 1024
    max_fields: Annotated[
        Annotated[int, Meta(ge=8, le=10_000)],
        About("the most header fields; more are answered 431", 200, "N", reload=True),
    ] = 100
    head_timeout: Annotated[
        _Seconds, About("the time for a request's head; a slower one is answered 408", 20, "SECONDS", reload=True)
    ] = 10.0
    body_timeout: Annotated[
        _Seconds, About("the time for a request's body; a slower one is answered 408", 60, "SECONDS", reload=True)
    ] = 30.0
    idle_timeout: Annotated[
        _Seconds, About("how long a connection without a request stays open", 30, "SECONDS", reload=True)
    ] = 60.0
    allow: Annotated[
        tuple[str, ...],
        About(
            "networks that may post, beside the token and not for it",
            ["203.0.113.0/24"],
            "NETWORK",
            "every address",
            reload=True,
            check=_check_network,
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        About(
            "networks of the proxies whose X-Forwarded-For says who asks",
            ["127.0.0.1"],
            "NETWORK",
            "none",
            reload=True,
            check=_check_network,
        ),
    ] = ()
    tls_certificate: Annotated[
        Path | None,
        About(
            "a certificate in PEM, with those that it hangs on; with it https is spoken and no http",
            "/etc/hooklab/fullchain.pem",
            "FILE",
            "no TLS",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        About("the key of the certificate", "/etc/hooklab/privkey.pem", "FILE", "in the certificate's file"),
    ] = None
    max_connections: Annotated[
        Annotated[int, Meta(ge=8, le=60_000)] | None,
        About(
            "open connections, all together; one that only waits gives way to a new one",
            1000,
            "N",
            "4096, or what the limit of open files has room for",
        ),
    ] = None
    max_connections_per_peer: Annotated[
        Annotated[int, Meta(ge=1, le=60_000)],
        About(
            "open connections of one address; this machine's own and trusted proxies have no such limit",
            50,
            "N",
            reload=True,
        ),
    ] = 100
    # What is admitted has to be written before the next, so that this bounds how long an answer waits under overload.
    # Measured with 64 MiB and 320 connections of 1000 reports: a third of the answers, two and a half times the p99.
    max_receiving: Annotated[
        _Bytes,
        About(
            "bodies in memory until they are answered, all connections together; beyond it the answer is 503",
            64 * 1024 * 1024,
            "BYTES",
            reload=True,
        ),
    ] = 32 * 1024 * 1024
    max_queue: Annotated[
        _Bytes,
        About(
            "batches waiting for their commit; beyond it the answer is 503", 64 * 1024 * 1024, "BYTES", reload=True
        ),
    ] = 32 * 1024 * 1024
    max_group: Annotated[_Bytes, About("batches in one commit", 16 * 1024 * 1024, "BYTES", reload=True)] = (
        8 * 1024 * 1024
    )
    commit_timeout: Annotated[
        _Seconds,
        About(
            "a commit slower than this is answered 503; a provider gives up at about 10 s", 5, "SECONDS", reload=True
        ),
    ] = 8.0
    disk_reserve: Annotated[
        Annotated[int, Meta(ge=0, le=2**50)],
        About(
            "the free disk below which, or below 10 % if that is less, the answer is 503",
            1024 * 1024 * 1024,
            "BYTES",
            reload=True,
        ),
    ] = 256 * 1024 * 1024

    def host_and_port(self) -> tuple[str, int]:
        """`bind` taken apart; an IPv6 host is written in brackets."""
        return split_bind(self.bind)


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Loaded[Settings]:
    """The settings in force and where they came from: defaults, the file, `HOOKLAB_*`, flags that are not None.

    Raises:
        SettingsError: a value or a name is wrong, or the file cannot be read.
    """
    settings = known(Settings)
    layers = [
        from_file(file, settings) if file else {},
        from_environment(environment, settings, _OWN_VARIABLES),
        from_options(flags, settings),
    ]
    if not any(layer["data_dir"].value for layer in layers if "data_dir" in layer):
        for layer in layers:
            layer.pop("data_dir", None)
    loaded = settle(Settings, *layers)
    _check_together(loaded)
    if "data_dir" in loaded.sources:
        return loaded
    try:
        folder = platformdirs.user_data_path("hooklab")
    except RuntimeError as error:  # as of a number that a container was told to run as
        wanted = "name a data folder with --data-dir DIR or HOOKLAB_DATA_DIR"
        raise SettingsError(f"data_dir: this user has no home folder; {wanted}") from error
    return Loaded(replace(loaded.settings, data_dir=folder), loaded.sources)


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """The settings in force; see `load`."""
    return load(flags, environment, config_file).settings


def _check_together(loaded: Loaded[Settings]) -> None:
    """What is right by itself may still be at odds with another."""
    for smaller, larger, why in (
        ("max_group", "max_queue", "a commit is taken from what waits"),
        ("max_body", "max_group", "a commit holds whole batches"),
    ):
        less, more = getattr(loaded.settings, smaller), getattr(loaded.settings, larger)
        if less > more:
            # Whichever was set is to be named: the other may be a default that nobody knows of.
            name = smaller if smaller in loaded.sources or larger not in loaded.sources else larger
            what = f"{smaller} ({less}) cannot be larger than {larger} ({more}), since {why}"
            raise SettingsError(f"{name} ({loaded.source(name).says}): {what}")


def default_config(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The settings file that `HOOKLAB_CONFIG` names, if it names one."""
    named = environment.get("HOOKLAB_CONFIG")
    return Path(named) if named else None
