"""
MQTT, plain or in TLS: a sign-in without a name where one is granted, and its goodbye.

Source: OASIS MQTT 3.1.1 sections 2.2 and 3.1.2 (connect flags).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.audit.requests.layers import tls
from scanner.model import Tier

CONNECT, DISCONNECT = 1, 14
NAMES = {1: "CONNECT", 3: "PUBLISH", 8: "SUBSCRIBE", 10: "UNSUBSCRIBE", 12: "PINGREQ",
         14: "DISCONNECT"}  # fmt: skip
CLEAN_AND_NOTHING_MORE = 2


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if tls.is_record(request):
        yield from tls.records(request)
        return
    while request:
        kind, size = request[0] >> 4, request[1]
        packet, whole = request[: 2 + size], len(request) >= 2 + size
        request = request[2 + size :]
        if size > 0x7F or not whole:
            raise Foreign("no packet of ours is that long")
        verdict: Verdict = "write"
        if kind == CONNECT:
            if packet[2:8] != b"\0\4MQTT":
                raise Foreign("no CONNECT of MQTT 3.1.1")
            nameless = packet[9] == CLEAN_AND_NOTHING_MORE
            verdict = "sign-in" if nameless and tier is Tier.LOGIN else "write"
        elif kind == DISCONNECT:
            verdict = "session"
        yield Named(protocol="mqtt", service=NAMES.get(kind, f"type {kind}"), verdict=verdict)


READER = Reader(protocol="mqtt", read=read, sealed=tls.SEALED)
