"""
MMS: one association without authentication, identify, and the reading of names and of variables.

Which variables may be read is the guard's business; that reading changes none is what counts here.

Sources: RFC 1006 section 6 and RFC 905 section 13 beneath it; ISO 8327-1 (session), ISO 8823-1
(presentation); ISO 9506-2 section 7, the numbers of PDUs and confirmed services.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.audit.requests.layers import iso
from scanner.audit.requests.layers.ber import element
from scanner.model import Tier

SESSION_CONNECT = 0x0D
SESSION_DATA = b"\x01\0\x01\0"
MMS_CONTEXT = b"\x03"
CONFIRMED, CONCLUDE = 0xA0, 0x8B
READS = {0xA1: "getNameList", 0xA2: "identify", 0x82: "identify", 0xA4: "read"}


def programs(request: bytes) -> bool:
    """On a controller the first byte of the called TSAP says as what one connects."""
    return (iso.called_tsap(request) or b"")[:1] == b"\x01"


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    for frame in iso.tpkts(request):
        yield _frame(frame)


def _frame(frame: bytes) -> Named:
    kind = frame[5]
    if kind in (iso.CONNECTION_REQUEST, iso.DISCONNECT_REQUEST):
        return _named(f"COTP {kind:#x}", "session")
    if frame[4:7] != b"\x02\xf0\x80":
        raise Foreign(f"COTP {kind:#x} with no MMS in it")
    data = frame[7:]
    if data[0] == SESSION_CONNECT:
        return _named("associate", "session")
    if data[:4] != SESSION_DATA:
        raise Foreign(f"session PDU {data[:4].hex()}")
    pdu = _presented(data[4:])
    if pdu[0] == CONCLUDE:
        return _named("conclude", "session")
    if pdu[0] != CONFIRMED:
        return _named(f"PDU {pdu[0]:#x}", "write")
    _, body, rest = element(pdu)
    if rest:
        raise Foreign("two requests in one frame")
    invoke, _, service = element(body)
    if invoke != 0x02:
        raise Foreign("a request without its number")
    verdict: Verdict = "read" if service[0] in READS else "write"
    return _named(READS.get(service[0], f"service {service[0]:#x}"), verdict)


def _presented(data: bytes) -> bytes:
    """What `61 { 30 { 02 01 context, A0 { … } } }` holds."""
    for tag in (0x61, 0x30):
        found, data, rest = element(data)
        if found != tag or rest:
            raise Foreign("no user data of the presentation layer")
    found, context, data = element(data)
    if found != 0x02 or context != MMS_CONTEXT:
        raise Foreign("not in the context of MMS")
    found, value, rest = element(data)
    if found != 0xA0 or rest:
        raise Foreign("no user data of the presentation layer")
    return value


def _named(service: str, verdict: Verdict) -> Named:
    return Named(protocol="mms", service=service, verdict=verdict)


READER = Reader(protocol="mms", read=read, is_control=True, programs=programs)
