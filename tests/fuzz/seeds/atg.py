"""Tank gauges: reports as manuals print them, a refusal, and the recorded emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.atg
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

REPORTS = (
    b"\x01\r\nI90200\r\n22-05-01 15:12\r\nSOFTWARE# 349783-001-AXM\r\n"
    b"CREATED - 01.05.17.15.11\r\nSYSTEM FEATURES:\r\nPERIODIC IN-TANK TESTS\r\n\x03",
    b"\x01\r\nI90200\r\nNOV 30, 2026  8:02 PM\r\n\r\nHARBOUR STATION\r\n\r\n"
    b"SOFTWARE REVISION LEVEL\r\nVERSION 131.02\r\nSOFTWARE# 346331-100-C\r\n\x03",
    b"\x019999FF1B\x03",
)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    probe = probes.atg.PROBE
    for number, report in enumerate(REPORTS):
        yield Dialogue(name=f"report {number}", probe=probe, answer=script(report))
    for record in captured(captures, "atg__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            yield Dialogue(name=exchange["label"], probe=probe, answer=script(reply))


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "atg__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            yield Dialogue(name=record["id"], probe=probes.atg.PROBE, answer=script(reply))
