"""
KNXnet/IP: what a router or interface of a KNX installation says of itself.

1. One datagram to the device's own address: DESCRIPTION_REQUEST `0610 0203 000E 0801` with address
   and port zero, which asks for the answer to come back where the question came from.
2. DESCRIPTION_RESPONSE (0204) carries description blocks: name, serial number, individual address,
   MAC and multicast address, medium and programming mode (01), and the service families with their
   versions (02).

Why this is the gentlest question: it is made for exactly this, opens no channel (a device has one
to five, and the commissioning tool needs one), and puts nothing on the bus. The multicast search,
which a whole installation would answer, is not sent.

In the read tier a device of core version 2 is asked once more, by SEARCH_REQUEST_EXTENDED (020B) to
its own address alone, for the blocks that only this service has: which service families are
secured (06), and its device descriptor (08).

Whether the services behind may be used by anybody follows from both: without family 09 nothing asks
for a key, so the access is open. With it the description does not say whether security is switched
on; the extended answer does. What is secured is not tried.

Sample result: vendor "Jung", name "KNX IP-Router", serial "00a615000037", individual address 4.0.0,
KNX IP Secure for tunnelling and routing. The first two bytes of the serial number are a
manufacturer code, but of who made the hardware, which is sold under other names: it is a detail and
no vendor. The vendor is looked up by the hardware address that the device tells
(probes/data/knx_products.toml).

Never sent: CONNECT_REQUEST (takes a channel), device configuration (0310), tunnelling (0420 on),
routing (0530 on: goes to the bus), remote diagnosis, configuration and reset (0740 to 0743),
object server, session requests, multicast of any kind.

Source: ISO 22510 (KNXnet/IP), core: header 2.3, HPAI 7.5.1, description 7.7.2 and 7.5.4 (blocks),
extended search as xknx implements it; block 06 and family 09 of KNX IP Secure (AN159).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

DESCRIPTION_REQUEST: Final = 0x0203
DESCRIPTION_RESPONSE: Final = 0x0204
SEARCH_RESPONSE: Final = 0x0202
SEARCH_REQUEST_EXTENDED: Final = 0x020B
SEARCH_RESPONSE_EXTENDED: Final = 0x020C

ROUTE_BACK: Final = bytes.fromhex("0801000000000000")
"""HPAI: length 8, UDP, address and port zero."""
WANTED: Final = bytes.fromhex("060401020608")
"""Search request parameter: length 6, type 04 (blocks wanted), then their types."""
HPAI: Final = 8

DEVICE_INFORMATION: Final = 0x01
SERVICE_FAMILIES: Final = 0x02
SECURED_FAMILIES: Final = 0x06
EXTENDED_INFORMATION: Final = 0x08

FAMILIES: Final = {
    0x02: "core",
    0x03: "device management",
    0x04: "tunnelling",
    0x05: "routing",
    0x06: "remote logging",
    0x07: "remote configuration",
    0x08: "object server",
    0x09: "security",
}
CORE, TUNNELLING, ROUTING, SECURITY = 0x02, 0x04, 0x05, 0x09
MEDIA: Final = {0x02: "TP1", 0x04: "PL110", 0x10: "RF", 0x20: "IP"}
SECURE: Final = "KNX IP Secure"
CORE_VERSION: Final = "core version"
"""Name of the detail by which the read tier knows whom to ask."""
MAX_BLOCKS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """
    `families` and `secured` are family and version; `secured` None: the block did not come.
    `descriptor` is the device descriptor type 0 of the extended information, None: not told.
    """

    medium: int
    programming_mode: bool
    individual_address: int
    serial: bytes
    multicast: bytes
    mac: bytes
    name: str | None
    families: tuple[tuple[int, int], ...]
    secured: tuple[tuple[int, int], ...] | None
    descriptor: int | None


def encode_description_request() -> bytes:
    """Header `06 10`, service 0203, length 14, all big-endian, and where to answer."""
    return _frame(DESCRIPTION_REQUEST, ROUTE_BACK)


def encode_search_request_extended() -> bytes:
    """Service 020B: where to answer, and which blocks are wanted."""
    return _frame(SEARCH_REQUEST_EXTENDED, ROUTE_BACK + WANTED)


def _frame(service: int, body: bytes) -> bytes:
    return b"\x06\x10" + service.to_bytes(2, "big") + (6 + len(body)).to_bytes(2, "big") + body


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def decode_description(reply: bytes, *, service: int) -> Description:
    """
    Header, in an answer to a search the control endpoint (8 bytes), then blocks of `length type
    content`, big-endian. Block 01: `medium status individual(2) project(2) serial(6) multicast(4)
    mac(6) name(30)`. Raises BadReply, also without block 01.
    """
    if len(reply) < 6 or reply[:2] != b"\x06\x10":
        raise BadReply(f"expected KNXnet/IP, got {reply[:8].hex()}")
    if int.from_bytes(reply[2:4], "big") != service:
        raise BadReply(f"expected service {service:#06x}, got {reply[2:4].hex()}")
    if int.from_bytes(reply[4:6], "big") != len(reply):
        raise BadReply(f"length {reply[4:6].hex()} does not fit {len(reply)} bytes")
    start = 6 if service == DESCRIPTION_RESPONSE else 6 + HPAI
    blocks = dict(_blocks(reply, start))
    device = blocks.get(DEVICE_INFORMATION, b"")
    if len(device) < 52:
        raise BadReply("the description lacks the device's information")
    secured, extended = blocks.get(SECURED_FAMILIES), blocks.get(EXTENDED_INFORMATION, b"")
    return Description(
        medium=device[0],
        programming_mode=bool(device[1] & 0x01),
        individual_address=int.from_bytes(device[2:4], "big"),
        serial=device[6:12],
        multicast=device[12:16],
        mac=device[16:22],
        name=_text(device[22:52]),
        families=_families(blocks.get(SERVICE_FAMILIES, b"")),
        secured=None if secured is None else _families(secured),
        descriptor=int.from_bytes(extended[4:6], "big") if len(extended) >= 6 else None,
    )


def _blocks(reply: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each block. Raises BadReply where one is cut off."""
    for _ in range(MAX_BLOCKS):
        if at == len(reply):
            return
        if len(reply) < at + 2 or reply[at] < 2 or len(reply) < at + reply[at]:
            raise BadReply(f"a description block is cut off at byte {at}")
        yield reply[at + 1], reply[at + 2 : at + reply[at]]
        at += reply[at]
    raise BadReply("more description blocks than there are types")


