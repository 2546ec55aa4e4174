"""
TLS; tshark tells what is inside where the key log opened it.

Sources: RFC 8446, section 5.1; RFC 5246, section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_HANDSHAKE: Final[Mapping[int, str]] = {
    1: "ClientHello",
    11: "Certificate",
    16: "ClientKeyExchange",
}


def read(sent: bytes) -> Iterator[Pdu]:
    at, changed = 0, False
    while at < len(sent):
        kind = sent[at]
        end = at + 5 + int.from_bytes(sent[at + 3 : at + 5], "big")
        if kind not in (20, 21, 22, 23) or sent[at + 1] != 3 or sent[at + 2] > 4:
            return
        if end > len(sent) or end == at + 5:
            return
        if kind == 20:
            changed = True
            yield Pdu(at, end, "TLS change cipher spec", "session", asks=False)
        elif kind == 21:
            yield Pdu(at, end, "TLS alert", "session", asks=False)
        elif kind == 22 and changed:
            yield Pdu(at, end, "TLS handshake, encrypted", "session")
        elif kind == 22:
            message = sent[at + 5]
            name = _HANDSHAKE.get(message)
            code = (f"tls {message}",)
            verdict: Verdict = "session" if name else "unknown"
            yield Pdu(at, end, f"TLS {name or f'handshake {message}'}", verdict, code)
        else:
            yield Pdu(at, end, "TLS application data", "sealed")
        at = end


GRAMMAR: Final = Grammar(
    protocol="https",
    read=read,
    ports=(("tcp", 443), ("tcp", 8443)),
    ics=False,
    client_speaks_first=True,
    dissector="tls",
    inside_tls="http",
    codes={"tls.handshake.type": "tls {}"},
    connections={"read": 4, "login": 3},  # read: a handshake for each older version of TLS
    writes_nothing="what would write is HTTP inside TLS, opened by the key log and judged as HTTP",
)
