"""EtherNet/IP identification: recordings, wrong lengths, hostile bytes, and the real door."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import enip
from scanner import fragile, tripwire
from scanner.clients import cip as client
from scanner.errors import BadReply, Silent
from scanner.facts import CipAccess, DeviceIdentity
from scanner.guards import open_guard
from scanner.model import Tier, Transport

PLAYED_BACK = {
    "vendor": "vendor",
    "product_name": "model",
    "revision": "firmware",
    "serial": "serial",
    "vendor_id": "vendor_id",
    "device_type": "device_type",
    "product_code": "product_code",
    "state": "state",
    "status": "status_word",
}
"""Name in a recording's facts, name in our facts."""


def recordings(folder: Path) -> list[tuple[str, dict]]:
    """(name, recording) of every device of this protocol."""
    return [(file.stem, json.loads(file.read_text())) for file in sorted(folder.glob("enip__*"))]


def identity_bytes(
    name: bytes, *, vendor: int = 1, kind: int = 14, serial: int = 0xC0FFEE
) -> bytes:
    fixed = struct.pack("<HHHBBHI", vendor, kind, 54, 20, 11, 0x3060, serial)
    return fixed + bytes([len(name)]) + name


def list_identity_reply(name: bytes = b"1756-L61/B LOGIX5561", **changes: int) -> bytes:
    address = struct.pack(">HH4s8x", 2, 44818, bytes([10, 1, 2, 3]))
    item = b"\x01\x00" + address + identity_bytes(name, **changes) + b"\x03"
    cpf = struct.pack("<HHH", 1, 0x0C, len(item)) + item
    return struct.pack("<HHII8sI", 0x63, len(cpf), 0, 0, bytes(8), 0) + cpf


def recorded(capture: dict) -> Callable[[bytes | None], bytes]:
    """The recorded device, matched by command (and by CIP service inside SendRRData)."""

    def kind(frame: bytes) -> tuple[int, bytes]:
        command = int.from_bytes(frame[:2], "little")
        if frame[40:41] == b"\x52":  # routed: all of it, the slot is its last byte
            return command, frame[40:]
        return command, frame[40:46] if command == 0x6F else b""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        for exchange in capture["exchanges"]:
            known = bytes.fromhex(exchange["request_hex"])
            reply = bytes.fromhex(exchange["response_hex"])
            # The rack's recording asks the CPU through the bridge (Unconnected_Send, 0x52); the
            # reply is the same as to the bare request inside.
            inner = known[50:56] if kind(known)[1][:1] == b"\x52" else known[40:46]
            if kind(known)[0] == kind(request)[0] and kind(request)[1] in (kind(known)[1], inner):
                return reply[:12] + request[12:20] + reply[20:]
            if kind(known)[0] == kind(request)[0] != 0x6F:
                return reply[:12] + request[12:20] + reply[20:]
        raise Silent("not in the recording")

    return answer


def truth_of(capture: dict) -> dict[str, object]:
    truth: dict[str, object] = {}
    for field, ours in PLAYED_BACK.items():
        if field in capture["facts"]:
            truth[ours] = capture["facts"][field]
    if "model" in truth:
        truth["model"] = str(truth["model"]).split(" (")[0].strip()
    if "status_word" in truth:
        truth["status_word"] = int(str(truth["status_word"]), 16)
    return truth


def found_in(facts: tuple) -> dict[str, object]:
    found: dict[str, object] = {}
    for fact in facts:
        for field in PLAYED_BACK.values():
            if (value := getattr(fact, field, None)) is not None:
                assert found.setdefault(field, value) == value
    return found


