"""
TLS: what may never be sent, and what may. Sources: as in its grammar; the ClientHello is that of
RFC 5246, section 7.4.1.2.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

CLIENT_HELLO: Final = bytes.fromhex(
    "16 0301 002f"  # a handshake record of 47 bytes
    "01 00002b 0303"  # ClientHello of 43 bytes, TLS 1.2
    + "5a" * 32  # random
    + "00 0004 c02f 009c 01 00"  # no session; two cipher suites; no compression
)

HARMLESS: Requests = {
    "https hello": ("tcp", 443, (CLIENT_HELLO,)),
}

FOREIGN: Foreign = {
    "HTTP to HTTPS": ("tcp", 443, GET),
}
