"""
CODESYS: a controller's own name, device, vendor and version, from its name service or its runtime.

Version 3, `PROBE`:

1. One UDP datagram to the device's own address, never a broadcast: a name service request, packet
   type C202, resolve address. No channel is opened (service 0x40), nobody logs in.
2. The answer, packet type C280, carries node name, device name, vendor, target type, target id and
   version, and the serial number where the vendor fills it in.

A runtime does not answer the port that a question came from. It reads the sender's address in the
datagram: an index of a UDP port from 1740, then the bits of the IP address that its network mask
leaves free. So the question leaves from one of our ports 1740 to 1743 (`own_ports`), and carries
our address as seen in the network that we share with the device. Behind a router it carries the
whole address, which no device can take for a neighbour's; such devices will mostly stay silent.

Version 2.3, `V2_PROBE`, the service codesys2 on TCP 1200, at WAGO 2455:

1. One connection, seven bytes `BBBB 01000000 01`: say who you are, numbers little-endian.
2. The answer has names at fixed places: operating system, its version, the runtime's product.
3. Only where the device ends that connection without a byte, one more connection with the form
   for big-endian runtimes, `BBBB 01000001 01`; never after silence, which may be distress.

Why these are the gentlest questions: both are what the programming tool asks before it shows a
list of devices. Everything behind them in either protocol (login, files, shell, start, stop) needs
a channel, respectively another command, and is never sent. A runtime of version 2.3 asks nobody for
a password, so that the first wrong command would be obeyed.

Sample results: name "PFC200-438F4C", model "WAGO 750-8206 PFC200 2ETH RS CAN DPS", vendor "WAGO",
firmware "5.15.4.0", class plc; operating system "Nucleus PLUS", class plc.

Source: for version 3 A. Nochvay, Security research: CODESYS Runtime, part 2 (Kaspersky ICS CERT,
2019), datagram layer; layout of names by A. Galauner's codesys3 library for nmap; a request of the
programming tool in the CODESYS Forge thread bba444aef6. For version 2.3 Digital Bond's Redpoint,
codesys-v2-discover.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Literal

from scanner.errors import BadReply, Closed, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import OwnEnd, Probe, Question, Session

# --- version 3 -----------------------------------------------------------------------------------

MAGIC: Final = 0xC5
HOPS_AND_HEADER: Final = 0x74
"""14 hops, and a header of 4 words of 16 bits up to the addresses."""
PACKET_INFO: Final = 0x40
"""Priority 1, no signal, an absolute address, data length 0."""
NAME_SERVICE_REQUEST: Final = 0x03
NAME_SERVICE_ANSWER: Final = 0x04
RESOLVE_ADDRESS: Final = 0xC202
IDENTIFICATION: Final = 0xC280
VERSION: Final = 0x0400
KNOWN_VERSIONS: Final = frozenset({0x0103, 0x0400})

FIRST_PORT: Final = 1740
OWN_PORTS: Final = (1740, 1741, 1742, 1743)

FIXED: Final = 48
"""Of an identification, up to the parent's address and the names."""
MAX_TEXT: Final = 128
TARGET_CLASSES: Final = {0x1000: "plc"}
"""Target types that name a class beyond doubt; 4096 is a programmable controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What the name service tells. A text is None where it is empty."""

    node_name: str | None
    device_name: str | None
    vendor: str | None
    serial: str | None
    target_type: int
    target_id: int
    target_version: str
    channels: int
    flags: int


