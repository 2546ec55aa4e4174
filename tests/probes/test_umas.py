"""UMAS: the recorded Quantum, made controllers, refusals, gateways, and hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import umas
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ControllerState, DeviceIdentity, ModbusAccess, ServiceAccess

Answer = Callable[[bytes | None], bytes]
ORDER = [umas.READ_ID, umas.INIT_COMM, umas.READ_PROJECT_INFO, umas.READ_PLC_INFO,
         umas.READ_CARD_INFO]  # fmt: skip

ID = bytes.fromhex("10ff5a0101000000 1003 00002700090008000000 0000") + b"\x0bBMX P342020\x01\x01"
PROJECT = bytes(27) + bytes([5, 4, 23, 31, 12]) + b"\xe6\x07" + bytes([3, 2, 1, 0, 6]) + b"Press\0"
STATE = bytes.fromhex("02 8a 80 06") + b"".join(n.to_bytes(4, "little") for n in (1, 2, 0, 7, 7, 3))
CARD = bytes(6) + b"\x0bBMXRMS008MP"
COMM = bytes.fromhex("fd00010400003200 00000000") + b"\x05ENG-7"


def framed(request: bytes, pdu: bytes) -> bytes:
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def controller(table: dict[bytes, bytes | None], *, exception: int = 1) -> Answer:
    """Answers with these data; None: UMAS' own error; what is not in it: a Modbus exception."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        function = request[9:]
        if function not in table:
            return framed(request, bytes([0xDA, exception]))
        data = table[function]
        said = b"\xfd\x83\xa1" if data is None else b"\xfe" + data
        return framed(request, b"\x5a\x00" + said)

    return answer


MADE: dict[bytes, bytes | None] = {
    umas.READ_ID: ID, umas.INIT_COMM: COMM, umas.READ_PROJECT_INFO: PROJECT,
    umas.READ_PLC_INFO: STATE, umas.READ_CARD_INFO: CARD,
}  # fmt: skip


def recordings(folder: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("umas__*.json"))]


def recorded(capture: dict) -> Answer:
    """The first reply of the recording to each function; one that it lacks is UMAS' error."""
    known: dict[bytes, bytes] = {}
    for exchange in capture["exchanges"]:
        request = bytes.fromhex(exchange["request_hex"])
        known.setdefault(request[8:], bytes.fromhex(exchange["response_hex"]))

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        reply = known.get(request[8:])
        return framed(request, b"\x5a\x00\xfd\x80" if reply is None else reply[7:])

    return answer


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert devices
    for capture in devices:
        session = replay(umas.READ_PROBE, recorded(capture))

        access, said, looked_up, state = await umas.run_read(session)

        facts = capture["facts"]
        assert said == DeviceIdentity(model=facts["cpu"], order_number=facts["cpu"])
        assert looked_up == DeviceIdentity(
            vendor=facts["vendor"], device_class="plc", basis="table"
        )
        assert state == ControllerState(
            project_name=facts["project_name"],
            project_revision="0.0.8",
            project_changed_at="2014-01-14T12:59:12",
            checksum="113d5837",
        )
        assert access == ServiceAccess(
            protocol="umas",
            answers_without_login=True,
            encrypted=False,
            details=(("communication version", "2.70"), ("reserved", "no")),
        )
        assert [request[9:] for request in session.sent] == ORDER
        assert session.connections == 1


def test_the_recorded_reservation_shows_in_the_state(captures: Path) -> None:
    """Frames 49 to 52: a station takes the reservation, and bit 0x08 is set from then on."""
    (capture,) = [one for one in recordings(captures) if "quantum" in one["id"]]
    states = [
        (exchange["request_frame"], umas.decode_reply(
            bytes.fromhex(exchange["response_hex"]),
            transaction=int(exchange["response_hex"][:4], 16),
        ))
        for exchange in capture["exchanges"]
        if exchange["label"] == "UMAS fn 0x04"
    ]  # fmt: skip

    told = {frame: umas.decode_state(data).reserved for frame, data in states}  # type: ignore[arg-type]

    assert {frame: reserved for frame, reserved in told.items() if frame < 49 or frame > 50} == {
        frame: frame > 50 for frame in told
    }
    assert set(told.values()) == {False, True}


async def test_a_reserved_controller_names_who_holds_it(replay) -> None:
    access, said, looked_up, state = await umas.run_read(replay(umas.READ_PROBE, controller(MADE)))

    assert state == ControllerState(
        project_name="Press",
        project_revision="1.2.3",
        project_changed_at="2022-12-31T23:04:05",
        reserved_by="ENG-7",
        checksum="00000007",
    )
    assert said.model == "BMX P342020"
    assert looked_up.vendor == "Schneider Electric"
    assert dict(access.details) == {
        "communication version": "3.10", "reserved": "yes", "memory card": "BMXRMS008MP",
    }  # fmt: skip


async def test_a_name_without_a_reservation_is_nobody_s_reservation(replay) -> None:
    free = STATE[:1] + b"\x82" + STATE[2:]

    *_, state = await umas.run_read(
        replay(umas.READ_PROBE, controller({**MADE, umas.READ_PLC_INFO: free}))
    )

    assert state.reserved_by is None


async def test_a_processor_of_nobody_known_names_no_vendor(replay) -> None:
    other = ID[:22] + b"\x05XYZ 1" + b"\x01"

    facts = await umas.run_read(replay(umas.READ_PROBE, controller({**MADE, umas.READ_ID: other})))

    assert [f for f in facts if isinstance(f, DeviceIdentity)] == [
        DeviceIdentity(model="XYZ 1", order_number="XYZ 1")
    ]


