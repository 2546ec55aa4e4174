"""
S7comm on ISO-on-TCP: which module this is, and what the plant calls it.

1. One connection to the port. COTP connection request for an S7 basic seat, destination TSAP 0x0302
   (rack 0, slot 2: S7-300/400): `... C1 02 0100 C2 02 0302 C0 01 0A`.
2. S7 set-up of communication with one job at a time and the common PDU size of 480 bytes.
3. One read of SZL 0x0011 (module identification) and one of SZL 0x001C (component identification);
   a reply in several parts is continued, at most four times each. A refusal (0xD401, return code
   0x0A) is taken as the answer it is.
4. COTP disconnect request, then the connection is closed.
5. Only if the connection request was refused in words (COTP disconnect or error), one more
   connection asks for TSAP 0x0301 (slot 1: S7-1200/1500). There is no third, and silence or a
   dropped connection is never followed by another try.

Why this is the gentlest question: connection resources are what S7 controllers run short of. S7
basic takes one from the common pool and never the seats kept for a programming device or a panel.
System status lists are kept by the operating system for exactly this purpose; no block, variable or
diagnostics buffer is read, and no frame differs from what an engineering tool sends.

Sample result: model "CPU 315-2 PN/DP", order number "6ES7 315-2EH14-0AB0", hardware "3", firmware
"V3.2.7", serial "S C-B1U393142011", name "S7300/ET200M station_1".

In the read tier python-snap7 reads the protection level (SZL 0x0232 index 4, or 0x0132) and the
operating state (SZL 0x0424) through the relay.

Source: RFC 1006 section 6; RFC 905 sections 13.3 to 13.5; Siemens, System Software for S7-300/400,
System and Standard Functions, chapter System Status Lists (SZL 0x0011, 0x001C, 0x0132, 0x0232,
0x0424); the S7 layer as recorded from STEP 7 and TIA Portal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from scanner.clients import s7 as client
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, S7Access
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

CONNECTION_REQUEST: Final = 0xE0
CONNECTION_CONFIRM: Final = 0xD0
DISCONNECT_REQUEST: Final = 0x80
TPDU_ERROR: Final = 0x70
DATA: Final = 0xF0

OUR_REFERENCE: Final = 0x0001
OUR_TSAP: Final = 0x0100
TSAPS: Final = (0x0302, 0x0301)
"""S7 basic in rack 0, slot 2 and slot 1: type (03), then rack in three bits and slot in five."""
TPDU_1024: Final = 0x0A
PDU_SIZE: Final = 480

MODULE_IDENTIFICATION: Final = 0x0011
COMPONENT_IDENTIFICATION: Final = 0x001C
PROTECTION: Final = ((0x0232, 4), (0x0132, 4))
OPERATING_STATE: Final = ((0x0424, 0),)

MAX_CONTINUATIONS: Final = 4
MAX_REPLY: Final = 16_384
MAX_RECORDS: Final = 64
MAX_TEXT: Final = 64

SIEMENS_MANUFACTURER_ID: Final = 0x002A
"""Identification & maintenance manufacturer id, PROFIBUS and PROFINET International."""
_ORIGINAL_EQUIPMENT: Final = re.compile(r"Original (\S.{0,30}?) Equipment")
_SIEMENS_ORDER_NUMBER: Final = re.compile(r"6(ES7|AG1|GK|ED1|AV|DD|SL|FC|MD) ?\w")
_CPU_ORDER_NUMBER: Final = re.compile(r"6(ES7|AG1) (21[1-7]|31[2-9]|41[2-7]|51[1-8])-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A COTP connection confirm; `reference` is the other side's."""

    reference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CotpRefusal:
    """A COTP disconnect request or TPDU error: a refusal in words, with its reason code."""

    kind: int
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SzlPart:
    """One reply to an SZL request. `more` asks to be continued with `sequence`."""

    sequence: int
    more: bool
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SzlRefusal:
    """The CPU knows no such list, or does not tell: error code and return code as sent."""

    error: int
    return_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleIdentification:
    """SZL 0x0011. `hardware` is the release number of the hardware, in decimal."""

    order_number: str | None = None
    hardware: str | None = None
    firmware: str | None = None
    boot_loader: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentIdentification:
    """SZL 0x001C; `manufacturer_id` is the I&M number of record 9."""

    system_name: str | None = None
    module_name: str | None = None
    plant_id: str | None = None
    copyright: str | None = None
    serial: str | None = None
    module_type: str | None = None
    memory_card_serial: str | None = None
    manufacturer_id: int | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """SZL 0x0232 index 4. None where the CPU left a word at a value without meaning."""

    level: int | None
    password_set: bool
    mode_switch: int | None


