"""S7 identification: recordings, refusals, hostile bytes, and the real door to a snap7 server."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes import s7
from scanner import tripwire
from scanner.errors import BadReply, Closed, OutsideWindow, Reset, Silent
from scanner.facts import DeviceIdentity, S7Access
from scanner.guards import open_guard

CONFIRM = bytes.fromhex("0300001611d00001443100c0010ac1020100c2020302")
REFUSE = bytes.fromhex("0300000b06800001000001")
IDENTITY_FIELDS = {
    "vendor": "vendor",
    "module": "model",
    "module_type": "model",
    "order_number": "order_number",
    "firmware": "firmware",
    "serial": "serial",
    "serial_number": "serial",
    "system_name": "name",
}
"""Name in a recording's facts, name in DeviceIdentity."""


def data(pdu: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, len(pdu) + 7) + b"\x02\xf0\x80" + pdu


def setup_reply(request: bytes, *, error: int = 0) -> bytes:
    head = b"\x32\x03\x00\x00" + request[11:13] + b"\x00\x08\x00\x00" + error.to_bytes(2, "big")
    return data(head + b"\xf0\x00\x00\x01\x00\x01\x00\xf0")


def szl_reply(
    request: bytes,
    payload: bytes,
    *,
    code: int = 0xFF,
    more: bool = False,
    sequence: int = 1,
    error: int = 0,
) -> bytes:
    parameters = (
        b"\x00\x01\x12\x08\x12\x84\x01" + bytes([sequence, 7, more]) + error.to_bytes(2, "big")
    )
    body = bytes([code, 9]) + len(payload).to_bytes(2, "big") + payload
    head = b"\x32\x07\x00\x00" + request[11:13] + b"\x00\x0c" + len(body).to_bytes(2, "big")
    return data(head + parameters + body)


def szl_list(szl: int, size: int, *records: bytes) -> bytes:
    return struct.pack(">HHHH", szl, 0, size, len(records)) + b"".join(
        record.ljust(size, b"\0") for record in records
    )


def kind_of(request: bytes) -> tuple[str, int, int]:
    """What is asked, without references: ("connect", tsap, 0), ("szl", id, index), …"""
    if request[5] == 0xE0:
        return ("connect", int.from_bytes(request[17:19], "big"), 0)
    if request[5] == 0x80:
        return ("goodbye", 0, 0)
    if request[8] == 1:
        return ("setup", 0, 0)
    if request[20] == 0x08:
        return ("continue", request[24], 0)
    return ("szl", *struct.unpack_from(">HH", request, 29))


