"""
Answers of ProConOS runtimes. `RECORDED` is the one that hi-KK recorded (ICS-Protocol-identify, the
file on ProConOS), byte for byte as told of in public test vectors; its header of zeros as
characters is what came. `answer` lays others out as Redpoint's proconos-info reads them: from 12,
44 and 77.
"""

from __future__ import annotations

RECORDED = bytes.fromhex(
    "cc003030303030303030300050726f436f6e4f532056342e322e30323134204f6374203238203230313100205620"
    "332e3935412e36202020202020204d6172202039203230313200202020202020517569636b4d697800517569636b"
    "4d6978006e2f6100"
)


def answer(
    runtime: bytes = b"ProConOS V3.0.1040 Oct 29 2002",
    plc_type: bytes = b"ADAM5510KW 1.24 Build 005",
    project: bytes = b"510-projec",
    boot: bytes = b"510-projec",
    source: bytes = b"Exist",
    behind: bytes = b"",
) -> bytes:
    """The values are those of Redpoint's sample output."""
    head = b"\xcc\x00" + bytes(10) + runtime.ljust(32, b"\0") + plc_type.ljust(33, b"\0")
    return head + b"\0".join((project, boot, source, behind))
