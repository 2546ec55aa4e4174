"""EtherNet/IP identification: recordings, wrong lengths, hostile bytes, and the real door."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import enip
from scanner import tripwire
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
        return command, frame[40:46] if command == 0x6F else b""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        for exchange in capture["exchanges"]:
            known = bytes.fromhex(exchange["request_hex"])
            reply = bytes.fromhex(exchange["response_hex"])
            # The rack's recording asks the CPU through the bridge (Unconnected_Send, 0x52); the
            # reply is the same as to the bare request inside.
            inner = known[50:56] if kind(known)[1][:1] == b"\x52" else known[40:46]
            if kind(known)[0] == kind(request)[0] and inner == kind(request)[1]:
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
    async with played(cip_device(identity_bytes(b"1756-L61/B LOGIX5561"))) as (port, seen):
        async with governed(enip.READ_PROBE, port) as session:
            with tripwire.armed():
                access, said, _ = await enip.run_read(session)
            refusals = dict(session.device.figures.refusals)

    assert access.state is None
    assert said.model == "1756-L61/B LOGIX5561"
    assert [frame[:2].hex() for frame in seen] == ["6500", "6f00", "6600"]
    assert seen[2][4:8] == b"\x2a\x00\x00\x00"
    assert not refusals
    assert session.device.figures.connections == 1


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
