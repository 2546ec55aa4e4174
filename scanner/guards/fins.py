"""
What may be said to an Omron controller over FINS: tell what you are; with tier read, your status.

Allowed, each by its exact shape: as a datagram Controller Data Read (0501) to node 0 of the own
network from node 126; on a connection the request for node addresses, and Controller Data Read in
a FINS frame to and from the nodes that were told. With tier read Controller Status Read (0601) in
the same two ways. Every other command is refused, reads of memory included.

Source: Omron W342, sections 5-1 and 5-2 (frame, list of commands); W421, section 7-4 (FINS/TCP).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_ASK_NODES: Final = b"FINS" + bytes.fromhex("0000000c000000000000000000000000")
_LONGEST: Final = 64

_COMMANDS: Final = {
    0x0101: "memory area read",
    0x0102: "memory area write",
    0x0103: "memory area fill",
    0x0104: "multiple memory area read",
    0x0105: "memory area transfer",
    0x0201: "parameter area read",
    0x0202: "parameter area write",
    0x0203: "parameter area clear",
    0x0220: "data link table read",
    0x0221: "data link table write",
    0x0304: "program area protect",
    0x0305: "program area protect clear",
    0x0306: "program area read",
    0x0307: "program area write",
    0x0308: "program area clear",
    0x0401: "RUN",
    0x0402: "STOP",
    0x0403: "controller reset",
    0x0502: "connection data read",
    0x0620: "cycle time read or initialise",
    0x0701: "clock read",
    0x0702: "clock write",
    0x0801: "internode echo test",
    0x0803: "broadcast test send",
    0x0920: "message read or clear",
    0x0C01: "access right acquire",
    0x0C02: "access right forced acquire",
    0x0C03: "access right release",
    0x2101: "error clear",
    0x2102: "error log read",
    0x2103: "error log clear",
    0x2201: "file name read",
    0x2202: "single file read",
    0x2203: "single file write",
    0x2204: "file memory format",
    0x2205: "file delete",
    0x2207: "file copy",
    0x2208: "file name change",
    0x220A: "memory area file transfer",
    0x220B: "parameter area file transfer",
    0x220C: "program area file transfer",
    0x2215: "directory create or delete",
    0x2301: "forced set or reset",
    0x2302: "forced set or reset cancel",
    0x2601: "name set",
    0x2602: "name delete",
    0x2603: "name read",
}


class FinsGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """A datagram is one frame; what begins with `FINS` is cut by its length."""
        if buffer[:4] != _ASK_NODES[:4]:
            if _ASK_NODES.startswith(buffer):
                return (), buffer
            return (buffer,), b""
        frames = []
        while len(buffer) >= 8:
            if buffer[:4] != _ASK_NODES[:4]:
                raise GuardRefused(f"no FINS/TCP frame: {buffer[:4].hex()}")
            end = 8 + int.from_bytes(buffer[4:8], "big")
            if end > _LONGEST:
                raise GuardRefused(f"FINS/TCP length {end - 8} is above {_LONGEST - 8}")
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame[:4] != _ASK_NODES[:4]:
            return _judge_command(frame, tier, connected=False)
        if frame == _ASK_NODES:
            return None
        if len(frame) < 16 or int.from_bytes(frame[4:8], "big") != len(frame) - 8:
            return "not a FINS/TCP frame of the length it names"
        if frame[8:16] != b"\x00\x00\x00\x02\x00\x00\x00\x00":
            return "FINS/TCP: only the request for node addresses, and FINS frames"
        return _judge_command(frame[16:], tier, connected=True)


def _judge_command(frame: bytes, tier: Tier, *, connected: bool) -> str | None:
    if len(frame) < 12:
        return "not a FINS command"
    icf_to_network, to, unit_and_network, sender, unit = (
        frame[:4], frame[4], frame[5:7], frame[7], frame[8],
    )  # fmt: skip
    if icf_to_network != b"\x80\x00\x02\x00" or unit_and_network != b"\x00\x00" or unit:
        return "a FINS command goes to the CPU unit in the own network, and wants a response"
    if connected and not (1 <= to <= 254 and 1 <= sender <= 254):
        return "on a connection FINS goes between the nodes that were told"
    if not connected and (to, sender) != (0, 126):
        return "a FINS datagram goes from node 126 to the unit itself"
    command, parameter = int.from_bytes(frame[10:12], "big"), frame[12:]
    if command == 0x0501:
        return None if parameter == b"\x00" else "Controller Data Read has one shape"
    if command == 0x0601:
        if parameter:
            return "Controller Status Read carries no data"
        return None if tier.allows(Tier.READ) else "Controller Status Read needs tier read"
    name = _COMMANDS.get(command, "unknown")
    return f"FINS command {command:04X} ({name}) is not on the list"


GUARD = GuardSpec(protocol="fins", open=FinsGuard, reply_framer=None)