@asynccontextmanager
async def played(answer: Callable[[bytes | None], bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A TCP server that plays an answer function, and what it was sent."""
    seen: list[bytes] = []
    conversations: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readexactly(24)
                frame = head + await reader.readexactly(int.from_bytes(head[2:4], "little"))
                seen.append(frame)
                if frame[:2] == b"\x66\x00":
                    break
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
async def test_every_recording_gives_its_facts_and_no_others(
    replay, governed, captures: Path
) -> None:
    """A recording without ListIdentity is asked by pycomm3 for the identity object."""
    devices = recordings(captures)
    assert len(devices) >= 4
    right = expected = wrong = 0
    for name, capture in devices:
        truth = truth_of(capture)
        if any(e["label"] == "ListIdentity" for e in capture["exchanges"]):
            facts = await enip.run(replay(enip.PROBE, recorded(capture)))
        else:
            async with (
                played(recorded(capture)) as (port, _),
                governed(enip.READ_PROBE, port) as session,
            ):
                facts = await enip.run_read(session)
        found = found_in(facts)
        print(f"{name}:")  # noqa: T201 - shown with -s
        for field in sorted(truth.keys() | found.keys()):
            print(  # noqa: T201 - shown with -s
                f"  {field}: truth {truth.get(field)!r}, found {found.get(field)!r}"
            )
        expected += len(truth)
        right += sum(found.get(field) == value for field, value in truth.items())
        wrong += sum(found.get(field, value) != value for field, value in truth.items())
    print(f"enip: {right} of {expected} fields found, {wrong} wrong")  # noqa: T201 - with -s
    assert right >= 0.95 * expected
    assert wrong == 0


def test_what_a_recording_does_not_name_is_what_its_bytes_say(captures: Path) -> None:
    """The fields beyond the recording's own list, read off the bytes by hand."""
    capture = json.loads((captures / "enip__ab_powerflex753_cpppo.json").read_text())
    reply = bytes.fromhex(capture["exchanges"][0]["response_hex"])

    identity = enip.decode_list_identity(reply)

    assert identity.inner_address == "10.161.1.5"
    assert (identity.major, identity.minor) == (11, 1)
    assert identity.state == 255
    assert enip.device_class(identity) == "drive"


def test_wrong_lengths_of_header_and_item_do_not_hide_the_identity(captures: Path) -> None:
    """A PowerFlex 753 names 39 bytes for an item of 66."""
    devices = dict(recordings(captures))
    replies = [
        bytes.fromhex(devices[name]["exchanges"][0]["response_hex"])
        for name in ("enip__ab_powerflex753_cpppo", "enip__ab_powerflex753_badcpf_cpppo")
    ]

    right, wrong = (enip.decode_list_identity(reply) for reply in replies)

    assert replies[0] != replies[1]
    assert right == wrong


async def test_one_datagram_is_all_that_is_sent(replay) -> None:
    session = replay(enip.PROBE, lambda request: list_identity_reply())

    access, said, looked_up = await enip.run(session)

    assert session.sent == [bytes.fromhex("6300") + bytes(22)]
    assert access == CipAccess(
        answers_without_login=True,
        vendor_id=1,
        device_type=14,
        product_code=54,
        status_word=0x3060,
        state=3,
        inner_address="10.1.2.3",
    )
    assert said == DeviceIdentity(
        model="1756-L61/B LOGIX5561", firmware="20.011", serial="00c0ffee"
    )
    assert looked_up == DeviceIdentity(
        vendor="Rockwell Automation/Allen-Bradley", device_class="plc", basis="table"
    )


async def test_an_unlisted_vendor_and_profile_are_not_guessed(replay) -> None:
    reply = list_identity_reply(b"Gizmo", vendor=64999, kind=0x0C)

    facts = await enip.run(replay(enip.PROBE, lambda request: reply))

    assert facts[1:] == (DeviceIdentity(model="Gizmo", firmware="20.011", serial="00c0ffee"),)


async def test_a_name_that_is_cut_off_is_taken_as_far_as_it_came(replay) -> None:
    reply = list_identity_reply(b"1769-L24ER-QB1B/A LOGIX5324ER")[:-10]

    access, said, _ = await enip.run(replay(enip.PROBE, lambda request: reply))

    assert said.model == "1769-L24ER-QB1B/A LO"
    assert access.state is None


async def test_another_command_or_a_status_is_a_bad_reply(replay) -> None:
    for reply in (
        b"\x64" + list_identity_reply()[1:],
        list_identity_reply()[:8] + b"\x01" + list_identity_reply()[9:],
        list_identity_reply()[:50],
    ):
        with pytest.raises(BadReply):
            await enip.run(replay(enip.PROBE, lambda request, reply=reply: reply))


def test_the_tcp_question_is_planned_only_when_the_datagram_stayed_unanswered() -> None:
    assert enip.PROBE.transport is Transport.UDP
    assert enip.TCP_PROBE.transport is Transport.TCP
    assert enip.TCP_PROBE.needs == {"udp_silent"}
    assert enip.TCP_PROBE.name == enip.PROBE.name == "enip"


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    good = list_identity_reply()
    for candidate in (value, good[:24] + value, good[:30] + value, good[:48] + value):
        for decode in (enip.decode_list_identity, enip.decode_identity, enip.reply_length):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, enip.CipIdentity):
                assert enip.facts(found)
    assert enip.datagram_length(value) == (len(value) or None)


@given(st.binary(max_size=80))
def test_a_name_is_bounded_and_printable(name: bytes) -> None:
    found = enip.decode_list_identity(list_identity_reply(name)).name

    assert found is None or (len(found) <= enip.MAX_NAME and found.isprintable())


EN2T: dict[str, Any] = {"kind": 12, "serial": 0x00B1E5A0}
"""The module that answers for a chassis, as its identity differs from `identity_bytes`."""
Modules = dict[int, bytes | tuple[int, ...]]
"""By slot: the identity that it tells, or (general status, extended status, …)."""


def chassis(
    modules: Modules, *, own: bytes | None = None, refuses: int = 0x01
) -> Callable[[bytes | None], bytes]:
    """A module of a chassis: its own identity, and those in the slots; the others are empty."""
    mine = identity_bytes(b"1756-EN2T/D", **EN2T) if own is None else own

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[:2] == b"\x65\x00":
            return request[:4] + b"\x2a\x00\x00\x00" + request[8:]
        if request[40] != 0x52:
            return sent_back(request, bytes([request[40] | 0x80, 0, 0, 0]) + mine)
        found = modules.get(request[-1], (refuses, 0x0312) if refuses == 1 else (refuses,))
        if isinstance(found, bytes):
            return sent_back(request, b"\x81\0\0\0" + found)
        status, *extended = found
        words = b"".join(word.to_bytes(2, "little") for word in extended)
        service = 0x81 if status == 0x08 else 0xD2
        return sent_back(request, bytes([service, 0, status, len(extended)]) + words)

    return answer


def sent_back(request: bytes, cip: bytes) -> bytes:
    cpf = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(cip)) + cip
    return struct.pack("<HHI", 0x6F, len(cpf), 0x2A) + bytes(4) + request[12:24] + cpf


