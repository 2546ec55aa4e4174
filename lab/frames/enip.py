"""
EtherNet/IP. Sources: ODVA CIP volume 2 chapter 2; volume 1 section 3-5.5 (Unconnected_Send) and
appendix B (general status 0x02, resource unavailable); Rockwell 1770-6.5.16 (PCCC commands).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

COMMANDS = {
    0x0004: "ListServices",
    0x0063: "ListIdentity",
    0x0064: "ListInterfaces",
    0x0065: "RegisterSession",
    0x0066: "UnRegisterSession",
    0x006F: "SendRRData",
    0x0070: "SendUnitData",
}
CIP_READS = {0x01: "Get_Attributes_All", 0x03: "Get_Attribute_List", 0x0E: "Get_Attribute_Single"}
UNCONNECTED_SEND = 0x52
CONNECTION_MANAGER = b"\x20\x06\x24\x01"
"""Elsewhere the same service reads a part of a tag."""
EXECUTE_PCCC = 0x4B
PCCC_OBJECT = b"\x20\x67\x24\x01"
PCCC_READS = {(0x06, 0x00), (0x06, 0x01), (0x06, 0x03)}
"""Echo, diagnostic counters, diagnostic status."""
CIP_RESOURCE_UNAVAILABLE = 0x02
NO_MEMORY = 0x02


def _length(data: bytes) -> int | str | None:
    if len(data) >= 2 and int.from_bytes(data[:2], "little") not in COMMANDS:
        return "foreign" if guess(data) != "unknown" else "unknown command"
    if len(data) < 24:
        return None
    length = 24 + int.from_bytes(data[2:4], "little")
    if length > 4096:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    command = int.from_bytes(frame[:2], "little")
    name = COMMANDS.get(command)
    if name is None:
        return Seen(kind="malformed", function=f"command {command:#06x}")
    if command == 0x0066:
        return Seen(kind="request", function=name, answered=False)
    if command == 0x0070:
        return Seen(kind="request", function=name, write=True)
    if command != 0x006F:
        return Seen(kind="request", function=name)
    # interface handle 4, time-out 2, item count 2, null address item 4, data item type and length
    if len(frame) < 24 + 18:
        return Seen(kind="malformed", function="SendRRData too short")
    label, write = _message(frame[40:])
    return Seen(kind="request", function=f"{name} {label}", write=write)


def _message(message: bytes, *, routed: bool = False) -> tuple[str, bool]:
    """
    What a CIP message is called, and whether it writes. What another one carries is what counts:
    a request behind the route to another module, a command for a PCCC processor.
    """
    service, path = message[0], message[2 : 2 + 2 * message[1]] if len(message) > 1 else b""
    data = message[2 + len(path) :]
    if service == UNCONNECTED_SEND and path == CONNECTION_MANAGER and not routed and len(data) > 4:
        label, write = _message(
            data[4 : 4 + int.from_bytes(data[2:4], "little")] or b"\0", routed=True
        )
        return f"routed {label}", write
    if service == EXECUTE_PCCC and path == PCCC_OBJECT and data and len(data) > data[0] + 4:
        command, function = data[data[0]], data[data[0] + 4]
        return f"PCCC {command:#04x} {function:#04x}", (command, function) not in PCCC_READS
    return CIP_READS.get(service, f"service {service:#04x}"), service not in CIP_READS


def enip_busy(request: bytes) -> bytes:
    """CIP resource unavailable to an explicit request; encapsulation status 2 to all else."""
    if len(request) < 24:
        return b""
    command = int.from_bytes(request[:2], "little")
    if command == 0x0066:
        return b""  # UnRegisterSession has no reply
    if command == 0x006F and len(request) > 40:
        service = request[40]
        item = bytes([service | 0x80, 0, CIP_RESOURCE_UNAVAILABLE, 0])
        data = request[24:38] + len(item).to_bytes(2, "little") + item
        return request[:2] + len(data).to_bytes(2, "little") + request[4:24] + data
    status = NO_MEMORY.to_bytes(4, "little")
    return request[:2] + b"\0\0" + request[4:8] + status + request[12:24]


PROTOCOL = Protocol(
    name="enip",
    port=44818,
    transports=("tcp", "udp"),
    length=_length,
    classify=_classify,
    header=24,  # encapsulation
    length_at=(2, 2, "little"),
    reference=lambda _: (12, 20),  # sender context
    busy=enip_busy,
    latin_1=True,
    longest_text=200,
    syntax=frozenset({"serial"}),
)