def encode_tpkt(tpdu: bytes) -> bytes:
    return b"\x03\x00" + (len(tpdu) + 4).to_bytes(2, "big") + tpdu


def encode_connection_request(*, tsap: int) -> bytes:
    """`11 E0 dst(2)=0 src(2) class=0 | C1 02 calling | C2 02 called | C0 01 size`."""
    parameters = (
        b"\xc1\x02"
        + OUR_TSAP.to_bytes(2, "big")
        + b"\xc2\x02"
        + tsap.to_bytes(2, "big")
        + bytes([0xC0, 1, TPDU_1024])
    )
    fixed = bytes([CONNECTION_REQUEST, 0, 0]) + OUR_REFERENCE.to_bytes(2, "big") + b"\x00"
    return encode_tpkt(bytes([len(fixed) + len(parameters)]) + fixed + parameters)


def encode_disconnect_request(*, reference: int) -> bytes:
    """`06 80 dst(2) src(2) reason`; reason 0x80 is a normal disconnect by the session entity."""
    return encode_tpkt(
        bytes([6, DISCONNECT_REQUEST])
        + reference.to_bytes(2, "big")
        + OUR_REFERENCE.to_bytes(2, "big")
        + b"\x80"
    )


def encode_data(pdu: bytes) -> bytes:
    """One S7 PDU in one COTP data unit that ends its TSDU."""
    return encode_tpkt(bytes([2, DATA, 0x80]) + pdu)


def encode_setup(*, reference: int) -> bytes:
    """`32 01 0000 ref 0008 0000 | F0 00 calling(2)=1 called(2)=1 pdu size(2)`."""
    parameters = b"\xf0\x00\x00\x01\x00\x01" + PDU_SIZE.to_bytes(2, "big")
    head = b"\x32\x01\x00\x00" + reference.to_bytes(2, "big") + b"\x00\x08\x00\x00"
    return encode_data(head + parameters)


def encode_read_szl(*, reference: int, szl: int, index: int = 0) -> bytes:
    """`32 07 0000 ref 0008 0008 | 000112 04 11 44 01 00 | FF 09 0004 id(2) index(2)`."""
    head = b"\x32\x07\x00\x00" + reference.to_bytes(2, "big") + b"\x00\x08\x00\x08"
    parameters = b"\x00\x01\x12\x04\x11\x44\x01\x00"
    data = b"\xff\x09\x00\x04" + szl.to_bytes(2, "big") + index.to_bytes(2, "big")
    return encode_data(head + parameters + data)


def encode_continue_szl(*, reference: int, sequence: int) -> bytes:
    """`32 07 0000 ref 000C 0004 | 000112 08 12 44 01 seq 00 00 0000 | 0A 00 0000`."""
    head = b"\x32\x07\x00\x00" + reference.to_bytes(2, "big") + b"\x00\x0c\x00\x04"
    parameters = b"\x00\x01\x12\x08\x12\x44\x01" + bytes([sequence]) + bytes(4)
    return encode_data(head + parameters + b"\x0a\x00\x00\x00")


def tsdu_length(buffer: bytes) -> int | None:
    """
    Length of one TPKT, or of as many data TPKTs as make up one TSDU. None: not whole yet.

    Raises BadReply on anything but TPKT, and on more than 16 KiB.
    """
    end = 0
    while len(buffer) >= end + 4:
        length = int.from_bytes(buffer[end + 2 : end + 4], "big")
        if buffer[end : end + 2] != b"\x03\x00" or length < 7 or end + length > MAX_REPLY:
            raise BadReply(f"expected a TPKT, got {buffer[end : end + 8].hex()}")
        if len(buffer) < end + length:
            return None
        last = buffer[end + 5] != DATA or bool(buffer[end + 6] & 0x80)
        end += length
        if last:
            return end
    return None


def decode_connection_reply(reply: bytes) -> Connected | CotpRefusal:
    """A confirm `len D0 dst src class ...`, or a refusal. Raises BadReply."""
    if tsdu_length(reply) != len(reply):
        raise BadReply(f"expected one TPKT, got {reply[:16].hex()}")
    refusal = decode_refusal(reply)
    if refusal is not None:
        return refusal
    if reply[5] & 0xF0 != CONNECTION_CONFIRM or len(reply) < 11:
        raise BadReply(f"expected a COTP connection confirm, got {reply[:16].hex()}")
    return Connected(reference=int.from_bytes(reply[8:10], "big"))


