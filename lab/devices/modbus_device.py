"""
A Modbus/TCP server: pymodbus's own, with the device's identity put in where its reply leaves.

Settings: `objects` {object id: text} for function 43/14, `server_id` text and `running` for
function 17, `units` (list; others get exception 0x0B), `registers` (how many read as 7). A device
without `objects` or `server_id` answers that function with exception 1.
"""

from __future__ import annotations

from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.other_message import ReportDeviceIdResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from lab.bench import LOOPBACK, Bench, Server
from lab.errors import LabError

ILLEGAL_FUNCTION = 0x01
ILLEGAL_DATA_ADDRESS = 0x02
GATEWAY_TARGET_FAILED = 0x0B


class Identity:
    """
    What this device says about itself, put in place of pymodbus's process-wide identity.

    `hook` is pymodbus's trace_pdu: called with each request and each reply, it returns the PDU to
    go on with. One request is in flight at a time, so the last request is the one replied to.
    """

    def __init__(
        self,
        objects: dict[int, bytes],
        server_id: bytes | None,
        running: bool,
        units: frozenset[int] | None,
    ) -> None:
        self._objects = objects
        self._server_id = server_id
        self._running = running
        self._units = units
        self._asked: ModbusPDU | None = None

    def hook(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending:
            self._asked = pdu
            return pdu
        if self._units is not None and pdu.dev_id not in self._units:
            return self._exception(pdu, GATEWAY_TARGET_FAILED)
        if isinstance(self._asked, ReadDeviceInformationRequest):
            return self._information(pdu, self._asked)
        if isinstance(pdu, ReportDeviceIdResponse):
            if self._server_id is None:
                return self._exception(pdu, ILLEGAL_FUNCTION)
            pdu.identifier = self._server_id
            pdu.status = self._running
        return pdu

    def _information(self, pdu: ModbusPDU, asked: ReadDeviceInformationRequest) -> ModbusPDU:
        if not self._objects:
            return self._exception(pdu, ILLEGAL_FUNCTION)
        if asked.read_code == 4:
            if asked.object_id not in self._objects:
                return self._exception(pdu, ILLEGAL_DATA_ADDRESS)
            chosen = {asked.object_id: self._objects[asked.object_id]}
        else:
            last = {1: 0x02, 2: 0x7F}.get(int(asked.read_code), 0xFF)
            chosen = {k: v for k, v in self._objects.items() if asked.object_id <= k <= last}
        reply = ReadDeviceInformationResponse(
            read_code=asked.read_code,
            information=chosen,
            dev_id=pdu.dev_id,
            transaction_id=pdu.transaction_id,
        )
        reply.conformity = 0x82 if max(self._objects) > 2 else 0x81
        return reply

    def _exception(self, pdu: ModbusPDU, code: int) -> ModbusPDU:
        asked = self._asked.function_code if self._asked is not None else pdu.function_code
        return ExceptionResponse(
            asked, exception_code=code, device_id=pdu.dev_id, transaction=pdu.transaction_id
        )


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    server_id = settings.get("server_id")
    units = settings.get("units")
    identity = Identity(
        {int(k): str(v).encode("latin-1") for k, v in dict(settings.get("objects", {})).items()},
        None if server_id is None else str(server_id).encode("latin-1"),
        bool(settings.get("running", True)),
        None if units is None else frozenset(int(u) for u in units),
    )
    image = SimDevice(
        0,  # answers for every unit id; `units` is kept by the hook
        [
            SimData(
                0,
                count=int(settings.get("registers", 100)),
                values=7,
                datatype=DataType.REGISTERS,
            )
        ],
    )
    server = ModbusTcpServer(image, address=(LOOPBACK, 0), trace_pdu=identity.hook)
    await server.serve_forever(background=True)
    sockets = getattr(server.transport, "sockets", ())
    if not sockets:
        raise LabError(f"{bench.device}: the Modbus server did not start")
    return Server(inner=(LOOPBACK, sockets[0].getsockname()[1]), stop=server.shutdown)


SERVES = {"modbus": serve}
