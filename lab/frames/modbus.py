"""
Modbus/TCP. Sources: MODBUS Messaging on TCP/IP 1.0b section 3.1; MODBUS Application Protocol
1.1b3 section 7 (exceptions). Function 90 is a maker's own, UMAS of Schneider Electric, which any
server may be asked; names of its functions: the public dissectors.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen

READS = frozenset({0x01, 0x02, 0x03, 0x04, 0x07, 0x0B, 0x0C, 0x11, 0x14, 0x18, 0x2B})
UMAS = 0x5A
UMAS_READS = frozenset({0x01, 0x02, 0x03, 0x04, 0x06})
BUSY = 0x06


def _length(data: bytes) -> int | str | None:
    if len(data) >= 4 and data[2:4] != b"\0\0":
        return "foreign"
    if len(data) < 6:
        return None
    length = int.from_bytes(data[4:6], "big")
    if not 2 <= length <= 254:
        return f"length {length}"
    return 6 + length if len(data) >= 6 + length else None


def classify(frame: bytes) -> Seen:
    function = frame[7]
    if function == 0x2B:
        mei = frame[8] if len(frame) > 8 else -1
        name = f"43/{mei}"
        return Seen(kind="request", function=name, write=mei != 0x0E)
    if function == UMAS and len(frame) >= 10:
        inner = frame[9]
        return Seen(kind="request", function=f"90/{inner:#04x}", write=inner not in UMAS_READS)
    return Seen(kind="request", function=str(function), write=function not in READS)


def modbus_exception(request: bytes, code: int) -> bytes:
    """The exception reply to one Modbus request of at least eight bytes; else b""."""
    if len(request) < 8:
        return b""
    return request[:4] + b"\0\x03" + bytes([request[6], request[7] | 0x80, code])


PROTOCOL = Protocol(
    name="modbus",
    port=502,
    length=_length,
    classify=classify,
    header=7,  # MBAP
    length_at=(4, 2, "big"),
    reference=lambda _: (0, 2),  # transaction id
    busy=lambda request: modbus_exception(request, BUSY),
    gateway=modbus_exception,
    latin_1=True,
    longest_text=36,  # a reply is 253 bytes
)
