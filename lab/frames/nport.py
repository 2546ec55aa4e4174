"""
The Moxa search. Source: M. Davidsaver, Moxa UDP protocol (header, ids; status 04: no such id).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

READS = {0x01: "search", 0x10: "name", 0x16: "product details", 0x21: "address", 0x22: "netmask"}


def _datagram(data: bytes) -> Seen:
    if len(data) < 8 or data[0] & 0x80 or data[1]:
        return Seen(kind="foreign", function=guess(data))
    if int.from_bytes(data[2:4], "big") != len(data) or (data[0] != 1 and len(data) < 20):
        return Seen(kind="malformed", function=f"length {data[2:4].hex()} of {len(data)}")
    return Seen(
        kind="request",
        function=READS.get(data[0], f"id {data[0]:#04x}"),
        write=data[0] not in READS,
    )


def _busy(request: bytes) -> bytes:
    """Status 04 and nothing but the device id."""
    if len(request) < 8:
        return b""
    device_id = request[8:20].ljust(12, b"\0")
    return bytes([request[0] | 0x80, 4, 0, 20]) + request[4:8] + device_id


PROTOCOL = Protocol(
    name="nport",
    port=4800,
    transports=("udp",),
    datagram=_datagram,
    header=8,
    length_at=(2, 2, "big"),
    reference=lambda _: (4, 8),  # transaction
    busy=_busy,
    latin_1=True,
    longest_text=39,
    syntax=frozenset({"hardware_id"}),
)
