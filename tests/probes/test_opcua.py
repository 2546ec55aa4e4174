"""OPC UA: endpoints and identity from made replies, refusals, and hostile bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import opcua
from scanner.errors import BadReply, Closed, OutsideWindow, Reset, Silent
from scanner.facts import ApplicationCertificate, DeviceIdentity, OpcUaEndpoint, ServiceAccess
from scanner.guards import open_guard
from scanner.model import Tier
from tests.conftest import NOON
from tests.fuzz.seeds.certificate import certificates

NULL = b"\xff\xff\xff\xff"
POLICIES = b"http://opcfoundation.org/UA/SecurityPolicy#"
CHANNEL = opcua.Channel(channel=0x11223344, token=0x55667788)
S7_1500 = (
    b"urn:SIMATIC.S7-1500.OPC-UA.Application:PLC_1", b"https://www.siemens.com/s7-1500", b"PLC_1",
)  # fmt: skip


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def text(value: bytes | None) -> bytes:
    return NULL if value is None else number(len(value)) + value


def several(items: Sequence[bytes]) -> bytes:
    return number(len(items)) + b"".join(items)


def message(kind: bytes, body: bytes, chunk: bytes = b"F") -> bytes:
    return kind + chunk + number(8 + len(body)) + body


def head(type_id: int, *, result: int = 0, diagnostics: bytes = b"\0") -> bytes:
    """Node id and response header."""
    return (
        b"\x01\0" + number(type_id, 2) + bytes(8) + number(1) + number(result) + diagnostics + NULL
        + b"\0\0\0"
    )  # fmt: skip


ACK = message(b"ACK", b"".join(number(n) for n in (0, 65536, 65536, 262144, 16)))


def error(code: int, reason: bytes | None = None) -> bytes:
    return message(b"ERR", number(code) + text(reason))


def opened(request: int = 1, *, body: bytes | None = None) -> bytes:
    if body is None:
        body = head(449) + number(0) + number(CHANNEL.channel) + number(CHANNEL.token)
        body += bytes(8) + number(60_000) + NULL
    policy = text(POLICIES + b"None") + NULL * 2
    return message(b"OPN", number(CHANNEL.channel) + policy + number(51) + number(request) + body)


def said(
    body: bytes, request: int = 2, *, channel: int = CHANNEL.channel, chunk: bytes = b"F"
) -> bytes:
    ids = number(channel) + number(CHANNEL.token) + number(52) + number(request)
    return message(b"MSG", ids + body, chunk)


def token(kind: int, policy: bytes | None = None) -> bytes:
    return (
        text(b"id") + number(kind) + NULL * 2 + text(None if policy is None else POLICIES + policy)
    )


def endpoint(
    mode: int = 1,
    policy: bytes = b"None",
    tokens: Sequence[bytes] = (),
    *,
    certificate: bytes | None = None,
    application: tuple[bytes, bytes, bytes] = S7_1500,
    kind: int = 0,
    url: bytes = b"opc.tcp://PLC-1:4840",
) -> bytes:
    uri, product, name = application
    server = text(uri) + text(product) + b"\x03" + text(b"en") + text(name) + number(kind)
    server += NULL * 2 + several([text(url)])
    return (
        text(url) + server + text(certificate) + number(mode) + text(POLICIES + policy)
        + several(tokens) + text(b"http://opcfoundation.org/UA-Profile/x") + b"\x05"
    )  # fmt: skip


def endpoints(*those: bytes) -> bytes:
    return head(431) + several(those)


def server(body: bytes) -> Callable[[bytes | None], bytes]:
    """A sound server that tells these endpoints."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return {b"HEL": ACK, b"OPN": opened(), b"MSG": said(body)}[request[:3]]

    return answer


async def facts_of(replay: Any, *those: bytes) -> tuple[Any, ...]:
    return tuple(await opcua.run(replay(opcua.PROBE, server(endpoints(*those)))))


# --- what is told --------------------------------------------------------------------------------