def decode_refusal(reply: bytes) -> CotpRefusal | None:
    """`len 80 dst src reason` or `len 70 dst reason`; None when the bytes are something else."""
    if len(reply) < 7:
        return None
    if reply[5] == DISCONNECT_REQUEST:
        return CotpRefusal(kind=DISCONNECT_REQUEST, reason=reply[10] if len(reply) > 10 else 0)
    if reply[5] == TPDU_ERROR:
        return CotpRefusal(kind=TPDU_ERROR, reason=reply[8] if len(reply) > 8 else 0)
    return None


def decode_data(reply: bytes) -> bytes:
    """The S7 PDU of one TSDU, put together from its data units. Raises BadReply."""
    if tsdu_length(reply) != len(reply):
        raise BadReply(f"expected one TSDU, got {reply[:16].hex()}")
    pdu = b""
    while reply:
        length = int.from_bytes(reply[2:4], "big")
        if reply[4] != 2 or reply[5] != DATA:
            raise BadReply(f"expected COTP data, got {reply[:16].hex()}")
        pdu += reply[7:length]
        reply = reply[length:]
    return pdu


def decode_header(pdu: bytes, *, reference: int) -> tuple[int, int, bytes, bytes]:
    """
    Message type, error, parameters and data of one S7 PDU.

    `32 type reserved(2) ref(2) parameters(2) data(2)`, in acknowledgements (types 2 and 3) followed
    by error class and code. Raises BadReply, also when it answers another reference.
    """
    if len(pdu) < 10 or pdu[0] != 0x32:
        raise BadReply(f"expected an S7 PDU, got {pdu[:12].hex()}")
    start = 12 if pdu[1] in (2, 3) else 10
    parameters = int.from_bytes(pdu[6:8], "big")
    data = int.from_bytes(pdu[8:10], "big")
    if len(pdu) < start + parameters + data:
        raise BadReply("the S7 lengths reach beyond the PDU")
    answered = int.from_bytes(pdu[4:6], "big")
    if answered != reference:
        raise BadReply(f"expected reference {reference}, got {answered}")
    error = int.from_bytes(pdu[10:12], "big") if start == 12 else 0
    middle = start + parameters
    return pdu[1], error, pdu[start:middle], pdu[middle : middle + data]


def decode_setup(reply: bytes, *, reference: int) -> int | None:
    """The negotiated PDU size; None when the CPU answered the set-up with an error."""
    kind, error, parameters, _ = decode_header(decode_data(reply), reference=reference)
    if kind not in (2, 3):
        raise BadReply(f"expected an acknowledgement of the set-up, got type {kind}")
    if error:
        return None
    if len(parameters) < 8 or parameters[0] != 0xF0:
        raise BadReply(f"expected the S7 set-up, got {parameters[:8].hex()}")
    return int.from_bytes(parameters[6:8], "big")


def decode_szl_part(reply: bytes, *, reference: int) -> SzlPart | SzlRefusal:
    """
    Parameters `000112 08 12 84 01 seq unit last error(2)`, data `code transport length(2) payload`.

    `last` 0 ends the list. Raises BadReply.
    """
    kind, error, parameters, data = decode_header(decode_data(reply), reference=reference)
    if kind in (2, 3):
        return SzlRefusal(error=error, return_code=0)
    if kind != 7 or len(parameters) < 12 or parameters[5] & 0x0F != 4 or parameters[6] != 1:
        raise BadReply(f"expected the reply to an SZL request, got {parameters[:12].hex()}")
    error = int.from_bytes(parameters[10:12], "big")
    if error or not data or data[0] != 0xFF:
        return SzlRefusal(error=error, return_code=data[0] if data else 0)
    length = int.from_bytes(data[2:4], "big")
    if len(data) < 4 or length > len(data) - 4:
        raise BadReply("the SZL data reach beyond the PDU")
    return SzlPart(sequence=parameters[7], more=parameters[9] != 0, payload=data[4 : 4 + length])


def decode_szl(payload: bytes, *, szl: int) -> tuple[bytes, ...]:
    """The records of `id(2) index(2) record length(2) count(2) records`. Raises BadReply."""
    if len(payload) < 8 or int.from_bytes(payload[:2], "big") != szl:
        raise BadReply(f"expected SZL 0x{szl:04X}, got {payload[:8].hex()}")
    return decode_szl_records(payload[4:])


