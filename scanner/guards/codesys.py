"""
What may be said to a CODESYS V3 name service: one request, resolve your address.

The datagram has a header of eight bytes, the sender's address of one to three words, and eight
bytes of content; all of it is fixed but the two numbers that tie an answer to its question and
that address. Channels (service 0x40), and with them login, files and the controller's shell, are
refused, and so is every other packet type of the name service.

Source: A. Nochvay, Security research: CODESYS Runtime, part 2, datagram layer.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_SERVICES: Final = {
    0x01: "address service request",
    0x02: "address service answer",
    0x04: "name service answer",
    0x40: "channel",
}
_WORDS: Final = range(1, 4)


class CodesysGuard:
    """Judges one datagram; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        return ((buffer,), b"") if buffer else ((), b"")

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) < 8 or frame[0] != 0xC5:
            return "not a CODESYS datagram"
        if frame[3] != 0x03:
            name = _SERVICES.get(frame[3], "unknown")
            return f"CODESYS service 0x{frame[3]:02X} ({name}) is not on the list"
        if frame[1:3] != b"\x74\x40" or frame[4] != 0:
            return "a name service request has one header"
        words, receiver = divmod(frame[5], 16)
        if words not in _WORDS or receiver:
            return "a name service request names its sender and nobody else"
        end = 8 + 2 * words
        padding = frame[end : end + end % 4]
        if any(padding) or len(frame) != end + end % 4 + 8:
            return "a name service request is as long as its addresses make it"
        if frame[-8:-4] != b"\x02\xc2\x00\x04":
            return "the name service is asked to resolve its address, nothing else"
        return None


GUARD = GuardSpec(protocol="codesys", open=CodesysGuard, reply_framer=None)
