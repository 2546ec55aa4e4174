"""
What may leave on an SSH connection, judged where the bytes are still readable.

The one guard with phases. First our identification line, then (from the read tier up) binary
packets of the key exchange, then, after our own NEWKEYS, cipher text: of that only its size is
judged here. What goes inside the encryption is judged by the guard `ssh_command`.
Source: RFC 4253 sections 4.2 (identification), 6 (binary packet), 7.1, 7.3 and 12 (numbers);
RFC 4419 section 5 (numbers 30 to 34).
"""

from __future__ import annotations

import re
from enum import Enum

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_IDENTIFICATION = re.compile(rb"SSH-2\.0-(?:Walkdown|paramiko)[0-9A-Za-z_.]{0,40}\r\n")
_LINE_MAX = 255
_PACKET_MIN, _PACKET_MAX = 12, 35_000 - 4

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, KEXINIT, NEWKEYS = 1, 2, 3, 4, 20, 21
TRANSPORT_NUMBERS = frozenset({DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG})
KEY_EXCHANGE_NUMBERS = frozenset(range(30, 35))

OPAQUE_CHUNK_MAX = 4096
"""Bytes of cipher text in one piece. Our longest message (a command) is far shorter."""
OPAQUE_TOTAL_MAX = 64 * 1024
"""Bytes of cipher text on one connection: logins and commands fit, a file upload does not."""


class _Phase(Enum):
    IDENTIFICATION = "identification"
    KEXINIT = "kexinit"
    KEY_EXCHANGE = "key exchange"
    OPAQUE = "opaque"


class SshGuard:
    """One connection's guard. `judge` moves through the phases; `split` only reads them."""

    def __init__(self) -> None:
        self._phase = _Phase.IDENTIFICATION
        self._opaque = 0

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """
        Cut as the phases demand: a line, then packets (uint32 length in front, big-endian), then
        whatever is there. Raises GuardRefused when it is neither.
        """
        frames: list[bytes] = []
        phase = self._phase
        while buffer:
            if phase is _Phase.OPAQUE:
                return (*frames, buffer), b""
            if phase is _Phase.IDENTIFICATION:
                length = _line_length(buffer)
            else:
                length = _packet_length(buffer)
            if length is None:
                break
            frame, buffer = buffer[:length], buffer[length:]
            frames.append(frame)
            if phase is _Phase.IDENTIFICATION:
                phase = _Phase.KEXINIT
            elif frame[5] == NEWKEYS:
                phase = _Phase.OPAQUE
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if tier is Tier.PASSIVE:
            return "nothing is sent in the passive tier"
        if self._phase is _Phase.IDENTIFICATION:
            if not _IDENTIFICATION.fullmatch(frame):
                return "an SSH connection begins with our identification line"
            self._phase = _Phase.KEXINIT
            return None
        if not tier.allows(Tier.READ):
            return "after the identification line nothing is sent in the identify tier"
        if self._phase is _Phase.OPAQUE:
            return self._judge_opaque(frame)
        return self._judge_packet(frame)

    def _judge_packet(self, frame: bytes) -> str | None:
        try:
            whole = _packet_length(frame) == len(frame)
        except GuardRefused as error:
            return str(error)
        if not whole:
            return "not one whole SSH packet"
        number = frame[5]
        if number in TRANSPORT_NUMBERS:
            return None
        if self._phase is _Phase.KEXINIT:
            if number != KEXINIT:
                return f"SSH message {number} before KEXINIT"
            self._phase = _Phase.KEY_EXCHANGE
            return None
        if number == NEWKEYS:
            self._phase = _Phase.OPAQUE
            return None
        if number in KEY_EXCHANGE_NUMBERS:
            return None
        return f"SSH message {number} is not part of a key exchange"

    def _judge_opaque(self, frame: bytes) -> str | None:
        if len(frame) > OPAQUE_CHUNK_MAX:
            return f"{len(frame)} bytes of cipher text in one piece"
        if self._opaque + len(frame) > OPAQUE_TOTAL_MAX:
            return f"more than {OPAQUE_TOTAL_MAX} bytes of cipher text on one connection"
        self._opaque += len(frame)
        return None


def _line_length(buffer: bytes) -> int | None:
    end = buffer.find(b"\n", 0, _LINE_MAX)
    if end >= 0:
        return end + 1
    if len(buffer) >= _LINE_MAX:
        raise GuardRefused("an identification line longer than 255 bytes")
    return None


def _packet_length(buffer: bytes) -> int | None:
    """Length of the packet at the beginning, with its length field; None when more is needed."""
    if len(buffer) < 6:
        return None
    length = int.from_bytes(buffer[:4], "big")
    padding = buffer[4]
    if not _PACKET_MIN <= length <= _PACKET_MAX or (length + 4) % 8:
        raise GuardRefused(f"SSH packet length {length}")
    if not 4 <= padding <= length - 2:
        raise GuardRefused(f"SSH packet of length {length} with {padding} bytes of padding")
    return 4 + length if len(buffer) >= 4 + length else None


def in_key_exchange(said: bytes) -> bool:
    """Whether a server has told its lists (KEXINIT) and not yet that it has the keys (NEWKEYS)."""
    begun = False
    try:
        while (end := _line_length(said)) is not None:
            line, said = said[:end], said[end:]
            if line.startswith(b"SSH-"):
                break
        else:
            return False
        while (length := _packet_length(said)) is not None:
            number, said = said[5], said[length:]
            begun = begun or number == KEXINIT
            if number == NEWKEYS:
                return False
    except GuardRefused:
        return False
    return begun


GUARD = GuardSpec(protocol="ssh", open=SshGuard, reply_framer=None, is_computing=in_key_exchange)
