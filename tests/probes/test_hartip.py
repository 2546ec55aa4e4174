"""HART-IP: a recorded gateway, devices behind one, refusals, the goodbye, and hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import hartip
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from scanner.model import Transport

IDENTIFIER = bytes.fromhex("fe264e050704010e0c0000d205020002d00026002684")
"""Data of command 0 as the recorded gateway answers it."""
ADDRESS = bytes.fromhex("264e0000d2")
NOT_IMPLEMENTED = 64


def sub_device(
    index: int, *, card: int = 0, channel: int = 0, manufacturer: int = 0x11, tag: bytes = b"TT-1"
) -> bytes:
    head = index.to_bytes(2, "big") + bytes([card, channel]) + manufacturer.to_bytes(2, "big")
    device = bytes.fromhex("11cb0102") + bytes([index]) + b"\x07"
    return head + device + tag.ljust(32, b"\0") + b"\x01\x01" + manufacturer.to_bytes(2, "big")


class Gateway:
    """Answers commands from a table of data; what is missing is not implemented."""

    def __init__(
        self,
        table: Mapping[tuple[int, bytes], bytes] | None = None,
        *,
        status: int = 0,
        change: Callable[[bytes], bytes] = lambda reply: reply,
    ) -> None:
        self.table = {(0, b""): IDENTIFIER} | dict(table or {})
        self.status, self.change = status, change

    def __call__(self, request: bytes | None) -> bytes:
        assert request is not None
        head = b"\x01\x01" + request[2:3]
        if request[2] == 0:
            body, status = b"\x01" + bytes.fromhex("0000ea60"), self.status
        elif request[2] == 1:
            body, status = b"", 0
        else:
            body, status = self._frame(request[8:]), 0
        reply = head + bytes([status]) + request[4:6] + (8 + len(body)).to_bytes(2, "big") + body
        return self.change(reply)

    def _frame(self, frame: bytes) -> bytes:
        at = 6 if frame[0] & 0x80 else 2
        data = self.table.get((frame[at], frame[at + 2 : -1]))
        content = bytes([NOT_IMPLEMENTED, 0]) if data is None else b"\x00\xd0" + data
        answer = bytes([frame[0] & 0x80 | 0x06]) + frame[1 : at + 1]
        answer += bytes([len(content)]) + content
        return answer + bytes([reduce(xor, answer)])


def recorded(captures: Path) -> tuple[dict, Callable[[bytes | None], bytes]]:
    """The recorded gateway, matched by message and by what the frame asks for."""
    path = captures / "hart-ip__hart-ip_wirelesshart_gateway_wihartgw.json"
    capture = json.loads(path.read_text())
    known = {}
    for exchange in capture["exchanges"]:
        request, reply = (bytes.fromhex(exchange[f"{e}_hex"]) for e in ("request", "response"))
        known[request[2], request[8:] if request[2] == 3 else b""] = reply

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        reply = known.get((request[2], request[8:] if request[2] == 3 else b""))
        if reply is None:
            refused = Gateway({})(request)
            assert refused[16] == NOT_IMPLEMENTED
            return refused
        return reply[:4] + request[4:6] + reply[6:]

    return capture, answer


async def test_the_recorded_gateway_is_identified_by_its_own_bytes(replay, captures: Path) -> None:
    capture, answer = recorded(captures)
    session = replay(hartip.PROBE, answer)

    access, said, looked_up = await hartip.run(session)

    truth = capture["facts"]
    assert said == DeviceIdentity(
        serial=truth["device_id"], firmware=str(truth["software_rev"]), hardware="1"
    )
    assert looked_up == DeviceIdentity(vendor="Rosemount", device_class="gateway", basis="table")
    assert truth["manufacturer_id"].startswith("0x0026 (Rosemount")
    assert access == ServiceAccess(
        protocol="hartip", answers_without_login=True, encrypted=False, version="1",
        details=(
            ("manufacturer", "0x0026"),
            ("expanded device type", truth["expanded_device_type"].replace("e", "E")),
            ("universal revision", str(truth["hart_rev"])),
            ("device revision", str(truth["device_rev"])),
        ),
    )  # fmt: skip
    assert [request.hex() for request in session.sent] == [
        "010000000001000d0100002710",
        "010003000002000d0200000002",
        "0100010000030008",
    ]


async def test_its_read_tier_adds_the_long_tag_and_the_status(replay, captures: Path) -> None:
    capture, answer = recorded(captures)

    facts = await hartip.run_read(replay(hartip.READ_PROBE, answer))

    assert DeviceIdentity(name=capture["facts"]["long_tag"]) in facts
    (access,) = (fact for fact in facts if isinstance(fact, ServiceAccess))
    assert ("additional device status", "10040700000002000000000000") in access.details
    assert "sub-devices" not in dict(access.details)
    assert "tag" not in dict(access.details)  # it is empty


async def test_every_device_behind_is_an_identity_of_its_own(replay) -> None:
    table = {
        (13, b""): bytes.fromhex("35530b4f2c8b20820820820820820820820820") + bytes(3),
        (20, b""): b"MUX".ljust(32, b"\0"),
        (74, b""): bytes([1, 8, 1, 0, 4, 2, 1, 3]),
        (84, b"\0\1"): sub_device(1, channel=0),
        (84, b"\0\2"): sub_device(2, channel=5, manufacturer=0x26, tag=b"PT-2"),
        (84, b"\0\3"): sub_device(3, card=1, channel=5, manufacturer=0x7FFF, tag=b"????????"),
    }
    session = replay(hartip.READ_PROBE, Gateway(table))

    facts = await hartip.run_read(session)

    behind = [f for f in facts if isinstance(f, DeviceIdentity) and f.sub_address]
    assert behind == [
        DeviceIdentity(sub_address="I/O card 0 channel 0", serial="010201", name="TT-1"),
        DeviceIdentity(sub_address="I/O card 0 channel 0", vendor="Endress+Hauser", basis="table"),
        DeviceIdentity(sub_address="I/O card 0 channel 5", serial="010202", name="PT-2"),
        DeviceIdentity(sub_address="I/O card 0 channel 5", vendor="Rosemount", basis="table"),
        DeviceIdentity(sub_address="I/O card 1 channel 5", serial="010203"),
    ]
    (access,) = (fact for fact in facts if isinstance(fact, ServiceAccess))
    assert dict(access.details)["sub-devices"] == "3"
    assert session.sent[-1][2] == 1
    assert session.sent[0].hex() == "010000000001000d0100007530"


async def test_devices_at_one_place_are_told_apart(replay) -> None:
    table = {
        (74, b""): bytes([1, 1, 15, 0, 3, 2, 1, 3]),
        (84, b"\0\1"): sub_device(1),
        (84, b"\0\2"): sub_device(2),
    }

    facts = await hartip.run_read(replay(hartip.READ_PROBE, Gateway(table)))

    places = {f.sub_address for f in facts if isinstance(f, DeviceIdentity) and f.sub_address}
    assert places == {
        "I/O card 0 channel 0 device 010201", "I/O card 0 channel 0 device 010202",
    }  # fmt: skip


async def test_no_more_than_sixty_four_devices_behind_are_asked(replay) -> None:
    table = {(74, b""): bytes([9, 9, 9, 255, 255, 2, 1, 3])} | {
        (84, n.to_bytes(2, "big")): sub_device(n % 256, channel=n % 8) for n in range(1, 200)
    }
    session = replay(hartip.READ_PROBE, Gateway(table))

    await hartip.run_read(session)

    asked = [r for r in session.sent if r[2] == 3 and r[14:15] == b"\x54"]
    assert len(asked) == 64


async def test_no_session_no_identity_and_no_goodbye(replay) -> None:
    session = replay(hartip.PROBE, Gateway(status=15))

    facts = await hartip.run(session)

    assert facts == (
        ServiceAccess(protocol="hartip", encrypted=False, details=(("session status", "15"),)),
    )
    assert len(session.sent) == 1


@pytest.mark.parametrize("error", [Silent("no"), Reset("no"), Closed("no"), BadReply("no")])
async def test_a_session_is_closed_whatever_becomes_of_the_question(replay, error) -> None:
    gateway = Gateway()

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[2] == 0:
            return gateway(request)
        raise error

    session = replay(hartip.TCP_PROBE, answer)
    with pytest.raises(type(error)):
        await hartip.run_tcp(session)

    assert [request[2] for request in session.sent] == [0, 3, 1]


async def test_a_silent_device_gets_no_goodbye(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        raise Silent("nobody")

    session = replay(hartip.PROBE, answer)
    with pytest.raises(Silent):
        await hartip.run(session)

    assert len(session.sent) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r if r[2] != 3 else r[:-1] + bytes([r[-1] ^ 1]),  # check byte
        lambda r: r if r[2] != 3 else r[:10] + b"\x14" + r[11:-1] + bytes([r[-1] ^ 0x14]),
        lambda r: r if r[2] != 3 else r[:3] + b"\x05" + r[4:],  # a status of HART-IP
        lambda r: r[:6] + b"\x00\x09" + r[8:],
        lambda r: b"\x01\x00" + r[2:],  # a request
        lambda r: r[:2] + b"\x03" + r[3:] if r[2] == 0 else r,
    ],
)
async def test_what_does_not_refer_to_the_question_is_a_bad_reply(replay, change) -> None:
    with pytest.raises(BadReply):
        await hartip.run(replay(hartip.PROBE, Gateway(change=change)))


async def test_an_echo_is_no_device(replay) -> None:
    for probe, run in ((hartip.PROBE, hartip.run), (hartip.TCP_PROBE, hartip.run_tcp)):
        with pytest.raises(BadReply):
            await run(replay(probe, lambda request: request))


async def test_an_answer_of_another_number_is_waited_past(replay) -> None:
    with pytest.raises(Silent):
        await hartip.run(
            replay(hartip.PROBE, Gateway(change=lambda r: r[:4] + b"\x00\x63" + r[6:]))
        )


async def test_a_device_that_refuses_command_0_is_not_identified(replay) -> None:
    gateway = Gateway()
    gateway.table.clear()

    with pytest.raises(BadReply, match="response code 64"):
        await hartip.run(replay(hartip.PROBE, gateway))


def test_before_revision_7_the_manufacturer_is_the_first_byte_of_the_type() -> None:
    found = hartip.decode_identifier(bytes.fromhex("fe11cb0505020108000a0b0c"))

    assert (found.manufacturer, found.profile, found.expanded_type) == (0x11, None, 0x11CB)
    assert hartip.identities(found)[1].vendor == "Endress+Hauser"
    assert found.address == bytes.fromhex("11cb0a0b0c")


def test_packed_ascii_is_unpacked() -> None:
    # T I C 1 = 14 09 03 31: 010100 001001 000011 110001
    assert hartip.packed_ascii(bytes.fromhex("5090f1")) == "TIC1"
    assert hartip.packed_ascii(bytes(6)) is None
    assert hartip.packed_ascii(b"\x50") is None
    assert hartip.latin_1(b"x" * 200) == "x" * 64
    assert hartip.latin_1(b"a\x1b[2J\x00b") == "a[2J"


def test_the_tcp_question_is_planned_only_when_the_datagram_stayed_unanswered() -> None:
    assert hartip.PROBE.transport is Transport.UDP
    assert hartip.TCP_PROBE.needs == {"udp_silent"}
    assert hartip.READ_PROBE.transport is Transport.TCP


def test_every_cut_of_an_answer_is_incomplete_or_bad() -> None:
    request = hartip.encode_command(0, address=b"\0", sequence=2)
    whole = Gateway()(request)
    for cut in range(len(whole)):
        assert hartip.message_length(whole[:cut]) is None
        with pytest.raises(BadReply):
            hartip.decode_message(whole[:cut], message_id=3, sequence=2)
    _, frame = hartip.decode_message(whole, message_id=3, sequence=2)
    for cut in range(len(frame)):
        with pytest.raises(BadReply):
            hartip.decode_pdu(frame[:cut], command=0)
    for cut in range(12):
        with pytest.raises(BadReply):
            hartip.decode_identifier(IDENTIFIER[:cut])
        with pytest.raises(BadReply):
            hartip.decode_sub_device(sub_device(1)[:cut], index=1)


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    framed = b"\x01\x01\x03\x00\x00\x02" + (8 + len(value)).to_bytes(2, "big") + value
    frame = b"\x86" + ADDRESS + b"\x00" + bytes([len(value)]) + value
    frame += bytes([reduce(xor, frame)])
    calls: list[Callable[[], object]] = [
        lambda: hartip.message_length(value),
        lambda: hartip.datagram_length(value, sequence=2),
        lambda: hartip.decode_message(framed, message_id=3, sequence=2),
        lambda: hartip.decode_pdu(value, command=0),
        lambda: hartip.decode_pdu(frame, command=0),
        lambda: hartip.identities(hartip.decode_identifier(b"\xfe" + value)),
        lambda: hartip.sub_identities([hartip.decode_sub_device(b"\0\1" + value, index=1)]),
        lambda: hartip.decode_devices_detected(value),
        lambda: hartip.decode_tag(value),
    ]
    for call in calls:
        try:
            call()
        except BadReply:
            continue


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (hartip.PROBE, hartip.TCP_PROBE, hartip.READ_PROBE):
        for question in probe.questions:
            assert open_guard("hartip").judge(question.sample, probe.tier) is None
            assert question.label
