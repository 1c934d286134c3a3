"""Which addresses may be connected to. Pure; a name was looked up before, once, and what it gave is what is asked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

Address = IPv4Address | IPv6Address
Standing = Literal["public", "private", "never"]

_PRIVATE_4: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10")
)
_NEVER_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_PRIVATE_6: Final = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_PUBLIC_6: Final = IPv6Network("2000::/3")
_NEVER_6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, benchmarking, ORCHID and other special ones
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "5f00::/16",
    )
)


def standing_of(address: Address) -> Standing:
    """Whether an address is anybody's, only one's own network's, or nobody's to connect to.

    Addresses that carry another one inside (mapped, compatible, 6to4, NAT64, Teredo) are never connected to: what they
    lead to depends on the network.
    """
    if isinstance(address, IPv4Address):
        if any(address in network for network in _NEVER_4):
            return "never"
        return "private" if any(address in network for network in _PRIVATE_4) else "public"
    if address.scope_id is not None:
        return "never"
    if any(address in network for network in _PRIVATE_6):
        return "private"
    if address not in _PUBLIC_6 or any(address in network for network in _NEVER_6):
        return "never"
    return "public"


def may_reach(text: str, *, private: bool) -> bool:
    """Whether an address as text may be connected to. `private`: also those of one's own network."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    standing = standing_of(address)
    return standing == "public" or (private and standing == "private")
