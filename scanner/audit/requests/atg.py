"""
Tank gauges: of their functions only 902 reads what identifies; what sets or resets is a write.

Reports of the tanks (I201 and so on) change nothing, and yet no scan asks for them: they count as
unknown, so that a certificate with one does not pass.

Source: Veeder-Root, Serial Interface Manual, 576013-635 section 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

FUNCTION = re.compile(rb"\x01([IiSs][0-9A-Z]{3})([0-9]{2})(.*)", re.DOTALL)
LINE = re.compile(rb"[^\n]*\n")


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        line = LINE.match(request)
        if line is None:
            raise Foreign("cut off")
        found = FUNCTION.fullmatch(line[0][:-1])
        if found is None:
            raise Foreign("not a function of a tank gauge")
        request = request[line.end() :]
        verdict: Verdict = "unknown"
        if found[1] == b"I902" and found[2] == b"00" and not found[3]:
            verdict = "read"
        elif found[1][:1] in b"Ss" or found[1][1:2] == b"S":
            verdict = "write"
        service = f"function {found[1].decode('ascii')}"
        yield Named(protocol="atg", service=service, verdict=verdict)


READER = Reader(protocol="atg", read=read, is_control=True)
