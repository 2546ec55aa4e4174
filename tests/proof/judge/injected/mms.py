"""
MMS: what may never be sent, and what may. Sources: as in its grammar; the forms of write, control
objects and program invocations as public captures of MMS clients show them.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests

_CONNECT: Final = bytes.fromhex("0300001611e00000000100c1020001c2020001c0010a")


def _element(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    if len(value) < 0x80:
        return bytes([tag, len(value)]) + value
    return bytes([tag, 0x82]) + len(value).to_bytes(2, "big") + value


def _data(body: bytes) -> bytes:
    return b"\x03\0" + (7 + len(body)).to_bytes(2, "big") + b"\x02\xf0\x80" + body


def _presented(context: int, value: bytes) -> bytes:
    return _element(0x61, _element(0x30, bytes([2, 1, context]), _element(0xA0, value)))


def _associate(*more: bytes) -> bytes:
    """Session CONNECT down to the MMS initiate; `more` are further elements of the AARQ."""
    initiate = _element(
        0xA8, bytes.fromhex("80021f40810101820101830105"),
        _element(0xA4, bytes.fromhex("800101810305f100820c036800000000000000000010")),
    )  # fmt: skip
    external = _element(0x28, bytes.fromhex("06025101020103"), _element(0xA0, initiate))
    aarq = _element(0x60, bytes.fromhex("a107060528ca220203"), *more, _element(0xBE, external))
    contexts = bytes.fromhex(
        "a423300f020101060452010001300406025101301002010306 0528ca220201300406025101".replace(
            " ", ""
        )
    )
    ends = bytes.fromhex("810400000001820400000001")
    normal = _element(0xA2, ends, contexts, _presented(1, aarq))
    shown = _element(0x31, bytes.fromhex("a003800101"), normal)
    # a session length above 254 takes three bytes; the rest is fixed
    length = b"\xff" + len(shown).to_bytes(2, "big") if len(shown) > 254 else bytes([len(shown)])
    body = bytes.fromhex("05061301001601021402000233020001340200 01".replace(" ", ""))
    body += b"\xc1" + length + shown
    whole = b"\xff" + len(body).to_bytes(2, "big") if len(body) > 254 else bytes([len(body)])
    return _data(b"\x0d" + whole + body)


def _request(service: bytes, invoke: int = 1) -> bytes:
    pdu = _element(0xA0, bytes([2, 1, invoke]), service)
    return _data(b"\x01\0\x01\0" + _presented(3, pdu))


def _variable(domain: bytes, item: bytes) -> bytes:
    name = _element(0xA1, _element(0x1A, domain), _element(0x1A, item))
    return _element(0x30, _element(0xA0, name))


def _write(item: bytes, value: bytes) -> bytes:
    listed = _element(0xA0, _variable(b"BAY1LD0", item))
    return _element(0xA5, listed, _element(0xA0, value))


def _read(*items: bytes) -> bytes:
    variables = [_variable(b"BAY1LD0", item) for item in items]
    return _element(0xA4, _element(0xA1, _element(0xA0, *variables)))


_ASSOCIATE: Final = _associate()
_IDENTIFY: Final = _request(b"\x82\0")
_NAMES: Final = _request(bytes.fromhex("a109a003800109a1028000"), 2)
_PLATE: Final = _request(
    _read(*(b"LPHD1$DC$PhyNam$" + item for item in (b"vendor", b"swRev", b"serNum"))), 3
)
_CONCLUDE: Final = _data(b"\x01\0\x01\0" + _presented(3, b"\x8b\0"))


def _on(service: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return "tcp", 102, (_CONNECT, _ASSOCIATE, _request(service))


_OBJECT: Final = _element(0xA1, _element(0x1A, b"BAY1LD0"), _element(0x1A, b"dsNew"))

WRITES: Requests = {
    "mms write": _on(_write(b"LLN0$SP$Beh", b"\x85\x01\x01")),
    "mms operate a breaker": _on(_write(b"CSWI1$CO$Pos$Oper", _element(
        0xA2, b"\x83\x01\x01", b"\x85\x01\x00", b"\x86\x01\x01", b"\x83\x01\x00"))),
    "mms select before operate": _on(_write(b"CSWI1$CO$Pos$SBOw", b"\x83\x01\x01")),
    "mms cancel": _on(_write(b"CSWI1$CO$Pos$Cancel", b"\x83\x01\x01")),
    "mms take a report control block": _on(_write(b"LLN0$RP$rcb01$RptEna", b"\x83\x01\xff")),
    "mms define a data set": _on(_element(0xAB, _OBJECT, _element(
        0xA0, _variable(b"BAY1LD0", b"LLN0$ST$Mod")))),
    "mms delete a data set": _on(_element(0xAD, b"\x80\x01\x00", _element(0xA1, _OBJECT))),
    "mms take control": _on(_element(0xB3, _element(0xA0, b"\x80\x01a"))),
    "mms rename": _on(_element(0xA3, b"\x80\x01\x09", _element(0xA1, b"\x80\x01a"))),
    "mms begin a download": _on(_element(0xBA, b"\x80\x01d", b"\x81\x00", b"\x82\x00")),
    "mms start a program": _on(b"\xbf\x28\x03\x80\x01p"),
    "mms stop a program": _on(b"\xbf\x29\x03\x80\x01p"),
    "mms kill a program": _on(b"\xbf\x2c\x03\x80\x01p"),
    "mms rename a file": _on(b"\xbf\x4b\x0a\xa0\x03\x19\x01a\xa1\x03\x19\x01b"),
    "mms delete a file": _on(b"\xbf\x4c\x03\x19\x01a"),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "mms status": _on(b"\x80\x01\x00"),
    "mms read of a measured value": _on(_read(b"MMXU1$MX$TotW$mag$f")),
    "mms list of variables": _on(bytes.fromhex("a110a003800100a109810742415931") + b"LD0"),
    "mms attributes of a variable": _on(_element(0xA6, _element(0xA0, _element(
        0xA1, _element(0x1A, b"BAY1LD0"), _element(0x1A, b"LLN0"))))),
}  # fmt: skip

SIGNING_IN: Requests = {
    "mms association with a password": ("tcp", 102, (_CONNECT, _associate(
        b"\x8a\x02\x07\x80", b"\x8b\x03\x52\x03\x01", b"\xac\x05\x80\x03abc"))),
}  # fmt: skip

HARMLESS: Requests = {
    "mms identify": ("tcp", 102, (_CONNECT, _ASSOCIATE, _IDENTIFY, _CONCLUDE)),
    "mms domains and nameplate": ("tcp", 102, (_CONNECT, _ASSOCIATE, _NAMES, _PLATE, _CONCLUDE)),
    "mms to a control centre": (
        "tcp", 102, (_CONNECT.replace(b"\xc2\x02\0\x01", b"\xc2\x02\0\x02"),),
    ),
}  # fmt: skip

FOREIGN: Foreign = {
    "a stray byte behind an MMS request": ("tcp", 102, _CONNECT + _ASSOCIATE + b"\x00"),
    "MMS without a session": ("tcp", 102, _CONNECT + _data(b"\xa0\x05\x02\x01\x01\x82\x00")),
}
