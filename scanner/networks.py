"""
Which of many networks an address lies in, at a cost that does not grow with their number.

Pure. A zone may list a thousand networks, and each address of a scan is looked up several times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Networks:
    """Networks in their order, by IP version and length of their prefix."""

    __slots__ = ("_by_length",)

    def __init__(self, networks: Iterable[Network]) -> None:
        by_length: dict[tuple[int, int], dict[int, list[tuple[int, Network]]]] = {}
        for place, network in enumerate(networks):
            shift = network.max_prefixlen - network.prefixlen
            own = by_length.setdefault((network.version, shift), {})
            own.setdefault(int(network.network_address) >> shift, []).append((place, network))
        self._by_length: Mapping[tuple[int, int], Mapping[int, list[tuple[int, Network]]]]
        self._by_length = by_length

    def holding(self, address: Address) -> list[Network]:
        """Those that the address lies in, in their order."""
        number, version = int(address), address.version
        found = [
            pair
            for (of, shift), own in self._by_length.items()
            if of == version
            for pair in own.get(number >> shift, ())
        ]
        return [network for _, network in sorted(found, key=lambda pair: pair[0])]
