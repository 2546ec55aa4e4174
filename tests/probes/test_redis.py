"""Redis: PONG or a refusal, each for what it is; nobody else's line is taken for either."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import redis
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

PING = b"*1\r\n$4\r\nPING\r\n"
OPEN = ServiceAccess(protocol="redis", answers_without_login=True, encrypted=False)
BODY = (
    b"# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\n"
    b"os:Linux 6.1.0-18-amd64 x86_64\r\narch_bits:64\r\nexecutable:/usr/bin/redis-server\r\n"
)


def bulk(body: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("reply", "fact"),
    [
        (b"+PONG\r\n", OPEN),
        (
            b"-NOAUTH Authentication required.\r\n",
            ServiceAccess(
                protocol="redis",
                answers_without_login=False,
                encrypted=False,
                authentication=("password",),
            ),
        ),
        (
            b"-ERR operation not permitted\r\n",
            ServiceAccess(
                protocol="redis",
                answers_without_login=False,
                encrypted=False,
                authentication=("password",),
            ),
        ),
        (
            b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
            ServiceAccess(
                protocol="redis", encrypted=False, details=(("refused", "protected mode"),)
            ),
        ),
    ],
)
async def test_each_answer_is_told_for_what_it_is(
    replay: Any, reply: bytes, fact: ServiceAccess
) -> None:
    session = replay(redis.PROBE, lambda request: reply)

    assert await redis.run(session) == (fact,)
    assert session.sent == [PING]


async def test_the_version_is_read_where_no_login_was_wanted(replay: Any) -> None:
    session = replay(redis.READ_PROBE, lambda request: bulk(BODY), known=(OPEN,))

    (access,) = await redis.run_read(session)

    assert session.sent == [b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"]
    assert access.version == "7.0.15"
    assert access.details == (
        ("redis_mode", "standalone"),
        ("os", "Linux 6.1.0-18-amd64 x86_64"),
        ("executable", "/usr/bin/redis-server"),
    )


@pytest.mark.parametrize(
    "known", [(), (ServiceAccess(protocol="redis", answers_without_login=False),)]
)
async def test_nothing_is_asked_of_a_server_that_wants_a_login(
    replay: Any, known: tuple[ServiceAccess, ...]
) -> None:
    session = replay(redis.READ_PROBE, lambda request: bulk(BODY), known=known)

    assert await redis.run_read(session) == ()
    assert session.sent == []


async def test_a_server_that_refuses_info_is_said_to_have_refused(replay: Any) -> None:
    session = replay(redis.READ_PROBE, lambda request: b"-NOPERM no permission\r\n", known=(OPEN,))

    (access,) = await redis.run_read(session)

    assert access.answers_without_login is False


@pytest.mark.parametrize(
    "reply",
    [
        PING,
        b"+OK\r\n",
        b"+OK POP3 ready\r\n",
        b"-ERR unknown command\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"PONG\r\n",
        b"$4\r\nPONG\r\n",
        b"220 ready\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+" + b"A" * 5000,
        b"\x16\x03\x01\0\0",
    ],
)
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await redis.run(replay(redis.PROBE, lambda request: reply))


@pytest.mark.parametrize(
    "reply",
    [
        b"$-1\r\n",
        b"$99999999\r\n",
        b"$" + b"1" * 40,
        bulk(b"# Memory\r\nused_memory:1\r\n"),
        bulk(b""),
        b"+OK\r\n",
        b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
    ],
)
async def test_an_info_without_a_version_is_no_reply(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await redis.run_read(replay(redis.READ_PROBE, lambda request: reply, known=(OPEN,)))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await redis.run(replay(redis.PROBE, answer))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    for candidate in (data, b"+" + data, b"-" + data, bulk(data), bulk(BODY + data)):
        for decode in (redis.line_length, redis.info_length, redis.decode_ping, redis.decode_info):
            with suppress(BadReply):
                found = decode(candidate)
                if isinstance(found, ServiceAccess):
                    for _, text in found.details:
                        assert len(text) <= redis.MAX_TEXT
                        assert text.isprintable()


def test_its_questions_are_allowed_in_their_tiers() -> None:
    for probe in (redis.PROBE, redis.READ_PROBE):
        (question,) = probe.questions
        assert open_guard("redis").judge(question.sample, probe.tier) is None
        assert not probe.for_controllers


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed: Any) -> None:
    said: list[bytes] = []

    async def database(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readexactly(len(PING)))
        writer.write(b"+PO")
        await writer.drain()
        writer.write(b"NG\r\n")
        said.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(database, "127.0.0.1", 0)
    async with server, governed(redis.PROBE, server.sockets[0].getsockname()[1]) as session:
        assert await redis.run(session) == (OPEN,)
        await session.finish()

    assert said == [PING, b""]
