"""BACnet/IP. Source: ANSI/ASHRAE 135, clauses 6.2, 18.10 (abort), 20.1, 21 and J.2."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span
from lab.frames.looks import guess

FUNCTIONS = {
    0x01: "Write-BDT",
    0x02: "Read-BDT",
    0x05: "Register-Foreign-Device",
    0x06: "Read-FDT",
    0x08: "Delete-FDT-Entry",
    0x09: "Distribute-Broadcast",
    0x0A: "unicast",
    0x0B: "broadcast",
}
TABLE_READS = frozenset({0x02, 0x06})
SERVICES = {
    0x06: "AtomicReadFile",
    0x0C: "ReadProperty",
    0x0E: "ReadPropertyMultiple",
    0x0F: "WriteProperty",
    0x10: "WritePropertyMultiple",
    0x11: "DeviceCommunicationControl",
    0x14: "ReinitializeDevice",
    0x1A: "ReadRange",
}
SERVICE_READS = frozenset({0x06, 0x0C, 0x0E, 0x1A})
OUT_OF_RESOURCES = 9


def apdu_of(data: bytes) -> int | None:
    """Where the APDU of a unicast begins; None where there is none."""
    if len(data) < 7 or data[:2] != b"\x81\x0a" or data[4] != 0x01 or data[5] & 0x80:
        return None
    control, at = data[5], 6
    for bit in (0x20, 0x08):
        if control & bit:
            if len(data) < at + 3:
                return None
            at += 3 + data[at + 2]
    at += 1 if control & 0x20 else 0
    return at if len(data) >= at + 2 else None


def _datagram(data: bytes) -> Seen:
    if data[:1] != b"\x81":
        return Seen(kind="foreign", function=guess(data))
    if len(data) < 4 or int.from_bytes(data[2:4], "big") != len(data):
        return Seen(kind="malformed", function=f"BVLC length of {len(data)} bytes")
    function = data[1]
    if function not in (0x0A, 0x0B):
        name = FUNCTIONS.get(function, f"BVLC {function:#04x}")
        return Seen(kind="request", function=name, write=function not in TABLE_READS)
    at = apdu_of(b"\x81\x0a" + data[2:])
    if at is None:
        if len(data) > 6 and data[4] == 0x01 and data[5] & 0x80:
            return Seen(kind="request", function="network message", write=True)
        return Seen(kind="malformed", function="no APDU")
    if function == 0x0B:
        return Seen(kind="request", function="broadcast", write=True)
    kind = data[at] >> 4
    if kind == 1:
        return Seen(kind="request", function=f"unconfirmed {data[at + 1]}", write=True)
    place = at + (5 if data[at] & 0x08 else 3)
    if kind != 0 or len(data) <= place:
        return Seen(kind="malformed", function=f"APDU type {kind}")
    service = data[place]
    name = SERVICES.get(service, f"confirmed {service:#04x}")
    return Seen(kind="request", function=name, write=service not in SERVICE_READS)


def _reference(frame: bytes) -> Span | None:
    """The invoke id, which stands in the second byte of every answer."""
    at = apdu_of(frame)
    return None if at is None else (at + 1, at + 2)


def _busy(request: bytes) -> bytes:
    at = apdu_of(request)
    if at is None or len(request) < at + 3 or request[at] >> 4 != 0:
        return b""
    apdu = bytes([0x71, request[at + 2], OUT_OF_RESOURCES])
    return b"\x81\x0a\x00" + bytes([6 + len(apdu)]) + b"\x01\x00" + apdu


PROTOCOL = Protocol(
    name="bacnet",
    port=47808,
    transports=("udp",),
    datagram=_datagram,
    header=4,  # BVLC
    length_at=(2, 2, "big"),
    reference=_reference,
    busy=_busy,
    longest_text=100,  # seven of them fit into an APDU of 1024 bytes
    syntax=frozenset({"broadcast_table", "foreign_devices"}),
)