def encode_sender(own: OwnEnd) -> bytes:
    """
    Our address as a runtime reads it: index of our port from 1740 (2 bits), then the bits of our
    IPv4 address that the shared network leaves free (all 32 where none is shared), in as few
    big-endian words of 16 bits as they need.

    Raises Withheld for IPv6, in which no address of this protocol is known.
    """
    if ":" in own.address:
        raise Withheld("the CODESYS name service is asked over IPv4 only")
    free = 32 - (own.prefix or 0)
    index = (own.port - FIRST_PORT) & 3
    address = index << free | int(IPv4Address(own.address)) & ((1 << free) - 1)
    words = -(-(free + 2) // 16)
    return address.to_bytes(2 * words, "big")


def encode_resolve_address(*, sender: bytes, request_id: int) -> bytes:
    """
    `C5 74 40 03 00`, lengths of addresses (sender's high, receiver's 0), a number of the datagram
    (2), the sender's address, zeros up to four bytes; then `02C2 0004` and the request id (4).

    The header is big-endian, what follows little-endian.
    """
    lengths = len(sender) // 2 << 4
    header = bytes(
        (MAGIC, HOPS_AND_HEADER, PACKET_INFO, NAME_SERVICE_REQUEST, 0, lengths)
    ) + (request_id & 0xFFFF).to_bytes(2, "big") + sender  # fmt: skip
    header += bytes(-len(header) % 4)
    return b"".join(
        (
            header,
            RESOLVE_ADDRESS.to_bytes(2, "little"),
            VERSION.to_bytes(2, "little"),
            request_id.to_bytes(4, "little"),
        )
    )


def decode_datagram(data: bytes) -> bytes:
    """
    The content of an answer of the name service, behind header, addresses and padding.

    Raises BadReply on what is no such answer; our own request is none.
    """
    if len(data) < 6 or data[0] != MAGIC:
        raise BadReply(f"expected a CODESYS datagram, got {data[:8].hex()}")
    if data[3] != NAME_SERVICE_ANSWER:
        raise BadReply(f"expected an answer of the name service, got service {data[3]:#04x}")
    words = (data[1] & 7) + (data[5] & 15) + (data[5] >> 4)
    start = 2 * words + (-2 * words) % 4
    if data[1] & 7 < 3 or len(data) < start + 8:
        raise BadReply(f"a name service answer of {len(data)} bytes is too short")
    return data[start:]


def answers(request_id: int) -> Callable[[bytes], int | None]:
    """A framer for the one datagram that answers this question; another's answer is passed by."""

    def framer(datagram: bytes) -> int | None:
        content = decode_datagram(datagram)
        return len(datagram) if int.from_bytes(content[4:8], "little") == request_id else None

    return framer


def decode_identification(content: bytes) -> Identification:
    """
    `type(2) version(2) request(4) channels(2) order(1) difference(1)`, then lengths of parent
    address, node, device and vendor name (2 each), target type, id, version and flags (4 each),
    lengths of serial and OEM data (1 each), 10 bytes; then parent address, names, serial.

    `order` 0: the numbers behind it are big-endian. Names count characters of UTF-16, each ends
    with a zero that is not counted. Raises BadReply.
    """
    kind = int.from_bytes(content[:2], "little")
    version = int.from_bytes(content[2:4], "little")
    if kind != IDENTIFICATION or version not in KNOWN_VERSIONS:
        raise BadReply(f"expected an identification, got {kind:04x} in version {version:#06x}")
    if len(content) < FIXED:
        raise BadReply(f"an identification of {len(content)} bytes is too short")
    order: Literal["little", "big"] = "little" if content[10] else "big"
    parent, *lengths = (int.from_bytes(content[at : at + 2], order) for at in range(12, 20, 2))
    target_type, target_id, target_version, flags = (
        int.from_bytes(content[at : at + 4], order) for at in range(20, 36, 4)
    )
    at = FIXED + parent
    names = []
    for length in lengths:
        if len(content) < at + 2 * length:
            raise BadReply(f"a name of {length} characters does not fit into the identification")
        raw = content[at : at + 2 * length]
        names.append(_text(raw.decode(f"utf-16-{order[0]}e", "replace")))
        at += 2 * length + 2
    node, device, vendor = names
    return Identification(
        node_name=node,
        device_name=device,
        vendor=vendor,
        serial=_serial(content[at:], content[36]),
        target_type=target_type,
        target_id=target_id,
        target_version=".".join(str(part) for part in target_version.to_bytes(4, "big")),
        channels=int.from_bytes(content[8:10], order),
        flags=flags,
    )


def _serial(rest: bytes, length: int) -> str | None:
    """Runtimes write it in one byte for each character, some in two."""
    wide = rest[: 2 * length]
    if length > 1 and len(wide) == 2 * length and not any(wide[1::2]):
        return _text(wide[::2].decode("latin-1"))
    return _text(rest[:length].decode("latin-1"))


def _text(value: str) -> str | None:
    """Up to the first zero; what is not printable is left out."""
    told = value.split("\x00", 1)[0]
    return "".join(c for c in told if c.isprintable()).strip()[:MAX_TEXT] or None


def facts(told: Identification) -> tuple[Fact, ...]:
    """What the answer says, and apart from it the class that its target type names."""
    access = ServiceAccess(
        protocol="codesys",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("target type", f"{told.target_type:#06x}"),
            ("target id", f"{told.target_id:#010x}"),
            ("flags", f"{told.flags:#010x}"),
            ("channels", str(told.channels)),
        ),
    )
    said = DeviceIdentity(
        vendor=told.vendor,
        model=told.device_name,
        firmware=None if told.target_version == "0.0.0.0" else told.target_version,  # noqa: S104
        serial=told.serial,
        name=told.node_name,
    )
    kind = TARGET_CLASSES.get(told.target_type)
    looked_up = (DeviceIdentity(device_class=kind, basis="table"),) if kind else ()
    return (access, *((said,) if said != DeviceIdentity() else ()), *looked_up)


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one answer. Raises Withheld, WireError."""
    own = await session.own_end()
    # Another number each time, so that a late answer to an earlier question is told apart.
    request_id = int(session.now().timestamp() * 1000) & 0xFFFFFFFF
    request = encode_resolve_address(sender=encode_sender(own), request_id=request_id)
    reply = await session.exchange(request, answers(request_id), label=_LABEL)
    return facts(decode_identification(decode_datagram(reply)))


# --- version 2.3 ---------------------------------------------------------------------------------

V2_MAGIC: Final = b"\xbb\xbb"
WHO_LITTLE: Final = V2_MAGIC + bytes.fromhex("0100000001")
WHO_BIG: Final = V2_MAGIC + bytes.fromhex("0100000101")
V2_SYSTEM: Final = 64
V2_SYSTEM_VERSION: Final = 96
V2_PRODUCT: Final = 128
V2_FIELD: Final = 32
V2_MAX_REPLY: Final = 1024
LETTER: Final = re.compile("[A-Za-z]")
RUNTIME_MAKER: Final = "3S-Smart"
"""Where the product is the runtime's maker, it says nothing of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a runtime of version 2.3 tells. None: empty."""

    system: str | None
    system_version: str | None
    product: str | None


