"""
The lab's own view of a frame: where it ends, what it asks for, whether it would change something.

Written for the fronts alone and shared with nothing else, so that a mistake made in the product
is not made here as well. A `Stream` is fed the bytes of one direction of one connection and tells
what it found; `classify_datagram` does the same for one datagram.

Sources: MODBUS Messaging on TCP/IP 1.0b section 3.1; RFC 1006 section 6 and ISO 8073 section 13;
ODVA CIP volume 2 chapter 2; RFC 3416 section 3; RFC 4253 section 4.2; RFC 8446 section 5.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MODBUS_READS = frozenset({0x01, 0x02, 0x03, 0x04, 0x07, 0x0B, 0x0C, 0x11, 0x14, 0x18, 0x2B})
S7_READ_JOBS = frozenset({0xF0, 0x04})
ENIP_COMMANDS = {
    0x0004: "ListServices",
    0x0063: "ListIdentity",
    0x0064: "ListInterfaces",
    0x0065: "RegisterSession",
    0x0066: "UnRegisterSession",
    0x006F: "SendRRData",
    0x0070: "SendUnitData",
}
CIP_READS = {0x01: "Get_Attributes_All", 0x03: "Get_Attribute_List", 0x0E: "Get_Attribute_Single"}
SNMP_PDUS = {
    0xA0: "GetRequest",
    0xA1: "GetNextRequest",
    0xA2: "Response",
    0xA3: "SetRequest",
    0xA5: "GetBulkRequest",
    0xA6: "InformRequest",
    0xA7: "Trap",
    0xA8: "Report",
}
SNMP_READS = frozenset({0xA0, 0xA1, 0xA5})
HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    One thing found in a stream.

    kind "request": a whole frame; `function` in the protocol's terms, `write` when it would
    change something or is not known to be a read, `answered` when a reply is owed for it.
    kind "foreign" or "malformed": `function` says what it looks like; nothing after it is parsed.
    """

    kind: Literal["request", "foreign", "malformed"]
    function: str
    write: bool = False
    answered: bool = True


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


# --- one frame of each protocol ----------------------------------------------------------------


def _modbus(frame: bytes) -> Seen:
    function = frame[7]
    if function == 0x2B:
        mei = frame[8] if len(frame) > 8 else -1
        name = f"43/{mei}"
        return Seen(kind="request", function=name, write=mei != 0x0E)
    return Seen(kind="request", function=str(function), write=function not in MODBUS_READS)


def _modbus_length(data: bytes) -> int | str | None:
    """Length of the first frame, None when more is needed, or what is wrong with it."""
    if len(data) >= 4 and data[2:4] != b"\0\0":
        return "foreign"
    if len(data) < 6:
        return None
    length = int.from_bytes(data[4:6], "big")
    if not 2 <= length <= 254:
        return f"length {length}"
    return 6 + length if len(data) >= 6 + length else None


def _tpkt_length(data: bytes) -> int | str | None:
    if data[:1] != b"\x03" or (len(data) > 1 and data[1] != 0):
        return "foreign"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 7 <= length <= 8192:
        return f"length {length}"
    return length if len(data) >= length else None


def _s7(frame: bytes) -> Seen:
    header, code = frame[4], frame[5] & 0xF0
    if 5 + header > len(frame):
        return Seen(kind="malformed", function=f"COTP header {header}")
    if code == 0xE0:
        tsap = frame.find(b"\xc2\x02", 11)
        called = frame[tsap + 2 : tsap + 4].hex() if tsap >= 0 else "none"
        seat = " as PG" if called.startswith("01") else ""  # takes a programmer's seat
        return Seen(kind="request", function=f"connect {called}{seat}")
    if code == 0x80:
        return Seen(kind="request", function="disconnect", answered=False)
    if code != 0xF0:
        return Seen(kind="malformed", function=f"COTP {frame[5]:#04x}")
    pdu = frame[5 + header :]
    if len(pdu) < 12 or pdu[0] != 0x32:
        return Seen(kind="malformed", function="no S7 header")
    if pdu[1] == 0x01:
        return Seen(
            kind="request", function=f"job {pdu[10]:#04x}", write=pdu[10] not in S7_READ_JOBS
        )
    if pdu[1] == 0x07:
        if len(pdu) < 18:
            return Seen(kind="malformed", function="userdata too short")
        group, sub = pdu[15] & 0x0F, pdu[16]
        if (group, sub) == (4, 1):
            szl = pdu[22:24].hex() if len(pdu) >= 26 and pdu[14] == 0x11 else "next"
            return Seen(kind="request", function=f"SZL {szl}")
        return Seen(kind="request", function=f"userdata {group}/{sub}", write=True)
    return Seen(kind="request", function=f"rosctr {pdu[1]}", write=True)