async def test_endpoints_certificate_and_identity_are_told(replay) -> None:
    der = certificates()[-1]
    session = replay(
        opcua.PROBE,
        server(
            endpoints(
                endpoint(1, b"None", [token(0), token(1)], certificate=der),
                endpoint(3, b"Basic256Sha256", [token(1), token(2)], certificate=der),
            )
        ),
    )

    access, plain, secure, shown, identity = await opcua.run(session)

    assert access == ServiceAccess(
        protocol="opcua",
        answers_without_login=True,
        encrypted=False,
        authentication=("anonymous", "user_name", "certificate"),
        details=(
            ("ApplicationUri", S7_1500[0].decode()),
            ("ProductUri", "https://www.siemens.com/s7-1500"),
            ("ApplicationName", "PLC_1"),
            ("ApplicationType", "server"),
        ),
    )
    assert isinstance(shown, ApplicationCertificate)
    assert shown.fingerprint_sha256 is not None
    assert shown.seen_at == NOON
    assert plain == OpcUaEndpoint(
        url="opc.tcp://PLC-1:4840",
        security_mode="none",
        security_policy="None",
        token_types=("anonymous", "user_name"),
        cleartext_password=True,
        certificate_sha256=shown.fingerprint_sha256,
    )
    assert (secure.security_mode, secure.security_policy) == ("sign_and_encrypt", "Basic256Sha256")
    assert secure.cleartext_password is False
    assert identity == DeviceIdentity(
        vendor="Siemens", model="SIMATIC S7-1500", name="PLC_1", device_class="plc", basis="text"
    )
    assert [request[:4] for request in session.sent] == [b"HELF", b"OPNF", b"MSGF", b"CLOF"]
    assert session.connections == 1


@pytest.mark.parametrize(
    ("application", "kind", "vendor", "model", "name"),
    [
        (S7_1500, 0, "Siemens", "SIMATIC S7-1500", "PLC_1"),
        ((S7_1500[0], b"", b""), 0, "Siemens", "SIMATIC S7-1500", "PLC_1"),
        ((b"urn:SIMATIC.S7-1200.OPC-UA.Application:P", b"", b""), 0, "Siemens", "SIMATIC S7-1200",
         "P"),
        ((b"urn:CX-19788E:BeckhoffAutomation:TcOpcUaServer:1", b"", b""), 0, "Beckhoff", None,
         "CX-19788E"),
        ((b"urn:JDE-CPP:Kepware.KEPServerEX.V6:UA%20Server", b"", b""), 0, "Kepware", "KEPServerEX",
         "JDE-CPP"),
        ((b"urn:pft50/BR/UA/EmbeddedServer", b"", b""), 0, "B&R", None, "pft50"),
        ((b"urn:open62541.server.application", b"http://open62541.org", b"x"), 0, None, None, None),
        ((b"urn:x", b"https://www.siemens.com/s7-1500.example.org", b"x"), 0, None, None, None),
        ((b"xurn:SIMATIC.S7-1500.OPC-UA.Application:P", b"", b""), 0, None, None, None),
        (S7_1500, 3, None, None, None),  # a discovery server names no device
    ],
)  # fmt: skip
async def test_only_a_makers_own_uri_names_a_device(
    replay, application, kind, vendor, model, name
) -> None:
    facts = await facts_of(replay, endpoint(application=application, kind=kind))

    found = [fact for fact in facts if isinstance(fact, DeviceIdentity)]

    if vendor is None:
        assert found == []
    else:
        assert [(f.vendor, f.model, f.name) for f in found] == [(vendor, model, name)]


def test_every_row_of_the_table_has_a_source_and_names_a_vendor() -> None:
    assert len(opcua.products()) >= 6
    for row in opcua.products():
        assert row.source
        assert row.vendor
        assert row.application or row.product


@pytest.mark.parametrize(
    ("mode", "policy", "tokens", "expected"),
    [
        (1, b"None", [token(0)], None),
        (1, b"None", [token(1)], True),
        (1, b"None", [token(1, b"None")], True),
        (1, b"None", [token(1, b"Basic256Sha256")], False),
        (2, b"Basic256Sha256", [token(1)], False),
        (2, b"Basic256Sha256", [token(1, b"None")], True),
        (3, b"Basic256Sha256", [token(1, b"None")], False),
        (1, b"None", [token(1, b"Basic256"), token(1, b"None")], True),
        (1, b"None", [], None),
    ],
)
async def test_a_password_in_clear_is_one_that_neither_policy_encrypts(
    replay, mode, policy, tokens, expected
) -> None:
    facts = await facts_of(replay, endpoint(mode, policy, tokens))

    assert [f.cleartext_password for f in facts if isinstance(f, OpcUaEndpoint)] == [expected]


