"""Addresses and networks: who may post, and who is a proxy whose word counts. Pure."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_KNOWN: Final = 4096


class NetworkError(ValueError):
    """What should be an address or a network is none; the text says so."""


class Networks:
    """A set of networks, such as an allow-list."""

    def __init__(self, written: Iterable[str]) -> None:
        """Takes them as one writes them: ``203.0.113.0/24``, ``2001:db8::/32``, or one address.

        Raises:
            NetworkError: one of them is none.
        """
        self.written: Sequence[str] = tuple(written)
        self._networks = [_network(one) for one in self.written]
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether an address is in one of them; what is none is in none."""
        known = self._known.get(address)
        if known is None:
            parsed = parse_address(address)
            known = parsed is not None and any(parsed in one for one in self._networks)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[address] = known
        return known


def _network(written: str) -> _Network:
    try:
        network = ipaddress.ip_network(written.strip())
    except ValueError as error:
        raise NetworkError(f"{written!a} is no address or network ({error})") from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return network if mapped is None else ipaddress.IPv4Network((mapped, max(network.prefixlen - 96, 0)))


def parse_address(written: str) -> _Address | None:
    """An address as a connection or a proxy names it, IPv4 in IPv6 as IPv4; None for anything else."""
    try:
        address = ipaddress.ip_address(written.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client_of(peer: str, forwarded: Sequence[bytes], proxies: Networks) -> str | None:
    """Who asks: the peer, or whoever a named proxy says it asks for.

    Each proxy appends to ``X-Forwarded-For`` the address that it was asked from, so that only what the named proxies
    wrote is believed: the last address that is none of theirs.

    Args:
        peer: Who opened the connection.
        forwarded: The values of ``X-Forwarded-For``, in their order.
        proxies: Those whose word counts.

    Returns:
        An address, or None where a proxy says something that is none.
    """
    if peer not in proxies:
        return peer
    hops = [hop for value in forwarded for hop in value.decode("latin-1").split(",")]
    for hop in reversed(hops):
        address = parse_address(_without_port(hop.strip()))
        if address is None:
            return None
        if str(address) not in proxies:
            return str(address)
        peer = str(address)
    return peer


def _without_port(hop: str) -> str:
    """Some proxies write the port too."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, port = hop.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else hop


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def group_of(address: str) -> str:
    """Who shares an address as far as one can tell: of IPv6 the /64 that one customer gets."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)
