"""
What may be said to a PROFINET device over UDP: one Lookup of the endpoint mapper, nothing else.

The datagram passes in one shape, of which only the activity's id is free, in the read tier. Every
operation of the PROFINET interfaces themselves (Connect, Release, Read, Write, Control, Read
Implicit) and every other one of the endpoint mapper is refused by name.

Source: The Open Group C706, chapter 12 (connectionless PDUs) and appendix O (endpoint mapper);
operations of the PROFINET interfaces: IEC 61158-6-10.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_LENGTH: Final = 156
_MAPPER: Final = bytes.fromhex("0883afe11f5dc91191a408002b14a0fa")
_PROFINET: Final = bytes.fromhex("976cd111827100a02442df7d")
"""What the four PROFINET interfaces (device, controller, supervisor, parameter server) share."""
_MAPPERS: Final = {
    0: "Insert", 1: "Delete", 2: "Lookup", 3: "Map", 4: "LookupHandleFree", 5: "InquireObject",
    6: "MgmtDelete",
}  # fmt: skip
_CONTEXT: Final = {
    0: "Connect", 1: "Release", 2: "Read", 3: "Write", 4: "Control", 5: "ReadImplicit",
}  # fmt: skip

_BEFORE: Final = bytes.fromhex("04002000 100000 00") + bytes(16) + _MAPPER
"""Version 4, request, idempotent; little-endian; no object."""
_BEHIND: Final = bytes.fromhex(
    "00000000 03000000 00000000 0200 ffffffff 4c00 0000 00 00"  # boot, version, …, Lookup, 76 bytes
    "00000000 01000000 00000000000000000000000000000000"  # all entries, no object
    "02000000 0100a0de 976cd111827100a02442df7d 01000000 01000000"  # of a PROFINET device
    "0000000000000000000000000000000000000000 01000000"  # from the beginning, one entry
)


class ProfinetGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """A datagram is one frame."""
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 80 or frame[0] != 4:
            return "not a PDU of DCE/RPC"
        if frame[:40] != _BEFORE or frame[56:] != _BEHIND or len(frame) != _LENGTH:
            return _why(frame)
        return None if tier.allows(Tier.READ) else "PROFINET needs tier read"


def _why(frame: bytes) -> str:
    """The operation by its name, in whatever byte order the header claims."""
    order = "little" if frame[4] >> 4 == 1 else "big"
    operation = int.from_bytes(frame[68:70], order)  # type: ignore[arg-type]  # one of the two
    if frame[24:40] == _MAPPER and operation != 2:
        return f"operation {operation} ({_MAPPERS.get(operation, 'unknown')}) is not on the list"
    if _PROFINET[4:] in frame[24:40]:
        name = _CONTEXT.get(operation, "unknown")
        return f"operation {operation} ({name}) of PROFINET itself is not on the list"
    return "the Lookup of a PROFINET device has one shape"


GUARD = GuardSpec(protocol="profinet", open=ProfinetGuard, reply_framer=None)
