"""
SNMP (UDP 161): one datagram is one message, and only questions may leave.

Allowed are GetRequest from `identify` up, GetNextRequest and GetBulkRequest (max-repetitions at
most 10) from `read` up, and the SNMPv3 engine discovery. SetRequest, Response, Trap, Inform and
Report have no tier. Values in a question must be NULL, object identifiers must lie in the subtrees
named below, and every length must be written in its shortest form and add up exactly, so that no
parser can read anything else into the datagram than this one did.

The community is `public`, except in the `login` tier, where any other may be tried with a
GetRequest on the system group. Encrypted SNMPv3 is refused: a SetRequest could hide in it, and no
client of ours judges the PDU before encryption yet.

Source: RFC 1157 section 4, RFC 3416 section 3, RFC 3412 section 6, RFC 3414 sections 2.4 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

MAX_DATAGRAM = 1472
MAX_COMMUNITY = 32
MAX_VARBINDS = 16
MAX_REPETITIONS = 10
MAX_OID_BYTES = 160

PUBLIC = b"public"

GET_REQUEST = 0xA0
GET_NEXT_REQUEST = 0xA1
GET_BULK_REQUEST = 0xA5
REFUSED_PDUS = {
    0xA2: "Response",
    0xA3: "SetRequest",
    0xA4: "Trap",
    0xA6: "InformRequest",
    0xA7: "SNMPv2-Trap",
    0xA8: "Report",
}

SYSTEM_GROUP = bytes.fromhex("2b0601020101")  # 1.3.6.1.2.1.1
READ_SUBTREES = (
    bytes.fromhex("2b06010201"),  # 1.3.6.1.2.1, mib-2
    bytes.fromhex("28c462010102"),  # 1.0.8802.1.1.2, lldpMIB
    bytes.fromhex("2b06010401090917010201"),  # 1.3.6.1.4.1.9.9.23.1.2.1, cdpCacheTable
)
"""Encoded object identifiers (X.690 section 8.19) whose whole subtree may be read."""


class _Bad(Exception):
    """This datagram is not what the allow-list describes; the text says in what."""


@dataclass(frozen=True, slots=True)
class _Node:
    tag: int
    body: bytes


def _nodes(data: bytes, at_most: int) -> tuple[_Node, ...]:
    """Cut `data` into whole TLVs: single-byte tags, definite and shortest lengths, nothing left."""
    found: list[_Node] = []
    at = 0
    while at < len(data):
        if len(found) == at_most:
            raise _Bad("more elements than expected")
        if at + 2 > len(data):
            raise _Bad("cut off in a header")
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise _Bad("multi-byte tag")
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 2 or at + count > len(data):
                raise _Bad("indefinite, long or cut off length")
            length = int.from_bytes(data[at : at + count], "big")
            if length < (0x80 if count == 1 else 0x100):
                raise _Bad("length is not in its shortest form")
            at += count
        if at + length > len(data):
            raise _Bad("length runs past the end")
        found.append(_Node(tag, data[at : at + length]))
        at += length
    return tuple(found)


def _children(node: _Node, tag: int, count: int, what: str) -> tuple[_Node, ...]:
    if node.tag != tag:
        raise _Bad(f"{what}: tag 0x{node.tag:02X} instead of 0x{tag:02X}")
    children = _nodes(node.body, count)
    if len(children) != count:
        raise _Bad(f"{what}: {len(children)} elements instead of {count}")
    return children


def _integer(node: _Node, low: int, high: int, what: str) -> int:
    if node.tag != 0x02 or not 1 <= len(node.body) <= 4:
        raise _Bad(f"{what} is not an INTEGER of 32 bits")
    value = int.from_bytes(node.body, "big", signed=True)
    if _padded(node.body):
        raise _Bad(f"{what} is not in its shortest form")
    if not low <= value <= high:
        raise _Bad(f"{what} {value} is not between {low} and {high}")
    return value


def _padded(body: bytes) -> bool:
    """Whether the first nine bits of an INTEGER are all alike (X.690 section 8.3.2)."""
    return len(body) > 1 and (body[0], body[1] >> 7) in ((0x00, 0), (0xFF, 1))


def _octets(node: _Node, at_most: int, what: str) -> bytes:
    if node.tag != 0x04 or len(node.body) > at_most:
        raise _Bad(f"{what} is not an OCTET STRING of at most {at_most} bytes")
    return node.body


def _has_padded_number(oid: bytes) -> bool:
    """Whether a number of the object identifier begins with 0x80 (X.690 section 8.19.2)."""
    return any(byte == 0x80 and (at == 0 or not oid[at - 1] & 0x80) for at, byte in enumerate(oid))


def _judge_varbinds(node: _Node, subtrees: tuple[bytes, ...], at_least: int) -> int:
    if node.tag != 0x30:
        raise _Bad("variable bindings are not a SEQUENCE")
    bindings = _nodes(node.body, MAX_VARBINDS)
    if len(bindings) < at_least:
        raise _Bad("a question without a variable")
    for binding in bindings:
        name, value = _children(binding, 0x30, 2, "variable binding")
        if name.tag != 0x06 or not 1 <= len(name.body) <= MAX_OID_BYTES:
            raise _Bad("variable name is not an OBJECT IDENTIFIER")
        if name.body[-1] & 0x80:
            raise _Bad("object identifier ends in the middle of a number")
        if _has_padded_number(name.body):
            raise _Bad("object identifier has a number that is not in its shortest form")
        if not name.body.startswith(subtrees):
            raise _Bad(f"object identifier {name.body.hex()} is outside the readable subtrees")
        if value != _Node(0x05, b""):
            raise _Bad("a question carries a value")
    return len(bindings)


def _judge_pdu(pdu: _Node, tier: Tier, *, bulk: bool, system_group_only: bool) -> None:
    if pdu.tag in REFUSED_PDUS:
        raise _Bad(f"{REFUSED_PDUS[pdu.tag]} is not a question")
    if pdu.tag not in (GET_REQUEST, GET_NEXT_REQUEST, GET_BULK_REQUEST):
        raise _Bad(f"PDU type 0x{pdu.tag:02X} is not on the list")
    if pdu.tag != GET_REQUEST and (not tier.allows(Tier.READ) or system_group_only):
        raise _Bad("GetNext and GetBulk belong to the read tier and to its communities")
    if pdu.tag == GET_BULK_REQUEST and not bulk:
        raise _Bad("SNMPv1 has no GetBulk")
    request_id, second, third, varbinds = _children(pdu, pdu.tag, 4, "PDU")
    _integer(request_id, -(2**31), 2**31 - 1, "request-id")
    if pdu.tag == GET_BULK_REQUEST:
        _integer(second, 0, 0, "non-repeaters")
        _integer(third, 1, MAX_REPETITIONS, "max-repetitions")
    else:
        _integer(second, 0, 0, "error-status")
        _integer(third, 0, 0, "error-index")
    narrow = system_group_only or not tier.allows(Tier.READ)
    _judge_varbinds(varbinds, (SYSTEM_GROUP,) if narrow else READ_SUBTREES, 1)


def _judge_community_message(parts: tuple[_Node, ...], tier: Tier, *, v2c: bool) -> None:
    if len(parts) != 3:
        raise _Bad(f"message has {len(parts)} elements instead of 3")
    community = _octets(parts[1], MAX_COMMUNITY, "community")
    public = community == PUBLIC
    if not public and not tier.allows(Tier.LOGIN):
        raise _Bad("a community other than public belongs to the login tier")
    _judge_pdu(parts[2], tier, bulk=v2c, system_group_only=not public)


def _judge_v3_message(parts: tuple[_Node, ...], tier: Tier) -> None:
    if len(parts) != 4:
        raise _Bad(f"message has {len(parts)} elements instead of 4")
    message_id, max_size, flags_node, model = _children(parts[1], 0x30, 4, "header data")
    _integer(message_id, 0, 2**31 - 1, "msgID")
    _integer(max_size, 484, 2**31 - 1, "msgMaxSize")
    flags = _octets(flags_node, 1, "msgFlags")
    if len(flags) != 1 or flags[0] & ~0x07:
        raise _Bad("msgFlags are not one byte of known flags")
    _integer(model, 3, 3, "msgSecurityModel")
    security = _octets(parts[2], 256, "security parameters")
    wrapped = _nodes(security, 1)
    if len(wrapped) != 1:
        raise _Bad("security parameters are empty")
    engine, boots, time, user, auth, priv = _children(wrapped[0], 0x30, 6, "security parameters")
    engine_id = _octets(engine, 32, "engine id")
    _integer(boots, 0, 2**31 - 1, "engine boots")
    _integer(time, 0, 2**31 - 1, "engine time")
    user_name = _octets(user, 32, "user name")
    auth_parameters = _octets(auth, 48, "authentication parameters")
    priv_parameters = _octets(priv, 8, "privacy parameters")

    if flags[0] & 0x02:
        raise _Bad("an encrypted PDU cannot be judged")
    if priv_parameters:
        raise _Bad("privacy parameters without encryption")
    context_engine, context_name, pdu = _children(parts[3], 0x30, 3, "scoped PDU")
    _octets(context_engine, 32, "context engine id")
    _octets(context_name, 32, "context name")

    if not engine_id:
        if flags[0] != 0x04 or user_name or auth_parameters:
            raise _Bad("engine discovery is a reportable question without user or authentication")
        if pdu.tag != GET_REQUEST:
            raise _Bad("engine discovery is a GetRequest")
        request_id, status, index, varbinds = _children(pdu, GET_REQUEST, 4, "PDU")
        _integer(request_id, -(2**31), 2**31 - 1, "request-id")
        _integer(status, 0, 0, "error-status")
        _integer(index, 0, 0, "error-index")
        _judge_varbinds(varbinds, (SYSTEM_GROUP,), 0)
        return
    if not tier.allows(Tier.READ):
        raise _Bad("SNMPv3 beyond engine discovery belongs to the read tier")
    if bool(flags[0] & 0x01) != (len(auth_parameters) in (12, 16, 24, 32, 48)):
        raise _Bad("authentication parameters do not fit msgFlags")
    _judge_pdu(pdu, tier, bulk=True, system_group_only=False)


def _judge(frame: bytes, tier: Tier) -> None:
    if len(frame) > MAX_DATAGRAM:
        raise _Bad(f"{len(frame)} bytes are more than a datagram of ours ever has")
    if not tier.allows(Tier.IDENTIFY):
        raise _Bad("nothing is sent in the passive tier")
    outer = _nodes(frame, 1)
    if len(outer) != 1 or outer[0].tag != 0x30:
        raise _Bad("not one SEQUENCE")
    parts = _nodes(outer[0].body, 4)
    if not parts:
        raise _Bad("an empty message")
    version = _integer(parts[0], 0, 3, "version")
    match version:
        case 0 | 1:
            _judge_community_message(parts, tier, v2c=version == 1)
        case 3:
            _judge_v3_message(parts, tier)
        case _:
            raise _Bad("version is neither 1, 2c nor 3")


class SnmpGuard:
    """One datagram, one frame."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if len(buffer) > MAX_DATAGRAM:
            raise GuardRefused(f"snmp: {len(buffer)} bytes are more than one datagram of ours")
        return ((buffer,), b"") if buffer else ((), b"")

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        try:
            _judge(frame, tier)
        except _Bad as bad:
            return str(bad)
        return None


