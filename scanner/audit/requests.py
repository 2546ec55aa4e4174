"""
Names what a recorded request asked for: the auditor's own, small reading of each protocol.

Nothing of the guards or the probes is used, so that one mistake would have to be made twice. What
is not on the list of reads is a write until somebody shows otherwise, and what cannot be read is
unknown; both fail the certificate. Sources: Modbus Application Protocol 1.1b3 section 6; for S7 the
public dissectors' names of functions and user data groups; CIP volume 1 appendix A and volume 2
section 2-4; RFC 3416 section 3 and RFC 3412 section 6; RFC 9110 section 9; RFC 4253 section 4;
RFC 8446 section 5.1; RFC 854.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["read", "session", "sign-in", "write", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One service: `service` in the protocol's terms."""

    protocol: str
    service: str
    verdict: Verdict


MODBUS_READS = {1, 2, 3, 4, 7, 11, 12, 17, 20, 24}
S7_READS = {0x04}
S7_GROUPS = {4}
"""User data group 4: CPU functions; only the reading of a system state list."""
CIP_READS = {0x01, 0x03, 0x0E, 0x55}
CIP_SESSIONS = {0x54, 0x5B, 0x4E}
ENIP_READS = {0x0004, 0x0063, 0x0064}
ENIP_SESSIONS = {0x0065, 0x0066}
SNMP_READS = {0xA0, 0xA1, 0xA5}
HTTP_READS = {b"GET", b"HEAD"}
SHOWS = re.compile(
    r"^\s*(show|cat|ls|id|uname|hostname|getent|who|last|ss|timedatectl|terminal (length|width)|"
    r"enable$|exit|sshd -T|systemctl (is-|show|list)|stat|find|head|grep|lastlog|sudo -n)\b"
)


def unit_of(request: bytes) -> int | None:
    """The unit id of a Modbus/TCP request."""
    return request[6] if len(request) >= 8 else None


def tsap_of(request: bytes) -> bytes | None:
    """The called TSAP of a connection request (RFC 1006 section 6, ISO 8073 section 13.3)."""
    if len(request) < 11 or request[5] != 0xE0:
        return None
    place = 11
    while place + 2 <= len(request):
        kind, length = request[place], request[place + 1]
        if kind == 0xC2:
            return request[place + 2 : place + 2 + length]
        place += 2 + length
    return None


def name(probe: str, label: str, request: bytes) -> tuple[Named, ...]:
    """Every service in a recorded request of this probe; () where nothing was sent."""
    if not request:
        return ()
    if request[0] in (0x14, 0x15, 0x16, 0x17) and request[1:2] == b"\x03":
        return (Named(protocol="tls", service="record", verdict="session"),)
    reader = _READERS.get(probe)
    if reader is None:
        return (Named(protocol=probe, service="no reader", verdict="unknown"),)
    try:
        return reader(request, label)
    except (IndexError, struct.error):
        return (Named(protocol=probe, service="cut off", verdict="unknown"),)


def _modbus(request: bytes, label: str) -> tuple[Named, ...]:
    found: list[Named] = []
    while request:
        length = struct.unpack_from("!H", request, 4)[0]
        pdu, request = request[7 : 6 + length], request[6 + length :]
        if len(pdu) != length - 1 or length < 2:
            return (Named(protocol="modbus", service="cut off", verdict="unknown"),)
        function = pdu[0]
        if function == 0x2B:
            read = pdu[1:2] == b"\x0e"
            service = f"function 43/{pdu[1]}"
        elif function == 8:
            read, service = pdu[1:3] in (b"\0\0", b"\0\x02"), f"function 8/{pdu[1:3].hex()}"
        else:
            read, service = function in MODBUS_READS, f"function {function}"
        found.append(Named(protocol="modbus", service=service, verdict="read" if read else "write"))
    return tuple(found)


def _s7(request: bytes, label: str) -> tuple[Named, ...]:
    found: list[Named] = []
    while request:
        length = struct.unpack_from("!H", request, 2)[0]
        if request[0] != 3 or length < 7 or length > len(request):
            return (Named(protocol="s7", service="cut off", verdict="unknown"),)
        frame, request = request[:length], request[length:]
        found.append(_s7_frame(frame))
    return tuple(found)


def _s7_frame(frame: bytes) -> Named:
    kind = frame[5]
    if kind in (0xE0, 0x80):
        return Named(protocol="s7", service=f"COTP {kind:#x}", verdict="session")
    if kind != 0xF0 or frame[7] != 0x32:
        return Named(protocol="s7", service=f"COTP {kind:#x}", verdict="unknown")
    rosctr = frame[8]
    if rosctr == 1:
        function = frame[17]
        if function == 0xF0:
            return Named(protocol="s7", service="setup communication", verdict="session")
        read = function in S7_READS
        return Named(
            protocol="s7", service=f"job {function:#x}", verdict="read" if read else "write"
        )
    if rosctr == 7:
        group, sub = frame[22] & 15, frame[23]
        read = frame[22] >> 4 == 4 and group in S7_GROUPS and sub == 1
        return Named(
            protocol="s7", service=f"user data {group}/{sub}", verdict="read" if read else "write"
        )
    return Named(protocol="s7", service=f"ROSCTR {rosctr}", verdict="write")


