"""
A KNXnet/IP router or interface: descriptions and connections, encoded by xknx.

Settings: `name`, `individual_address` ("1.1.0"), `serial` (12 hex digits), `mac`, `multicast`,
`families` and `secured` ({core, device_management, tunnelling, routing, security, …: version}),
`programming_mode`, `descriptor` (number), `channels` (how many tunnels are to be had; 4). A device
of core version 1 keeps silent to the extended search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xknx.exceptions import XKNXException
from xknx.knxip import (
    HPAI,
    ConnectionStateRequest,
    ConnectionStateResponse,
    ConnectRequest,
    ConnectResponse,
    DescriptionRequest,
    DescriptionResponse,
    DIBDeviceInformation,
    DIBSecuredServiceFamilies,
    DIBServiceFamily,
    DIBSuppSVCFamilies,
    DIBTypeCode,
    DisconnectRequest,
    DisconnectResponse,
    ErrorCode,
    KNXIPFrame,
    KNXMedium,
    SearchRequestExtended,
    SearchResponseExtended,
)
from xknx.knxip.body import KNXIPBody
from xknx.knxip.connect_response import ConnectResponseData
from xknx.knxip.dib import DIB, DIBGeneric
from xknx.telegram import IndividualAddress

from lab.bench import Bench, Server

FAMILIES = {
    "core": DIBServiceFamily.CORE,
    "device_management": DIBServiceFamily.DEVICE_MANAGEMENT,
    "tunnelling": DIBServiceFamily.TUNNELING,
    "routing": DIBServiceFamily.ROUTING,
    "remote_configuration": DIBServiceFamily.REMOTE_CONFIGURATION_DIAGNOSIS,
    "object_server": DIBServiceFamily.OBJECT_SERVER,
    "security": DIBServiceFamily.SECURITY,
}


def _families(block: Any, given: Mapping[str, Any]) -> DIB:
    block.families = [block.Family(FAMILIES[name], int(given[name])) for name in given]
    found: DIB = block
    return found


class Device:
    """What one device answers; `_open` are the channels that somebody has."""

    def __init__(self, settings: Mapping[str, Any], address: str) -> None:
        self._settings = settings
        self._address = address
        self._open: set[int] = set()

    def answer(self, body: KNXIPBody) -> KNXIPBody | None:
        match body:
            case DescriptionRequest():
                described = DescriptionResponse()
                described.dibs = self._blocks()[:2]
                return described
            case SearchRequestExtended() if int(self._settings["families"].get("core", 1)) >= 2:
                found = SearchResponseExtended(control_endpoint=HPAI(self._address, 3671))
                found.dibs = self._blocks()
                return found
            case ConnectRequest():
                return self._connect()
            case ConnectionStateRequest():
                known = body.communication_channel_id in self._open
                code = ErrorCode.E_NO_ERROR if known else ErrorCode.E_CONNECTION_ID
                return ConnectionStateResponse(body.communication_channel_id, code)
            case DisconnectRequest():
                self._open.discard(body.communication_channel_id)
                return DisconnectResponse(body.communication_channel_id)
        return None

    def _connect(self) -> ConnectResponse:
        free = set(range(1, int(self._settings.get("channels", 4)) + 1)) - self._open
        if not free:
            return ConnectResponse(
                status_code=ErrorCode.E_NO_MORE_CONNECTIONS,
                crd=ConnectResponseData(individual_address=IndividualAddress(0)),
            )
        channel = min(free)
        self._open.add(channel)
        return ConnectResponse(
            communication_channel=channel,
            data_endpoint=HPAI(self._address, 3671),
            crd=ConnectResponseData(individual_address=IndividualAddress(channel)),
        )

    def _blocks(self) -> list[DIB]:
        settings = self._settings
        device = DIBDeviceInformation()
        device.knx_medium = KNXMedium.TP1
        device.programming_mode = bool(settings.get("programming_mode", False))
        device.individual_address = IndividualAddress(str(settings["individual_address"]))
        device.installation_number = device.project_number = 0
        serial = str(settings["serial"])
        device.serial_number = ":".join(serial[at : at + 2] for at in range(0, 12, 2))
        device.multicast_address = str(settings.get("multicast", "0.0.0.0"))  # noqa: S104 - none
        device.mac_address = str(settings["mac"])
        device.name = str(settings.get("name", ""))
        blocks: list[DIB] = [device, _families(DIBSuppSVCFamilies(), settings["families"])]
        if "descriptor" in settings:
            extended = DIBGeneric()
            extended.dtc = DIBTypeCode.ADDITIONAL_DEVICE_INFO
            # medium status, reserved, longest APDU (2), device descriptor (2)
            extended.data = b"\0\0\0\xfe" + int(settings["descriptor"]).to_bytes(2, "big")
            blocks.append(extended)
        if settings.get("secured"):
            blocks.append(_families(DIBSecuredServiceFamilies(), settings["secured"]))
        return blocks


async def serve(bench: Bench) -> Server:
    device = Device(bench.settings, bench.address)

    async def answer(datagram: bytes) -> bytes | None:
        try:
            frame, _ = KNXIPFrame.from_knx(datagram)
            body = device.answer(frame.body)
        except (XKNXException, ValueError):
            return None
        return None if body is None else KNXIPFrame.init_from_body(body).to_knx()

    async def stop() -> None:
        """Nothing runs."""

    return Server(answer=answer, stop=stop)


SERVES = {"knx": serve}
