"""IPMI: each flag of the answer, refusals, and what only resembles an answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import ipmi
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

ASKS = bytes.fromhex("0600ff07000000000000000000092018c88154388e0461")


def sealed(first: bytes, second: bytes) -> bytes:
    inside = first + bytes([-sum(first) & 0xFF]) + second + bytes([-sum(second) & 0xFF])
    return bytes.fromhex("0600ff07") + bytes(9) + bytes([len(inside)]) + inside


def answer(data: str, *, code: int = 0, sequence: int = 0x54, command: int = 0x38) -> bytes:
    return sealed(b"\x81\x1c", bytes([0x20, sequence, command, code]) + bytes.fromhex(data))


async def facts(replay: Any, reply: bytes) -> ServiceAccess:
    session = replay(ipmi.PROBE, lambda request: reply)
    (access,) = await ipmi.run(session)
    assert session.sent == [ASKS]
    assert isinstance(access, ServiceAccess)
    return access


async def test_a_controller_of_2_0_tells_its_logins_and_its_key(replay: Any) -> None:
    """MD2, MD5 and password; users with names only; KG default; 1.5 and 2.0."""
    told = await facts(replay, answer("0196040300000000"))

    assert told == ServiceAccess(
        protocol="ipmi",
        answers_without_login=True,
        encrypted=False,
        version="2.0",
        authentication=("MD2", "MD5", "password"),
        details=(
            ("channel", "1"),
            ("anonymous login", "disabled"),
            ("users without a name", "disabled"),
            ("authentication of each message", "enabled"),
            ("authentication of users", "enabled"),
            ("KG", "default"),
        ),
    )


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        ("05", "anonymous login", "enabled"),
        ("06", "users without a name", "enabled"),
        ("14", "authentication of each message", "disabled"),
        ("0c", "authentication of users", "disabled"),
        ("24", "KG", "set"),
    ],
)
async def test_each_flag_is_told_alone(replay: Any, status: str, name: str, value: str) -> None:
    usual = dict((await facts(replay, answer("0184040300000000"))).details)
    told = dict((await facts(replay, answer(f"0184{status}0300000000"))).details)

    assert told == {**usual, name: value}


async def test_a_controller_of_1_5_has_no_key_and_may_have_no_authentication(replay: Any) -> None:
    told = await facts(replay, answer("0115040000000000"))

    assert told.version == "1.5"
    assert told.authentication == ("none", "MD5", "password")
    assert "KG" not in dict(told.details)


async def test_an_oem_login_names_its_maker_s_number(replay: Any) -> None:
    told = await facts(replay, answer("01b40403a20200ff"))

    assert dict(told.details)["OEM"] == "674"
    assert told.authentication == ("MD5", "password", "OEM")


async def test_a_controller_that_refuses_the_question_has_told_nothing(replay: Any) -> None:
    told = await facts(replay, answer("", code=0xCC))

    assert told == ServiceAccess(
        protocol="ipmi", encrypted=False, details=(("completion code", "cc"),)
    )


@pytest.mark.parametrize(
    "reply",
    [
        ASKS,
        answer("0196040300000000")[:-1],
        answer("0196040300000000")[:-1] + b"\0",
        answer("0196"),
        answer("0196040300000000", sequence=0x58),
        answer("0196040300000000", command=0x01),
        sealed(b"\x81\x18", bytes.fromhex("20543800") + bytes(8)),
        sealed(b"\x20\x1c", bytes.fromhex("81543800") + bytes(8)),
        b"\x06\0\xff\x06" + answer("0196040300000000")[4:],
        answer("0196040300000000")[:4] + b"\x06" + answer("0196040300000000")[5:],
        bytes(40),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await ipmi.run(replay(ipmi.PROBE, lambda request: reply))


async def test_a_pad_behind_the_message_changes_nothing(replay: Any) -> None:
    """Section 13.6: some network chips need a byte more behind messages of certain lengths."""
    assert (await facts(replay, answer("0196040300000000") + b"\0")).version == "2.0"


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    def failing(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await ipmi.run(replay(ipmi.PROBE, failing))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    for candidate in (data, sealed(b"\x81\x1c", b"\x20\x54\x38\0" + data[:200])):
        with suppress(BadReply):
            code, inside = ipmi.decode_answer(candidate)
            assert 0 <= code <= 255
            assert ipmi.facts_of(ipmi.decode_capabilities(inside))


def test_its_one_question_is_allowed() -> None:
    (question,) = ipmi.PROBE.questions
    assert question.sample == ASKS
    assert open_guard("ipmi").judge(question.sample, ipmi.PROBE.tier) is None
    assert not ipmi.PROBE.for_controllers
