"""
What may be said to an S7-1200 or S7-1500 in S7comm-plus: connect as a panel, ask for one session.

Three frames pass, each to the byte, in the read tier only: a COTP connection request to
"SIMATIC-ROOT-HMI" (never "-ES", an engineering station's seat), one CreateObject of a session, and
the COTP disconnect request. Reading or setting variables, exploring, deleting objects, legitimation
and TLS are refused by name, and so is all of classic S7.

Source: RFC 1006 section 6 (TPKT), RFC 905 section 13 (COTP); the request as recorded from a panel;
names of the functions as in the public S7CommPlusDriver.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 512
_LONGEST_REPLY: Final = 65_536

_NAMES: Final = {
    0x04BB: "Explore",
    0x04D4: "DeleteObject",
    0x04F2: "SetVariable",
    0x04FC: "GetVariable",
    0x0524: "EndSequence",
    0x0542: "SetMultiVariables",
    0x054C: "GetMultiVariables",
    0x0556: "BeginSequence",
    0x0560: "GetLink",
    0x056B: "Invoke",
    0x0586: "GetVariablesSubStreamed",
    0x05B3: "InitSsl",
}

_PANEL: Final = bytes.fromhex("c1020600 c210 53494d415449432d524f4f542d484d49 c0010a")
_SESSION: Final = bytes.fromhex(
    "720100cf"  # version 1, 207 bytes
    "31000004ca000000010000012036"  # CreateObject, sequence 1, without a session
    "0000011d00040000000000"  # in the container of server sessions
    "a1000000d3821f0000"  # an object of class 287
    "a3816900151653657276657253657373696f6e5f3130303030303030"  # ServerSession_10000000
    "a3822100150a313a3a3a362e33323a3a"  # 1:::6.32::
    "a3822800150857616c6b646f776e"  # Walkdown, three times
    "a3822900150857616c6b646f776e"
    "a3822a00150857616c6b646f776e"
    "a3822b000402"
    "a3822c001210000000"
    "a3822d001518726561642d6f6e6c79206964656e74696669636174696f6e"  # read-only identification
    "a1000000d3817f0000"  # in it an object of class 255
    "a38169001515537562736372697074696f6e436f6e7461696e6572"  # SubscriptionContainer
    "a2a200000000"
    "72010000"
)


class S7PlusGuard:
    """Judges one TPKT at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[2:4], "big")
            if buffer[:2] != b"\x03\x00" or not 7 <= length <= _LONGEST:
                raise GuardRefused(f"not a TPKT of 7 to {_LONGEST} bytes: {buffer[:4].hex()}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 7 or frame[:2] != b"\x03\x00":
            return "not a TPKT"
        if int.from_bytes(frame[2:4], "big") != len(frame):
            return "the TPKT length does not match the frame"
        reason = _judge(frame)
        if reason is None and not tier.allows(Tier.READ):
            return "S7comm-plus needs tier read"
        return reason


def _judge(frame: bytes) -> str | None:
    if frame[5] == 0xE0:
        fixed = frame[4] == 0x1F and frame[6:8] == b"\x00\x00" and frame[10:11] == b"\x00"
        ok = fixed and frame[11:] == _PANEL
        return None if ok else "a connection request has one shape: class 0, the seat of a panel"
    if frame[5] == 0x80:
        ok = len(frame) == 11 and frame[4] == 6 and frame[10] in (0x00, 0x80)
        return None if ok else "a disconnect request has seven bytes and gives a normal reason"
    if frame[4:7] != b"\x02\xf0\x80":
        return f"COTP type 0x{frame[5]:02X} is not on the S7comm-plus list"
    pdu = frame[7:]
    if pdu[:1] != b"\x72" or len(pdu) < 9:
        return "not S7comm-plus"
    function = int.from_bytes(pdu[7:9], "big")
    if function != 0x04CA:
        return f"function 0x{function:04X} ({_NAMES.get(function, 'unknown')}) is not on the list"
    return None if pdu == _SESSION else "CreateObject has one shape: our session"


def reply_framer(buffer: bytes) -> int | None:
    """
    Length of one TSDU: one TPKT, or for data as many as it takes to the end-of-TSDU mark.

    Raises BadReply when the bytes cannot become one.
    """
    end = 0
    while len(buffer) >= end + 7:
        length = int.from_bytes(buffer[end + 2 : end + 4], "big")
        if buffer[end : end + 2] != b"\x03\x00" or length < 7 or end + length > _LONGEST_REPLY:
            raise BadReply(f"not a TPKT: {buffer[end : end + 7].hex()}")
        if len(buffer) < end + length:
            return None
        last = buffer[end + 5] != 0xF0 or bool(buffer[end + 6] & 0x80)
        end += length
        if last:
            return end
    return None


GUARD = GuardSpec(protocol="s7plus", open=S7PlusGuard, reply_framer=reply_framer)
