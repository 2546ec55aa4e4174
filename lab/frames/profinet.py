"""
PROFINET over UDP, and DCE/RPC beneath it. Sources: The Open Group C706 chapter 12 (PDUs, rejects)
and appendix N (status codes); operations of PROFINET: IEC 61158-6-10.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span
from lab.frames.looks import guess

HEADER = 80
MAPPER = bytes.fromhex("0883afe11f5dc91191a408002b14a0fa")
"""The endpoint mapper's interface, as it stands in a little-endian header."""
MAPPER_BIG = bytes.fromhex("e1af83085d1f11c991a408002b14a0fa")
READS = frozenset({2, 5})
"""Read and ReadImplicit of PROFINET; Lookup and InquireObject of the mapper."""
SERVER_TOO_BUSY = 0x1C010014


def _datagram(data: bytes) -> Seen:
    if len(data) < HEADER or data[0] != 4:
        return Seen(kind="foreign", function=guess(data))
    little = data[4] >> 4 == 1
    length = int.from_bytes(data[74:76], "little" if little else "big")
    if len(data) != HEADER + length:
        return Seen(kind="malformed", function=f"length {length} of {len(data) - HEADER}")
    operation = int.from_bytes(data[68:70], "little" if little else "big")
    mapper = data[24:40] == (MAPPER if little else MAPPER_BIG)
    name = f"{'mapper' if mapper else 'context manager'} {operation}"
    return Seen(kind="request", function=name, write=data[1] != 0 or operation not in READS)


def profinet_busy(request: bytes) -> bytes:
    """A reject PDU; its header is that of the request, which asks for the same byte order."""
    if len(request) < HEADER:
        return b""
    order = "little" if request[4] >> 4 == 1 else "big"
    status = SERVER_TOO_BUSY.to_bytes(4, order)  # type: ignore[arg-type]  # one of the two
    size = (4).to_bytes(2, order)  # type: ignore[arg-type]
    return b"\x04\x06\0\0" + request[4:74] + size + request[76:80] + status


def _reference(frame: bytes) -> Span | None:
    """The activity's id."""
    return (40, 56) if len(frame) >= HEADER else None


PROTOCOL = Protocol(
    name="profinet",
    port=34964,
    transports=("udp",),
    datagram=_datagram,
    header=HEADER,
    length_at=(74, 2, "little"),
    reference=_reference,
    busy=profinet_busy,
    latin_1=True,
    longest_text=25,
    syntax=frozenset({"byte_order", "software"}),
)
