"""
Beckhoff ADS: the name and the TwinCAT version that an AMS router tells to whoever looks for it.

1. One UDP datagram to the device's own address, never a broadcast: service 1 (who are you), with an
   empty sender: `03661471 00000000 01000000 000000000000 1027 00000000`.
2. The reply has the service with its high bit set, the router's AMS NetId, and tags: host name (5),
   operating system (4), TwinCAT version (3), in newer ones a fingerprint (18).

Why this is the gentlest question: it is what every engineering tool sends to find devices; the
router answers by itself, no PLC runtime is asked, no route is needed and none is made. Nothing is
asked on TCP 48898: without a route for us the router closes such connections, and a route is a
change.

Sample result: name "CX_0D7560", firmware "2.11.2228" (TwinCAT), operating system "Windows CE 6.0",
AMS NetId 5.13.117.96.1.1; vendor "Beckhoff" where the operating system is Windows CE, under which
TwinCAT runs on Beckhoff's own devices alone. On other systems TwinCAT may run on anybody's
computer, and the vendor is not told.

Never sent: service 6 (add a route: it carries a user name and a password and changes the router),
every other service of UDP 48899, and every ADS command: write, write control (run, stop, reset),
notifications, read-write.

Source: Beckhoff, ADS library for C++ (github.com/Beckhoff/ADS: the numbers of services and tags,
and that an empty sender is answered); Microsoft, OSVERSIONINFO (layout of tag 4); the exchange as
recorded from a CX with TwinCAT 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

COOKIE: Final = 0x71146603
SERVER_INFO: Final = 1
ANSWER: Final = 0x80000000
SYSTEM_SERVICE: Final = 10000
"""AMS port of the system service."""

HEADER: Final = 24
"""Cookie (4), invoke id (4), service (4), AMS NetId (6), AMS port (2), number of tags (4); LE."""
TAG_VERSION: Final = 3
TAG_OS_VERSION: Final = 4
TAG_HOST_NAME: Final = 5
TAG_FINGERPRINT: Final = 18

MAX_TAGS: Final = 32
MAX_TEXT: Final = 64
PLATFORMS: Final = {2: "Windows NT", 3: "Windows CE"}
"""dwPlatformId of OSVERSIONINFO."""
WINDOWS_CE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemVersion:
    """Tag 4: `size(4) major(4) minor(4) build(4) platform(4) service pack`, little-endian."""

    major: int
    minor: int
    build: int
    platform: int

    @property
    def words(self) -> str:
        name = PLATFORMS.get(self.platform, f"platform {self.platform}")
        build = f".{self.build}" if self.build else ""
        return f"{name} {self.major}.{self.minor}{build}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterInfo:
    """What a router tells. None where the tag was not there or was too short."""

    net_id: str
    host_name: str | None = None
    twincat: str | None = None
    system: SystemVersion | None = None
    fingerprint: str | None = None


def encode_server_info() -> bytes:
    """`cookie(4) invoke(4)=0 service(4)=1 NetId(6)=0 port(2) tags(4)=0`, little-endian."""
    return (
        COOKIE.to_bytes(4, "little")
        + bytes(4)
        + SERVER_INFO.to_bytes(4, "little")
        + bytes(6)
        + SYSTEM_SERVICE.to_bytes(2, "little")
        + bytes(4)
    )


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def decode_server_info(reply: bytes) -> RouterInfo:
    """Header and tags of the answer to service 1. Raises BadReply, also on our own request."""
    if len(reply) < HEADER or int.from_bytes(reply[:4], "little") != COOKIE:
        raise BadReply(f"expected an answer of an AMS router, got {reply[:8].hex()}")
    service = int.from_bytes(reply[8:12], "little")
    if reply[4:8] != bytes(4) or service != ANSWER | SERVER_INFO:
        raise BadReply(f"expected the answer to service 1, got {reply[4:12].hex()}")
    tags = decode_tags(reply[HEADER:], count=int.from_bytes(reply[20:24], "little"))
    return RouterInfo(
        net_id=".".join(str(byte) for byte in reply[12:18]),
        host_name=decode_text(tags.get(TAG_HOST_NAME, b"")),
        twincat=decode_twincat_version(tags.get(TAG_VERSION, b"")),
        system=decode_system_version(tags.get(TAG_OS_VERSION, b"")),
        fingerprint=decode_text(tags.get(TAG_FINGERPRINT, b"")),
    )


def decode_tags(data: bytes, *, count: int) -> dict[int, bytes]:
    """
    `{id(2) length(2) value}`, little-endian; the first of an id counts. Raises BadReply where a tag
    reaches beyond the datagram or one is missing; more than 32 are not read.
    """
    found: dict[int, bytes] = {}
    at = 0
    for _ in range(min(count, MAX_TAGS)):
        if len(data) < at + 4:
            raise BadReply(f"{count} tags are named, and the datagram ends before them")
        number = int.from_bytes(data[at : at + 2], "little")
        size = int.from_bytes(data[at + 2 : at + 4], "little")
        if len(data) < at + 4 + size:
            raise BadReply(f"tag {number} reaches beyond the datagram")
        found.setdefault(number, data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def decode_twincat_version(value: bytes) -> str | None:
    """`major(1) minor(1) build(2)`, little-endian."""
    if len(value) < 4 or not any(value[:4]):
        return None
    return f"{value[0]}.{value[1]}.{int.from_bytes(value[2:4], 'little')}"


def decode_system_version(value: bytes) -> SystemVersion | None:
    if len(value) < 20:
        return None
    major, minor, build, platform = (
        int.from_bytes(value[at : at + 4], "little") for at in (4, 8, 12, 16)
    )
    return SystemVersion(major=major, minor=minor, build=build, platform=platform)


def decode_text(value: bytes) -> str | None:
    text = value.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


def facts(info: RouterInfo) -> tuple[Fact, ...]:
    """What the reply itself says, and apart from it what its operating system says of the maker."""
    said = DeviceIdentity(name=info.host_name, firmware=info.twincat)
    found: list[Fact] = [
        ServiceAccess(
            protocol="ads",
            answers_without_login=True,
            encrypted=False,
            version=info.twincat,
            details=tuple(_details(info)),
        )
    ]
    if said != DeviceIdentity():
        found.append(said)
    if info.system is not None and info.system.platform == WINDOWS_CE:
        found.append(DeviceIdentity(vendor="Beckhoff", basis="table"))
    return tuple(found)


def _details(info: RouterInfo) -> Iterator[tuple[str, str]]:
    yield "AMS NetId", info.net_id
    if info.system is not None:
        yield "operating system", info.system.words
    if info.fingerprint is not None:
        yield "fingerprint", info.fingerprint


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(encode_server_info(), datagram_length, label=_LABEL)
    return facts(decode_server_info(reply))


_LABEL: Final = "AMS router: server information"

PROBE = Probe(
    name="ads",
    protocol="ads",
    transport=Transport.UDP,
    ports=(48899,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(Question(label=_LABEL, sample=encode_server_info()),),
    for_controllers=True,
    spoken_by="beckhoff",
)
