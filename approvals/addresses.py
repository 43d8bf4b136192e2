"""Which network addresses the gateway dials for servers, token endpoints and keys. Pure.

Servers of tools usually live in private networks, so those are dialled unless the operator narrows it. What no such
server has is never dialled: link-local addresses and with them the metadata services of clouds, multicast,
unspecified, broadcast and reserved addresses. An IPv4 address inside an IPv6 one is judged as the IPv4 address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SETTING: Final = "HOLDGATE_UPSTREAM_NETWORKS"
_NEVER: Final = tuple(
    (ip_network(text), what)
    for text, what in (
        ("0.0.0.0/8", "unspecified"),
        ("169.254.0.0/16", "link-local, where clouds have their metadata"),
        ("100.100.100.200/32", "a metadata service"),  # Alibaba Cloud
        ("168.63.129.16/32", "a metadata service"),  # Azure
        ("192.0.0.192/32", "a metadata service"),  # Oracle Cloud
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "broadcast or reserved"),
        ("::/128", "unspecified"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("fd00:ec2::/32", "a metadata service"),  # Amazon
        ("fd20:ce::254/128", "a metadata service"),  # Google
        # Where in these an IPv4 address stands, or that of a relay, differs from house to house.
        ("64:ff9b:1::/48", "a translation of IPv4 that cannot be read"),
        ("2001::/32", "a tunnel of IPv4 that cannot be read"),
    )
)
_LAST_FOUR: Final = tuple(IPv6Network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "::/96"))
_OWN: Final = frozenset({IPv6Address("::"), IPv6Address("::1")})
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")


def plain(address: str) -> Address:
    """Return an address, of an IPv6 one that carries an IPv4 one the latter. Raises ValueError."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address) or found in _OWN:
        return found
    if found in _SIX_TO_FOUR:
        return IPv4Address(int(found) >> 80 & 0xFFFFFFFF)
    if any(found in prefix for prefix in _LAST_FOUR):
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found


def never(address: str) -> str:
    """Return what an address is that is never dialled; empty for any other. Raises ValueError."""
    found = plain(address)
    return next((what for network, what in _NEVER if _within(found, network)), "")


@dataclass(frozen=True, slots=True)
class Networks:
    """What may be dialled: one of `allowed`, or anything when that is empty, and none of `forbidden`.

    `said_by` names what says so, for whoever reads a refusal.
    """

    allowed: tuple[Network, ...] = ()
    forbidden: tuple[Network, ...] = ()
    said_by: str = SETTING

    @classmethod
    def read(cls, words: Iterable[str], *, said_by: str = SETTING) -> Networks:
        """Read networks, each forbidden that begins with `!`. Raises ValueError."""
        entries = tuple(words)
        return cls(
            allowed=tuple(ip_network(one) for one in entries if not one.startswith("!")),
            forbidden=tuple(ip_network(one[1:].strip()) for one in entries if one.startswith("!")),
            said_by=said_by,
        )

    @property
    def for_others(self) -> Networks:
        """What holds for whoever is asked beside servers, such as issuers, who live elsewhere: what is forbidden."""
        return Networks(forbidden=self.forbidden, said_by=self.said_by)

    def refusal(self, address: str) -> str:
        """Return why an address may not be dialled, in words that stand behind `it is`; empty when it may."""
        found = plain(address)
        if what := never(address):
            return f"{what}, and never dialled"
        if any(_within(found, one) for one in self.forbidden):
            return f"forbidden by {self.said_by}"
        if self.allowed and not any(_within(found, one) for one in self.allowed):
            return f"outside of {self.said_by}"
        return ""


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network
