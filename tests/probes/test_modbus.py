"""Modbus identification: recordings, quirks of real devices, hostile bytes, and the real door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from probes import modbus
from scanner import tripwire
from scanner.errors import BadReply, Closed, Silent
from scanner.facts import DeviceIdentity, ModbusAccess
from scanner.guards import open_guard
from scanner.model import Tier

IDENTITY_FIELDS = ("vendor", "model", "order_number", "hardware", "firmware", "serial", "name")


def frame(request: bytes, pdu: bytes) -> bytes:
    """A reply to this request, of the same transaction and unit."""
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def identification(*objects: tuple[int, bytes], more: int = 0, following: int = 0) -> bytes:
    body = b"".join(bytes([number, len(value)]) + value for number, value in objects)
    return bytes([0x2B, 0x0E, 1, 0x81, more, following, len(objects)]) + body


def device(behave: Callable[[int, bytes], bytes | None]) -> Callable[[bytes | None], bytes]:
    """`behave(unit, pdu)` returns the reply's PDU, or None for silence."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        pdu = behave(request[6], request[7:])
        if pdu is None:
            raise Silent("no answer")
        return frame(request, pdu)

    return answer


def recorded(capture: dict[str, object]) -> Callable[[bytes | None], bytes]:
    """The recorded device: same unit and same PDU give the recorded reply, all else silence."""
    known = {
        bytes.fromhex(e["request_hex"])[6:]: bytes.fromhex(e["response_hex"])
        for e in capture["exchanges"]
    }

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        reply = known.get(request[6:])
        if reply is None:
            raise Silent("not in the recording")
        return request[:2] + reply[2:]

    return answer


def recordings(folder: Path) -> list[tuple[str, dict]]:
    """(name, recording) of every device of this protocol."""
    return [
        (file.stem, json.loads(file.read_text())) for file in sorted(folder.glob("modbus__*.json"))
    ]


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert len(devices) >= 3
    right = claimed = expected = 0
    for name, capture in devices:
        truth = {
            field: value
            for field, value in capture["facts"].items()
            if field in IDENTITY_FIELDS and not value.startswith("unknown")
        }
        try:
            facts = await modbus.run(replay(modbus.PROBE, recorded(capture)))
        except Silent:
            facts = ()
        found: dict[str, str] = {}
        for fact in facts:
            if isinstance(fact, DeviceIdentity):
                found |= {f: v for f in IDENTITY_FIELDS if (v := getattr(fact, f)) is not None}
        expected += len(truth)
        claimed += len(found)
        right += sum(truth.get(field) == value for field, value in found.items())
        print(f"{name}: truth {truth}, found {found}")  # noqa: T201 - shown with -s
    print(f"modbus: {right} of {expected} fields found, {right} of {claimed} claims right")  # noqa: T201 - shown with -s
    assert right >= 0.95 * expected
    assert right == claimed


async def test_an_exception_proves_modbus(replay, captures: Path) -> None:
    """The recorded EIT device refuses unit 255 with exception 4 and answers nothing to 0x11."""
    capture = json.loads((captures / "modbus__modbus_device_eit_88.100.json").read_text())

    facts = await modbus.run(replay(modbus.PROBE, recorded(capture)))

    assert facts == (
        ModbusAccess(
            unit_id=255, answers_without_login=True, identification="exception", exception_code=4
        ),
    )


async def test_a_reply_with_wrong_more_follows_and_no_object_ends_the_reading(
    replay, captures: Path
) -> None:
    """The recorded EIT device says 0x4D for `more follows` at unit 0."""
    capture = json.loads((captures / "modbus__modbus_device_eit_88.100.json").read_text())
    session = replay(modbus.PROBE, recorded(capture), options={"unit_ids": (0,)})

    facts = await modbus.run(session)

    assert facts == (ModbusAccess(unit_id=0, answers_without_login=True, identification="empty"),)
    assert [request[7] for request in session.sent] == [0x2B, 0x11]


