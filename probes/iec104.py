"""
IEC 60870-5-104: whether a telecontrol station is there. It never says which.

1. Only where the site file names it. One connection to the port, and one test frame: U format,
   TESTFR act, `68 04 43 00 00 00`.
2. The confirmation, `68 04 83 00 00 00`.
3. The connection is closed. It was never started, so there is nothing to stop.

Why this is the gentlest question: the test frame is what both ends send on an idle line to find out
whether it is alive, and it is answered on a connection that was not started. Data transfer is not
started: a station has one started connection in each redundancy group, and a second one may suspend
the control centre's. Even so the connection itself takes a place that belongs to somebody, and some
stations end the old one for a new one; therefore this is asked where the owner wrote it down.

Sample result: the station answers a test frame of somebody who showed no credential. The protocol
carries no vendor, no model and no serial number; addresses of its data would need a started
connection.

Never sent: STARTDT, STOPDT, supervisory and information frames: no interrogation, command, set
point, clock, counter, parameter, reset, or file.

Source: IEC 60870-5-104, sections 5.1 (APCI, U format), 5.2 (test procedures), 5.3 (transmission
control with STARTDT and STOPDT) and 10 (redundant connections).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

START: Final = 0x68
TESTFR_ACT: Final = 0x43
TESTFR_CON: Final = 0x83
LENGTH: Final = 6


def encode_test_frame() -> bytes:
    """`68 length=4 control(4)`: TESTFR act, the other three octets zero."""
    return bytes([START, 4, TESTFR_ACT, 0, 0, 0])


def frame_length(buffer: bytes) -> int | None:
    """Length of the first APDU, None when it is not whole. Raises BadReply on other protocols."""
    if not buffer:
        return None
    if buffer[0] != START or (len(buffer) > 1 and not 4 <= buffer[1] <= 253):
        raise BadReply(f"expected an APDU of IEC 104, got {buffer[:8].hex()}")
    if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
        return None
    return 2 + buffer[1]


def decode_confirmation(reply: bytes) -> None:
    """Nothing but TESTFR con will do, and so not our own frame come back. Raises BadReply."""
    if reply != bytes([START, 4, TESTFR_CON, 0, 0, 0]):
        raise BadReply(f"expected TESTFR con, got {reply[:8].hex()}")


async def run(session: Session) -> tuple[Fact, ...]:
    """One frame, one confirmation. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_test_frame(), frame_length, label=_LABEL, max_reply=2 + 253
    )
    decode_confirmation(reply)
    return (ServiceAccess(protocol="iec104", answers_without_login=True, encrypted=False),)


_LABEL: Final = "TESTFR act"

PROBE = Probe(
    name="iec104",
    protocol="iec104",
    transport=Transport.TCP,
    ports=(2404,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_test_frame(),
            trace="one connection in the station's log; some stations end that of the control "
            "centre for it",
        ),
    ),
    for_controllers=True,
    opt_in=True,
)
