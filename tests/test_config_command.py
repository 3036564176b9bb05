"""`hooklab config`, and how the command line answers for options that there are not."""

import os
import tomllib
from pathlib import Path

import pytest
from support import hooklab, json_lines_of

from hooklab.config import Settings, load_settings
from hooklab.layered.about import known

SECRET = "a-secret-that-nobody-may-see"
BARE = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLAB_")}


def said(*arguments: str | Path, code: int = 0, **variables: str) -> str:
    """What a command prints, or the one line on stderr where it fails."""
    done = hooklab(*arguments, env={**BARE, **variables})
    assert done.returncode == code, done
    assert (done.stderr if code == 0 else done.stdout) == b""
    text = (done.stdout if code == 0 else done.stderr).decode()
    assert code == 0 or text.count("\n") == 1, text
    return text


def test_each_setting_is_shown_with_its_source(tmp_path: Path) -> None:
    """The value in force, from the file with its line, a variable, an option or by default, and what it is for."""
    file = tmp_path / "hooklab.toml"
    file.write_text("# mine\nmax_body = 1048576\nbind = '127.0.0.1:1'\n")
    text = said("config", "--config", file, "--bind", "127.0.0.1:2", HOOKLAB_MAX_FIELDS="9")
    blocks = {block.split()[0 if block[0] == " " else 1]: block for block in text.split("\n\n")[1:]}
    assert list(blocks) == list(known(Settings))
    assert blocks["max_body"].startswith("* max_body = 1048576 (1 MiB)")
    assert f"{file}, line 2\n" in blocks["max_body"]
    assert "The largest body" in blocks["max_body"]
    assert "Default: 4 MiB." in blocks["max_body"]
    assert blocks["bind"].splitlines()[0].split() == ["bind", "=", '"127.0.0.1:2"', "--bind"]
    assert blocks["max_fields"].splitlines()[0].endswith(" HOOKLAB_MAX_FIELDS")
    assert blocks["theme"].splitlines()[0].endswith(" default")
    assert blocks["assume_timezone"].splitlines()[0].endswith(" the store")
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 80


def test_as_json_it_is_a_line_a_setting(tmp_path: Path) -> None:
    """`name, value, source, default, does, reload`, in the order of the file."""
    rows = {row["name"]: row for row in json_lines_of("config", "--max-body", "2048", data_dir=tmp_path)}
    assert list(rows) == list(known(Settings))
    assert rows["max_body"] == {
        "name": "max_body",
        "value": 2048,
        "source": "--max-body",
        "default": 4 * 2**20,
        "does": known(Settings)["max_body"].about.does,
        "reload": True,
    }
    assert (rows["data_dir"]["value"], rows["data_dir"]["source"]) == (str(tmp_path), "--data-dir")
    assert (rows["stuck_after"]["value"], rows["stuck_after"]["source"]) == (None, "default")
    assert (rows["bind"]["reload"], rows["sent_at_key"]["source"]) == (False, "the store")


def test_the_token_is_shown_to_nobody(tmp_path: Path) -> None:
    """Masked as text and as JSON, and left out of what is said of a wrong one."""
    for arguments in (["config"], ["config", "--json"]):
        text = said(*arguments, HOOKLAB_TOKEN=SECRET)
        assert SECRET not in text
        assert "••••" in text or "\\u2022" in text
    file = tmp_path / "hooklab.toml"
    file.write_text(f"token = ['{SECRET}']")
    refused = said("config", "--config", file, code=2)
    assert f"token ({file}, line 1): the value is not text" in refused
    assert SECRET not in refused


def uncommented(text: str) -> str:
    """An example file with every setting in force."""
    return "\n".join(line[1:] if line.startswith("#") and line[1:2] != " " else line for line in text.splitlines())


def test_the_example_is_a_file_that_works(tmp_path: Path) -> None:
    """As it is it sets nothing; with every # taken away it loads, and what has a default keeps it."""
    text = said("config", "--example", HOOKLAB_BIND="nonsense")
    assert tomllib.loads(text) == {}
    assert max(map(len, text.splitlines())) <= 80
    file = tmp_path / "hooklab.toml"
    file.write_text(uncommented(text))
    assert set(tomllib.loads(file.read_text())) == set(known(Settings))
    loaded, default = load_settings({}, {}, file), load_settings({}, {})
    for name, one in known(Settings).items():
        if one.default not in (None, ()) and name != "data_dir":
            assert getattr(loaded, name) == getattr(default, name)
    assert said("config", "--config", file)


def test_help_names_each_setting_and_its_default() -> None:
    """The options come from the settings, with what they are for and what holds without them."""
    text = " ".join(said("serve", "--help", COLUMNS="80").split())
    for one in known(Settings).values():
        assert f"{one.option} {one.about.unit} " in text
    assert "(default 4 MiB)" in text
    assert "(default: 24h)" in text
    assert "below 10 % if" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bnid", "127.0.0.1:1"], "there is no option --bnid; the nearest is --bind (see hooklab --help)"),
        (["--bnid=1", "serve"], "there is no option --bnid; the nearest is --bind (see hooklab --help)"),
        (
            ["serve", "--max_body", "5"],
            "there is no option --max_body; the nearest is --max-body (see hooklab serve ",
        ),
        (
            ["--data-dir", "x", "stats", "--jsn"],
            "there is no option --jsn; the nearest is --json (see hooklab stats ",
        ),
        (["quarantine", "--limt", "5", "list"], "there is no option --limt; the nearest is --limit (see "),
        (["show", "x", "--zzzz"], "there is no option --zzzz (see hooklab show --help)"),
        (["--json", "stats"], "there is no option --json (see hooklab --help)"),
    ],
)
def test_an_unknown_option_gets_the_nearest_right_one(arguments: list[str], says: str) -> None:
    """Of the command it was given to; an unknown one's value is not taken for a command."""
    assert said(*arguments, code=2).startswith(f"hooklab: {says}")


def test_what_could_be_options_is_left_alone(tmp_path: Path) -> None:
    """Beginnings of options, what comes after --, and a lone - stay what they are."""
    assert '"value":2048' in said("config", "--max-bod=2048", "--js")
    assert "--bnid" in said("send", "--url", "http://127.0.0.1:1/hooks/x", "--", "--bnid", code=1)


def test_a_broken_file_is_told_by_every_command(tmp_path: Path) -> None:
    """One line with file, line, the nearest name and an example; nothing is printed before it."""
    file = tmp_path / "hooklab.toml"
    file.write_text("bind = '127.0.0.1:0'\n\nmax-body = 5\n")
    text = said("config", "--config", file, code=2)
    near = "the nearest is max_body, write for example max_body = 1048576"
    assert text == f"hooklab: {file}, line 3: there is no setting called 'max-body'; {near}\n"
    assert said("config", HOOKLAB_CONFIG=str(file), code=2) == text


def test_the_readme_names_every_setting() -> None:
    """Those there are, in their order, and the error as it is."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    section = " ".join(readme.partition("\n## Settings\n")[2].partition("\n## ")[0].split())
    assert f"There are {', '.join(f'`{name}`' for name in known(Settings))}." in section
    assert "the nearest is max_body, write for example max_body = 1048576" in section
