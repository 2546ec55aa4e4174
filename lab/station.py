"""
A PROFINET station on a link: what it answers to DCP, written from the specification.

It is no service of a plant file: it has no port and needs a network interface of its own, so tests
start it in a namespace that they make:

    python -m lab.station INTERFACE SETTINGS.json LEDGER.json

Settings: `station_type`, `name`, `vendor_id`, `device_id`, `role`, `address`, `mask`, `gateway`,
each as in DCP; `padded`: true fills the name up with zeros to 108 characters, as an S7-300 does;
`silent`: true answers nobody; `answers` is a frame in hex (behind the Ethernet header) in place of
its own, in which `XXXXXXXX` becomes the number of the transaction; `repeats` sends each answer so
often; `tagged`: true puts a tag of priority 6 and VLAN 0 into it, as many stations do.

Set is answered as if it had been done, and counted as a write. A Get or Set holds the station for
three seconds for whoever asked: everybody else is not heard.

Source: IEC 61158-6-10, coding of DCP APDUs, and IEC 61158-5-10, client hold; the blocks and their
order as a GE VersaMax and a Siemens S7-300 sent them.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.ledger import Ledger, write_json

ETHERTYPE = 0x8892
ALL_STATIONS = bytes.fromhex("010ecf000000")
GET_SET, IDENTIFY, IDENTIFIED = 0xFEFD, 0xFEFE, 0xFEFF
HOLD_S = 3.0
SHORTEST = 60
PRIORITY_6 = bytes.fromhex("8100c000")
NO_ERROR = 0
NAMES = {3: "get", 4: "set", 5: "identify", 6: "hello"}


class Station:
    """One station; `mac` is its own address, `clock` counts seconds."""

    def __init__(
        self, settings: Mapping[str, Any], mac: bytes, ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._mac = mac
        self._ledger = ledger
        self._clock = clock
        self._holder: tuple[bytes, float] = (b"", 0.0)

    def hear(self, frame: bytes) -> bytes | None:
        """What it sends to a whole Ethernet frame; None is nothing."""
        target, source = frame[:6], frame[6:12]
        if frame[12:14] != ETHERTYPE.to_bytes(2, "big") or target not in (self._mac, ALL_STATIONS):
            return None
        self._ledger.datagram()
        if len(frame) < SHORTEST:
            self._ledger.broken("dcp", f"a frame of {len(frame)} bytes")
            return None
        said = frame[14:]
        frame_id, service, kind = int.from_bytes(said[:2], "big"), said[2], said[3]
        length = int.from_bytes(said[10:12], "big")
        if frame_id not in (GET_SET, IDENTIFY) or kind != 0:
            self._ledger.alien("dcp", f"FrameID {frame_id:#06x}, type {kind}")
            return None
        if 12 + length > len(said):
            self._ledger.broken("dcp", f"length {length} of {len(said) - 12}")
            return None
        everybody = " to all stations" if target == ALL_STATIONS else ""
        name = NAMES.get(service, f"service {service}") + everybody
        self._ledger.request("dcp", name, write=service not in (3, 5))
        if self._settings.get("silent"):
            return None
        xid, data = said[4:8], said[12 : 12 + length]
        answer = self._answer(frame_id, service, source, xid, data)
        return None if answer is None else (source + self._mac + frame[12:14] + answer)

    def _answer(
        self, frame_id: int, service: int, source: bytes, xid: bytes, data: bytes
    ) -> bytes | None:
        if frame_id == IDENTIFY:
            if service != 5 or not self._is_meant(data):
                return None
            if "answers" in self._settings:
                return bytes.fromhex(str(self._settings["answers"]).replace("X" * 8, xid.hex()))
            blocks = self._blocks(list(self._all()))
            return _frame(IDENTIFIED, 5, xid, blocks)
        holder, since = self._holder
        if holder not in (b"", source) and self._clock() - since < HOLD_S:
            return None
        self._holder = (source, self._clock())
        if service == 3:
            asked = [(data[at], data[at + 1]) for at in range(0, len(data) - 1, 2)]
            return _frame(GET_SET, 3, xid, self._blocks(asked))
        if service != 4 or len(data) < 2:
            return None
        done = _block(5, 4, bytes([data[0], data[1], NO_ERROR]), info=b"")
        return _frame(GET_SET, 4, xid, done)

    def _is_meant(self, data: bytes) -> bool:
        """All options, or a name of station that is ours."""
        if data[:2] == b"\xff\xff":
            return True
        length = int.from_bytes(data[2:4], "big")
        return data[:2] == b"\2\2" and data[4 : 4 + length] == self._text("name")

    def _text(self, key: str) -> bytes:
        return str(self._settings.get(key, "")).encode("latin-1", "replace")

    def _all(self) -> Mapping[tuple[int, int], bytes]:
        told = self._settings
        name = self._text("name").ljust(108, b"\0") if told.get("padded") else self._text("name")
        ids = int(told.get("vendor_id", 0)).to_bytes(2, "big")
        ids += int(told.get("device_id", 0)).to_bytes(2, "big")
        parameter = b"".join(
            IPv4Address(told.get(key, 0)).packed for key in ("address", "mask", "gateway")
        )
        options = bytes.fromhex("0201 0202 0203 0204 0205 0102")
        return {
            (2, 5): options, (2, 1): self._text("station_type"), (2, 2): name, (2, 3): ids,
            (2, 4): bytes([int(told.get("role", 1)), 0]), (1, 2): parameter,
        }  # fmt: skip

    def _blocks(self, asked: list[tuple[int, int]]) -> bytes:
        known = self._all()
        return b"".join(
            _block(*one, known[one], info=b"\0\1" if one == (1, 2) else b"\0\0")
            for one in asked
            if one in known
        )


def _block(option: int, suboption: int, value: bytes, *, info: bytes) -> bytes:
    content = info + value
    return bytes([option, suboption, *len(content).to_bytes(2, "big")]) + content + bytes(
        len(content) & 1
    )  # fmt: skip


def _frame(frame_id: int, service: int, xid: bytes, blocks: bytes) -> bytes:
    head = frame_id.to_bytes(2, "big") + bytes([service, 1]) + xid + bytes(2)
    return head + len(blocks).to_bytes(2, "big") + blocks


def serve(interface: str, settings: Mapping[str, Any], ledger_file: Path) -> None:
    """Until the process is ended. Prints its MAC address when it listens."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as link:
        link.bind((interface, ETHERTYPE))
        mac = link.getsockname()[4]
        ledger = Ledger(
            str(settings.get("name", "station")), str(settings.get("address", "")),
            clock=time.monotonic,
        )  # fmt: skip
        station = Station(settings, mac, ledger, time.monotonic)
        write_json(ledger_file, ledger.as_dict())
        sys.stdout.write(mac.hex(":") + "\n")
        sys.stdout.flush()
        while True:
            answer = station.hear(link.recv(2048))
            if answer is not None and settings.get("tagged"):
                answer = answer[:12] + PRIORITY_6 + answer[12:]
            for _ in range(int(settings.get("repeats", 1)) if answer else 0):
                link.send((answer or b"").ljust(SHORTEST, b"\0"))
            write_json(ledger_file, ledger.as_dict())


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8")), Path(sys.argv[3]))
