"""GE-SRTP: the reply to an initialisation, with both ninth bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.srtp
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for ninth in (0x0F, 0x00):
        reply = b"\x01" + bytes(7) + bytes([ninth]) + bytes(47)
        yield Dialogue(name=f"{ninth:02x}", probe=probes.srtp.PROBE, answer=script(reply))
