"""FINS identification: recordings, both transports, what is no answer, hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import fins
from scanner.errors import BadReply, Reset, Silent
from scanner.facts import ControllerState, DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from scanner.model import Transport

NODES = bytes.fromhex("46494e53000000100000000100000000000000fb000000c8")
DATA = b"CJ2M-CPU33".ljust(20) + b"02.01".ljust(10, b"\0") + b"02.10".ljust(10, b"\0") + bytes(28)
STATUS = bytes([1, 4]) + bytes(8) + b" " * 16


def recordings(folder: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("fins__*"))]


def command_of(frame: bytes) -> bytes:
    return frame[26:28] if frame[:4] == b"FINS" else frame[10:12]


def recorded(capture: dict, *, tcp: bool) -> Callable[[bytes | None], bytes]:
    """The recorded device; service id, and on a connection the nodes, as this request has them."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        for exchange in capture["exchanges"]:
            known = bytes.fromhex(exchange["request_hex"])
            reply = bytearray.fromhex(exchange["response_hex"])
            if (known[:4] == b"FINS") != tcp or command_of(known) != command_of(request):
                continue
            if command_of(known):
                at = 16 if tcp else 0
                reply[at + 3 : at + 6] = request[at + 6 : at + 9]
                reply[at + 9] = request[at + 9]
            return bytes(reply)
        raise Silent("not in the recording")

    return answer


def response(body: bytes, *, command: int = 0x0501, end_code: int = 0, sid: int = 0xEF) -> bytes:
    header = bytes([0xC0, 0, 2, 0, 126, 0, 0, 200, 0, sid])
    return header + command.to_bytes(2, "big") + end_code.to_bytes(2, "big") + body


def framed(inside: bytes) -> bytes:
    length = (8 + len(inside)).to_bytes(4, "big")
    return b"FINS" + length + bytes.fromhex("0000000200000000") + inside


def conversation(*replies: bytes) -> Callable[[bytes | None], bytes]:
    left = iter(replies)
    return lambda request: next(left)


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert devices
    for capture in devices:
        truth = capture["facts"]
        transports = {e["request_hex"].startswith("46494e53") for e in capture["exchanges"]}
        for tcp in transports:
            probe = fins.TCP_PROBE if tcp else fins.PROBE
            facts = await probe.run(replay(probe, recorded(capture, tcp=tcp)))
            if not capture.get("identity_in_reply", True):
                assert not [fact for fact in facts if isinstance(fact, DeviceIdentity)]
                continue
            access, said, looked_up = facts
            assert said == DeviceIdentity(
                model=truth["model"], firmware=truth.get("version", said.firmware)
            )
            assert (looked_up.vendor, looked_up.device_class) == (truth["vendor"], "plc")
            if "internal_version" in truth:
                assert dict(access.details)["internal version"] == truth["internal_version"]


async def test_one_datagram_is_all_that_is_sent(replay) -> None:
    session = replay(fins.PROBE, lambda request: response(DATA))

    access, said, _ = await fins.run(session)

    assert [sent.hex() for sent in session.sent] == ["800002000000007e00ef050100"]
    assert said == DeviceIdentity(model="CJ2M-CPU33", firmware="02.01")
    assert access == ServiceAccess(
        protocol="fins",
        answers_without_login=True,
        encrypted=False,
        details=(("node", "200"), ("internal version", "02.10")),
    )


async def test_on_a_connection_the_nodes_are_those_that_the_device_told(replay) -> None:
    session = replay(fins.TCP_PROBE, conversation(NODES, framed(response(DATA))))

    access, _, _ = await fins.run_tcp(session)

    assert session.sent[0] == bytes.fromhex("46494e530000000c") + bytes(12)
    assert (
        session.sent[1].hex() == "46494e53000000150000000200000000" + "80000200c80000fb00ef050100"
    )
    assert dict(access.details)["client node"] == "251"


def test_the_connection_is_planned_only_when_the_datagram_stayed_unanswered() -> None:
    assert fins.PROBE.transport is Transport.UDP
    assert fins.TCP_PROBE.needs == {"udp_silent"}
    assert all(p.spoken_by == "omron" for p in (fins.PROBE, fins.TCP_PROBE, fins.READ_PROBE))


async def test_status_is_read_over_the_transport_that_answered(replay) -> None:
    by_udp = replay(fins.READ_PROBE, lambda _: response(STATUS, command=0x0601))
    by_tcp = replay(
        fins.TCP_READ_PROBE,
        conversation(NODES, framed(response(STATUS, command=0x0601))),
    )
    for session, run in ((by_udp, fins.run_read), (by_tcp, fins.run_read_tcp)):
        access, state = await run(session)
        assert state == ControllerState(operating_state="run")
        assert dict(access.details)["fatal error data"] == "0000"
    assert fins.READ_PROBE.needs == fins.TCP_READ_PROBE.needs == {"answered_here"}


