"""
SNMP.

Sources: RFC 1157; RFC 3416, section 3; RFC 3412; RFC 3414, section 2.4; X.690, section 8.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SNMP: Final[Mapping[int, tuple[str, Verdict]]] = {
    0xA0: ("GetRequest", "read"),
    0xA1: ("GetNextRequest", "read"),
    0xA2: ("Response", "control"),
    0xA3: ("SetRequest", "control"),
    0xA4: ("Trap", "control"),
    0xA5: ("GetBulkRequest", "read"),
    0xA6: ("InformRequest", "control"),
    0xA7: ("SNMPv2-Trap", "control"),
    0xA8: ("Report", "control"),
}

COMMUNITY: Final = b"public"
"""The only community that is not a guess; whoever uses another one, or a user name, signs in."""


def _ber(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag, start of the value, its end). Raises ValueError, IndexError."""
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    if start + size > len(data):
        raise ValueError("a length beyond the end")
    return tag, start, start + size


def read(sent: bytes) -> Iterator[Pdu]:
    tag, at, end = _ber(sent, 0)
    if tag != 0x30 or end != len(sent):
        return
    _, start, at = _ber(sent, at)
    version = int.from_bytes(sent[start:at], "big")
    words = {0: "v1", 1: "v2c", 3: "v3"}.get(version)
    if words is None:
        return
    if version == 3:
        _, inner, at = _ber(sent, at)  # msgGlobalData: id, size, flags, model
        _, _, inner = _ber(sent, inner)
        _, _, inner = _ber(sent, inner)
        _, flags, _ = _ber(sent, inner)
        _, parameters, at = _ber(sent, at)  # msgSecurityParameters
        guessed = _usm_user(sent, parameters) != b""
        if sent[flags] & 2:
            yield Pdu(0, end, "SNMP v3, encrypted", "unknown")
            return
        _, scoped, _ = _ber(sent, at)
        _, _, scoped = _ber(sent, scoped)  # contextEngineID
        _, _, at = _ber(sent, scoped)  # contextName
    else:
        _, start, at = _ber(sent, at)
        guessed = sent[start:at] != COMMUNITY
    tag, _, last = _ber(sent, at)
    name, verdict = _SNMP.get(tag, ("", "unknown"))
    if guessed and verdict == "read":
        verdict, name = "login", f"{name} as somebody"
    if last != end:
        verdict = "unknown"
    yield Pdu(0, end, f"SNMP {words} {name or hex(tag)}", verdict, (f"snmp {tag - 0xA0}",))


def _usm_user(sent: bytes, at: int) -> bytes:
    """msgUserName of RFC 3414 section 2.4: engine id, boots, time, name."""
    _, at, _ = _ber(sent, at)
    for _ in range(3):
        _, _, at = _ber(sent, at)
    _, start, end = _ber(sent, at)
    return sent[start:end]


def _tlv(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, rest) of one BER element with a definite length (X.690 section 8.1)."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + length], data[start + length :]


def asks(data: bytes) -> Iterator[bytes]:
    """Version, community, PDU type, variable bindings; of SNMPv3 nothing: it sets up a session."""
    _, message, _ = _tlv(data)
    _, version, rest = _tlv(message)
    if version == b"\x03":
        return
    _, community, rest = _tlv(rest)
    kind, pdu, _ = _tlv(rest)
    _, _, after_id = _tlv(pdu)
    yield bytes([version[-1], kind]) + community + b"\0" + after_id


GRAMMAR: Final = Grammar(
    protocol="snmp",
    read=read,
    ports=(("udp", 161),),
    ics=False,
    client_speaks_first=False,
    dissector="snmp",
    codes={"snmp.data": "snmp {}"},
    asks=asks,
)