async def test_a_server_without_endpoints_is_seen_and_nothing_is_claimed(replay) -> None:
    assert await facts_of(replay) == (
        ServiceAccess(
            protocol="opcua", answers_without_login=True, encrypted=False, authentication=()
        ),
    )


async def test_a_reply_in_chunks_is_put_together(replay) -> None:
    body = endpoints(endpoint())
    whole = said(body[:40], chunk=b"C") + said(body[40:70], chunk=b"C") + said(body[70:])

    assert opcua.message_length(whole[:-1]) is None
    assert opcua.message_length(whole + b"more") == len(whole)
    assert opcua.decode_endpoints(whole, channel=CHANNEL, request_id=2) == opcua.decode_endpoints(
        said(body), channel=CHANNEL, request_id=2
    )


async def test_the_first_certificate_of_a_chain_is_the_server_s(replay) -> None:
    der = next(each for each in certificates() if each[:2] == b"\x30\x82")

    facts = await facts_of(replay, endpoint(certificate=der + b"\x30\x82\x00\x01x"))

    assert [f for f in facts if isinstance(f, ApplicationCertificate)] == [
        f for f in await facts_of(replay, endpoint(certificate=der))
        if isinstance(f, ApplicationCertificate)
    ]  # fmt: skip


async def test_device_text_is_bounded_and_printable(replay) -> None:
    facts = await facts_of(replay, endpoint(application=(b"urn:\x1b[2J" + b"A" * 5000, b"", b"\n")))

    details = dict(facts[0].details)
    assert len(details["ApplicationUri"]) == opcua.MAX_TEXT
    assert details["ApplicationUri"].isprintable()
    assert "ApplicationName" not in details


# --- refusals and trouble ------------------------------------------------------------------------


@pytest.mark.parametrize("at", [b"HEL", b"OPN", b"MSG"])
@pytest.mark.parametrize(("code", "wants"), [(0x80550000, False), (0x807D0000, None)])
async def test_a_refusal_in_words_is_an_answer_and_ends_it(replay, at, code, wants) -> None:
    good = server(endpoints(endpoint()))

    def answer(request: bytes | None) -> bytes:
        return error(code, b"so it is") if request[:3] == at else good(request)

    session = replay(opcua.PROBE, answer)

    assert await opcua.run(session) == (
        ServiceAccess(
            protocol="opcua",
            answers_without_login=wants,
            details=(("StatusCode", f"0x{code:08X}"), ("Reason", "so it is")),
        ),
    )
    assert [r[:3] for r in session.sent if r[:3] != b"CLO"][-1] == at


async def test_a_service_fault_and_an_aborted_message_are_refusals(replay) -> None:
    for reply in (
        said(head(397, result=0x800B0000)),
        said(head(431, result=0x800B0000) + several(())),
        said(number(0x800B0000) + NULL, chunk=b"A"),
    ):
        assert opcua.decode_endpoints(reply, channel=CHANNEL, request_id=2) == opcua.Refusal(
            code=0x800B0000
        )
    fault = opened(body=head(397, result=0x80540000))
    assert opcua.decode_channel(fault, request_id=1) == opcua.Refusal(code=0x80540000)


def test_diagnostics_are_read_over() -> None:
    deep = b"\x7f" + bytes(16) + text(b"more") + bytes(4) + b"\0"
    reply = said(head(431, diagnostics=deep) + several([endpoint()]))

    assert len(opcua.decode_endpoints(reply, channel=CHANNEL, request_id=2)) == 1


