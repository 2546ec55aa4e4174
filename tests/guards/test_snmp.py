"""The SNMP guard: what our encoder and pysnmp build for reading passes, all else is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pysnmp.proto import api, rfc1902, rfc1905
from pysnmp.proto.api import v1, v2c

from probes import snmp
from scanner.errors import BadReply, GuardRefused
from scanner.guards import specs
from scanner.guards.snmp import GUARD, MAX_DATAGRAM
from scanner.model import Tier

SENDING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)
SYS_DESCR = (1, 3, 6, 1, 2, 1, 1, 1, 0)
IF_DESCR = (1, 3, 6, 1, 2, 1, 2, 2, 1, 2)


def judge(frame: bytes, tier: Tier) -> str | None:
    return GUARD.open().judge(frame, tier)


def message(
    pdu: object, version: int = 1, community: str = "public", oid: tuple[int, ...] = SYS_DESCR,
    value: object | None = None,
) -> bytes:  # fmt: skip
    """A message as pysnmp writes it, with one variable binding."""
    module = api.PROTOCOL_MODULES[version]
    module.apiPDU.set_defaults(pdu)
    module.apiPDU.set_varbinds(pdu, [(oid, value if value is not None else module.Null(""))])
    whole = module.Message()
    module.apiMessage.set_defaults(whole)
    module.apiMessage.set_community(whole, community)
    module.apiMessage.set_pdu(whole, pdu)
    return bytes(encoder.encode(whole))


def bulk(repetitions: int, community: str = "public", oid: tuple[int, ...] = IF_DESCR) -> bytes:
    pdu = v2c.GetBulkRequestPDU()
    v2c.apiBulkPDU.set_defaults(pdu)
    v2c.apiBulkPDU.set_max_repetitions(pdu, repetitions)
    v2c.apiBulkPDU.set_varbinds(pdu, [(oid, v2c.Null(""))])
    whole = v2c.Message()
    v2c.apiMessage.set_defaults(whole)
    v2c.apiMessage.set_community(whole, community)
    v2c.apiMessage.set_pdu(whole, pdu)
    return bytes(encoder.encode(whole))


def trap_v1() -> bytes:
    pdu = v1.TrapPDU()
    v1.apiTrapPDU.set_defaults(pdu)
    v1.apiTrapPDU.set_varbinds(pdu, [(SYS_DESCR, v1.Null(""))])
    whole = v1.Message()
    v1.apiMessage.set_defaults(whole)
    v1.apiMessage.set_community(whole, "public")
    v1.apiMessage.set_pdu(whole, pdu)
    return bytes(encoder.encode(whole))


def v3(
    pdu: bytes, *, flags: int = 0, engine: bytes = b"\x80\0\0\0\1abcd", user: bytes = b"audit",
    auth: bytes = b"", priv: bytes = b"", encrypted: bytes | None = None,
) -> bytes:  # fmt: skip
    """An SNMPv3 message built from parts with the probe's primitives."""
    t, i = snmp.encode_tlv, snmp.encode_integer
    header = t(0x30, i(7) + i(1472) + t(4, bytes((flags,))) + i(3))
    security = t(0x30, t(4, engine) + i(1) + i(2) + t(4, user) + t(4, auth) + t(4, priv))
    scoped = t(4, encrypted) if encrypted is not None else t(0x30, t(4, engine) + t(4, b"") + pdu)
    return t(0x30, i(3) + header + t(4, security) + scoped)


def pdu(tag: int, oid: str = "1.3.6.1.2.1.1.1.0", value: bytes = b"\x05\x00") -> bytes:
    t, i = snmp.encode_tlv, snmp.encode_integer
    body = i(1) + i(0) + i(10 if tag == 0xA5 else 0)
    return t(tag, body + t(0x30, t(0x30, snmp.encode_oid(oid) + value)))


# --- what may leave ------------------------------------------------------------------------------


def test_every_planned_question_passes_in_its_tier() -> None:
    for probe in (snmp.PROBE, snmp.READ_PROBE, snmp.LOGIN_PROBE):
        for question in probe.questions:
            if question.sample:
                assert judge(question.sample, probe.tier) is None, question.label


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("tier", SENDING)
def test_a_get_request_under_public_passes(version: int, tier: Tier) -> None:
    get = api.PROTOCOL_MODULES[version].GetRequestPDU()

    assert judge(message(get, version), tier) is None


