"""What a setting of any kind may be: lists, paths, limits and checks, and the line where a key stands."""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from hooklab.layered.about import About, SettingsError, known
from hooklab.layered.lines import lines_of
from hooklab.layered.load import Loaded, from_environment, from_file, from_options, settle
from hooklab.layered.written import assigned, default_in_words, nearest, sized, toml


class Door(Struct, frozen=True, kw_only=True):
    """Settings as the door of a service has them."""

    allow: Annotated[
        tuple[str, ...],
        About("networks that may post", ("10.0.0.0/8",), "NETWORKS", "all", reload=True, check=ipaddress.ip_network),
    ] = ()
    keys: Annotated[tuple[Path, ...], About("files", ("/etc/key.pem",), "FILES", "none")] = ()
    key: Annotated[Path | None, About("a file", "/etc/key.pem", "FILE", "none")] = None
    caps: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], About("caps", (5, 10), "N")] = (1,)
    most: Annotated[Annotated[int, Meta(ge=1)], About("connections", 64, "N")] = 256
    plain: Annotated[bool, About("whether without TLS", True, "BOOL")] = False


def of_toml(folder: Path, text: str) -> Loaded[Door]:
    """The settings of a file."""
    path = folder / "door.toml"
    path.write_text(text)
    return settle(Door, from_file(path, known(Door)))


def of_environment(**variables: str) -> Loaded[Door]:
    """The settings of variables."""
    return settle(
        Door, from_environment({f"HOOKLAB_{one}": value for one, value in variables.items()}, known(Door), ())
    )


def of_options(**options: Any) -> Loaded[Door]:
    """The settings of options."""
    return settle(Door, from_options(options, known(Door)))


def test_a_list_is_one_in_every_layer(tmp_path: Path) -> None:
    """A TOML list; commas in a variable and in an option, which may also be given more than once."""
    wanted = ("10.0.0.0/8", "fd00::/8")
    for loaded in (
        of_toml(tmp_path, 'allow = ["10.0.0.0/8", "fd00::/8"]'),
        of_environment(ALLOW="10.0.0.0/8, fd00::/8,"),
        of_options(allow=["10.0.0.0/8,fd00::/8"]),
        of_options(allow=["10.0.0.0/8", "fd00::/8"]),
        of_options(allow="10.0.0.0/8,fd00::/8"),
    ):
        assert loaded.settings.allow == wanted
    assert of_environment(CAPS="3,4").settings.caps == (3, 4)
    assert of_toml(tmp_path, "allow = []").settings.allow == ()
    assert of_options().settings.caps == (1,)


def test_paths_know_the_home_folder_also_in_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded, and a relative path is below the current folder, from every layer."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    wanted = (tmp_path / "home" / "a", tmp_path / "b")
    assert of_toml(tmp_path, 'keys = ["~/a", "b"]').settings.keys == wanted
    assert of_environment(KEYS="~/a,b", KEY="~/a").settings == Door(keys=wanted, key=wanted[0])
    assert of_options(keys=["~/a", Path("b")], key=Path("b")).settings == Door(keys=wanted, key=wanted[1])


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("allow", '"10.0.0.0/8"', "'10.0.0.0/8' is not a list, each of it text"),
        ("allow", '["10.0.0.0/8", 5]', "is not a list, each of it text"),
        ("allow", '["10.0.0.1/8"]', "10.0.0.1/8 has host bits set"),
        ("keys", '["a", ""]', "it is empty"),
        ("keys", "[1]", "is not a list, each of it a path"),
        ("caps", "[1, 0]", "[1, 0] is not a list, each of it a whole number of at least 1"),
        ("most", "0", "0 is not a whole number of at least 1"),
        ("plain", "'maybe'", "'maybe' is not true or false"),
    ],
)
def test_a_wrong_part_of_a_list_is_refused(name: str, text: str, says: str, tmp_path: Path) -> None:
    """What is wrong, on which line, and a list that is right."""
    with pytest.raises(SettingsError) as caught:
        of_toml(tmp_path, f"\n{name} = {text}")
    one = known(Door)[name]
    assert str(caught.value).startswith(f"{name} ({tmp_path / 'door.toml'}, line 2): ")
    assert says in str(caught.value)
    assert str(caught.value).endswith(f"; write for example {assigned(one, one.about.example, 'file')}")


