"""
Red Lion Crimson 3. Source: cr3.lua in ITI/ICS-pcap: length of what follows (2), register (2), code
(2), data; big-endian.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

TEXTS = {0x012B: 0x1B00, 0x012A: 0x1A00}


def _length(data: bytes) -> int | str | None:
    if guess(data) not in ("unknown", "modbus"):
        return "foreign"
    if len(data) < 2:
        return None
    length = int.from_bytes(data[:2], "big")
    if not 4 <= length <= 2048:
        return f"length {length}"
    return 2 + length if len(data) >= 2 + length else None


def _classify(frame: bytes) -> Seen:
    register, code = (int.from_bytes(frame[at : at + 2], "big") for at in (2, 4))
    reads = len(frame) == 6 and TEXTS.get(register) == code
    return Seen(kind="request", function=f"register {register:04x}", write=not reads)


PROTOCOL = Protocol(
    name="crimson",
    port=789,
    length=_length,
    classify=_classify,
    header=6,
    length_at=(0, 2, "big"),
    reference=lambda _: (2, 4),  # the register
    latin_1=True,
    longest_text=60,
)