async def test_a_device_that_does_not_know_the_function_is_asked_once(replay) -> None:
    session = replay(umas.READ_PROBE, controller({}))

    with pytest.raises(Refused, match="exception 01 to function 5A"):
        await umas.run_read(session)
    assert len(session.sent) == 1


async def test_what_is_refused_is_left_out_and_the_rest_is_told(replay) -> None:
    table = {umas.READ_ID: None, umas.READ_PLC_INFO: STATE}

    facts = await umas.run_read(replay(umas.READ_PROBE, controller(table)))

    assert [type(fact).__name__ for fact in facts] == ["ServiceAccess", "ControllerState"]
    assert facts[1].project_name is None


async def test_a_controller_that_refuses_everything_is_seen_and_nothing_is_claimed(replay) -> None:
    table = dict.fromkeys(MADE)

    assert await umas.run_read(replay(umas.READ_PROBE, controller(table))) == (
        ServiceAccess(protocol="umas", encrypted=False),
    )


@pytest.mark.parametrize("trouble", [Silent, Closed, Reset])
async def test_trouble_in_mid_conversation_keeps_what_was_told_and_sends_no_more(
    replay, trouble
) -> None:
    good = controller(MADE)

    def answer(request: bytes | None) -> bytes:
        if request[9:] == umas.READ_PROJECT_INFO:
            raise trouble("gone")
        return good(request)

    session = replay(umas.READ_PROBE, answer)

    facts = await umas.run_read(session)

    assert facts[1].model == "BMX P342020"
    assert session.sent[-1][9:] == umas.READ_PROJECT_INFO


@pytest.mark.parametrize("trouble", [Silent, Closed, Reset])
async def test_silence_at_the_first_question_is_not_followed_by_another(replay, trouble) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("so it is")

    session = replay(umas.READ_PROBE, answer)

    with pytest.raises(trouble):
        await umas.run_read(session)
    assert len(session.sent) == 1


SCHNEIDER = DeviceIdentity(vendor="Schneider Electric")


@pytest.mark.parametrize(
    ("known", "listed", "asked"),
    [
        ((), (), True),
        ((ModbusAccess(unit_id=255, identification="objects"),), (), True),
        ((ModbusAccess(unit_id=0, identification="exception", exception_code=1),), (), True),
        ((ModbusAccess(unit_id=255, identification="exception", exception_code=0x0B),), (), False),
        ((ModbusAccess(unit_id=255, identification="exception", exception_code=0x0A),), (), False),
        ((ModbusAccess(unit_id=7, identification="objects"),), (7,), False),
        ((ModbusAccess(unit_id=7, identification="objects"), SCHNEIDER), (7,), False),
        ((ModbusAccess(unit_id=1, identification="objects"), SCHNEIDER), (), False),
        ((SCHNEIDER,), (1, 2, 3), False),
        ((SCHNEIDER,), (1, 2, 0), True),
        ((SCHNEIDER,), (1, 2), True),
    ],
)
async def test_unit_0_is_asked_only_where_it_is_the_controller_itself(
    replay, known, listed, asked
) -> None:
    options = {"unit_ids": listed} if listed else {}
    session = replay(umas.READ_PROBE, controller(MADE), known=known, options=options)

    facts = await umas.run_read(session)

    assert bool(facts) == asked == bool(session.sent)


async def test_an_echo_of_our_own_bytes_is_no_reply(replay) -> None:
    with pytest.raises(BadReply):
        await umas.run_read(replay(umas.READ_PROBE, lambda request: request))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("0002 0000 0004 00 5a00fe", "transaction"),
        ("0001 0000 0004 00 5a0001", "reply of UMAS"),
        ("0001 0000 0004 00 2b00fe", "reply of UMAS"),
        ("0001 0001 0004 00 5a00fe", "MBAP"),
        ("0001 0000 0005 00 5a00fe", "whole"),
        ("0001 0000 0003 00 5a00", "reply of UMAS"),
    ],
)
def test_what_is_no_reply_to_the_request_is_a_bad_reply(reply: str, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        umas.decode_reply(bytes.fromhex(reply), transaction=1)


def test_a_frame_longer_than_modbus_allows_is_read_and_one_without_end_is_not() -> None:
    head = b"\0\1\0\0"

    assert umas.frame_length(head + b"\x03\xf7" + bytes(0x3F7) + b"more") == 6 + 0x3F7
    assert umas.frame_length(head + b"\x03\xf7" + bytes(9)) is None
    with pytest.raises(BadReply):
        umas.frame_length(head + b"\x04\x01")


@pytest.mark.parametrize(
    "date", [(61, 0, 0, 1, 1, 2014), (0, 0, 0, 0, 1, 2014), (0, 0, 0, 1, 1, 0)]
)
def test_a_date_that_is_none_is_left_out(date: tuple[int, ...]) -> None:
    data = PROJECT[:27] + bytes(date[:5]) + date[5].to_bytes(2, "little") + PROJECT[34:]

    assert umas.decode_project(data).changed_at is None


def test_device_text_is_printable() -> None:
    assert umas.text_of(b"A\x1b[2J\x9b\xadB\0junk") == "A[2JB"
    assert umas.text_of(b"\0") is None


@given(st.binary(max_size=120))
def test_any_bytes_give_a_value_or_a_bad_reply(data: bytes) -> None:
    for decode in (
        umas.frame_length, umas.decode_id, umas.decode_communication, umas.decode_project,
        umas.decode_state, umas.decode_card, lambda d: umas.decode_reply(d, transaction=1),
        lambda d: umas.decode_reply(framed(b"\0\1\0\0\0\0\0", d), transaction=1),
    ):  # fmt: skip
        try:
            decode(data)
        except BadReply:
            continue
