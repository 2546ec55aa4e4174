"""
An EtherNet/IP device: ListIdentity over UDP and TCP, a session, the Identity object.

Replies are encoded with pycomm3's data types and struct templates. Settings: vendor_id,
device_type, product_code, revision "11.1", serial (8 hex digits), product_name, status, state.
A session that ends without UnRegisterSession counts as leaked.
Source: ODVA, CIP volume 2 chapter 2 (encapsulation), volume 1 chapter 5 (Identity object).
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

        The Identity object answers Get_Attributes_All and Get_Attribute_Single; other objects do
        not exist (general status 0x05), other services are not supported (0x08).
        """
        if len(request) < 2 or len(request) < 2 + 2 * request[1]:
            return _cip_error(request[0] if request else 0, 0x04)
        service, path = request[0], request[2 : 2 + 2 * request[1]]
        if path[:4] != b"\x20\x01\x24\x01":
            return _cip_error(service, 0x05)
        if service == 0x01:
            return _cip_reply(service, bytes(IdentityObject.encode(self._identity)))
        if service == 0x0E and len(path) == 6 and path[4] == 0x30:
            attribute = self._attribute(path[5])
            return (
                _cip_error(service, 0x14) if attribute is None else _cip_reply(service, attribute)
            )
        return _cip_error(service, 0x08)

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


def _cip_error(service: int, status: int) -> bytes:
    return bytes([service | 0x80, 0, status, 0])


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
