"""
UMAS, Schneider Electric's engineering protocol inside Modbus function 90.

Sources: names of the functions as in the public dissectors; their form as Unity Pro sends them.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.audit.requests.modbus import pdus, units_of
from scanner.model import Tier

READS: dict[bytes, tuple[str, Verdict]] = {
    b"\x01\x00": ("initialise communication", "session"),
    b"\x02": ("read id", "read"),
    b"\x03\x00": ("read project information", "read"),
    b"\x04": ("read controller information", "read"),
    b"\x06\x06": ("read memory card information", "read"),
}
"""The function and its arguments."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    for pdu in pdus(request):
        if pdu[0] != 0x5A:
            raise Foreign(f"Modbus function {pdu[0]}")
        service, verdict = READS.get(pdu[2:], (f"function {pdu[2]:#x}", "write"))
        if pdu[1]:
            verdict = "write"  # a pairing key: somebody took the reservation
        yield Named(protocol="umas", service=service, verdict=verdict)


READER = Reader(protocol="umas", read=read, is_control=True, units_of=units_of)
