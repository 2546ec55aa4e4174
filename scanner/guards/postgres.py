"""
What may be said to PostgreSQL: the eight bytes that ask for TLS, once on a connection.

Everything that names a user, ends a query or follows a start-up is refused in every tier.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", section "Message Formats".
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_ASKS_FOR_TLS: Final = bytes.fromhex("0000000804d2162f")
_CODES: Final = {
    "04d2162e": "CancelRequest",
    "04d21630": "GSSENCRequest",
    "00030000": "StartupMessage",
    "00030002": "StartupMessage 3.2",
    "00020000": "StartupMessage 2.0",
}


class PostgresGuard:
    """Remembers whether the request was made: behind it nothing may follow in clear text."""

    def __init__(self) -> None:
        self._asked = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if not _ASKS_FOR_TLS.startswith(buffer[:8]):
            raise GuardRefused(f"not an SSLRequest: {buffer[:8].hex()}")
        if len(buffer) > 8:
            raise GuardRefused("bytes behind an SSLRequest")
        return ((buffer,), b"") if len(buffer) == 8 else ((), buffer)

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame != _ASKS_FOR_TLS:
            name = _CODES.get(frame[4:8].hex(), "a message")
            return f"PostgreSQL: {name} is not on the list"
        if self._asked:
            return "PostgreSQL: TLS was asked for already on this connection"
        self._asked = True
        return None


GUARD = GuardSpec(protocol="postgres", open=PostgresGuard, reply_framer=None)
