"""Settings: where they come from, which one wins, and what is said of a wrong one."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hooklab.config import Settings, SettingsError, default_config, load_settings, split_bind
from hooklab.config import load as load_all
from hooklab.layered.about import known
from hooklab.layered.written import assigned, default_in_words
from hooklab.projection import InForce, settle
from hooklab.times import parse_duration


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


def test_the_words_for_what_is_not_set_are_true() -> None:
    """What `hooklab config` says of an unset setting is what a new store is made with."""
    words = {name: default_in_words(one) for name, one in known(Settings).items()}
    in_force = settle({}, load(), anew=False)
    assert in_force.stuck_after == parse_duration(words["stuck_after"])
    for name, value in (
        ("assume_timezone", in_force.assume_timezone),
        ("max_elements", in_force.max_elements),
        ("sent_at_key", in_force.sent_at_key or "none"),
    ):
        assert words[name] == f"what the store was made with, or {value}"


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
    ("max_body", "much", "'much' is not a whole number from 1024 to 536870912, in bytes"),
    ("max_body", "1", "1024"),
    ("max_body", str(9 * 2**20), "max_group"),
    ("max_group", str(64 * 2**20), "max_queue"),
    ("max_elements", "0", "from 1 to 1000000"),
    ("max_fields", "3.5", "a whole number"),
    ("body_timeout", "0", "a number above 0 up to 3600, in seconds"),
    ("body_timeout", "nan", "above 0"),
    ("body_timeout", "inf", "3600"),
    ("theme", "pink", "one of dark, light or terminal"),
    ("data_dir", "~no-such-user-here/x", "not a path"),
]


@pytest.mark.parametrize(("name", "value", "help_"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_source(name: str, value: str, help_: str, tmp_path: Path) -> None:
    """A message names the setting, where it stands and what would be right, in the spelling of that place."""
    file = toml(tmp_path, f"\n# a comment\n{name} = {msgspec.json.encode(value).decode()}")
    variable, option = f"HOOKLAB_{name.upper()}", f"--{name.replace('_', '-')}"
    layers: list[tuple[Callable[[], Settings], str, str]] = [
        (lambda: load({name: value}), option, f"write for example {option} "),
        (lambda: load(environment={variable: value}), variable, f"write for example {variable}="),
        (lambda: load(file=file), f"{file}, line 3", f"write for example {name} = "),
    ]
    for settings, source, example in layers:
        with pytest.raises(SettingsError) as caught:
            settings()
        assert str(caught.value).startswith(f"{name} ({source}): ")
        assert help_ in str(caught.value)
        assert example in str(caught.value) or "cannot be larger" in str(caught.value)


def test_of_two_that_do_not_agree_the_one_that_was_set_is_named() -> None:
    """Nobody knows of a default: max_body is not blamed where only max_group was set."""
    with pytest.raises(SettingsError) as caught:
        load(environment={"HOOKLAB_MAX_GROUP": "2000"})
    assert str(caught.value).startswith("max_group (HOOKLAB_MAX_GROUP): max_body (4194304) cannot be larger than")


@pytest.mark.parametrize("name", sorted(known(Settings)))
def test_every_example_is_right(name: str, tmp_path: Path) -> None:
    """What an error proposes is taken, in each of the three spellings, and is not what holds anyway."""
    one = known(Settings)[name]
    settings = load(file=toml(tmp_path, assigned(one, one.about.example, "file")))
    variable, _, text = assigned(one, one.about.example, "environment").partition("=")
    option, text_of_option = shlex.split(assigned(one, one.about.example, "option"))
    assert settings == load(environment={variable: shlex.split(text)[0]})
    assert settings == load({option.removeprefix("--").replace("-", "_"): text_of_option})
    assert name == "bind" or getattr(settings, name) != getattr(load(), name)


@pytest.mark.parametrize(
    "line",
    [
        "data_dir = 5",
        "token_file = true",
        "token = 12345678",
        "token = ''",
        "bind = 8080",
        "max_body = true",
        "max_body = [1]",
        "max_body = 1e400",
        "max_body = 2026-11-22",
        "token_file = ''",
        'token_file = "a\\u0000"',
        "stuck_after = 24",
        "bind = {host = 'x'}",
    ],
)
def test_a_value_of_the_wrong_type_is_named(line: str, tmp_path: Path) -> None:
    """A TOML value of another type is an error in words and never a traceback; a token is never shown."""
    name = line.split(" ", 1)[0]
    file = toml(tmp_path, line)
    with pytest.raises(SettingsError) as caught:
        load(file=file)
    assert str(caught.value).startswith(f"{name} ({file}, line 1): ")
    assert "12345678" not in str(caught.value)


WRONG_NAMES = [
    ("bnid", "bind", '"127.0.0.1:8080"'),
    ("max-body", "max_body", "1048576"),
    ("Max_Body", "max_body", "1048576"),
    ("maxbody", "max_body", "1048576"),
    ("timezone", "assume_timezone", '"Europe/Lisbon"'),
]


@pytest.mark.parametrize(("name", "near", "example"), WRONG_NAMES)
def test_a_wrong_name_gets_the_nearest_right_one(name: str, near: str, example: str, tmp_path: Path) -> None:
    """A typing mistake, a hyphen or another case in the file is refused with its line and what was meant."""
    file = toml(tmp_path, f"theme = 'dark'\n\n{name} = 1")
    with pytest.raises(SettingsError) as caught:
        load(file=file)
    said = f"there is no setting called '{name}'; the nearest is {near}, write for example {near} = {example}"
    assert str(caught.value) == f"{file}, line 3: {said}"


def test_a_wrong_variable_gets_the_nearest_right_one() -> None:
    """It is named as it is, with the variable that was meant; one in another case is none of ours."""
    for wrong in ("HOOKLAB_MAX_BDY", "HOOKLAB_max_body", "HOOKLAB_MAXBODY"):
        with pytest.raises(SettingsError) as caught:
            load(environment={wrong: "5"})
        assert str(caught.value).startswith(f"{wrong}: there is no setting called ")
        assert "the nearest is max_body, write for example HOOKLAB_MAX_BODY=1048576" in str(caught.value)


def test_a_name_that_resembles_nothing_is_refused_with_a_way_on(tmp_path: Path) -> None:
    """Where nothing is near, it is said where all names are; settings in a table are told to stand in none."""
    with pytest.raises(SettingsError, match="`hooklab config --example` shows all"):
        load(file=toml(tmp_path, "colour = 'red'"))
    with pytest.raises(SettingsError, match=r"line 2: there is no setting called 'server': .* no \[table\]"):
        load(file=toml(tmp_path, "theme = 'dark'\n[server]\nbind = 'x'"))
    with pytest.raises(SettingsError, match=r"--colour: there is no setting called 'colour'"):
        load({"colour": "red"})


def test_a_wrong_value_that_a_later_layer_overrides_does_no_harm(tmp_path: Path) -> None:
    """Only the settings in force are judged."""
    file = toml(tmp_path, 'bind = "nowhere"')
    assert load({"bind": "127.0.0.1:0"}, file=file).host_and_port() == ("127.0.0.1", 0)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file that is missing, a folder, too large, not UTF-8 or not TOML is an error that names it and the line."""
    missing = tmp_path / "missing.toml"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'# x\ntoken = "\xe9"')
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 2**20 + b"\n")
    deep = tmp_path / "deep.toml"
    deep.write_text(f"bind = {'[' * 5000}")
    broken = toml(tmp_path, "# x\nbind = x\n")
    for path, said in (
        (missing, "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, "cannot be read: line 2 is not UTF-8"),
        (huge, "cannot be read: it is larger than 1 MiB"),
        (deep, "is not TOML"),
        (broken, r", line 2 is not TOML: Invalid value \(column 8\)"),
    ):
        with pytest.raises(SettingsError, match=said) as caught:
            load(file=path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", ["0x" + "9" * 5000, "[0x" + "9" * 5000 + "]", "0b" + "1" * 20_000])
def test_a_number_that_cannot_be_written_is_refused_in_words(value: str, tmp_path: Path) -> None:
    """Python reads hexadecimal digits in any number, and writes no number of so many."""
    with pytest.raises(SettingsError, match=r"max_body .*is not") as caught:
        load({}, {}, toml(tmp_path, f"max_body = {value}\n"))
    assert len(str(caught.value)) < 500


def test_it_is_known_where_each_value_came_from(tmp_path: Path) -> None:
    """The file with its line, the variable, the option; what nobody set is the default."""
    file = toml(tmp_path, 'theme = "light"\nbind = "127.0.0.1:1"\n\nmax_head = 2048\n')
    loaded = load_all({"max_fields": 9}, {"HOOKLAB_BIND": "127.0.0.1:2"}, file)
    says = {
        name: loaded.source(name).says for name in ("theme", "bind", "max_head", "max_fields", "token", "data_dir")
    }
    assert says == {
        "theme": f"{file}, line 1",
        "bind": "HOOKLAB_BIND",
        "max_head": f"{file}, line 4",
        "max_fields": "--max-fields",
        "token": "default",
        "data_dir": "default",
    }


TEXTS = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "Nd"]), max_size=5),
    st.sampled_from(["0", "1e400", "null", "~x", "-1", "9" * 5000, "127.0.0.1:1", "24h", "a,b", "nan", "https://x"]),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(), st.booleans(), st.none(), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)
