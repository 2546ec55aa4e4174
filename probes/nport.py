"""
The search of Moxa's utilities: which serial device server is there.

1. One UDP datagram to port 4800 of the device itself, never a broadcast: id 01 with an empty body,
   `01 00 0008 00000000`.
2. The reply carries the device id (product line, hardware id, MAC address) and an IP address.

In the read tier, with the device id that was told: id 16 for serial number and firmware, and id 10
for the device's name. Of the name's 40 bytes those behind the first NUL are leftovers of the
device's memory; they are not kept.

Why this is the gentlest question: it is what the vendor's own utility asks of a whole network, it
opens no serial port and takes none of the connections, of which a port has one by default. Never
sent: any other id, since some set addresses or passwords, restart, or hand out what is configured
(2C: credentials); TCP 950 to 981 and 4001 on, which are the serial lines; TCP 4900 (firmware).

How many serial lines there are is told by none of the three ids (4D and 4F tell them, and are
outside of what is known to be harmless), so no device behind is stated. Only one hardware id is
known by its name from a source; of others the id is told and no model.

Sample result: vendor "Moxa", model "NPort 5110A", class gateway; read: name "Xcom-LAN", serial
"2002", firmware "1.1.31".

Source: M. Davidsaver, Moxa UDP protocol (notes on an NPort 5110A); ankohanse, aioxcom, "moxa
discovery.txt" (recorded exchange, with what the device's console prints of itself); a dissector of
the protocol for Wireshark, moxa_conf (place of firmware and serial number). Header big-endian, the
rest little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

SEARCH: Final = 0x01
NAME: Final = 0x10
PRODUCT_DETAILS: Final = 0x16
REPLY: Final = 0x80

HEADER: Final = 8
"""Id (1), status (1), length of all (2), transaction (4)."""
DEVICE_ID: Final = 12
"""Product line (4), hardware id (2), MAC address (6)."""
BODY: Final = HEADER + DEVICE_ID
LONGEST_NAME: Final = 40

MODELS: Final = {0x511A: "NPort 5110A"}
"""Hardware ids that a source names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceServer:
    """`device_id` is the 12 bytes that every further question carries."""

    device_id: bytes
    hardware_id: int
    mac: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDetails:
    serial: int
    firmware: str


def encode_request(number: int, device_id: bytes = b"") -> bytes:
    """Id, status 0, length, transaction 0, device id (none in a search)."""
    length = (HEADER + len(device_id)).to_bytes(2, "big")
    return bytes([number, 0]) + length + bytes(4) + device_id


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def decode_body(reply: bytes, *, number: int, device_id: bytes | None = None) -> bytes:
    """
    What stands behind the device id.

    Raises BadReply on what is no reply to this id, a status other than 0, a length that is not
    that of the datagram, and, where one is given, another device id.
    """
    if len(reply) < BODY or reply[0] != number | REPLY or reply[4:HEADER] != bytes(4):
        raise BadReply(f"no reply to id {number:02x} of the Moxa search: {reply[:BODY].hex()}")
    if int.from_bytes(reply[2:4], "big") != len(reply):
        raise BadReply(f"a reply of {len(reply)} bytes names another length: {reply[:8].hex()}")
    if reply[1]:
        raise BadReply(f"id {number:02x} was answered with status {reply[1]:02x}")
    if device_id is not None and reply[HEADER:BODY] != device_id:
        raise BadReply(f"the reply of another device: {reply[HEADER:BODY].hex()}")
    return reply[BODY:]


def decode_search(reply: bytes) -> DeviceServer:
    """`device id(12) IP address(4, big-endian)`. Raises BadReply."""
    body = decode_body(reply, number=SEARCH)
    if len(body) != 4:
        raise BadReply(f"an IP address of {len(body)} bytes")
    return DeviceServer(
        device_id=reply[HEADER:BODY],
        hardware_id=int.from_bytes(reply[12:14], "little"),
        mac=reply[14:BODY].hex(":"),
        address=str(IPv4Address(body)),
    )


