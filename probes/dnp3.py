"""
DNP3: whether an outstation is there, and at which link address. It never says which device it is.

1. Only where the site file names it. One connection to the port, and one link frame: REQUEST LINK
   STATUS to the first address of `dnp3_addresses` (without it: 1), in the name of `dnp3_master`
   (without it: 0): `05 64 05 C9 0100 0000` and its CRC.
2. LINK STATUS, `05 64 05 0B 0000 0100` and its CRC; an outstation that has no such service says NOT
   SUPPORTED, which is as good an answer.
3. The next address of the site file, three at most, on the same connection and at least a second
   later. No address is guessed.
4. The connection is closed.

Why this is the gentlest question: the link layer answers it by itself. No function of the
application layer is called, no frame count bit is reset and no link is reset; a request of the
application layer would make us the master. Even so the connection takes a place: most outstations
serve one master, and a second connection may end the first. Therefore this is asked where the owner
wrote it down.

An outstation that knows its master by the address stays silent to any other source, as the
specification lets it; then only `dnp3_master` helps, and that is the owner's decision.

Sample result: link address 10 answers somebody who showed no credential. Vendor and model are
objects of group 0, which need the application layer and are not read.

Never sent: reset of link or user process, user data, and so every function of the application
layer: write, select, operate, freeze, restart, time, files, configuration.

Source: IEEE 1815-2012, clause 9.2 (link frame, CRC), table 9-1 and clause 9.2.5 (function codes of
the link layer), clause 13 (IP networks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from scanner.errors import BadReply, Silent, WireError
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

START: Final = b"\x05\x64"
REQUEST_LINK_STATUS: Final = 0xC9
"""DIR and PRM set (from a master, a primary), function 9."""
FROM_MASTER: Final = 0x80
PRIMARY: Final = 0x40
FLOW_CONTROL: Final = 0x10
LINK_STATUS: Final = 11
NOT_SUPPORTED: Final = 15
HEADER: Final = 10
BLOCK: Final = 16

DEFAULT_ADDRESSES: Final = (1,)
DEFAULT_MASTER: Final = 0
HIGHEST: Final = 0xFFEF
"""Those above are broadcasts, the self-address or reserved."""
MAX_ADDRESSES: Final = 3
SPACING_S: Final = 1.0
DEADLINE_S: Final = 3.5
"""Three silent addresses and the pauses between them fit in one connection's 15 s."""
MAX_REPLY: Final = 2048
MAX_PASSED_OVER: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAnswer:
    """Who answered whom, and with which function of the link layer."""

    source: int
    destination: int
    function: int


