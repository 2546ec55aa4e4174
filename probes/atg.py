"""
Tank gauges that speak Veeder-Root's TLS protocol: which software runs in the console.

1. One TCP connection, on a port that the site file names for this device, and on it `01 I90200 0A`:
   the System Revision Level Report in its form for display.
2. The console answers `01`, the function code again, date and time, the number of its software with
   version and date, and ends with `03`. It answers `01 9999FF1B 03` to a function that it does not
   know: that is a tank gauge, too, and one of which nothing was learned.

Why this is the gentlest question: it reads constants. The usual one, I20100, reports what is in the
tanks, which is the owner's business and none of ours. Functions that begin with S set names, limits
and the clock, and are never sent.

Why no port is asked by itself: 10001 belongs to serial device servers as well, and every byte would
come out of somebody's serial line. So this probe is `opt_in` and has no ports of its own.

GasPot and Conpot imitate a console and do it without the control characters: their answers begin
with a line feed or with the 9999 itself. Such an answer is labelled as an emulator's and makes no
device, and says nothing of whether a console answers without a security code.

Sample result: firmware "349783-001-AXM", vendor "Veeder-Root".

Source: Veeder-Root, Serial Interface Manual TLS2, 577013-767 revision H, section 7.4.1, and that of
the TLS-HLD, function 902; the answer to an unknown function as public emulators cite it from the
manual of the TLS-350, 576013-635. GasPot (sjhilt) and a recording of one (nDPI, atg.pcap) for what
emulators say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

SOH: Final = b"\x01"
ETX: Final = b"\x03"
FUNCTION: Final = b"I90200"
NOT_UNDERSTOOD: Final = b"9999FF1B"
MAX_REPLY: Final = 4096
MAX_TEXT: Final = 64
MAX_LINES: Final = 64

SOFTWARE: Final = re.compile(r"SOFTWARE#\s*([0-9A-Za-z][\w.-]*)")
CREATED: Final = re.compile(r"CREATED\s*-\s*([0-9][\d.]*)")
VERSION: Final = re.compile(r"VERSION\s+([0-9][\w.]*)")
TIME: Final = re.compile(r"(?:\d\d-\d\d-\d\d|[A-Z]{3} +\d{1,2}, +\d{4}|\d\d/\d\d/\d{2,4})\s+\d")
HEADING: Final = "SOFTWARE REVISION LEVEL"
VEEDER_ROOT: Final = re.compile(r"34\d{4}-")
"""Software numbers of the manuals: 346xxx to 349xxx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """
    What a console tells. `understood` False: it does not know the function, and nothing more came.
    `station` are the lines of its header, where it prints them.
    """

    understood: bool
    software: str | None = None
    version: str | None = None
    created: str | None = None
    station: str | None = None


def encode_revision() -> bytes:
    """`01`, the function code in its form for display, `0A`."""
    return SOH + FUNCTION + b"\n"


def is_emulator(reply: bytes) -> bool:
    """Whether an answer has the form of GasPot or Conpot: no SOH in front, no ETX at the end."""
    head = reply.lstrip(b"\r\n")
    bare = reply[:1] in (b"\r", b"\n") or head.startswith(NOT_UNDERSTOOD)
    return bare and head[:8].startswith((NOT_UNDERSTOOD, FUNCTION)) and ETX not in reply


def reply_length(buffer: bytes) -> int | None:
    """
    Up to ETX, which ends a console's answer; an emulator's ends when nothing more comes.

    Raises BadReply on what begins like neither.
    """
    if not buffer:
        return None
    if buffer[:1] == SOH:
        end = buffer.find(ETX)
        return None if end < 0 else end + 1
    head = buffer.lstrip(b"\r\n")
    if not any(told[: len(head)] == head[: len(told)] for told in (NOT_UNDERSTOOD, FUNCTION)):
        raise BadReply(f"expected a tank gauge, got {buffer[:12].hex()}")
    return len(buffer) if head.startswith(NOT_UNDERSTOOD) else None


def decode_revision(reply: bytes) -> Revision:
    """
    A console's answer: SOH, the function code, lines, ETX. Raises BadReply on what is none; an echo
    has no ETX, and an answer with ours alone in it no software.
    """
    if reply[:1] != SOH or reply[-1:] != ETX:
        raise BadReply(f"expected 01 … 03, got {reply[:12].hex()} … {reply[-4:].hex()}")
    body = reply[1:-1].strip(b"\r\n ")
    if body == NOT_UNDERSTOOD:
        return Revision(understood=False)
    if not body.startswith(FUNCTION):
        raise BadReply(f"expected the answer to I90200, got {body[:12].hex()}")
    lines = [
        shown
        for line in body[len(FUNCTION) :].decode("latin-1").splitlines()[:MAX_LINES]
        if (shown := _text(line))
    ]
    software, version, created = (
        next((found[1][:MAX_TEXT] for line in lines if (found := pattern.search(line))), None)
        for pattern in (SOFTWARE, VERSION, CREATED)
    )
    if software is None and version is None:
        raise BadReply("an answer to I90200 without a software number")
    return Revision(
        understood=True,
        software=software,
        version=version,
        created=created,
        station=_station(lines),
    )


def _station(lines: list[str]) -> str | None:
    """What stands between the time and the software: the header, where a console prints it."""
    header = []
    for line in lines:
        if line.startswith(HEADING) or SOFTWARE.search(line) or VERSION.search(line):
            break
        if not TIME.match(line):
            header.append(line)
    return " / ".join(header)[:MAX_TEXT] or None


def _text(line: str) -> str:
    return " ".join("".join(c for c in line if c.isprintable()).split())[:MAX_TEXT]


def facts(told: Revision) -> tuple[Fact, ...]:
    """What the console says; its maker follows from the number of its software."""
    if not told.understood:
        details: tuple[tuple[str, str], ...] = (("function 902", "not known"),)
        return (ServiceAccess(protocol="atg", answers_without_login=True, details=details),)
    named = (("software", told.software), ("created", told.created))
    access = ServiceAccess(
        protocol="atg",
        answers_without_login=True,
        encrypted=False,
        version=told.version,
        details=tuple((name, value) for name, value in named if value),
    )
    said = DeviceIdentity(firmware=told.version or told.software, name=told.station)
    known = bool(told.software and VEEDER_ROOT.match(told.software))
    maker = DeviceIdentity(
        vendor="Veeder-Root" if known else None, device_class="other", basis="table"
    )
    return (access, said, maker)


def emulator_facts() -> tuple[Fact, ...]:
    """A label, and no identity: it is not known what stands there, only what it is not."""
    label = ("emulator", "answers without control characters, as GasPot and Conpot do")
    return (ServiceAccess(protocol="atg", details=(label,)),)


async def run(session: Session) -> tuple[Fact, ...]:
    """One request on one connection. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_revision(), reply_length, label=_LABEL, max_reply=MAX_REPLY, whatever_came=True
    )
    return emulator_facts() if is_emulator(reply) else facts(decode_revision(reply))


_LABEL: Final = "I90200, system revision level report"

PROBE = Probe(
    name="atg",
    protocol="atg",
    transport=Transport.TCP,
    ports=(),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_revision(),
            trace="one connection to the serial port, which nobody else can use meanwhile",
        ),
    ),
    for_controllers=True,
    opt_in=True,
)
