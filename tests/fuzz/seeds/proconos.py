"""ProConOS: the recorded answer, and others as runtimes are known to give them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.proconos
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue
from tests.probes import proconos_replies as replies


def dialogues(captures: Path) -> Iterator[Dialogue]:
    probe = probes.proconos.PROBE
    yield Dialogue(name="recorded", probe=probe, answer=script(replies.RECORDED))
    yield Dialogue(name="ADAM", probe=probe, answer=script(replies.answer()))
    bristol = replies.answer(plc_type=b"Bristol: CWM V05:50:00 07/31", boot=b"", source=b"")
    yield Dialogue(name="Bristol", probe=probe, answer=script(bristol))
