"""
PROFINET DCP, and whatever else has frames of type 0x8892: real-time data, alarms, clocks.

What is sent is one frame without its Ethernet header, filled up with zeros to 46 bytes.

Sources: IEC 61158-6-10, coding of the FrameID field and of DCP APDUs; client hold: IEC 61158-5-10,
6.3.11.2.2 of its edition for PROFINET 2.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SERVICES: Final[Mapping[tuple[int, int], str]] = {
    (0xFEFC, 6): "Hello",
    (0xFEFD, 3): "Get",
    (0xFEFD, 4): "Set",
    (0xFEFE, 5): "Identify",
    (0xFEFF, 5): "Identify",
}
_SHORTEST: Final = 46


def read(sent: bytes) -> Iterator[Pdu]:
    frame_id = sent[0] << 8 | sent[1]
    if 0x8000 <= frame_id < 0xC000:
        yield Pdu(0, len(sent), f"PROFINET output data {frame_id:#06x}", "control")
        return
    if frame_id in (0xFC01, 0xFE01):
        yield Pdu(0, len(sent), f"PROFINET alarm {frame_id:#06x}", "control")
        return
    service, kind, length = sent[2], sent[3], sent[10] << 8 | sent[11]
    name = _SERVICES.get((frame_id, service))
    end = 12 + length
    if name is None or end > len(sent) or any(sent[end:]) or len(sent) > max(end, _SHORTEST):
        return
    asks = kind == 0 and frame_id != 0xFEFF
    words = f"DCP {name}" if asks else f"an answer to DCP {name}"
    verdict = _verdict(name, sent[12:end]) if asks else "control"  # it could only be a lie
    yield Pdu(0, len(sent), words, verdict, (f"dcp {service}",))


def _verdict(name: str, blocks: bytes) -> Verdict:
    """A Get changes nothing, but the station is held by whoever asked for three seconds."""
    if name == "Identify":
        return "read" if blocks == b"\xff\xff\0\0" else "unknown"
    return "unknown" if name == "Get" else "control"


def asks(data: bytes) -> Iterator[bytes]:
    """Without the number of the transaction, which is each time another."""
    yield data[:4] + data[8:]


GRAMMAR: Final = Grammar(
    protocol="dcp",
    read=read,
    ports=(("link", 0x8892),),
    ics=True,
    client_speaks_first=True,
    dissector="pn_rt",
    codes={"pn_dcp.service_id": "dcp {}"},
    questions=1,
    asks=asks,
)
