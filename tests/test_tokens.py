"""The tokens' file, the names, and the commands that change them."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RunningService, hooklab, json_lines_of, json_of

from hooklab.files import FolderError
from hooklab.tokens import (
    MOST,
    Token,
    TokenError,
    keep_tokens,
    parse_tokens,
    read_or_make_tokens,
    read_tokens,
    with_new,
    without,
)

SECRET = "abcdefghijklmnopqrstuvwxyz012345"
DAY = "2026-11-30T10:00:00Z"


def token(name: str = "first", secret: str = SECRET) -> Token:
    return Token(secret=secret, name=name)


def test_a_file_of_before_is_one_token() -> None:
    """A lone secret, as every hooklab wrote it so far, is the token `first`; so it is written again."""
    assert parse_tokens(f"{SECRET}\n") == [token()]


def test_a_lone_first_token_is_written_as_before(tmp_path: Path) -> None:
    """An older hooklab reads what the first start makes."""
    (made,) = read_or_make_tokens(tmp_path / "token")
    assert (tmp_path / "token").read_text() == f"{made.secret}\n"
    assert len(made.secret) == 32
    assert read_or_make_tokens(tmp_path / "token") == [made]


def test_lines_are_tokens_in_their_order() -> None:
    """Names and times are kept; comments and empty lines mean nothing."""
    text = f"# the old one\n{SECRET} arpoone\n\n  other_secret  arpoone-2 {DAY}\n"
    assert parse_tokens(text) == [token("arpoone"), Token(secret="other_secret", name="arpoone-2", made=DAY)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a/b", "line 1: a token is made of"),
        ("good a\nbad! b", "line 2: a token is made of"),
        ("good Name", "line 1: a token's name"),
        ("one a b c", "line 1: a line is a secret, its name"),
        ("same a\nsame b", "line 2: it has the secret or the name"),
        ("one a\ntwo a", "line 2: it has the secret or the name"),
        ("\n".join(f"s{number} n{number}" for number in range(MOST + 1)), "more than 16"),
    ],
)
def test_what_is_no_token_is_named_by_its_line(text: str, says: str) -> None:
    """The error says which line and never what is in it."""
    with pytest.raises(TokenError) as error:
        parse_tokens(text)
    assert says in str(error.value)
    assert "good" not in str(error.value)
    assert "bad!" not in str(error.value)


@given(st.text(max_size=200))
def test_any_text_is_tokens_or_an_error(text: str) -> None:
    """Whatever stands in the file, it is read or refused."""
    try:
        found = parse_tokens(text)
    except TokenError:
        return
    assert len({one.secret for one in found}) == len(found)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """Whatever the umask, the file is its owner's alone."""
    tokens = with_new(with_new([token()], "arpoone", DAY), None, DAY)
    keep_tokens(tmp_path / "token", tokens)
    assert read_tokens(tmp_path / "token") == tokens
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [one.name for one in tokens] == ["first", "arpoone", "2"]
    assert len({one.secret for one in tokens}) == 3


@pytest.mark.parametrize("name", ["", "UPPER", "a" * 33, "-x", "a b", "ä", "first"])
def test_a_name_that_cannot_be_used_makes_nothing(name: str) -> None:
    """Nor does one that is taken."""
    with pytest.raises(TokenError):
        with_new([token()], name, DAY)


def test_there_is_an_end_of_tokens() -> None:
    """Each request is compared with all of them."""
    tokens = [token()]
    while len(tokens) < MOST:
        tokens = with_new(tokens, None, DAY)
    with pytest.raises(TokenError, match="revoke one first"):
        with_new(tokens, None, DAY)


def test_the_last_one_stays() -> None:
    """Without a token nothing could be received."""
    assert without([token("a", "1"), token("b", "2")], "a") == [token("b", "2")]
    with pytest.raises(TokenError, match="it is the only one"):
        without([token()], "first")
    with pytest.raises(TokenError, match="there is: first"):
        without([token()], "second")


@pytest.mark.parametrize("content", [b"", b"\n# nothing\n", b"\xff\xfe", b"a" * 70_000, b"two words more yes"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is not made anew: the hook URL would silently be another."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(FolderError, match="delete it to get a new hook URL"):
        read_or_make_tokens(tmp_path / "token")


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "0.0.0.0:0"])
def test_a_service_without_a_token_does_not_start(tmp_path: Path, bind: str) -> None:
    """Whatever the address: an emptied file opens no door, and a named one that is missing is not made."""
    empty = tmp_path / "empty"
    empty.touch()
    for file, says in ((empty, b"holds no token"), (tmp_path / "missing", b"is not there")):
        ended = hooklab("serve", "--bind", bind, "--token-file", file, data_dir=tmp_path / "data")
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert says in ended.stderr
        assert ended.stderr.count(b"\n") == 1


