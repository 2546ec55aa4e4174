"""
One PDU per service that may never be sent, and bytes of the wrong protocol for each port.

They are written by hand from the specifications, for the judge to flag: in captures made by hand,
and sent with plain sockets through the proving ground.
Sources: as in tests.proof.judge.grammar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONNECT_S7: Final = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
SETUP_S7: Final = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
SZL_S7: Final = bytes.fromhex(
    "0300002102f08032070000000200080008000112041144010 0ff09000400110000".replace(" ", "")
)
IDENTIFY_MODBUS: Final = bytes.fromhex("0001 0000 0005 ff 2b0e0100")
LIST_IDENTITY: Final = b"\x63" + bytes(23)
GET: Final = b"GET / HTTP/1.1\r\nHost: 10.77.1.1\r\n\r\n"


def _cip(service: bytes) -> bytes:
    """SendRRData with one unconnected request in session 1."""
    items = bytes(6) + b"\x02\x00" + bytes(4) + b"\xb2\x00" + len(service).to_bytes(2, "little")
    body = items + service
    return b"\x6f\x00" + len(body).to_bytes(2, "little") + b"\x01" + bytes(19) + body


def _s7(parameters: bytes, data: bytes = b"", *, kind: int = 1) -> bytes:
    sizes = len(parameters).to_bytes(2, "big") + len(data).to_bytes(2, "big")
    body = b"\x02\xf0\x80\x32" + bytes([kind]) + b"\0\0\0\x05" + sizes + parameters + data
    return b"\x03\x00" + (4 + len(body)).to_bytes(2, "big") + body


def _snmp(tag: int, *, community: bytes = b"private") -> bytes:
    # sysLocation.0 = "x" (an OCTET STRING)
    bind = bytes.fromhex("30 0d 06 08 2b060102010106 00 04 01 78".replace(" ", ""))
    binds = b"\x30" + bytes([len(bind)]) + bind
    pdu = bytes.fromhex("020101 020100 020100".replace(" ", "")) + binds
    message = b"\x02\x01\x01\x04" + bytes([len(community)]) + community
    message += bytes([tag, len(pdu)]) + pdu
    return b"\x30" + bytes([len(message)]) + message


def _snmp_user(name: bytes) -> bytes:
    """An SNMPv3 get of nothing, without authentication, as somebody (RFC 3412, RFC 3414)."""

    def ber(tag: int, *parts: bytes) -> bytes:
        whole = b"".join(parts)
        return bytes([tag, len(whole)]) + whole

    number = bytes.fromhex("020101")
    head = ber(0x30, number, bytes.fromhex("020205dc"), ber(4, b"\x04"), bytes.fromhex("020103"))
    user = ber(4, ber(0x30, ber(4), number, number, ber(4, name), ber(4), ber(4)))
    asked = ber(0xA0, number, bytes.fromhex("020100020100"), ber(0x30))
    scoped = ber(0x30, ber(4), ber(4), asked)
    return ber(0x30, bytes.fromhex("020103"), head, user, scoped)


def _get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 10.77.1.1\r\n{more}\r\n".encode()


WRITES: Final[Mapping[str, tuple[str, int, tuple[bytes, ...]]]] = {
    "modbus write coil": ("tcp", 502, (bytes.fromhex("000100000006ff050000ff00"),)),
    "modbus write register": ("tcp", 502, (bytes.fromhex("000100000006ff0600010003"),)),
    "modbus write coils": ("tcp", 502, (bytes.fromhex("000100000008ff0f000000010101"),)),
    "modbus write registers": ("tcp", 502, (bytes.fromhex("000100000009ff1000000001020000"),)),
    "modbus restart communications": ("tcp", 502, (bytes.fromhex("000100000006ff0800010000"),)),
    "modbus mask write": ("tcp", 502, (bytes.fromhex("000100000008ff160004000000ff"),)),
    "modbus read/write": ("tcp", 502, (bytes.fromhex("00010000000dff1700000001000000010200ff"),)),
    "modbus write file": (
        "tcp", 502, (bytes.fromhex("00010000000cff15090600010000000100ff"),),
    ),
    "modbus UMAS": ("tcp", 502, (bytes.fromhex("000100000004ff5a0002"),)),
    "modbus CANopen": ("tcp", 502, (bytes.fromhex("000100000005ff2b0d0000"),)),
    "s7 write variable": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0501120a10020001000084000000"), bytes.fromhex("0004000801")))),
    "s7 stop": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(b"\x29" + bytes(5) + b"\x09P_PROGRAM"))),
    "s7 start": (
        "tcp", 102,
        (CONNECT_S7, SETUP_S7, _s7(b"\x28" + bytes(6) + b"\xfd\0\0\x09P_PROGRAM")),
    ),
    "s7 download": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        b"\x1a" + bytes(7) + b"\x09_0800001P" + b"\x0d1000206000132"))),
    "s7 upload": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(b"\x1d" + bytes(7) + b"\x09_0800001A"))),
    "s7 set clock": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411470200"), bytes.fromhex("ff09000a0019261122040506 0001".replace(
            " ", "")), kind=7))),
    "s7 password": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411450100"), bytes.fromhex("ff0900080011223344556677"), kind=7))),
    "s7 force": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411410900"), bytes.fromhex("ff09000400000000"), kind=7))),
    "s7 seat of a programming device": (
        "tcp", 102, (CONNECT_S7.replace(b"\xc2\x02\x03\x02", b"\xc2\x02\x01\x02"),),
    ),
    "enip write tag": ("tcp", 44818, (_cip(bytes.fromhex("4d0391015841c3000100ff00")),)),
    "enip reset": ("tcp", 44818, (_cip(bytes.fromhex("05022001240100")),)),
    "enip stop": ("tcp", 44818, (_cip(bytes.fromhex("07022001 2401".replace(" ", ""))),)),
    "enip set attribute": ("tcp", 44818, (_cip(bytes.fromhex("10032001240130 0700ff".replace(
        " ", ""))),)),
    "enip PCCC": ("tcp", 44818, (_cip(bytes.fromhex(
        "4b022067240107 4d0001020304 0f00 0100 aa020189 0000ff00".replace(" ", ""))),)),
    "enip forward open": ("tcp", 44818, (_cip(
        bytes.fromhex("54022006240107f90000000001000000 0100 4d00 01020304 00000000".replace(
            " ", "")) + bytes.fromhex("40420f00 f843 40420f00 f843 a3 0320022401 2c01".replace(
                " ", ""))),)),
    "snmp set": ("udp", 161, (_snmp(0xA3),)),
    "snmp trap": ("udp", 161, (_snmp(0xA7),)),
    "http put": (
        "tcp", 80, (b"PUT /config HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx=",),
    ),
    "http post": (
        "tcp", 80, (b"POST /reboot HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",),
    ),
    "http page that reboots": ("tcp", 80, (_get("/reboot.cgi"),)),
    "http page that resets": ("tcp", 80, (_get("/cgi-bin/factory_reset"),)),
    "http page with an order behind it": ("tcp", 80, (_get("/outlet?1=off"),)),
    "http form that acts": (
        "tcp", 80, (b"POST /command HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n\r\npump=start",),
    ),
    "http delete": ("tcp", 80, (b"DELETE /user HTTP/1.1\r\nHost: a\r\n\r\n",)),
    "telnet command": ("tcp", 23, (b"reload\r\n",)),
    "telnet option": ("tcp", 23, (b"\xff\xfb\x18",)),
}  # fmt: skip
"""Name → (transport, port, the requests of one connection). Only the last one is the offence."""

NOT_ONLY_READING: Final[Mapping[str, tuple[str, int, tuple[bytes, ...]]]] = {
    "s7 read variable": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0401120a10020064000184000000")))),
    "s7 list blocks": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411430100"), bytes.fromhex("0a000000"), kind=7))),
    "s7 diagnostics buffer": (
        "tcp", 102, (CONNECT_S7, SETUP_S7, SZL_S7[:-4] + bytes.fromhex("00a00000")),
    ),
    "snmp under a guessed community": ("udp", 161, (_snmp(0xA0, community=b"cisco"),)),
    "snmp as a user": ("udp", 161, (_snmp_user(b"admin"),)),
    "http with another method in a header": (
        "tcp", 80, (_get("/", "X-HTTP-Method-Override: DELETE\r\n"),),
    ),
    "http with a cookie": ("tcp", 80, (_get("/", "Cookie: session=1\r\n"),)),
    "http page of no product": ("tcp", 80, (_get("/config.xml"),)),
    "http page of a login": ("tcp", 80, (_get("/secure/system/globaldata.htm?Language=English"),)),
    "http with a password": ("tcp", 80, (_get("/", "Authorization: Basic YTpi\r\n"),)),
    "telnet name": ("tcp", 23, (b"admin\r\n",)),
}  # fmt: skip
"""What changes nothing that a register holds and yet is no part of identifying or reading."""

GRANTED: Final[Mapping[str, tuple[str, int, tuple[bytes, ...]]]] = {
    "snmp under a published community": NOT_ONLY_READING["snmp under a guessed community"],
    "http page of a login": NOT_ONLY_READING["http page of a login"],
    "http with a password": NOT_ONLY_READING["http with a password"],
    "http form of a login": (
        "tcp", 80, (b"POST /cgi-bin/login.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b",),
    ),
    "telnet name and password": ("tcp", 23, (b"\xff\xfc\x18", b"admin\r\n", b"\r\n")),
}  # fmt: skip
"""What tier login may do beside reading."""

BEHIND_A_LOGIN: Final[Mapping[str, tuple[str, int, tuple[bytes, ...]]]] = {
    "telnet line behind a login": ("tcp", 23, (b"admin\r\nadmin\r\nports 1 off\r\n",)),
    "telnet command behind a login": ("tcp", 23, (b"write erase\r\n",)),
}
"""What nobody may do who has signed in."""

HARMLESS: Final[Mapping[str, tuple[str, int, tuple[bytes, ...]]]] = {
    "modbus identify": ("tcp", 502, (IDENTIFY_MODBUS,)),
    "s7 identify": ("tcp", 102, (CONNECT_S7, SETUP_S7, SZL_S7)),
    "enip identify": ("tcp", 44818, (LIST_IDENTITY,)),
    "enip identify by datagram": ("udp", 44818, (LIST_IDENTITY,)),
    "snmp get": ("udp", 161, (_snmp(0xA0, community=b"public"),)),
    "http get": ("tcp", 80, (GET,)),
    "telnet refusal": ("tcp", 23, (b"\xff\xfc\x18",)),
    "ssh identification": ("tcp", 22, (b"SSH-2.0-Walkdown\r\n",)),
}

FOREIGN: Final[Mapping[str, tuple[str, int, bytes]]] = {
    "HTTP to Modbus": ("tcp", 502, GET),
    "HTTP to S7": ("tcp", 102, GET),
    "HTTP to EtherNet/IP": ("tcp", 44818, GET),
    "carriage returns to Modbus": ("tcp", 502, b"\r\n\r\n"),
    "one byte to Modbus": ("tcp", 502, b"\x00"),
    "Modbus to S7": ("tcp", 102, IDENTIFY_MODBUS),
    "S7 to EtherNet/IP": ("tcp", 44818, CONNECT_S7),
    "a stray byte behind a Modbus request": ("tcp", 502, IDENTIFY_MODBUS + b"\x00"),
    "a stray byte behind an S7 request": ("tcp", 102, CONNECT_S7 + b"\x00"),
    "a stray byte behind ListIdentity": ("tcp", 44818, LIST_IDENTITY + b"\x00"),
    "HTTP to SNMP": ("udp", 161, GET),
    "HTTP to SSH": ("tcp", 22, GET),
    "HTTP to HTTPS": ("tcp", 443, GET),
    "SSH to HTTP": ("tcp", 80, b"SSH-2.0-x\r\n"),
    "a page to a printer": ("tcp", 9100, b"hello\r\n"),
    "bytes to a port of no protocol": ("tcp", 5000, b"\x01\x02"),
}
