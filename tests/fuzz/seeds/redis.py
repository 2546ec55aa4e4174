"""Redis: what answers PING, and INFO of the section server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.redis
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

BODY = b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nos:Linux 6.1.0\r\n"
INFO = b"$%d\r\n%s\r\n" % (len(BODY), BODY)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for reply in (
        b"+PONG\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-DENIED Redis is running in protected mode\r\n",
        b"-ERR operation not permitted\r\n",
    ):
        yield Dialogue(name=repr(reply[:12]), probe=probes.redis.PROBE, answer=script(reply))
    known = (probes.redis.decode_ping(b"+PONG\r\n"),)
    for reply in (INFO, b"-NOPERM no permissions\r\n"):
        yield Dialogue(
            name=repr(reply[:12]), probe=probes.redis.READ_PROBE, answer=script(reply), known=known
        )
