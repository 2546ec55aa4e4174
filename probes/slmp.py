"""
SLMP, the MELSEC communication protocol: which CPU is on the other end.

1. Connect to TCP port 5000, or to the ports that the site file names: an SLMP port is configured
   per connection in the controller's parameters, so there is none that all have.
2. Read Type Name (command 0101, subcommand 0000) in a binary 3E frame to the own station. The
   reply carries the model as 16 characters, and its code.

A frame of 15 bytes whose length field says 6: monitoring timer, command and subcommand. The end
code of a refusal proves SLMP and tells nothing of the device. A port that is set to ASCII, or to
another frame, answers nothing; it is asked once and left.

Why this is the gentlest question: it has no data, names no device memory and changes nothing. A
connection entry takes one client in many controllers (an FX5U accepts a second one and closes it
at once), so the connection is ended as soon as the answer is there. Never sent: remote RUN, STOP,
PAUSE, latch clear and RESET (1001 to 1006), every write (1401, 1402, 1406, 1601, 1613), error
clear (1617), remote passwords (1630, 1631), file commands (18xx), node search and its IP address
set (0E30, 0E31); reads of memory (0401, 0403, 0406, 0601, 0613) are left out, too.

Sample result: model "FX5U-32MT/DS", class plc, vendor "Mitsubishi" by the form of the model's
name, since makers of other devices speak SLMP as well.

Source: Mitsubishi SH(NA)-080956ENG, SLMP Reference Manual, sections 4.1 to 4.3 (frames) and 5.7
(Read Type Name, model codes); JY997D56001, FX5 User's Manual (SLMP), Read Type Name. All numbers
little-endian.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

READ_TYPE_NAME: Final = 0x0101
REQUEST: Final = b"\x50\x00"
RESPONSE: Final = b"\xd0\x00"
OWN_STATION: Final = b"\x00\xff\xff\x03\x00"
"""Network 0, station 0xFF, module I/O 0x03FF (the CPU), multidrop station 0."""
TIMER: Final = 16
"""How long the controller may take, in units of 250 ms."""

PREFIX: Final = 9
"""Subheader (2), access route (5), data length (2)."""
DATA: Final = PREFIX + 2
"""Behind the prefix: the end code."""
MODEL: Final = 16
MAX_REPLY: Final = 512

CPU: Final = re.compile(r"CPU(\b|-)|^FX\d")
"""Names of MELSEC CPU modules and of FX main units: Q03UDECPU, L26CPU-BT, FX5U-32MT/ES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeName:
    """`model` None: the field is empty."""

    model: str | None
    code: int


def encode_read_type_name() -> bytes:
    """`50 00`, route, length 6, timer, command 0101, subcommand 0000."""
    body = TIMER.to_bytes(2, "little") + READ_TYPE_NAME.to_bytes(2, "little") + bytes(2)
    return REQUEST + OWN_STATION + len(body).to_bytes(2, "little") + body


def reply_length(buffer: bytes) -> int | None:
    """Length of the 3E response. Raises BadReply on other bytes and on impossible lengths."""
    if not RESPONSE.startswith(buffer[:2]):
        raise BadReply(f"expected an SLMP 3E response, got {buffer[:8].hex()}")
    if len(buffer) < PREFIX:
        return None
    length = int.from_bytes(buffer[7:9], "little")
    if not 2 <= length <= MAX_REPLY - PREFIX:
        raise BadReply(f"an SLMP response cannot have length {length}")
    return PREFIX + length if len(buffer) >= PREFIX + length else None


def decode_end_code(reply: bytes) -> int:
    """0: carried out. Raises BadReply on what is no response from the station that was asked."""
    if len(reply) < DATA or reply[:2] != RESPONSE:
        raise BadReply(f"expected an SLMP 3E response, got {reply[:DATA].hex()}")
    if reply[2:7] != OWN_STATION:
        raise BadReply(f"an SLMP response of another station: {reply[2:7].hex()}")
    end_code = int.from_bytes(reply[9:11], "little")
    # What was refused is named behind the end code: route (5), command (2), subcommand (2).
    if end_code and (len(reply) < 20 or reply[16:18] not in (b"\x01\x01", b"\x00\x00")):
        raise BadReply(f"an SLMP refusal of another command: {reply.hex()[:64]}")
    return end_code


def decode_type_name(reply: bytes) -> TypeName:
    """`model(16, filled by spaces) code(2)` behind the end code. Raises BadReply."""
    if len(reply) != DATA + MODEL + 2:
        raise BadReply(f"a type name of {len(reply) - DATA} bytes, expected {MODEL + 2}")
    return TypeName(
        model=text(reply[DATA : DATA + MODEL]), code=int.from_bytes(reply[-2:], "little")
    )


def text(value: bytes) -> str | None:
    """A field of a model's name, up to NUL; None when nothing printable is in it."""
    told = value.split(b"\0", 1)[0].decode("latin-1")
    return "".join(c for c in told if c.isprintable()).strip() or None


def facts(reply: bytes) -> tuple[Fact, ...]:
    """Raises BadReply."""
    if end_code := decode_end_code(reply):
        return (ServiceAccess(protocol="slmp", details=(("end code", f"{end_code:04X}"),)),)
    told = decode_type_name(reply)
    access = ServiceAccess(
        protocol="slmp",
        answers_without_login=True,
        encrypted=False,
        details=(("model code", f"{told.code:04X}"),),
    )
    if told.model is None:
        return (access,)
    said = DeviceIdentity(model=told.model)
    if not CPU.search(told.model):
        return (access, said)
    return (access, said, DeviceIdentity(vendor="Mitsubishi", device_class="plc", basis="table"))


async def run(session: Session) -> tuple[Fact, ...]:
    """One request, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_read_type_name(), reply_length, label=_LABEL, max_reply=MAX_REPLY
    )
    return facts(reply)


_LABEL: Final = "read type name"

PROBE = Probe(
    name="slmp",
    protocol="slmp",
    transport=Transport.TCP,
    ports=(5000,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_read_type_name(),
            trace="one SLMP connection entry while it lasts; no entry in the event history",
        ),
    ),
    for_controllers=True,
    spoken_by="mitsubishi",
)
