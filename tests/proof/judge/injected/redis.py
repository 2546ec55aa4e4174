"""
Redis: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _command(*words: bytes) -> bytes:
    said = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n" % len(words) + said


PING: Final = _command(b"PING")

WRITES: Requests = {
    "redis set": ("tcp", 6379, (_command(b"SET", b"pump", b"1"),)),
    "redis flush": ("tcp", 6379, (PING, _command(b"FLUSHALL"))),
    "redis config": ("tcp", 6379, (_command(b"CONFIG", b"SET", b"dir", b"/etc/cron.d"),)),
    "redis script": ("tcp", 6379, (_command(b"EVAL", b"return 1", b"0"),)),
    "redis login": ("tcp", 6379, (_command(b"AUTH", b"x"),)),
    "redis shutdown": ("tcp", 6379, (_command(b"shutdown", b"nosave"),)),
    "redis all keys": ("tcp", 6379, (_command(b"KEYS", b"*"),)),
}

HARMLESS: Requests = {
    "redis ping": ("tcp", 6379, (PING,)),
    "redis info": ("tcp", 6379, (_command(b"INFO", b"server"),)),
}

FOREIGN: Foreign = {
    "HTTP to Redis": ("tcp", 6379, GET),
    "an inline command": ("tcp", 6379, b"FLUSHALL\r\n"),
}
