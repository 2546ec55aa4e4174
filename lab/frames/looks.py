"""What bytes look like, whatever port they came to."""

from __future__ import annotations

HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ")


def guess(data: bytes) -> str:
    """What bytes on the wrong port look like."""
    if data.startswith(HTTP_METHODS):
        return "http"
    if data.startswith(b"SSH-"):
        return "ssh"
    if data[:1] == b"\x16" and data[1:2] == b"\x03":
        return "tls"
    if data[:2] == b"\x03\x00":
        return "tpkt"
    if data[:1] == b"\xff":
        return "telnet"
    if len(data) >= 6 and data[2:4] == b"\0\0" and 2 <= int.from_bytes(data[4:6], "big") <= 254:
        return "modbus"
    if data[:1] == b"\x30":
        return "asn1"
    return "unknown"
