"""SQL Server: version and encryption by one PRELOGIN, and what only resembles its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import mssql
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

PUBLISHED = "answers laid out as MS-TDS has them (no server that may be installed here)"
PRELOGIN = bytes.fromhex("1201001a0000000000000b00060100110001ff00000000000002")


def answer(version: str = "0f0007d00000", encryption: int = 0) -> bytes:
    """Laid out as MS-TDS section 2.2.6.5 has it."""
    return bytes.fromhex(
        "0401002b00000100 00001a0006 0100200001 0200210001 0300220000 0400220001 ff"
        f"{version} {encryption:02x} 00 00"
    )


@pytest.mark.parametrize(
    ("number", "encrypted", "name"),
    [(0, False, "off"), (1, True, "on"), (2, False, "not supported"), (3, True, "required")],
)
async def test_version_and_encryption_are_told(
    replay: Any, number: int, encrypted: bool, name: str
) -> None:
    session = replay(mssql.PROBE, lambda request: answer(encryption=number))

    facts = await mssql.run(session)

    assert session.sent == [PRELOGIN]
    assert facts == (
        ServiceAccess(
            protocol="mssql",
            encrypted=encrypted,
            version="15.0.2000",
            details=(("encryption", name),),
        ),
    )


async def test_another_encryption_is_not_learned(replay: Any) -> None:
    (access,) = await mssql.run(replay(mssql.PROBE, lambda request: answer(encryption=0x20)))

    assert access.encrypted is None
    assert access.details == ()


@pytest.mark.parametrize(
    "reply",
    [
        PRELOGIN,
        b"\x04" + PRELOGIN[1:],  # an echo that only changed its type: no version in it
        answer(version="000000000000"),
        b"\x04\x00" + answer()[2:],
        bytes.fromhex("0401000a00000100") + b"\xaa\0",
        bytes.fromhex("0401000900000100") + b"\xff",
        bytes.fromhex("0401000e00000100") + bytes.fromhex("000fff0006ff"),
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await mssql.run(replay(mssql.PROBE, lambda request: reply))


def test_an_answer_that_is_cut_off_or_too_long_is_no_reply() -> None:
    assert mssql.reply_length(answer()[:-1]) is None
    for reply in (answer()[:-1], answer() + b"\0", answer()[:7], b""):
        with pytest.raises(BadReply):
            mssql.decode_prelogin(reply)


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    def failing(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await mssql.run(replay(mssql.PROBE, failing))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    framed = b"\x04\x01" + (8 + len(data)).to_bytes(2, "big") + b"\0\0\1\0" + data
    for candidate in (data, framed):
        for decode in (mssql.reply_length, mssql.decode_prelogin):
            with suppress(BadReply):
                decode(candidate)


def test_its_one_question_is_allowed() -> None:
    (question,) = mssql.PROBE.questions
    assert open_guard("mssql").judge(question.sample, mssql.PROBE.tier) is None
    assert not mssql.PROBE.for_controllers


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed: Any) -> None:
    said: list[bytes] = []

    async def database(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readexactly(len(PRELOGIN)))
        writer.write(answer())
        said.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(database, "127.0.0.1", 0)
    async with server, governed(mssql.PROBE, server.sockets[0].getsockname()[1]) as session:
        (access,) = await mssql.run(session)
        await session.finish()

    assert access.version == "15.0.2000"
    assert said == [PRELOGIN, b""]