MAX_REPLY_ELEMENTS = 512
MAX_REPLY_DEPTH = 8
_NUMBERS = frozenset({0x02, 0x41, 0x42, 0x43, 0x46, 0x47})
_MAX_NUMBER = 9
_OID = 0x06
_RESPONSE = 0xA2


def reply_framer(datagram: bytes) -> int:
    """
    The whole datagram, where a library may be trusted with it. Raises BadReply on what is no
    message, on nesting deeper than any message has, on more elements than ten rows are, and on
    numbers and names so long that a decoder stumbles over them (pyasn1 raises on a number of more
    than 4300 digits, and takes a quarter of a second for 3000 variables).
    """
    pending = [(0, len(datagram), 0)]
    seen = 0
    while pending:
        at, end, depth = pending.pop()
        while at < end:
            seen += 1
            tag, start, stop = _reply_element(datagram, at, end)
            if seen > MAX_REPLY_ELEMENTS or depth > MAX_REPLY_DEPTH:
                raise BadReply("SNMP: more or deeper elements than a reply of ours can have")
            if tag in _NUMBERS and stop - start > _MAX_NUMBER:
                raise BadReply(f"SNMP: a number of {stop - start} bytes")
            if tag == _OID and stop - start > 4 * MAX_OID_BYTES:
                raise BadReply(f"SNMP: an object identifier of {stop - start} bytes")
            if tag & 0x20:
                pending.append((start, stop, depth + 1))
            at = stop
    if datagram[:1] != b"\x30":
        raise BadReply("SNMP: not a message")
    return len(datagram)