async def test_basic_objects_become_an_identity_with_one_request(replay) -> None:
    reply = identification((0, b"Schneider Electric"), (1, b"BMX P34 2020"), (2, b"v2.9"))
    session = replay(modbus.PROBE, device(lambda unit, pdu: reply))

    access, identity = await modbus.run(session)

    assert identity == DeviceIdentity(
        vendor="Schneider Electric",
        model="BMX P34 2020",
        order_number="BMX P34 2020",
        firmware="v2.9",
    )
    assert access == ModbusAccess(unit_id=255, answers_without_login=True, identification="objects")
    assert session.sent == [bytes.fromhex("0001 0000 0005 ff 2b0e0100")]


async def test_more_follows_is_followed_but_never_in_circles(replay) -> None:
    def behave(unit: int, pdu: bytes) -> bytes:
        return identification((pdu[3], b"object %d" % pdu[3]), more=0xFF, following=pdu[3] + 1 & 3)

    session = replay(modbus.PROBE, device(behave))

    _, identity = await modbus.run(session)

    assert [request[10] for request in session.sent] == [0, 1, 2]
    assert (identity.vendor, identity.model, identity.firmware) == (
        "object 0",
        "object 1",
        "object 2",
    )


async def test_trouble_while_following_keeps_what_was_told(replay) -> None:
    calls = []

    def behave(unit: int, pdu: bytes) -> bytes:
        calls.append(pdu)
        if len(calls) > 1:
            raise Closed("gone")
        return identification((0, b"Acme"), more=0xFF, following=1)

    session = replay(modbus.PROBE, device(behave))

    _, identity = await modbus.run(session)

    assert identity == DeviceIdentity(vendor="Acme")
    assert len(session.sent) == 2


async def test_a_connection_out_of_order_is_not_asked_again(replay) -> None:
    calls = []

    def behave(unit: int, pdu: bytes) -> bytes:
        calls.append(pdu)
        if len(calls) > 1:
            raise Closed("gone")
        return identification(more=0xFF, following=1)

    session = replay(modbus.PROBE, device(behave))

    assert await modbus.run(session) == (
        ModbusAccess(unit_id=255, answers_without_login=True, identification="empty"),
    )
    assert len(session.sent) == 2


async def test_after_a_refusal_the_server_id_is_asked_once(replay) -> None:
    def behave(unit: int, pdu: bytes) -> bytes:
        return b"\xab\x01" if pdu[0] == 0x2B else b"\x11\x10\x0a\xffPM710PowerMete"

    session = replay(modbus.PROBE, device(behave))

    access, identity = await modbus.run(session)

    assert identity == DeviceIdentity(model="PM710PowerMete", basis="text")
    assert access == ModbusAccess(
        unit_id=255,
        answers_without_login=True,
        identification="server_id",
        exception_code=1,
        run_indicator=True,
    )
    assert [request[7] for request in session.sent] == [0x2B, 0x11]


async def test_a_busy_device_is_left_alone(replay) -> None:
    session = replay(modbus.PROBE, device(lambda unit, pdu: b"\xab\x06"))

    (access,) = await modbus.run(session)

    assert access.exception_code == 6
    assert len(session.sent) == 1


async def test_the_next_unit_is_asked_after_silence_or_a_gateway_exception_only(replay) -> None:
    paused: list[float] = []
    behaviour = {255: None, 1: b"\xab\x0b", 0: identification((0, b"Acme"))}
    session = replay(modbus.PROBE, device(lambda unit, pdu: behaviour[unit]))

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    session.pause = pause

    access, _ = await modbus.run(session)

    assert access.unit_id == 0
    assert [request[6] for request in session.sent] == [255, 1, 0]
    assert paused == [1.0, 1.0]
    assert session.connections == 1


async def test_listed_units_come_first_and_are_at_most_three(replay) -> None:
    session = replay(
        modbus.PROBE, device(lambda unit, pdu: None), options={"unit_ids": (3, 7, 3, 9, 12)}
    )

    with pytest.raises(Silent):
        await modbus.run(session)

    assert [request[6] for request in session.sent] == [3, 7, 9]


