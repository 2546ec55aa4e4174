"""
A BACnet/IP device: bacpypes3's application over its own network and virtual link layers.

The stack ends above its socket: a datagram that the front hands in goes up through bacpypes3's
BVLC codec, and what comes down again is the answer. So any number of devices stand on one port,
and nothing is ever broadcast.

Settings: `instance`, `vendor_id`, and as text `vendor_name`, `model`, `firmware`, `application`,
`name`, `serial`, `description`, `location`; `objects` (how many analog values), `multiple` (false:
ReadPropertyMultiple is rejected), `status` (number), `broadcast_table` and `foreign_devices`
("address:port"; a device with the first is a BBMD), `behind`: a list of devices with `network`,
`station` and the settings above, which stand on that network behind this one as router.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

# bacpypes3 ships no type hints that a checker may use
# bacpypes3 ships no types.
from bacpypes3.app import Application  # type: ignore[import-untyped]
from bacpypes3.appservice import ApplicationServiceAccessPoint  # type: ignore[import-untyped]
from bacpypes3.basetypes import (  # type: ignore[import-untyped]
    AddressBinding,
    DeviceAddress,
    ListOfAddressBinding,
)
from bacpypes3.comm import Server as Layer  # type: ignore[import-untyped]
from bacpypes3.comm import bind
from bacpypes3.errors import DecodingError, UnrecognizedService  # type: ignore[import-untyped]
from bacpypes3.ipv4.bvll import BVLLCodec, FDTEntry  # type: ignore[import-untyped]
from bacpypes3.ipv4.service import BIPBBMD, BIPNormal  # type: ignore[import-untyped]
from bacpypes3.local.analog import AnalogValueObject  # type: ignore[import-untyped]
from bacpypes3.local.device import DeviceObject  # type: ignore[import-untyped]
from bacpypes3.netservice import (  # type: ignore[import-untyped]
    NetworkServiceAccessPoint,
    NetworkServiceElement,
)
from bacpypes3.pdu import PDU, IPv4Address, LocalBroadcast, LocalStation  # type: ignore[import-untyped]
from bacpypes3.primitivedata import ObjectIdentifier  # type: ignore[import-untyped]
from bacpypes3.vlan import Network, Node  # type: ignore[import-untyped]

from lab.bench import Bench, Server

ANSWER_S = 1.0
OWN_NETWORK = 1
ROUTER_STATION = 1
CLIENT = IPv4Address("127.0.0.2:47809")
"""Who asks, as far as the stack is told; one question at a time is in it."""
ANY_DEVICE = ObjectIdentifier("device,4194303")
TEXTS = {
    "vendor_name": "vendorName",
    "model": "modelName",
    "firmware": "firmwareRevision",
    "application": "applicationSoftwareVersion",
    "name": "objectName",
    "serial": "serialNumber",
    "description": "description",
    "location": "location",
}


class Described(DeviceObject):  # type: ignore[misc]
    """A device object whose bindings are those of the plant file, not what its stack has met."""

    _bindings: Sequence[Any] = ()

    @property
    def deviceAddressBinding(self) -> Sequence[Any]:  # noqa: N802 - bacpypes3's name
        return self._bindings

    @deviceAddressBinding.setter
    def deviceAddressBinding(self, value: Sequence[Any]) -> None:  # noqa: N802
        """What the base class puts there is not kept."""


class Multiple(Application):  # type: ignore[misc]
    """Whichever device is asked for, it is this one."""

    def get_object_id(self, objid: Any) -> Any:
        if objid == ANY_DEVICE and self.device_object is not None:
            return self.device_object
        return super().get_object_id(objid)


class Single(Multiple):
    """A device that reads one property at a time."""

    async def do_ReadPropertyMultipleRequest(self, apdu: Any) -> None:  # noqa: N802 - bacpypes3's
        raise UnrecognizedService()


class Wire(Layer):  # type: ignore[misc]
    """The bottom of the stack: what would leave as a datagram is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.left: asyncio.Queue[bytes] = asyncio.Queue()

    async def indication(self, pdu: Any) -> None:
        if pdu.pduDestination == CLIENT:
            self.left.put_nowait(bytes(pdu.pduData))


