"""
What a module of this package exports, as far as it has any.

    WRITES            what changes something, or takes a seat: never to be sent. Only the last
                      request of each is the offence
    NOT_ONLY_READING  what changes nothing that a register holds and yet is no part of identifying
                      or reading, under a login neither
    SIGNING_IN        the same, but right where tier login was granted
    GRANTED           what tier login may do beside reading
    BEHIND_A_LOGIN    what nobody may do who has signed in
    HARMLESS          what identifying and reading take
    FOREIGN           bytes that are not the port's protocol
"""

from __future__ import annotations

from collections.abc import Mapping

Requests = Mapping[str, tuple[str, int, tuple[bytes, ...]]]
"""Name → (transport, port, the requests of one connection)."""
Foreign = Mapping[str, tuple[str, int, bytes]]
"""Name → (transport, port, bytes)."""
