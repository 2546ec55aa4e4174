"""
Network UPS Tools: the power supplies that a server watches, each with maker, model and serial.

1. Connect to TCP 3493 and send `VER`: one line with the version of the server, upsd.
2. `LOGOUT`, the goodbye: `OK Goodbye`.

In the read tier, on a connection of its own: `LIST UPS`, the names of the supplies, then for each
(eight at most) `LIST VAR name`, of which maker, model, serial and firmware are kept, and `LOGOUT`.

Why this is the gentlest question: upsd answers all of it from its own memory; no byte goes to a
supply. `LOGIN` would count us among the machines that hang on a supply, and its going would be
told to the others, so it is never sent; clients that only look do without it.

Sample result: version "2.8.0"; behind it a supply "ups rack1" with vendor "EATON", model
"5PX 1500", serial "G118Z", firmware "02.08.0010", class ups. The machine that upsd runs on is told
by nothing.

Never: USERNAME, PASSWORD, LOGIN, PRIMARY, MASTER, FSD (shuts down what hangs on a supply), SET,
INSTCMD (switches outlets, starts tests), STARTTLS; no other list.

Source: RFC 9271 (commands LIST UPS, LIST VAR, LOGOUT, VER; errors); Network UPS Tools developer
guide, "Network protocol information", and its list of variables (device.*, ups.*). Lines end with
LF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Framer, Probe, Question, Session

MAX_LINE: Final = 1024
MAX_LIST: Final = 64 * 1024
MAX_SUPPLIES: Final = 8
MAX_TEXT: Final = 128

_VERSION: Final = re.compile(rb"Network UPS Tools upsd (\S{1,40})(?: [^\r\n]{0,200})?\r?\n")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUPPLY: Final = re.compile(rb'UPS (\S{1,64}) "(?:[^"\\]|\\.)*"')
_VARIABLE: Final = re.compile(rb'VAR (\S{1,64}) ([a-z0-9.]{1,64}) "((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(rb"\\(.)")
CLASSES: Final = {"ups": "ups", "pdu": "other", "ats": "other", "scd": "other", "psu": "other"}
"""By device.type."""
REFUSED: Final = b"ERR ACCESS-DENIED\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The fields of one supply; None: upsd does not know it."""

    name: str
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    kind: str | None


def encode_version() -> bytes:
    return b"VER\n"


def encode_logout() -> bytes:
    return b"LOGOUT\n"


def encode_supplies() -> bytes:
    return b"LIST UPS\n"


def encode_variables(*, name: str) -> bytes:
    """`LIST VAR` and a name as `supplies` gives it, which cannot end the line."""
    return b"LIST VAR " + name.encode("ascii") + b"\n"


def line_length(buffer: bytes) -> int | None:
    """Up to LF. Raises BadReply on a line that is too long for one."""
    end = buffer.find(b"\n", 0, MAX_LINE)
    if end < 0 and len(buffer) >= MAX_LINE:
        raise BadReply("a line without end")
    return None if end < 0 else end + 1


def list_length(buffer: bytes, what: str) -> int | None:
    """From `BEGIN LIST …` to `END LIST …`, or one line that begins with ERR. Raises BadReply."""
    begin, end = f"BEGIN LIST {what}\n".encode(), f"\nEND LIST {what}\n".encode()
    if buffer[:4] == b"ERR ":
        return line_length(buffer)
    if not begin.startswith(buffer[: len(begin)]) and not b"ERR ".startswith(buffer[:4]):
        raise BadReply(f"expected a list, got {buffer[:24]!r}")
    found = buffer.find(end, len(begin) - 1)
    return None if found < 0 else found + len(end)


def decode_version(reply: bytes) -> str | None:
    """The version; None where upsd refuses to tell it to this address. Raises BadReply."""
    if reply == REFUSED:
        return None
    found = _VERSION.fullmatch(reply)
    if found is None:
        raise BadReply(f"expected the version of upsd, got {reply[:40]!r}")
    return _shown(found[1])


def decode_supplies(reply: bytes) -> tuple[str, ...]:
    """The names that may be asked for; an error is a list without names. Raises BadReply."""
    names = []
    for line in _lines(reply, "UPS"):
        found = _SUPPLY.fullmatch(line)
        if found is None:
            raise BadReply(f"expected a supply, got {line[:24]!r}")
        name = found[1].decode("latin-1")
        if _NAME.fullmatch(name):
            names.append(name)
    return tuple(dict.fromkeys(names))[:MAX_SUPPLIES]


