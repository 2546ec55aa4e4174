"""
PROFINET DCP: what a station on the same link says of itself. Frames are built and read here.

1. One Ethernet frame of type 0x8892 to the station's own MAC address: Identify, all options, with
   the response delay factor 1, which is none.
2. One frame comes back: type of station, name of station, vendor and device id, role, IP
   parameters.

Why this is the gentlest question: Identify is made to be asked by anybody at any time. It changes
nothing and leaves nothing behind. Get (service 3) would tell the same, but a station that answers
it is held for three seconds by whoever asked (the client hold), and refuses everybody else's Get
and Set meanwhile: an engineer who commissions the station would be kept out. Identify is usually
sent to all stations at once; here it goes to one, as a real S7-300 was asked and answered.

Sample result: model "IC200PNS001", name "versamax-pns11", vendor "GE", address 192.168.1.2/24.

Never sent: Set (service 4: addresses, name of station, signal, reset to factory settings), Hello
(6), and anything to a multicast or broadcast address.

No `Probe` stands here yet, so no scan asks this. What exists of the way there, and what is missing:
docs/decisions/0015-layer-2-helper.md.

Integers are big-endian. What is called frame here begins behind the type of the Ethernet frame.

Source: IEC 61158-6-10, DCP APDUs and their coding; client hold and response delay: IEC 61158-5-10
(PROFINET 2.4 services, 6.3.11.2.2 and 6.3.11.3.4, as rt-labs' p-net cites them); recordings of a
GE VersaMax PNS and a Siemens S7-300.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, ip_address
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, OwnAddress, ServiceAccess
from scanner.spec import Session

ETHERTYPE: Final = 0x8892
IDENTIFY_REQUEST: Final = 0xFEFE
IDENTIFY_RESPONSE: Final = 0xFEFF
IDENTIFY: Final = 5
REQUEST: Final = 0
SUCCESS: Final = 1
AT_ONCE: Final = 1
"""Response delay factor: a station waits up to (factor - 1) times 10 ms."""
ALL: Final = bytes.fromhex("ffff0000")
HEADER: Final = 12

IP_PARAMETER: Final = (1, 2)
TYPE_OF_STATION: Final = (2, 1)
NAME_OF_STATION: Final = (2, 2)
DEVICE_ID: Final = (2, 3)
DEVICE_ROLE: Final = (2, 4)
ROLES: Final = {1: "IO device", 2: "IO controller", 4: "multidevice", 8: "supervisor"}
CONTROLLER: Final = 2
VENDORS: Final = {0x002A: "Siemens", 0x015A: "GE"}
"""Vendor ids of PROFIBUS & PROFINET International that recordings of these makers' devices show."""
MAX_TEXT: Final = 240
"""A name of station is no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """
    The blocks of one reply; None is a block that was not there. `role` is a sum of ROLES. `address`
    and `gateway` are None where the station has none (0.0.0.0), `prefix` where its mask is none.
    `conflict`: it has seen its address on another station.
    """

    station_type: str | None = None
    name: str | None = None
    vendor_id: int | None = None
    device_id: int | None = None
    role: int | None = None
    address: str | None = None
    prefix: int | None = None
    gateway: str | None = None
    conflict: bool = False


def xid_of(now: datetime) -> int:
    """Number of a transaction: microseconds, of which 32 bits are left; never 0."""
    return int(now.timestamp() * 1_000_000) % 0xFFFFFFFF + 1


def encode_identify(*, xid: int) -> bytes:
    """`FEFE service(1)=5 type(1)=0 xid(4) delay(2)=1 length(2)=4 | option(1) suboption(1) 0000`."""
    return (
        IDENTIFY_REQUEST.to_bytes(2, "big") + bytes([IDENTIFY, REQUEST]) + xid.to_bytes(4, "big")
        + AT_ONCE.to_bytes(2, "big") + len(ALL).to_bytes(2, "big") + ALL
    )  # fmt: skip


def decode_identify(frame: bytes, *, xid: int) -> Station:
    """
    `FEFF service(1)=5 type(1)=1 xid(4) reserved(2) length(2) | blocks`, and padding behind.

    Of a block that comes twice the first counts. Raises BadReply, also when the reply belongs to
    another transaction.
    """
    if len(frame) < HEADER or frame[:2] != IDENTIFY_RESPONSE.to_bytes(2, "big"):
        raise BadReply(f"expected a response to Identify, got {frame[:12].hex()}")
    if frame[2] != IDENTIFY or frame[3] != SUCCESS:
        raise BadReply(f"expected service 5 and success, got {frame[2]} and {frame[3]}")
    if int.from_bytes(frame[4:8], "big") != xid:
        raise BadReply("the reply belongs to another transaction")
    length = int.from_bytes(frame[10:12], "big")
    if len(frame) < HEADER + length:
        raise BadReply("the DCP length reaches beyond the frame")
    found: dict[tuple[int, int], bytes] = {}
    for kind, content in _blocks(frame[HEADER : HEADER + length]):
        found.setdefault(kind, content)
    return _station(found)


def _blocks(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """`option(1) suboption(1) length(2) | info(2) value`, each filled up to an even length."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 + length
        if end > len(data) or at + 4 > len(data):
            raise BadReply("a block reaches beyond its frame")
        yield (data[at], data[at + 1]), data[at + 4 : end]
        at = end + (length & 1)


