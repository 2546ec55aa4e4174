"""LDAP messages. Source: RFC 4511 sections 4.1.1, 4.1.9 and appendix B; X.690 section 8.1."""

from __future__ import annotations

from lab.frames.asn1 import ber, ber_length
from lab.frames.form import Lie, Protocol, Seen, told
from lab.frames.looks import guess

OPERATIONS = {
    0x60: "bind", 0x42: "unbind", 0x63: "search", 0x64: "entry", 0x65: "search done",
    0x66: "modify", 0x68: "add", 0x4A: "delete", 0x6C: "modify DN", 0x6E: "compare",
    0x50: "abandon", 0x77: "extended",
}  # fmt: skip
UNANSWERED = frozenset({"unbind", "abandon"})
READS = frozenset({"search", "unbind", "abandon"})
LONGEST = 64 * 1024


def _length(data: bytes) -> int | str | None:
    if data[0] != 0x30:
        return "foreign" if guess(data) != "unknown" else "no LDAP message"
    found = ber(data, 0)
    if found is None:
        return None if len(data) < LONGEST else "a message without end"
    return found[2]


def operation(frame: bytes) -> str | None:
    """The name of what a message carries."""
    outer = ber(frame, 0)
    number = None if outer is None else ber(frame, outer[1])
    if number is None or number[0] != 0x02 or number[2] >= len(frame):
        return None
    return OPERATIONS.get(frame[number[2]])


def _classify(frame: bytes) -> Seen:
    name = operation(frame)
    if name is None:
        return Seen(kind="malformed", function="no operation")
    if name == "search" and b"\x04\x00\x0a\x01\x00" in frame[:16]:
        name = "root DSE"
    write = name not in READS and name != "root DSE"
    return Seen(kind="request", function=name, write=write, answered=name not in UNANSWERED)


def _misstated(reply: bytes, lie: Lie) -> bytes:
    found = ber(reply, 0)
    if found is None:
        return reply
    says = told(lie, found[2] - found[1], 2)
    return bytes([reply[0], 0x82]) + says.to_bytes(2, "big") + reply[found[1] :]


def _reference(reply: bytes) -> tuple[int, int] | None:
    outer = ber(reply, 0)
    number = None if outer is None else ber(reply, outer[1])
    return None if number is None or number[0] != 0x02 else (number[1], number[2])


def _busy(request: bytes) -> bytes:
    """The end of a search that found a server too busy (51)."""
    if operation(request) in UNANSWERED or _reference(request) is None:
        return b""
    start, end = _reference(request) or (0, 0)
    number = request[start:end]
    done = bytes.fromhex("65070a01330400") + b"\x04\0"
    content = b"\x02" + bytes([len(number)]) + number + done
    return b"\x30" + ber_length(len(content)) + content


PROTOCOL = Protocol(
    name="ldap",
    port=389,
    length=_length,
    classify=_classify,
    header=2,
    length_at=_misstated,
    reference=_reference,
    reference_signed=True,
    busy=_busy,
    longest_text=180,
    syntax=frozenset({"ldap_versions"}),
)
