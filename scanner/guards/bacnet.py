"""
What may be asked of a BACnet/IP device: reads of its device object, and of a BBMD's two tables.

Allowed, each by its exact shape: ReadProperty of the object identifier of device 4194303 and
ReadPropertyMultiple of the identity properties of one device object (identify); ReadProperty and
ReadPropertyMultiple of the listed properties of a device object, of the object list only element
0, ReadPropertyMultiple of the identity through a router to one MS/TP station, and the BVLC
functions Read-Broadcast-Distribution-Table and Read-Foreign-Device-Table (read). Every other
service, object and property, every broadcast and every network layer message is refused.

Source: ANSI/ASHRAE 135-2020, clauses 6.2, 15, 20.1.2, 20.2, 21 and J.2.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 256
_ANY: Final = 0x3FFFFF
_FUNCTIONS: Final = {
    0x00: "BVLC-Result",
    0x01: "Write-Broadcast-Distribution-Table",
    0x04: "Forwarded-NPDU",
    0x05: "Register-Foreign-Device",
    0x08: "Delete-Foreign-Device-Table-Entry",
    0x09: "Distribute-Broadcast-To-Network",
    0x0B: "Original-Broadcast-NPDU",
    0x0C: "Secure-BVLL",
}
_SERVICES: Final = {
    0x00: "AcknowledgeAlarm",
    0x05: "SubscribeCOV",
    0x06: "AtomicReadFile",
    0x07: "AtomicWriteFile",
    0x08: "AddListElement",
    0x09: "RemoveListElement",
    0x0A: "CreateObject",
    0x0B: "DeleteObject",
    0x0F: "WriteProperty",
    0x10: "WritePropertyMultiple",
    0x11: "DeviceCommunicationControl",
    0x12: "ConfirmedPrivateTransfer",
    0x13: "ConfirmedTextMessage",
    0x14: "ReinitializeDevice",
    0x15: "VT-Open",
    0x16: "VT-Close",
    0x17: "VT-Data",
    0x1A: "ReadRange",
    0x1B: "LifeSafetyOperation",
    0x1C: "SubscribeCOVProperty",
    0x1E: "SubscribeCOVPropertyMultiple",
}
_IDENTIFY_PROPERTIES: Final = frozenset({12, 44, 70, 77, 112, 120, 121, 139, 372})
_READ_PROPERTIES: Final = _IDENTIFY_PROPERTIES | {28, 30, 58, 75}
_OBJECT_LIST: Final = 76


class BacnetGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if len(buffer) > _LONGEST:
            raise GuardRefused(f"a BACnet/IP datagram of {len(buffer)} bytes is above {_LONGEST}")
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) > _LONGEST or len(frame) < 4 or frame[0] != 0x81:
            return "not a BACnet/IP datagram"
        if int.from_bytes(frame[2:4], "big") != len(frame):
            return "the BVLC length is not that of the datagram"
        reads = tier.allows(Tier.READ)
        if frame[1] in (0x02, 0x06):
            if len(frame) != 4:
                return "the request for a table carries no data"
            return None if reads else f"BVLC function 0x{frame[1]:02X} needs tier read"
        if frame[1] != 0x0A:
            name = _FUNCTIONS.get(frame[1], "unknown")
            return f"BVLC function 0x{frame[1]:02X} ({name}) is not on the list"
        return _judge_npdu(frame[4:], reads=reads)


def _judge_npdu(npdu: bytes, *, reads: bool) -> str | None:
    if npdu[:2] == b"\x01\x04":
        return _judge_apdu(npdu[2:], reads=reads, routed=False)
    if npdu[:2] != b"\x01\x24":
        return f"NPDU control {npdu[:2].hex()} is not on the list"
    if not reads:
        return "a request through a router needs tier read"
    # network (2), length of the address, address, hop count
    if len(npdu) < 7 or npdu[2:4] in (b"\x00\x00", b"\xff\xff"):
        return "a router is asked for one network"
    if npdu[4] != 1 or npdu[5] in (0x00, 0xFF) or npdu[6] != 0xFF:
        return "a router is asked for one MS/TP station"
    return _judge_apdu(npdu[7:], reads=reads, routed=True)


def _judge_apdu(apdu: bytes, *, reads: bool, routed: bool) -> str | None:
    if len(apdu) < 4 or apdu[:2] != b"\x00\x05":
        return "not an unsegmented confirmed request"
    service, body = apdu[3], apdu[4:]
    if service not in (0x0C, 0x0E):
        name = _SERVICES.get(service, "unknown")
        return f"BACnet confirmed service 0x{service:02X} ({name}) is not on the list"
    if len(body) < 6 or body[0] != 0x0C or int.from_bytes(body[1:5], "big") >> 22 != 8:
        return "only a device object is read"
    instance = int.from_bytes(body[1:5], "big") & _ANY
    if service == 0x0C:
        if routed:
            return "a router is asked for an identity only"
        return _judge_single(instance, body[5:], reads=reads)
    if instance == _ANY:
        return "ReadPropertyMultiple names its device"
    return _judge_multiple(body[5:], reads=reads and not routed)


def _judge_single(instance: int, reference: bytes, *, reads: bool) -> str | None:
    prop, rest = _property(reference, tag=1)
    if instance == _ANY and (prop, rest) == (75, b""):
        return None
    if not reads:
        return "ReadProperty beyond the object identifier of any device needs tier read"
    if instance == _ANY:
        return "ReadProperty names its device"
    if prop == _OBJECT_LIST:
        return None if rest == b"\x29\x00" else "of the object list only its length is read"
    if prop not in _READ_PROPERTIES or rest:
        return f"property {prop} is not on the list"
    return None


def _judge_multiple(references: bytes, *, reads: bool) -> str | None:
    if references[:1] != b"\x1e" or references[-1:] != b"\x1f" or len(references) < 4:
        return "ReadPropertyMultiple is of one object"
    rest, seen = references[1:-1], set()
    allowed = _READ_PROPERTIES - {30, 75} if reads else _IDENTIFY_PROPERTIES
    while rest:
        prop, rest = _property(rest, tag=0)
        if prop == _OBJECT_LIST and reads:
            if rest[:2] != b"\x19\x00":
                return "of the object list only its length is read"
            rest = rest[2:]
        elif prop not in allowed:
            return f"property {prop} is not on the list"
        if prop in seen:
            return f"property {prop} is named twice"
        seen.add(prop)
    return None


def _property(reference: bytes, *, tag: int) -> tuple[int, bytes]:
    """The property in context tag `tag`, and what follows; (-1, …) where there is none."""
    if len(reference) >= 2 and reference[0] == tag << 4 | 0x09:
        return reference[1], reference[2:]
    if len(reference) >= 3 and reference[0] == tag << 4 | 0x0A and reference[1] != 0:
        return int.from_bytes(reference[1:3], "big"), reference[3:]
    return -1, reference


GUARD = GuardSpec(protocol="bacnet", open=BacnetGuard, reply_framer=None)
