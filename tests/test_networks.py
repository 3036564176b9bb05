"""Addresses and networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooklab.networks import NetworkError, Networks, client_of, group_of, is_loopback

PROXIES = Networks(["127.0.0.1", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        (["203.0.113.0/24"], "203.0.113.7", True),
        (["203.0.113.0/24"], "203.0.114.7", False),
        (["203.0.113.7"], "203.0.113.7", True),
        (["203.0.113.7"], "::ffff:203.0.113.7", True),
        (["::ffff:203.0.113.0/120"], "203.0.113.7", True),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::/32"], "203.0.113.7", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "nonsense", False),
        (["0.0.0.0/0"], "", False),
        ([], "203.0.113.7", False),
    ],
)
def test_an_address_is_in_a_network_however_it_is_written(networks: list[str], address: str, inside: bool) -> None:
    """IPv4 in IPv6 counts as IPv4; what is no address is nowhere."""
    assert (address in Networks(networks)) == inside


@pytest.mark.parametrize("wrong", ["", "example.com", "203.0.113.7/24", "203.0.113.0/33", "1.2.3", "a\nb"])
def test_what_is_no_network_is_refused_in_a_line(wrong: str) -> None:
    """A network with host bits is a mistake too: nobody knows what was meant."""
    with pytest.raises(NetworkError) as error:
        Networks([wrong])
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", [b"198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"198.51.100.1", b"203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        ("127.0.0.1", [b"203.0.113.7:4711"], "203.0.113.7"),
        ("127.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", [b"::ffff:203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"10.1.2.3, 10.1.2.4"], "10.1.2.3"),
        ("127.0.0.1", [b"203.0.113.7, unknown"], None),
        ("127.0.0.1", [b""], None),
        ("127.0.0.1", [b"\xff\x00"], None),
    ],
)
def test_only_named_proxies_are_believed(peer: str, forwarded: list[bytes], client: str | None) -> None:
    """Whoever connects may write any X-Forwarded-For: what counts is what the named proxies appended."""
    assert client_of(peer, forwarded, PROXIES) == client


@given(st.text(max_size=60), st.lists(st.binary(max_size=60), max_size=4))
def test_nothing_in_a_header_is_a_fault(peer: str, forwarded: list[bytes]) -> None:
    """Whatever is sent, there is an answer; a peer that is no proxy stays what it is."""
    found = client_of(peer, forwarded, PROXIES)
    assert peer in PROXIES or found == peer
    group_of(peer)
    is_loopback(peer)


def test_an_ipv6_customer_is_one() -> None:
    """A /64 is what one customer has; IPv4 addresses stand for themselves."""
    assert group_of("2001:db8::1") == group_of("2001:db8::ffff:2") != group_of("2001:db8:0:1::1")
    assert group_of("203.0.113.7") == group_of("::ffff:203.0.113.7") == "203.0.113.7"
    assert [is_loopback(one) for one in ("127.0.0.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "x")] == [
        True,
        True,
        True,
        False,
        False,
    ]
