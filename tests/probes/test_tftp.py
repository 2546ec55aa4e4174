"""TFTP: errors of servers, a file that nobody has, and what is neither."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.tftp import (
    FILE,
    PROBE,
    Given,
    Refusal,
    decode_reply,
    encode_read_request,
    reply_length,
)
from scanner.errors import BadReply, Refused, Silent
from scanner.facts import ServiceAccess
from tests.fuzz.seeds.tftp import block, error
from tests.probes.test_vnc import Script


def access(answered: bool | None, *details: tuple[str, str]) -> tuple[ServiceAccess, ...]:
    return (
        ServiceAccess(
            protocol="tftp", answers_without_login=answered, encrypted=False, details=details
        ),
    )


def test_the_name_says_who_asks_and_is_no_path_and_no_pattern() -> None:
    assert encode_read_request() == b"\x00\x01walkdown-no-such-file\x00octet\x00"
    assert FILE.startswith("walkdown-")
    assert not set(FILE) & set("/\\:*?[]. ")
    assert len(FILE) < 32


@pytest.mark.parametrize(
    ("reply", "answered", "code", "message"),
    [
        (error(1, b"File not found"), True, "1", "File not found"),
        (error(1, b""), True, "1", ""),
        (error(1, b"File not found") + b"\0\0", True, "1", "File not found"),
        (error(2, b"Access violation"), None, "2", "Access violation"),
        (error(0, b"no such file"), None, "0", "no such file"),
        (error(4, b"Illegal TFTP operation"), None, "4", "Illegal TFTP operation"),
    ],
)
async def test_an_error_tells_that_the_service_is_there_and_no_more(
    replay: Any, reply: bytes, answered: bool | None, code: str, message: str
) -> None:
    session = replay(PROBE, Script(reply))

    facts = await PROBE.run(session)

    assert facts == access(answered, ("error", code), ("message", message))
    assert session.sent == [encode_read_request()]


@pytest.mark.parametrize("content", [b"", b"hostname X\n", b"x" * 512])
async def test_a_file_that_comes_all_the_same_is_told_and_not_kept(
    replay: Any, content: bytes
) -> None:
    session = replay(PROBE, Script(block(content)))

    facts = await PROBE.run(session)

    assert facts == access(True, ("file", "sent, for a name that nobody has given to one"))
    assert reply_length(block(content)) == 4  # what is cut off here is not stored
    assert session.sent == [encode_read_request()]  # neither acknowledged nor refused


@pytest.mark.parametrize(
    "reply",
    [
        encode_read_request(),  # an echo
        b"", b"\0", b"\0\5", b"\0\5\0",
        error(8, b"options"), error(0x0100, b"File not found"),
        error(1, b"File not found")[:-1],
        error(1, b"a") + b"b\0",
        block(b"x", 2), block(b"x", 0),
        b"\0\4\0\1",  # an acknowledgement
        b"\0\6blksize\x001024\0",  # options that were not offered
        b"\0\2name\0octet\0",
        b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("302602010104067075626c6963"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_to_a_read_request_is_none(replay: Any, reply: bytes) -> None:
    with pytest.raises((BadReply, Silent)):
        await PROBE.run(replay(PROBE, Script(reply)))


@pytest.mark.parametrize("ending", [Silent("s"), Refused("r")])
async def test_what_ends_the_question_passes_on(replay: Any, ending: Exception) -> None:
    with pytest.raises(type(ending)):
        await PROBE.run(replay(PROBE, Script(ending)))


def test_what_a_device_says_is_bounded_and_made_visible() -> None:
    refusal = decode_reply(error(1, b"\x1b[2J" + "é".encode() * 900))

    assert isinstance(refusal, Refusal)
    assert len(refusal.message) == 128
    assert refusal.message.isprintable()


@given(st.one_of(st.binary(max_size=600), st.binary(max_size=40).map(lambda end: b"\0\5\0" + end)))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    length = reply_length(data)
    assert length is None if not data else length is not None and 0 < length <= len(data)
    with suppress(BadReply):
        assert isinstance(decode_reply(data), Refusal | Given)
