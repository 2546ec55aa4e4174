"""Niagara Fox: a recorded JACE, stations on a PC, greetings without a challenge, hostile bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import fox
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

BODY = b"fox.version=s:1.0.1\nid=i:2\napp.name=s:Station\napp.version=s:4.10.0\nstation.name=s:B1\n"
CHALLENGE = b"fox a 1 -1 fox challenge\n{\nmethod=s:basic\n};;\n"


def hello(more: bytes = b"hostId=s:Win-99CB-D49D-5442-07BB\n", *, body: bytes = BODY) -> bytes:
    return b"fox a 0 -1 fox hello\n{\n" + body + more + b"};;\n"


def recorded(captures: Path) -> tuple[dict, bytes]:
    capture = json.loads((captures / "fox__tridium_jace_qnx_npm6_vykon.json").read_text())
    return capture, bytes.fromhex(capture["exchanges"][0]["response_hex"])


async def test_the_recorded_station_is_identified_by_its_own_words(replay, captures: Path) -> None:
    capture, reply = recorded(captures)
    session = replay(fox.PROBE, lambda request: reply)

    access, said, meant = await fox.run(session)

    truth = capture["facts"]
    assert session.sent == [b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"]
    assert said == DeviceIdentity(name=truth["station.name"], firmware=truth["app.version"])
    assert meant == DeviceIdentity(vendor="Tridium", model="NPM6", device_class="plc", basis="text")
    assert access.authentication == ("digest-md5",)
    assert access.answers_without_login is False
    details = dict(access.details)
    assert details["hostId"] == truth["hostId"]
    assert details["app.name"] == truth["app.name"]
    assert details["brandId"] == "vykon"
    assert f"{details['os.name']} {details['os.version']}" == truth["os"]
    assert f"{details['vm.name']} {details['vm.version']}" == truth["vm"]


async def test_a_station_on_a_pc_has_no_maker(replay) -> None:
    facts = await fox.run(replay(fox.PROBE, lambda request: hello() + CHALLENGE))

    assert facts == (
        ServiceAccess(
            protocol="fox", answers_without_login=False, encrypted=False, version="1.0.1",
            authentication=("basic",),
            details=(("app.name", "Station"), ("hostId", "Win-99CB-D49D-5442-07BB")),
        ),
        DeviceIdentity(name="B1", firmware="4.10.0"),
    )  # fmt: skip


@pytest.mark.parametrize("behind", [b"", b"fox a 1 -1 fox kerberos\n{\nuseKerberos=z:f\n};;\n"])
async def test_without_a_challenge_the_method_is_not_known(replay, behind: bytes) -> None:
    access, _ = await fox.run(replay(fox.PROBE, lambda request: hello() + behind))

    assert access.authentication is None
    assert access.answers_without_login is None


@pytest.mark.parametrize(
    "reply",
    [
        fox.HELLO,  # an echo
        fox.HELLO * 2,
        b"fox a 0 -1 fox hello\n{\nfox.version=s:1.0\nid=i:9\n};;\n",  # nothing of its own
        b"fox a 0 -1 fox rejected\n{\nreason=s:no\n};;\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        hello()[:-3],
        b"fox a 0 -1 fox hello\n{\n" + BODY * 200,
    ],
)
async def test_what_is_no_hello_of_a_station_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await fox.run(replay(fox.PROBE, lambda request: reply))


@pytest.mark.parametrize("error", [Silent("no"), Reset("no"), Closed("no")])
async def test_silence_reset_and_close_stay_what_they_are(replay, error) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error

    with pytest.raises(type(error)):
        await fox.run(replay(fox.PROBE, answer))


def test_the_hello_and_the_frame_behind_it_are_waited_for() -> None:
    whole = hello() + CHALLENGE
    for cut in range(len(whole)):
        assert fox.reply_length(whole[:cut]) is None
    assert fox.reply_length(whole + b"more") == len(whole)
    for stranger in (b"S", b"fax", b"fox b"):
        with pytest.raises(BadReply):
            fox.reply_length(stranger)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"hostId=s:\x1b[2J", "[2J"),
        (b"hostId=s:" + b"x" * 900, "x" * 128),
        (b"hostId=b:1[x]", None),
        (b"hostId=s:first\nhostId=s:second", "first"),
        (b"hostId=s:\xff", "\ufffd"),
    ],
)
def test_a_field_is_bounded_printable_and_told_once(line: bytes, shown: str | None) -> None:
    assert fox.decode_hello(hello(line + b"\n")).fields.get("hostId") == shown


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    for reply in (value, hello(value), hello() + value, hello() + CHALLENGE[:-5] + value):
        for decode in (fox.decode_hello, fox.reply_length):
            try:
                found = decode(reply)
            except BadReply:
                continue
            if isinstance(found, fox.Hello):
                assert fox.facts(found)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for question in fox.PROBE.questions:
        assert open_guard("fox").judge(question.sample, fox.PROBE.tier) is None
        assert question.label