@pytest.mark.parametrize("trouble", [Silent, Closed, Reset])
@pytest.mark.parametrize("at", [b"HEL", b"OPN", b"MSG"])
async def test_silence_and_a_dropped_connection_are_not_followed_by_another(
    replay, trouble, at
) -> None:
    good = server(endpoints(endpoint()))

    def answer(request: bytes | None) -> bytes:
        if request[:3] == at:
            raise trouble("so it is")
        return good(request)

    session = replay(opcua.PROBE, answer)

    with pytest.raises(trouble):
        await opcua.run(session)
    assert session.connections == 1
    assert session.sent[-1][:3] == at


@pytest.mark.parametrize("trouble", [Closed, OutsideWindow])
async def test_a_goodbye_that_cannot_be_said_costs_no_answer(replay, trouble) -> None:
    class Ending(replay):
        async def exchange(self, request, framer, **options):
            if framer is None:
                raise trouble("too late")
            return await super().exchange(request, framer, **options)

    facts = await opcua.run(Ending(opcua.PROBE, server(endpoints(endpoint()))))

    assert any(isinstance(fact, DeviceIdentity) for fact in facts)


async def test_an_echo_of_our_own_bytes_is_no_server(replay) -> None:
    with pytest.raises(BadReply):
        await opcua.run(replay(opcua.PROBE, lambda request: request))


@pytest.mark.parametrize("kind", [b"OPN", b"MSG"])
async def test_an_echo_behind_a_good_beginning_is_no_answer(replay, kind: bytes) -> None:
    good = server(endpoints(endpoint()))

    with pytest.raises(BadReply, match="expected service"):
        await opcua.run(replay(opcua.PROBE, lambda r: r if r[:3] == kind else good(r)))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (opened(7), "request"),
        (opened(body=head(431)), "service"),
        (opened()[:-6] + bytes(2), "message"),
        (ACK, "open channel"),
    ],
)
def test_a_channel_that_answers_something_else_is_a_bad_reply(reply: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        opcua.decode_channel(reply, request_id=1)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said(endpoints(endpoint()), 7), "request"),
        (said(endpoints(endpoint()), channel=1), "another channel"),
        (said(head(449)), "service"),
        (said(endpoints(endpoint())[:-4]), "beyond"),
        (said(head(431) + number(65) + endpoint()), "a list of 65"),
        (said(b"\x03\0\0" + text(b"x")), "node id"),
        (said(head(431, diagnostics=b"\x40" * 8)), "without an end"),
        (said(endpoints(endpoint()), chunk=b"C"), "message"),
        (opened(), "message"),
    ],
)
def test_endpoints_that_are_no_answer_are_a_bad_reply(reply: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        opcua.decode_endpoints(reply, channel=CHANNEL, request_id=2)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x03\x00\x00\x0b\x06\xd0", ACK[:3] + b"X" + ACK[4:],
        b"ACKF\x07\0\0\0", b"MSGF\xff\xff\xff\x7f", (b"MSGC" + number(24) + bytes(16)) * 17,
        opcua.encode_hello(url="opc.tcp://192.0.2.1:4840"),
    ],
)  # fmt: skip
def test_another_protocol_s_bytes_are_no_message(reply: bytes) -> None:
    with pytest.raises(BadReply):
        opcua.message_length(reply)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_bad_reply(data: bytes) -> None:
    for reply in (
        data,
        said(data),
        opened(body=data),
        message(b"ERR", data),
        said(head(431) + data),
    ):
        for decode in (
            opcua.message_length,
            opcua.decode_hello_reply,
            lambda r: opcua.decode_channel(r, request_id=1),
            lambda r: opcua.decode_endpoints(r, channel=CHANNEL, request_id=2),
        ):
            try:
                decode(reply)
            except BadReply:
                continue


@given(st.integers(min_value=0, max_value=7_000_000_000))
def test_every_time_is_one_the_guard_lets_pass(seconds: int) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    guard = open_guard("opcua")

    for frame in (
        opcua.encode_open_channel(now=now),
        opcua.encode_get_endpoints(channel=CHANNEL, url="opc.tcp://[fd00::1]:48010", now=now),
        opcua.encode_close_channel(channel=CHANNEL, now=now),
    ):
        assert guard.judge(frame, Tier.IDENTIFY) is None