def decode_szl_records(body: bytes) -> tuple[bytes, ...]:
    """
    The whole records of `record length(2) count(2) records`; one cut short is left out.

    Raises BadReply when there is no header.
    """
    if len(body) < 4:
        raise BadReply(f"expected an SZL header, got {body.hex()}")
    size = int.from_bytes(body[:2], "big")
    count = min(int.from_bytes(body[2:4], "big"), MAX_RECORDS)
    if not size:
        return ()
    whole = min(count, (len(body) - 4) // size)
    return tuple(body[4 + size * n : 4 + size * (n + 1)] for n in range(whole))


def decode_module_identification(records: Sequence[bytes]) -> ModuleIdentification:
    """
    Records of `index(2) order number(20) type(2) Ausbg1(2) Ausbg2(2)`.

    Index 1 is the module, 6 its hardware (Ausbg1: release), 7 its firmware and 0x81 the boot loader
    (one letter and three numbers, a blank standing for none).
    """
    by_index = _by_index(records)
    order = by_index.get(1, by_index.get(6, b""))
    hardware = by_index.get(6, b"")
    release = int.from_bytes(hardware[24:26], "big") if len(hardware) >= 28 else 0
    return ModuleIdentification(
        order_number=_text(order[2:22]),
        hardware=str(release) if 0 < release < 1000 else None,
        firmware=_version(by_index.get(7, b"")),
        boot_loader=_version(by_index.get(0x81, b"")),
    )


def decode_component_identification(records: Sequence[bytes]) -> ComponentIdentification:
    """Records of `index(2) text(32)`; record 9 holds numbers instead of a text."""
    by_index = _by_index(records)
    text = {index: _text(record[2:34]) for index, record in by_index.items()}
    manufacturer = int.from_bytes(by_index.get(9, b"")[2:4], "big")
    return ComponentIdentification(
        system_name=text.get(1),
        module_name=text.get(2),
        plant_id=text.get(3),
        copyright=text.get(4),
        serial=text.get(5),
        module_type=text.get(7),
        memory_card_serial=text.get(8),
        manufacturer_id=manufacturer or None,
        location=text.get(11),
    )


def decode_protection(records: Sequence[bytes]) -> Protection | None:
    """
    Record of `index(2)=4 sch_schal(2) sch_par(2) sch_rel(2) bart_sch(2) anl_sch(2) ...`.

    sch_par is the configured protection (0: none), sch_rel the level in force, bart_sch the mode
    switch (0: undefined). None when there is no such record.
    """
    record = _by_index(records).get(4, b"")
    if len(record) < 12:
        return None
    _, configured, level, switch, _ = (
        int.from_bytes(record[at : at + 2], "big") for at in (2, 4, 6, 8, 10)
    )
    return Protection(
        level=level if 1 <= level <= 3 else None,
        password_set=configured != 0,
        mode_switch=switch if 1 <= switch <= 4 else None,
    )


def decode_operating_state(records: Sequence[bytes]) -> Literal["run", "stop"] | None:
    """Byte 3, low nibble: 1 to 4 are kinds of STOP, 8 and 9 of RUN; None for all between."""
    if not records or len(records[0]) < 4:
        return None
    state = records[0][3] & 0x0F
    return "run" if state in (8, 9) else "stop" if 1 <= state <= 4 else None


def _by_index(records: Sequence[bytes]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for record in records:
        if len(record) >= 2:
            found.setdefault(int.from_bytes(record[:2], "big"), record)
    return found


def _text(value: bytes) -> str | None:
    text = value.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


def _version(record: bytes) -> str | None:
    if len(record) < 28 or not 0x41 <= record[24] <= 0x5A:
        return None
    return chr(record[24]) + ".".join(str(number) for number in record[25:28] if number != 0x20)


def identities(
    module: ModuleIdentification, component: ComponentIdentification
) -> tuple[DeviceIdentity, ...]:
    """
    What the lists say, and apart from it what only a table says (vendor, class).

    Other vendors build CPUs that speak S7 and carry Siemens' order numbers. The vendor is the one
    that the copyright record names, unless the manufacturer id contradicts it; else Siemens by its
    manufacturer id, or by the order number when the device names no manufacturer at all.
    """
    said = DeviceIdentity(
        vendor=_vendor_in_words(component),
        model=component.module_type,
        order_number=module.order_number,
        hardware=module.hardware,
        firmware=module.firmware,
        serial=component.serial,
        name=component.system_name or component.module_name,
    )
    looked_up = DeviceIdentity(
        vendor=None if said.vendor else _vendor_by_table(module, component),
        device_class=_class_by_table(module, component),
        basis="table",
    )
    empty = (DeviceIdentity(), DeviceIdentity(basis="table"))
    return tuple(fact for fact in (said, looked_up) if fact not in empty)


def _vendor_in_words(component: ComponentIdentification) -> str | None:
    """From "Original <vendor> Equipment", or any words that name Siemens."""
    words = component.copyright or ""
    if named := _ORIGINAL_EQUIPMENT.fullmatch(words):
        vendor = named[1]
    elif "siemens" in words.casefold():
        vendor = "Siemens"
    else:
        return None
    siemens_by_id = component.manufacturer_id == SIEMENS_MANUFACTURER_ID
    agree = component.manufacturer_id is None or siemens_by_id == (vendor == "Siemens")
    return vendor if agree else None


def _vendor_by_table(
    module: ModuleIdentification, component: ComponentIdentification
) -> str | None:
    if component.copyright is not None:
        return None
    if component.manufacturer_id is not None:
        return "Siemens" if component.manufacturer_id == SIEMENS_MANUFACTURER_ID else None
    if _SIEMENS_ORDER_NUMBER.match(module.order_number or ""):
        return "Siemens"
    return None


def _class_by_table(module: ModuleIdentification, component: ComponentIdentification) -> str | None:
    a_cpu = re.search(r"\bCPU\b", component.module_type or "")
    return "plc" if a_cpu or _CPU_ORDER_NUMBER.match(module.order_number or "") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Records of one list (None: refused), and whether the connection is still in order."""

    records: tuple[bytes, ...] | None
    in_order: bool = True


async def run(session: Session) -> tuple[Fact, ...]:
    """
    Connect, ask, say goodbye.

    Raises Withheld, and WireError for trouble before the set-up is answered; later trouble ends the
    conversation and keeps what was told.
    """
    for attempt, tsap in enumerate(TSAPS):
        if attempt:
            await session.close()
        reply = await session.exchange(
            encode_connection_request(tsap=tsap), tsdu_length, label=_LABEL_CONNECT
        )
        confirm = decode_connection_reply(reply)
        if isinstance(confirm, CotpRefusal):
            continue
        setup = await session.exchange(encode_setup(reference=1), tsdu_length, label=_LABEL_SETUP)
        if decode_refusal(setup) is not None:
            continue
        pdu_size = decode_setup(setup, reference=1)
        if pdu_size is None:
            await _goodbye(session, confirm.reference)
            return (S7Access(tsap=tsap),)
        module = await _read_szl(session, MODULE_IDENTIFICATION, reference=2)
        component = _Heard(records=None, in_order=False)
        if module.in_order:
            component = await _read_szl(session, COMPONENT_IDENTIFICATION, reference=10)
        if component.in_order:
            await _goodbye(session, confirm.reference)
        return _facts(tsap, pdu_size, module.records, component.records)
    # ISO-on-TCP is there and said no: an answer, from which nothing more can be told.
    return (S7Access(),)


def _facts(
    tsap: int,
    pdu_size: int,
    module_records: tuple[bytes, ...] | None,
    component_records: tuple[bytes, ...] | None,
) -> tuple[Fact, ...]:
    module = decode_module_identification(module_records or ())
    component = decode_component_identification(component_records or ())
    access = S7Access(
        tsap=tsap,
        pdu_size=pdu_size,
        answers_without_login=True if module_records or component_records else None,
        module_name=component.module_name,
        plant_id=component.plant_id,
    )
    return (access, *identities(module, component))


async def _read_szl(session: Session, szl: int, *, reference: int) -> _Heard:
    """One list with its continuations, at most four."""
    payload = b""
    request = encode_read_szl(reference=reference, szl=szl)
    label = f"{_LABEL_SZL} 0x{szl:04X}"
    for step in range(1 + MAX_CONTINUATIONS):
        try:
            reply = await session.exchange(request, tsdu_length, label=label)
            part = decode_szl_part(reply, reference=reference + step)
        except WireError:
            return _Heard(records=_records(payload, szl), in_order=False)
        if isinstance(part, SzlRefusal):
            break
        payload += part.payload
        if not part.more:
            break
        request = encode_continue_szl(reference=reference + step + 1, sequence=part.sequence)
        label = _LABEL_CONTINUE
    return _Heard(records=_records(payload, szl))


def _records(payload: bytes, szl: int) -> tuple[bytes, ...] | None:
    """None when nothing came, or something else than this list."""
    try:
        return decode_szl(payload, szl=szl)
    except BadReply:
        return None


async def _goodbye(session: Session, reference: int) -> None:
    """One that the device forestalls, or that a window's end keeps back, costs no answer."""
    with suppress(WireError, Withheld):
        await session.exchange(
            encode_disconnect_request(reference=reference), None, label=_LABEL_GOODBYE
        )


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Protection level and operating state, on the seat that the identify question was given."""
    known = [fact.tsap for fact in session.known if isinstance(fact, S7Access) and fact.tsap]
    if not known and any(isinstance(fact, S7Access) for fact in session.known):
        return ()  # it refused a seat already
    tsap = known[0] if known else TSAPS[0]
    async with session.relay() as (host, port):
        lists = await client.read_lists(
            host,
            port,
            rack=tsap >> 5 & 0x07,
            slot=tsap & 0x1F,
            wanted=(PROTECTION, OPERATING_STATE),
        )
    return (access_from_lists(lists, tsap=tsap),)


def access_from_lists(lists: Mapping[tuple[int, int], bytes], *, tsap: int) -> S7Access:
    """`lists` maps (SZL id, index) to what follows them in the reply. Raises BadReply."""
    protection: Protection | None = None
    for which in PROTECTION:
        if which in lists:
            protection = decode_protection(decode_szl_records(lists[which]))
    state: Literal["run", "stop"] | None = None
    for which in OPERATING_STATE:
        if which in lists:
            state = decode_operating_state(decode_szl_records(lists[which]))
    return S7Access(
        tsap=tsap,
        answers_without_login=True if lists else None,
        protection_level=protection.level if protection else None,
        password_set=protection.password_set if protection else None,
        mode_switch=protection.mode_switch if protection else None,
        operating_state=state,
    )


_LABEL_CONNECT: Final = "COTP connection request, S7 basic"
_LABEL_SETUP: Final = "S7 set-up of communication"
_LABEL_SZL: Final = "read SZL"
_LABEL_CONTINUE: Final = "continue SZL"
_LABEL_GOODBYE: Final = "COTP disconnect request"
_TRACE_CONNECT: Final = (
    "one S7 basic connection in the connection statistics while it lasts; diagnostics buffer: none"
)

PROBE = Probe(
    name="s7",
    protocol="s7",
    transport=Transport.TCP,
    ports=(102,),
    tier=Tier.IDENTIFY,
    run=run,
    connections=len(TSAPS),
    questions=(
        Question(
            label=_LABEL_CONNECT,
            sample=encode_connection_request(tsap=TSAPS[0]),
            at_most=len(TSAPS),
            trace=_TRACE_CONNECT,
        ),
        Question(label=_LABEL_SETUP, sample=encode_setup(reference=1), at_most=len(TSAPS)),
        Question(
            label=f"{_LABEL_SZL} 0x0011",
            sample=encode_read_szl(reference=2, szl=MODULE_IDENTIFICATION),
        ),
        Question(
            label=f"{_LABEL_SZL} 0x001C",
            sample=encode_read_szl(reference=10, szl=COMPONENT_IDENTIFICATION),
        ),
        Question(
            label=_LABEL_CONTINUE,
            sample=encode_continue_szl(reference=3, sequence=1),
            at_most=2 * MAX_CONTINUATIONS,
        ),
        Question(label=_LABEL_GOODBYE, sample=encode_disconnect_request(reference=1)),
    ),
    for_controllers=True,
)

READ_PROBE = Probe(
    name="s7",
    protocol="s7",
    transport=Transport.TCP,
    ports=(102,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL_CONNECT,
            sample=encode_connection_request(tsap=TSAPS[0]),
            trace=_TRACE_CONNECT,
        ),
        Question(label=_LABEL_SETUP, sample=encode_setup(reference=1)),
        Question(
            label=f"{_LABEL_SZL} 0x0232 or 0x0132, protection",
            sample=encode_read_szl(reference=2, szl=0x0232, index=4),
            at_most=2,
        ),
        Question(
            label=f"{_LABEL_SZL} 0x0424, operating state",
            sample=encode_read_szl(reference=4, szl=0x0424),
        ),
        Question(
            label=_LABEL_CONTINUE,
            sample=encode_continue_szl(reference=3, sequence=1),
            at_most=client.MAX_CONTINUATIONS,
        ),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    deadline_s=60.0,
)
