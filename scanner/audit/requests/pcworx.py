"""
PC Worx: the greeting opens a session, question 0295 and fetching read, all else is a write.

Source: pcworx-info of nmap; the requests of a public tool that also starts and stops controllers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

OPEN, ASK, FETCH = 1, 5, 6
READING_QUESTIONS = {0x0295}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        kind, service, length = struct.unpack_from("!BBH", request)
        frame, request = request[:length], request[length:]
        if kind != 1:
            raise Foreign("not PC Worx")
        if len(frame) != length or length < 6:
            raise Foreign("cut off")
        verdict: Verdict = "write"
        name = f"service {service:#04x}"
        if service == ASK:
            question = struct.unpack_from("!H", frame, 18)[0]
            name = f"question {question:04x}"
            verdict = "read" if question in READING_QUESTIONS and length == 22 else "write"
        elif service == OPEN:
            verdict = "session"
        elif service == FETCH:
            verdict = "read"
        yield Named(protocol="pcworx", service=name, verdict=verdict)


READER = Reader(protocol="pcworx", read=read, is_control=True)
