"""
What may be said to a HART-IP server: a session is opened and closed, and identities are read.

Allowed, each by its exact shape: session initiate with host type 1 and an inactivity timer of at
most 60 s, session close, and the token-passing frame with command 0 to a polling address
(identify); commands 13, 20, 48 and 74 without data and 84 with an index, to a unique address
(read). The frame is that of the secondary master, so that the primary stays the plant's own.
Direct PDUs, audit logs, publishing, keep-alive, extended commands and every other command are
refused.

Source: FieldComm Group TS20085 section 10, TS20081 section 5 (frame), TS20127, TS20151.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 64
_MESSAGES: Final = {2: "keep-alive", 4: "direct PDU", 5: "read audit log"}
_COMMANDS: Final = {
    6: "write polling address",
    17: "write message",
    18: "write tag, descriptor, date",
    19: "write final assembly number",
    22: "write long tag",
    31: "extended command",
    38: "reset configuration changed flag",
    40: "enter fixed current mode",
    41: "perform self test",
    42: "perform device reset",
    43: "set primary variable zero",
    71: "lock device",
    72: "squawk",
    73: "find device",
    75: "poll sub-device",
    77: "send command to sub-device",
    78: "read aggregated commands",
    79: "write device variable",
}
_WITHOUT_DATA: Final = frozenset({13, 20, 48, 74})
_SUB_DEVICE: Final = 84


class HartipGuard:
    """Judges one message at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 8:
            length = int.from_bytes(buffer[6:8], "big")
            if not 8 <= length <= _LONGEST:
                raise GuardRefused(f"a HART-IP message of {length} bytes")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not 8 <= len(frame) <= _LONGEST or int.from_bytes(frame[6:8], "big") != len(frame):
            return "not a HART-IP message of the length it names"
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame[:2] != b"\x01\x00" or frame[3] != 0:
            return "not a request of HART-IP version 1"
        body = frame[8:]
        if frame[2] == 0:
            timer = int.from_bytes(body[1:5], "big")
            ok = len(body) == 5 and body[0] == 1 and 0 < timer <= 60_000
            return None if ok else "a session is opened with a timer of up to 60 s"
        if frame[2] == 1:
            return "session close carries no data" if body else None
        if frame[2] == 3:
            return _judge_frame(body, tier)
        return (
            f"HART-IP message {frame[2]} ({_MESSAGES.get(frame[2], 'unknown')}) is not on the list"
        )


def _judge_frame(frame: bytes, tier: Tier) -> str | None:
    if frame[:1] == b"\x02":
        address, rest = frame[1:2], frame[2:]
    elif frame[:1] == b"\x82":
        address, rest = frame[1:6], frame[6:]
    else:
        return "not the frame of a master with an address and nothing else"
    if len(rest) < 3 or len(rest) != rest[1] + 3 or reduce(xor, frame) != 0:
        return "not a HART frame of the length and with the check byte that it names"
    if address[0] & 0xC0:
        return "only the secondary master asks, and never in burst mode"
    command, data = rest[0], rest[2:-1]
    if command == 0:
        ok = len(address) == 1 and not data
        return None if ok else "command 0 goes to a polling address and carries no data"
    if command not in _WITHOUT_DATA and command != _SUB_DEVICE:
        name = _COMMANDS.get(command, "unknown or a manufacturer's own")
        return f"HART command {command} ({name}) is not on the list"
    if not tier.allows(Tier.READ):
        return f"HART command {command} needs tier read"
    if len(address) != 5:
        return f"HART command {command} goes to a unique address"
    if len(data) != (2 if command == _SUB_DEVICE else 0):
        return f"HART command {command} with {len(data)} bytes of data"
    return None


GUARD = GuardSpec(protocol="hartip", open=HartipGuard, reply_framer=None)
