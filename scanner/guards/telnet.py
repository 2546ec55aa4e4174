"""
What may leave on a Telnet connection: refusals of options, and in the login tier two lines.

Below the login tier only `IAC WONT option` and `IAC DONT option`: no data, not even a carriage
return, which on a console server is a key pressed on somebody's console. Each refusal may be made
once on a connection, so that no negotiation loops. In the login tier a user name and a password
may follow: two lines at most, so that no command can come after them. Everything else, also
WILL, DO and subnegotiation, is refused.
Source: RFC 854 (commands), RFC 855 (options), RFC 1143 section 7 (loops).
"""

from __future__ import annotations

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

IAC, WONT, DONT = 0xFF, 0xFC, 0xFE
LINE_MAX = 64
"""Printable bytes in a line, without its CR LF."""
LINES_MAX = 2


class TelnetGuard:
    """One connection's guard: it remembers what was refused and how many lines were sent."""

    def __init__(self) -> None:
        self._refused: set[bytes] = set()
        self._lines = 0

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """
        Commands of three bytes, lines with their CR LF. Raises GuardRefused when a line is too
        long to become one that may leave.
        """
        frames: list[bytes] = []
        while buffer:
            if buffer[0] == IAC:
                length = 3
                if len(buffer) < length:
                    break
            else:
                end = buffer.find(b"\r\n", 0, LINE_MAX + 2)
                if end < 0:
                    if len(buffer) >= LINE_MAX + 2:
                        raise GuardRefused(f"a Telnet line longer than {LINE_MAX} bytes")
                    break
                length = end + 2
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if tier is Tier.PASSIVE:
            return "nothing is sent in the passive tier"
        if frame[:1] == bytes([IAC]):
            return self._judge_command(frame)
        return self._judge_line(frame, tier)

    def _judge_command(self, frame: bytes) -> str | None:
        if len(frame) != 3 or frame[1] not in (WONT, DONT):
            return f"a Telnet command that is not WONT or DONT: {frame[:3].hex(' ')}"
        if frame in self._refused:
            return f"Telnet option {frame[2]} was refused already"
        self._refused.add(frame)
        return None

    def _judge_line(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.LOGIN):
            return "Telnet text needs the login tier"
        line = frame[:-2]
        if frame[-2:] != b"\r\n" or len(line) > LINE_MAX:
            return f"not one line of at most {LINE_MAX} bytes"
        if not all(0x20 <= byte < 0x7F for byte in line):
            return "a Telnet line with bytes that are not printable"
        if self._lines >= LINES_MAX:
            return f"more than {LINES_MAX} Telnet lines on one connection"
        self._lines += 1
        return None


GUARD = GuardSpec(protocol="telnet", open=TelnetGuard, reply_framer=None)