def answered(own: bytes | None = None, *, refused: str | None = None) -> Any:
    """What pycomm3's worker brings, without a worker."""
    mine = identity_bytes(b"1756-EN2T/D", **EN2T) if own is None else own
    answer = client.IdentityAnswer(session=0x2A, attributes=mine, refused=refused)

    async def read(host: str, port: int) -> client.IdentityAnswer:
        return answer

    return read


@pytest.fixture
def read(replay, monkeypatch: pytest.MonkeyPatch):
    """Run the read probe without a worker; returns facts and session."""

    async def run(answer, own: bytes | None = None, *, refused: str | None = None, known=()):
        monkeypatch.setattr(client, "read_identity_object", answered(own, refused=refused))
        session = replay(enip.READ_PROBE, answer, known=known)
        monkeypatch.setattr(type(session), "relay", _no_relay)
        try:
            return await enip.run_read(session), session
        except BadReply as error:
            return error, session

    return run


@asynccontextmanager
async def _no_relay(session) -> AsyncIterator[tuple[str, int]]:
    yield ("127.0.0.1", 1)


def slots_asked(session) -> list[int]:
    return [frame[-1] for frame in session.sent if frame[40:41] == b"\x52"]


def behind(facts) -> dict[str, list[DeviceIdentity]]:
    found: dict[str, list[DeviceIdentity]] = {}
    for fact in facts:
        if isinstance(fact, DeviceIdentity) and fact.sub_address:
            found.setdefault(fact.sub_address, []).append(fact)
    return found