async def test_a_gateway_that_knows_none_of_the_units_is_still_seen(replay) -> None:
    session = replay(modbus.PROBE, device(lambda unit, pdu: b"\xab\x0a"))

    assert await modbus.run(session) == (
        ModbusAccess(
            unit_id=255, answers_without_login=True, identification="exception", exception_code=10
        ),
    )


async def test_a_late_reply_of_a_silent_unit_is_passed_over(replay) -> None:
    late: list[bytes] = []

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        reply = frame(request, identification((0, b"unit %d" % request[6])))
        if request[6] == 255:
            late.append(reply)
            raise Silent("not yet")
        return late[0] + reply

    access, identity = await modbus.run(replay(modbus.PROBE, answer))

    assert (access.unit_id, identity.vendor) == (1, "unit 1")


async def test_another_transaction_is_a_bad_reply(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        return b"\x7a\x7a" + frame(request, identification((0, b"Acme")))[2:]

    with pytest.raises(BadReply, match="transaction"):
        await modbus.run(replay(modbus.PROBE, answer))


async def test_an_object_beyond_its_reply_is_a_bad_reply(replay) -> None:
    reply = bytes([0x2B, 0x0E, 1, 1, 0, 0, 1, 0, 200]) + b"short"

    with pytest.raises(BadReply, match="beyond"):
        await modbus.run(replay(modbus.PROBE, device(lambda unit, pdu: reply)))


def test_text_is_bounded_and_without_control_characters() -> None:
    assert modbus.object_text(b" \x1b[31mred\x00garbage") == "[31mred"
    assert len(modbus.object_text(b"x" * 250)) == modbus.MAX_TEXT
    assert modbus.object_text(b"\x00\x01") is None


@pytest.mark.parametrize(
    ("data", "text", "running"),
    [
        (b"\x0a\xffPM710PowerMeter", "PM710PowerMeter", True),
        (b"\x0a\x00PM710PowerMeter", "PM710PowerMeter", False),
        (b"Modsim\xff", "Modsim", True),
        (b"\x01\x02\x03\x04", None, None),
        (b"\x00\x00\x00", None, None),
    ],
)
def test_a_server_id_is_read_in_its_two_known_layouts(data, text, running) -> None:
    server = modbus.decode_server_id(b"\x11" + bytes([len(data)]) + data)

    assert (server.text, server.run_indicator) == (text, running)


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes) -> None:
    for decode in (
        modbus.frame_length,
        lambda b: modbus.decode_frame(b, transaction=1),
        lambda b: modbus.decode_exception(b, function=0x2B),
        modbus.decode_identification,
        modbus.decode_server_id,
    ):
        try:
            decode(data)
        except BadReply:
            continue


@given(st.binary(max_size=120))
def test_any_pdu_behind_a_good_header_decodes_or_raises_bad_reply(tail: bytes) -> None:
    for pdu in (b"\x2b\x0e" + tail, b"\x11" + tail):
        try:
            found = (
                modbus.decode_identification(pdu)
                if pdu[0] == 0x2B
                else modbus.decode_server_id(pdu)
            )
        except BadReply:
            continue
        if isinstance(found, modbus.Identification):
            modbus.identity_from_objects(dict(found.objects))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=12))
async def test_any_conversation_ends_in_facts_or_a_wire_error(replay, replies) -> None:
    script = iter(replies)

    def behave(unit: int, pdu: bytes) -> bytes | None:
        return next(script, None)

    session = replay(modbus.PROBE, device(behave))
    try:
        facts = await modbus.run(session)
    except (BadReply, Silent):
        facts = ()

    assert len(session.sent) <= sum(q.at_most for q in modbus.PROBE.questions)
    assert all(isinstance(fact, ModbusAccess | DeviceIdentity) for fact in facts)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (modbus.PROBE, modbus.READ_PROBE):
        for question in probe.questions:
            assert open_guard("modbus").judge(question.sample, probe.tier) is None
            assert question.label
            assert probe.tier in (Tier.IDENTIFY, Tier.READ)


