"""
Red Lion Crimson 3: who made a panel or gateway, and which model it is.

1. One TCP connection, and on it `0004 012B 1B00`: the text of register 012B, the manufacturer.
2. On the same connection `0004 012A 1A00`: the text of register 012A, the model.

Each answer has its length in front, repeats the register, has a code of its own where the request
has 1B00 or 1A00, and then a text that ends with a zero. An answer with our own code is an echo.

Why these are the gentlest questions: the programming tool asks both before anything else. All other
registers are unknown ground: with them programs are loaded and the device is restarted, without a
password. None of them is ever named.

Sample result: vendor "Red Lion Controls", model "G306a".

Source: cr3-fingerprint for nmap and cr3.lua (internetofallthethings, in ITI/ICS-pcap); an answer of
a G303 as recorded in the 4SICS captures; values in automayt/ICS-pcap, Red Lion, notes.txt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

MANUFACTURER: Final = (0x012B, 0x1B00)
MODEL: Final = (0x012A, 0x1A00)
"""Register and code of a request."""

HEADER: Final = 6
"""Length of what follows it (2), register (2), code (2); all big-endian."""
MAX_TEXT: Final = 64
WORD: Final = re.compile("[0-9A-Za-z]")
MAX_REPLY: Final = 512


def encode_read(register: tuple[int, int]) -> bytes:
    """`0004`, register, code."""
    number, code = register
    return b"".join(value.to_bytes(2, "big") for value in (HEADER - 2, number, code))


def reply_length(register: tuple[int, int]) -> Callable[[bytes], int | None]:
    """A framer for the answer of one register. It raises BadReply on anything else."""

    def framer(buffer: bytes) -> int | None:
        if len(buffer) < 4:
            return None
        length, number = (int.from_bytes(buffer[at : at + 2], "big") for at in (0, 2))
        if number != register[0]:
            raise BadReply(f"expected register {register[0]:04x}, got {buffer[:8].hex()}")
        if not HEADER - 2 <= length <= MAX_REPLY - 2:
            raise BadReply(f"length {length} of an answer is outside 4 to {MAX_REPLY - 2}")
        return 2 + length if len(buffer) >= 2 + length else None

    return framer


def decode_text(reply: bytes, register: tuple[int, int]) -> str | None:
    """
    The text of one register, without what cannot be printed; None when no letter or digit is in it.
    Raises BadReply on what is no answer: another register, a wrong length, our own code.
    """
    if reply_length(register)(reply) != len(reply) or len(reply) < HEADER:
        raise BadReply(f"an answer of {len(reply)} bytes that names another length")
    code = int.from_bytes(reply[4:6], "big")
    if code == register[1]:
        raise BadReply(f"our own request came back: {reply[:8].hex()}")
    raw = reply[HEADER:].split(b"\x00", 1)[0].decode("latin-1")
    text = "".join(c for c in raw if c.isprintable()).strip()[:MAX_TEXT]
    return text if WORD.search(text) else None


def facts(manufacturer: str | None, model: str | None) -> tuple[Fact, ...]:
    """What both registers say; a device that leaves both empty tells no identity."""
    access = ServiceAccess(protocol="crimson", answers_without_login=True, encrypted=False)
    said = DeviceIdentity(vendor=manufacturer, model=model)
    return (access,) if said == DeviceIdentity() else (access, said)


async def run(session: Session) -> tuple[Fact, ...]:
    """Two requests on one connection. Raises Withheld, WireError."""
    texts = []
    for register, label in ((MANUFACTURER, _LABEL_MANUFACTURER), (MODEL, _LABEL_MODEL)):
        reply = await session.exchange(
            encode_read(register), reply_length(register), label=label, max_reply=MAX_REPLY
        )
        texts.append(decode_text(reply, register))
    return facts(*texts)


_LABEL_MANUFACTURER: Final = "register 012B, manufacturer"
_LABEL_MODEL: Final = "register 012A, model"

PROBE = Probe(
    name="crimson",
    protocol="crimson",
    transport=Transport.TCP,
    ports=(789,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL_MANUFACTURER,
            sample=encode_read(MANUFACTURER),
            trace="one TCP connection to the programming service while it lasts",
        ),
        Question(label=_LABEL_MODEL, sample=encode_read(MODEL)),
    ),
    for_controllers=True,
    spoken_by="red ?lion",
)
