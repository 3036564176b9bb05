"""Settings: where they come from, which one wins, and what is said of a wrong one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest

from hooklab.config import Settings, SettingsError, default_config, load_settings, split_bind
from hooklab.projection import InForce, settle


def load(
    flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, file: Path | None = None
) -> Settings:
    """`load_settings` with nothing set by default."""
    return load_settings(flags or {}, environment or {}, file)


def toml(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "hooklab.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_those_of_the_design() -> None:
    """Without any setting: loopback, 4 MiB a body, 10,000 elements, 16 KiB and 100 fields of head, stuck at 24 h."""
    settings = load()
    assert settings.data_dir == platformdirs.user_data_path("hooklab")
    assert settings.host_and_port() == ("127.0.0.1", 8080)
    assert settings.max_body == 4 * 2**20
    assert settle({}, settings, anew=False) == InForce("UTC", 24 * 3_600_000_000, 10_000)
    assert (settings.max_head, settings.max_fields) == (16 * 2**10, 100)
    assert (settings.commit_timeout, settings.disk_reserve) == (8.0, 256 * 2**20)
    assert (settings.token, settings.token_file, settings.public_url, settings.assume_timezone) == (None,) * 4


def test_later_layers_win(tmp_path: Path) -> None:
    """The file overrides the defaults, HOOKLAB_* the file, flags all; each sets only what it names."""
    file = toml(tmp_path, 'bind = "1.1.1.1:1"\ntoken = "file"\nstuck_after = "1h"\nmax_fields = 50')
    assert load(file=file).bind == "1.1.1.1:1"
    environment = {"HOOKLAB_BIND": "2.2.2.2:2", "HOOKLAB_TOKEN": "environment"}
    assert load(environment=environment, file=file).bind == "2.2.2.2:2"
    settings = load({"bind": "3.3.3.3:3"}, environment, file)
    assert settings.bind == "3.3.3.3:3"
    assert settings.token == "environment"
    assert settings.stuck_after == "1h"
    assert settings.max_fields == 50
    assert settings.max_head == 16 * 1024


def test_what_is_not_set_overrides_nothing(tmp_path: Path) -> None:
    """A flag that is None and a variable that is empty count as not set; foreign variables are not looked at."""
    file = toml(tmp_path, 'bind = "1.1.1.1:1"')
    environment = {
        "HOOKLAB_BIND": "",
        "BIND": "x",
        "hooklab_bind": "x",
        "HOOKLAB_CONFIG": "/x",
        "HOOKLAB_TRACEBACK": "1",
    }
    assert load({"bind": None, "token": None}, environment, file).bind == "1.1.1.1:1"


def test_text_from_the_environment_becomes_what_the_setting_wants() -> None:
    """Variables are text: numbers, paths and text are made of them; a token of digits stays text."""
    environment = {
        "HOOKLAB_MAX_BODY": "2000000",
        "HOOKLAB_BODY_TIMEOUT": "2.5",
        "HOOKLAB_TOKEN": "12345678",
        "HOOKLAB_DATA_DIR": "/srv/hooklab",
    }
    settings = load(environment=environment)
    assert (settings.max_body, settings.body_timeout) == (2_000_000, 2.5)
    assert settings.token == "12345678"
    assert settings.data_dir == Path("/srv/hooklab")


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder and a relative path is below the current one, once and for all."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    settings = load({"data_dir": Path("data"), "token_file": "~/token"})
    assert settings.data_dir == tmp_path / "data"
    assert settings.token_file == tmp_path / "home" / "token"


def test_settings_cannot_be_changed() -> None:
    """What was loaded stays."""
    settings = load()
    with pytest.raises(AttributeError):
        settings.bind = "x"  # type: ignore[misc]
    assert "bind" in msgspec.structs.asdict(settings)


WRONG_VALUES: list[tuple[str, Any, str]] = [
    ("bind", "8080", "HOST:PORT"),
    ("bind", "localhost", "HOST:PORT"),
    ("bind", ":8080", "HOST:PORT"),
    ("bind", "127.0.0.1:", "HOST:PORT"),
    ("bind", "127.0.0.1:http", "HOST:PORT"),
    ("bind", "127.0.0.1:65536", "HOST:PORT"),
    ("bind", "127.0.0.1:-1", "HOST:PORT"),
    ("bind", "127.0.0.1:\u0661", "HOST:PORT"),
    ("stuck_after", "1y", "24h"),
    ("stuck_after", "24", "24h"),
    ("stuck_after", "0h", "24h"),
    ("assume_timezone", "Lisbon", "Europe/Lisbon"),
    ("assume_timezone", "Europe", "Europe/Lisbon"),
    ("assume_timezone", "../../etc/passwd", "Europe/Lisbon"),
    ("public_url", "hooks.example.com", "https://"),
    ("max_body", "much", "int"),
    ("max_body", "1", "1024"),
    ("max_body", str(9 * 2**20), "max_group"),
    ("max_group", str(64 * 2**20), "max_queue"),
    ("max_elements", "0", "1"),
    ("max_fields", "3.5", "int"),
    ("body_timeout", "0", "0.0"),
    ("body_timeout", "nan", "0.0"),
    ("body_timeout", "inf", "3600"),
    ("data_dir", "~no-such-user-here/x", "not a path"),
]


@pytest.mark.parametrize(("name", "value", "help_"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_source(name: str, value: str, help_: str, tmp_path: Path) -> None:
    """A message names the setting, where it came from and what would be right, whichever layer it is from."""
    file = toml(tmp_path, f"{name} = {msgspec.json.encode(value).decode()}")
    layers: list[tuple[Callable[[], Settings], str]] = [
        (lambda: load({name: value}), "the command line"),
        (lambda: load(environment={f"HOOKLAB_{name.upper()}": value}), "the environment"),
        (lambda: load(file=file), str(file)),
    ]
    for settings, source in layers:
        with pytest.raises(SettingsError) as caught:
            settings()
        assert str(caught.value).startswith(f"{name} ({source}): ")
        assert help_ in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "data_dir = 5",
        "token_file = true",
        "token = 12345678",
        "bind = 8080",
        "max_body = true",
        "max_body = [1]",
        "stuck_after = 24",
    ],
)
def test_a_value_of_the_wrong_type_is_named(line: str, tmp_path: Path) -> None:
    """A TOML value of another type is an error in words and never a traceback."""
    name = line.split(" ", 1)[0]
    file = toml(tmp_path, line)
    with pytest.raises(SettingsError) as caught:
        load(file=file)
    assert str(caught.value).startswith(f"{name} ({file}): ")


def test_a_wrong_name_is_named_with_its_source(tmp_path: Path) -> None:
    """A setting that does not exist is an error, since a typing mistake would else go unseen."""
    file = toml(tmp_path, "[server]\nbind = 'x'")
    layers: list[tuple[Callable[[], Settings], str, str]] = [
        (lambda: load({"bnid": "x"}), "the command line", "bnid"),
        (lambda: load(environment={"HOOKLAB_BNID": "x"}), "the environment", "bnid"),
        (lambda: load(file=file), str(file), "server"),
    ]
    for settings, source, name in layers:
        with pytest.raises(SettingsError) as caught:
            settings()
        assert str(caught.value) == f"{source}: there is no setting called '{name}'"


def test_a_wrong_value_that_a_later_layer_overrides_does_no_harm(tmp_path: Path) -> None:
    """Only the settings in force are judged."""
    file = toml(tmp_path, 'bind = "nowhere"')
    assert load({"bind": "127.0.0.1:0"}, file=file).host_and_port() == ("127.0.0.1", 0)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file that is missing, a folder, not UTF-8 or not TOML is an error that names it."""
    missing = tmp_path / "missing.toml"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'token = "\xe9"')
    broken = toml(tmp_path, "bind = ")
    for path, said in (
        (missing, "cannot be read"),
        (tmp_path, "cannot be read"),
        (latin, "cannot be read"),
        (broken, "not TOML"),
    ):
        with pytest.raises(SettingsError, match=said) as caught:
            load(file=path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "wanted"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:80", ("::", 80)),
    ],
)
def test_addresses(bind: str, wanted: tuple[str, int]) -> None:
    """HOST:PORT, with an IPv6 host in brackets, is taken apart."""
    assert split_bind(bind) == wanted
    assert load({"bind": bind}).host_and_port() == wanted


