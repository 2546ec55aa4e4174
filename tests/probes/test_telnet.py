"""Telnet: taking streams apart, prompts, the table of makers, and what the probe sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.telnet import (
    COLLECT_MAX,
    CONTROL_USER,
    DO,
    LOGIN_PROBE,
    PROBE,
    WILL,
    asks_for,
    decode_screen,
    encode_line,
    encode_refusals,
    greets_as,
    identify_greeting,
    judged,
    products,
    shown,
)
from scanner.errors import BadReply, Closed, Silent
from scanner.facts import CredentialAttempt, DeviceIdentity, TelnetFace
from scanner.spec import DefaultCredential, Secret
from tests.probes.ledger import Ledger

DEFAULT = DefaultCredential(
    id="moxa-eds-admin",
    vendor="Moxa",
    product="EDS",
    protocol="telnet",
    user="admin",
    secret=Secret("moxa-pw"),
)


class Script:
    """A server that has one answer per request; unknown requests are silence."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    def __call__(self, request: bytes | None) -> bytes:
        answer = self.answers.pop(0) if self.answers else Silent("nothing more")
        if isinstance(answer, Exception):
            raise answer
        return answer


# --- codec -------------------------------------------------------------------------------------


@given(st.binary(max_size=600))
def test_any_bytes_are_some_screen(data: bytes) -> None:
    screen = decode_screen(data)

    assert len(screen.text) <= len(data)
    assert all(command in (DO, WILL) for command, _ in screen.offers)
    asks_for(shown(screen.text))
    identify_greeting(shown(screen.text))


@given(st.binary(max_size=600))
def test_answers_are_only_refusals_each_once(data: bytes) -> None:
    answer = encode_refusals(decode_screen(data).offers)

    singles = [answer[i : i + 3] for i in range(0, len(answer), 3)]
    assert len(set(singles)) == len(singles)
    assert all(s[0] == 0xFF and s[1] in (0xFC, 0xFE) and len(s) == 3 for s in singles)


@given(st.text(max_size=100))
def test_a_line_is_printable_and_ended_or_refused(text: str) -> None:
    try:
        line = encode_line(text)
    except ValueError:
        return
    assert line[-2:] == b"\r\n"
    assert all(0x20 <= byte < 0x7F for byte in line[:-2])
    assert len(line) <= 66


def test_text_options_and_subnegotiation_are_told_apart() -> None:
    screen = decode_screen(b"a\xff\xfd\x18b\xff\xfa\x18\x01\xff\xf0c\xff\xffd\xff\xfb\x01\xff\xf9e")

    assert screen.text == b"abc\xffde"
    assert screen.offers == ((DO, 24), (WILL, 1))
    assert screen.whole


@pytest.mark.parametrize("cut", [b"\xff", b"\xff\xfd", b"\xff\xfa\x18\x01"])
def test_a_stream_that_ends_inside_a_command_says_so(cut: bytes) -> None:
    assert not decode_screen(b"login: " + cut).whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Username: ", "user"),
        ("EDR-G903 login:", "user"),
        ("User Name:", "user"),
        ("login: \n", "user"),
        ("Please keyin your password:", "password"),
        ("Password for admin: ", "password"),
        ("switch>", "command"),
        ("plc-gw1# ", "command"),
        ("PLC(config)#", "command"),
        ("[admin@MikroTik] > ", "command"),
        ("<HUAWEI>", "command"),
        ("$ ", "command"),
        ("#", None),
        ("##########", None),
        ("switch#\n", None),
        ("Press Enter for Setup Mode", None),
        ("100%", None),
        ("Choose a menu item >", None),
        ("", None),
    ],
)
def test_the_last_line_tells_what_is_asked(text: str, expected: str | None) -> None:
    assert asks_for(text) == expected


# --- identify ----------------------------------------------------------------------------------


async def test_options_are_refused_and_the_prompt_is_seen(replay: Any) -> None:
    session = replay(PROBE, Script(b"\xff\xfd\x18\xff\xfb\x01", b"\r\nplant-gw login: "))

    (face,) = await PROBE.run(session)

    assert session.sent == [None, b"\xff\xfc\x18\xff\xfe\x01"]
    assert face == TelnetFace(
        banner="plant-gw login:", options=("do terminal-type", "will echo"), asks_login=True
    )


async def test_a_command_prompt_without_a_login_is_said(replay: Any) -> None:
    session = replay(PROBE, Script(b"Welcome\r\nrtu7> "))

    (face,) = await PROBE.run(session)

    assert isinstance(face, TelnetFace)
    assert face.asks_login is False


async def test_text_without_a_prompt_leaves_the_login_unknown(replay: Any) -> None:
    session = replay(PROBE, Script(b"Hello\r\n"))

    (face,) = await PROBE.run(session)

    assert isinstance(face, TelnetFace)
    assert face.asks_login is None


