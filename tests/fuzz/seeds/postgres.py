"""PostgreSQL: both answers, an old server's error, a server that says more than it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.postgres
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("offers_tls",)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for reply in (b"S", b"N", b"EFATAL: unsupported\n\0", b"SSH-2.0-x\r\n", b"N\0"):
        yield Dialogue(name=repr(reply), probe=probes.postgres.PROBE, answer=script(reply))