def test_the_settings_file_may_be_named_by_the_environment() -> None:
    """HOOKLAB_CONFIG names the file; empty or missing means that there is none."""
    assert default_config({"HOOKLAB_CONFIG": "/etc/hooklab.toml"}) == Path("/etc/hooklab.toml")
    assert default_config({"HOOKLAB_CONFIG": ""}) is None
    assert default_config({}) is None


KEPT = {"assume_timezone": "Europe/Lisbon", "stuck_after": "3600000000", "max_elements": "50"}


def test_a_running_service_goes_by_what_its_store_was_made_with(caplog: pytest.LogCaptureFixture) -> None:
    """Zone and element limit stay, with a word about it; stuck_after is the present setting's or the default."""
    asked = load({"assume_timezone": "UTC", "max_elements": 70})
    assert settle(KEPT, asked, anew=False) == InForce("Europe/Lisbon", 24 * 3_600_000_000, 50)
    assert "assume_timezone stays Europe/Lisbon" in caplog.text
    assert "max_elements stays 50" in caplog.text
    assert settle(KEPT, load({"stuck_after": "5m"}), anew=False).stuck_after == 300_000_000


def test_a_rebuild_may_change_all_and_keeps_what_is_not_named() -> None:
    """What the settings name wins; the rest is as it was kept with the old store."""
    assert settle(KEPT, load(), anew=True) == InForce("Europe/Lisbon", 3_600_000_000, 50)
    asked = load({"assume_timezone": "UTC", "max_elements": 70, "stuck_after": "5m"})
    assert settle(KEPT, asked, anew=True) == InForce("UTC", 300_000_000, 70)


def test_the_key_of_the_time_of_sending_changes_with_a_rebuild_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A new store takes it, a kept one keeps its own and says so; a rebuild changes it, and an empty one ends it."""
    asked = load({"sent_at_key": "meta.sent"})
    assert settle({}, asked, anew=False).sent_at_key == "meta.sent"
    assert settle(KEPT, asked, anew=False).sent_at_key == ""
    assert "sent_at_key stays unset" in caplog.text
    kept = settle(KEPT, asked, anew=True).as_kept()
    assert kept["sent_at_key"] == "meta.sent"
    assert settle(kept, load(), anew=True).sent_at_key == "meta.sent"
    assert settle(kept, load({"sent_at_key": ""}), anew=True).sent_at_key == ""
