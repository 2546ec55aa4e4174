"""
What may be said to an EtherNet/IP device: list your identity; with tier read, its identity object.

Allowed, each by its exact shape: ListIdentity and ListServices without a session (identify);
RegisterSession, SendRRData with one unconnected Get_Attributes_All or Get_Attribute_Single on
instance 1 of the identity class, and UnRegisterSession (read). To the connection manager one
Unconnected_Send, byte for byte but for the slot: Get_Attributes_All of the identity class over one
hop, port 1, slot 0 to 16. To the PCCC class one Execute_PCCC, byte for byte: command 06, function
03 (diagnostic status). Connections (Forward_Open), whatever else is routed or is PCCC, tags, and
every service that sets, resets, starts or stops are refused.

Source: ODVA, The CIP Networks Library, volume 2, chapter 2 (encapsulation); volume 1, chapter 5
(identity object), 3-5.5 (Unconnected_Send) and appendix A (common services); Rockwell publication
1770-6.5.16 (PCCC).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_HEADER: Final = 24
"""Command (2), length (2), session (4), status (4), sender context (8), options (4); all LE."""

_LONGEST: Final = 504

_COMMANDS: Final = {
    0x00: "NOP",
    0x64: "ListInterfaces",
    0x70: "SendUnitData",
    0x72: "IndicateStatus",
    0x73: "Cancel",
}
_SERVICES: Final = {
    0x02: "Set_Attributes_All",
    0x03: "Get_Attribute_List",
    0x04: "Set_Attribute_List",
    0x05: "Reset",
    0x06: "Start",
    0x07: "Stop",
    0x08: "Create",
    0x09: "Delete",
    0x0A: "Multiple_Service_Packet",
    0x0D: "Apply_Attributes",
    0x10: "Set_Attribute_Single",
    0x15: "Restore",
    0x16: "Save",
    0x4C: "Read_Tag",
    0x4D: "Write_Tag",
    0x4E: "Read_Modify_Write_Tag or Forward_Close",
    0x53: "Write_Tag_Fragmented",
    0x54: "Forward_Open",
    0x5B: "Large_Forward_Open",
}

_IDENTITY_OBJECT: Final = b"\x20\x01\x24\x01"
_ATTRIBUTES: Final = range(1, 9)
_TO_A_SLOT: Final = bytes.fromhex("52 02 20062401 01fa 0600 01 02 20012401 01 00 01")
"""Up to the slot: service, path, time, length of what is carried, that, one hop, port 1."""
_LAST_SLOT: Final = 16
_DIAGNOSTIC_STATUS: Final = bytes.fromhex("4b 02 20672401 07 0000 00000000 06 00 0100 03")


class EnipGuard:
    """Judges one encapsulated command at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[2:4], "little")
            if length > _LONGEST:
                raise GuardRefused(f"EtherNet/IP length {length} is above {_LONGEST}")
            if len(buffer) < _HEADER + length:
                break
            frames.append(buffer[: _HEADER + length])
            buffer = buffer[_HEADER + length :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < _HEADER or int.from_bytes(frame[2:4], "little") != len(frame) - _HEADER:
            return "not an EtherNet/IP frame of the length it names"
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame[8:12] != bytes(4) or frame[20:24] != bytes(4):
            return "status and options of a request are zero"
        command = int.from_bytes(frame[:2], "little")
        if command in (0x04, 0x63):
            return None if frame[2:] == bytes(22) else "a List command is all zeros"
        if command not in (0x65, 0x66, 0x6F):
            name = _COMMANDS.get(command, "unknown")
            return f"EtherNet/IP command 0x{command:02X} ({name}) is not on the list"
        if not tier.allows(Tier.READ):
            return f"EtherNet/IP command 0x{command:02X} needs tier read"
        return _judge_session_command(command, frame[4:8], frame[_HEADER:])


def _judge_session_command(command: int, session: bytes, body: bytes) -> str | None:
    if command == 0x65:
        ok = session == bytes(4) and body == b"\x01\x00\x00\x00"
        return None if ok else "RegisterSession has one shape"
    if session == bytes(4):
        return "no session is named"
    if command == 0x66:
        return "UnRegisterSession carries no data" if body else None
    return _judge_unconnected(body)


def _judge_unconnected(body: bytes) -> str | None:
    """`handle(4)=0 timeout(2) items(2)=2 | 0000 0000 | B200 length(2) | CIP request`."""
    if len(body) < 17 or body[:4] != bytes(4) or body[6:12] != b"\x02\x00\x00\x00\x00\x00":
        return "SendRRData holds one unconnected request to the device itself"
    if body[12:14] != b"\xb2\x00" or int.from_bytes(body[14:16], "little") != len(body) - 16:
        return "SendRRData holds one unconnected request to the device itself"
    return _judge_cip(body[16:])


def _judge_cip(request: bytes) -> str | None:
    service = request[0]
    if service == 0x01:
        if request != b"\x01\x02" + _IDENTITY_OBJECT:
            return "Get_Attributes_All is for the identity object alone"
        return None
    if service == 0x0E:
        ok = request[:-1] == b"\x0e\x03" + _IDENTITY_OBJECT + b"\x30" and request[-1] in _ATTRIBUTES
        return None if ok else "Get_Attribute_Single is for the identity object alone"
    if service == 0x52:
        ok = request[:-1] == _TO_A_SLOT and request[-1] <= _LAST_SLOT
        return (
            None
            if ok
            else (
                "Unconnected_Send (to a tag: Read_Tag_Fragmented) carries the question for the "
                "identity object to one slot and nothing else"
            )
        )
    if service == 0x4B:
        ok = request == _DIAGNOSTIC_STATUS
        return None if ok else "Execute_PCCC carries the diagnostic status and nothing else"
    return f"CIP service 0x{service:02X} ({_SERVICES.get(service, 'unknown')}) is not on the list"


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first whole encapsulated reply on TCP. Raises BadReply on other commands."""
    if len(buffer) < _HEADER:
        return None
    if int.from_bytes(buffer[:2], "little") not in (0x04, 0x63, 0x65, 0x66, 0x6F):
        raise BadReply(f"not a reply to an EtherNet/IP command of ours: {buffer[:4].hex()}")
    end = _HEADER + int.from_bytes(buffer[2:4], "little")
    return end if len(buffer) >= end else None


GUARD = GuardSpec(protocol="enip", open=EnipGuard, reply_framer=reply_framer)
