"""
TFTP: asking for a file that nobody has.

A read request for any other name is no write, but a question that no scan has: it counts as
unknown. Whatever carries a transfer on or gives a file away is a write.

Source: RFC 1350 section 5 (opcodes, in big-endian).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

READ, WRITE, DATA, ACKNOWLEDGE, ERROR = range(1, 6)
NOBODYS = b"walkdown-no-such-file"


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if request[0] or not READ <= request[1] <= ERROR:
        raise Foreign("no packet of TFTP")
    opcode = request[1]
    if opcode in (READ, WRITE):
        words = request[2:].split(b"\0")
        if len(words) < 3 or not words[0] or words[-1]:
            raise Foreign("a request of TFTP ends its name and its mode with a zero")
        if opcode == READ:
            ours = words == [NOBODYS, b"octet", b""]
            verdict: Verdict = "read" if ours else "unknown"
            service = "read of no file" if ours else "read of a file"
            yield Named(protocol="tftp", service=service, verdict=verdict)
            return
    yield Named(protocol="tftp", service=f"opcode {opcode}", verdict="write")


READER = Reader(protocol="tftp", read=read)
