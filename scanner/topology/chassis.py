"""
Assets that may be one and the same device under several addresses, and by what.

They are never merged here: an address is one asset, unless the site file says that a device has
several (`addresses`). Whoever reads the note decides. Every mark has another explanation, too: a
serial number is unique with its maker at most, settings and keys are copied from device to device,
and a router answers with its MAC address for others. Two marks of different kinds, or a device's
own word on its addresses, leave little room for one; but an engine id and a host key are copied
together, where a whole system is.

Source: RFC 3411 section 5 (snmpEngineID is unique within an administrative domain), RFC 4251
section 4.1 (a host key belongs to a host), RFC 5798 section 7.3 (addresses of virtual routers).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from scanner.correlate import agree, normal
from scanner.facts import LinkAddress, NetworkInterface, SnmpAccess, SshHostKey
from scanner.model import Asset
from scanner.topology.graph import Graph
from scanner.topology.nodes import Node, listed, shortened

MOST = 50
"""A mark that more assets than these share tells none of them apart."""
MAX_GROUPS = 100
VIRTUAL = (
    "00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:00:0c:9f:f", "00:05:73:a0:0",
    "00:07:b4:00:",
)  # fmt: skip
"""How MAC addresses begin that routers share: VRRP for IPv4 and IPv6, HSRP and its version 2, HSRP
for IPv6, GLBP."""

SERIAL = "serial number"
ENGINE = "SNMP engine id"
KEY = "SSH host key"
MAC = "MAC address"
TABLE = "address table"
OTHERWISE = {
    SERIAL: "a number that is none",
    ENGINE: "settings that were copied",
    KEY: "a key that was copied",
    MAC: "a router that answers for others",
}
"""What else each mark may mean, if it is the only one."""
COPIED = frozenset({ENGINE, KEY})
"""What comes along where the image of one host is put on another."""


def same_device(graph: Graph) -> tuple[str, ...]:
    """A sentence for each group of assets that share a mark, by the ids of the assets."""
    shared: dict[frozenset[str], dict[str, str]] = defaultdict(dict)
    for kind, value, owners in _shared(graph):
        shared[owners].setdefault(kind, value)
    groups = sorted(shared.items(), key=lambda group: sorted(group[0]))
    told = [_words(graph, sorted(owners), marks) for owners, marks in groups[:MAX_GROUPS]]
    if len(groups) > MAX_GROUPS:
        told.append(f"{len(groups) - MAX_GROUPS:,} more groups of assets that share a mark")
    return tuple(told)


def _words(graph: Graph, owners: list[str], marks: dict[str, str]) -> str:
    told = [f"the same {kind} {shortened(value)}" for kind, value in marks.items() if value]
    if TABLE in marks:
        told.append("each other's addresses among their own")
    zones = {graph.known[name].zone for name in owners}
    if marks.keys() <= COPIED or (len(marks) == 1 and TABLE not in marks):
        otherwise = " and ".join(OTHERWISE[kind] for kind in marks)
        meaning = f"one device with several addresses, or {otherwise}"
    else:
        meaning = "most likely one device with several addresses"
    kept = (
        "kept apart, since they stand in different zones"
        if len(zones) > 1
        else "kept apart until the site file gives one of them the others as `addresses`"
    )
    return f"{listed(owners)} have {' and '.join(told)}: {meaning}; {kept}"


def _shared(graph: Graph) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Kind, value and the assets, two of them at least."""
    by_mark: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node in graph.known.values():
        for mark in _marks(node):
            by_mark[mark].add(node.id)
    for (kind, value), names in sorted(by_mark.items()):
        if not 2 <= len(names) <= MOST or (kind == MAC and not _is_of_one_interface(value)):
            continue
        if kind != SERIAL:
            yield kind, value, frozenset(names)
            continue
        assets = [asset for name in sorted(names) if (asset := graph.known[name].asset)]
        for group in _of_one_maker(assets):
            yield kind, value, frozenset(group)
    yield from _by_tables(graph)


def _marks(node: Node) -> Iterator[tuple[str, str]]:
    """The MAC address in an engine id is none of them: it would be the same mark twice."""
    asset = node.asset
    if asset is None:
        return
    serial = normal("serial", asset.identity.serial or "")
    if _is_telling(serial):
        yield SERIAL, serial
    for fact in asset.facts:
        if isinstance(fact, SnmpAccess) and fact.engine_id and len(fact.engine_id) >= 10:
            yield ENGINE, fact.engine_id.lower()
        elif isinstance(fact, SshHostKey):
            yield KEY, fact.fingerprint_sha256
        elif isinstance(fact, LinkAddress | NetworkInterface) and fact.mac:
            yield MAC, fact.mac


def _is_telling(serial: str) -> bool:
    """
    Not one of those that stand where nobody wrote a number: 0000, 12345678, 123123, none, unknown.
    """
    return (
        len(serial) >= 4
        and len(set(serial)) > 2
        and serial not in "01234567890123456789"
        and serial not in (serial + serial)[1:-1]
        and any(c.isdigit() for c in serial)
    )


def _is_of_one_interface(mac: str) -> bool:
    try:
        first = int(mac[:2], 16)
    except ValueError:
        return False
    return not first & 0x03 and bool(mac.strip("0:")) and not mac.startswith(VIRTUAL)


def _of_one_maker(assets: Iterable[Asset]) -> list[list[str]]:
    """Those with one serial number, parted where what they are speaks against it."""
    groups: list[list[Asset]] = []
    for asset in assets:
        for group in groups:
            if all(_may_be(asset, other) for other in group):
                group.append(asset)
                break
        else:
            groups.append([asset])
    return [[asset.id for asset in group] for group in groups if len(group) > 1]


def _may_be(one: Asset, other: Asset) -> bool:
    """Maker and model agree, as far as both tell them, and one of the two is told by both."""
    told = [
        agree(name, mine, its)
        for name in ("vendor", "model")
        if (mine := getattr(one.identity, name)) and (its := getattr(other.identity, name))
    ]
    return bool(told) and all(told)


def _by_tables(graph: Graph) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Pairs that each say that the other's address is their own."""
    by_address: dict[str, list[Node]] = defaultdict(list)
    for node in graph.known.values():
        for address in node.addresses:
            by_address[address].append(node)
    for node in graph.known.values():
        for address in node.legs:
            if address in node.addresses:
                continue
            owners = by_address.get(address, [])
            near = [other for other in owners if other.zone == node.zone] or owners
            if len(near) == 1 and near[0].legs.keys() & node.addresses:
                yield TABLE, "", frozenset((node.id, near[0].id))
