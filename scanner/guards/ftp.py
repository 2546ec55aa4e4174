"""
What may leave on an FTP connection: a goodbye; in the read tier two questions; with tier login a
sign-in as anonymous.

Each line is one of five, by its bytes, once on a connection and nothing behind QUIT: QUIT; FEAT and
SYST (read); USER anonymous and, behind it, PASS with our address (login). Other names, every
transfer, listing and change, PORT and SITE are refused in every tier.

Source: RFC 959 sections 4.1 and 5.3.1; RFC 2389 section 3.1; RFC 1635 section 3.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_NAME: Final = b"USER anonymous\r\n"
_LINES: Final = {
    b"QUIT\r\n": Tier.IDENTIFY,
    b"FEAT\r\n": Tier.READ,
    b"SYST\r\n": Tier.READ,
    _NAME: Tier.LOGIN,
    b"PASS walkdown@example.invalid\r\n": Tier.LOGIN,
}
_LONGEST: Final = max(map(len, _LINES))


class FtpGuard:
    """One connection's guard: it remembers what was said."""

    def __init__(self) -> None:
        self._said: list[bytes] = []

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while buffer:
            end = buffer.find(b"\r\n", 0, _LONGEST)
            if end < 0:
                if len(buffer) >= _LONGEST:
                    raise GuardRefused(f"an FTP line longer than {_LONGEST} bytes")
                break
            frames.append(buffer[: end + 2])
            buffer = buffer[end + 2 :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        needed = _LINES.get(frame)
        if needed is None:
            return f"an FTP line that is not on the list: {frame[:8]!r}"
        if not tier.allows(needed):
            return f"FTP {frame[:4].decode()} needs tier {needed.value}"
        if frame in self._said or b"QUIT\r\n" in self._said:
            return "an FTP line is said once, and none behind QUIT"
        if frame.startswith(b"PASS") and self._said[-1:] != [_NAME]:
            return "FTP PASS follows USER anonymous"
        self._said.append(frame)
        return None


GUARD = GuardSpec(protocol="ftp", open=FtpGuard, reply_framer=None)
