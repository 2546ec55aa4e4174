"""
MQTT 3.1.1 and 5.

Source: OASIS MQTT 3.1.1, sections 2.2.1 (packet types), 2.2.3 (remaining length) and 3.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_NAMES: Final[Mapping[int, str]] = {
    1: "CONNECT", 3: "PUBLISH", 8: "SUBSCRIBE", 10: "UNSUBSCRIBE", 12: "PINGREQ", 14: "DISCONNECT",
}  # fmt: skip
VERDICTS: Final[Mapping[int, Verdict]] = {1: "login", 14: "session"}
"""By packet type, where a CONNECT is one without will, name and password."""


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        kind, size, place = sent[at] >> 4, 0, at + 1
        for shift in (0, 7, 14, 21):
            size |= (sent[place] & 0x7F) << shift
            place += 1
            if sent[place - 1] < 0x80:
                break
        end = place + size
        if kind not in _NAMES or end > len(sent):
            return
        verdict = VERDICTS.get(kind, "control")
        if kind == 1:
            if sent[place : place + 6] != b"\0\4MQTT":
                return
            verdict = verdict if sent[place + 7] == 0x02 else "control"
        yield Pdu(at, end, f"MQTT {_NAMES[kind]}", verdict, (f"mqtt {kind}",), asks=kind == 1)
        at = end


GRAMMAR: Final = Grammar(
    protocol="mqtt",
    read=read,
    ports=(("tcp", 1883),),
    ics=False,
    client_speaks_first=True,
    dissector="mqtt",
    codes={"mqtt.msgtype": "mqtt {}"},
)