def decode_name(body: bytes) -> str | None:
    """At most 40 bytes up to NUL; None when nothing printable is in them."""
    name = body[:LONGEST_NAME].split(b"\0", 1)[0].decode("latin-1")
    return "".join(c for c in name if c.isprintable()).strip() or None


def decode_product_details(body: bytes) -> ProductDetails:
    """
    `(1) patch minor major (4) serial number(2) …`; the version's parts are decimal digits in hex.

    00 31 01 01 is what the console of the recorded device prints as 1.1.31. Raises BadReply below
    10 bytes.
    """
    if len(body) < 10:
        raise BadReply(f"product details of {len(body)} bytes are too short")
    patch, minor, major = body[1], body[2], body[3]
    firmware = f"{major:x}.{minor:x}" + (f".{patch:x}" if patch else "")
    return ProductDetails(serial=int.from_bytes(body[8:10], "little"), firmware=firmware)


def facts(server: DeviceServer) -> tuple[Fact, ...]:
    access = ServiceAccess(
        protocol="nport",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("device id", server.device_id.hex()),
            ("hardware id", f"{server.hardware_id:04X}"),
            ("MAC address", server.mac),
            ("IP address", server.address),
        ),
    )
    # The search is Moxa's own, and what answers it are its serial device servers.
    looked_up = DeviceIdentity(
        vendor="Moxa",
        model=MODELS.get(server.hardware_id),
        device_class="gateway",
        basis="table",
    )
    return (access, looked_up)


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    return facts(decode_search(await _ask(session, SEARCH, b"", _LABEL_SEARCH)))


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    Serial number and firmware, then the name. Raises Withheld, WireError.

    The search is asked once more only where its answer is not known.
    """
    device_id = _known_device_id(session)
    if device_id is None:
        search = await _ask(session, SEARCH, b"", _LABEL_SEARCH)
        device_id = decode_search(search).device_id
    reply = await _ask(session, PRODUCT_DETAILS, device_id, _LABEL_DETAILS)
    details = decode_product_details(
        decode_body(reply, number=PRODUCT_DETAILS, device_id=device_id)
    )
    reply = await _ask(session, NAME, device_id, _LABEL_NAME)
    name = decode_name(decode_body(reply, number=NAME, device_id=device_id))
    return (
        DeviceIdentity(
            serial=str(details.serial) if details.serial else None,
            firmware=details.firmware,
            name=name,
        ),
    )


def _known_device_id(session: Session) -> bytes | None:
    for fact in session.known:
        if isinstance(fact, ServiceAccess) and fact.protocol == "nport":
            told = dict(fact.details).get("device id", "")
            if len(told) == 2 * DEVICE_ID:
                return bytes.fromhex(told)
    return None


async def _ask(session: Session, number: int, device_id: bytes, label: str) -> bytes:
    request = encode_request(number, device_id)
    return await session.exchange(request, datagram_length, label=label)


_LABEL_SEARCH: Final = "search"
_LABEL_DETAILS: Final = "product details"
_LABEL_NAME: Final = "device name"
_SAMPLE_ID: Final = bytes.fromhex("005101801a510090e8000001")
_TRACE: Final = "a datagram as of the vendor's search utility; no log entry"

PROBE = Probe(
    name="nport",
    protocol="nport",
    transport=Transport.UDP,
    ports=(4800,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(Question(label=_LABEL_SEARCH, sample=encode_request(SEARCH), trace=_TRACE),),
    for_controllers=True,
    spoken_by="moxa",
)

READ_PROBE = Probe(
    name="nport",
    protocol="nport",
    transport=Transport.UDP,
    ports=(4800,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(label=_LABEL_SEARCH, sample=encode_request(SEARCH), trace=_TRACE),
        Question(label=_LABEL_DETAILS, sample=encode_request(PRODUCT_DETAILS, _SAMPLE_ID)),
        Question(label=_LABEL_NAME, sample=encode_request(NAME, _SAMPLE_ID)),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    spoken_by="moxa",
)
