"""SQL Server: answers laid out as specified, each encryption, one option alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.mssql
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("told",)
SAMPLE = bytes.fromhex(
    "0401002b00000100 00001a0006 0100200001 0200210001 0300220000 0400220001 ff"
    "090000000000 01 00 00"
)
SHORT = bytes.fromhex("0401001400000100 0000060006 ff 0f0007d00000")


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for number in range(4):
        reply = SAMPLE[:40] + bytes([number]) + SAMPLE[41:]
        yield Dialogue(name=f"encryption {number}", probe=probes.mssql.PROBE, answer=script(reply))
    yield Dialogue(name="version", probe=probes.mssql.PROBE, answer=script(SHORT))