def test_table_questions_belong_to_the_read_tier() -> None:
    get_next = message(v2c.GetNextRequestPDU(), oid=IF_DESCR)
    get = message(v2c.GetRequestPDU(), oid=(*IF_DESCR, 1))

    for frame in (get_next, get, bulk(10)):
        assert judge(frame, Tier.READ) is None
        assert judge(frame, Tier.IDENTIFY) is not None


def test_v1_tables_are_read_with_get_next() -> None:
    assert judge(message(v1.GetNextRequestPDU(), version=0, oid=IF_DESCR), Tier.READ) is None


def test_lldp_may_be_read_and_vendor_trees_may_not() -> None:
    assert judge(bulk(10, oid=(1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, 5)), Tier.READ) is None
    assert judge(bulk(10, oid=(1, 3, 6, 1, 4, 1, 8691, 7)), Tier.READ) is not None
    assert judge(bulk(10, oid=(1, 0, 8802, 1, 1, 3)), Tier.READ) is not None


def test_of_the_vendor_trees_the_neighbours_of_cdp_alone_may_be_read() -> None:
    cache = (1, 3, 6, 1, 4, 1, 9, 9, 23, 1, 2, 1)

    assert judge(bulk(10, oid=(*cache, 1, 6)), Tier.READ) is None
    assert judge(bulk(10, oid=(*cache, 1, 6)), Tier.IDENTIFY) is not None
    for outside in (cache[:-1], (*cache[:-1], 2, 1), (1, 3, 6, 1, 4, 1, 9, 9, 43, 1), cache[:8]):
        assert judge(bulk(10, oid=outside), Tier.READ) is not None


def test_bulk_asks_for_ten_rows_at_most() -> None:
    assert judge(bulk(10), Tier.READ) is None
    for repetitions in (0, 11, 50, 2**31 - 1):
        assert judge(bulk(repetitions), Tier.READ) is not None


def test_another_community_is_tried_in_the_login_tier_only_and_only_on_the_system_group() -> None:
    get = message(v2c.GetRequestPDU(), community="private")

    assert judge(get, Tier.IDENTIFY) is not None
    assert judge(get, Tier.READ) is not None
    assert judge(get, Tier.LOGIN) is None
    assert judge(bulk(5, community="private"), Tier.LOGIN) is not None
    deep = message(v2c.GetRequestPDU(), community="private", oid=(*IF_DESCR, 1))
    assert judge(deep, Tier.LOGIN) is not None
    assert judge(message(v2c.GetRequestPDU(), community="x" * 33), Tier.LOGIN) is not None


def test_engine_discovery_passes_and_anything_more_of_v3_waits_for_the_read_tier() -> None:
    assert judge(snmp.encode_discovery(4), Tier.IDENTIFY) is None
    plain = v3(pdu(0xA0))
    assert judge(plain, Tier.IDENTIFY) is not None
    assert judge(plain, Tier.READ) is None
    assert judge(v3(pdu(0xA1)), Tier.READ) is None
    assert judge(v3(pdu(0xA5, "1.3.6.1.2.1.2.2.1.2")), Tier.READ) is None
    assert judge(v3(pdu(0xA0), flags=1, auth=bytes(12)), Tier.READ) is None


# --- what may not --------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("community", ["public", "private"])
def test_what_pysnmp_builds_to_write_or_to_notify_is_refused_in_every_tier(
    tier: Tier, version: int, community: str
) -> None:
    module = api.PROTOCOL_MODULES[version]
    frames = [
        message(module.SetRequestPDU(), version, community, value=rfc1902.OctetString("x")),
        message(module.SetRequestPDU(), version, community),
        message(module.GetResponsePDU(), version, community),
    ]
    if version == 1:
        frames += [
            message(module.InformRequestPDU(), version, community),
            message(module.SNMPv2TrapPDU(), version, community),
            message(module.ReportPDU(), version, community),
        ]
    else:
        frames.append(trap_v1())
    for frame in frames:
        assert judge(frame, tier) is not None


