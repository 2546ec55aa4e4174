"""DNP3. Source: IEEE 1815-2012 clauses 9.2 (link frame) and 4.4 (application functions)."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span

LINK = {
    0: "RESET LINK STATES", 1: "RESET USER PROCESS", 2: "TEST LINK STATES",
    3: "CONFIRMED USER DATA", 4: "UNCONFIRMED USER DATA", 9: "REQUEST LINK STATUS",
}  # fmt: skip
READ = 0x01
PRIMARY = 0x40


def crc(data: bytes) -> bytes:
    """CRC-16/DNP of one block, low byte first."""
    value = 0
    for byte in data:
        for bit in range(8):
            odd = (value ^ (byte >> bit)) & 1
            value >>= 1
            if odd:
                value ^= 0xA6BC
    return (value ^ 0xFFFF).to_bytes(2, "little")


def _length(data: bytes) -> int | str | None:
    if not b"\x05\x64".startswith(data[:2]):
        return "foreign"
    if len(data) < 3:
        return None
    if data[2] < 5:
        return f"length {data[2]}"
    user = data[2] - 5
    length = 10 + user + 2 * ((user + 15) // 16)
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    if crc(frame[:8]) != frame[8:10]:
        return Seen(kind="malformed", function="header CRC")
    if not frame[3] & PRIMARY:
        return Seen(kind="malformed", function=f"control {frame[3]:#04x} of a secondary")
    function = frame[3] & 0x0F
    name = LINK.get(function, f"link function {function}")
    if function == 9:
        return Seen(kind="request", function=name)
    if function in (3, 4) and len(frame) >= 13:
        name += f" {frame[12]:#04x}"
        # a read is no write, but whoever sends one has taken the master's place
        return Seen(kind="request", function=name, write=frame[12] != READ)
    return Seen(kind="request", function=name, write=True, answered=function in (0, 1, 2))


def _reference(frame: bytes) -> Span | None:
    """Who answers: the source address. With the CRC behind it, which then no longer fits."""
    return (6, 8) if len(frame) >= 10 else None


def dnp3_busy(request: bytes) -> bytes:
    """LINK STATUS with the data flow control bit: the buffers are full (clause 9.2.4)."""
    if len(request) < 10 or request[3] & 0x0F != 9:
        return b""
    head = b"\x05\x64\x05\x1b" + request[6:8] + request[4:6]
    return head + crc(head)


PROTOCOL = Protocol(
    name="dnp3",
    port=20000,
    opt_in=True,
    length=_length,
    classify=_classify,
    header=10,
    length_at=(2, 1, "big"),
    reference=_reference,
    busy=dnp3_busy,
    filler=b"\x05\x64\x05\x44\x00\x00\x01\x00\x00\x00" * 1638,
)
