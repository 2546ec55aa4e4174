"""DNP3: link addresses asked one after another, and nothing that only looks like an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dnp3
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.profiles import PROFILES

Answer = Callable[[bytes | None], bytes]
FIELD = bytes.fromhex("0564050b00000100baf0")
"""LINK STATUS from address 1 to 0 as captured in the field."""


def frame(control: int, to: int, source: int, user: bytes = b"") -> bytes:
    head = b"\x05\x64" + bytes([5 + len(user), control])
    head += to.to_bytes(2, "little") + source.to_bytes(2, "little")
    blocks = [user[at : at + 16] for at in range(0, len(user), 16)]
    return head + dnp3.crc(head) + b"".join(block + dnp3.crc(block) for block in blocks)


def line(*there: int, control: int = 0x0B, before: bytes = b"") -> Answer:
    """Outstations at these addresses."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        to, source = (int.from_bytes(request[at : at + 2], "little") for at in (4, 6))
        if to not in there:
            raise Silent("nobody has this address")
        return before + frame(control, source, to)

    return answer


def recordings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("dnp3__*.json"))]


def access(*addresses: int) -> tuple[ServiceAccess]:
    details = tuple(("link address", str(one)) for one in addresses)
    return (
        ServiceAccess(
            protocol="dnp3", answers_without_login=True, encrypted=False, details=details
        ),
    )  # fmt: skip


def test_the_checksum_is_that_of_recorded_frames(captures: Path) -> None:
    exchanges = [one for told in recordings(captures) for one in told["exchanges"]]
    frames = [FIELD, *(bytes.fromhex(one["request_hex"]) for one in exchanges)]

    assert len(frames) > 2
    assert all(dnp3.crc(one[:8]) == one[8:10] for one in frames)


async def test_no_recording_gives_an_identity(replay, captures: Path) -> None:
    """One outstation's reply is cut off and has no length, the other's is data."""
    for capture in recordings(captures):
        assert not capture["identity_in_reply"]
        reply = bytes.fromhex(capture["exchanges"][0]["response_hex"])

        with pytest.raises((BadReply, Silent)):
            await dnp3.run(replay(dnp3.PROBE, lambda request, r=reply: r))


def test_the_request_is_what_a_recorded_master_sent(captures: Path) -> None:
    (told,) = (one for one in recordings(captures) if one["id"] == "dnp3_openics_linkstatus")
    recorded = bytes.fromhex(told["exchanges"][0]["request_hex"])

    assert dnp3.encode_request_link_status(destination=3, source=4) == recorded


async def test_without_a_word_of_the_owner_address_one_is_asked_once(replay) -> None:
    session = replay(dnp3.PROBE, lambda request: FIELD)

    facts = await dnp3.run(session)

    assert facts == access(1)
    assert session.sent == [dnp3.encode_request_link_status(destination=1, source=0)]


async def test_the_owners_addresses_are_asked_in_order_on_one_connection(replay) -> None:
    options = {"dnp3_addresses": (10, 12, 11), "dnp3_master": 3}
    session = replay(dnp3.PROBE, line(10, 11), options=options)

    facts = await dnp3.run(session)

    assert facts == access(10, 11)
    assert [one[4:8] for one in session.sent] == [
        bytes.fromhex(f"{to:02x}000300") for to in (10, 12, 11)
    ]
    assert session.connections == 1


async def test_a_silent_address_is_no_sign_of_distress_and_the_next_is_asked(governed) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outstations = line(10, 11)
        while request := await reader.read(10):
            try:
                writer.write(outstations(request))
            except Silent:
                continue
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"dnp3_addresses": (10, 12, 11)}
    async with governed(dnp3.PROBE, port, options=options, profile=PROFILES["default"]) as session:
        facts = await dnp3.run(session)
    server.close()

    assert facts == access(10, 11)
    assert session.device.health.signs == []
    assert not session.device.health.needs_canary


@pytest.mark.parametrize(
    ("listed", "asked"),
    [((), (1,)), ((5, 5, 6, 7, 8), (5, 6, 7)), ((-1, 70000, "x", 9), (9,)), (None, (1,))],
)
def test_never_more_than_three_addresses(listed: object, asked: tuple[int, ...]) -> None:
    assert dnp3.addresses({"dnp3_addresses": listed}) == asked
    assert dnp3.PROBE.questions[0].at_most == dnp3.MAX_ADDRESSES == 3


@pytest.mark.parametrize("given_", [None, -1, 65535, "x"])
def test_a_master_that_is_none_is_zero(given_: object) -> None:
    assert dnp3.master({"dnp3_master": given_}) == 0


async def test_an_outstation_without_that_service_is_one_all_the_same(replay) -> None:
    assert await dnp3.run(replay(dnp3.PROBE, line(1, control=0x0F))) == access(1)
    assert await dnp3.run(replay(dnp3.PROBE, line(1, control=0x1B))) == access(1)


async def test_what_an_outstation_sends_by_itself_is_passed_over(replay) -> None:
    unsolicited = frame(0x44, 0, 1, b"\xc0\xf0\x82\x90\x00")

    assert await dnp3.run(replay(dnp3.PROBE, line(1, before=unsolicited * 4))) == access(1)
    with pytest.raises(BadReply):
        await dnp3.run(replay(dnp3.PROBE, line(1, before=unsolicited * 5)))


async def test_a_late_answer_of_a_silent_address_is_not_taken_for_the_next_ones(replay) -> None:
    late = frame(0x0B, 0, 7)
    session = replay(dnp3.PROBE, line(8, before=late), options={"dnp3_addresses": (7, 8)})

    assert await dnp3.run(session) == access(8)


@pytest.mark.parametrize("error", [Silent("no"), Refused("no"), Reset("no"), Closed("no")])
async def test_trouble_is_told_as_it_is(replay, error: Exception) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error

    session = replay(dnp3.PROBE, answer)

    with pytest.raises(type(error)):
        await dnp3.run(session)


@pytest.mark.parametrize("error", [Reset("no"), Closed("no"), BadReply("no")])
async def test_later_trouble_keeps_what_was_told_and_asks_no_more(replay, error: Exception) -> None:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[4] == 10:
            return line(10)(request)
        raise error

    session = replay(dnp3.PROBE, answer, options={"dnp3_addresses": (10, 11, 12)})

    assert await dnp3.run(session) == access(10)
    assert len(session.sent) == 2


@pytest.mark.parametrize(
    "reply",
    [
        dnp3.encode_request_link_status(destination=1, source=0),
        frame(0x0B, 0, 2),
        frame(0x0B, 9, 1),
        frame(0x00, 0, 1),
        frame(0x8B, 0, 1),
        FIELD[:-1] + b"\x00",
        frame(0x0B, 0, 1, b"data"),
        b"\x05\x64\x00\x0b\x04",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_is_no_link_status_is_no_outstation(replay, reply: bytes) -> None:
    """Our own frame, others' answers, ACK, a master's, a wrong CRC, data, no length, HTTP."""
    with pytest.raises(BadReply):
        await dnp3.run(replay(dnp3.PROBE, lambda request: reply))


def test_it_is_asked_only_where_it_is_named_and_only_to_identify() -> None:
    assert dnp3.PROBE.opt_in
    assert [name for name in vars(dnp3) if name.endswith("PROBE")] == ["PROBE"]


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes) -> None:
    for decode in (dnp3.frame_length, dnp3.reply_length, dnp3.decode_link_answer):
        for one in (data, b"\x05\x64" + data, FIELD + data, FIELD[:-2] + data):
            try:
                decode(one)
            except BadReply:
                continue