def pymodbus_server(objects: dict[int, bytes]) -> tuple[ModbusTcpServer, list[int]]:
    """A real Modbus server, and the read codes that it was asked for."""
    asked: list[int] = []

    def hook(sending: bool, pdu: object) -> object:
        if isinstance(pdu, ReadDeviceInformationRequest):
            asked.append(int(pdu.read_code))
        if sending and isinstance(pdu, ReadDeviceInformationResponse):
            last = 2 if asked[-1] == 1 else 0x7F
            pdu.information = {k: v for k, v in objects.items() if k <= last}
        return pdu

    image = [SimData(0, count=10, values=7, datatype=DataType.REGISTERS, readonly=True)]
    return ModbusTcpServer(SimDevice(1, image), address=("127.0.0.1", 0), trace_pdu=hook), asked


async def listen(server: ModbusTcpServer) -> int:
    await server.serve_forever(background=True)
    return int(server.transport.sockets[0].getsockname()[1])


OBJECTS = {
    0: b"Acme",
    1: b"AC-100",
    2: b"1.2",
    3: b"http://acme.example",
    4: b"Acme Controller",
    5: b"AC100 Pro",
    6: b"Pump station 3",
}


@pytest.mark.integration
async def test_both_probes_identify_a_pymodbus_server_through_the_real_door(governed) -> None:
    server, asked = pymodbus_server(OBJECTS)
    port = await listen(server)
    try:
        async with governed(modbus.PROBE, port) as session:
            access, basic = await modbus.run(session)
        async with governed(modbus.READ_PROBE, port, known=(access, basic)) as session:
            _, regular = await modbus.run_read(session)
            figures = session.device.figures
    finally:
        await server.shutdown()

    assert (basic.vendor, basic.model, basic.firmware) == ("Acme", "AC-100", "1.2")
    assert regular == DeviceIdentity(
        vendor="Acme",
        model="AC100 Pro",
        order_number="AC-100",
        firmware="1.2",
        name="Pump station 3",
    )
    assert asked == [1, 2]
    assert figures.connections == 1


async def test_the_read_probe_sends_nothing_to_a_device_that_refused_already(replay) -> None:
    known = (ModbusAccess(unit_id=1, identification="exception", exception_code=1),)
    session = replay(modbus.READ_PROBE, lambda request: b"", known=known)

    assert await modbus.run_read(session) == ()
    assert session.sent == []


@pytest.mark.integration
async def test_a_silent_unit_and_its_late_reply_share_the_next_ones_connection(
    governed, monkeypatch
) -> None:
    """On the real door: unit 255 answers only when unit 1 is being asked."""
    monkeypatch.setattr(modbus, "UNIT_DEADLINE_S", 0.15)
    monkeypatch.setattr(modbus, "UNIT_SPACING_S", 0.01)
    requests: list[bytes] = []
    connections: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        while request := await reader.read(4096):
            requests.append(request)
            if request[6] == 1:
                for late in requests:
                    writer.write(frame(late, identification((0, b"unit %d" % late[6]))))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with governed(modbus.PROBE, server.sockets[0].getsockname()[1]) as session:
        access, identity = await modbus.run(session)
    await asyncio.wait(connections, timeout=5)
    server.close()
    await server.wait_closed()

    assert (access.unit_id, identity.vendor) == (1, "unit 1")
    assert [request[6] for request in requests] == [255, 1]
    assert len(connections) == 1
    assert session.device.health.stopped is None


@pytest.mark.integration
async def test_the_read_probe_works_under_the_armed_tripwire(governed) -> None:
    server, _ = pymodbus_server(OBJECTS)
    port = await listen(server)
    before = tripwire.hits()
    try:
        with tripwire.armed():
            async with governed(modbus.READ_PROBE, port) as session:
                _, identity = await modbus.run_read(session)
    finally:
        await server.shutdown()

    assert identity.name == "Pump station 3"
    assert tripwire.hits() == before