def _station(blocks: dict[tuple[int, int], bytes]) -> Station:
    ids, role = blocks.get(DEVICE_ID, b""), blocks.get(DEVICE_ROLE, b"")
    parameter = blocks.get(IP_PARAMETER, b"")
    whole = len(parameter) >= 14
    return Station(
        station_type=_text(blocks.get(TYPE_OF_STATION)),
        name=_text(blocks.get(NAME_OF_STATION)),
        vendor_id=int.from_bytes(ids[2:4], "big") if len(ids) >= 6 else None,
        device_id=int.from_bytes(ids[4:6], "big") if len(ids) >= 6 else None,
        role=role[2] if len(role) >= 3 else None,
        address=_address(parameter[2:6]) if whole else None,
        prefix=_prefix(parameter[6:10]) if whole else None,
        gateway=_address(parameter[10:14]) if whole else None,
        conflict=whole and bool(parameter[1] & 0x80),
    )


def _text(content: bytes | None) -> str | None:
    """Behind the block's info; a station of Siemens fills its name up with zeros."""
    raw = (content or b"")[2 : 2 + MAX_TEXT].split(b"\0", 1)[0]
    text = "".join(c for c in raw.decode("latin-1") if c.isprintable())
    return text.strip() or None


def _address(raw: bytes) -> str | None:
    return str(IPv4Address(raw)) if any(raw) else None


def _prefix(raw: bytes) -> int | None:
    """Length of the network whose mask this is; None where it has holes, or is none."""
    ones = f"{int.from_bytes(raw, 'big'):032b}".rstrip("0")
    return len(ones) if ones and "0" not in ones else None


def facts_from(station: Station) -> tuple[Fact, ...]:
    """Access, what the station says of itself, what its numbers stand for, its address."""
    known = (
        ("VendorID", station.vendor_id, "0x{:04X}"),
        ("DeviceID", station.device_id, "0x{:04X}"),
    )
    details = [(name, form.format(value)) for name, value, form in known if value is not None]
    if station.role is not None:
        said = [word for bit, word in ROLES.items() if station.role & bit]
        details.append(("DeviceRole", ", ".join(said) or f"0x{station.role:02X}"))
    if station.conflict:
        details.append(("IPParameter", "address conflict"))
    facts: list[Fact] = [
        ServiceAccess(
            protocol="dcp", answers_without_login=True, encrypted=False, details=tuple(details)
        )
    ]
    if station.station_type or station.name:
        facts.append(DeviceIdentity(model=station.station_type, name=station.name))
    vendor = VENDORS.get(station.vendor_id or 0)
    controls = bool((station.role or 0) & CONTROLLER)
    if vendor or controls:
        facts.append(
            DeviceIdentity(vendor=vendor, device_class="plc" if controls else None, basis="table")
        )
    if station.address:
        facts.append(OwnAddress(ip=station.address, prefix_length=station.prefix))
    return tuple(facts)


def frame_length(frame: bytes) -> int | None:
    """One frame is one reply."""
    return len(frame) or None


def told_by(station: Station, asked: str) -> None:
    """
    Whether the station that answered has the address that was meant. Behind a router that answers
    for others on their behalf (proxy ARP), or after a change, it has not: then its identity is not
    that of the asset. Raises BadReply. A station without an address says nothing against it.
    """
    if station.address and ip_address(asked).version == 4 and station.address != asked:
        raise BadReply(f"the station that answered has the address {station.address}")


async def run(session: Session) -> tuple[Fact, ...]:
    """Raises BadReply, Withheld, WireError."""
    xid = xid_of(session.now())
    reply = await session.exchange(
        encode_identify(xid=xid), frame_length, label="DCP Identify", max_reply=1600
    )
    station = decode_identify(reply, xid=xid)
    told_by(station, session.target.address)
    return facts_from(station)
