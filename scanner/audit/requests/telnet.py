"""
Telnet: options are a session, a name and a password typed are a sign-in where one is granted.

Sources: RFC 854 and RFC 855.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

ACTING = re.compile(
    rb"(reload|re-?boot|restart|reset|shutdown|halt|write|erase|delete|format|copy|clear|conf"
    rb"|enable|disable|set |no |debug|start|stop|show|exit|quit|logout|help|\?)",
    re.IGNORECASE,
)
"""How a line at a console begins that is no name and no password."""
SIGN_IN_LINES = 2


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    """
    Refusals and offers of options; a name and a password typed, which is a sign-in where one is
    granted.
    """
    lines = 0
    while request:
        if request[0] != 0xFF:
            line, _, request = request.partition(b"\r\n")
            lines += 1
            signs = lines <= SIGN_IN_LINES and ACTING.match(line) is None
            verdict: Verdict = "sign-in" if signs and tier is Tier.LOGIN else "write"
            yield Named(protocol="telnet", service="a line", verdict=verdict)
            continue
        if request[1] in range(0xFB, 0xFF):
            length, service = 3, "negotiation"
            if len(request) < length:
                raise Foreign("cut off")
            yield Named(protocol="telnet", service=service, verdict="session")
        else:  # break, interrupt, erase …: keys pressed on somebody's console
            length = 2
            yield Named(protocol="telnet", service=f"command {request[1]:#x}", verdict="write")
        request = request[length:]


READER = Reader(protocol="telnet", read=read)