def _enip_length(data: bytes) -> int | str | None:
    if len(data) >= 2 and int.from_bytes(data[:2], "little") not in ENIP_COMMANDS:
        return "foreign" if guess(data) != "unknown" else "unknown command"
    if len(data) < 24:
        return None
    length = 24 + int.from_bytes(data[2:4], "little")
    if length > 4096:
        return f"length {length}"
    return length if len(data) >= length else None


def _enip(frame: bytes) -> Seen:
    command = int.from_bytes(frame[:2], "little")
    name = ENIP_COMMANDS.get(command)
    if name is None:
        return Seen(kind="malformed", function=f"command {command:#06x}")
    if command == 0x0066:
        return Seen(kind="request", function=name, answered=False)
    if command == 0x0070:
        return Seen(kind="request", function=name, write=True)
    if command != 0x006F:
        return Seen(kind="request", function=name)
    # interface handle 4, time-out 2, item count 2, null address item 4, data item type and length
    if len(frame) < 24 + 18:
        return Seen(kind="malformed", function="SendRRData too short")
    service = frame[40]
    if service == 0x52:  # Unconnected_Send carries another request after its 8 + 2 bytes
        inner = 40 + 2 + 2 * frame[41] + 4
        if inner < len(frame):
            service = frame[inner]
    label = CIP_READS.get(service, f"service {service:#04x}")
    return Seen(kind="request", function=f"{name} {label}", write=service not in CIP_READS)


# --- streams -----------------------------------------------------------------------------------

_BINARY: dict[str, tuple[Callable[[bytes], int | str | None], Callable[[bytes], Seen]]] = {
    "modbus": (_modbus_length, _modbus),
    "s7": (_tpkt_length, _s7),
    "enip": (_enip_length, _enip),
}
_FIRST_BYTES: dict[str, Callable[[bytes], bool]] = {
    "http": lambda data: any(method.startswith(data[: len(method)]) for method in HTTP_METHODS),
    "https": lambda data: data[:1] == b"\x16",
    "ssh": lambda data: b"SSH-".startswith(data[:4]),
    "telnet": lambda data: guess(data) in ("telnet", "unknown", "asn1"),
}


