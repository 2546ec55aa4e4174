"""
What may leave on an MQTT connection: with tier login, one CONNECT without a name, and a goodbye.

The CONNECT is of one shape: version 3.1.1, clean session, no will, no name, no password, keep-alive
10 s, an identifier that begins with our name. Below tier login nothing leaves, and PUBLISH,
SUBSCRIBE, UNSUBSCRIBE and PINGREQ leave in none.

Source: OASIS MQTT 3.1.1 sections 2.2 (control packets), 3.1 and 3.14.
"""

from __future__ import annotations

import re
from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_CONNECT: Final = re.compile(rb"\x10\x23\x00\x04MQTT\x04\x02\x00\x0a\x00\x17walkdown[0-9a-f]{15}")
_DISCONNECT: Final = b"\xe0\x00"
_LONGEST: Final = 0x23


class MqttGuard:
    """One connection's guard: it remembers what was said."""

    def __init__(self) -> None:
        self._connected = self._left = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 2:
            if buffer[1] > _LONGEST:
                raise GuardRefused(f"an MQTT packet longer than {_LONGEST} bytes")
            end = 2 + buffer[1]
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.LOGIN):
            return "MQTT needs tier login: to connect is to sign in"
        if _CONNECT.fullmatch(frame):
            if self._connected:
                return "MQTT CONNECT is said once"
            self._connected = True
            return None
        if frame == _DISCONNECT:
            if self._left or not self._connected:
                return "MQTT DISCONNECT follows CONNECT, once"
            self._left = True
            return None
        return f"an MQTT packet that is not on the list: {frame[:4].hex(' ')}"


GUARD = GuardSpec(protocol="mqtt", open=MqttGuard, reply_framer=None)