def cpu(lists: dict[int, bytes | None], *, refuse: tuple[int, ...] = ()) -> Callable:
    """A CPU with these lists (None: refused), that refuses connections to some TSAPs."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        match kind_of(request):
            case ("connect", tsap, _):
                return REFUSE if tsap in refuse else CONFIRM
            case ("setup", _, _):
                return setup_reply(request)
            case ("szl", szl, _):
                payload = lists.get(szl)
                if payload is None:
                    return szl_reply(request, b"", code=0x0A, error=0xD401)
                return szl_reply(request, payload)
        raise AssertionError(f"unexpected request {request.hex()}")

    return answer


def recorded(capture: dict) -> Callable:
    """The recorded CPU, matched by function; a connection or set-up it lacks is made up."""
    exchanges = [
        (bytes.fromhex(e["request_hex"]), bytes.fromhex(e["response_hex"]))
        for e in capture["exchanges"]
    ]
    at = [0]

    def find(wanted: Callable[[tuple[str, int, int]], bool], start: int = 0) -> bytes | None:
        for position in range(start, len(exchanges)):
            if wanted(kind_of(exchanges[position][0])):
                at[0] = position + 1
                return exchanges[position][1]
        return None

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        kind = kind_of(request)
        if kind[0] == "connect":
            reply = find(lambda k: k[0] == "connect") or CONFIRM
            return reply[:6] + request[8:10] + reply[8:]
        if kind[0] == "setup":
            reply = find(lambda k: k[0] == "setup") or setup_reply(request)
        elif kind[0] == "continue":
            reply = find(lambda k: k[0] == "continue", at[0])
        else:
            reply = find(lambda k: k == kind) or find(lambda k: k[:2] == kind[:2])
        if reply is None:
            raise Silent("not in the recording")
        return reply[:11] + request[11:13] + reply[13:]

    return answer


def recordings(folder: Path) -> list[tuple[str, dict]]:
    """(name, recording) of every device of this protocol."""
    return [
        (file.stem, json.loads(file.read_text())) for file in sorted(folder.glob("s7comm__*.json"))
    ]


def found_in(facts: tuple) -> dict[str, str]:
    found: dict[str, str] = {}
    for fact in facts:
        if isinstance(fact, DeviceIdentity):
            for field in ("vendor", "model", "order_number", "hardware", "firmware", "serial"):
                if (value := getattr(fact, field)) is not None:
                    assert found.setdefault(field, value) == value
            if fact.name is not None:
                found["name"] = fact.name
    return found


def truth_of(capture: dict) -> dict[str, str]:
    if not capture["identity_in_reply"]:
        return {}
    truth = {
        ours: capture["facts"][k] for k, ours in IDENTITY_FIELDS.items() if k in capture["facts"]
    }
    if release := capture["facts"].get("hardware_version_bytes"):
        truth["hardware"] = str(int(release[:4], 16))
    return truth


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert len(devices) >= 4
    right = claimed = expected = 0
    for name, capture in devices:
        truth = truth_of(capture)
        found = found_in(await s7.run(replay(s7.PROBE, recorded(capture))))
        print(f"{name}:")  # noqa: T201 - shown with -s
        for field in sorted(truth.keys() | found.keys()):
            print(f"  {field}: truth {truth.get(field)!r}, found {found.get(field)!r}")  # noqa: T201 - shown with -s
        expected += len(truth)
        claimed += len(found)
        right += sum(truth.get(field) == value for field, value in found.items())
    print(f"s7: {right} of {expected} fields found, {right} of {claimed} claims right")  # noqa: T201 - shown with -s
    assert right >= 0.95 * expected
    assert right == claimed


async def test_the_lists_of_every_recording_are_read_in_full(replay, captures: Path) -> None:
    """What an identity has no field for is decoded too: names, card, copyright, boot loader."""
    checked = 0
    for name, capture in recordings(captures):
        if not capture["identity_in_reply"]:
            continue
        session = replay(s7.PROBE, recorded(capture))
        confirm = s7.decode_connection_reply(
            await session.exchange(
                s7.encode_connection_request(tsap=0x0302), s7.tsdu_length, label="x"
            )
        )
        assert isinstance(confirm, s7.Connected)
        module = s7.decode_module_identification(
            (await s7._read_szl(session, 0x0011, reference=2)).records or ()
        )
        component = s7.decode_component_identification(
            (await s7._read_szl(session, 0x001C, reference=10)).records or ()
        )
        facts = capture["facts"]
        told = {
            "module_name": component.module_name,
            "copyright": component.copyright,
            "memory_card_serial": component.memory_card_serial,
            "system_name": component.system_name,
            "bootloader": f"Boot Loader {module.boot_loader}",
        }
        for field, value in told.items():
            if field in facts:
                assert value == facts[field], (name, field)
                checked += 1
        if component.manufacturer_id is not None:
            assert component.manufacturer_id == 0x2A
    assert checked >= 8


async def test_a_list_in_two_segments_is_continued_with_the_sequence_of_the_reply(
    replay, captures: Path
) -> None:
    capture = json.loads((captures / "s7comm__siemens_im151-8_6es7151-8ab01.json").read_text())
    session = replay(s7.PROBE, recorded(capture))

    facts = await s7.run(session)

    assert [kind_of(request)[0] for request in session.sent] == [
        "connect", "setup", "szl", "szl", "continue", "goodbye",
    ]  # fmt: skip
    assert session.sent[4][24] == 2
    assert facts[0] == S7Access(
        tsap=0x0302,
        pdu_size=240,
        answers_without_login=True,
        module_name="IM151-8 PN/DP CPU",
    )
    assert facts[2] == DeviceIdentity(device_class="plc", basis="table")


async def test_a_cpu_that_refuses_the_second_list_is_identified_by_the_first(
    replay, captures: Path
) -> None:
    """As S7-1200 and the recorded CPU 312 do, with 0xD401 and return code 0x0A."""
    capture = json.loads((captures / "s7comm__siemens_cpu312_6es7312-5ac02.json").read_text())

    access, said, looked_up = await s7.run(replay(s7.PROBE, recorded(capture)))

    assert access.answers_without_login is True
    assert said == DeviceIdentity(
        order_number="6ES7 312-5AC02-0AB0", hardware="1", firmware="V1.2.0"
    )
    assert looked_up == DeviceIdentity(vendor="Siemens", device_class="plc", basis="table")


MODULE = szl_list(
    0x0011,
    28,
    struct.pack(">H20sHHH", 1, b"6ES7 215-1AG40-0XB0 ", 0, 5, 0x2020),
    struct.pack(">H20sHHH", 6, b"6ES7 215-1AG40-0XB0 ", 0, 5, 0x2020),
    struct.pack(">H20sHHH", 7, b" " * 20, 0, 0x5604, 0x0201),
)


async def test_a_second_connection_follows_an_explicit_refusal_only(replay) -> None:
    session = replay(s7.PROBE, cpu({0x11: MODULE}, refuse=(0x0302,)))

    access, said, _ = await s7.run(session)

    assert access.tsap == 0x0301
    assert said.firmware == "V4.2.1"
    assert session.connections == 2
    assert [kind_of(r)[:2] for r in session.sent[:2]] == [("connect", 0x302), ("connect", 0x301)]


@pytest.mark.parametrize("trouble", [Silent, Closed, Reset])
async def test_silence_or_a_dropped_connection_is_not_followed_by_another(replay, trouble) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("so it is")

    session = replay(s7.PROBE, answer)

    with pytest.raises(trouble):
        await s7.run(session)

    assert len(session.sent) == session.connections == 1


async def test_a_controller_that_refuses_both_seats_is_seen_and_nothing_is_claimed(replay) -> None:
    session = replay(s7.PROBE, cpu({}, refuse=(0x0302, 0x0301)))

    assert await s7.run(session) == (S7Access(),)
    assert len(session.sent) == session.connections == 2


async def test_a_refused_set_up_ends_the_conversation_politely(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return CONFIRM if request[5] == 0xE0 else setup_reply(request, error=0x8104)

    session = replay(s7.PROBE, answer)

    assert await s7.run(session) == (S7Access(tsap=0x0302),)
    assert [kind_of(request)[0] for request in session.sent] == ["connect", "setup", "goodbye"]
    assert session.sent[-1] == bytes.fromhex("0300000b06804431000180")


async def test_trouble_in_mid_conversation_keeps_what_was_told_and_sends_no_more(replay) -> None:
    good = cpu({0x11: MODULE})

    def answer(request: bytes | None) -> bytes:
        if kind_of(request)[:2] == ("szl", 0x1C):
            raise Closed("gone")
        return good(request)

    session = replay(s7.PROBE, answer)

    access, said, _ = await s7.run(session)

    assert said.order_number == "6ES7 215-1AG40-0XB0"
    assert access.answers_without_login is True
    assert kind_of(session.sent[-1])[:2] == ("szl", 0x1C)


@pytest.mark.parametrize("trouble", [Closed, OutsideWindow])
async def test_a_goodbye_that_cannot_be_said_costs_no_answer(replay, trouble) -> None:
    class Ending(replay):
        async def exchange(self, request, framer, **options):
            if framer is None:
                raise trouble("too late")
            return await super().exchange(request, framer, **options)

    _, said, _ = await s7.run(Ending(s7.PROBE, cpu({0x11: MODULE})))

    assert said.order_number == "6ES7 215-1AG40-0XB0"


async def test_a_cpu_that_never_ends_a_list_is_left_after_four_continuations(replay) -> None:
    good = cpu({})

    def answer(request: bytes | None) -> bytes:
        kind = kind_of(request)[0]
        if kind == "szl" or kind == "continue":
            return szl_reply(request, MODULE if kind == "szl" else b"x", more=True)
        return good(request)

    session = replay(s7.PROBE, answer)
    await s7.run(session)

    kinds = [kind_of(request)[0] for request in session.sent]
    assert kinds.count("continue") == 2 * s7.MAX_CONTINUATIONS


def component(copyright_: bytes = b"", manufacturer: int | None = None) -> bytes:
    records = [struct.pack(">H32s", 7, b"CPU 315-2 PN/DP")]
    if copyright_:
        records.append(struct.pack(">H32s", 4, copyright_))
    if manufacturer is not None:
        records.append(struct.pack(">HH", 9, manufacturer))
    return szl_list(0x1C, 34, *records)


@pytest.mark.parametrize(
    ("lists", "vendor"),
    [
        ({0x11: MODULE, 0x1C: component(b"Original Siemens Equipment")}, "Siemens"),
        ({0x11: MODULE, 0x1C: component(manufacturer=0x2A)}, "Siemens"),
        ({0x11: MODULE, 0x1C: component()}, "Siemens"),
        ({0x11: MODULE}, "Siemens"),
        ({0x11: MODULE, 0x1C: component(b"Original VIPA Equipment")}, "VIPA"),
        ({0x11: MODULE, 0x1C: component(b"Original VIPA Equipment", 0x2A)}, None),
        ({0x11: MODULE, 0x1C: component(b"(c) VIPA GmbH")}, None),
        ({0x11: MODULE, 0x1C: component(manufacturer=0x022B)}, None),
        ({0x11: MODULE, 0x1C: component(b"Original Siemens Equipment", 0x022B)}, None),
        ({0x1C: component()}, None),
    ],
)
async def test_a_vendor_is_named_on_evidence_only(replay, lists, vendor) -> None:
    facts = await s7.run(replay(s7.PROBE, cpu(lists)))

    assert found_in(facts).get("vendor") == vendor


async def test_another_reference_is_a_bad_reply(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        if request[5] == 0xE0:
            return CONFIRM
        reply = setup_reply(request)
        return reply[:11] + b"\x77\x77" + reply[13:]

    with pytest.raises(BadReply, match="reference"):
        await s7.run(replay(s7.PROBE, answer))


def test_a_reply_in_several_data_units_is_put_together() -> None:
    whole = szl_reply(s7.encode_read_szl(reference=5, szl=0x11), MODULE)
    pdu = whole[7:]
    cut = (
        struct.pack(">BBH", 3, 0, 27) + b"\x02\xf0\x00" + pdu[:20]
        + struct.pack(">BBH", 3, 0, len(pdu) - 20 + 7) + b"\x02\xf0\x80" + pdu[20:]
    )  # fmt: skip

    assert s7.tsdu_length(cut[:-1]) is None
    assert s7.tsdu_length(cut + b"more") == len(cut)
    assert s7.decode_szl_part(cut, reference=5) == s7.decode_szl_part(whole, reference=5)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((1, 0, 1, 2, 0), s7.Protection(level=1, password_set=False, mode_switch=2)),
        ((1, 3, 3, 2, 0), s7.Protection(level=3, password_set=True, mode_switch=2)),
        ((0, 0, 0, 0, 0), s7.Protection(level=None, password_set=False, mode_switch=None)),
    ],
)
def test_protection_words_mean_what_the_list_says(words, expected) -> None:
    record = struct.pack(">H5H", 4, *words).ljust(40, b"\0")

    assert s7.decode_protection((record,)) == expected


@pytest.mark.parametrize(("byte", "state"), [(8, "run"), (4, "stop"), (0x0A, None), (0, None)])
def test_operating_state_is_the_low_nibble(byte: int, state: str | None) -> None:
    assert s7.decode_operating_state((bytes([0x51, 0x44, 0xFF, byte]) + bytes(16),)) == state


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    tpkt = struct.pack(">BBH", 3, 0, (len(value) + 4) & 0xFFFF) + value
    dt = data(value)
    for decode in (
        s7.tsdu_length,
        s7.decode_connection_reply,
        s7.decode_refusal,
        s7.decode_data,
        lambda b: s7.decode_setup(b, reference=1),
        lambda b: s7.decode_szl_part(b, reference=1),
        lambda b: s7.decode_szl(b, szl=0x11),
        s7.decode_szl_records,
        lambda b: s7.decode_header(b, reference=1),
        lambda b: s7.decode_module_identification((b,)),
        lambda b: s7.decode_component_identification((b,)),
        lambda b: s7.decode_protection((b,)),
        lambda b: s7.decode_operating_state((b,)),
        lambda b: s7.access_from_lists({(0x0232, 4): b, (0x0424, 0): b}, tsap=0x0302),
    ):
        for candidate in (value, tpkt, dt):
            try:
                decode(candidate)
            except BadReply:
                continue


@given(st.data())
def test_a_damaged_reply_decodes_or_raises_bad_reply(draw) -> None:
    """Structure-aware: a good reply with a few bytes changed and its end cut off."""
    request = s7.encode_read_szl(reference=1, szl=0x11)
    reply = bytearray(szl_reply(request, MODULE))
    for _ in range(draw.draw(st.integers(1, 4))):
        reply[draw.draw(st.integers(0, len(reply) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(reply[: draw.draw(st.integers(0, len(reply)))])
    try:
        part = s7.decode_szl_part(damaged, reference=1)
        if isinstance(part, s7.SzlPart):
            s7.decode_module_identification(s7.decode_szl(part.payload, szl=0x11))
    except BadReply:
        pass


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=120), max_size=20))
async def test_any_conversation_ends_in_facts_or_a_wire_error(replay, replies) -> None:
    script = iter(replies)

    def answer(request: bytes | None) -> bytes:
        kind = kind_of(request)[0]
        if kind == "connect":
            return CONFIRM
        if kind == "setup":
            return setup_reply(request)
        payload = next(script, None)
        if payload is None:
            raise Closed("gone")
        return szl_reply(request, payload, more=len(payload) % 2 == 1)

    session = replay(s7.PROBE, answer)
    facts = await s7.run(session)

    assert len(session.sent) <= sum(q.at_most for q in s7.PROBE.questions)
    assert facts


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (s7.PROBE, s7.READ_PROBE):
        for question in probe.questions:
            assert open_guard("s7").judge(question.sample, probe.tier) is None
            assert question.label


@asynccontextmanager
async def played(answer: Callable):
    """A TCP server that plays an answer function, one TPKT at a time."""
    seen: list[bytes] = []
    conversations: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readexactly(4)
                frame = head + await reader.readexactly(int.from_bytes(head[2:], "big") - 4)
                seen.append(frame)
                if frame[5] != 0x80:
                    writer.write(answer(frame))
        except (asyncio.IncompleteReadError, ConnectionError, Silent):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        if conversations:
            await asyncio.wait(conversations, timeout=5)
        server.close()
        await server.wait_closed()


@pytest.mark.integration
async def test_protection_and_state_of_every_recording_come_out_of_the_relay(
    governed, captures: Path
) -> None:
    """python-snap7 behind the relay, against the recorded protection and state lists."""
    checked = 0
    for _, capture in recordings(captures):
        state = capture["security_state_in_replies"]
        if not state:
            continue
        words = state["szl0x0132_idx4"]
        played_back = recorded(capture)

        def answer(request: bytes, play: Callable = played_back) -> bytes:
            """A list that is not in the recording is refused, as the CPU would."""
            try:
                return play(request)
            except Silent:
                return szl_reply(request, b"", code=0x0A, error=0xD401)

        async with played(answer) as (port, seen):
            known = (S7Access(tsap=0x0302),)
            async with governed(s7.READ_PROBE, port, known=known) as session:
                with tripwire.armed():
                    (access,) = await s7.run_read(session)

        assert access == S7Access(
            tsap=0x0302,
            answers_without_login=True,
            protection_level=words["sch_rel_valid_protection_level"],
            password_set=words["sch_par_configured_protection"] != 0,
            mode_switch=words["bart_sch_mode_switch"],
            operating_state="run" if state.get("operating_state") == "RUN" else None,
        )
        assert kind_of(seen[0]) == ("connect", 0x0302, 0)
        checked += 1
    assert checked >= 3


async def test_the_read_probe_sends_nothing_to_a_controller_that_refused_both_seats(
    replay,
) -> None:
    session = replay(s7.READ_PROBE, lambda request: b"", known=(S7Access(),))

    assert await s7.run_read(session) == ()
    assert session.sent == []


@pytest.mark.integration
async def test_the_identify_probe_says_goodbye_on_the_real_wire(governed) -> None:
    async with played(cpu({0x11: MODULE, 0x1C: component()})) as (port, seen):
        async with governed(s7.PROBE, port) as session:
            access, said, _ = await s7.run(session)
        for _ in range(200):
            if len(seen) == 5:
                break
            await asyncio.sleep(0.005)

    assert access.tsap == 0x0302
    assert said.model == "CPU 315-2 PN/DP"
    assert kind_of(seen[-1])[0] == "goodbye"
    assert session.device.figures.connections == 1


def test_each_kind_of_nonsense_is_a_bad_reply_of_its_own() -> None:
    def with_pdu(pdu: bytes) -> bytes:
        return data(pdu)

    ack = b"\x32\x03\x00\x00\x00\x01"
    for call, words in (
        (
            lambda: s7.decode_setup(with_pdu(b"\x32\x07\x00\x00\x00\x01" + bytes(4)), reference=1),
            "type 7",
        ),
        (lambda: s7.decode_setup(with_pdu(ack + bytes(6)), reference=1), "S7 set-up"),
        (lambda: s7.decode_data(b"\x03\x00\x00\x0b\x06\xd0\x00\x00\x00\x00\x00"), "COTP data"),
        (lambda: s7.decode_header(b"\x32\x01", reference=1), "S7 PDU"),
        (lambda: s7.decode_header(ack + b"\x00\x09" + bytes(4), reference=1), "reach beyond"),
        (lambda: s7.decode_header(ack + bytes(6), reference=2), "reference 2"),
        (lambda: s7.decode_szl_records(b"\x00"), "SZL header"),
        (lambda: s7.decode_szl(b"\x00\x11" + bytes(6), szl=0x1C), "SZL 0x001C"),
    ):
        with pytest.raises(BadReply, match=words):
            call()


def test_a_refusal_of_an_szl_may_come_as_an_acknowledgement() -> None:
    ack = b"\x32\x03\x00\x00\x00\x01\x00\x00\x00\x00\x81\x04"

    assert s7.decode_szl_part(data(ack), reference=1) == s7.SzlRefusal(error=0x8104, return_code=0)


async def test_a_setup_refused_by_the_transport_is_tried_on_the_second_seat(replay) -> None:
    refused = bytes.fromhex("0300000b0680000100010" + "2")
    asked = []

    def answer(request: bytes | None) -> bytes:
        kind = kind_of(request)
        asked.append(kind[:2])
        if kind[0] == "connect":
            return CONFIRM[:6] + request[8:10] + CONFIRM[8:]
        return refused

    facts = await s7.run(replay(s7.PROBE, answer))

    assert facts == (S7Access(),)
    assert [seat for what, seat in asked if what == "connect"] == [0x0302, 0x0301]
