"""
OPC UA: what may never be sent, and what may. Sources: as in its grammar, and OPC 10000-4, section 5
for the parameters of the services.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_NULL: Final = b"\xff\xff\xff\xff"
_URL: Final = b"opc.tcp://10.77.1.1:4840"


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + b"F" + (8 + len(body)).to_bytes(4, "little") + body


def _head(service: int, handle: int) -> bytes:
    node = b"\x01\0" + service.to_bytes(2, "little")
    time = bytes.fromhex("0080c8c5a5c8dc01")
    return (
        node + b"\0\0" + time + handle.to_bytes(4, "little") + bytes(4) + _NULL
        + b"\x88\x13\0\0" + bytes(3)
    )  # fmt: skip


def _service(service: int, parameters: bytes, number: int = 2, kind: bytes = b"MSG") -> bytes:
    ids = (7, 9, number, number)
    return _message(
        kind,
        b"".join(each.to_bytes(4, "little") for each in ids) + _head(service, number) + parameters,
    )


def _open(policy: bytes, *, mode: int = 1, certificate: bytes = _NULL) -> bytes:
    return _message(
        b"OPN",
        bytes(4) + _text(b"http://opcfoundation.org/UA/SecurityPolicy#" + policy) + certificate
        + _NULL + b"\x01\0\0\0" * 2 + _head(446, 1) + bytes(8) + mode.to_bytes(4, "little")
        + _NULL + (60_000).to_bytes(4, "little"),
    )  # fmt: skip


_HELLO: Final = _message(
    b"HEL",
    b"".join(n.to_bytes(4, "little") for n in (0, 65536, 65536, 262144, 16)) + _text(_URL),
)
_ENDPOINTS: Final = _service(428, _text(_URL) + _NULL * 2)
_CLOSE: Final = _service(452, b"", 3, b"CLO")
_NODE: Final = b"\x03\x02\0" + _text(b"Pump1.Start")
"""ns=2;s=Pump1.Start"""


def _said(service: int, parameters: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return ("tcp", 4840, (_HELLO, _open(b"None"), _service(service, parameters)))


WRITES: Requests = {
    # one value, node, attribute 13, no range, DataValue of a Boolean that is true
    "opcua write": _said(673, b"\x01\0\0\0" + _NODE + b"\x0d\0\0\0" + _NULL + b"\x01\x01\x01"),
    "opcua call": _said(712, b"\x01\0\0\0" + _NODE + _NODE + _NULL),
    "opcua history update": _said(700, _NULL),
    "opcua add nodes": _said(488, _NULL),
    "opcua delete nodes": _said(500, b"\x01\0\0\0" + _NODE + b"\x01"),
    "opcua register server": _said(437, _NULL * 3 + bytes(4) + _NULL * 3 + b"\x01"),
    "opcua create session": _said(
        461,
        _text(b"urn:x") + _NULL + b"\0" + b"\x01\0\0\0" + _NULL * 3 + _NULL + _text(_URL)
        + _text(b"s") + _NULL * 2 + bytes(8) + bytes(4),
    ),
    "opcua create subscription": _said(787, bytes(8) + bytes(4) * 3 + b"\x01\0"),
    "opcua a channel with a certificate": (
        "tcp", 4840, (_HELLO, _open(b"Basic256Sha256", mode=3, certificate=_text(b"0" * 40))),
    ),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "opcua read": _said(631, bytes(8) + b"\x02\0\0\0" + b"\x01\0\0\0" + _NODE + b"\x0d\0\0\0"
                        + _NULL + b"\0\0" + _NULL),
    "opcua browse": _said(527, b"\0\0" + bytes(8) + bytes(4) + bytes(4) + _NULL),
    "opcua find servers": _said(422, _text(_URL) + _NULL * 2),
}  # fmt: skip

HARMLESS: Requests = {
    "opcua identify": ("tcp", 4840, (_HELLO, _open(b"None"), _ENDPOINTS, _CLOSE)),
}

FOREIGN: Foreign = {
    "HTTP to OPC UA": ("tcp", 4840, GET),
    "a stray byte behind an OPC UA hello": ("tcp", 4840, _HELLO + b"\x00"),
    "a message cut in two chunks": (
        "tcp", 4840, _HELLO + _ENDPOINTS[:3] + b"C" + _ENDPOINTS[4:],
    ),
}  # fmt: skip
