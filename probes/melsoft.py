"""
MELSOFT, the connection of Mitsubishi's engineering tools: which CPU is on the other end.

1. One UDP datagram to port 5006: the frame with which the tools ask for the CPU's name, byte for
   byte as it was recorded. The layout is known from recordings alone, so nothing in it is varied.
2. The reply carries the CPU's name as 16 characters, and its code.

`TCP_PROBE` sends the same frame over TCP port 5007, only where the datagram stayed unanswered
(`needs` "udp_silent"). The connection has no set-up and no goodbye.

Why this is the gentlest question: it is the tools' own first one; it names no device memory, no
file and no operating state. Never sent: every other frame, in which the same two bytes name device
writes (1402), remote RUN, STOP, PAUSE and RESET (1001 to 1006), passwords and files.

Not asked: the search of iQ-F controllers (UDP 5560, `5A000001`, then function 0121). In the
recording the tools broadcast it and the controller answers by broadcast, so that a question to one
address would be answered to the whole segment; and no source says that it only reads. The answer
that was recorded is decoded all the same, since it has the layout of this one.

Sample result: model "Q03UDECPU", vendor "Mitsubishi", class plc.

Source: recorded exchanges of a Q03UDECPU (TCP 5007) and an FX5U-32MT/ES (UDP 5560, ITI
ICS-Security-Tools, melsoft_UDP_clean_2.pcap); Digital Bond's melsecq-discover scripts for TCP 5007
and UDP 5006; model codes as in SH(NA)-080956ENG section 5.7. All numbers little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

REPLY: Final = 0xD7
SIGN: Final = b"\x11\x11"
HEADER: Final = 21
"""Up to and with the length (2) at offset 19 of what follows."""
ANSWERED: Final = 0x9C
"""First byte behind the header: that of the request, with its high bit set."""
FUNCTIONS: Final = {0x0C: b"\x01\x01", 0x18: b"\x01\x21"}
"""Length of the second header (at offset 23) and the function that asks for the CPU's name."""
NAME: Final = 16
MAX_REPLY: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """`model` None: the field is empty. `code` is the model code of SLMP."""

    model: str | None
    code: int


def encode_cpu_name() -> bytes:
    """The recorded frame, verbatim."""
    return bytes.fromhex(
        "57000000001111070000ffff030000fe03000014001c080a0800000000000000040101010000000001"
    )


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def reply_length(buffer: bytes) -> int | None:
    """Length of the reply on TCP. Raises BadReply on other bytes and on impossible lengths."""
    if buffer and buffer[0] != REPLY:
        raise BadReply(f"expected a MELSOFT reply, got {buffer[:8].hex()}")
    if len(buffer) < HEADER:
        return None
    end = HEADER + int.from_bytes(buffer[19:HEADER], "little")
    if end > MAX_REPLY:
        raise BadReply(f"a MELSOFT reply of {end} bytes is none to this question")
    return end if len(buffer) >= end else None


def decode_cpu(reply: bytes) -> Cpu:
    """
    `D7 …(4) 1111 … length(2) 9C … second header … function(2) number(1) 000000 name(16) code(2)`.

    The name's place follows from the length of the second header. Raises BadReply on what is no
    reply, or one to another function.
    """
    if len(reply) <= 23 or reply[0] != REPLY or reply[5:7] != SIGN or reply[21] != ANSWERED:
        raise BadReply(f"expected a MELSOFT reply, got {reply[:24].hex()}")
    if HEADER + int.from_bytes(reply[19:HEADER], "little") != len(reply):
        raise BadReply(f"a MELSOFT reply of {len(reply)} bytes names another length")
    at = 29 + reply[23]
    if reply[23] not in FUNCTIONS or len(reply) < at + NAME + 2:
        raise BadReply(f"a MELSOFT reply without a CPU's name: {reply[:24].hex()}")
    if reply[at - 6 : at - 4] != FUNCTIONS[reply[23]]:
        raise BadReply(f"a MELSOFT reply to function {reply[at - 6 : at - 4].hex()}")
    name = reply[at : at + NAME].split(b"\0", 1)[0].decode("latin-1")
    return Cpu(
        model="".join(c for c in name if c.isprintable()).strip() or None,
        code=int.from_bytes(reply[at + NAME : at + NAME + 2], "little"),
    )


def facts(cpu: Cpu) -> tuple[Fact, ...]:
    access = ServiceAccess(
        protocol="melsoft",
        answers_without_login=True,
        encrypted=False,
        details=(("model code", f"{cpu.code:04X}"),),
    )
    if cpu.model is None:
        return (access,)
    # The protocol is Mitsubishi's own, and its CPU modules alone have a CPU's name.
    looked_up = DeviceIdentity(vendor="Mitsubishi", device_class="plc", basis="table")
    return (access, DeviceIdentity(model=cpu.model), looked_up)


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(encode_cpu_name(), datagram_length, label=_LABEL)
    return facts(decode_cpu(reply))


async def run_tcp(session: Session) -> tuple[Fact, ...]:
    """The same over one TCP connection. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_cpu_name(), reply_length, label=_LABEL, max_reply=MAX_REPLY
    )
    return facts(decode_cpu(reply))


_LABEL: Final = "CPU name"

PROBE = Probe(
    name="melsoft",
    protocol="melsoft",
    transport=Transport.UDP,
    ports=(5006,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_cpu_name(),
            trace="one datagram as of an engineering tool that looks for its CPU; no event",
        ),
    ),
    for_controllers=True,
    spoken_by="mitsubishi",
)

TCP_PROBE = Probe(
    name="melsoft",
    protocol="melsoft",
    transport=Transport.TCP,
    ports=(5007,),
    tier=Tier.IDENTIFY,
    run=run_tcp,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_cpu_name(),
            trace="one of the CPU's MELSOFT connections while it lasts; no event",
        ),
    ),
    needs=frozenset({"udp_silent"}),
    for_controllers=True,
    spoken_by="mitsubishi",
)
