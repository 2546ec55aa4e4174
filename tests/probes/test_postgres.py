"""PostgreSQL: one request, one byte, and nobody else's byte is taken for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import postgres
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.mark.parametrize(
    ("reply", "encrypted", "tls"), [(b"S", None, "offered"), (b"N", False, "not offered")]
)
async def test_both_answers_are_told_as_they_are(
    replay: Any, reply: bytes, encrypted: bool | None, tls: str
) -> None:
    session = replay(postgres.PROBE, lambda request: reply)

    facts = await postgres.run(session)

    assert session.sent == [SSL_REQUEST]
    assert facts == (
        ServiceAccess(protocol="postgres", encrypted=encrypted, details=(("tls", tls),)),
    )


@pytest.mark.parametrize(
    "reply",
    [
        SSL_REQUEST, b"SSH-2.0-OpenSSH_9.2p1\r\n", b"NOTICE\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"EFATAL:  unsupported frontend protocol\n\0", b"S\0", b"NN", b"s",
        b"\x15\x03\x01\0\x02\x02\x46",
        b"220 ready\r\n", b"\0",
    ],
)  # fmt: skip
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await postgres.run(replay(postgres.PROBE, lambda request: reply))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await postgres.run(replay(postgres.PROBE, answer))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    try:
        offers = postgres.decode_reply(data)
    except BadReply:
        assert data not in (b"S", b"N")
    else:
        assert offers is (data == b"S")


def test_its_one_question_is_allowed() -> None:
    (question,) = postgres.PROBE.questions
    assert open_guard("postgres").judge(question.sample, postgres.PROBE.tier) is None
    assert not postgres.PROBE.for_controllers


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed: Any) -> None:
    said: list[bytes] = []

    async def database(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readexactly(8))
        writer.write(b"S")
        said.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(database, "127.0.0.1", 0)
    async with (
        server,
        governed(postgres.PROBE, server.sockets[0].getsockname()[1]) as session,
    ):
        (access,) = await postgres.run(session)
        await session.finish()

    assert access.details == (("tls", "offered"),)
    assert said == [SSL_REQUEST, b""]