async def test_the_recorded_chassis_gives_the_recorded_module_and_no_other(
    read, captures: Path
) -> None:
    """Through another module of the chassis, as it was recorded: slot 0, no more was asked."""
    capture = json.loads((captures / "enip__ab_1756-l61_logix5561_cpppo.json").read_text())
    routed = capture["exchanges"][2]
    reply = bytes.fromhex(routed["response_hex"])

    def answer(request: bytes) -> bytes:
        if request[-1] == 0:
            return reply[:4] + request[4:8] + reply[8:12] + request[12:20] + reply[20:]
        return chassis({})(request)

    facts, session = await read(answer)

    assert behind(facts) == {
        "slot 0": [
            DeviceIdentity(
                sub_address="slot 0", model="1756-L61/B LOGIX5561", firmware="20.011",
                serial="006c061a",
            ),
            DeviceIdentity(
                sub_address="slot 0", vendor="Rockwell Automation/Allen-Bradley",
                device_class="plc", basis="table",
            ),
        ]
    }  # fmt: skip
    ours, theirs = session.sent[0], bytes.fromhex(routed["request_hex"])
    assert ours[24:30] == bytes(6)
    assert ours[30:] == theirs[30:]  # what the recorded tool sent, but for a time-out


async def test_each_slot_is_asked_once_and_the_session_given_back(read) -> None:
    modules: Modules = {
        0: identity_bytes(b"1756-L61/B LOGIX5561", serial=1),
        2: identity_bytes(b"1756-EN2T/D", **EN2T),
        5: identity_bytes(b"MVI56-DNP", vendor=309, kind=12, serial=2),
    }
    facts, session = await read(chassis(modules))

    assert slots_asked(session) == list(range(10))  # four empty ones in a row after slot 5
    assert session.sent[-1] == enip.encode_unregister_session(session=0x2A)
    assert all(frame[4:8] == b"\x2a\0\0\0" for frame in session.sent)
    assert session.connections == 1
    said = {place: facts[0].model for place, facts in behind(facts).items()}
    assert said == {"slot 0": "1756-L61/B LOGIX5561", "slot 5": "MVI56-DNP"}
    assert behind(facts)["slot 5"][1].vendor == "ProSoft Technology"
    assert facts[1] == DeviceIdentity(model="1756-EN2T/D", firmware="20.011", serial="00b1e5a0")


@pytest.mark.parametrize("extended", [0x0204, 0x0311, 0x0312, 0x0315])
async def test_an_empty_slot_is_nothing(read, extended: int) -> None:
    facts, session = await read(chassis({slot: (0x01, extended) for slot in range(17)}))

    assert behind(facts) == {}
    assert slots_asked(session) == list(range(enip.EMPTY_IN_A_ROW))


async def test_a_full_chassis_is_asked_seventeen_times_and_no_more(read) -> None:
    modules: Modules = {
        slot: identity_bytes(b"1756-IF16/A", kind=10, serial=slot + 1) for slot in range(256)
    }
    facts, session = await read(chassis(modules))

    assert len(behind(facts)) == len(slots_asked(session)) == 17
    [question] = [q for q in enip.READ_PROBE.questions if "slot" in q.label]
    assert question.at_most == 17


async def test_a_module_that_tells_nothing_is_there_and_is_no_finding(read) -> None:
    modules: Modules = {3: (0x08,), 7: identity_bytes(b"1756-IF16/A", kind=10, serial=9)}
    facts, session = await read(chassis(modules))

    assert behind(facts).keys() == {"slot 7"}
    assert slots_asked(session) == list(range(12))


@pytest.mark.parametrize("status", [0x02, 0x05, 0x08, 0x16])
async def test_a_module_that_does_not_route_or_is_busy_is_asked_once(read, status: int) -> None:
    def answer(request: bytes) -> bytes:
        return sent_back(request, bytes([0xD2, 0, status, 0]))

    facts, session = await read(answer)

    assert slots_asked(session) == [0]
    assert facts[1].model == "1756-EN2T/D"


