"""MELSOFT identification: recordings, both transports, what is no answer, hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import melsoft
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from scanner.model import Transport

Q_CPU = bytes.fromhex(
    "d700c80000111107000000e40300ffff03000038009c000c080000000010040000000001010100000051303355"
    "44454350552020202020202068020008baba081020210316002002000101e802"
)
"""What a Q03UDECPU answered on TCP 5007, as published by several who asked one."""


def always(reply: bytes) -> Callable[[bytes | None], bytes]:
    return lambda request: reply


def test_every_recording_gives_its_facts_and_no_others(captures: Path) -> None:
    """The FX5U is not asked by this probe (see its docstring); its answer has the same layout."""
    devices = [json.loads(f.read_text()) for f in sorted(captures.glob("melsoft__*"))]
    assert devices
    for capture in devices:
        told = []
        for exchange in capture["exchanges"]:
            try:
                told.append(melsoft.decode_cpu(bytes.fromhex(exchange["response_hex"])))
            except BadReply:
                continue
        truth = capture["facts"]
        assert {cpu.model for cpu in told} == {truth["model"]}
        _, said, looked_up = melsoft.facts(told[0])
        assert said == DeviceIdentity(model=truth["model"])
        assert looked_up.vendor == truth["vendor"]


async def test_the_recorded_frame_is_all_that_is_sent(replay) -> None:
    by_udp = replay(melsoft.PROBE, always(Q_CPU))
    by_tcp = replay(melsoft.TCP_PROBE, always(Q_CPU))

    facts = await melsoft.run(by_udp)

    assert facts == await melsoft.run_tcp(by_tcp)
    verbatim = "57000000001111070000ffff030000fe03000014001c080a0800000000000000040101010000000001"
    assert [sent.hex() for sent in by_udp.sent + by_tcp.sent] == [verbatim] * 2
    assert facts == (
        ServiceAccess(
            protocol="melsoft",
            answers_without_login=True,
            encrypted=False,
            details=(("model code", "0268"),),
        ),
        DeviceIdentity(model="Q03UDECPU"),
        DeviceIdentity(vendor="Mitsubishi", device_class="plc", basis="table"),
    )


def test_the_connection_is_planned_only_when_the_datagram_stayed_unanswered() -> None:
    assert (melsoft.PROBE.transport, melsoft.PROBE.ports) == (Transport.UDP, (5006,))
    assert (melsoft.TCP_PROBE.ports, melsoft.TCP_PROBE.needs) == ((5007,), {"udp_silent"})
    assert melsoft.PROBE.spoken_by == melsoft.TCP_PROBE.spoken_by == "mitsubishi"


def test_an_empty_name_is_no_identity() -> None:
    nameless = Q_CPU[:41] + bytes(16) + Q_CPU[57:]

    assert len(melsoft.facts(melsoft.decode_cpu(nameless))) == 1


@pytest.mark.parametrize(
    "reply",
    [
        melsoft.encode_cpu_name(),  # an echo of our own request
        b"\xd7" + melsoft.encode_cpu_name()[1:],
        Q_CPU[:35] + b"\x14\x02" + Q_CPU[37:],
        Q_CPU[:21] + b"\x1c" + Q_CPU[22:],
        Q_CPU[:23] + b"\x18" + Q_CPU[24:],
        Q_CPU[:5] + b"\x22" + Q_CPU[6:],
        Q_CPU + b"\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("da0000011400c0a80365c0a80365"),
    ],
)
async def test_what_is_no_answer_to_the_question_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await melsoft.run(replay(melsoft.PROBE, always(reply)))


async def test_a_stream_is_cut_at_the_length_that_it_names(replay) -> None:
    facts = await melsoft.run_tcp(replay(melsoft.TCP_PROBE, always(Q_CPU + b"more")))
    assert len(facts) == 3
    with pytest.raises(Silent):
        await melsoft.run_tcp(replay(melsoft.TCP_PROBE, always(Q_CPU[:60])))
    with pytest.raises(BadReply):
        await melsoft.run_tcp(replay(melsoft.TCP_PROBE, always(Q_CPU[:19] + b"\xff\xff" + Q_CPU)))


@pytest.mark.parametrize("error", [Silent, Reset, Closed])
async def test_silence_reset_and_close_pass(replay, error: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error("made up")

    with pytest.raises(error):
        await melsoft.run(replay(melsoft.PROBE, answer))


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    mended = Q_CPU[:19] + (len(value) + 2).to_bytes(2, "little") + Q_CPU[21:23] + value
    for candidate in (value, b"\xd7" + value, Q_CPU[:23] + value, mended, Q_CPU[:41] + value):
        for decode in (melsoft.reply_length, melsoft.decode_cpu):
            try:
                told = decode(candidate)
            except BadReply:
                continue
            if isinstance(told, melsoft.Cpu):
                assert told.model is None or (len(told.model) <= 16 and told.model.isprintable())
    assert melsoft.datagram_length(value) == (len(value) or None)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (melsoft.PROBE, melsoft.TCP_PROBE):
        for question in probe.questions:
            assert open_guard("melsoft").judge(question.sample, probe.tier) is None
