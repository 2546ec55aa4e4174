"""
FINS, as datagrams and as FINS/TCP frames. Sources: Omron W342 sections 5-1 and 5-2; its table of
end codes (0204: the destination node is busy); W421 section 7-4 (FINS/TCP; error 20: all
connections are in use).
"""

from __future__ import annotations

from lab.frames.form import Lie, Protocol, Seen, Span, told
from lab.frames.looks import guess

READS = frozenset({"0101", "0104", "0201", "0501", "0502", "0601", "0701", "2102"})
NODE_BUSY = b"\x02\x04"
ALL_IN_USE = 0x20
LONGEST = 4096


def _length(data: bytes) -> int | str | None:
    if not b"FINS".startswith(data[:4]):
        return "foreign"
    if len(data) < 8:
        return None
    length = int.from_bytes(data[4:8], "big")
    if not 8 <= length <= LONGEST:
        return f"length {length}"
    return 8 + length if len(data) >= 8 + length else None


def _classify(frame: bytes) -> Seen:
    kind = int.from_bytes(frame[8:12], "big")
    if kind == 0:
        return Seen(kind="request", function="node addresses")
    if kind != 2:
        return Seen(kind="malformed", function=f"FINS/TCP command {kind:#x}")
    return _command(frame[16:])


def _command(frame: bytes) -> Seen:
    if len(frame) < 12:
        return Seen(kind="malformed", function="FINS command too short")
    if frame[0] & 0xC0 != 0x80 or frame[1]:
        return Seen(kind="malformed", function=f"ICF {frame[0]:#04x}")
    code = frame[10:12].hex()
    wants_none = bool(frame[0] & 0x01)
    return Seen(kind="request", function=code, write=code not in READS, answered=not wants_none)


def _datagram(data: bytes) -> Seen:
    if data[:2] != b"\x80\0":
        return Seen(kind="foreign", function=guess(data))
    return _command(data)


def _misstated(reply: bytes, lie: Lie) -> bytes:
    """A datagram has no length; of a FINS/TCP frame it stands behind the magic."""
    if reply[:4] != b"FINS" or len(reply) < 8:
        return reply
    says = told(lie, int.from_bytes(reply[4:8], "big"), 4)
    return reply[:4] + says.to_bytes(4, "big") + reply[8:]


def _reference(reply: bytes) -> Span | None:
    """The service id of a FINS response; the node addresses have none."""
    if reply[:4] != b"FINS":
        return (9, 10) if len(reply) >= 12 else None
    return (25, 26) if reply[8:12] == b"\0\0\0\x02" and len(reply) >= 28 else None


def busy(request: bytes) -> bytes:
    if request[:4] == b"FINS":
        if request[8:12] == bytes(4):
            return b"FINS" + bytes.fromhex("0000000800000001") + ALL_IN_USE.to_bytes(4, "big")
        inside = _refused(request[16:])
        return b"FINS" + (8 + len(inside)).to_bytes(4, "big") + request[8:16] + inside
    return _refused(request)


def _refused(command: bytes) -> bytes:
    if len(command) < 12:
        return b""
    swapped = bytes([0xC0, 0, 2]) + command[6:9] + command[3:6]
    return swapped + command[9:12] + NODE_BUSY


PROTOCOL = Protocol(
    name="fins",
    port=9600,
    transports=("tcp", "udp"),
    length=_length,
    classify=_classify,
    datagram=_datagram,
    header=14,  # FINS header, command and end code
    length_at=_misstated,
    reference=_reference,
    busy=busy,
    latin_1=True,
    longest_text=16,
    syntax=frozenset({"mode"}),
)
