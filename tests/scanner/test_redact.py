"""Nothing secret is handed on to what stores (safety promise 27)."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.facts import HttpFace, SshFace, TelnetFace
from scanner.redact import OVERLAP, SLICE, Redactor, spellings
from scanner.spec import Secret

OWN = "gezeiten-0417/lesen+ü"
REDACTOR = Redactor([Secret(OWN)])


@pytest.mark.parametrize(
    "echoed",
    [
        OWN.encode(),
        quote(OWN, safe="").encode(),
        OWN.encode("utf-16-le"),
        OWN.encode("utf-16-be"),
        OWN.encode().hex().encode(),
        OWN.encode().hex().upper().encode(),
        OWN[::-1].encode(),
        *(base64.b64encode(b"u" * n + b":" + OWN.encode() + b":x") for n in range(4)),
        base64.urlsafe_b64encode(b"user:" + OWN.encode()),
    ],
)
def test_the_operators_secret_is_found_in_every_spelling(echoed: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\n<title>" + echoed + b"</title>"

    blanked = REDACTOR.blank(reply)

    assert len(blanked) == len(reply)
    assert blanked.startswith(b"HTTP/1.1 200 OK\r\n\r\n<title>")
    assert blanked.count(0) > len(echoed) // 2  # base64 at its edges holds neighbours too
    assert not any(one in blanked for one in spellings(OWN))


CANARY = "k4nari3nVogel"

BY_FORM = [
    "Set-Cookie: session={}; Path=/; HttpOnly\r\n",
    "set-cookie: JSESSIONID={}\r\n",
    "Authorization: Basic {}\r\n",
    "X-Auth-Token: {}\r\n",
    "Location: http://admin:{}@10.0.0.1/\r\n",
    "Location: /login?user=admin&password={}&x=1\r\n",
    "Location: /start?sid={}\r\n",
    "Location: /start;jsessionid={}\r\n",
    '<a href="ftp://service:{}@plc/">',
    '{{"user":"admin","password":"{}"}}',
    '{{"access_token": "{}"}}',
    "<password>{}</password>",
    '<input type="password" name="pw" value="{}">',
    "<input value='{}' name=pw type='password'>",
    '<input type=hidden name="csrf_token" value="{}">',
    "Welcome. Password: {}\r\n",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{}",
    "root:$6$salt${}:19000:0:99999:7:::",
    "enable secret 9 $9$abc${}",
]


@pytest.mark.parametrize("form", BY_FORM)
def test_what_carries_a_secret_by_its_form_is_taken_out(form: str) -> None:
    text = form.format(CANARY)
    head = "HTTP/1.1 200 OK\r\n"

    blanked = Redactor([]).blank((head + text).encode())
    words = Redactor([]).words(head + text)

    assert CANARY.encode() not in blanked
    assert len(blanked) == len(head + text)
    assert blanked.startswith(head.encode())
    assert CANARY not in words
    assert "<secret>" in words


@pytest.mark.parametrize(
    "text",
    [
        'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="SCALANCE S615"\r\n',
        "Siemens, SIMATIC NET, SCALANCE S615, 6GK5 615-0AA00-2AA2, HW: Version 1",
        "<form method=post><input name=user><input type=password name=password></form>",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        "Password:",
        "login: ",
        "http://10.0.0.1:8080/path?page=1",
        "Key features: none; session ended",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert REDACTOR.words(text) == text
    assert REDACTOR.blank(text.encode()) == text.encode()


def test_facts_lose_their_secrets_and_nothing_else() -> None:
    facts = (
        HttpFace(scheme="http", status=302, title=OWN, location=f"/x?token={CANARY}", server="n"),
        TelnetFace(banner=f"hello {OWN[::-1]}", options=("echo",)),
        SshFace(banner="SSH-2.0-x", kex=("a", "b")),
    )

    kept = REDACTOR.facts(facts)

    assert kept[0] == HttpFace(
        scheme="http", status=302, title="<secret>", location="/x?token=<secret>", server="n"
    )
    assert kept[1] == TelnetFace(banner="hello <secret>", options=("echo",))
    assert kept[2] is facts[2]


def test_a_very_short_secret_does_not_hide_the_evidence() -> None:
    assert Redactor([Secret("abc")]).words("abcabc") == "abcabc"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_keep_their_length(data: bytes) -> None:
    assert len(REDACTOR.blank(data)) == len(data)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives_whatever_stands_around_it(secret: str, a: str, b: str) -> None:
    kept = Redactor([Secret(secret)]).blank(f"{a}{secret}{b}".encode("utf-8", "surrogatepass"))

    assert secret.encode("utf-8", "surrogatepass") not in kept


async def test_a_long_reply_gives_others_their_turn() -> None:
    turns = 0

    async def look() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await REDACTOR.blank_in_turns(b"password=" * (8 * SLICE // 9))
    looking.cancel()

    assert turns >= 8


def test_a_secret_that_lies_across_two_pieces_is_found() -> None:
    for cut in (SLICE - 5, SLICE, SLICE + OVERLAP - 7, 2 * SLICE - 3):
        for text in (OWN.encode(), b"password=" + CANARY.encode()):
            data = b"." * (cut - 8) + text + b" " * (2 * SLICE)
            kept = REDACTOR.blank(data)
            assert OWN.encode() not in kept
            assert CANARY.encode() not in kept
