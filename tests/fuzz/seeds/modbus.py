"""Modbus: recorded devices, identifications in several rounds, server ids, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import probes.modbus
import scanner.clients.modbus
from scanner.errors import Silent
from scanner.facts import ModbusAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Answer, Dialogue, FuzzSession

FOREIGN = ("Mapping[int, bytes]",)
TEXTS = {("modbus_access", "identification"): 16}


def _frame(request: bytes, pdu: bytes) -> bytes:
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def _device(table: Mapping[bytes, bytes]) -> Callable[[], Answer]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        pdu = table.get(request[7:]) or table.get(request[7:8])
        if pdu is None:
            raise Silent("not known")
        return _frame(request, pdu)

    return lambda: answer


def _objects(*objects: tuple[int, bytes], more: int = 0, following: int = 0) -> bytes:
    body = b"".join(bytes([number, len(value)]) + value for number, value in objects)
    return bytes([0x2B, 0x0E, 1, 0x81, more, following, len(objects)]) + body


def dialogues(captures: Path) -> Iterator[Dialogue]:
    probe = probes.modbus.PROBE
    for record in captured(captures, "modbus__*.json"):
        known = {
            bytes.fromhex(e["request_hex"])[6:]: bytes.fromhex(e["response_hex"])
            for e in record["exchanges"]
        }

        def answer(request: bytes | None, known: dict[bytes, bytes] = known) -> bytes:
            assert request is not None
            if (reply := known.get(request[6:])) is None:
                raise Silent("not in the recording")
            return request[:2] + reply[2:]

        yield Dialogue(name=record["id"], probe=probe, answer=lambda answer=answer: answer)  # type: ignore[misc]
    ask, name = b"\x2b\x0e\x01", b"Schneider Electric"
    tables: dict[str, dict[bytes, bytes]] = {
        "three rounds": {
            ask + b"\0": _objects((0, name), more=0xFF, following=1),
            ask + b"\1": _objects((1, b"BMX P34 2020"), more=0xFF, following=2),
            ask + b"\2": _objects((2, b"v2.9")),
        },
        "server id": {b"\x2b": b"\xab\x01", b"\x11": b"\x11\x0b\x2a\xffTSX Prem2"},
        "server id at the end": {b"\x2b": _objects(), b"\x11": b"\x11\x0aIO scanner\xff"},
        "busy": {b"\x2b": b"\xab\x06"},
        "gateway": {b"\x2b": b"\xab\x0b"},
    }
    for title, table in tables.items():
        yield Dialogue(name=title, probe=probe, answer=_device(table))
    for access in ((), (ModbusAccess(unit_id=1, identification="objects"),)):
        yield Dialogue(
            name="read",
            probe=probes.modbus.READ_PROBE,
            answer=script(),
            known=access,
            values={"objects": {0: name, 4: b"Modicon", 5: b"M340", 6: b"Pump 1"}, "refused": 0},
        )


async def _library(host: str, port: int, **_: Any) -> scanner.clients.modbus.DeviceObjects:
    objects = FuzzSession.current.told("objects")
    return scanner.clients.modbus.DeviceObjects(
        objects=objects, exception_code=None if objects else FuzzSession.current.told("refused")
    )


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The PDU damaged behind a good MBAP header; in identifications an object's length too."""
    pdu = mutate.blind(rng, data[8:], mutate.bodies(others, 8))[:252]
    function = data[7:8] or b"\x2b"
    if rng.random() < 0.2:
        function = bytes((rng.choice((0x2B, 0x11, 0xAB, 0x91, 0x03, 0x80)),))
    return data[:4] + (len(pdu) + 2).to_bytes(2, "big") + (data[6:7] or b"\xff") + function + pdu


LIBRARIES = ((scanner.clients.modbus, "read_device_identification", _library),)
