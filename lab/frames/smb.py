"""
SMB over TCP. Sources: [MS-SMB2] sections 2.1 (transport) and 2.2.1; [MS-CIFS] section 2.2.3.1.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

NTLM = b"NTLMSSP\0"


def _length(data: bytes) -> int | str | None:
    if data[0] != 0:
        return "foreign" if guess(data) != "unknown" else f"session packet {data[0]:#04x}"
    if len(data) < 8:
        return None
    if data[5:8] != b"SMB":
        return "foreign" if guess(data) != "unknown" else "no SMB message"
    length = 4 + int.from_bytes(data[1:4], "big")
    if not 4 + 35 <= length <= 1 << 20:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    """A negotiation may be answered by a close; everything but the first leg is somebody's."""
    new = frame[4] == 0xFE
    if new and len(frame) < 68:
        return Seen(kind="malformed", function="a header cut short")
    command = int.from_bytes(frame[16:18], "little") if new else frame[8]
    name = f"{'SMB2' if new else 'SMB1'} {command:#04x}"
    if command == (0 if new else 0x72):
        return Seen(kind="request", function=f"{name} negotiate", answered=False)
    if command == (1 if new else 0x73):
        leg = frame.find(NTLM)
        kind = frame[leg + 8] if 0 <= leg < len(frame) - 8 else 0
        return Seen(kind="request", function=f"{name} NTLM {kind}", write=kind != 1)
    return Seen(kind="request", function=name, write=True)


def _reference(reply: bytes) -> tuple[int, int] | None:
    """SMB2's message id, SMB 1's multiplex id."""
    return (28, 36) if reply[4:5] == b"\xfe" else (34, 36)


PROTOCOL = Protocol(
    name="smb",
    port=445,
    length=_length,
    classify=_classify,
    header=4,
    length_at=(1, 3, "big"),
    reference=_reference,
    filler=b"\0\0\0\x40\xfeSMB" + bytes(16376),
    longest_text=120,
    syntax=frozenset({"dialect", "build"}),
)