class Stream:
    """One direction of one connection; for text protocols only its first bytes are judged."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._buffer = b""
        self._stopped = False

    def feed(self, data: bytes) -> list[Seen]:
        if self._stopped:
            return []
        self._buffer += data
        if self._protocol in _BINARY:
            return self._frames()
        begins = _FIRST_BYTES.get(self._protocol)
        self._stopped = True
        if begins is not None and not begins(self._buffer):
            return [Seen(kind="foreign", function=guess(self._buffer))]
        return []

    def _frames(self) -> list[Seen]:
        length_of, classify = _BINARY[self._protocol]
        found: list[Seen] = []
        while self._buffer:
            length = length_of(self._buffer)
            if length is None:
                break
            if isinstance(length, str):
                self._stopped = True
                kind: Literal["foreign", "malformed"] = (
                    "foreign" if length == "foreign" else "malformed"
                )
                what = guess(self._buffer) if kind == "foreign" else length
                found.append(Seen(kind=kind, function=what))
                break
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            seen = classify(frame)
            found.append(seen)
            if seen.kind == "malformed":
                self._stopped = True
                break
        return found

    def count(self, data: bytes) -> int:
        """Whole frames in the other direction, for knowing whether an answer is owed."""
        self._buffer += data
        length_of = _BINARY[self._protocol][0]
        frames = 0
        while self._buffer and isinstance(length := length_of(self._buffer), int):
            self._buffer = self._buffer[length:]
            frames += 1
        if self._buffer and isinstance(length_of(self._buffer), str):
            self._buffer = b""  # no frame, so nothing to wait for; an endless stream is not kept
        return frames


class Splitter:
    """Bytes of one direction cut into whole frames; what is not framed here passes as it came."""

    def __init__(self, protocol: str) -> None:
        self._length_of = _BINARY[protocol][0] if protocol in _BINARY else None
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        if self._length_of is None:
            return [data]
        self._buffer += data
        pieces: list[bytes] = []
        while self._buffer:
            length = self._length_of(self._buffer)
            if length is None:
                break
            if isinstance(length, str):  # no frame of this protocol: nothing to wait for
                length = len(self._buffer)
            pieces.append(self._buffer[:length])
            self._buffer = self._buffer[length:]
        return pieces

    def rest(self) -> bytes:
        """What never became a whole frame."""
        left, self._buffer = self._buffer, b""
        return left


def is_framed(protocol: str) -> bool:
    """Whether requests of this protocol are told apart here (else its emulator reports them)."""
    return protocol in _BINARY


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


def snmp_version(data: bytes) -> str | None:
    """ "1", "2c", "3", or None when this is no SNMP message."""
    outer = ber(data, 0)
    if outer is None or outer[0] != 0x30:
        return None
    version = ber(data, outer[1])
    if version is None or version[0] != 0x02:
        return None
    return {0: "1", 1: "2c", 3: "3"}.get(int.from_bytes(data[version[1] : version[2]], "big"))


def community_of(message: bytes) -> bytes | None:
    """The community of a v1 or v2c message, None where there is none to read."""
    if snmp_version(message) not in ("1", "2c"):
        return None
    outer = ber(message, 0)
    version = ber(message, outer[1]) if outer else None
    text = ber(message, version[2]) if version else None
    return message[text[1] : text[2]] if text is not None and text[0] == 0x04 else None


def with_community(message: bytes, other: bytes) -> bytes:
    """The same v1 or v2c message with another community; what cannot be read is returned as is."""
    if community_of(message) is None:
        return message
    outer = ber(message, 0)
    version = ber(message, outer[1]) if outer else None
    text = ber(message, version[2]) if version else None
    if outer is None or version is None or text is None:
        return message
    content = (
        message[outer[1] : version[2]]
        + b"\x04" + _ber_length(len(other)) + other
        + message[text[2] : outer[2]]
    )  # fmt: skip
    return b"\x30" + _ber_length(len(content)) + content


def _ber_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    size = (length.bit_length() + 7) // 8
    return bytes([0x80 | size]) + length.to_bytes(size, "big")


def _snmp(data: bytes) -> Seen:
    version = snmp_version(data)
    if version is None:
        return Seen(kind="foreign", function=guess(data))
    outer = ber(data, 0)
    first = ber(data, outer[1]) if outer else None
    second = ber(data, first[2]) if first else None
    if second is None:
        return Seen(kind="malformed", function="truncated")
    if version != "3":
        pdu = ber(data, second[2])
        if pdu is None:
            return Seen(kind="malformed", function="truncated")
        name = SNMP_PDUS.get(pdu[0], f"PDU {pdu[0]:#04x}")
        return Seen(kind="request", function=f"v{version} {name}", write=pdu[0] not in SNMP_READS)
    parameters = ber(data, second[2])
    scoped = ber(data, parameters[2]) if parameters else None
    if scoped is None:
        return Seen(kind="malformed", function="truncated")
    if scoped[0] == 0x04:  # an encrypted scoped PDU; the agent reports what was inside
        return Seen(kind="request", function="v3 encrypted")
    at = scoped[1]
    for _ in range(2):  # context engine id, context name
        element = ber(data, at)
        if element is None:
            return Seen(kind="malformed", function="truncated")
        at = element[2]
    tag = data[at] if at < len(data) else 0
    name = SNMP_PDUS.get(tag, f"PDU {tag:#04x}")
    return Seen(kind="request", function=f"v3 {name}", write=tag not in SNMP_READS)


def classify_datagram(protocol: str, data: bytes) -> Seen:
    """What one datagram asks for."""
    if protocol == "snmp":
        return _snmp(data)
    if protocol == "enip":
        length = _enip_length(data)
        if length == "foreign":
            return Seen(kind="foreign", function=guess(data))
        if length != len(data):
            return Seen(kind="malformed", function=f"length {length} of {len(data)}")
        return _enip(data)
    return Seen(kind="foreign", function=guess(data))
