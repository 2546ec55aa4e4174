"""
BACnet/IP.

Sources: ANSI/ASHRAE 135, clause 6 (network layer: 6.2.2 control octet, 6.4 messages), clause 20.1
(APDU types), clause 21 (BACnetConfirmedServiceChoice, BACnetUnconfirmedServiceChoice), annex J.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_BVLC: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x00: ("Result", "control"),
    0x01: ("Write-BDT", "control"),
    0x02: ("Read-BDT", "read"),
    0x03: ("Read-BDT-Ack", "control"),
    0x05: ("Register-Foreign-Device", "control"),
    0x06: ("Read-FDT", "read"),
    0x07: ("Read-FDT-Ack", "control"),
    0x08: ("Delete-FDT-Entry", "control"),
}
_CONFIRMED: Final[Mapping[int, tuple[str, Verdict]]] = {
    0: ("AcknowledgeAlarm", "control"),
    5: ("SubscribeCOV", "control"),
    7: ("AtomicWriteFile", "control"),
    8: ("AddListElement", "control"),
    9: ("RemoveListElement", "control"),
    10: ("CreateObject", "control"),
    11: ("DeleteObject", "control"),
    12: ("ReadProperty", "read"),
    14: ("ReadPropertyMultiple", "read"),
    15: ("WriteProperty", "control"),
    16: ("WritePropertyMultiple", "control"),
    17: ("DeviceCommunicationControl", "control"),
    18: ("ConfirmedPrivateTransfer", "control"),
    19: ("ConfirmedTextMessage", "control"),
    20: ("ReinitializeDevice", "control"),
    27: ("LifeSafetyOperation", "control"),
    28: ("SubscribeCOVProperty", "control"),
    30: ("SubscribeCOVPropertyMultiple", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    """One datagram: the BVLC, and in a unicast the network layer and the request in it."""
    if sent[0] != 0x81 or int.from_bytes(sent[2:4], "big") != len(sent):
        return
    function, end = sent[1], len(sent)
    bvlc = f"bvlc {function}"
    if function in _BVLC:
        name, verdict = _BVLC[function]
        if verdict == "read" and end != 4:
            verdict = "unknown"
        yield Pdu(0, end, f"BVLC {name}", verdict, (bvlc,))
        return
    if function not in (0x04, 0x09, 0x0A, 0x0B):
        yield Pdu(0, end, f"BVLC {function:#04x}", "unknown", (bvlc,))
        return
    name, verdict, code = _npdu(sent, 10 if function == 0x04 else 4)
    if function != 0x0A and verdict == "read":
        name, verdict = f"{name}, broadcast", "control"
    yield Pdu(0, end, f"BACnet {name}", verdict, (bvlc, code))


def _npdu(sent: bytes, at: int) -> tuple[str, Verdict, str]:
    if sent[at] != 1:
        raise ValueError("no network layer")
    control = sent[at + 1]
    at += 2
    to_all = False
    if control & 0x20:
        size = sent[at + 2]
        address = sent[at + 3 : at + 3 + size]
        to_all = sent[at : at + 2] == b"\xff\xff" or address in (b"", b"\xff" * size)
        at += 3 + size
    if control & 0x08:
        at += 3 + sent[at + 2]
    if control & 0x20:
        at += 1  # hop count
    if control & 0x80:
        return f"network message {sent[at]:#04x}", "control", f"bacnet message {sent[at]}"
    kind = sent[at] >> 4
    if kind == 0:
        place = at + 3 if not sent[at] & 0x08 else at + 5
        service = sent[place]
        name, verdict = _CONFIRMED.get(service, (f"confirmed service {service}", "unknown"))
        if to_all and verdict == "read":
            name, verdict = f"{name} to all", "control"
        return name, verdict, f"bacnet confirmed {service}"
    if kind == 1:
        service = sent[at + 1]
        return f"unconfirmed service {service}", "control", f"bacnet unconfirmed {service}"
    raise ValueError("an answer is no request")


GRAMMAR: Final = Grammar(
    protocol="bacnet",
    read=read,
    ports=(("udp", 47808),),
    ics=True,
    client_speaks_first=True,
    dissector="bvlc",
    codes={
        "bvlc.function": "bvlc {}",
        "bacapp.confirmed_service": "bacnet confirmed {}",
        "bacapp.unconfirmed_service": "bacnet unconfirmed {}",
        "bacnet.mesgtyp": "bacnet message {}",
    },
    questions=2,
)
