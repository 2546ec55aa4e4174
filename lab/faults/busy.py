"""
Devices that are there, and say that they cannot answer now, each in the words of its protocol:
lab.frames has them, with their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab import frames
from lab.faults.base import Behaviour, Fault, Line, Settings
from lab.frames.form import Protocol


class _Busy(Fault):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters

    async def up(self, data: bytes, line: Line) -> bytes:
        known = frames.protocol(line.protocol)
        if known is None or known.busy is None:
            return data
        if reply := known.busy(data):
            line.count("answered busy")
            await line.send(reply)
        return b""

    async def down(self, data: bytes, line: Line) -> None:
        known = frames.protocol(line.protocol)
        if known is not None and known.busy_reply is not None:
            line.count("answered busy")
            data = known.busy_reply(data, self._parameters)
        if known is not None and known.busy_text is not None:
            line.count("answered busy")
            await line.send(known.busy_text)
            await line.close()
        await line.send(data)


def _unavailable(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    known = frames.protocol(protocol)
    if known is None or not known.pages:
        return settings
    return {**settings, "unavailable_s": int(parameters["retry_after_s"])}


def _can_be_busy(known: Protocol) -> bool:
    ways = (known.busy, known.busy_reply, known.busy_text)
    return known.pages or any(way is not None for way in ways)


class _GatewayException(Fault):
    def __init__(self, code: int) -> None:
        self._code = code

    async def up(self, data: bytes, line: Line) -> bytes:
        known = frames.protocol(line.protocol)
        if known is None or known.gateway is None:
            return data
        if reply := known.gateway(data, self._code):
            line.count(f"gateway exception {self._code:02X}")
            await line.send(reply)
        return b""


_GATEWAY = "gateways that stand for other devices answer so in Modbus only"

FAULTS = (
    Behaviour(
        name="busy",
        meaning="Every answer says: not now. Modbus exception 06, CIP status 02, S7 error class "
        "83, SNMP genErr or tooBig, HTTP 503 with Retry-After, SSH and Telnet too many users.",
        make=lambda _, p: _Busy(p),
        alter=_unavailable,
        parameters={"snmp": "gen_err", "retry_after_s": 120},
        variants=({}, {"snmp": "too_big"}),
        needs=_can_be_busy,
        because="how a device says it is part of its protocol",
    ),
    Behaviour(
        name="gateway_0a",
        meaning="Modbus exception 0A: the gateway has no path to the unit.",
        make=lambda _, __: _GatewayException(0x0A),
        needs=lambda known: known.gateway is not None,
        because=_GATEWAY,
    ),
    Behaviour(
        name="gateway_0b",
        meaning="Modbus exception 0B: the unit behind the gateway does not answer.",
        make=lambda _, __: _GatewayException(0x0B),
        needs=lambda known: known.gateway is not None,
        because=_GATEWAY,
    ),
)
