"""
An S7 controller: python-snap7's server with system status lists of its own.

The server's built-in lists lack the header that the format demands and describe one CPU only, so
`_get_szl_data` is overridden: header (record length, record count), then records.

  0x0011  module identification, 28 bytes: index, MLFB[20], BGTyp, Ausbg1, Ausbg2
          (index 1 module, 6 hardware, 7 firmware with 'V' in the high byte of Ausbg1)
  0x001C  component identification, 34 bytes: index, text[32]
  0x0132  and 0x0232 index 4: protection, 40 bytes: index, sch_schal, sch_par, sch_rel, bart_sch,
          anl_sch
  0x0424  operating state, 20 bytes; byte 3 low nibble 8 run, 4 stop

Settings: order_number, firmware "3.2.7", hardware (int), components {index: text} or none at all
(as newer CPUs, which refuse 0x001C), protection (1..3, or none at all:
0x0132 and 0x0232 are refused), password_level (0..3), mode_switch, state.
Source: Siemens, System Software for S7-300/400 System and Standard Functions, chapter on SSL; for
the refusal RFC 905 section 13.5 (reason 3: address unknown).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from snap7.server import Server as Snap7Server

from lab.bench import LOOPBACK, Bench, Server

FIRST_S = 5.0
"""How long a client may take to its first byte, as snap7 has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """What one CPU's system status lists say."""

    order_number: str
    firmware: tuple[int, int, int]
    hardware: int
    components: Mapping[int, str]
    protection: int | None
    password_level: int
    mode_switch: int
    state: str

    def szl(self, szl_id: int, index: int) -> bytes | None:
        """Header and records of one list, None when this CPU does not have it."""
        match szl_id:
            case 0x0000:
                ids = [0x0000, 0x0011, 0x0424]
                ids += [0x001C] * bool(self.components)
                ids += [0x0132, 0x0232] * (self.protection is not None)
                return _list(2, [struct.pack(">H", i) for i in ids])
            case 0x0011 | 0x0111:
                return self._module_identification(index if szl_id == 0x0111 else None)
            case 0x001C if self.components:
                return _list(34, [_component(i, text) for i, text in self.components.items()])
            case 0x0132 | 0x0232 if index == 4 and self.protection is not None:
                record = struct.pack(
                    ">HHHHHH",
                    4,
                    self.protection,
                    self.password_level,
                    self.protection,
                    self.mode_switch,
                    0,
                )
                return _list(40, [record.ljust(40, b"\0")])
            case 0x0424:
                state = 0x08 if self.state == "run" else 0x04
                return _list(20, [bytes([0x51, 0x08, 0xFF, state]).ljust(20, b"\0")])
        return None

    def _module_identification(self, only: int | None) -> bytes:
        order = self.order_number.encode("latin-1").ljust(20)[:20]
        major, minor, patch = self.firmware
        records = {
            1: struct.pack(">H20sHHH", 1, order, 0x00C0, self.hardware, 1),
            6: struct.pack(">H20sHHH", 6, order, 0x00C0, self.hardware, 1),
            7: struct.pack(">H20sHHH", 7, b" " * 20, 0x00C0, 0x5600 | major, minor << 8 | patch),
        }
        return _list(28, [r for i, r in records.items() if only is None or i == only])


def _list(length: int, records: list[bytes]) -> bytes:
    return struct.pack(">HH", length, len(records)) + b"".join(records)


def _component(index: int, text: str) -> bytes:
    return struct.pack(">H", index) + text.encode("latin-1").ljust(32, b"\0")[:32]


class Controller(Snap7Server):
    """The server with one CPU's lists, and a stop that waits for its threads off the loop."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__(log=False)
        self.host = LOOPBACK
        self._cpu = cpu

    def _handle_client(self, client_socket: socket.socket, address: tuple[str, int]) -> None:
        """
        A seat that is called by a word is of S7comm-plus, which this CPU does not speak: it is
        refused as the specification has it, where snap7 would take it and then say nothing.
        """
        with suppress(OSError):
            client_socket.settimeout(FIRST_S)
            first = client_socket.recv(64, socket.MSG_PEEK)
            if first[5:6] == b"\xe0" and b"SIMATIC-ROOT-" in first:
                client_socket.recv(64)
                client_socket.sendall(b"\x03\0\0\x0b\x06\x80" + first[8:10] + b"\0\0\x03")
                client_socket.shutdown(socket.SHUT_RDWR)
        super()._handle_client(client_socket, address)

    def _get_szl_data(self, szl_id: int, szl_index: int) -> bytes | None:
        return self._cpu.szl(szl_id, szl_index)


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    protection = settings.get("protection")
    major, minor, patch = (int(part) for part in bench.text("firmware").split("."))
    controller = Controller(
        Cpu(
            order_number=bench.text("order_number"),
            firmware=(major, minor, patch),
            hardware=int(settings.get("hardware", 1)),
            components={int(k): str(v) for k, v in dict(settings.get("components", {})).items()},
            protection=None if protection is None else int(protection),
            password_level=int(settings.get("password_level", 0)),
            mode_switch=int(settings.get("mode_switch", 1)),
            state=str(settings.get("state", "run")),
        )
    )
    controller.start(0)
    listener = controller.server_socket
    assert listener is not None  # noqa: S101 - start() has raised otherwise
    inner = listener.getsockname()

    async def stop() -> None:
        await asyncio.to_thread(controller.stop)

    return Server(inner=(str(inner[0]), int(inner[1])), stop=stop)


SERVES = {"s7": serve}
