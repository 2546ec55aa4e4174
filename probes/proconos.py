"""
ProConOS: runtime, type of the controller and the names of its projects.

1. One TCP connection and one request of ten bytes, `CC01 000B 4002 0000` and its checksum.
2. The answer begins with CC and has names at fixed places: the runtime with its date, the type of
   the controller, and behind it the project that is loaded, the boot project, and whether the
   source of the program lies in the controller.

Nothing in the answer repeats the request, and its header differs between runtimes; what makes it
one is the runtime's name, which begins with ProConOS. An echo has none.

Why this is the gentlest question: it is the one with which the programming tool begins. Start
(0004) and stop (0001) are requests of the same shape on the same port, without a password, which
is why nothing but these ten bytes may leave.

Sample result: runtime "ProConOS V3.0.1040 Oct 29 2002", model "ADAM5510KW 1.24 Build 005", class
plc, project "510-projec".

Source: S. Hilt, Redpoint's proconos-info (places of the names, sample); an answer recorded by hi-KK
(ICS-Protocol-identify), in which the type's place holds the firmware of the controller. The
checksum is CRC-16 (polynomial 1021, reflected, from 0), little-endian, over what comes before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import ControllerState, DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

MARK: Final = 0xCC
REQUEST: Final = bytes.fromhex("cc01000b4002000047ee")
RUNTIME: Final = (12, 44)
PLC_TYPE: Final = (44, 77)
PROJECTS: Final = 77
"""Three names that end with a zero: project, boot project, source of the program."""
LONGEST: Final = 64
"""Of a name behind PROJECTS."""
MAX_REPLY: Final = 1024
ANY_RUNTIME: Final = "ProConOS"
VERSION: Final = re.compile(r"V\s*(\d[\w.]*)")
"""In the place of the type: a firmware, as some controllers tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a runtime tells of itself; None where a name is empty or was cut off."""

    runtime: str
    plc_type: str | None
    project: str | None
    boot_project: str | None
    source: str | None


def encode_info() -> bytes:
    """`CC01`, function 000B, number 4002, length 0 (2), checksum 47EE."""
    return REQUEST


def reply_length(buffer: bytes) -> int | None:
    """
    All that came, once three names have ended: the answer's own length is not understood.

    Raises BadReply on what does not begin as an answer.
    """
    if buffer[:1] not in (b"", bytes((MARK,))):
        raise BadReply(f"expected CC, got {buffer[:8].hex()}")
    return len(buffer) if buffer[PROJECTS:].count(0) >= 3 else None


def decode_info(reply: bytes) -> Loaded:
    """
    Runtime at 12, type at 44, projects at 77; names end with a zero. Raises BadReply when the
    runtime is not named.
    """
    if reply[:1] != bytes((MARK,)) or len(reply) < PLC_TYPE[0]:
        raise BadReply(f"expected a ProConOS answer, got {len(reply)} bytes: {reply[:8].hex()}")
    runtime = _text(reply[slice(*RUNTIME)])
    if runtime is None or not runtime.startswith(ANY_RUNTIME):
        raise BadReply(f"expected the name of a ProConOS runtime, got {reply[12:28].hex()}")
    # The last piece has no end: a zero ends each name.
    names = [_text(name[:LONGEST]) for name in reply[PROJECTS:].split(b"\x00", 3)[:-1][:3]]
    project, boot, source = (*names, None, None, None)[:3]
    return Loaded(
        runtime=runtime,
        plc_type=_text(reply[slice(*PLC_TYPE)]),
        project=project,
        boot_project=boot,
        source=source,
    )


def _text(value: bytes) -> str | None:
    """Up to the first zero, with single blanks; what is not printable is left out."""
    text = value.split(b"\x00", 1)[0].decode("latin-1")
    return " ".join("".join(c for c in text if c.isprintable()).split()) or None


def facts(told: Loaded) -> tuple[Fact, ...]:
    """What the answer says; that a runtime's host is a controller is what runtimes are for."""
    named = (("boot project", told.boot_project), ("project source", told.source))
    access = ServiceAccess(
        protocol="proconos",
        answers_without_login=True,
        encrypted=False,
        version=told.runtime,
        details=tuple((name, value) for name, value in named if value),
    )
    found: list[Fact] = [access]
    if told.plc_type is not None:
        version = VERSION.match(told.plc_type)
        found.append(
            DeviceIdentity(firmware=version[1]) if version else DeviceIdentity(model=told.plc_type)
        )
    if told.project is not None:
        found.append(ControllerState(project_name=told.project))
    return (*found, DeviceIdentity(device_class="plc", basis="table"))


async def run(session: Session) -> tuple[Fact, ...]:
    """One request on one connection. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_info(), reply_length, label=_LABEL, max_reply=MAX_REPLY, whatever_came=True
    )
    return facts(decode_info(reply))


_LABEL: Final = "runtime and projects"

PROBE = Probe(
    name="proconos",
    protocol="proconos",
    transport=Transport.TCP,
    ports=(20547,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_info(),
            trace="one TCP connection to the runtime while it lasts; nobody logs in",
        ),
    ),
    for_controllers=True,
)
