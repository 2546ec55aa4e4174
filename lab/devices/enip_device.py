"""
An EtherNet/IP device: ListIdentity over UDP and TCP, a session, the Identity object.

Replies are encoded with pycomm3's data types and struct templates. Settings: vendor_id,
device_type, product_code, revision "11.1", serial (8 hex digits), product_name, status, state; for
a module in a chassis `slot` (where it stands itself) and `modules` (slot → settings like its own,
with `mute: true` for one that refuses to tell its identity); for a MicroLogix `catalogue`
("1766-LEC"), which its PCCC object tells.
A session that ends without UnRegisterSession counts as leaked.
Source: ODVA, CIP volume 2 chapter 2 (encapsulation), volume 1 chapter 5 (Identity object) and
section 3-5.5 (Unconnected_Send and what it is refused with); Rockwell 1770-6.5.16 (PCCC).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Any

from pycomm3 import SHORT_STRING, UDINT, UINT, ULINT, USINT, Struct, n_bytes
from pycomm3.custom_types import IPAddress, Revision

from lab.bench import LOOPBACK, Bench, Server

ETHERNET_IP_PORT = 44818
NO_SUCH_PORT = 0x0311
NO_SUCH_LINK = 0x0312
"""Extended status of the connection manager."""

IdentityObject = Struct(
    UINT("vendor"),
    UINT("product_type"),
    UINT("product_code"),
    Revision("revision"),
    UINT("status"),
    UDINT("serial"),
    SHORT_STRING("product_name"),
)
ListIdentityItem = Struct(
    UINT("protocol_version"),
    n_bytes(4, "family_and_port"),  # big-endian, unlike all around it
    IPAddress("ip_address"),
    ULINT("zeros"),
    UINT("vendor"),
    UINT("product_type"),
    UINT("product_code"),
    Revision("revision"),
    UINT("status"),
    UDINT("serial"),
    SHORT_STRING("product_name"),
    USINT("state"),
)


class Device:
    """The replies of one device; no state but the sessions of its connections."""

    def __init__(self, settings: Mapping[str, Any], address: str) -> None:
        major, minor = (int(part) for part in str(settings["revision"]).split("."))
        self._identity: dict[str, Any] = {
            "vendor": int(settings["vendor_id"]),
            "product_type": int(settings["device_type"]),
            "product_code": int(settings["product_code"]),
            "revision": {"major": major, "minor": minor},
            "status": int(settings.get("status", 0x0030)),
            "serial": int(str(settings["serial"]), 16),
            "product_name": str(settings["product_name"]),
        }
        self._state = int(settings.get("state", 3))
        self._address = address
        self._mute = bool(settings.get("mute", False))
        self._catalogue = settings.get("catalogue")
        modules: Mapping[Any, Mapping[str, Any]] = settings.get("modules", {})
        self._slots = {int(slot): Device(module, address) for slot, module in modules.items()}
        if "slot" in settings:
            self._slots[int(settings["slot"])] = self

    def list_identity(self) -> bytes:
        item = ListIdentityItem.encode(
            self._identity
            | {
                "protocol_version": 1,
                "family_and_port": struct.pack(">HH", 2, ETHERNET_IP_PORT),
                "ip_address": self._address,
                "zeros": 0,
                "state": self._state,
            }
        )
        return UINT.encode(1) + UINT.encode(0x000C) + UINT.encode(len(item)) + bytes(item)

    def list_services(self) -> bytes:
        item = UINT.encode(1) + UINT.encode(0x0120) + b"Communications\0\0"
        return UINT.encode(1) + UINT.encode(0x0100) + UINT.encode(len(item)) + item

    def message_router(self, request: bytes) -> bytes:
        """
        One unconnected CIP request: service, path size in words, path, data.

        The Identity object answers Get_Attributes_All and Get_Attribute_Single, the connection
        manager of a chassis Unconnected_Send, the PCCC object of a MicroLogix Execute_PCCC; other
        objects do not exist (general status 0x05), other services are not supported (0x08).
        """
        if len(request) < 2 or len(request) < 2 + 2 * request[1]:
            return _cip_error(request[0] if request else 0, 0x04)
        service, path = request[0], request[2 : 2 + 2 * request[1]]
        data = request[2 + len(path) :]
        if path == b"\x20\x06\x24\x01" and self._slots:
            return self._send_on(data) if service == 0x52 else _cip_error(service, 0x08)
        if path == b"\x20\x67\x24\x01" and self._catalogue is not None:
            return self._pccc(data) if service == 0x4B else _cip_error(service, 0x08)
        if path[:4] != b"\x20\x01\x24\x01":
            return _cip_error(service, 0x05)
        if self._mute:
            return _cip_error(service, 0x08)
        if service == 0x01:
            return _cip_reply(service, bytes(IdentityObject.encode(self._identity)))
        if service == 0x0E and len(path) == 6 and path[4] == 0x30:
            attribute = self._attribute(path[5])
            return (
                _cip_error(service, 0x14) if attribute is None else _cip_reply(service, attribute)
            )
        return _cip_error(service, 0x08)

    def _send_on(self, data: bytes) -> bytes:
        """`tick ticks length(2) message, padded | words 00 | port slot`, over one hop."""
        if len(data) < 4:
            return _cip_error(0x52, 0x13)  # not enough data
        length = UINT.decode(data[2:4])
        message, route = data[4 : 4 + length], data[4 + length + length % 2 :]
        if len(message) != length or len(route) < 2 or len(route) != 2 + 2 * route[0]:
            return _cip_error(0x52, 0x13)
        if len(route) != 4 or route[2] != 0x01:
            return _cip_error(0x52, 0x01, NO_SUCH_PORT, left=route[0])
        module = self._slots.get(route[3])
        if module is None:
            return _cip_error(0x52, 0x01, NO_SUCH_LINK, left=1)
        return module.message_router(message)

    def _pccc(self, data: bytes) -> bytes:
        """
        `size requester… | command status transaction(2) function …`. The diagnostic status is
        answered; whatever else, writes among it, is an illegal command (status 0x10).
        """
        if not data or len(data) < data[0] + 4:
            return _cip_error(0x4B, 0x13)
        requester, asked = data[: data[0]], data[data[0] :]
        head = bytes([asked[0] | 0x40])
        if asked[0] != 0x06 or asked[4:] != b"\x03":
            return _cip_reply(0x4B, requester + head + b"\x10" + asked[2:4])
        text = n_bytes(11, "catalogue").encode(str(self._catalogue).encode("latin-1").ljust(11))
        told = bytes.fromhex("00ee4a9f23") + bytes(text) + bytes.fromhex("0000260036829efc01")
        return _cip_reply(0x4B, requester + head + b"\0" + asked[2:4] + told)

    def _attribute(self, number: int) -> bytes | None:
        i = self._identity
        encoded: dict[int, bytes] = {
            1: UINT.encode(i["vendor"]),
            2: UINT.encode(i["product_type"]),
            3: UINT.encode(i["product_code"]),
            4: USINT.encode(i["revision"]["major"]) + USINT.encode(i["revision"]["minor"]),
            5: UINT.encode(i["status"]),
            6: UDINT.encode(i["serial"]),
            7: SHORT_STRING.encode(i["product_name"]),
            8: USINT.encode(self._state),
        }
        return encoded.get(number)


def _cip_reply(service: int, data: bytes) -> bytes:
    return bytes([service | 0x80, 0, 0, 0]) + data


def _cip_error(
    service: int, status: int, extended: int | None = None, *, left: int | None = None
) -> bytes:
    """`left`: how many words of a route were not gone, which a refused Unconnected_Send tells."""
    more = b"" if extended is None else UINT.encode(extended)
    rest = b"" if left is None else USINT.encode(left) + b"\0"
    return bytes([service | 0x80, 0, status, len(more) // 2]) + more + rest


def _frame(command: int, data: bytes, session: int, context: bytes, status: int = 0) -> bytes:
    return struct.pack("<HHII8sI", command, len(data), session, status, context, 0) + data


class Conversation:
    """One TCP connection: its session handle, and what it answers to each frame."""

    def __init__(self, device: Device, handle: int) -> None:
        self._device = device
        self._handle = handle
        self.session = 0

    def answer(self, frame: bytes) -> bytes | None:
        """The reply to one whole encapsulation frame; None ends the connection."""
        command, _, session, _, context, _ = struct.unpack_from("<HHII8sI", frame)
        data = frame[24:]
        match command:
            case 0x0063:
                return _frame(command, self._device.list_identity(), session, context)
            case 0x0004:
                return _frame(command, self._device.list_services(), session, context)
            case 0x0065:
                if data[:2] != b"\x01\x00" or self.session:
                    return _frame(command, b"\x01\0\0\0", 0, context, status=0x69)
                self.session = self._handle
                return _frame(command, b"\x01\0\0\0", self.session, context)
            case 0x0066:
                self.session = 0
                return None
            case 0x006F if not self.session or session != self.session:
                return _frame(command, b"", session, context, status=0x64)
            case 0x006F:
                reply = self._unconnected(data)
                status = 0 if reply else 0x03
                return _frame(command, reply or b"", session, context, status=status)
        return _frame(command, b"", session, context, status=0x01)

    def _unconnected(self, data: bytes) -> bytes | None:
        if len(data) < 16 or data[6:12] != b"\x02\0\0\0\0\0" or data[12:14] != b"\xb2\0":
            return None
        length = int.from_bytes(data[14:16], "little")
        reply = self._device.message_router(data[16 : 16 + length])
        return (
            b"\0\0\0\0\0\0"
            + UINT.encode(2)
            + UDINT.encode(0)
            + UINT.encode(0x00B2)
            + UINT.encode(len(reply))
            + reply
        )


async def serve(bench: Bench) -> Server:
    device = Device(bench.settings, bench.address)
    handles = iter(range(0x0001_0001, 0x7FFF_FFFF))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(device, next(handles))
        try:
            while True:
                header = await reader.readexactly(24)
                length = int.from_bytes(header[2:4], "little")
                reply = conversation.answer(header + await reader.readexactly(length))
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if conversation.session:
                bench.ledger.leaked()
            writer.close()

    async def answer(datagram: bytes) -> bytes | None:
        if len(datagram) < 24 or datagram[:2] not in (b"\x63\0", b"\x04\0"):
            return None
        return Conversation(device, 0).answer(datagram)

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), answer=answer, stop=stop)


SERVES = {"enip": serve}
