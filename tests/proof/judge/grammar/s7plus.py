"""
S7comm-plus, which rides on the port of S7.

Sources: RFC 1006, section 6; RFC 905 and ISO 8073, section 13; a recording of a panel; names of the
functions as in the public S7CommPlusDriver. tshark 4.0 knows COTP and nothing above it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_FUNCTIONS: Final[Mapping[int, str]] = {
    0x04BB: "Explore",
    0x04CA: "CreateObject",
    0x04D4: "DeleteObject",
    0x04F2: "SetVariable",
    0x0542: "SetMultiVariables",
    0x054C: "GetMultiVariables",
    0x056B: "Invoke",
    0x05B3: "InitSsl",
}
_SESSION: Final = bytes.fromhex("00000120 36 0000011d 000400 00000000 a1 000000d3 821f")
"""Of no session, in the container of sessions: an object of class 287."""
_SUBSCRIPTIONS: Final = bytes.fromhex("a1 000000d3 817f")
"""The only other object that may be in it, of class 255."""
_PANEL: Final = b"SIMATIC-ROOT-HMI"


def _frames(sent: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
        if sent[at : at + 2] != b"\x03\x00" or end - at < 7 or end > len(sent):
            return
        yield at, end
        at = end


def _called(frame: bytes) -> bytes:
    at = 11
    while at + 2 <= len(frame):
        if frame[at] == 0xC2:
            return frame[at + 2 : at + 2 + frame[at + 1]]
        at += 2 + frame[at + 1]
    return b""


def claims(sent: bytes) -> bool:
    """The connection is asked for by a word, or its data are of this protocol."""
    return any(
        (sent[at + 5] == 0xE0 and _called(sent[at:end]).startswith(b"SIMATIC-"))
        or (sent[at + 4 : at + 7] == b"\x02\xf0\x80" and sent[at + 7] == 0x72)
        for at, end in _frames(sent)
    )


def read(sent: bytes) -> Iterator[Pdu]:
    for at, end in _frames(sent):
        kind, frame = sent[at + 5], sent[at:end]
        cotp = (f"cotp {kind >> 4:#x}",)
        if kind == 0xE0:
            called = _called(frame)
            verdict: Verdict = "session" if called == _PANEL else "control"
            name = called.decode("latin-1")
            yield Pdu(
                at, end, f"COTP connection request to TSAP {name}", verdict, cotp,
                names=called.hex(), asks=False,
            )  # fmt: skip
        elif kind == 0x80:
            yield Pdu(at, end, "COTP disconnect request", "session", cotp, asks=False)
        elif kind == 0xF0 and frame[4] == 2 and frame[7] == 0x72:
            yield _request(at, end, frame[7:], cotp)
        else:
            return


def _request(at: int, end: int, pdu: bytes, cotp: tuple[str, ...]) -> Pdu:
    length = int.from_bytes(pdu[2:4], "big")
    if pdu[1] != 1 or len(pdu) != 4 + length + 4 or pdu[4] != 0x31 or pdu[-4:] != b"\x72\x01\0\0":
        return Pdu(at, end, "S7comm-plus of another form", "unknown", cotp)
    function = int.from_bytes(pdu[7:9], "big")
    opened = pdu[13 : 13 + len(_SESSION)] == _SESSION
    objects = pdu.count(b"\xa1\0\0\0\xd3")
    asks = function == 0x04CA and opened and objects == 1 + pdu.count(_SUBSCRIPTIONS)
    name = _FUNCTIONS.get(function, "")
    words = f"S7comm-plus {function:#06x} {name}".rstrip()
    return Pdu(at, end, words, "read" if asks else "control", cotp)


def asks(data: bytes) -> Iterator[bytes]:
    for at, end in _frames(data):
        if data[at + 5] == 0xF0:
            yield data[at + 7 : end]


GRAMMAR: Final = Grammar(
    protocol="s7plus",
    read=read,
    rides_on="s7",
    claims=claims,
    ics=True,
    client_speaks_first=True,
    codes={"cotp.type": "cotp {:#x}"},
    asks=asks,
)
