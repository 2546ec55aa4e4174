"""
PROFINET DCP: what may never be sent to a station, and what may. Sources: as in its grammar; control
suboptions (signal, reset to factory settings): IEC 61158-6-10, coding of ControlOption.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_TYPE: Final = 0x8892


def _dcp(head: str, blocks: str, *, delay: int = 0) -> tuple[str, int, tuple[bytes, ...]]:
    """`head` is FrameID, service and type."""
    data = bytes.fromhex(blocks)
    frame = bytes.fromhex(head + "0c0ffee1") + delay.to_bytes(2, "big")
    frame += len(data).to_bytes(2, "big") + data
    return ("link", _TYPE, (frame.ljust(46, b"\0"),))


_IDENTIFY: Final = _dcp("fefe 0500", "ffff 0000", delay=1)
_NAME: Final = "2d706c632d31"

WRITES: Requests = {
    "dcp set the name of station": _dcp("fefd 0400", f"0202 0008 0001 {_NAME}"),
    "dcp set the address": _dcp("fefd 0400", "0102 000e 0001 0a4d0105 ffff0000 00000000"),
    "dcp take the address away": _dcp("fefd 0400", "0102 000e 0000 00000000 00000000 00000000"),
    "dcp signal": _dcp("fefd 0400", "0503 0004 0000 0100"),
    "dcp factory reset": _dcp("fefd 0400", "0505 0002 0000"),
    "dcp reset to factory settings": _dcp("fefd 0400", "0506 0002 0004"),
    "dcp hello": _dcp("fefc 0600", f"0202 0008 0000 {_NAME}"),
    "an answer to identify": _dcp("feff 0501", f"0202 0008 0000 {_NAME}"),
    "profinet output data": (
        "link", _TYPE, (bytes.fromhex("8001") + bytes(40) + bytes.fromhex("1234 35 00"),),
    ),
    "profinet alarm": (
        "link", _TYPE, (bytes.fromhex("fe01 0000 0000 11 31 ffff ffff 0000") + bytes(32),),
    ),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "dcp get": _dcp("fefd 0300", "0202 0203"),
    "dcp identify a name": _dcp("fefe 0500", f"0202 0006 {_NAME}", delay=1),
}

HARMLESS: Requests = {
    "dcp identify": _IDENTIFY,
}

FOREIGN: Foreign = {
    "HTTP to a station": ("link", _TYPE, GET),
    "old memory behind an identify": ("link", _TYPE, _IDENTIFY[2][0][:-5] + b"\xde\xad\xbe\xef\0"),
    "a second identify behind one": ("link", _TYPE, _IDENTIFY[2][0][:16] * 3),
}
