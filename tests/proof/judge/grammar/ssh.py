"""
SSH, up to where it is encrypted.

Source: RFC 4253.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_SSH: Final[Mapping[int, str]] = {
    1: "disconnect", 2: "ignore", 20: "KEXINIT", 21: "NEWKEYS", 30: "key exchange",
    31: "key exchange", 32: "key exchange", 33: "key exchange", 34: "key exchange",
}  # fmt: skip


def read(sent: bytes) -> Iterator[Pdu]:
    first = re.match(rb"SSH-2\.0-[!-~]+(?: [ -~]*)?\r\n", sent)
    if first is None:
        return
    at = first.end()
    yield Pdu(0, at, "SSH identification", "session")
    while at < len(sent):
        length = int.from_bytes(sent[at : at + 4], "big")
        end = at + 4 + length
        if not 5 <= length <= 35000 or end > len(sent):
            return
        message = sent[at + 5]
        name = _SSH.get(message)
        code = (f"ssh {message}",)
        if name is None:
            yield Pdu(at, end, f"SSH message {message}", "unknown", code)
        else:
            yield Pdu(at, end, f"SSH {message} {name}", "session", code)
        at = end
        if message == 21:
            break
    if at < len(sent):
        yield Pdu(at, len(sent), "SSH, encrypted", "sealed")


GRAMMAR: Final = Grammar(
    protocol="ssh",
    read=read,
    ports=(("tcp", 22),),
    ics=False,
    client_speaks_first=False,
    dissector="ssh",
    codes={"ssh.message_code": "ssh {}"},
    connections={"login": 2},
    writes_nothing="what would write is encrypted: the lab's ledger names what was carried out",
)
