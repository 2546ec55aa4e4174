"""
Pacing profiles: how many packets a device and its zone may see, as data.

A profile is chosen by name in the site file; the numbers are fixed here and no option goes above
`robust`. Counted towards a device are SYN, FIN, RST, segments with payload, datagrams and
retransmissions; pure ACKs are counted apart. One connection at a time per device holds in every
profile and is therefore no number of one. Whoever changes a number here announces it under
*Safety* in the changelog.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    `packets_per_s` and `zone_packets_per_s` are caps in any sliding second, not averages; None
    means no cap. `connection_interval_s` is the least time between two new connections to one
    device. `host_bits` is the size of the largest network that one entry of `networks` may have:
    6 means 64 addresses (an IPv4 /26 or an IPv6 /122).
    """

    name: str
    strictness: int
    """0 is the gentlest; used to find the stricter of two profiles."""
    packets_per_s: int | None
    connection_interval_s: float
    zone_packets_per_s: int | None
    host_bits: int
    loopback_only: bool
    meant_for: str

    def largest_prefix(self, version: int) -> int:
        """The shortest prefix length allowed for IP version 4 or 6."""
        return (32 if version == 4 else 128) - self.host_bits


FRAGILE = Profile(
    name="fragile",
    strictness=0,
    packets_per_s=4,
    connection_interval_s=5.0,
    zone_packets_per_s=20,
    host_bits=6,
    loopback_only=False,
    meant_for="fragile devices, serial gateways, battery-powered meters",
)

DEFAULT = Profile(
    name="default",
    strictness=1,
    packets_per_s=8,
    connection_interval_s=1.0,
    zone_packets_per_s=50,
    host_bits=10,
    loopback_only=False,
    meant_for="everything, unless the site file says otherwise",
)

ROBUST = Profile(
    name="robust",
    strictness=2,
    packets_per_s=40,
    connection_interval_s=0.25,
    zone_packets_per_s=1000,
    host_bits=16,
    loopback_only=False,
    meant_for="idle plants with modern devices",
)

LAB = Profile(
    name="lab",
    strictness=3,
    packets_per_s=None,
    connection_interval_s=0.0,
    zone_packets_per_s=None,
    host_bits=16,
    loopback_only=True,
    meant_for="emulators on 127.0.0.0/8 and ::1 only",
)

PROFILES = {profile.name: profile for profile in (FRAGILE, DEFAULT, ROBUST, LAB)}

_LOOPBACK4 = IPv4Network("127.0.0.0/8")
_LOOPBACK6 = IPv6Network("::1/128")


def stricter(one: Profile, other: Profile) -> Profile:
    return min(one, other, key=lambda profile: profile.strictness)


def on_loopback(where: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> bool:
    """Whether an address, or a whole network, lies in 127.0.0.0/8 or is ::1."""
    if isinstance(where, IPv4Address):
        return where in _LOOPBACK4
    if isinstance(where, IPv6Address):
        return where in _LOOPBACK6
    if isinstance(where, IPv4Network):
        return where.subnet_of(_LOOPBACK4)
    return where.subnet_of(_LOOPBACK6)