def encode_who(*, big: bool = False) -> bytes:
    """`BBBB 01000000 01`; for big-endian runtimes `BBBB 01000001 01`."""
    return WHO_BIG if big else WHO_LITTLE


def runtime_reply_length(buffer: bytes) -> int | None:
    """
    All that came, once the product's name has ended: the reply's own length is not understood.

    An echo of our request never gets that far. Raises BadReply on what does not begin as a reply.
    """
    if buffer[: len(V2_MAGIC)] != V2_MAGIC[: len(buffer)]:
        raise BadReply(f"expected BB BB, got {buffer[:8].hex()}")
    ended = 0 in buffer[V2_PRODUCT : V2_PRODUCT + V2_FIELD]
    return len(buffer) if ended or len(buffer) >= V2_PRODUCT + V2_FIELD else None


def decode_runtime(reply: bytes) -> Runtime:
    """
    Names of at most 32 bytes at 64 (operating system), 96 (its version) and 128 (product), each
    ended by a zero. Raises BadReply when it is too short, names no operating system (one without
    a letter, or without its end, is none), or begins with our own question.
    """
    if reply[:2] != V2_MAGIC or reply[:7] in (WHO_LITTLE, WHO_BIG) or len(reply) <= V2_PRODUCT:
        raise BadReply(f"expected a CODESYS 2.3 runtime, got {len(reply)} bytes: {reply[:8].hex()}")
    system, version, product = (
        _text(reply[at : at + V2_FIELD].decode("latin-1"))
        for at in (V2_SYSTEM, V2_SYSTEM_VERSION, V2_PRODUCT)
    )
    field = reply[V2_SYSTEM:V2_SYSTEM_VERSION]
    if 0 not in field or system is None or not LETTER.search(system):
        raise BadReply(f"a CODESYS 2.3 reply without an operating system: {field[:16].hex()}")
    return Runtime(system=system, system_version=version, product=product)


def runtime_facts(told: Runtime) -> tuple[Fact, ...]:
    """A runtime is a controller's; of which device, only a vendor's own product name tells."""
    named = (
        ("operating system", told.system),
        ("operating system version", told.system_version),
        ("product", told.product),
    )
    access = ServiceAccess(
        protocol="codesys2",
        answers_without_login=True,
        encrypted=False,
        details=tuple((name, value) for name, value in named if value),
    )
    looked_up = DeviceIdentity(device_class="plc", basis="table")
    if told.product is None or told.product.startswith(RUNTIME_MAKER):
        return (access, looked_up)
    return (access, DeviceIdentity(model=told.product), looked_up)


async def run_v2(session: Session) -> tuple[Fact, ...]:
    """One connection; two where the first was ended without a byte. Raises Withheld, WireError."""
    try:
        reply = await _ask_runtime(session, big=False)
    except Closed:
        await session.close()
        reply = await _ask_runtime(session, big=True)
    return runtime_facts(decode_runtime(reply))


async def _ask_runtime(session: Session, *, big: bool) -> bytes:
    return await session.exchange(
        encode_who(big=big),
        runtime_reply_length,
        label=_LABEL_BIG if big else _LABEL_LITTLE,
        max_reply=V2_MAX_REPLY,
        whatever_came=True,
    )


_LABEL: Final = "name service: resolve address"
_LABEL_LITTLE: Final = "runtime identification, little-endian"
_LABEL_BIG: Final = "runtime identification, big-endian"
_SAMPLE: Final = encode_resolve_address(
    sender=encode_sender(OwnEnd(address="192.0.2.9", port=FIRST_PORT, prefix=24)), request_id=1
)

PROBE = Probe(
    name="codesys",
    protocol="codesys",
    transport=Transport.UDP,
    ports=(1740,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=_SAMPLE,
            trace="one or two datagrams; no channel, no session, no log entry",
        ),
    ),
    for_controllers=True,
    own_ports=OWN_PORTS,
)

V2_PROBE = Probe(
    name="codesys",
    protocol="codesys2",
    transport=Transport.TCP,
    ports=(1200, 2455),
    tier=Tier.IDENTIFY,
    run=run_v2,
    questions=(
        Question(
            label=_LABEL_LITTLE,
            sample=WHO_LITTLE,
            trace="one TCP connection to the runtime while it lasts; nobody logs in",
        ),
        Question(
            label=_LABEL_BIG,
            sample=WHO_BIG,
            trace="one more TCP connection, where the first was ended without an answer",
        ),
    ),
    connections=2,
    for_controllers=True,
    service="codesys2",
)
