"""
Replies of CODESYS runtimes, built from the published layouts: no recording of one is to be had.

`answer`: byte for byte as A. Galauner's codesys3 library for nmap reads it; the header as A.
Nochvay describes the datagram layer. The values are those of the library's sample output.
`runtime`: the places of the names as Redpoint's codesys-v2-discover reads them; the values are
those of an exposed controller in automayt/ICS-pcap, CODESYS/notes.txt. What lies between is not
published, and zero here.
"""

from __future__ import annotations

from typing import Literal

PFC200 = "WAGO 750-8206 PFC200 2ETH RS CAN DPS"


def answer(
    request_id: bytes,
    *,
    node: str = "PFC200-438F4C",
    device: str = PFC200,
    vendor: str = "WAGO",
    serial: str = "",
    wide_serial: bool = False,
    order: Literal["little", "big"] = "little",
    parent: bytes = b"",
    target_type: int = 0x1000,
    version: bytes = bytes((5, 15, 4, 0)),
    service: int = 4,
    kind: bytes = b"\x80\xc2\x00\x04",
    words: int = 1,
) -> bytes:
    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    def text(value: str) -> bytes:
        return value.encode(f"utf-16-{order[0]}e") + b"\0\0"

    header = bytes((0xC5, 0x73, 0x40, service, 0, 1 << 4 | words)) + bytes(2 * words) + b"\0\x14"
    header += bytes(-len(header) % 4)
    content = kind + request_id + number(8, 2) + bytes((order == "little", 0))
    content += b"".join(number(len(each), 2) for each in (parent, node, device, vendor))
    content += number(target_type, 4) + number(0x10061204, 4)
    content += number(int.from_bytes(version, "big"), 4) + number(0x1, 4)
    content += bytes((len(serial), 0, 0)) + bytes(9)
    content += parent + text(node) + text(device) + text(vendor)
    content += (serial + "\0").encode("utf-16-le" if wide_serial else "latin-1")
    return header + content


def runtime(
    *,
    system: str = "Nucleus PLUS",
    version: str = "Nucleus PLUS version unknown",
    product: str = "3S-Smart Software Solutions",
    behind: bytes = b"\x01\x00\x00\x00",
) -> bytes:
    fields = b"".join(
        each.encode("latin-1").ljust(32, b"\0") for each in (system, version, product)
    )
    return b"\xbb\xbb" + bytes(62) + fields + behind