NAMES = st.one_of(st.sampled_from(sorted(known(Settings))), st.text(max_size=5))


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES.map(str.upper), TEXTS, max_size=4))
@hypothesis_settings(deadline=None)
def test_any_value_is_a_setting_or_refused(flags: dict[str, Any], variables: dict[str, str]) -> None:
    """Whatever stands in the environment and on the command line: settings, or an error in words."""
    outcome = loaded_or_refused(flags, {f"HOOKLAB_{name}": value for name, value in variables.items()})
    assert outcome if isinstance(outcome, str) else outcome.host_and_port()


def loaded_or_refused(flags: dict[str, Any], environment: dict[str, str], file: Path | None = None) -> Settings | str:
    """The settings, or the text of the error; any other error is a fault."""
    try:
        return load(flags, environment, file)
    except SettingsError as error:
        return str(error)


LINES = st.one_of(
    st.tuples(NAMES, VALUES).map(lambda pair: f"{pair[0]} = {json.dumps(pair[1], default=str)}".encode()),
    st.tuples(NAMES, TEXTS).map(lambda pair: f"{pair[0]} = {pair[1]}".encode(errors="surrogatepass")),
    st.binary(max_size=30),
)


@given(st.one_of(st.binary(), st.lists(LINES).map(b"\n".join)))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_settings_or_refused(tmp_path: Path, data: bytes) -> None:
    """Whatever bytes are in the file: settings, or an error in words that names the file."""
    path = tmp_path / "any.toml"
    path.write_bytes(data)
    outcome = loaded_or_refused({}, {}, path)
    assert isinstance(outcome, Settings) or str(path) in outcome


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
