"""BER, in which SNMP and others write their messages. Source: X.690 section 8.1."""

from __future__ import annotations


def element(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, rest) of one element. Raises IndexError when it is cut off."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise IndexError
    return tag, data[start : start + length], data[start + length :]
