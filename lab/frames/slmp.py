"""
SLMP in binary 3E frames. Source: Mitsubishi SH(NA)-080956ENG sections 4.1 and 5.1; its list of
end codes (CEE0: requests too many at the same time).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

READS = {
    0x0101: "type name", 0x0401: "device read", 0x0403: "device read random", 0x0406: "block read",
    0x0613: "memory read", 0x0619: "self test",
}  # fmt: skip
TOO_MANY = 0xCEE0
LONGEST = 2048


def _length(data: bytes) -> int | str | None:
    if data[:2] not in (b"\x50\0", b"\xd0\0", b"\x50", b"\xd0"):
        return "foreign" if guess(data) != "unknown" else f"subheader {data[:2].hex()}"
    if len(data) < 9:
        return None
    length = int.from_bytes(data[7:9], "little")
    if not 2 <= length <= LONGEST:
        return f"length {length}"
    return 9 + length if len(data) >= 9 + length else None


def _classify(frame: bytes) -> Seen:
    if frame[0] != 0x50 or len(frame) < 15:
        return Seen(kind="malformed", function="no request")
    command = int.from_bytes(frame[11:13], "little")
    name = READS.get(command, f"command {command:04x}")
    return Seen(kind="request", function=name, write=command not in READS)


def _busy(request: bytes) -> bytes:
    if len(request) < 15:
        return b""
    refused = TOO_MANY.to_bytes(2, "little") + request[2:7] + request[11:15]
    return b"\xd0\0" + request[2:7] + len(refused).to_bytes(2, "little") + refused


PROTOCOL = Protocol(
    name="slmp",
    port=5000,
    length=_length,
    classify=_classify,
    header=11,  # subheader, route, length, end code
    length_at=(7, 2, "little"),
    busy=_busy,
    latin_1=True,
    longest_text=16,
    syntax=frozenset({"code"}),
)
