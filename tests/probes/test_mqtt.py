"""MQTT: what a CONNACK says, the ledger's attempt around it, and the TLS end."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.mqtt import (
    LOGIN_PROBE,
    TLS_LOGIN_PROBE,
    TLS_PROBE,
    accepted,
    connack_length,
    decode_connack,
    encode_connect,
    encode_disconnect,
)
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess, TlsFace
from scanner.model import Tier
from scanner.spec import TlsInfo
from tests.probes.ledger import Ledger
from tests.probes.test_vnc import Script

TLS = TlsInfo(version="TLSv1.2", cipher="ECDHE-RSA-AES128-GCM-SHA256", certificate_der=None)


async def login(
    replay: Any, *answers: bytes | Exception, probe: Any = LOGIN_PROBE, room: int = 9
) -> tuple[Any, Any, Ledger]:
    ledger = Ledger(room=room)
    session = replay(probe, Script(*answers), attempts=ledger, tls=TLS)
    (access,) = await probe.run(session)
    return access, session, ledger


async def test_the_recorded_broker_lets_anybody_in(replay: Any, captures: Path) -> None:
    record = json.loads((captures / "mqtt__mqtt_broker_connack.json").read_text())

    access, session, ledger = await login(
        replay, bytes.fromhex(record["exchanges"][0]["response_hex"])
    )

    assert access == ServiceAccess(
        protocol="mqtt", answers_without_login=True, encrypted=False, version="3.1.1",
        details=(("CONNACK", "0"),),
    )  # fmt: skip
    assert session.sent[1] == encode_disconnect()
    assert ledger.begun == [("mqtt/1883", "anonymous")]
    assert ledger.ends == [("anonymous", True, None)]


@pytest.mark.parametrize(
    ("reply", "let_in", "version"),
    [
        (b"\x20\x02\x00\x04", False, "3.1.1"),
        (b"\x20\x02\x00\x05", False, "3.1.1"),
        (b"\x20\x02\x00\x02", None, "3.1.1"),
        (b"\x20\x02\x00\x03", None, "3.1.1"),
        (b"\x20\x03\x00\x84\x00", None, "5"),
        (b"\x20\x03\x00\x87\x00", False, "5"),
    ],
)
async def test_a_refusal_is_told_from_an_answer_that_settles_nothing(
    replay: Any, reply: bytes, let_in: bool | None, version: str
) -> None:
    access, session, ledger = await login(replay, reply)

    assert (access.answers_without_login, access.version) == (let_in, version)
    assert len(session.sent) == 1
    assert ledger.ends == [("anonymous", False, None)]


async def test_a_broker_in_tls_is_asked_inside_it(replay: Any) -> None:
    access, _, ledger = await login(replay, b"\x20\x02\x00\x00", probe=TLS_LOGIN_PROBE)

    assert (access.answers_without_login, access.encrypted) == (True, True)
    assert ledger.begun == [("mqtts/8883", "anonymous")]


async def test_where_the_ledger_allows_nothing_nobody_is_connected_to(replay: Any) -> None:
    access, session, _ = await login(replay, room=0)

    assert access.details == (("anonymous not tried", "ledger"),)
    assert access.answers_without_login is None
    assert session.sent == []


@pytest.mark.parametrize(
    ("ending", "connected", "ends"),
    [
        (Refused("r"), False, []),
        (Silent("s"), False, []),
        (Silent("s"), True, [("anonymous", False, "no answer")]),
        (Closed("c"), True, [("anonymous", False, "connection dropped")]),
        (Reset("r"), True, [("anonymous", False, "connection dropped")]),
        (b"\x10\x02\x00\x00", True, [("anonymous", False, None)]),
    ],
)
async def test_an_attempt_counts_only_where_something_left(
    replay: Any,
    ending: bytes | Exception,
    connected: bool,
    ends: list[tuple[str, bool, str | None]],
) -> None:
    ledger = Ledger()
    session = replay(LOGIN_PROBE, Script(ending), attempts=ledger)
    session.connected = connected

    with pytest.raises(BadReply if isinstance(ending, bytes) else type(ending)):
        await LOGIN_PROBE.run(session)

    assert ledger.ends == ends
    assert ledger.begun == ([("mqtt/1883", "anonymous")] if ends else [])


async def test_identifiers_are_ours_and_differ_from_place_to_place(replay: Any) -> None:
    _, here, _ = await login(replay, b"\x20\x02\x00\x05")
    _, there, _ = await login(replay, b"\x20\x02\x00\x05", probe=TLS_LOGIN_PROBE)

    one, other = here.sent[0], there.sent[0]
    assert one != other
    for sent in (one, other):
        assert re.fullmatch(
            rb"\x10\x23\x00\x04MQTT\x04\x02\x00\x0a\x00\x17walkdown[0-9a-f]{15}", sent
        )


def test_nobody_elses_identifier_can_be_sent() -> None:
    for name in ("", "walkdown", "x" * 23, "walkdown" + "0" * 16):
        with pytest.raises(ValueError, match="identifier"):
            encode_connect(name)


# --- TLS ---------------------------------------------------------------------------------------


async def test_the_identify_tier_makes_a_handshake_and_says_nothing(replay: Any) -> None:
    session = replay(TLS_PROBE, Script(), tls=TLS)

    (face,) = await TLS_PROBE.run(session)

    assert isinstance(face, TlsFace)
    assert (face.version, face.cipher) == (TLS.version, TLS.cipher)
    assert session.sent == []
    assert TLS_PROBE.tier is Tier.IDENTIFY
    assert LOGIN_PROBE.tier is TLS_LOGIN_PROBE.tier is Tier.LOGIN


async def test_a_server_without_tls_is_no_broker_in_tls(replay: Any) -> None:
    with pytest.raises(BadReply):
        await TLS_PROBE.run(replay(TLS_PROBE, Script()))


# --- codec -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\x20", b"\x20\x02\x00", b"\x20\x01\x00", b"\x20\x80\x01", b"\x20\x02\x02\x00",
        b"\x20\x02\x01\x05", b"\xd0\x00", b"HTTP/1.1 400", b"SSH-2.0-x\r\n",
        encode_connect("walkdown" + "0" * 15),
    ],
)  # fmt: skip
def test_what_is_no_connack_is_none(reply: bytes) -> None:
    with pytest.raises(BadReply):
        decode_connack(reply)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    with suppress(BadReply):
        connack_length(data)
    with suppress(BadReply):
        accepted(decode_connack(data))