@given(tag=st.integers(0, 255), tier=st.sampled_from(list(Tier)))
def test_every_pdu_type_off_the_list_is_refused(tag: int, tier: Tier) -> None:
    t, i = snmp.encode_tlv, snmp.encode_integer
    frames = [v3(pdu(tag)), v3(pdu(tag), flags=1, auth=bytes(12))]
    for version in (0, 1):
        frames.append(t(0x30, i(version) + t(4, b"public") + pdu(tag)))

    if tag not in (0xA0, 0xA1, 0xA5):
        for frame in frames:
            assert judge(frame, tier) is not None


@pytest.mark.parametrize("tier", list(Tier))
def test_a_question_with_a_value_in_it_is_refused(tier: Tier) -> None:
    for value in (b"\x04\x01x", b"\x02\x01\x01", b"\x05\x01\x00", b"\x80\x00"):
        t, i = snmp.encode_tlv, snmp.encode_integer
        frame = t(0x30, i(1) + t(4, b"public") + pdu(0xA0, value=value))
        assert judge(frame, tier) is not None


@pytest.mark.parametrize("tier", list(Tier))
def test_encrypted_v3_is_refused_because_a_set_could_hide_in_it(tier: Tier) -> None:
    for flags in (2, 3, 6, 7):
        frame = v3(b"", flags=flags, auth=bytes(12), priv=bytes(8), encrypted=bytes(40))
        assert judge(frame, tier) is not None


def test_nothing_passes_in_the_passive_tier() -> None:
    assert judge(snmp.PROBE.questions[0].sample, Tier.PASSIVE) is not None


@given(cut=st.integers(0, 95), extra=st.binary(max_size=4))
def test_a_cut_or_extended_question_is_refused(cut: int, extra: bytes) -> None:
    whole = snmp.PROBE.questions[0].sample
    assert len(whole) == 96

    assert judge(whole[:cut] + extra, Tier.LOGIN) is not None or whole[:cut] + extra == whole
    if extra:
        assert judge(whole + extra, Tier.LOGIN) is not None


@given(at=st.integers(0, 95), bit=st.integers(0, 7))
def test_a_question_with_one_bit_flipped_is_still_a_harmless_question_or_refused(
    at: int, bit: int
) -> None:
    """The guard is not needed to notice; pysnmp must then read a GetRequest without a value."""
    frame = bytearray(snmp.PROBE.questions[0].sample)
    frame[at] ^= 1 << bit

    if judge(bytes(frame), Tier.IDENTIFY) is None:
        from pyasn1.codec.ber import decoder

        parsed, rest = decoder.decode(bytes(frame), asn1Spec=v2c.Message())
        read = v2c.apiMessage.get_pdu(parsed)
        assert not rest
        assert isinstance(read, rfc1905.GetRequestPDU)
        assert bytes(v2c.apiMessage.get_community(parsed)) == b"public"
        assert all(
            str(name).startswith("1.3.6.1.2.1.1.") for name, _ in v2c.apiPDU.get_varbinds(read)
        )


@settings(max_examples=300)
@given(data=st.binary(max_size=200), tier=st.sampled_from(list(Tier)))
def test_any_bytes_are_judged_without_an_exception(data: bytes, tier: Tier) -> None:
    verdict = judge(data, tier)

    assert verdict is None or isinstance(verdict, str)


def test_lengths_that_are_not_in_their_shortest_form_are_refused() -> None:
    """Two parsers may disagree about such a length, and what one skips the other may execute."""
    whole = snmp.PROBE.questions[0].sample
    long_form = bytes((0x30, 0x81, len(whole) - 2)) + whole[2:]
    indefinite = bytes((0x30, 0x80)) + whole[2:] + b"\0\0"

    assert judge(long_form, Tier.IDENTIFY) is not None
    assert judge(indefinite, Tier.IDENTIFY) is not None


def test_a_datagram_is_one_frame_and_never_longer_than_one_of_ours() -> None:
    guard = GUARD.open()

    assert guard.split(b"") == ((), b"")
    assert guard.split(b"abc") == ((b"abc",), b"")
    with pytest.raises(GuardRefused):
        guard.split(bytes(MAX_DATAGRAM + 1))


def test_padded_numbers_are_refused() -> None:
    t = snmp.encode_tlv
    request = t(0xA0, t(2, b"\0\0\0\1") + t(2, b"\0") + t(2, b"\0") + pdu(0xA0)[11:])
    frame = t(0x30, snmp.encode_integer(1) + t(4, b"public") + request)

    assert judge(frame, Tier.IDENTIFY) is not None


