"""IEC 104: the recorded station, and what stands in a confirmation's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import probes.iec104
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Answer, Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_iec104

    probe = probes.iec104.PROBE
    for record in captured(captures, "iec104__*.json"):

        def make(record: dict[str, Any] = record) -> Answer:
            return test_iec104.recorded(record)  # type: ignore[no-any-return]

        yield Dialogue(name=record["id"], probe=probe, answer=make)
    for name, reply in (("start", "68040b000000"), ("data", "680e00000200460104000d9100000001")):
        yield Dialogue(name=name, probe=probe, answer=script(bytes.fromhex(reply)))
