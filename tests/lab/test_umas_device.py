"""The UMAS emulator says what the recorded Quantum said, and Modbus on the same port works on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from lab.devices.umas_device import Controller
from probes import modbus, umas
from scanner.facts import ControllerState, DeviceIdentity

pytestmark = pytest.mark.lab

QUANTUM: dict[str, Any] = {
    "protocol": "umas",
    "cpu": "140 CPU 311 10",
    "version": "2.70",
    "project": "Project",
    "revision": "0.0.8",
    "changed": "2014-01-14T12:59:12",
    "signature": "113d5837",
    "objects": {0: "Schneider Electric", 1: "140 NOE 771 01", 2: "V5.00"},
}


def test_it_says_byte_for_byte_what_the_recorded_controller_said(captures: Path) -> None:
    (file,) = captures.glob("umas__*quantum*.json")
    controller = Controller(QUANTUM)
    compared = 0
    for exchange in json.loads(file.read_text())["exchanges"]:
        request = bytes.fromhex(exchange["request_hex"])
        if request[8:] in (b"\0\x02", b"\0\x01\0", b"\0\x03\0", b"\0\x04"):
            assert controller.answer(request[8:]) == bytes.fromhex(exchange["response_hex"])[8:]
            compared += 1
    assert compared >= 7


async def test_the_probes_of_both_protocols_read_it_on_one_port(begin, governed) -> None:
    plant = await begin({"services": [{**QUANTUM, "reserved_by": "ENG-7", "memory_card": "C1"}]})
    ledger, port = plant.ledgers["D1"], plant.port("D1", "umas")

    async with governed(modbus.PROBE, port, address=ledger.address) as session:
        access, identity = await modbus.run(session)
    async with governed(umas.READ_PROBE, port, address=ledger.address) as session:
        told, said, looked_up, state = await umas.run_read(session)

    assert (access.identification, identity.model) == ("objects", "140 NOE 771 01")
    assert dict(told.details)["memory card"] == "C1"
    assert (said.model, looked_up.vendor) == ("140 CPU 311 10", "Schneider Electric")
    assert isinstance(said, DeviceIdentity)
    assert isinstance(state, ControllerState)
    assert state.reserved_by == "ENG-7"
    assert ledger.functions == {
        "umas 43/14": 1, "umas 90/0x02": 1, "umas 90/0x01": 1, "umas 90/0x03": 1,
        "umas 90/0x04": 1, "umas 90/0x06": 1,
    }  # fmt: skip
    assert not ledger.writes
    assert not ledger.resets


async def test_what_would_act_shows_in_the_ledger(begin, dial) -> None:
    plant = await begin({"services": [QUANTUM]})

    def ask(*pdus: str) -> list[bytes]:
        with dial(1, 502) as sock:
            found = []
            for pdu in map(bytes.fromhex, pdus):
                sock.sendall(b"\0\1\0\0" + (1 + len(pdu)).to_bytes(2, "big") + b"\0" + pdu)
                found.append(sock.recv(1024)[7:])
            return found

    said = await asyncio.to_thread(ask, "5a00 10 00000000 01 41", "5a01 41 ff00", "05 0001 ff00")

    assert said[0] == b"\x5a\x00\xfe\x01"
    assert said[1][2] == 0xFD
    assert plant.ledgers["D1"].writes == {"umas 90/0x10": 1, "umas 90/0x41": 1, "umas 5": 1}


async def test_pymodbus_reads_its_registers_through_it(begin) -> None:
    plant = await begin({"services": [QUANTUM]})
    client = AsyncModbusTcpClient(
        plant.ledgers["D1"].address, port=plant.port("D1", "umas"), timeout=2, retries=0
    )
    assert await client.connect()

    read = await client.read_holding_registers(1, count=2, device_id=1)
    client.close()

    assert read.registers == [7, 7]
