"""
TFTP: whether a device hands out files to whoever knows their names.

Over the wire (identify tier):
  1. One datagram to UDP 69: a read request (opcode 1) in mode octet, for "walkdown-no-such-file".
     The name says who asks and that there is no such file; it has no path and no wildcard, and is
     short, since old servers copy it into small buffers.
  2. The device answers from a port that it chooses anew, its transfer identifier: ERROR with code
     1 (file not found) or 2 (access violation). With that its transfer is over before it began,
     and nothing is answered to it.

Why this is the gentlest question: the protocol has only reading and writing, and a read request
for a file that is not there is the one that moves no byte of any file and leaves no transfer open.
No options are offered (RFC 2347), which servers of old do not know. A write request, the name of a
file that may exist, DATA and ACK are never sent.

A server that has something for every name (a boot server, a decoy) answers DATA. Of that its
opcode and block number are kept, not the content, and the fact says so. Nothing is sent to end the
transfer, though RFC 1350 section 7 lets a client send ERROR. That packet is a courtesy: nobody
acknowledges it, so every server has to stand its loss, and ends by itself after a few repetitions
of the one block. But it would go to a port that the device has just named, which no plan, no budget
and no firewall rule knows, and where something else may listen once the transfer is over. What our
kernel says when the block comes again and our socket is closed (ICMP port unreachable) tells the
device the same, and has room in the plan: six of them, where a server repeats its block so often
and heeds none. tftpd-hpa 5.2 ended a transfer by it after 1 s, at its first repetition; with a
socket that stayed open and silent it repeated after 1, 3 and 7 s and went on. So the socket is
closed without delay.

Sample result: ServiceAccess(protocol="tftp", answers_without_login=True, encrypted=False,
details=(("error", "1"), ("message", "File not found"))).

The protocol knows no login at all. An error tells nothing of the device, so no identity is told;
what is told is that the file would have been looked for (code 1), and for any other code no more
than that somebody speaks TFTP there.

Source: RFC 1350 sections 2 (octet mode), 4 (transfer identifiers), 5 (packets), 7 (premature
termination) and its appendix (error codes); RFC 1123 section 4.2 for what servers may refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

FILE: Final = "walkdown-no-such-file"
RRQ, DATA, ERROR = 1, 3, 5
NOT_FOUND: Final = 1
LAST_CODE: Final = 7
"""Code 8 of RFC 2347 refuses options, and we offer none."""
HEADER: Final = 4
MAX_REPLY: Final = 1024
MAX_TEXT: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An ERROR: its code and what it says."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Given:
    """The first block of a file, of which nothing is kept."""


def encode_read_request(name: str = FILE) -> bytes:
    """`0001`, the name, `00`, "octet", `00`; big-endian."""
    return RRQ.to_bytes(2, "big") + name.encode("ascii") + b"\x00octet\x00"


def reply_length(datagram: bytes) -> int | None:
    """A datagram is a reply; of DATA only opcode and block number are one. Empty: none."""
    if datagram[:2] == DATA.to_bytes(2, "big"):
        return min(len(datagram), HEADER)
    return len(datagram) or None


def decode_reply(reply: bytes) -> Refusal | Given:
    """
    ERROR: `0005`, code(2), text, `00`. DATA: `0003`, block(2), of which the first is 1. Big-endian.
    Raises BadReply.
    """
    opcode, second = int.from_bytes(reply[:2], "big"), int.from_bytes(reply[2:HEADER], "big")
    if len(reply) < HEADER or opcode not in (DATA, ERROR):
        raise BadReply(f"expected an ERROR of TFTP, got {reply[:12].hex()}")
    if opcode == DATA:
        if second != 1:
            raise BadReply(f"block {second} of a file that was not begun")
        return Given()
    text, end, rest = reply[HEADER:].partition(b"\x00")
    if second > LAST_CODE:
        raise BadReply(f"error code {second} answers no plain read request")
    if not end or rest.strip(b"\x00"):
        raise BadReply(f"an ERROR whose text does not end with it: {reply[:12].hex()}")
    return Refusal(code=second, message=_shown(text))


def _shown(text: bytes) -> str:
    said = text[: 4 * MAX_TEXT].decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() else "�" for c in said)[:MAX_TEXT]


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    told = decode_reply(
        await session.exchange(
            encode_read_request(), reply_length, label=_LABEL, max_reply=MAX_REPLY
        )
    )
    answered: bool | None
    details: tuple[tuple[str, str], ...]
    if isinstance(told, Given):
        answered = True
        details = (("file", "sent, for a name that nobody has given to one"),)
    else:
        answered = True if told.code == NOT_FOUND else None
        details = (("error", str(told.code)), ("message", told.message))
    return (
        ServiceAccess(
            protocol="tftp", answers_without_login=answered, encrypted=False, details=details
        ),
    )


_LABEL: Final = "read request for a file that does not exist"

PROBE = Probe(
    name="tftp",
    protocol="tftp",
    transport=Transport.UDP,
    ports=(69,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_read_request(),
            packets=2,  # beside the datagram, the kernel's word to a block that is repeated
            trace=f'a line in the server\'s log: "{FILE}" was asked for and not found',
        ),
    ),
    answers_from_any_port=True,
)
