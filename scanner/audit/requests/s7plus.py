"""
S7comm-plus on ISO-on-TCP: connecting as a panel, and the object of a session.

Sources: RFC 1006 and RFC 905 beneath it; a recording of a panel; names of the functions as in the
public S7CommPlusDriver.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.audit.requests.layers import iso
from scanner.model import Tier

PANEL = b"SIMATIC-ROOT-HMI"
CREATE_OBJECT = 0x04CA
SESSION = bytes.fromhex("a1000000d3821f")
"""The object that is created: to be numbered by the CPU, of class 287, ServerSession."""


def programs(request: bytes) -> bool:
    """An engineering station's seat has another name, and in classic S7 type 1."""
    tsap = iso.called_tsap(request) or b""
    return tsap.endswith(b"-ES") or tsap[:1] == b"\x01"


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    for frame in iso.tpkts(request):
        yield _frame(frame)


def _frame(frame: bytes) -> Named:
    kind = frame[5]
    if kind == iso.CONNECTION_REQUEST:
        panel = iso.called_tsap(frame) == PANEL
        service = "connect as a panel" if panel else "connect as somebody else"
        return Named(protocol="s7plus", service=service, verdict="session" if panel else "write")
    if kind == iso.DISCONNECT_REQUEST:
        return Named(protocol="s7plus", service="disconnect", verdict="session")
    if frame[4:7] != b"\x02\xf0\x80" or frame[7] != 0x72:
        raise Foreign(f"COTP {kind:#x} with no S7comm-plus in it")
    length, opcode, function = struct.unpack_from("!HB2xH", frame, 9)
    if opcode != 0x31 or 11 + length + 4 != len(frame):
        raise Foreign("no request of S7comm-plus")
    asks = function == CREATE_OBJECT and frame[36:43] == SESSION
    return Named(protocol="s7plus", service=f"function {function:#06x}", verdict=either(asks))


READER = Reader(protocol="s7plus", read=read, is_control=True, programs=programs)
