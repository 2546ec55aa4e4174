"""S7comm-plus: recorded CPUs, refusals, other families, and hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import s7, s7plus
from scanner.errors import BadReply, Closed, OutsideWindow, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, S7Access, ServiceAccess

Answer = Callable[[bytes | None], bytes]
CONFIRM = bytes.fromhex("030000241fd00112000900c0010ac1020620c21053494d415449432d524f4f542d484d49")
REFUSE = bytes.fromhex("0300000b06800001000003")
KNOWN = (S7Access(tsap=0x0301), DeviceIdentity(order_number="6ES7 511-1AK00-0AB0"))


def recordings(folder: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("s7comm-plus__*.json"))]


def created(capture: dict) -> bytes:
    """The recorded reply to CreateObject; one that was published without its frame gets one."""
    reply = bytes.fromhex(capture["exchanges"][-1]["response_hex"])
    return reply if reply[0] == 3 else data(reply)


def data(pdu: bytes) -> bytes:
    return b"\x03\x00" + (7 + len(pdu)).to_bytes(2, "big") + b"\x02\xf0\x80" + pdu


def cpu(reply: bytes) -> Answer:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return CONFIRM if request[5] == 0xE0 else reply

    return answer


def made(
    attributes: bytes, *, sequence: int = 1, function: int = 0x04CA, opcode: int = 0x32
) -> bytes:
    body = bytes([opcode, 0, 0]) + function.to_bytes(2, "big") + bytes(2)
    body += sequence.to_bytes(2, "big") + b"\x36\x00\x01\x87\x06"
    body += b"\xa1\x00\x00\x01\x20\x82\x1f\x00\x00" + attributes + b"\xa2" + bytes(4)
    return data(b"\x72\x01" + len(body).to_bytes(2, "big") + body + b"\x72\x01\x00\x00")


def text(number: str, value: bytes) -> bytes:
    return b"\xa3" + bytes.fromhex(number) + b"\x00\x15" + bytes([len(value)]) + value


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert len(devices) >= 3
    for capture in devices:
        session = replay(s7plus.READ_PROBE, cpu(created(capture)), known=KNOWN)

        access, said, looked_up = await s7plus.run_read(session)

        facts = capture["facts"]
        assert said == DeviceIdentity(
            order_number=facts["order_number"], firmware=facts["firmware"]
        )
        assert looked_up == DeviceIdentity(
            vendor=facts["vendor"], device_class="plc", basis="table"
        )
        key = facts.get("public_key_fingerprint")
        assert access.details == ((("family", "S7-1500"),) if key else ())
        assert access.answers_without_login is True
        if "oms" in facts:
            assert access.version == facts["oms"].removeprefix("Server: ")
        assert [request[5] for request in session.sent] == [0xE0, 0xF0, 0x80]
        assert session.sent[2][6:8] == b"\x00\x09"
        assert session.connections == 1


def test_our_request_is_shaped_like_the_recorded_panel_s(captures: Path) -> None:
    """Ours differs in its names only: with theirs put in it is the recorded request."""
    (capture,) = [one for one in recordings(captures) if "1211" in one["id"]]
    connect, create = (bytes.fromhex(one["request_hex"]) for one in capture["exchanges"])

    assert s7plus.encode_connection_request()[11:13] == connect[11:13]
    assert s7plus.encode_connection_request()[15:] == connect[15:]
    theirs = create[7:]
    ours = s7plus.encode_create_object()[7:]
    for number, their_text, our_text in (
        ("8228", b"HMI USER"[:8], b"Walkdown"), ("8229", b"SMART", b"Walkdown"),
        ("822a", b"HMI HOST"[:8], b"Walkdown"), ("822d", b"OMS+ for SMART Runtime",
                                                 b"read-only identification"),
    ):  # fmt: skip
        if text(number, their_text) in theirs:
            ours = ours.replace(text(number, our_text), text(number, their_text))
        else:
            start = theirs.index(b"\xa3" + bytes.fromhex(number) + b"\x00\x15")
            size = theirs[start + 5]
            ours = ours.replace(text(number, our_text), theirs[start : start + 6 + size])
    assert ours[4:] == theirs[4:]


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("6ES7 511-1AK00-0AB0", True),
        ("6ES7 215-1AG40-0XB0", True),
        ("6ES7 510-1DJ01-0AB0", True),
        ("6ES7 315-2EH14-0AB0", False),
        ("6ES7 412-2EK07-0AB0", False),
        ("VIPA 315-4PN12", False),
        (None, False),
    ],
)
async def test_only_a_cpu_that_told_a_newer_family_is_asked(
    replay, captures: Path, told: str | None, asked: bool
) -> None:
    known = (S7Access(tsap=0x0302), DeviceIdentity(order_number=told))
    session = replay(s7plus.READ_PROBE, cpu(created(recordings(captures)[0])), known=known)

    facts = await s7plus.run_read(session)

    assert bool(facts) == asked == bool(session.sent)


@pytest.mark.parametrize(
    ("key", "family"), [(b"00:18", "S7-1500"), (b"01:18", "S7-1200"), (b"03:18", "PLCSIM")]
)
def test_the_family_follows_from_the_fingerprint(key: bytes, family: str) -> None:
    reply = made(text("8169", key) + text("823f", b"1;6ES7 512-1DK01-0AB0;V2.8"))

    access, said, _ = s7plus.facts_from(s7plus.decode_create_object(reply, sequence=1))

    assert access.details == (("family", family),)
    assert said.firmware == "V2.8"


def test_values_of_every_known_kind_are_read_over() -> None:
    others = (
        b"\xa3\x01\x00\x00" + b"\xa3\x02\x00\x01\x01" + b"\xa3\x03\x00\x03\x00\x01"
        + b"\xa3\x04\x00\x04\x84\x80\x01" + b"\xa3\x05\x00\x05" + b"\xff" * 9
        + b"\xa3\x06\x10\x02\x03\x01\x02\x03" + b"\xa3\x07\x00\x0f" + bytes(8)
        + b"\xa3\x08\x00\x14\x02ab" + b"\xa3\x09\x00\x12\x00\x00\x00\x01"
        + b"\xa3\x0a\x00\x17\x00\x00\x01\x3a\x01\x00\x04\x05\x00"
        + b"\xa1\x00\x00\x00\x01\x05\x00\x00\xa3\x01\x00\x15\x01x\xa2"
    )  # fmt: skip

    found = s7plus.decode_create_object(
        made(others + text("823f", b"1;6ES7 211-1BE31-0XB0 ;V3.0")), sequence=1
    )

    assert found.texts == {1: "x", 319: "1;6ES7 211-1BE31-0XB0 ;V3.0"}


@pytest.mark.parametrize(
    "description", [b"", b"1;;V1.0", b"2;288", b"1;6ES7 511-1AK00-0AB0", b"\x01\x02"]
)
def test_what_does_not_describe_the_cpu_names_nothing(description: bytes) -> None:
    facts = s7plus.facts_from(
        s7plus.decode_create_object(made(text("823f", description)), sequence=1)
    )

    assert not any(isinstance(fact, DeviceIdentity) for fact in facts)


async def test_a_refused_session_claims_nothing(replay) -> None:
    body = b"\x32\0\0\x04\xca\0\0\0\x01\x36\x92\x81\x80\x80\x01\0"
    reply = data(b"\x72\x01" + len(body).to_bytes(2, "big") + body + b"\x72\x01\0\0")

    assert await s7plus.run_read(replay(s7plus.READ_PROBE, cpu(reply), known=KNOWN)) == (
        ServiceAccess(protocol="s7plus", encrypted=False),
    )


async def test_a_refused_seat_is_a_refusal_and_nothing_follows(replay) -> None:
    session = replay(s7plus.READ_PROBE, lambda request: REFUSE, known=KNOWN)

    with pytest.raises(Refused, match="no seat"):
        await s7plus.run_read(session)
    assert len(session.sent) == session.connections == 1


@pytest.mark.parametrize("trouble", [Silent, Closed, Reset])
@pytest.mark.parametrize("at", [0xE0, 0xF0])
async def test_silence_and_a_dropped_connection_are_not_followed_by_another(
    replay, trouble, at
) -> None:
    def answer(request: bytes | None) -> bytes:
        if request[5] == at:
            raise trouble("so it is")
        return CONFIRM

    session = replay(s7plus.READ_PROBE, answer, known=KNOWN)

    with pytest.raises(trouble):
        await s7plus.run_read(session)
    assert session.sent[-1][5] == at
    assert session.connections == 1


@pytest.mark.parametrize("trouble", [Closed, OutsideWindow])
async def test_a_goodbye_that_cannot_be_said_costs_no_answer(
    replay, captures: Path, trouble
) -> None:
    class Ending(replay):
        async def exchange(self, request, framer, **options):
            if framer is None:
                raise trouble("too late")
            return await super().exchange(request, framer, **options)

    reply = created(recordings(captures)[0])

    assert len(await s7plus.run_read(Ending(s7plus.READ_PROBE, cpu(reply), known=KNOWN))) == 3


async def test_an_echo_of_our_own_bytes_is_no_cpu(replay) -> None:
    with pytest.raises(BadReply):
        await s7plus.run_read(replay(s7plus.READ_PROBE, lambda request: request, known=KNOWN))
    with pytest.raises(BadReply, match="reply of S7comm-plus"):
        await s7plus.run_read(
            replay(s7plus.READ_PROBE, cpu(s7plus.encode_create_object()), known=KNOWN)
        )


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (made(b"", sequence=2), "sequence number"),
        (made(b"", function=0x054C), "CreateObject"),
        (made(b"", opcode=0x31), "reply of S7comm-plus"),
        (data(b"\x32\x03" + bytes(20)), "reply of S7comm-plus"),
        (data(b"\x72\x01\x00\x04\x32"), "reply of S7comm-plus"),
        (CONFIRM, "COTP data"),
        (s7.encode_setup(reference=1), "reply of S7comm-plus"),
    ],
)
def test_what_is_no_reply_to_the_request_is_a_bad_reply(reply: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        s7plus.decode_create_object(reply, sequence=1)


def test_an_object_without_end_is_left() -> None:
    endless = (b"\xa3\x01\x00\x00") * 1000

    assert s7plus.decode_create_object(made(endless), sequence=1).texts == {}
    nested = b"\xa1\x00\x00\x00\x01\x05\x00\x00" * 50
    assert s7plus.decode_create_object(made(nested), sequence=1).texts == {}


@pytest.mark.timeout(5)
def test_an_array_of_nothing_however_long_costs_no_time() -> None:
    """Values of the null type have no bytes: a count of four milliards was gone through."""
    for kind in ("00", "04", "14"):
        endless = bytes.fromhex("a1 00000001 00 0000 a3 8169 10") + bytes.fromhex(kind)
        reply = made(endless + s7plus.encode_vlq(2**32 - 1))

        assert s7plus.decode_create_object(reply, sequence=1).texts == {}


@given(st.integers(0, 2**32))
def test_numbers_in_vlq_are_read_as_written(number: int) -> None:
    assert s7plus._Cursor(s7plus.encode_vlq(number)).vlq() == number


@given(st.binary(max_size=150))
def test_any_bytes_give_a_value_or_a_bad_reply(raw: bytes) -> None:
    for reply in (raw, data(raw), made(raw), data(b"\x72\x01\x00\xf0" + raw)):
        try:
            s7plus.facts_from(s7plus.decode_create_object(reply, sequence=1))
        except BadReply:
            continue