class Kept(RunningService):
    """A service with the tokens of its folder's file."""

    def command(self) -> list[str]:
        whole = super().command()
        at = whole.index("--token")
        return [*whole[:at], *whole[at + 2 :]]

    def post_with(self, url: str) -> int:
        self.path = "/" + url.removeprefix("http://").partition("/")[2]
        return self.post(b"[]")[0]


def test_a_token_is_changed_while_both_work(tmp_path: Path) -> None:
    """`token new` opens with the new one and the old one, `token revoke` ends the old one, at once and for good."""
    folder = tmp_path / "data"
    with Kept(folder) as service:
        old = service.url
        new = json_of("token", "new", "arpoone-2", data_dir=folder)
        assert new["name"] == "arpoone-2"
        assert [service.post_with(url) for url in (old, new["hook_url"], old)] == [200, 200, 200]
        first, second = json_lines_of("token", "list", data_dir=folder)
        assert (first["name"], first["uses"], first["shown"]) == ("first", 2, False)
        assert (second["name"], second["uses"], second["shown"]) == ("arpoone-2", 1, True)
        assert second["last_used"] is not None
        gone = hooklab("token", "revoke", "first", "--yes", data_dir=folder)
        assert gone.returncode == 0, gone.stderr
        assert [service.post_with(url) for url in (old, new["hook_url"])] == [404, 200]
        assert json_of("stats", data_dir=folder)["refused"] == {"404": 1}
    with Kept(folder) as again:
        assert [again.post_with(url) for url in (old, new["hook_url"])] == [404, 200]


def used(tmp_path: Path) -> Path:
    """A data folder in which a service has run."""
    with Kept(tmp_path / "data"):
        return tmp_path / "data"


def test_where_no_service_looks_no_token_is_made(tmp_path: Path) -> None:
    """On a server whose data lie elsewhere a new token would open nothing: no folder is made, exit 1."""
    for arguments in (("new",), ("list",), ("revoke", "first", "--yes")):
        ended = hooklab("token", *arguments, data_dir=tmp_path / "data")
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert b"there is no hooklab data in" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_secret_is_printed_only_when_asked(tmp_path: Path) -> None:
    """`token list` masks; `--reveal` gives hook URLs; `token new` is the moment to copy the new one."""
    folder = used(tmp_path)
    made = hooklab("token", "new", "a", data_dir=folder)
    url = made.stdout.decode().strip()
    secret = url.rpartition("/")[2]
    assert secret.encode() not in made.stderr
    for options in ([], ["--json"]):
        assert secret.encode() not in hooklab("token", "list", *options, data_dir=folder).stdout
    assert json_lines_of("token", "--reveal", data_dir=folder)[-1]["hook_url"] == url
    assert secret.encode() in hooklab("token", "list", "--reveal", data_dir=folder).stdout


def test_tokens_change_without_a_service_too(tmp_path: Path) -> None:
    """The file is what counts; what a command cannot do it says in a line."""
    folder = used(tmp_path)
    for name in ("a", "b"):
        assert hooklab("token", "new", name, data_dir=folder).returncode == 0
    for name in ("first", "a"):
        assert hooklab("token", "revoke", name, "--yes", data_dir=folder).returncode == 0
    assert [row["name"] for row in json_lines_of("token", "list", data_dir=folder)] == ["b"]
    for arguments, says in (
        (("revoke", "b", "--yes"), b"it is the only one"),
        (("revoke", "c", "--yes"), b"there is no token of that name"),
        (("new", "b"), b"already"),
        (("new", "B"), b"a token's name"),
        (("new", "../x"), b"a token's name"),
    ):
        ended = hooklab("token", *arguments, data_dir=folder)
        assert ended.returncode == 1
        assert says in ended.stderr
        assert ended.stderr.count(b"\n") == 1


def test_a_given_token_is_not_changed_by_command(tmp_path: Path) -> None:
    """A service that was started with --token has that one alone, and says so."""
    with RunningService(tmp_path / "data"):
        ended = hooklab("token", "new", data_dir=tmp_path / "data")
        assert ended.returncode == 1
        assert b"started with a token of its own" in ended.stderr
