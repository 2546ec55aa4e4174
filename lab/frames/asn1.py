"""Elements of the basic encoding rules. Source: ITU-T X.690 section 8.1."""

from __future__ import annotations


def ber(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Tag, start and end of the BER element at `at`; None when it does not fit."""
    if at + 2 > len(data):
        return None
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 3 or start + size > len(data):
            return None
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return (tag, start, start + length) if start + length <= len(data) else None


def ber_length(length: int) -> bytes:
    """A length in its shortest form."""
    if length < 0x80:
        return bytes([length])
    size = (length.bit_length() + 7) // 8
    return bytes([0x80 | size]) + length.to_bytes(size, "big")