def _reply_element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """(tag, start, end of content) of the element at `at`; lengths in any definite form."""
    if at + 2 > end:
        raise BadReply("SNMP: cut off in a header")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > end:
            raise BadReply("SNMP: an indefinite or cut off length")
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + length > end:
        raise BadReply("SNMP: a length that runs past the end")
    return data[at], start, start + length


def is_answer(reply: bytes, request: bytes) -> bool:
    """
    Whether a reply is the Response to this request of SNMPv1 or v2c: the same version, community
    and request-id (RFC 3416 section 4.2). Conversations share an engine of the library, which
    looks at the last alone, and drops another community's answer without telling anybody.
    """
    try:
        asked, told = _head(request), _head(reply)
    except BadReply:
        return False
    return told[2] == _RESPONSE and (asked[:2], asked[3]) == (told[:2], told[3])


def _head(message: bytes) -> tuple[int, bytes, int, int]:
    """(version, community, tag of the PDU, request-id) of a message. Raises BadReply."""
    _, start, end = _reply_element(message, 0, len(message))
    _, version, after_version = _reply_element(message, start, end)
    _, community, after_community = _reply_element(message, after_version, end)
    tag, inside, pdu_end = _reply_element(message, after_community, end)
    _, number, number_end = _reply_element(message, inside, pdu_end)
    return (
        int.from_bytes(message[version:after_version], "big", signed=True),
        message[community:after_community],
        tag,
        int.from_bytes(message[number:number_end], "big", signed=True),
    )


GUARD = GuardSpec(protocol="snmp", open=SnmpGuard, reply_framer=reply_framer, is_answer=is_answer)
