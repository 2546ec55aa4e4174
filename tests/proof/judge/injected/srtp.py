"""
GE-SRTP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

INITIALISATION: Final = bytes(56)


def _service(code: int, parameters: str = "", payload: bytes = b"") -> bytes:
    message = bytearray(56)
    message[0], message[2], message[30], message[31] = 0x02, 0x06, 0x06, 0xC0
    message[4:6] = len(payload).to_bytes(2, "little")
    message[36:38] = b"\x10\x0e"
    message[42] = code
    given = bytes.fromhex(parameters)
    message[43 : 43 + len(given)] = given
    return bytes(message) + payload


WRITES: Requests = {
    "srtp write system memory": (
        "tcp", 18245, (INITIALISATION, _service(0x07, "0864000200", b"\x34\x12\x00\x00")),
    ),
    "srtp write program": ("tcp", 18245, (INITIALISATION, _service(0x09, "00", bytes(8)))),
    "srtp programmer logon": ("tcp", 18245, (INITIALISATION, _service(0x20))),
    "srtp change privilege level": ("tcp", 18245, (INITIALISATION, _service(0x21, "04"))),
    "srtp stop": ("tcp", 18245, (INITIALISATION, _service(0x23, "01"))),
    "srtp set time": ("tcp", 18245, (INITIALISATION, _service(0x24, "01"))),
    "srtp clear fault table": ("tcp", 18245, (INITIALISATION, _service(0x39, "01"))),
    "srtp program load": ("tcp", 18245, (INITIALISATION, _service(0x40))),
    "srtp toggle force": ("tcp", 18245, (INITIALISATION, _service(0x44, "10"))),
}  # fmt: skip

HARMLESS: Requests = {
    "srtp identify": ("tcp", 18245, (INITIALISATION,)),
    "srtp controller type": ("tcp", 18245, (INITIALISATION, _service(0x43))),
}

FOREIGN: Foreign = {
    "HTTP to SRTP": ("tcp", 18245, GET),
    "an SRTP reply": ("tcp", 18245, b"\x03" + bytes(55)),
    "half an initialisation": ("tcp", 18245, bytes(28)),
}
