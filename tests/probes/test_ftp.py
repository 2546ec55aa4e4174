"""FTP: recorded greetings and makers, features, and an anonymous sign-in with its ledger."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.ftp import (
    LOGIN_PROBE,
    MAX_REPLY,
    PROBE,
    READ_PROBE,
    check_greeting,
    decode_reply,
    features_of,
    identify_greeting,
    judged,
    products,
    reply_length,
)
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from tests.probes.ledger import Ledger
from tests.probes.test_vnc import Script

HELLO = b"220 FTP server ready.\r\n"
QUIT = b"QUIT\r\n"


# --- real devices ------------------------------------------------------------------------------


async def test_the_recorded_controller_greets_without_saying_what_it_is(
    replay: Any, captures: Path
) -> None:
    record = json.loads((captures / "ftp__schneider_modicon_ftp_s4.json").read_text())
    session = replay(PROBE, Script(bytes.fromhex(record["exchanges"][0]["response_hex"])))

    facts = await PROBE.run(session)

    assert facts == (
        ServiceAccess(
            protocol="ftp", encrypted=False, details=(("greeting", "FTP server ready."),)
        ),
    )
    assert session.sent == [None, QUIT]


def banners(captures: Path) -> list[dict[str, Any]]:
    items = json.loads((captures / "banners.json").read_text())["items"]
    return [item for item in items if item["kind"] == "ftp_banners"]


def test_makers_of_recorded_greetings_are_found_and_none_is_wrong(captures: Path) -> None:
    right = 0
    for item in banners(captures):
        labels = item["labels"]
        truth = labels.get("hw.vendor")
        identity = identify_greeting(item["banner"])
        if identity is None:
            assert truth is None, item["banner"]
            continue
        right += 1
        assert identity.vendor == truth
        assert identity.model in (
            None, labels.get("hw.product"), labels.get("os.product"),
            f"{labels.get('hw.series')} {labels.get('hw.model')}",
        )  # fmt: skip
        assert identity.firmware == (labels.get("hw.version") or labels.get("os.version"))

    assert len(banners(captures)) >= 17
    assert right >= 10


def test_every_product_of_the_table_has_a_source() -> None:
    assert all(product.source and product.vendor for product in products())


# --- replies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (HELLO, 220, "FTP server ready."),
        (b"220-Welcome\r\n to 220 us\r\n220 Ready\r\n", 220, "Welcome to 220 us Ready"),
        (b"220 \n", 220, ""),
        (b"220-a\n220-b\n220 c\n", 220, "a b c"),
        (b"220 tab\x1b[31m\r\n", 220, "tab�[31m"),
    ],
)
def test_replies_of_one_line_and_of_several_are_read(said: bytes, code: int, text: str) -> None:
    reply = decode_reply(said)

    assert (reply.code, reply.text) == (code, text)
    assert reply_length(said + b"226 next\r\n") == len(said)


@pytest.mark.parametrize(
    "said", [b"", b"22", b"220 half", b"220-one\r\n221 other\r\n", b"220-\r\n"]
)
def test_half_a_reply_is_none(said: bytes) -> None:
    assert reply_length(said) is None
    with pytest.raises(BadReply):
        decode_reply(said)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    with suppress(BadReply):
        reply_length(data)
    with suppress(BadReply):
        reply = decode_reply(data)
        features_of(reply)
        judged(reply)
        identify_greeting(reply.text)
        check_greeting(reply)


# --- identify ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [
        b"220 mail.example.com ESMTP Postfix\r\n", b"220-smtp\r\n220 hello\r\n",
        b"200 news server ready\r\n", b"554 no\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
        b"RFB 003.008\n", b"+OK POP3 ready\r\n", b"HTTP/1.1 400 Bad Request\r\n", QUIT,
    ],
)  # fmt: skip
async def test_another_protocols_server_is_not_taken_for_ftp(replay: Any, greeting: bytes) -> None:
    session = replay(PROBE, Script(greeting))

    with pytest.raises(BadReply):
        await PROBE.run(session)
    assert session.sent == [None]


@pytest.mark.parametrize("ending", [Silent("s"), Closed("c"), Reset("r")])
async def test_who_never_greets_is_nobody(replay: Any, ending: Exception) -> None:
    with pytest.raises(type(ending)):
        await PROBE.run(replay(PROBE, Script(ending)))


async def test_a_greeting_without_end_is_no_greeting(replay: Any) -> None:
    with pytest.raises((BadReply, Silent)):
        await PROBE.run(replay(PROBE, lambda request: b"220-more\r\n" * MAX_REPLY))


# --- read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "system", "ways", "details"),
    [
        (
            b"211-Features:\r\n AUTH TLS\r\n UTF8\r\n211 End\r\n", b"215 UNIX Type: L8\r\n",
            ("USER", "AUTH TLS"),
            (("feature", "AUTH TLS"), ("feature", "UTF8"), ("system", "UNIX Type: L8")),
        ),
        (
            b"211-Features:\r\n UTF8\r\n211 End\r\n", b"530 first\r\n", ("USER",),
            (("feature", "UTF8"),),
        ),
        (b"500 'FEAT': what?\r\n", b"502 no\r\n", ("USER",), ()),
        (b"211 No features\r\n", b"502 no\r\n", ("USER",), ()),
        (b"530 Please login\r\n", b"530 Please login\r\n", None, ()),
    ],
)  # fmt: skip
async def test_features_tell_whether_encryption_is_offered(
    replay: Any,
    features: bytes,
    system: bytes,
    ways: tuple[str, ...] | None,
    details: tuple[tuple[str, str], ...],
) -> None:
    session = replay(READ_PROBE, Script(HELLO, features, system))

    (access,) = await READ_PROBE.run(session)

    assert (access.authentication, access.details) == (ways, details)
    assert session.sent == [None, b"FEAT\r\n", b"SYST\r\n", QUIT]


# --- login -------------------------------------------------------------------------------------

USER, PASS = b"USER anonymous\r\n", b"PASS walkdown@example.invalid\r\n"


@pytest.mark.parametrize(
    ("answers", "let_in", "sent", "ends"),
    [
        ((b"230 in\r\n",), True, [USER], ("anonymous", True, None)),
        ((b"331 who?\r\n", b"230 in\r\n"), True, [USER, PASS], ("anonymous", True, None)),
        ((b"331 who?\r\n", b"530 no\r\n"), False, [USER, PASS], ("anonymous", False, None)),
        ((b"530 no\r\n",), False, [USER], ("anonymous", False, None)),
        ((b"332 account?\r\n",), False, [USER], ("anonymous", False, None)),
        (
            (b"530 Account locked\r\n",), False, [USER], ("anonymous", False, "locked"),
        ),
        (
            (b"421 Service closing\r\n",), False, [USER], ("anonymous", False, "service closed"),
        ),
        ((b"331 who?\r\n", b"450 later\r\n"), None, [USER, PASS], ("anonymous", False, None)),
        (
            (b"331 who?\r\n", Closed("c")), None, [USER, PASS],
            ("anonymous", False, "connection dropped"),
        ),
        ((b"331 who?\r\n", Silent("s")), None, [USER, PASS], ("anonymous", False, "no answer")),
    ],
)  # fmt: skip
async def test_an_anonymous_sign_in_is_one_attempt_of_the_ledger(
    replay: Any,
    answers: tuple[bytes | Exception, ...],
    let_in: bool | None,
    sent: list[bytes],
    ends: tuple[str, bool, str | None],
) -> None:
    ledger = Ledger()
    session = replay(LOGIN_PROBE, Script(HELLO, *answers), attempts=ledger)

    (access,) = await LOGIN_PROBE.run(session)

    assert access == ServiceAccess(protocol="ftp", encrypted=False, answers_without_login=let_in)
    assert session.sent[1 : 1 + len(sent)] == sent
    assert ledger.begun == [("ftp/21", "anonymous")]
    assert ledger.ends == [ends]


async def test_where_the_ledger_allows_nothing_nobody_is_connected_to(replay: Any) -> None:
    session = replay(LOGIN_PROBE, Script(HELLO), attempts=Ledger(room=0))

    (access,) = await LOGIN_PROBE.run(session)

    assert access.answers_without_login is None
    assert access.details == (("anonymous not tried", "ledger"),)
    assert session.sent == []


async def test_a_server_that_does_not_greet_costs_no_attempt(replay: Any) -> None:
    ledger = Ledger()

    with pytest.raises(Silent):
        await LOGIN_PROBE.run(replay(LOGIN_PROBE, Script(), attempts=ledger))
    assert ledger.begun == []


def test_identities_of_a_printed_greeting() -> None:
    assert identify_greeting(
        "AP7932 Network Management Card AOS v3.3.4 FTP server ready."
    ) == DeviceIdentity(vendor="APC", model="AP7932", firmware="3.3.4", basis="text")
    assert identify_greeting("vsFTPd 3.0.3") is None