def decode_variables(reply: bytes, name: str) -> Supply | None:
    """None where upsd has no data of this supply now (ERR …). Raises BadReply."""
    if reply[:4] == b"ERR ":
        return None
    said: dict[str, str] = {}
    for line in _lines(reply, f"VAR {name}"):
        found = _VARIABLE.fullmatch(line)
        if found is None:
            continue  # a value with a line feed in it, as no driver should have it
        if found[1].decode("latin-1") != name:
            raise BadReply(f"a variable of another supply: {line[:24]!r}")
        if text := _shown(_ESCAPE.sub(rb"\1", found[3])):
            said[found[2].decode("ascii")] = text
    return Supply(
        name=name,
        vendor=_first(said, "device.mfr", "ups.mfr"),
        model=_first(said, "device.model", "ups.model"),
        serial=_first(said, "device.serial", "ups.serial"),
        firmware=_first(said, "ups.firmware"),
        kind=said.get("device.type"),
    )


def _lines(reply: bytes, what: str) -> list[bytes]:
    """What stands between the first and the last line of a list."""
    if list_length(reply, what) != len(reply):
        raise BadReply(f"expected one whole list, got {reply[:24]!r}")
    return [] if reply[:4] == b"ERR " else reply.split(b"\n")[1:-2]


def _first(said: Mapping[str, str], *names: str) -> str | None:
    return next((said[name] for name in names if name in said), None)


def _shown(text: bytes) -> str:
    plain = text[:MAX_TEXT].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in plain).strip()


def identity_of(supply: Supply) -> DeviceIdentity | None:
    """None where upsd told nothing that identifies."""
    if not any((supply.vendor, supply.model, supply.serial, supply.firmware)):
        return None
    return DeviceIdentity(
        sub_address=f"ups {supply.name}",
        vendor=supply.vendor,
        model=supply.model,
        serial=supply.serial,
        firmware=supply.firmware,
        name=supply.name,
        device_class=CLASSES.get(supply.kind or "ups"),
    )


def _listing(what: str) -> Framer:
    return lambda buffer: list_length(buffer, what)


async def _goodbye(session: Session) -> None:
    with suppress(WireError, Withheld):  # one that is forestalled costs no answer
        await session.exchange(encode_logout(), line_length, label=_LOGOUT, max_reply=MAX_LINE)


async def run(session: Session) -> tuple[Fact, ...]:
    """Version and goodbye. Raises Withheld, WireError."""
    version = decode_version(
        await session.exchange(encode_version(), line_length, label=_VER, max_reply=MAX_LINE)
    )
    await _goodbye(session)
    told = version is not None
    return (
        ServiceAccess(protocol="nut", answers_without_login=told, encrypted=False, version=version),
    )


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Supplies, the fields of each, goodbye. Raises Withheld, WireError."""
    names = decode_supplies(
        await session.exchange(
            encode_supplies(), _listing("UPS"), label=_SUPPLIES, max_reply=MAX_LIST
        )
    )
    found = []
    for name in names:
        reply = await session.exchange(
            encode_variables(name=name), _listing(f"VAR {name}"), label=_FIELDS, max_reply=MAX_LIST
        )
        supply = decode_variables(reply, name)
        identity = None if supply is None else identity_of(supply)
        if identity is not None:
            found.append(identity)
    await _goodbye(session)
    return tuple(found)


_VER: Final = "VER"
_LOGOUT: Final = "LOGOUT"
_SUPPLIES: Final = "LIST UPS"
_FIELDS: Final = "LIST VAR of a supply"

PROBE = Probe(
    name="nut",
    protocol="nut",
    transport=Transport.TCP,
    ports=(3493,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(label=_VER, sample=encode_version()),
        Question(label=_LOGOUT, sample=encode_logout()),
    ),
)

READ_PROBE = Probe(
    name="nut",
    protocol="nut",
    transport=Transport.TCP,
    ports=(3493,),
    tier=Tier.READ,
    run=run_read,
    needs=frozenset({"answered"}),
    questions=(
        Question(label=_SUPPLIES, sample=encode_supplies()),
        Question(label=_FIELDS, sample=encode_variables(name="ups"), at_most=MAX_SUPPLIES),
        Question(label=_LOGOUT, sample=encode_logout()),
    ),
)
