"""
A Moxa serial device server on its search port.

Settings: `hardware_id` (hex), `mac`, `name` (39 bytes at most), `serial` (a number below 65536),
`firmware` ("1.1.31" or "3.2"). As in the recorded device, what stands behind the name's NUL are
leftovers. Ids that set something are answered as carried out.

Source: M. Davidsaver, Moxa UDP protocol; aioxcom, "moxa discovery.txt".
"""

from __future__ import annotations

from ipaddress import IPv4Address

from lab.bench import Bench, Server

LEFTOVERS = bytes.fromhex("a858faffffff00c0a85801ee77bbefed33f3ccef1337dccc7f3eccef33bfdf")
PRODUCT_LINE = 0x80015100


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    mac = bytes.fromhex(bench.text("mac").replace(":", ""))
    hardware = int(bench.text("hardware_id"), 16).to_bytes(2, "little")
    device_id = PRODUCT_LINE.to_bytes(4, "little") + hardware + mac
    parts = [int(part, 16) for part in bench.text("firmware").split(".")]
    major, minor, patch = (*parts, 0)[:3]
    version = bytes([0, patch, minor, major])
    serial = int(settings["serial"]).to_bytes(2, "little")
    name = bench.text("name").encode("latin-1", "replace")[:39] + b"\0"
    bodies = {
        0x01: IPv4Address(bench.address).packed,
        0x10: (name + LEFTOVERS + bytes(40))[:40],
        0x16: version + bytes.fromhex("01000200") + serial + bytes.fromhex("000000000301"),
    }

    async def answer(datagram: bytes) -> bytes | None:
        if len(datagram) < 8 or datagram[0] & 0x80:
            return None
        if datagram[0] != 0x01 and datagram[8:20] != device_id:
            return None
        body = device_id + bodies.get(datagram[0], b"")
        length = (8 + len(body)).to_bytes(2, "big")
        return bytes([datagram[0] | 0x80, 0]) + length + datagram[4:8] + body

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"nport": serve}
