"""The text of the systemd unit: what stands in it, whatever is wished for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hooklab.unit import MARK, UnitError, Wish, quoted, sysusers_text, unit_text

HOOKLAB = ["/usr/local/bin/hooklab"]


def value_of(text: str, key: str) -> list[str]:
    """The values of a key, in order."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def read_back(word: str) -> str:
    """What systemd makes of one word of a command line, by systemd.service(5) and systemd.unit(5)."""
    if word.startswith('"'):
        word = re.sub(r'\\(["\\])', r"\1", word[1:-1])
    else:
        assert not re.search(r"[\s\\'\";]", word)
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), "a specifier"
    assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), "a variable"
    return word.replace("%%", "%").replace("$$", "$")


@given(st.text())
def test_any_value_is_one_word_and_the_same_or_refused(value: str) -> None:
    """Quotes, spaces, backslashes, specifiers and variables come out as they went in; what cannot be printed, such as
    a line break, is refused.
    """
    if not value.isprintable():
        with pytest.raises(UnitError):
            quoted("--config", value)
        return
    word = quoted("--config", value)
    assert "\n" not in word
    assert read_back(word) == value


@pytest.mark.parametrize(
    "value", ["a\nExecStartPre=/bin/evil", "a\r", "a\x00", "\u2028", "\x85", "\ud800", "\x1b[2J"]
)
@pytest.mark.parametrize("where", ["bind", "public_url", "config", "program"])
def test_what_cannot_stand_in_a_unit_is_refused_by_name(value: str, where: str) -> None:
    """The message says which value, and holds nothing that a terminal might obey."""
    wish = replace(Wish(program=HOOKLAB), **{where: [f"/x{value}"] if where == "program" else value})
    with pytest.raises(UnitError) as caught:
        unit_text(wish)
    assert where.replace("_", "-") in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["relative", "/opt/50%/hooklab", "/opt/$HOME/hooklab", '/opt/"/hooklab', "/o\\x/y"])
def test_a_program_whose_path_systemd_might_misread_is_refused(path: str) -> None:
    """There, variables are not replaced as elsewhere: better a plain path."""
    with pytest.raises(UnitError, match="install -m 755 hooklab /usr/local/bin"):
        unit_text(Wish(program=[path]))


def test_the_command_has_what_was_wished_and_nothing_else() -> None:
    """The folder that systemd made, and only those options that were given."""
    assert value_of(unit_text(Wish(program=HOOKLAB)), "ExecStart") == [
        "/usr/local/bin/hooklab serve --data-dir %S/hooklab"
    ]
    wish = Wish(
        program=["/opt/my env/bin/python", "-m", "hooklab"],
        bind="[::]:8080",
        public_url="https://x.example/a%20b",
        config="/etc/hook lab.toml",
    )
    [command] = value_of(unit_text(wish), "ExecStart")
    assert command == (
        '"/opt/my env/bin/python" -m hooklab serve --data-dir %S/hooklab --config "/etc/hook lab.toml"'
        " --bind [::]:8080 --public-url https://x.example/a%%20b"
    )


def test_the_single_file_is_heard_and_can_unpack_itself() -> None:
    """Its child speaks for it, and it may execute what it unpacks; nobody else's children are listened to."""
    one = unit_text(Wish(program=HOOKLAB, one_file=True, scratch="/var/tmp"))
    assert value_of(one, "NotifyAccess") == ["all"]
    assert value_of(one, "Environment") == ["TMPDIR=/var/tmp"]
    assert value_of(one, "PrivateTmp") == ["yes"]
    assert value_of(one, "NoExecPaths") == []
    other = unit_text(Wish(program=HOOKLAB))
    assert (value_of(other, "NotifyAccess"), value_of(other, "Environment")) == (["main"], [])


@pytest.mark.parametrize(("port", "privileged"), [(1, True), (443, True), (1023, True), (1024, False), (0, False)])
def test_only_a_low_port_gets_a_privilege(port: int, privileged: bool) -> None:
    """Below 1024 the one capability that it takes, else none at all."""
    text = unit_text(Wish(program=HOOKLAB, port=port))
    assert value_of(text, "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE" if privileged else ""]
    assert value_of(text, "AmbientCapabilities") == (["CAP_NET_BIND_SERVICE"] if privileged else [])
    assert value_of(text, "PrivateUsers") == ([] if privileged else ["yes"])


def test_the_unit_says_how_it_lives() -> None:
    """What an operator relies on: readiness, watchdog, restarts but for a wrong setting, reload, and limits."""
    text = unit_text(Wish(program=HOOKLAB))
    assert text.startswith(MARK)
    expected = {
        "Type": "notify",
        "WatchdogSec": "30",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2",
        "StartLimitIntervalSec": "0",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "User": "hooklab",
        "StateDirectory": "hooklab",
        "StateDirectoryMode": "0700",
        "UMask": "0077",
        "LimitNOFILE": "65536",
        "LimitCORE": "0",
        "WantedBy": "multi-user.target",
    }
    assert {key: value_of(text, key) for key in expected} == {key: [value] for key, value in expected.items()}
    assert sysusers_text().splitlines()[1].startswith("u hooklab - ")
