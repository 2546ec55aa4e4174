"""
pymodbus, read verbs only: the regular identification objects of one unit.

The client of pymodbus can write, and by default it retries and reconnects about ten times a second
to a device that closes. Here it is told not to, is always closed, and never leaves this module.
It is pointed at the relay, so the guard judges its frames like our own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final, TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from scanner.errors import BadReply, Closed, Silent

MAX_ROUNDS: Final = 8
REQUEST_S: Final = 20.0
"""Longer than a request may wait for its turn behind the relay."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceObjects:
    """Objects by id. `exception_code` is set when the device refused the first request."""

    objects: dict[int, bytes]
    exception_code: int | None = None


async def read_device_identification(
    host: str, port: int, *, unit: int, code: int, deadline_s: float = 50.0
) -> DeviceObjects:
    """
    All objects of one category, following `more follows` for at most eight rounds.

    Raises Closed when the connection ended, Silent when no answer came (pymodbus says the same of
    wrong ids and of garbage), BadReply on an answer of another kind.
    """
    logging.getLogger("pymodbus.logging").disabled = True  # it would quote what devices say
    lost = asyncio.Event()
    client = AsyncModbusTcpClient(
        host,
        port=port,
        timeout=REQUEST_S,
        retries=0,
        reconnect_delay=0,
        name="walkdown",
        trace_connect=lambda connected: None if connected else lost.set(),
    )
    try:
        async with asyncio.timeout(deadline_s):
            if not await client.connect():
                raise Closed("pymodbus could not connect")
            return await _unless(lost, _rounds(client, unit=unit, code=code))
    except TimeoutError:
        raise Silent(f"pymodbus had no answer in {deadline_s:g} s") from None
    except ModbusException as error:
        raise Silent(f"pymodbus: {error}") from error
    finally:
        client.close()


async def _unless(lost: asyncio.Event, work: Coroutine[None, None, T]) -> T:
    """The result of `work`; Closed once the connection is lost, which pymodbus waits out."""
    asking, losing = asyncio.ensure_future(work), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait({asking, losing}, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            return asking.result()
        raise Closed("the connection ended before pymodbus had its answer")
    finally:
        asking.cancel()
        losing.cancel()
        await asyncio.gather(asking, losing, return_exceptions=True)


async def _rounds(client: AsyncModbusTcpClient, *, unit: int, code: int) -> DeviceObjects:
    objects: dict[int, bytes] = {}
    wanted = 0
    for round_number in range(MAX_ROUNDS):
        reply = await client.read_device_information(
            read_code=code, object_id=wanted, device_id=unit
        )
        if isinstance(reply, ExceptionResponse):
            refusal = reply.exception_code if round_number == 0 else None
            return DeviceObjects(objects=objects, exception_code=refusal)
        if not isinstance(reply, ReadDeviceInformationResponse):
            raise BadReply(f"pymodbus decoded a {type(reply).__name__}")
        for number, value in reply.information.items():
            # Duplicate ids make pymodbus return a list; the first one is what the device said.
            first = value[0] if isinstance(value, list) else value
            objects.setdefault(number, bytes(first))
        if reply.more_follows != 0xFF or not wanted < reply.next_object_id < 0x80:
            break
        wanted = reply.next_object_id
    return DeviceObjects(objects=objects)