def _element(tag: int, body: bytes) -> bytes:
    return bytes([tag, 0x82]) + len(body).to_bytes(2, "big") + body


def _reply(value: bytes) -> bytes:
    varbind = _element(0x30, bytes.fromhex("06082b06010201010100") + value)
    pdu = bytes.fromhex("020101 020100 020100") + _element(0x30, varbind)
    return _element(0x30, bytes.fromhex("020101 0406") + b"public" + _element(0xA2, pdu))


def _nested(depth: int) -> bytes:
    value = bytes.fromhex("0500")
    for _ in range(depth):
        value = _element(0x30, value)
    return value


def test_a_library_is_given_replies_that_are_messages() -> None:
    framer = specs()["snmp"].reply_framer
    for value in (bytes.fromhex("040141"), bytes.fromhex("4105 00ffffffff"), b"\x05\x00"):
        reply = _reply(value)
        assert framer(reply) == len(reply)


@pytest.mark.parametrize(
    "reply",
    [
        _reply(_element(0x02, b"\x7f" * 30_000)),
        _reply(_element(0x06, b"\x2b" + b"\xff" * 30_000 + b"\x01")),
        _reply(_nested(3000)),
        _reply(b"\x05\x00" * 3000),
        _reply(bytes.fromhex("3080")),
        _reply(b"\x04\x85\x01\x00\x00\x00\x00"),
        b"",
        b"\x02\x01\x01",
    ],
)
def test_a_reply_over_which_a_library_would_stumble_never_reaches_it(reply: bytes) -> None:
    with pytest.raises(BadReply):
        specs()["snmp"].reply_framer(reply)


@given(st.binary(max_size=200))
def test_the_reply_framer_is_total(datagram: bytes) -> None:
    with suppress(BadReply):
        assert specs()["snmp"].reply_framer(datagram) == len(datagram)


# --- every deviation by its own reason -----------------------------------------------------------


def tlv(tag: int, *parts: bytes) -> bytes:
    return snmp.encode_tlv(tag, b"".join(parts))


def number(value: int) -> bytes:
    return snmp.encode_integer(value)


NULL = tlv(5)
NAME = snmp.encode_oid("1.3.6.1.2.1.1.1.0")
BINDINGS = tlv(0x30, tlv(0x30, NAME, NULL))


def question(*, pdu: int = 0xA0, version: int = 1, bindings: bytes = BINDINGS, status: int = 0,
             community: bytes = b"public", behind: bytes = b"") -> bytes:  # fmt: skip
    asked = tlv(pdu, number(1), number(status), number(0), bindings)
    return tlv(0x30, number(version), tlv(4, community), asked, behind)


def version_3(*, flags: bytes = b"\x04", header: bytes | None = None, wrapped: bytes | None = None,
              engine: bytes = b"", user: bytes = b"", priv: bytes = b"", auth: bytes = b"",
              pdu: int = 0xA0, behind: bytes = b"") -> bytes:  # fmt: skip
    if header is None:
        header = tlv(0x30, number(7), number(1472), tlv(4, flags), number(3))
    if wrapped is None:
        wrapped = tlv(
            0x30, tlv(4, engine), number(0), number(0), tlv(4, user), tlv(4, auth), tlv(4, priv)
        )
    asked = tlv(pdu, number(7), number(0), number(0), tlv(0x30))
    scoped = tlv(0x30, tlv(4, engine), tlv(4), asked)
    return tlv(0x30, number(3), header, tlv(4, wrapped), scoped, behind)