async def test_a_server_that_negotiates_for_ever_gets_three_rounds(replay: Any) -> None:
    rounds = [bytes([0xFF, 0xFD, option]) for option in range(40, 60)]
    session = replay(PROBE, Script(*rounds))

    await PROBE.run(session)

    assert session.sent == [None, *(bytes([0xFF, 0xFC, option]) for option in (40, 41, 42))]


async def test_an_option_asked_again_is_not_answered_again(replay: Any) -> None:
    session = replay(PROBE, Script(b"\xff\xfd\x18", b"\xff\xfd\x18\r\nlogin: "))

    await PROBE.run(session)

    assert session.sent == [None, b"\xff\xfc\x18"]


async def test_an_endless_greeting_is_cut(replay: Any) -> None:
    session = replay(PROBE, lambda request: b"A" * 100_000)

    (face,) = await PROBE.run(session)

    assert isinstance(face, TelnetFace)
    assert len(face.banner) == COLLECT_MAX


@pytest.mark.parametrize(
    ("greeting", "protocol"),
    [
        (b"SSH-2.0-dropbear_2022.83\r\n\x00\x00\x01\xff\xfd\x18\xff\xfb\x01", "SSH"),
        (b"Property of the works\r\nSSH-1.99-Cisco-1.25\r\n", "SSH"),
        (b"220 (vsFTPd 3.0.3)\r\n", "FTP or SMTP"),
        (b"220-mail.plant.example\r\n", "FTP or SMTP"),
        (b"+OK POP3 ready\r\n", "POP3"),
        (b"* OK IMAP4rev1 ready\r\n", "IMAP"),
        (b"RFB 003.008\n", "RFB"),
    ],
)
async def test_what_greets_as_another_protocol_is_no_telnet_and_gets_no_answer(
    replay: Any, greeting: bytes, protocol: str
) -> None:
    session = replay(PROBE, Script(greeting))

    with pytest.raises(BadReply, match=protocol):
        await PROBE.run(session)

    assert session.sent == [None]


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfd\x18login: ", b"Welcome to SSH-2.0-land\r\nlogin: ", b"2200 model\r\n>"]
)
def test_a_screen_that_only_mentions_another_protocol_is_telnet(text: bytes) -> None:
    assert greets_as(text) is None


async def test_silence_from_the_beginning_is_silence(replay: Any) -> None:
    with pytest.raises(Silent):
        await PROBE.run(replay(PROBE, Script()))


# --- real devices ------------------------------------------------------------------------------


async def test_the_recorded_console_server_is_heard_and_refused(
    replay: Any, captures: Path
) -> None:
    recording = json.loads((captures / "telnet__opengear_cm4116.json").read_text())
    first, second, third = (bytes.fromhex(e["response_hex"]) for e in recording["exchanges"])
    session = replay(PROBE, Script(first, second, third, b"\r\nlogin: "))

    face = (await PROBE.run(session))[0]

    assert isinstance(face, TelnetFace)
    assert "do terminal-type" in face.options
    assert "will echo" in face.options
    assert face.asks_login is None or face.asks_login is True
    assert all(request is None or set(request[1::3]) <= {0xFC, 0xFE} for request in session.sent)


def telnet_banners(captures: Path) -> list[dict[str, Any]]:
    items = json.loads((captures / "banners.json").read_text())["items"]
    return [item for item in items if item["kind"] == "telnet_banners"]


def test_makers_of_recorded_greetings_are_found_and_none_is_wrong(captures: Path) -> None:
    items = telnet_banners(captures)
    right = wrong = 0
    for item in items:
        labels = item["labels"]
        truth = labels.get("hw.vendor") or labels.get("service.vendor") or labels.get("os.vendor")
        identity = identify_greeting(shown(item["banner"].encode()))
        if identity is not None:
            right += identity.vendor == truth
            wrong += identity.vendor != truth

    assert len(items) >= 13
    assert wrong == 0
    assert right / len(items) >= 0.95


SOLARIS = "A town's network Sun Solaris 1.1.1.B\nPlease log in\n\nSunOS UNIX (scn)\n\nlogin:"


def test_fields_of_recorded_greetings_are_read(captures: Path) -> None:
    by_description = {item["description"]: item["banner"] for item in telnet_banners(captures)}

    nport = identify_greeting(
        shown(by_description["Moxa NPort Device Server - IA Series"].encode())
    )
    catalyst = identify_greeting(shown(by_description["Cisco Catalyst 1900"].encode()))

    miineport = identify_greeting(
        shown(next(text for text in by_description.values() if "MiiNePort E2" in text).encode())
    )
    solaris = identify_greeting(shown(SOLARIS.encode()))

    assert miineport is not None
    assert (miineport.serial, miineport.name) == ("9999", "MiiNePort_E2_4064")
    assert solaris == DeviceIdentity(vendor="Sun", name="scn", firmware="1.1.1.B", basis="text")
    assert nport == DeviceIdentity(
        vendor="Moxa",
        model="NPort IA-5250",
        firmware="1.6",
        serial="281",
        device_class="gateway",
        basis="text",
    )
    assert catalyst == DeviceIdentity(
        vendor="Cisco",
        model="WS-C1924-EN",
        serial="FAB0341AAAA",
        device_class="switch",
        basis="text",
    )


