"""
Devices that are there, and say that they cannot answer now.

Sources: MODBUS Application Protocol 1.1b3 section 7 (exceptions 06, 0A, 0B); ODVA CIP volume 1
appendix B (general status 0x02, resource unavailable); RFC 1006 and ISO 8073 section 13.5 (DR);
Wireshark's packet-s7comm.c (error class 0x83, no resources available); RFC 3416 section 3
(tooBig, genErr); RFC 9110 section 15.6.4 (503); sshd(8) and Cisco IOS for the words of a server
that is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.faults.base import Behaviour, Fault, Line, Settings
from lab.faults.wrong_frames import request_id
from lab.frames import ber

MODBUS_BUSY = 0x06
CIP_RESOURCE_UNAVAILABLE = 0x02
ENIP_NO_MEMORY = 0x02
COTP_CONGESTION = 0x81
"""Reason 128 + 1: congestion of the transport entity at connect request time."""
S7_NO_RESOURCES = 0x83
SNMP_ERRORS = {"too_big": 1, "gen_err": 5}


def modbus_exception(request: bytes, code: int) -> bytes:
    """The exception reply to one Modbus request of at least eight bytes; else b""."""
    if len(request) < 8:
        return b""
    return request[:4] + b"\0\x03" + bytes([request[6], request[7] | 0x80, code])


def enip_busy(request: bytes) -> bytes:
    """CIP resource unavailable to an explicit request; encapsulation status 2 to all else."""
    if len(request) < 24:
        return b""
    command = int.from_bytes(request[:2], "little")
    if command == 0x0066:
        return b""  # UnRegisterSession has no reply
    if command == 0x006F and len(request) > 40:
        service = request[40]
        item = bytes([service | 0x80, 0, CIP_RESOURCE_UNAVAILABLE, 0])
        data = request[24:38] + len(item).to_bytes(2, "little") + item
        return request[:2] + len(data).to_bytes(2, "little") + request[4:24] + data
    status = ENIP_NO_MEMORY.to_bytes(4, "little")
    return request[:2] + b"\0\0" + request[4:8] + status + request[12:24]


def s7_busy(request: bytes) -> bytes:
    """A disconnect to a connection request; error class 0x83 to a job or a user-data request."""
    if len(request) < 7:
        return b""
    header, code = request[4], request[5] & 0xF0
    if code == 0xE0 and len(request) >= 11:
        source = request[8:10]
        return b"\x03\0\0\x0b\x06\x80" + source + b"\0\x01" + bytes([COTP_CONGESTION])
    pdu = request[5 + header :]
    if code != 0xF0 or len(pdu) < 10 or pdu[:1] != b"\x32":
        return b""
    if pdu[1] == 0x07 and len(pdu) >= 18:
        # user data: parameter head, type and group as a response, sequence, error in its end
        parameter = pdu[10:13] + b"\x08\x12" + bytes([pdu[15] & 0x0F | 0x80]) + pdu[16:18]
        parameter += b"\0\0" + bytes([S7_NO_RESOURCES, 0x04])
        data = b"\x0a\0\0\0"
        body = pdu[:6] + len(parameter).to_bytes(2, "big") + len(data).to_bytes(2, "big")
        body += parameter + data
    else:
        body = b"\x32\x03" + pdu[2:6] + b"\0\0\0\0" + bytes([S7_NO_RESOURCES, 0x04])
    return b"\x03\0" + (7 + len(body)).to_bytes(2, "big") + b"\x02\xf0\x80" + body


def snmp_error(reply: bytes, status: int) -> bytes:
    """A v1 or v2c reply with another error-status; v3 and what cannot be read stays as it is."""
    span = request_id(reply)
    if span is None:
        return reply
    error = ber(reply, span[1])
    index = ber(reply, error[2]) if error else None
    if error is None or index is None or error[2] - error[1] != 1 or index[2] - index[1] != 1:
        return reply
    changed = bytearray(reply)
    changed[error[1]] = status
    changed[index[1]] = 0 if status == SNMP_ERRORS["too_big"] else 1
    return bytes(changed)


class _Busy(Fault):
    def __init__(self, snmp: str) -> None:
        self._snmp = SNMP_ERRORS[snmp]

    async def up(self, data: bytes, line: Line) -> bytes:
        make = {
            "modbus": lambda request: modbus_exception(request, MODBUS_BUSY),
            "enip": enip_busy,
            "s7": s7_busy,
        }.get(line.protocol)
        if make is None:
            return data
        if reply := make(data):
            line.count("answered busy")
            await line.send(reply)
        return b""

    async def down(self, data: bytes, line: Line) -> None:
        if line.protocol == "snmp":
            line.count("answered busy")
            data = snmp_error(data, self._snmp)
        if line.protocol in ("ssh", "telnet"):
            line.count("answered busy")
            text = {
                "ssh": b"Exceeded MaxStartups\r\n",
                "telnet": b"\r\nAll lines are in use. Too many users, try again later.\r\n",
            }
            await line.send(text[line.protocol])
            await line.close()
        await line.send(data)


def _unavailable(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    if protocol not in ("http", "https"):
        return settings
    return {**settings, "unavailable_s": int(parameters["retry_after_s"])}


class _GatewayException(Fault):
    def __init__(self, code: int) -> None:
        self._code = code

    async def up(self, data: bytes, line: Line) -> bytes:
        if reply := modbus_exception(data, self._code):
            line.count(f"gateway exception {self._code:02X}")
            await line.send(reply)
        return b""


_GATEWAY = "gateways that stand for other devices answer so in Modbus only"

FAULTS = (
    Behaviour(
        name="busy",
        meaning="Every answer says: not now. Modbus exception 06, CIP status 02, S7 error class "
        "83, SNMP genErr or tooBig, HTTP 503 with Retry-After, SSH and Telnet too many users.",
        make=lambda _, p: _Busy(str(p["snmp"])),
        alter=_unavailable,
        parameters={"snmp": "gen_err", "retry_after_s": 120},
        variants=({}, {"snmp": "too_big"}),
        protocols=frozenset({"modbus", "enip", "s7", "snmp", "http", "https", "ssh", "telnet"}),
        because="how a device says it is part of its protocol",
    ),
    Behaviour(
        name="gateway_0a",
        meaning="Modbus exception 0A: the gateway has no path to the unit.",
        make=lambda _, __: _GatewayException(0x0A),
        protocols=frozenset({"modbus"}),
        because=_GATEWAY,
    ),
    Behaviour(
        name="gateway_0b",
        meaning="Modbus exception 0B: the unit behind the gateway does not answer.",
        make=lambda _, __: _GatewayException(0x0B),
        protocols=frozenset({"modbus"}),
        because=_GATEWAY,
    ),
)
