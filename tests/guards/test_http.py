"""The HTTP guard: the start page may be fetched; verbs, paths and tricks beyond it are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credentials import sets
from probes import http
from scanner.errors import GuardRefused
from scanner.guards.http import GUARD, LOGIN_FORMS, LOGIN_PAGES, MAX_BODY, MAX_HEAD, START_PATHS
from scanner.model import Tier

SENDING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)
VERBS = (
    "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "MOVE",
    "COPY", "LOCK", "get", "GETS", "HEADER", "",
)  # fmt: skip


def request(
    verb: str = "GET",
    path: str = "/",
    *,
    headers: tuple[str, ...] = ("Host: 127.0.0.1", "Connection: close"),
    body: bytes = b"",
    version: str = "HTTP/1.1",
) -> bytes:
    head = "\r\n".join((f"{verb} {path} {version}", *headers))
    return head.encode("latin-1") + b"\r\n\r\n" + body


FORM_PATH, LOGIN_BODY = "/cgi-bin/login.cgi", b"username=admin&password=x"


def form(path: str = FORM_PATH, body: bytes = LOGIN_BODY, *extra: str) -> bytes:
    return request(
        "POST",
        path,
        headers=(
            "Host: 127.0.0.1",
            "Connection: close",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
            *extra,
        ),
        body=body,
    )


def judge(frame: bytes, tier: Tier) -> str | None:
    """What a session does: cut into frames, then judge each. Refused in either step is refused."""
    guard = GUARD.open()
    try:
        frames, rest = guard.split(frame)
    except GuardRefused as refusal:
        return str(refusal)
    if rest or not frames:
        return "not whole"
    return next((reason for one in frames if (reason := guard.judge(one, tier))), None)


# --- what may leave ------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", SENDING)
@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_the_start_page_may_be_fetched(tier: Tier, path: str, verb: str) -> None:
    assert judge(request(verb, path), tier) is None


def test_every_planned_question_passes_in_its_tier() -> None:
    probes = (http.PROBE, http.TLS_PROBE, http.READ_PROBE, http.LOGIN_PROBE, http.TLS_LOGIN_PROBE)
    for probe in probes:
        for question in probe.questions:
            if question.sample:
                assert judge(question.sample, probe.tier) is None, question.label


@pytest.mark.parametrize(
    "path",
    [
        "/secure/embedded/http_passwd_config.htm?Language=English",
        "/secure/system/globaldata.htm?Language=English",
    ],
)
def test_another_page_and_a_login_belong_to_the_login_tier(path: str) -> None:
    basic = "Authorization: Basic YWRtaW46YWRtaW4="
    with_login = request(path=path, headers=("Host: 127.0.0.1", "Connection: close", basic))

    assert judge(with_login, Tier.LOGIN) is None
    assert judge(request(path=path), Tier.LOGIN) is None
    for tier in (Tier.IDENTIFY, Tier.READ):
        assert judge(request(path=path), tier) is not None
        assert judge(with_login, tier) is not None
        start = request(headers=("Host: 127.0.0.1", "Connection: close", basic))
        assert judge(start, tier) is not None


def test_a_form_is_posted_in_the_login_tier_only() -> None:
    assert judge(form(), Tier.LOGIN) is None
    for tier in (Tier.PASSIVE, Tier.IDENTIFY, Tier.READ):
        assert judge(form(), tier) is not None


def test_pages_and_forms_are_those_of_the_shipped_credential_sets() -> None:
    pages, forms = set(), {}
    for entry in sets.load():
        if entry.protocol == "http":
            pages.add(entry.options["path"].encode())
            if path := entry.options.get("form_path"):
                fields = [entry.options[name] for name in ("user_field", "password_field")]
                forms[path.encode()] = {field.encode() for field in fields if field}

    assert pages - START_PATHS == LOGIN_PAGES
    assert forms == LOGIN_FORMS


@pytest.mark.parametrize(
    "frame",
    [
        request(path="/stop"),
        request(path="/plc/start?confirm=1"),
        request(path="/relay?state=0&port=3"),
        request(path="/home"),
        form("/", b"action=reboot&confirm=true"),
        form("/goform/formset", b"ipaddr=10.0.0.1&mask=255.0.0.0"),
        form(body=b"username=admin&password=x&action=reboot"),
        form(body=b"username=admin&username=b&password=x"),
        form(body=b"action=reboot"),
    ],
)
def test_what_no_credential_set_names_is_refused_in_every_tier(frame: bytes) -> None:
    assert all(judge(frame, tier) is not None for tier in Tier)


# --- what may not --------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("verb", VERBS)
def test_every_other_verb_is_refused(verb: str, tier: Tier) -> None:
    assert judge(request(verb), tier) is not None


@given(verb=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12))
def test_any_verb_off_the_list_is_refused(verb: str) -> None:
    if verb not in ("GET", "HEAD"):
        for tier in Tier:
            assert judge(request(verb), tier) is not None


@given(
    path=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40).map("/".__add__)
)
def test_below_the_login_tier_no_path_but_the_start_page_passes(path: str) -> None:
    if path not in ("/", "/favicon.ico"):
        assert judge(request(path=path), Tier.IDENTIFY) is not None
        assert judge(request(path=path), Tier.READ) is not None


@pytest.mark.parametrize(
    "path",
    [
        "/reboot", "/cgi-bin/restart.cgi", "/system/factory", "/update?file=x", "/config/delete",
        "/a/../b", "/%2e%2e/x", "/x y", "/x#y", "*", "http://127.0.0.1/", "//host/", "/x?y=<z>",
        "/" + "a" * 256, "/cmd", "/Firmware", "/setup/SAVE",
    ],
)  # fmt: skip
def test_paths_that_act_or_play_tricks_are_refused_in_every_tier(path: str) -> None:
    assert [tier for tier in Tier if judge(request(path=path), tier) is None] == []
    assert judge(form(path), Tier.LOGIN) is not None


@pytest.mark.parametrize("tier", SENDING)
@pytest.mark.parametrize(
    "headers",
    [
        ("Connection: close",),
        ("Host: 127.0.0.1", "Host: 127.0.0.1", "Connection: close"),
        ("Host: 127.0.0.1", "host: 127.0.0.2", "Connection: close"),
        ("Host: 127.0.0.1",),
        ("Host: 127.0.0.1", "Connection: keep-alive"),
        ("Host: 127.0.0.1", "Connection: close", "X-HTTP-Method-Override: PUT"),
        ("Host: 127.0.0.1", "Connection: close", "Transfer-Encoding: chunked"),
        ("Host: 127.0.0.1", "Connection: close", "Upgrade: websocket"),
        ("Host: 127.0.0.1", "Connection: close", "Cookie: a=b"),
        ("Host: 127.0.0.1", "Connection: close", "Content-Length: 0"),
        ("Host: 127.0.0.1", "Connection: close", "Destination: /x"),
        ("Host: 127.0.0.1", "Connection: close", " folded"),
        ("Host: 127.0.0.1", "Connection: close", "Accept:\x00"),
        ("Host: 127.0.0.1", "Connection: close", "Accept : a"),
        ("Host: example.com", "Connection: close"),
        ("Host: 127.0.0.1\rX: y", "Connection: close"),
        ("Host: 127.0.0.1\nX: y", "Connection: close"),
        ("Host: 127.0.0.1", "Connection: close", "Accept: " + "a" * 600),
    ],
)
def test_header_tricks_are_refused(headers: tuple[str, ...], tier: Tier) -> None:
    assert judge(request(headers=headers), tier) is not None


@pytest.mark.parametrize("tier", list(Tier))
def test_only_http_1_1_is_spoken(tier: Tier) -> None:
    for version in ("HTTP/1.0", "HTTP/2", "HTTP/0.9", "", "HTTP/1.1 "):
        assert judge(request(version=version), tier) is not None


@pytest.mark.parametrize("tier", list(Tier))
def test_a_body_on_get_and_a_second_request_are_refused(tier: Tier) -> None:
    assert judge(request(body=b"x"), tier) is not None
    assert judge(request() + request(), tier) is not None
    assert judge(form() + request("PUT", "/"), tier) is not None


def test_a_form_must_be_small_plain_and_as_long_as_it_says() -> None:
    assert judge(form(body=b"a" * (MAX_BODY + 1)), Tier.LOGIN) is not None
    assert judge(form(body=b"a=\x00"), Tier.LOGIN) is not None
    assert judge(form(body=b'{"a": 1}'), Tier.LOGIN) is not None
    assert judge(form(FORM_PATH, LOGIN_BODY, "Content-Length: 25"), Tier.LOGIN) is not None
    assert judge(form(FORM_PATH, LOGIN_BODY, "Authorization: Digest x"), Tier.LOGIN) is not None
    multipart = form().replace(b"application/x-www-form-urlencoded", b"multipart/form-data")
    assert judge(multipart, Tier.LOGIN) is not None
    assert judge(form().replace(b"Content-Length: 25", b"Content-Length: 2"), Tier.LOGIN)
    assert judge(form().replace(b"Content-Length: 25", b"Content-Length: -1"), Tier.LOGIN)


def test_a_request_is_held_back_until_it_is_whole() -> None:
    whole = form()
    for cut in range(1, len(whole)):
        frames, rest = GUARD.open().split(whole[:cut])
        assert (frames, rest) == ((), whole[:cut])
    assert GUARD.open().split(whole) == ((whole,), b"")


def test_a_head_without_an_end_is_refused() -> None:
    with pytest.raises(GuardRefused):
        GUARD.open().split(b"GET / HTTP/1.1\r\n" + b"a" * MAX_HEAD)


@settings(max_examples=200)
@given(data=st.binary(max_size=300), tier=st.sampled_from(list(Tier)))
def test_any_bytes_are_judged_without_an_exception(data: bytes, tier: Tier) -> None:
    for frame in (data, data + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
        verdict = judge(frame, tier)
        assert verdict is None or isinstance(verdict, str)
        assert verdict is not None or frame.startswith((b"GET / ", b"HEAD / "))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (request(path="/" + "a" * 256), "not GET, HEAD or POST of a plain path"),
        (form(body=b"a=<b>"), "not a small form"),
        (
            request(
                "POST",
                FORM_PATH,
                headers=("Host: 127.0.0.1", "Connection: close", "Content-Length: 0"),
            ),
            "x-www-form-urlencoded only",
        ),
        (
            request(
                headers=("Host: 127.0.0.1", "Connection: close", "Authorization: Digest x"),
            ),
            "Authorization is not Basic",
        ),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame, Tier.LOGIN) or "passed")


def test_a_form_whose_announced_length_is_another_is_refused() -> None:
    frame = form().replace(b"Content-Length: 25", b"Content-Length: 20")
    assert frame != form()

    assert "does not fit the body" in (GUARD.open().judge(frame, Tier.LOGIN) or "passed")
