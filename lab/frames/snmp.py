"""SNMP v1, v2c and v3. Source: RFC 3416 section 3; RFC 3412 section 6 (v3 messages)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.frames.asn1 import ber, ber_length
from lab.frames.form import Lie, Protocol, Seen, Span, told
from lab.frames.looks import guess

PDUS = {
    0xA0: "GetRequest",
    0xA1: "GetNextRequest",
    0xA2: "Response",
    0xA3: "SetRequest",
    0xA5: "GetBulkRequest",
    0xA6: "InformRequest",
    0xA7: "Trap",
    0xA8: "Report",
}
READS = frozenset({0xA0, 0xA1, 0xA5})
ERRORS = {"too_big": 1, "gen_err": 5}


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
        + b"\x04" + ber_length(len(other)) + other
        + message[text[2] : outer[2]]
    )  # fmt: skip
    return b"\x30" + ber_length(len(content)) + content


def _datagram(data: bytes) -> Seen:
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
        name = PDUS.get(pdu[0], f"PDU {pdu[0]:#04x}")
        return Seen(kind="request", function=f"v{version} {name}", write=pdu[0] not in READS)
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
    name = PDUS.get(tag, f"PDU {tag:#04x}")
    return Seen(kind="request", function=f"v3 {name}", write=tag not in READS)


def request_id(message: bytes) -> Span | None:
    """Where the request-id of a v1 or v2c message stands, or the msgID of a v3 message."""
    outer = ber(message, 0)
    version = ber(message, outer[1]) if outer else None
    second = ber(message, version[2]) if version else None
    if version is None or second is None:
        return None
    if second[0] == 0x30:  # v3: msgID is the first of the header data
        number = ber(message, second[1])
    else:
        pdu = ber(message, second[2])
        number = ber(message, pdu[1]) if pdu else None
    if number is None or number[0] != 0x02 or number[1] == number[2]:
        return None
    return number[1], number[2]


def with_false_length(message: bytes, lie: Lie) -> bytes:
    """An SNMP message whose outer length is false; the length keeps its form, `max` takes two."""
    if len(message) < 2:
        return message
    size = message[1] & 0x7F if message[1] & 0x80 else 0
    if len(message) < 2 + size:
        return message
    content = message[2 + size :]
    says = told(lie, len(content), max(size, 1))
    if lie == "max":
        return message[:1] + b"\x82\xff\xff" + content
    if size:
        return message[:2] + says.to_bytes(size, "big") + content
    return message[:1] + bytes([min(says, 0x7F)]) + content


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
    changed[index[1]] = 0 if status == ERRORS["too_big"] else 1
    return bytes(changed)


def _busy(reply: bytes, parameters: Mapping[str, Any]) -> bytes:
    return snmp_error(reply, ERRORS[str(parameters["snmp"])])


PROTOCOL = Protocol(
    name="snmp",
    port=161,
    transports=("udp",),
    datagram=_datagram,
    header=2,  # tag and length
    length_at=with_false_length,
    reference=request_id,
    reference_signed=True,
    busy_reply=_busy,
    lure=lambda _: {},
    longest_text=300,  # a datagram should not be cut
)
