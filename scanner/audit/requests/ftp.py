"""
FTP: questions about the server, an anonymous sign-in where one is granted, and a goodbye.

Sources: RFC 959 section 4.1; RFC 2389 section 3; RFC 1635.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

READS = {"FEAT", "SYST", "HELP", "STAT"}
SIGNING_IN = {"USER": "anonymous", "PASS": "walkdown@example.invalid"}
"""Nobody but anonymous is signed in, and with our address only."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        line, end, request = request.partition(b"\r\n")
        words = line.decode("ascii", "replace").split(" ", 1)
        command = words[0].upper()
        argument = words[1] if len(words) > 1 else ""
        if not end or not command.isalpha() or not 3 <= len(command) <= 4:
            raise Foreign("no FTP command")
        verdict: Verdict = "write"
        if command == "QUIT" and not argument:
            verdict = "session"
        elif command in READS and not argument:
            verdict = "read"
        elif SIGNING_IN.get(command) == argument and tier is Tier.LOGIN:
            verdict = "sign-in"
        yield Named(protocol="ftp", service=command, verdict=verdict)


READER = Reader(protocol="ftp", read=read)