async def test_a_module_without_a_serial_number_is_never_taken_for_another(read) -> None:
    own = identity_bytes(b"1756-EN2T/D", kind=12, serial=0)
    facts, _ = await read(chassis({1: identity_bytes(b"1756-L61", serial=0)}), own)

    assert behind(facts).keys() == {"slot 1"}


def _swapped(at: slice, value: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda request, reply: reply[: at.start] + value + reply[at.stop :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda request, reply: b"",
        lambda request, reply: request,
        lambda request, reply: reply[:-1],
        lambda request, reply: reply[:40],
        _swapped(slice(0, 1), b"\x70"),
        _swapped(slice(4, 5), b"\x2b"),
        _swapped(slice(8, 9), b"\x01"),
        _swapped(slice(12, 13), b"\x77"),
        _swapped(slice(36, 37), b"\xb1"),
        _swapped(slice(40, 41), b"\x8e"),
        _swapped(slice(40, 41), b"\x01"),
        _swapped(slice(43, 44), b"\xff"),
    ],
)
async def test_the_first_silence_or_nonsense_ends_the_row_and_keeps_what_was_told(
    read, damage
) -> None:
    module = identity_bytes(b"1756-IF16/A", kind=10, serial=5)
    sound = chassis({0: module, 1: module, 2: module})

    def answer(request: bytes) -> bytes:
        return damage(request, sound(request)) if request[-1] == 1 else sound(request)

    facts, session = await read(answer)

    assert behind(facts).keys() == {"slot 0"}
    assert slots_asked(session) == [0, 1]
    assert session.sent[-1][:2] == b"\x66\0"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (b"PowerFlex 753", {"kind": 123}),
        (b"PowerFlex 755-EENET", {"kind": 12}),
        (b"1734-AENT/B", {"kind": 12}),
        (b"1769-AENTR/A", {"kind": 12}),
        (b"5069-AENTR/A", {"kind": 12}),
        (b"1756-EN2T/D", {"vendor": 40, "kind": 12}),
        (b"1756-IF16/A", {"kind": 10}),
        (b"1769-L24ER", {"kind": 7}),
        (b"Stratix 5700", {"kind": 44}),
        (b"2711P-T10C", {"kind": 24}),
        (b"", {}),
    ],
)
async def test_whoever_is_no_module_of_a_chassis_is_asked_for_no_slot(
    read, name: bytes, changes: dict[str, int]
) -> None:
    own = identity_bytes(name, **changes)
    facts, session = await read(chassis({}, own=own), own)

    assert [frame[:2].hex() for frame in session.sent] == ["6600"]
    assert facts == enip.facts(enip.decode_identity(own))


@pytest.mark.parametrize(
    "name",
    [
        b"1756-L85E/B",
        b"1756-EN3TR/B",
        b"1769-L24ER-QB1B/A LOGIX5324ER",
        b"1768-L43/A",
        b"5069-L320ER/A",
    ],
)
def test_modules_of_logix_chassis_are_known(name: bytes) -> None:
    assert enip.has_backplane(enip.decode_identity(identity_bytes(name)))


def test_the_module_that_suffers_from_connections_keeps_its_stop() -> None:
    """The read tier, slots with it, is not planned for it at all."""
    told = DeviceIdentity(vendor="Rockwell Automation/Allen-Bradley", model="1756-ENBT/A")

    rule = fragile.strictest(fragile.matching([told]))

    assert rule.tier is Tier.IDENTIFY
    assert enip.has_backplane(enip.decode_identity(identity_bytes(b"1756-ENBT/A", kind=12)))


# --- MicroLogix ----------------------------------------------------------------------------------

ROCKWELL_PLC = (CipAccess(answers_without_login=True, vendor_id=1, device_type=14),)


@pytest.fixture
def diagnostic(captures: Path) -> Callable[[bytes], bytes]:
    """The recorded MicroLogix 1400, with our requester and transaction in its reply."""
    name = "enip-pccc__ab_micrologix1400_1766-lec.json"
    [exchange] = json.loads((captures / name).read_text())["exchanges"]
    theirs, reply = bytes.fromhex(exchange["request_hex"]), bytes.fromhex(exchange["response_hex"])

    def answer(request: bytes) -> bytes:
        assert request[46:53] == b"\x07" + bytes(6)
        assert (request[53:55], request[57:]) == (theirs[53:55], theirs[57:])
        pccc = reply[51:53] + request[55:57] + reply[55:]
        return sent_back(request, reply[40:44] + request[46:53] + pccc)

    return answer