def crc(data: bytes) -> bytes:
    """CRC-16/DNP, low byte first: reflected polynomial 0xA6BC, begins at zero, inverted at last."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA6BC if value & 1 else value >> 1
    return (~value & 0xFFFF).to_bytes(2, "little")


def encode_request_link_status(*, destination: int, source: int) -> bytes:
    """`05 64 length=5 control destination(2) source(2) crc(2)`, little-endian."""
    head = START + bytes([5, REQUEST_LINK_STATUS])
    head += destination.to_bytes(2, "little") + source.to_bytes(2, "little")
    return head + crc(head)


def frame_length(buffer: bytes) -> int | None:
    """
    Length of the first link frame with its blocks and CRCs, None when it is not whole.

    The length octet counts control, addresses and user data, without any CRC. Raises BadReply on
    other protocols.
    """
    if not START.startswith(buffer[:2]) or (len(buffer) > 2 and buffer[2] < 5):
        raise BadReply(f"expected a DNP3 link frame, got {buffer[:10].hex()}")
    if len(buffer) < 3:
        return None
    data = buffer[2] - 5
    length = HEADER + data + 2 * -(-data // BLOCK)
    return length if len(buffer) >= length else None


def reply_length(buffer: bytes, *, late: frozenset[int] = frozenset()) -> int | None:
    """
    Length up to the end of the first frame that can be the answer.

    Passed over are what an outstation sends by itself (unsolicited, PRM set), and answers of `late`
    addresses that were given up. Raises BadReply on anything else and on more than four of those.
    """
    end = 0
    for _ in range(MAX_PASSED_OVER + 1):
        length = frame_length(buffer[end:])
        if length is None:
            return None
        frame = buffer[end : end + length]
        end += length
        by_itself = frame[3] & (FROM_MASTER | PRIMARY) == PRIMARY
        if not by_itself and int.from_bytes(frame[6:8], "little") not in late:
            return end
    raise BadReply(f"more than {MAX_PASSED_OVER} frames that are no answer")


def decode_link_answer(reply: bytes) -> LinkAnswer:
    """
    The last frame of a reply: `05 64 05 control destination(2) source(2) crc(2)`.

    Raises BadReply on a wrong CRC, on a frame of a master (our own come back) and on what is
    neither LINK STATUS nor NOT SUPPORTED.
    """
    last = 0
    while (length := frame_length(reply[last:])) is not None and last + length < len(reply):
        last += length
    frame = reply[last:]
    if len(frame) != HEADER or crc(frame[:8]) != frame[8:10]:
        raise BadReply(f"expected a link header with its CRC, got {frame[:12].hex()}")
    function = frame[3] & 0x0F
    secondary = not frame[3] & (FROM_MASTER | PRIMARY)
    if not secondary or function not in (LINK_STATUS, NOT_SUPPORTED):
        raise BadReply(f"expected LINK STATUS, got control 0x{frame[3]:02X}")
    return LinkAnswer(
        destination=int.from_bytes(frame[4:6], "little"),
        source=int.from_bytes(frame[6:8], "little"),
        function=function,
    )


def addresses(options: Mapping[str, object]) -> tuple[int, ...]:
    """The link addresses to ask, in the site file's order; three at most, else 1."""
    listed = options.get("dnp3_addresses")
    if not isinstance(listed, tuple | list):
        return DEFAULT_ADDRESSES
    valid = [one for one in listed if isinstance(one, int) and 0 <= one <= HIGHEST]
    return tuple(dict.fromkeys(valid))[:MAX_ADDRESSES] or DEFAULT_ADDRESSES


def master(options: Mapping[str, object]) -> int:
    """The address in whose name is asked."""
    given = options.get("dnp3_master")
    return given if isinstance(given, int) and 0 <= given <= HIGHEST else DEFAULT_MASTER


async def run(session: Session) -> tuple[Fact, ...]:
    """
    Ask the addresses in turn. Raises Withheld, WireError; Silent only when nobody answered.

    An answer once told is not taken away by later trouble.
    """
    source = master(session.options)
    answered: list[int] = []
    late: set[int] = set()
    silence: Silent | None = None
    for position, address in enumerate(addresses(session.options)):
        if position:
            await session.pause(SPACING_S)
        try:
            reply = await session.exchange(
                encode_request_link_status(destination=address, source=source),
                partial(reply_length, late=frozenset(late)),
                # each address is a question of its own: one that is silent says nothing of another
                label=f"{_LABEL} to {address}",
                deadline_s=DEADLINE_S,
                max_reply=MAX_REPLY,
            )
            answer = decode_link_answer(reply)
            if (answer.source, answer.destination) != (address, source):
                raise BadReply(f"expected {address} to answer {source}, got {answer}")
        except Silent as error:
            silence = error
            late.add(address)
            continue
        except WireError:
            if not answered:
                raise
            break
        answered.append(address)
    if not answered:
        raise silence or Silent("no link address was asked")
    return (
        ServiceAccess(
            protocol="dnp3",
            answers_without_login=True,
            encrypted=False,
            details=tuple(("link address", str(address)) for address in answered),
        ),
    )


_LABEL: Final = "REQUEST LINK STATUS"

PROBE = Probe(
    name="dnp3",
    protocol="dnp3",
    transport=Transport.TCP,
    ports=(20000,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_request_link_status(destination=1, source=DEFAULT_MASTER),
            at_most=MAX_ADDRESSES,
            trace="one connection in the outstation's log; some outstations end that of the master "
            "for it",
        ),
    ),
    for_controllers=True,
    opt_in=True,
)