def test_lists_and_flags_are_written_as_each_place_has_them() -> None:
    """The example of an error can be copied to where the error is."""
    one = known(Door)["allow"]
    assert assigned(one, ("a b", "c"), "file") == 'allow = ["a b", "c"]'
    assert assigned(one, ("a b", "c"), "environment") == "HOOKLAB_ALLOW='a b,c'"
    assert assigned(one, ("a b", "c"), "option") == "--allow 'a b,c'"
    assert [default_in_words(known(Door)[name]) for name in ("allow", "caps", "plain")] == ["all", "1", "false"]
    assert [sized(number) for number in (0, 1023, 1024, 1536, 2**20, 2**30)] == [
        "0 bytes",
        "1,023 bytes",
        "1 KiB",
        "1,536 bytes",
        "1 MiB",
        "1 GiB",
    ]
    assert nearest("alow", ["allow", "most"]) == "allow"
    assert nearest("zzz", ["allow", "most"]) is None


def test_a_setting_without_words_is_none() -> None:
    """Whoever adds a setting has to say what it is for."""

    class Bare(Struct):
        bare: int = 1

    with pytest.raises(TypeError, match="bare"):
        known(Bare)


@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.integers(),
        st.booleans(),
        st.lists(st.text('aä"\\\n\x7f\t')),
    )
)
def test_what_is_written_is_read_again(value: Any) -> None:
    """A value that is shown as TOML means itself."""
    assert tomllib.loads(f"a = {toml(value)}")["a"] == value


DOCUMENT = '''# bind = 0
"max-body" = 1
a.b.c = 2  # bind = 0

many = """
bind = 3
[server]
"""
'single' = [
  # bind = 0
  "]",
  4,
]
raw = \'\'\'
bind = "x"\'\'\'
a.d = 5
last = { x = "}\\n" }
  [server.deep]  # [other]
bind = 6
[[listed]]
max-body = 7
[server."other one"]
'''


def test_the_line_of_a_key_is_where_it_begins() -> None:
    """Quoted, dotted, in a table, after strings and lists of many lines that look like settings."""
    wanted = {"max-body": 2, "a": 3, "many": 5, "single": 9, "raw": 14, "last": 17, "server": 18, "listed": 20}
    assert lines_of(DOCUMENT) == wanted
    assert lines_of(DOCUMENT.replace("\n", "\r\n")) == wanted


KEYS = st.sampled_from(["bind", "'bind'", '"max body"', "a.b", "'a'.\"c\"", "x1", "x2.y", "x3", "x4"])
LITERALS = st.sampled_from(
    [
        "1",
        '"x"',
        "[1,\n 2]",
        '"""\nbind = 1\n\n[t]\n"""',
        "'''\n[x1]'''",
        "[\n# bind = 1\n]",
        "{ a = '''\n''' }",
        "1.5",
    ]
)
STATEMENTS = st.one_of(
    st.tuples(KEYS, LITERALS).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(["", "# bind = 1", "  ", "[t]", "[t.u]", "[['l']]", " [ 'v'.w ] # x"]),
)


@given(st.lists(STATEMENTS, max_size=12))
@hypothesis_settings(deadline=None)
def test_lines_agree_with_the_parser(statements: list[str]) -> None:
    """In a sound text the line found for a key is that of the first statement that brings it there."""
    try:
        parsed = tomllib.loads("\n".join(statements))
    except tomllib.TOMLDecodeError:
        return
    first: dict[str, int] = {}
    line = 1
    for at, statement in enumerate(statements):
        for name in tomllib.loads("\n".join(statements[: at + 1])):
            first.setdefault(name, line)
        line += statement.count("\n") + 1
    assert lines_of("\n".join(statements)) == first
    assert set(first) == set(parsed)


def test_a_text_that_would_take_too_long_has_no_lines() -> None:
    """A value of very many lines costs little, and what comes after it has no line rather than a wrong one."""
    text = 'first = 1\nlong = """' + "x\n" * 50_000 + '"""\nlast = 1\n'
    assert lines_of(text) == {"first": 1}
