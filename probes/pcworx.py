"""
PC Worx: type, order number and firmware of a Phoenix Contact inline controller.

1. One TCP connection, and on it the greeting of the programming tool, `0101 001A …` with the name
   of its interface, IBETH01N0_M. The answer, 20 bytes, carries a session number.
2. `0105 0016 …` with that number: question 0295, tell what you are. It is acknowledged at once.
3. `0106 000E …`: fetch the answer. It has names at fixed places: type of the controller, firmware
   with date and time, order number.

Each answer begins with 81, repeats the request's service and its number, and names its own length;
an answer that does not is none. The connection is then ended with FIN. The tool itself says one
thing more (service 02); what that does is known from one source only, so it is not sent.

Why this is the gentlest question: the protocol has none that is answered without a session, and of
what can be asked in one this changes nothing. Start, stop and download take other services and
other ports (41100, 20547) and are never sent.

Sample result: vendor "Phoenix Contact", model "ILC 151 ETH", order number "2700974", firmware
"4.41", class plc.

Source: S. Hilt, pcworx-info of nmap; frames of an ILC 151 ETH recorded by hi-KK
(ICS-Protocol-identify), from which length, number and service of the answers are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

REQUEST: Final = 0x01
ANSWER: Final = 0x81
OPEN: Final = 0x01
ASK: Final = 0x05
FETCH: Final = 0x06
INTERFACE: Final = b"IBETH01N0_M\x00"
WHAT_ARE_YOU: Final = 0x0295

HEADER: Final = 4
SHORTEST: Final = 8
MAX_REPLY: Final = 1024
SESSION: Final = 16
"""Where the session number (2, big-endian) stands in the answer to the greeting."""

PLC_TYPE: Final = (30, 66)
FIRMWARE: Final = (66, 79)
BUILD_DATE: Final = (79, 91)
BUILD_TIME: Final = (91, 100)
ORDER_NUMBER: Final = 152
FIELD: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerInfo:
    """The names in an answer to question 0295; None where one is empty or was cut off."""

    plc_type: str
    firmware: str | None
    built: str | None
    order_number: str | None


def encode_open() -> bytes:
    """`0101`, length 26, number 0, `0000 7880 0003`, length 12, the interface. Big-endian."""
    body = bytes.fromhex("0000 0000 7880 0003") + len(INTERFACE).to_bytes(2, "big") + INTERFACE
    return _frame(OPEN, body)


def encode_ask(*, session: int) -> bytes:
    """`0105`, length 22, number 1, `0000 7880`, session, `0000 0006 0004`, question, `0000`."""
    body = b"".join(
        (
            bytes.fromhex("0001 0000 7880"),
            session.to_bytes(2, "big"),
            bytes.fromhex("0000 0006 0004"),
            WHAT_ARE_YOU.to_bytes(2, "big"),
            bytes(2),
        )
    )
    return _frame(ASK, body)


def encode_fetch(*, session: int) -> bytes:
    """`0106`, length 14, number 2, `0000 0000`, session, `0400`."""
    body = bytes.fromhex("0002 0000 0000") + session.to_bytes(2, "big") + b"\x04\x00"
    return _frame(FETCH, body)


def _frame(service: int, body: bytes) -> bytes:
    return bytes((REQUEST, service)) + (HEADER + len(body)).to_bytes(2, "big") + body


def reply_length(service: int) -> Callable[[bytes], int | None]:
    """A framer for the answer of one service. It raises BadReply on anything else."""

    def framer(buffer: bytes) -> int | None:
        if buffer[:2] != bytes((ANSWER, service))[: len(buffer)]:
            raise BadReply(f"expected 81{service:02x}, got {buffer[:8].hex()}")
        if len(buffer) < HEADER:
            return None
        length = int.from_bytes(buffer[2:4], "big")
        if not SHORTEST <= length <= MAX_REPLY:
            raise BadReply(f"length {length} of an answer is outside {SHORTEST} to {MAX_REPLY}")
        return length if len(buffer) >= length else None

    return framer


def decode_reply(reply: bytes, service: int, number: int) -> bytes:
    """The answer itself, when it is one to this request. Raises BadReply."""
    if reply_length(service)(reply) != len(reply):
        raise BadReply(f"an answer of {len(reply)} bytes that names another length")
    told = int.from_bytes(reply[4:6], "big")
    if told != number:
        raise BadReply(f"expected the answer to request {number}, got that to {told}")
    return reply


def decode_session(reply: bytes) -> int:
    """The session number of an answer to the greeting. Raises BadReply."""
    decode_reply(reply, OPEN, 0)
    if len(reply) < SESSION + 2:
        raise BadReply(f"an answer of {len(reply)} bytes has no session number")
    return int.from_bytes(reply[SESSION : SESSION + 2], "big")


def decode_info(reply: bytes) -> ControllerInfo:
    """
    Names that end with a zero: type at 30, firmware at 66, its date at 79 and time at 91, order
    number at 152. Raises BadReply when there is no type.
    """
    decode_reply(reply, FETCH, 2)
    plc_type = _name(reply, *PLC_TYPE)
    if plc_type is None:
        raise BadReply(f"an answer of {len(reply)} bytes names no type of controller")
    built = (_name(reply, *BUILD_DATE), _name(reply, *BUILD_TIME))
    return ControllerInfo(
        plc_type=plc_type,
        firmware=_name(reply, *FIRMWARE),
        built=" ".join(part for part in built if part) or None,
        order_number=_name(reply, ORDER_NUMBER, ORDER_NUMBER + FIELD),
    )


def _name(reply: bytes, start: int, end: int) -> str | None:
    text = reply[start:end].split(b"\x00", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip() or None


def facts(info: ControllerInfo) -> tuple[Fact, ...]:
    """What the answer says; the vendor is the one whose protocol this is."""
    access = ServiceAccess(
        protocol="pcworx",
        answers_without_login=True,
        encrypted=False,
        details=(("firmware built", info.built),) if info.built else (),
    )
    said = DeviceIdentity(
        model=info.plc_type, order_number=info.order_number, firmware=info.firmware
    )
    known = DeviceIdentity(vendor="Phoenix Contact", device_class="plc", basis="table")
    return (access, said, known)


async def run(session: Session) -> tuple[Fact, ...]:
    """Three requests on one connection. Raises Withheld, WireError."""
    greeted = await _exchange(session, encode_open(), OPEN, _LABEL_OPEN)
    number = decode_session(greeted)
    asked = await _exchange(session, encode_ask(session=number), ASK, _LABEL_ASK)
    decode_reply(asked, ASK, 1)
    told = await _exchange(session, encode_fetch(session=number), FETCH, _LABEL_FETCH)
    return facts(decode_info(told))


async def _exchange(session: Session, request: bytes, service: int, label: str) -> bytes:
    return await session.exchange(request, reply_length(service), label=label, max_reply=MAX_REPLY)


_LABEL_OPEN: Final = "greeting"
_LABEL_ASK: Final = "question 0295, what are you"
_LABEL_FETCH: Final = "fetch the answer"

PROBE = Probe(
    name="pcworx",
    protocol="pcworx",
    transport=Transport.TCP,
    ports=(1962,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL_OPEN,
            sample=encode_open(),
            trace="one TCP connection and one session of the programming protocol while it lasts",
        ),
        Question(label=_LABEL_ASK, sample=encode_ask(session=0x4C)),
        Question(label=_LABEL_FETCH, sample=encode_fetch(session=0x4C)),
    ),
    for_controllers=True,
    spoken_by="phoenix",
)