@pytest.mark.parametrize(
    ("status", "says", "fatal"),
    [
        (bytes([1, 2]) + bytes(4), "monitor", "0000"),
        (bytes([0, 0]) + bytes(4), "program", "0000"),
        (bytes([0, 4, 0x80, 0]) + bytes(2), "stop", "8000"),
        (bytes([0x80, 4]) + bytes(4), "standby", "0000"),
        (bytes([1, 9]) + bytes(4), None, "0000"),
        (bytes([7, 4]) + bytes(4), None, "0000"),
    ],
)
def test_a_controller_with_a_fatal_error_does_not_run(status: bytes, says, fatal: str) -> None:
    access, state = fins.state(fins.Answer(node=1, end_code=0, data=status))

    assert state.operating_state == says
    assert dict(access.details)["fatal error data"] == fatal


async def test_a_refused_command_is_no_identity(replay) -> None:
    session = replay(fins.PROBE, lambda _: response(b"", end_code=0x0401))

    (access,) = await fins.run(session)

    assert access == ServiceAccess(protocol="fins", details=(("node", "200"), ("end code", "0401")))
    assert fins.state(fins.Answer(node=1, end_code=0x2101, data=b"")) == ()


def test_error_flags_beside_an_end_code_refuse_nothing() -> None:
    assert fins.decode_answer(response(DATA, end_code=0x00C0), command=0x0501).end_code == 0


async def test_an_empty_model_is_no_identity(replay) -> None:
    session = replay(fins.PROBE, lambda _: response(bytes(96)))

    assert len(await fins.run(session)) == 1


@pytest.mark.parametrize(
    "reply",
    [
        fins.encode_command(0x0501),  # an echo of our own request
        response(DATA, command=0x0601),
        response(DATA, sid=0xEE),
        response(DATA)[:40],
        response(DATA)[:12],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x40" + response(DATA)[1:],
    ],
)
async def test_what_is_no_answer_to_the_question_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await fins.run(replay(fins.PROBE, lambda _: reply))


@pytest.mark.parametrize(
    "replies",
    [
        (fins.encode_node_request(),),  # an echo
        (bytes.fromhex("46494e53000000080000000100000020"),),  # all connections are in use
        (NODES[:16] + bytes(4) + NODES[20:],),
        (NODES[:20] + b"\0\0\1\0",),
        (NODES, NODES),
        (NODES, framed(fins.encode_command(0x0501))),
        (NODES, framed(response(DATA, sid=1))),
        (NODES, b"SSH-2.0-OpenSSH_9.2\r\n"),
        (NODES, b"FINS\xff\xff\xff\xff"),
        (NODES, b"FINS\0\0\0\x07"),
    ],
)
async def test_what_is_no_answer_on_a_connection_is_a_bad_reply(replay, replies) -> None:
    with pytest.raises(BadReply):
        await fins.run_tcp(replay(fins.TCP_PROBE, conversation(*replies)))


@pytest.mark.parametrize("error", [Silent, Reset])
async def test_silence_and_reset_pass(replay, error: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error("made up")

    with pytest.raises(error):
        await fins.run(replay(fins.PROBE, answer))


async def test_half_a_frame_is_a_silence(replay) -> None:
    with pytest.raises(Silent):
        await fins.run_tcp(replay(fins.TCP_PROBE, conversation(NODES[:20])))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    good = response(DATA)
    for candidate in (value, good[:14] + value, framed(value), NODES[:16] + value, b"FINS" + value):
        for decode in (
            fins.reply_length,
            fins.decode_nodes,
            fins.decode_frame,
            fins.decode_controller_data,
            fins.decode_controller_status,
            lambda reply: fins.identify(fins.decode_answer(reply, command=0x0501)),
            lambda reply: fins.state(fins.decode_answer(reply, command=0x0601)),
        ):
            try:
                decode(candidate)
            except BadReply:
                continue
    assert fins.datagram_length(value) == (len(value) or None)


@given(st.binary(min_size=40, max_size=80))
def test_texts_are_bounded_and_printable(data: bytes) -> None:
    told = fins.decode_controller_data(data)

    for text in (told.model, told.version, told.internal_version):
        assert text is None or (len(text) <= 20 and text.isprintable())


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (fins.PROBE, fins.TCP_PROBE, fins.READ_PROBE, fins.TCP_READ_PROBE):
        for question in probe.questions:
            assert open_guard("fins").judge(question.sample, probe.tier) is None