def _enip(request: bytes, label: str) -> tuple[Named, ...]:
    found: list[Named] = []
    while request:
        command, length = struct.unpack_from("<HH", request)
        body, request = request[24 : 24 + length], request[24 + length :]
        if len(body) != length:
            return (Named(protocol="enip", service="cut off", verdict="unknown"),)
        if command in ENIP_READS | ENIP_SESSIONS:
            verdict: Verdict = "session" if command in ENIP_SESSIONS else "read"
            found.append(Named(protocol="enip", service=f"command {command:#x}", verdict=verdict))
        elif command in (0x6F, 0x70):
            found.append(_cip(_cip_request(body, connected=command == 0x70)))
        else:
            found.append(Named(protocol="enip", service=f"command {command:#x}", verdict="write"))
    return tuple(found)


def _cip_request(body: bytes, *, connected: bool) -> bytes:
    """The CIP request in the data item of a common packet format (volume 2, section 2-6)."""
    items, place = struct.unpack_from("<H", body, 6)[0], 8
    for _ in range(min(items, 8)):
        kind, length = struct.unpack_from("<HH", body, place)
        data = body[place + 4 : place + 4 + length]
        if kind == 0xB2:
            return data
        if kind == 0xB1 and connected:
            return data[2:]
        place += 4 + length
    return b""


def _cip(request: bytes) -> Named:
    if not request:
        return Named(protocol="cip", service="nothing", verdict="unknown")
    service = request[0]
    if service == 0x52:  # unconnected send: what counts is the message inside
        inner = request[2 + request[1] * 2 + 2 :]
        length = struct.unpack_from("<H", inner)[0]
        return _cip(inner[2 : 2 + length])
    verdict: Verdict = "read" if service in CIP_READS else "write"
    if service in CIP_SESSIONS:
        verdict = "session"
    return Named(protocol="cip", service=f"service {service:#x}", verdict=verdict)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, rest) of one BER element (X.690 section 8.1)."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise IndexError
    return tag, data[start : start + length], data[start + length :]


def _snmp(request: bytes, label: str) -> tuple[Named, ...]:
    tag, message, rest = _element(request)
    _, version, message = _element(message)
    if tag != 0x30 or rest:
        return (Named(protocol="snmp", service="not one message", verdict="unknown"),)
    if version == b"\x03":
        _, _, message = _element(message)
        _, _, message = _element(message)
        tag, scoped, _ = _element(message)
        if tag != 0x30:
            return (Named(protocol="snmp", service="encrypted", verdict="unknown"),)
        _, _, scoped = _element(scoped)
        _, _, message = _element(scoped)
    else:
        _, _, message = _element(message)
    pdu = message[0]
    verdict: Verdict = "read" if pdu in SNMP_READS else "write"
    return (Named(protocol="snmp", service=f"PDU {pdu:#x}", verdict=verdict),)


def _http(request: bytes, label: str) -> tuple[Named, ...]:
    method = request.split(b" ", 1)[0]
    if not method.isalpha() or not method.isupper():
        return (Named(protocol="http", service="no method", verdict="unknown"),)
    verdict: Verdict = "read" if method in HTTP_READS else "write"
    if method == b"POST":
        verdict = "sign-in"
    return (Named(protocol="http", service=method.decode("ascii"), verdict=verdict),)


def _ssh(request: bytes, label: str) -> tuple[Named, ...]:
    if request.startswith(b"SSH-2.0-"):
        return (Named(protocol="ssh", service="identification", verdict="session"),)
    if len(request) > 5 and struct.unpack_from("!I", request)[0] == len(request) - 4:
        number = request[5]
        return (Named(protocol="ssh", service=f"message {number}", verdict="session"),)
    text = request.decode("utf-8", "replace")
    if text.startswith("auth "):
        return (Named(protocol="ssh", service="authentication", verdict="sign-in"),)
    verdict: Verdict = "read" if SHOWS.match(text) else "unknown"
    return (Named(protocol="ssh", service=f"command {text.split()[:1]}", verdict=verdict),)


def _telnet(request: bytes, label: str) -> tuple[Named, ...]:
    if request[0] == 0xFF:
        return (Named(protocol="telnet", service="negotiation", verdict="session"),)
    return (Named(protocol="telnet", service="typed", verdict="sign-in"),)


_READERS = {
    "modbus": _modbus,
    "s7": _s7,
    "enip": _enip,
    "snmp": _snmp,
    "http": _http,
    "ssh": _ssh,
    "sshconfig": _ssh,
    "telnet": _telnet,
}
