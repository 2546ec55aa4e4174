"""
OPC UA's binary mapping over TCP. Sources: OPC 10000-6 sections 6.7.2 (messages) and 7.1.2 (hello,
error); OPC 10000-4 section 7.39 (Bad_TcpServerTooBusy); node ids of the OPC Foundation.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span

KINDS = (b"HEL", b"OPN", b"MSG", b"CLO", b"ACK", b"ERR", b"RHE")
READS = {422: "FindServers", 428: "GetEndpoints", 527: "Browse", 631: "Read", 664: "HistoryRead"}
SESSION = {446: "OpenSecureChannel", 452: "CloseSecureChannel"}
TOO_BUSY = 0x807D0000


def _length(data: bytes) -> int | str | None:
    if not any(kind.startswith(data[:3]) for kind in KINDS):
        return "foreign"
    if len(data) < 8:
        return None
    length = int.from_bytes(data[4:8], "little")
    if data[3:4] not in (b"F", b"C", b"A") or not 12 <= length <= 1 << 20:
        return f"{data[:4]!r}, length {length}"
    return length if len(data) >= length else None


def _service_at(frame: bytes) -> int:
    """Where the node id of the service stands: behind the security and the sequence header."""
    if frame[:3] != b"OPN":
        return 24
    at = 12
    for _ in range(3):  # policy, certificate, thumbprint
        at += 4 + max(int.from_bytes(frame[at : at + 4], "little", signed=True), 0)
    return at + 8


def _classify(frame: bytes) -> Seen:
    kind = frame[:3]
    if kind == b"HEL":
        return Seen(kind="request", function="Hello")
    if kind not in (b"OPN", b"MSG", b"CLO") or frame[3:4] != b"F":
        return Seen(kind="malformed", function=f"message {frame[:4]!r}")
    at = _service_at(frame)
    if frame[at : at + 2] != b"\x01\0" or len(frame) < at + 4:
        return Seen(kind="malformed", function="no node id of a service")
    number = int.from_bytes(frame[at + 2 : at + 4], "little")
    name = SESSION.get(number) or READS.get(number) or f"service {number}"
    write = number not in READS and number not in SESSION
    return Seen(kind="request", function=name, write=write, answered=kind != b"CLO")


def opcua_busy(request: bytes) -> bytes:
    """An error message, after which the server ends the connection; nothing to a goodbye."""
    if request[:3] == b"CLO":
        return b""
    return b"ERRF\x10\0\0\0" + TOO_BUSY.to_bytes(4, "little") + b"\xff\xff\xff\xff"


def _reference(frame: bytes) -> Span | None:
    """The request id; hello and acknowledgement have none."""
    if frame[:3] not in (b"OPN", b"MSG"):
        return None
    at = _service_at(frame)
    return (at - 4, at) if at <= len(frame) else None


PROTOCOL = Protocol(
    name="opcua",
    port=4840,
    length=_length,
    classify=_classify,
    header=8,
    length_at=(4, 4, "little"),
    reference=_reference,
    busy=opcua_busy,
    syntax=frozenset({"mode", "policy", "tokens", "password_policy", "certificate"}),
)
