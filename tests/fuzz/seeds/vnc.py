"""VNC: recorded greetings with their types, and those of every other branch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.vnc
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("version",)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "vnc__*.json"):
        said = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
        yield Dialogue(name=record["id"], probe=probes.vnc.PROBE, answer=script(*said))
    for version, security in (
        (b"RFB 003.003\n", b"\0\0\0\x02" + bytes(16)),
        (b"RFB 003.003\n", b"\0\0\0\x01"),
        (b"RFB 003.005\n", b"\0\0\0\0\0\0\0\x04busy"),
        (b"RFB 003.007\n", b"\x02\x01\x02"),
        (b"RFB 003.889\n", b"\x04\x1e\x21\x24\x23"),
        (b"RFB 005.000\n", b"\x03\x82\x81\x02"),
    ):
        yield Dialogue(name="made", probe=probes.vnc.PROBE, answer=script(version, security))