def _device_object(settings: Mapping[str, Any]) -> Any:
    said = {attribute: str(settings[key]) for key, attribute in TEXTS.items() if key in settings}
    said.setdefault("objectName", f"device {settings['instance']}")
    device = Described(
        objectIdentifier=("device", int(settings["instance"])),
        vendorIdentifier=int(settings.get("vendor_id", 0)),
        systemStatus=int(settings.get("status", 0)),
        **said,
    )
    device._bindings = ListOfAddressBinding(
        [
            AddressBinding(
                deviceObjectIdentifier=("device", int(each["instance"])),
                deviceAddress=DeviceAddress(
                    networkNumber=int(each["network"]),
                    macAddress=bytes([int(each["station"])]),
                ),
            )
            for each in settings.get("behind", ())
        ]
    )
    return device


def _application(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """An application and the network layer below it, bound to no link yet."""
    application = (Multiple if settings.get("multiple", True) else Single)()
    device = _device_object(settings)
    network = NetworkServiceAccessPoint()
    bind(NetworkServiceElement(), network)
    bind(
        application,
        ApplicationServiceAccessPoint(device, application.device_info_cache),
        network,
    )
    application.add_object(device)
    for number in range(1, int(settings.get("objects", 1)) + 1):
        application.add_object(
            AnalogValueObject(
                objectIdentifier=("analog-value", number),
                objectName=f"value {number}",
                presentValue=20.5,
            )
        )
    return application, network


def _link(bench: Bench) -> Any:
    """The device's BACnet/IP link layer: that of a BBMD where it has a table."""
    table = bench.settings.get("broadcast_table")
    if table is None:
        return BIPNormal()
    link = BIPBBMD(IPv4Address(f"{bench.address}:47808"))
    for each in table:
        link.add_peer(IPv4Address(str(each)))
    for each in bench.settings.get("foreign_devices", ()):
        entry = FDTEntry()
        entry.fdAddress, entry.fdTTL, entry.fdRemain = IPv4Address(str(each)), 60, 45
        link.bbmdFDT.append(entry)
    return link


def _stations(network: Any, behind: Sequence[Mapping[str, Any]]) -> None:
    """The networks behind a router, with a device at each station."""
    lans: dict[int, Any] = {}
    for each in behind:
        number = int(each["network"])
        if number not in lans:
            lans[number] = Network(str(number), broadcast_address=LocalBroadcast())
            network.bind(Node(LocalStation(ROUTER_STATION), lan=lans[number]), net=number)
        address = LocalStation(int(each["station"]))
        _, below = _application(each)
        below.bind(Node(address, lan=lans[number]), address=address)


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    own = IPv4Address(f"{bench.address}:47808")
    _, network = _application(settings)
    link, wire = _link(bench), Wire()
    bind(link, BVLLCodec(), wire)
    behind = settings.get("behind", ())
    network.bind(link, net=OWN_NETWORK if behind else None, address=own)
    _stations(network, behind)
    turn = asyncio.Lock()

    async def answer(datagram: bytes) -> bytes | None:
        async with turn:
            while not wire.left.empty():  # an answer that nobody waited for any more
                wire.left.get_nowait()
            with suppress(TimeoutError, DecodingError):
                async with asyncio.timeout(ANSWER_S):
                    await wire.response(PDU(datagram, source=CLIENT, destination=own))
                    return await wire.left.get()
        return None

    async def stop() -> None:
        handle = getattr(link, "_fdt_clock_handle", None)
        if handle is not None:
            handle.cancel()

    return Server(answer=answer, stop=stop)


SERVES = {"bacnet": serve}
