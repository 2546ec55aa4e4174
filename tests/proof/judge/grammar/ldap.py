"""
LDAP. tshark names the operation of each message by the number of its choice.

Source: RFC 4511 section 4.1.1 and appendix B.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_OPERATIONS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0: ("bind", "control"),
    2: ("unbind", "session"),
    3: ("search", "unknown"),
    6: ("modify", "control"),
    8: ("add", "control"),
    10: ("delete", "control"),
    12: ("modify DN", "control"),
    14: ("compare", "control"),
    16: ("abandon", "control"),
    23: ("extended request", "control"),
}
_ROOT_ITSELF: Final = bytes.fromhex("04000a0100")


def _element(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of what the element at `at` contains."""
    length, start = data[at + 1], at + 2
    if length > 0x7F:
        size = length - 0x80
        if not 1 <= size <= 3:
            raise ValueError
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise ValueError
    return start, start + length


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        start, end = _element(sent, at)
        if sent[at] != 0x30 or sent[start] != 0x02:
            return
        _, operation = _element(sent, start)
        choice = sent[operation] & 0x1F
        if sent[operation] & 0xC0 != 0x40 or choice not in _OPERATIONS:
            return
        inside, _ = _element(sent, operation)
        name, verdict = _OPERATIONS[choice]
        if choice == 3 and sent[inside:].startswith(_ROOT_ITSELF):
            name, verdict = "search of the root DSE", "read"
        yield Pdu(at, end, f"LDAP {name}", verdict, (f"ldap {choice}",), asks=choice != 2)
        at = end


GRAMMAR: Final = Grammar(
    protocol="ldap",
    read=read,
    ports=(("tcp", 389),),
    ics=False,
    client_speaks_first=True,
    dissector="ldap",
    codes={"ldap.protocolOp": "ldap {}"},
    questions=1,
)
