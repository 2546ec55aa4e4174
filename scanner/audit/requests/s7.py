"""
S7 communication: the set-up, and of the user data only the reading of some system state lists.

Sources: RFC 1006 and RFC 905 beneath it; for S7 itself the public dissectors' names of functions
and user data groups.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.audit.requests.layers import iso
from scanner.model import Tier

GROUPS = {4}
"""User data group 4: CPU functions; only the reading of a system state list."""
LISTS = {0x0011, 0x001C, 0x0132, 0x0232, 0x0424}
"""What module this is, how it is protected, what state it is in."""
CONTINUED = b"\x0a\0\0\0"
"""The data of a request for the next part of a list."""


def programs(request: bytes) -> bool:
    """The first byte of the called TSAP says as what one connects; 1 is a programming device."""
    return (iso.called_tsap(request) or b"")[:1] == b"\x01"


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    for frame in iso.tpkts(request):
        yield _frame(frame)


def _frame(frame: bytes) -> Named:
    kind = frame[5]
    if kind in (iso.CONNECTION_REQUEST, iso.DISCONNECT_REQUEST):
        return Named(protocol="s7", service=f"COTP {kind:#x}", verdict="session")
    if frame[4:7] != b"\x02\xf0\x80" or frame[7] != 0x32:
        raise Foreign(f"COTP {kind:#x} with no S7 in it")
    rosctr = frame[8]
    parameters = 17
    if rosctr == 1:
        function = frame[parameters]
        if function == 0xF0:
            return Named(protocol="s7", service="setup communication", verdict="session")
        return Named(protocol="s7", service=f"job {function:#x}", verdict="write")
    if rosctr == 7:
        kind, sub = frame[parameters + 5], frame[parameters + 6]
        data = frame[parameters + struct.unpack_from("!H", frame, 13)[0] :]
        known = data == CONTINUED or (
            len(data) == 8 and struct.unpack_from("!H", data, 4)[0] in LISTS
        )
        reads = kind >> 4 == 4 and kind & 15 in GROUPS and sub == 1 and known
        service = f"user data {kind & 15}/{sub}"
        return Named(protocol="s7", service=service, verdict=either(reads))
    return Named(protocol="s7", service=f"ROSCTR {rosctr}", verdict="write")


READER = Reader(protocol="s7", read=read, is_control=True, programs=programs)