LONG_NAME = tlv(6, b"\x2b\x06\x01\x02\x01\x01" + b"\x01" * 160)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (question(behind=NULL), "elements instead of 3"),
        (question(pdu=0xAA), "not on the list"),
        (question(pdu=0xA5, version=0), "SNMPv1 has no GetBulk"),
        (question(status=1), "error-status 1"),
        (question(community=b"x" * 33), "community is not an OCTET STRING"),
        (question(version=2), "neither 1, 2c nor 3"),
        (question(bindings=tlv(0x31)), "not a SEQUENCE"),
        (question(bindings=tlv(0x30)), "without a variable"),
        (question(bindings=tlv(0x30, tlv(0x31, NAME, NULL))), "tag 0x31"),
        (question(bindings=tlv(0x30, tlv(0x30, NAME))), "1 elements instead of 2"),
        (question(bindings=tlv(0x30, tlv(0x30, NULL, NULL))), "name is not an OBJECT"),
        (question(bindings=tlv(0x30, tlv(0x30, LONG_NAME, NULL))), "name is not an OBJECT"),
        (question(bindings=tlv(0x30, tlv(0x30, NAME[:-1] + b"\x81", NULL))), "middle of a number"),
        (
            question(bindings=tlv(0x30, tlv(0x30, tlv(6, b"\x2b\x06\x80\x01"), NULL))),
            "shortest form",
        ),
        (question(bindings=tlv(0x30, tlv(0x30, NAME, number(1)))), "carries a value"),
        (question(bindings=tlv(0x30, *[tlv(0x30, NAME, NULL)] * 17)), "more elements"),
        (tlv(0x31, number(1)), "not one SEQUENCE"),
        (tlv(0x30), "an empty message"),
        (tlv(0x30, tlv(0x02, b"\x00\x01"), NULL), "not in its shortest form"),
        (tlv(0x30, NULL), "not an INTEGER"),
        (b"\x30\x81\x05" + number(1) + NULL, "not in its shortest form"),
        (b"\x30\x83\x00\x00\x01\x00", "indefinite, long or cut off"),
        (b"\x3f\x01\x00", "multi-byte tag"),
        (b"\x30", "cut off in a header"),
        (b"\x30\x05\x00", "runs past the end"),
        (b"\x30" * (MAX_DATAGRAM + 1), "more than a datagram"),
        (version_3(behind=NULL), "more elements"),
        (tlv(0x30, number(3), NULL, NULL), "3 elements instead of 4"),
        (version_3(header=tlv(0x30, number(7))), "1 elements instead of 4"),
        (version_3(flags=b""), "not one byte"),
        (version_3(flags=b"\x0c"), "not one byte"),
        (version_3(wrapped=b""), "security parameters are empty"),
        (version_3(priv=b"12345678"), "privacy parameters without encryption"),
        (version_3(user=b"x"), "engine discovery is a reportable question"),
        (version_3(flags=b"\x00"), "engine discovery is a reportable question"),
        (version_3(pdu=0xA1), "engine discovery is a GetRequest"),
        (version_3(engine=b"12345", auth=b"1" * 12), "do not fit msgFlags"),
        (version_3(engine=b"12345", flags=b"\x05"), "do not fit msgFlags"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame, Tier.READ) or "passed")


def test_the_shapes_from_which_they_deviate_pass() -> None:
    assert judge(question(), Tier.READ) is None
    assert judge(version_3(), Tier.READ) is None
    assert "beyond engine discovery" in (judge(version_3(engine=b"12345"), Tier.IDENTIFY) or "")


def answered(number: int, version: int = 1, kind: str = "ResponsePDU") -> bytes:
    module = {0: v1, 1: v2c}[version]
    pdu = getattr(module, "GetResponsePDU" if version == 0 and kind == "ResponsePDU" else kind)()
    module.apiPDU.set_defaults(pdu)
    module.apiPDU.set_request_id(pdu, number)
    module.apiPDU.set_varbinds(pdu, [(SYS_DESCR, module.OctetString("x"))])
    whole = module.Message()
    module.apiMessage.set_defaults(whole)
    module.apiMessage.set_pdu(whole, pdu)
    return bytes(encoder.encode(whole))


@pytest.mark.parametrize("number", [1, 127, 128, 70000, 2**31 - 1])
def test_only_the_response_with_the_same_request_id_answers_a_question(number: int) -> None:
    is_answer = specs()["snmp"].is_answer
    asked = answered(number, kind="GetRequestPDU")

    assert is_answer(answered(number), asked)
    assert not is_answer(answered(number - 1), asked)
    assert not is_answer(answered(number, version=0), asked)
    assert not is_answer(asked, asked)
    assert not is_answer(answered(number).replace(b"public", b"secret"), asked)
    assert is_answer(answered(number, 0), answered(number, 0, "GetRequestPDU"))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_look_whether_they_answer(told: bytes) -> None:
    assert specs()["snmp"].is_answer(told, answered(1, kind="GetRequestPDU")) is False