def _families(content: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((content[at], content[at + 1]) for at in range(0, len(content) - 1, 2))


def _text(value: bytes) -> str | None:
    text = value.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(each for each in text if each.isprintable()).strip() or None


def individual_address(value: int) -> str:
    """Area, line, device."""
    return f"{value >> 12}.{value >> 8 & 0x0F}.{value & 0xFF}"


def is_open(found: Description, *, asked_extended: bool) -> bool | None:
    """
    Whether tunnelling and routing may be used by anybody. None: it has security, and either it was
    not asked whether that is switched on, or it said that it is.
    """
    offered = {family for family, _ in found.families}
    if SECURITY not in offered:
        return True
    if not asked_extended:
        return None
    secured = {family for family, _ in found.secured or ()}
    return True if {TUNNELLING, ROUTING} & (offered - secured) else None


def facts(found: Description, *, asked_extended: bool) -> tuple[Fact, ...]:
    versions = dict(found.families)
    details = [
        ("individual address", individual_address(found.individual_address)),
        ("medium", MEDIA.get(found.medium, f"0x{found.medium:02X}")),
        ("programming mode", "on" if found.programming_mode else "off"),
        ("MAC address", found.mac.hex(":")),
        ("manufacturer code of the serial number", f"0x{found.serial[:2].hex().upper()}"),
        ("service families", _listed(found.families)),
        (CORE_VERSION, str(versions.get(CORE, 0))),
    ]
    if any(found.multicast):
        details.append(("routing multicast address", str(IPv4Address(found.multicast))))
    if found.secured:
        details.append(("secured service families", _listed(found.secured)))
    if found.descriptor is not None:
        details.append(("device descriptor", f"0x{found.descriptor:04X}"))
    authentication: tuple[str, ...] | None = None
    if asked_extended and SECURITY in versions:
        authentication = (SECURE,) if found.secured else ()
    access = ServiceAccess(
        protocol="knx",
        answers_without_login=is_open(found, asked_extended=asked_extended),
        encrypted=False,
        authentication=authentication,
        details=tuple(details),
    )
    serial = found.serial.hex() if any(found.serial) else None
    said = DeviceIdentity(name=found.name, serial=serial)
    told = (said,) if said != DeviceIdentity() else ()
    return (access, *told, *recognised(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`name` finds the model in the name that the product has from the factory."""

    name: re.Pattern[str]
    vendor: str
    source: str


@cache
def _table() -> dict[str, list[dict[str, str]]]:
    with (Path(__file__).parent / "data" / "knx_products.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def makers() -> Mapping[str, str]:
    """Beginning of a hardware address in hex without colons -> maker."""
    return {row["mac"].replace(":", ""): row["name"] for row in _table()["maker"]}


@cache
def products() -> tuple[Product, ...]:
    return tuple(
        Product(name=re.compile(row["name"]), vendor=row["vendor"], source=row["source"])
        for row in _table()["product"]
    )


def recognised(found: Description) -> tuple[DeviceIdentity, ...]:
    """The maker by the hardware address, and the product where its name is still the factory's."""
    address = found.mac.hex()
    vendor = next((name for mac, name in makers().items() if address.startswith(mac)), None)
    if vendor is None:
        return ()
    made_by = DeviceIdentity(vendor=vendor, basis="table")
    for product in products():
        named = product.name.search(found.name or "")
        if named and product.vendor == vendor:
            return (made_by, DeviceIdentity(model=named["model"], basis="text"))
    return (made_by,)


def _listed(families: tuple[tuple[int, int], ...]) -> str:
    named = (f"{FAMILIES.get(family, f'0x{family:02X}')} {version}" for family, version in families)
    return ", ".join(tuple(named)[:16])


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(encode_description_request(), datagram_length, label=_LABEL)
    found = decode_description(reply, service=DESCRIPTION_RESPONSE)
    return facts(found, asked_extended=False)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """One datagram more, to devices that know it. Raises Withheld, WireError."""
    if not _knows_extended_search(session.known):
        return ()
    reply = await session.exchange(
        encode_search_request_extended(), datagram_length, label=_LABEL_EXTENDED
    )
    found = decode_description(reply, service=SEARCH_RESPONSE_EXTENDED)
    return facts(found, asked_extended=True)


def _knows_extended_search(known: tuple[Fact, ...]) -> bool:
    """Core version 2 has it; version 1 would keep silent."""
    for fact in known:
        if isinstance(fact, ServiceAccess) and fact.protocol == "knx":
            version = dict(fact.details).get(CORE_VERSION, "0")
            return version.isdecimal() and int(version) >= 2
    return False


_LABEL: Final = "DESCRIPTION_REQUEST"
_LABEL_EXTENDED: Final = "SEARCH_REQUEST_EXTENDED to one device"

PROBE = Probe(
    name="knx",
    protocol="knx",
    transport=Transport.UDP,
    ports=(3671,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_description_request(),
            trace="none on the device; nothing reaches the bus",
        ),
    ),
    for_controllers=True,
)

READ_PROBE = Probe(
    name="knx",
    protocol="knx",
    transport=Transport.UDP,
    ports=(3671,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL_EXTENDED,
            sample=encode_search_request_extended(),
            trace="none on the device; nothing reaches the bus",
        ),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
)