def test_every_product_of_the_table_has_a_source() -> None:
    assert all(product.source and product.vendor for product in products())


# --- login -------------------------------------------------------------------------------------


async def login(replay: Any, script: Script, ledger: Ledger) -> tuple[Any, Any]:
    session = replay(LOGIN_PROBE, script, default_credentials=(DEFAULT,), attempts=ledger)
    return await LOGIN_PROBE.run(session), session


async def test_an_accepted_default_is_checked_with_a_control(replay: Any) -> None:
    ledger = Ledger()
    script = Script(
        b"login: ", b"admin\r\nPassword: ", b"\r\nsw1# ",
        b"login: ", b"Password: ", b"\r\nLogin incorrect\r\nlogin: ",
    )  # fmt: skip

    (fact,), session = await login(replay, script, ledger)

    assert isinstance(fact, CredentialAttempt)
    assert (fact.open_without_login, fact.accepted, fact.control_accepted) == (False, True, False)
    assert session.sent[1:3] == [b"admin\r\n", b"moxa-pw\r\n"]
    assert session.sent[4] == f"{CONTROL_USER}\r\n".encode()
    assert session.secrets[2] == ((0, 7),)
    assert ledger.begun == [("telnet/23", "admin"), ("telnet/23", CONTROL_USER)]
    assert "moxa-pw" not in repr(fact)


async def test_a_refused_default_ends_it(replay: Any) -> None:
    ledger = Ledger()
    script = Script(b"login: ", b"Password: ", b"\r\nLogin incorrect\r\nlogin: ")

    (fact,), session = await login(replay, script, ledger)

    assert (fact.accepted, fact.control_accepted, fact.lockout_sign) == (False, None, None)
    assert len(session.sent) == 3
    assert ledger.ends == [("admin", False, None)]


async def test_a_device_that_asks_nothing_gets_no_password(replay: Any) -> None:
    ledger = Ledger()

    (fact,), session = await login(replay, Script(b"rtu7> "), ledger)

    assert (fact.open_without_login, fact.withheld) == (True, "open_without_login")
    assert ledger.begun == []
    assert session.sent == [None]


async def test_an_unknown_prompt_gets_no_password(replay: Any) -> None:
    facts, session = await login(replay, Script(b"Press Enter for Setup Mode"), Ledger())

    assert facts == ()
    assert session.sent == [None]


async def test_a_full_ledger_withholds_the_attempt(replay: Any) -> None:
    (fact,), session = await login(replay, Script(b"login: "), Ledger(room=0))

    assert (fact.accepted, fact.withheld) == (None, "ledger")
    assert session.sent == [None]


@pytest.mark.parametrize(
    ("answer", "sign"),
    [
        (b"\r\nAccount locked\r\n", "locked"),
        (b"\r\nToo many failures, try again later\r\n", "too many"),
        (Closed("closed"), "connection dropped"),
        (Silent("nothing"), "no answer"),
    ],
)
async def test_a_sign_of_a_lock_is_told_to_the_ledger(
    replay: Any, answer: bytes | Exception, sign: str
) -> None:
    ledger = Ledger()

    (fact,), _ = await login(replay, Script(b"login: ", b"Password: ", answer), ledger)

    assert fact.lockout_sign == sign
    assert not fact.accepted
    assert ledger.ends == [("admin", False, sign)]


async def test_a_password_alone_has_no_control(replay: Any) -> None:
    ledger = Ledger()
    script = Script(b"Please keyin your password:", b"\r\nnport>", b"Please keyin your password:")

    (fact,), session = await login(replay, script, ledger)

    assert (fact.accepted, fact.control_accepted) == (True, None)
    assert session.sent == [None, b"moxa-pw\r\n", None]
    assert len(ledger.begun) == 1


async def test_a_secret_that_cannot_be_typed_is_not_tried(replay: Any) -> None:
    odd = DefaultCredential(
        id="x", vendor="x", product="x", protocol="telnet", user="a", secret=Secret("ü" * 80)
    )
    ledger = Ledger()
    session = replay(LOGIN_PROBE, Script(b"login: "), default_credentials=(odd,), attempts=ledger)

    (fact,) = await LOGIN_PROBE.run(session)

    assert fact.withheld == "policy"
    assert ledger.begun == []


def test_only_a_command_prompt_is_an_accepted_login() -> None:
    assert judged("\nsw1#") == (True, None)
    assert judged("\nMain menu\n1. Status\n2. Quit\nChoice: ") == (None, None)
    assert judged("\n% Bad password") == (False, None)