async def test_the_recorded_micrologix_tells_its_catalogue_text(read, diagnostic) -> None:
    facts, session = await read(
        diagnostic, b"", refused="service not supported", known=ROCKWELL_PLC
    )

    assert facts == (DeviceIdentity(order_number="1766-LEC"),)
    assert [frame[:2].hex() for frame in session.sent] == ["6f00", "6600"]
    assert session.sent[0] == enip.encode_diagnostic_status(session=0x2A)


async def test_a_micrologix_that_tells_its_identity_is_asked_for_its_catalogue_text(
    read, diagnostic
) -> None:
    own = identity_bytes(b"1766-L32BXBA C/21.06")
    facts, _ = await read(diagnostic, own)

    assert facts == (
        *enip.facts(enip.decode_identity(own)), DeviceIdentity(order_number="1766-LEC"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "known",
    [
        (),
        (CipAccess(vendor_id=1, device_type=2),),
        (CipAccess(vendor_id=40, device_type=14),),
    ],
)
async def test_nobody_else_is_sent_pccc(read, diagnostic, known) -> None:
    error, session = await read(diagnostic, b"", refused="service not supported", known=known)

    assert isinstance(error, BadReply)
    assert [frame[:2].hex() for frame in session.sent] == ["6600"]


@pytest.mark.parametrize(
    "pccc",
    [
        b"",
        b"\x4f\0\1\0" + bytes.fromhex("00ee4a9f23") + b"1766-LEC   ",
        b"\x46\0\2\0" + bytes.fromhex("00ee4a9f23") + b"1766-LEC   ",
        b"\x46\x10\1\0" + bytes.fromhex("00ee4a9f23") + b"1766-LEC   ",
        b"\x46\0\1\0" + bytes.fromhex("00ef4a9f23") + b"1766-LEC   ",
        b"\x46\0\1\0" + bytes.fromhex("00ee4a9f23") + b"<script>1\n ",
        b"\x46\0\1\0" + bytes.fromhex("00ee4a9f23") + b"1766",
    ],
)
async def test_a_pccc_answer_that_says_no_catalogue_number_is_none(read, pccc: bytes) -> None:
    def answer(request: bytes) -> bytes:
        return sent_back(request, b"\xcb\0\0\0\x07" + bytes(6) + pccc)

    own = identity_bytes(b"1766-L32BXBA C/21.06")
    facts, _ = await read(answer, own)
    error, _ = await read(answer, b"", refused="no", known=ROCKWELL_PLC)

    assert facts == enip.facts(enip.decode_identity(own))
    assert isinstance(error, BadReply)


@given(st.binary(max_size=120))
def test_any_reply_in_a_session_decodes_or_raises_bad_reply(value: bytes) -> None:
    request = enip.encode_slot_identity(session=0x2A, slot=3)
    good = sent_back(request, b"\x81\0\0\0" + identity_bytes(b"1756-IF16/A"))
    for candidate in (value, good[:24] + value, good[:40] + value, good[:44] + value, request):
        for _ in (1, 2):
            try:
                enip.session_reply_length(candidate)
                reply = enip.decode_unconnected(candidate, request)
                enip.decode_diagnostic_status(reply)
            except BadReply:
                continue
    for data in (value, b"\x07" + bytes(6) + value, b"\x01\x46\0\1\0" + value):
        reply = enip.CipReply(service=0x4B, status=0, extended=None, data=data)
        try:
            text = enip.decode_diagnostic_status(reply)
        except BadReply:
            continue
        assert text is None or enip.CATALOGUE.fullmatch(text)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (enip.PROBE, enip.TCP_PROBE, enip.READ_PROBE):
        for question in probe.questions:
            assert open_guard("enip").judge(question.sample, probe.tier) is None
            assert question.label


def cip_device(identity: bytes, *, general_status: int = 0) -> Callable[[bytes | None], bytes]:
    """RegisterSession and Get_Attributes_All of the identity object."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[:2] == b"\x65\x00":
            return request[:4] + b"\x2a\x00\x00\x00" + request[8:]
        if request[:2] == b"\x63\x00":
            return list_identity_reply()
        cip = bytes([request[40] | 0x80, 0, general_status, 0]) + identity
        cpf = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(cip)) + cip
        return struct.pack("<HHII", 0x6F, len(cpf), 0x2A, 0) + request[12:24] + cpf

    return answer


@pytest.mark.integration
async def test_the_read_probe_reads_the_identity_object_and_gives_the_session_back(
    governed,
) -> None:
    """With the tripwire armed: the worker's start is granted, and so is its relay to it."""
    async with played(cip_device(identity_bytes(b"2711P-T10C", kind=24))) as (port, seen):
        async with governed(enip.READ_PROBE, port) as session:
            with tripwire.armed():
                access, said, _ = await enip.run_read(session)
            refusals = dict(session.device.figures.refusals)

    assert access.state is None
    assert said.model == "2711P-T10C"
    assert [frame[:2].hex() for frame in seen] == ["6500", "6f00", "6600"]
    assert seen[2][4:8] == b"\x2a\x00\x00\x00"
    assert not refusals
    assert session.device.figures.connections == 1


@pytest.mark.integration
async def test_the_slots_are_read_in_the_same_session_on_the_same_connection(governed) -> None:
    module = identity_bytes(b"1756-IF16/A", kind=10, serial=5)
    async with played(chassis({1: module})) as (port, seen):
        async with governed(enip.READ_PROBE, port) as session:
            with tripwire.armed():
                facts = await enip.run_read(session)
            labels = [row["label"] for row in session.evidence_kept.intents]

    assert behind(facts).keys() == {"slot 1"}
    assert [frame[:2].hex() for frame in seen] == ["6500", "6f00", *["6f00"] * 6, "6600"]
    assert [frame[-1] for frame in seen[2:-1]] == list(range(6))
    assert {frame[4:8] for frame in seen[1:]} == {b"\x2a\0\0\0"}
    assert session.device.figures.connections == 1
    assert labels[-7:] == [*(f"identity of slot {slot}" for slot in range(6)), "UnRegisterSession"]


@pytest.mark.integration
@pytest.mark.parametrize("closes", [True, False])
async def test_a_chassis_that_closes_or_falls_silent_in_the_row_has_told_what_it_told(
    governed, closes: bool
) -> None:
    sound = chassis({0: identity_bytes(b"1756-IF16/A", kind=10, serial=5)})

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[40:41] == b"\x52" and request[-1] == 1:
            if closes:
                raise Silent("closes")
            return b""
        return sound(request)

    async with played(answer) as (port, seen), governed(enip.READ_PROBE, port) as session:
        facts = await enip.run_read(session)

    assert behind(facts).keys() == {"slot 0"}
    slots = [frame[-1] for frame in seen if frame[40:41] == b"\x52"]
    assert slots == [0, 1]
    assert session.device.figures.connections == 1
    assert len(seen) == 4, "a device in doubt gets no further request, the goodbye neither"
    assert all(frame[:2] != b"\x66\0" for frame in seen)


@pytest.mark.integration
async def test_a_refused_identity_object_is_no_identity_and_the_session_is_given_back(
    governed,
) -> None:
    async with played(cip_device(b"", general_status=0x08)) as (port, seen):
        async with governed(enip.READ_PROBE, port) as session:
            with pytest.raises(BadReply, match="refused"):
                await enip.run_read(session)

    assert seen[-1][:2] == b"\x66\x00"


@pytest.mark.integration
async def test_the_tcp_question_goes_through_the_real_door(governed) -> None:
    async with played(cip_device(b"")) as (port, seen):
        async with governed(enip.TCP_PROBE, port) as session:
            _, said, _ = await enip.run_tcp(session)

    assert said.serial == "00c0ffee"
    assert seen == [enip.encode_list_identity()]
    assert enip.TCP_PROBE.tier is Tier.IDENTIFY
