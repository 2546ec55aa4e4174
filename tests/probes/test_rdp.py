"""RDP: confirmations of recorded servers, what is concluded from them, and what is not."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.rdp import (
    EVERYTHING,
    NO_NEGOTIATION,
    PROBE,
    Confirm,
    decode_confirm,
    encode_request,
    face_of,
    reply_length,
)
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import RdpFace
from tests.probes.test_vnc import Script

ALL = bytes.fromhex("030000130ee00000000000010008000b000000")
TLS = bytes.fromhex("030000130ee000000000000100080001000000")
HEAD = bytes.fromhex("030000130ed00000123400")


def response(protocol: int) -> bytes:
    return HEAD + bytes([2, 0x1F, 8, 0]) + protocol.to_bytes(4, "little")


def failure(code: int) -> bytes:
    return HEAD + bytes([3, 0, 8, 0]) + code.to_bytes(4, "little")


# --- recordings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "offered", "confirm"),
    [
        ("windows_nla_hybrid_ex", EVERYTHING, Confirm(selected=8)),
        ("windows_neg_failure", 1, Confirm(failure=2)),
        ("windows_standard_rdp_security", 0, Confirm(selected=0)),
    ],
)
def test_a_recorded_confirmation_is_decoded(
    captures: Path, name: str, offered: int, confirm: Confirm
) -> None:
    record = json.loads((captures / f"rdp__{name}.json").read_text())
    reply = bytes.fromhex(record["exchanges"][0]["response_hex"])

    assert reply_length(reply) == len(reply)
    assert decode_confirm(reply, offered=offered) == confirm


def test_every_recording_is_covered(captures: Path) -> None:
    assert {path.stem.removeprefix("rdp__") for path in captures.glob("rdp__*.json")} == {
        "windows_nla_hybrid_ex", "windows_neg_failure", "windows_standard_rdp_security",
    }  # fmt: skip


# --- conversations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "face", "asked"),
    [
        (
            (response(8), failure(5)),
            RdpFace(protocols=("credssp_early",), needs_nla=True), [ALL, TLS],
        ),
        (
            (response(2), response(1)),
            RdpFace(protocols=("credssp", "tls"), needs_nla=False), [ALL, TLS],
        ),
        ((response(1),), RdpFace(protocols=("tls",), needs_nla=False), [ALL]),
        ((response(0),), RdpFace(protocols=("rdp",), needs_nla=False), [ALL]),
        (
            (failure(2),),
            RdpFace(needs_nla=False, failure="SSL_NOT_ALLOWED_BY_SERVER"), [ALL],
        ),
        ((failure(4),), RdpFace(failure="INCONSISTENT_FLAGS"), [ALL]),
        ((failure(6),), RdpFace(failure="SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER"), [ALL]),
        (
            (bytes.fromhex("0300000b06d00000123400"),),
            RdpFace(failure=NO_NEGOTIATION), [ALL],
        ),
        ((response(8), failure(1)), RdpFace(protocols=("credssp_early",)), [ALL, TLS]),
        ((response(8), Silent("s")), RdpFace(protocols=("credssp_early",)), [ALL, TLS]),
        ((response(8), Closed("c")), RdpFace(protocols=("credssp_early",)), [ALL, TLS]),
        ((response(8), b"HTTP/1.1"), RdpFace(protocols=("credssp_early",)), [ALL, TLS]),
    ],
)  # fmt: skip
async def test_what_a_server_takes_is_asked_with_as_few_connections_as_it_needs(
    replay: Any, answers: tuple[bytes | Exception, ...], face: RdpFace, asked: list[bytes]
) -> None:
    session = replay(PROBE, Script(*answers))

    assert await PROBE.run(session) == (face,)
    assert session.sent == asked
    assert session.connections == len(asked)


@pytest.mark.parametrize("ending", [Silent("s"), Closed("c"), Reset("r")])
async def test_what_ends_the_first_question_passes_on(replay: Any, ending: Exception) -> None:
    with pytest.raises(type(ending)):
        await PROBE.run(replay(PROBE, Script(ending)))


async def test_a_reset_of_the_second_connection_passes_on(replay: Any) -> None:
    with pytest.raises(Reset):
        await PROBE.run(replay(PROBE, Script(response(8), Reset("r"))))


@pytest.mark.parametrize(
    "reply",
    [
        ALL,  # an echo
        bytes.fromhex("030000130ed00001123400021f080008000000"),  # refers to somebody else
        bytes.fromhex("0300001611d00001000200c0010ac1020100c2020102"),  # S7, of another request
        bytes.fromhex("0300001611d00000000200c0010ac1020100c2020102"),  # S7, parameters
        bytes.fromhex("0300000702f080"),  # data
        bytes.fromhex("0300000b0680000012340000"),  # disconnect
        response(16), response(4), response(3), failure(0), failure(99),
        HEAD + bytes.fromhex("0400080001000000"),
        bytes.fromhex("030000130fd00000123400021f080008000000"),  # a wrong length indicator
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"RFB 003.008\n",
    ],
)  # fmt: skip
async def test_what_is_no_confirmation_of_ours_is_no_rdp(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await PROBE.run(replay(PROBE, Script(reply)))


def test_a_protocol_that_was_not_offered_cannot_be_selected() -> None:
    with pytest.raises(BadReply, match="expected a negotiation"):
        decode_confirm(response(8), offered=1)


@pytest.mark.parametrize("length", range(19))
def test_a_confirmation_that_is_cut_off_is_none(length: int) -> None:
    with pytest.raises(BadReply):
        decode_confirm(response(8)[:length], offered=EVERYTHING)


@given(st.binary(max_size=64), st.sampled_from([0, 1, EVERYTHING]))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes, offered: int) -> None:
    with suppress(BadReply):
        reply_length(data)
    with suppress(BadReply):
        face_of(decode_confirm(data, offered=offered), None)


def test_requests_are_those_of_the_specification() -> None:
    assert encode_request(EVERYTHING) == ALL
    assert encode_request(1) == TLS
