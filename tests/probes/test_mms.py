"""MMS identification: a recording, made servers, what is said unasked, and hostile bytes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import mms
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess

Answer = Callable[[bytes | None], bytes]

CONFIRM = bytes.fromhex("0300000e09d0000100010 0c0010a".replace(" ", ""))
DISCONNECT = bytes.fromhex("0300000b06800001000080")
INITIATE_REPLY = bytes.fromhex(
    "a92580027d00810101820101830105a416800101810305f100820c036e1c000000000000400110"
)


def element(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    size = len(value)
    head = bytes([tag, size]) if size < 128 else bytes([tag, 0x82, size >> 8, size & 255])
    return head + value


def tsdu(data: bytes) -> bytes:
    return b"\x03\0" + (7 + len(data)).to_bytes(2, "big") + b"\x02\xf0\x80" + data


def presented(context: int, value: bytes) -> bytes:
    return element(0x61, element(0x30, bytes([2, 1, context]), element(0xA0, value)))


def mms_pdu(value: bytes) -> bytes:
    return tsdu(b"\x01\0\x01\0" + presented(3, value))


def response(service: bytes, *, invoke: int = 1) -> bytes:
    return mms_pdu(element(0xA1, bytes([2, 1, invoke]), service))


def associated(result: int = 0, diagnostic: int = 0) -> bytes:
    parts = [bytes.fromhex("a107060528ca220203"), element(0xA2, bytes([2, 1, result]))]
    parts.append(element(0xA3, element(0xA1, bytes([2, 1, diagnostic]))))
    if not result:
        external = element(0x28, b"\x02\x01\x03", element(0xA0, INITIATE_REPLY))
        parts.append(element(0xBE, external))
    normal = element(
        0xA2, bytes.fromhex("830400000001a512300780010081025101300780010081025101"),
        presented(1, element(0x61, *parts)),
    )  # fmt: skip
    shown = element(0x31, bytes.fromhex("a003800101"), normal)
    body = bytes.fromhex("0506130100160102 14020002".replace(" ", ""))
    body += b"\xc1" + bytes([len(shown)]) + shown
    return tsdu(bytes([0x0E, len(body)]) + body)


def identified(vendor: bytes = b"V", model: bytes = b"M", revision: bytes = b"1") -> bytes:
    texts = (b"\x80", vendor), (b"\x81", model), (b"\x82", revision)
    return element(0xA2, *(tag + bytes([len(text)]) + text for tag, text in texts))


IDENTIFIED = response(identified())


def kind_of(request: bytes | None) -> str:
    assert request is not None
    if request[5] == 0xE0:
        return "connect"
    if request[7] == 0x0D:
        return "associate"
    found = {0x82: "identify", 0xA1: "names", 0xA4: "read"}
    return "conclude" if request == mms.encode_conclude() else found[request[11 + 4 + 5 + 5]]


def service_of(request: bytes) -> str:
    """As `kind_of`, for requests of any length of length."""
    for name, mark in (("names", b"\xa0\x03\x80\x01\x09"), ("read", b"LPHD1$DC$PhyNam")):
        if mark in request:
            return name
    return kind_of(request)


def server(**answers: Any) -> Answer:
    """A server by kind of request; an answer may be bytes, an error, or a list to take turns."""
    table: dict[str, Any] = {"connect": CONFIRM, "associate": associated(), "identify": IDENTIFIED}
    table |= answers

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        found = table.get(service_of(request))
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise Silent("not made")
        assert isinstance(found, bytes)
        return found

    return answer


def recorded(capture: dict[str, Any]) -> Answer:
    """The recorded server: COTP, association, identify, with whatever it said unasked between."""
    by_label = {one["label"]: bytes.fromhex(one["response_hex"]) for one in capture["exchanges"]}
    whole = by_label["ACSE/MMS initiate"]
    first = int.from_bytes(whole[2:4], "big")
    return server(
        connect=by_label["COTP connect"],
        associate=whole[:first],
        # what came unasked behind the association is still there when identify is asked
        identify=whole[first:] + by_label["MMS identify request"],
    )


def recordings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("mms__*.json"))]


async def test_the_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    """A control centre's server, which asks the client in turn before it is asked anything."""
    found = recordings(captures)
    assert found
    for capture in found:
        assert capture["identity_in_reply"]

        access, identity = await mms.run(replay(mms.PROBE, recorded(capture)))

        assert access == ServiceAccess(
            protocol="mms", answers_without_login=True, encrypted=False, version="1",
            details=(("called TSAP", "0001"),),
        )  # fmt: skip
        assert identity == DeviceIdentity(
            vendor=capture["facts"]["vendor"],
            model=capture["facts"]["model"],
            firmware=capture["facts"]["revision"],
        )


async def test_it_connects_associates_identifies_and_concludes_once(replay) -> None:
    session = replay(mms.PROBE, server())

    await mms.run(session)

    assert [kind_of(one) for one in session.sent] == [
        "connect", "associate", "identify", "conclude",
    ]  # fmt: skip
    assert session.connections == 1
    assert session.sent[0][11:19] == bytes.fromhex("c1020001c2020001")


async def test_only_a_refusal_in_words_is_followed_by_the_second_seat(replay) -> None:
    session = replay(mms.PROBE, server(connect=[DISCONNECT, CONFIRM]))

    access, _ = await mms.run(session)

    assert session.connections == 2
    assert access.details == (("called TSAP", "0002"),)
    assert session.sent[1][15:19] == bytes.fromhex("c2020002")


async def test_a_server_that_refuses_both_is_no_mms_server_that_we_know_of(replay) -> None:
    session = replay(mms.PROBE, server(connect=DISCONNECT))

    with pytest.raises(Refused):
        await mms.run(session)

    assert [kind_of(one) for one in session.sent] == ["connect", "connect"]


@pytest.mark.parametrize("error", [Silent("no"), Reset("no"), Closed("no")])
@pytest.mark.parametrize("step", ["connect", "associate"])
async def test_trouble_before_the_association_is_raised_and_never_tried_again(
    replay, step: str, error: Exception
) -> None:
    session = replay(mms.PROBE, server(**{step: error}))

    with pytest.raises(type(error)):
        await mms.run(session)

    assert session.connections == 1


@pytest.mark.parametrize("error", [Silent("no"), Reset("no"), Closed("no"), BadReply("no")])
async def test_later_trouble_keeps_what_was_told(replay, error: Exception) -> None:
    session = replay(mms.PROBE, server(identify=error))

    facts = await mms.run(session)

    assert [type(fact) for fact in facts] == [ServiceAccess]
    assert kind_of(session.sent[-1]) == "identify"


@pytest.mark.parametrize(
    ("reply", "wants_login"),
    [
        (associated(result=1, diagnostic=14), True),
        (associated(result=1, diagnostic=1), False),
        (tsdu(bytes.fromhex("0c03 32010 0".replace(" ", ""))), False),
        (tsdu(bytes.fromhex("1903110109")), False),
    ],
)
async def test_a_server_that_does_not_let_us_in_is_told_as_that(
    replay, reply: bytes, wants_login: bool
) -> None:
    session = replay(mms.PROBE, server(associate=reply))

    (access,) = await mms.run(session)

    assert access.answers_without_login is (False if wants_login else None)
    assert dict(access.details)["association"]
    assert kind_of(session.sent[-1]) == "associate"


async def test_a_refused_identify_gives_no_identity(replay) -> None:
    error = mms_pdu(element(0xA2, b"\x80\x01\x01", b"\xa2\x05\xa0\x03\x83\x01\x03"))

    facts = await mms.run(replay(mms.PROBE, server(identify=error)))

    assert [type(fact) for fact in facts] == [ServiceAccess]


@pytest.mark.parametrize(
    "reply",
    [
        response(identified(), invoke=2),
        response(b"\xa4\x02\xa1\x00"),
        mms.encode_identify(invoke=1) * 9,
        IDENTIFIED[:-1],
        tsdu(b"\x32\x03\x00\x00\x00\x01\x00\x00\x00\x00"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_is_no_answer_to_identify_gives_no_identity(replay, reply: bytes) -> None:
    """Another request's answer, another service's, our own bytes, half a reply, S7, a page."""
    facts = await mms.run(replay(mms.PROBE, server(identify=reply)))

    assert [type(fact) for fact in facts] == [ServiceAccess]


@pytest.mark.parametrize("step", ["connect", "associate"])
async def test_an_echo_is_no_server(replay, step: str) -> None:
    own = {
        "connect": mms.encode_connection_request(tsap=1),
        "associate": mms.encode_association(tsap=1),
    }

    with pytest.raises(BadReply):
        await mms.run(replay(mms.PROBE, server(**{step: own[step]})))


@pytest.mark.parametrize("tsap", mms.TSAPS)
def test_our_own_requests_are_no_replies(tsap: int) -> None:
    with pytest.raises(BadReply):
        mms.decode_association(mms.encode_association(tsap=tsap))
    with pytest.raises(BadReply):
        mms.decode_answer(mms.encode_identify(invoke=1), invoke=1, service=mms.IDENTIFY)


async def test_reports_and_requests_of_the_server_are_passed_over_and_not_answered(replay) -> None:
    report = mms_pdu(b"\xa3\x06\xa0\x04\xa1\x00\xa0\x00")
    asked = mms_pdu(b"\xa0\x06\x02\x02\x11\x4f\x82\x00")
    session = replay(mms.PROBE, server(identify=report + asked + IDENTIFIED))

    facts = await mms.run(session)

    assert facts[1] == DeviceIdentity(vendor="V", model="M", firmware="1")
    assert len(session.sent) == 4


def test_a_server_that_never_stops_reporting_is_given_up() -> None:
    report = mms_pdu(b"\xa3\x06\xa0\x04\xa1\x00\xa0\x00")

    assert mms.reply_length(report * mms.MAX_UNASKED + IDENTIFIED) is not None
    with pytest.raises(BadReply):
        mms.reply_length(report * (mms.MAX_UNASKED + 1) + IDENTIFIED)


# --- read tier ---------------------------------------------------------------------------------

KNOWN = (
    ServiceAccess(
        protocol="mms", answers_without_login=True, details=(("called TSAP", "0001"),)
    ),
)  # fmt: skip


def names(*those: bytes, more: bool = False, invoke: int = 1) -> bytes:
    listed = element(0xA0, *(element(0x1A, one) for one in those))
    return response(element(0xA1, listed, bytes([0x81, 1, 255 if more else 0])), invoke=invoke)


def plate(*texts: bytes | None, invoke: int = 10) -> bytes:
    results = (b"\x80\x01\x0a" if one is None else element(0x8A, one) for one in texts)
    return response(element(0xA4, element(0xA1, *results)), invoke=invoke)


PLATE = (b"Example", b"B", b"4.2", b"S-1", b"R-7", b"Bay 1")


async def test_the_read_tier_lists_domains_and_reads_the_first_nameplate(replay) -> None:
    nothing = plate(*[None] * 6)
    answers = server(names=names(b"BAY1CTRL", b"BAY1LD0"), read=[nothing, plate(*PLATE, invoke=11)])
    session = replay(mms.READ_PROBE, answers, known=KNOWN)

    access, identity = await mms.run_read(session)

    assert access.details == (("domain", "BAY1CTRL"), ("domain", "BAY1LD0"))
    assert identity == DeviceIdentity(
        vendor="Example", hardware="B", firmware="4.2", serial="S-1", model="R-7", name="Bay 1"
    )
    assert [service_of(one) for one in session.sent] == [
        "connect", "associate", "names", "read", "read", "conclude",
    ]  # fmt: skip


async def test_a_long_list_is_gone_on_with_once(replay) -> None:
    parts = [names(b"A", more=True), names(b"B", more=True, invoke=2)]
    session = replay(mms.READ_PROBE, server(names=parts, read=plate(*PLATE)), known=KNOWN)

    access, _ = await mms.run_read(session)

    assert access.details == (("domain", "A"), ("domain", "B"))
    assert [service_of(one) for one in session.sent].count("names") == 2


async def test_no_more_than_three_nameplates_are_asked_for(replay) -> None:
    refused = [plate(*[None] * 6, invoke=10 + n) for n in range(9)]
    domains = names(*(b"LD%d" % n for n in range(9)))
    session = replay(mms.READ_PROBE, server(names=domains, read=refused), known=KNOWN)

    facts = await mms.run_read(session)

    assert [service_of(one) for one in session.sent].count("read") == mms.MAX_NAMEPLATES
    assert len(facts) == 1


async def test_a_domain_of_strange_name_is_listed_and_never_asked_for(replay) -> None:
    session = replay(
        mms.READ_PROBE, server(names=names(b"a\x1b[2J", b"B$C", b"")), known=KNOWN
    )  # fmt: skip

    facts = await mms.run_read(session)

    assert len(facts) == 1
    assert "read" not in [service_of(one) for one in session.sent]


@pytest.mark.parametrize(
    "known",
    [
        (),
        (ServiceAccess(protocol="mms", details=(("called TSAP", "0001"),)),),
        (ServiceAccess(protocol="mms", answers_without_login=True, details=()),),
    ],
)
async def test_nothing_is_read_where_identifying_met_no_association(replay, known) -> None:
    session = replay(mms.READ_PROBE, server(), known=known)

    assert await mms.run_read(session) == ()
    assert session.sent == []


# --- hostile bytes -----------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes) -> None:
    decoders: list[Callable[[bytes], object]] = [
        mms.decode_elements, mms.decode_session, mms.decode_association, mms.decode_mms,
        mms.reply_length, mms.decode_identification, mms.decode_name_list, mms.decode_nameplate,
        mms.decode_text,
        lambda d: mms.decode_user_data(d, context=3),
        lambda d: mms.decode_answer(d, invoke=1, service=mms.IDENTIFY),
    ]  # fmt: skip
    for decode in decoders:
        for given_bytes in (data, tsdu(data), mms_pdu(data), tsdu(b"\x0e" + data)):
            with contextlib.suppress(BadReply):
                decode(given_bytes)


@given(st.integers(0, len(IDENTIFIED) - 1), st.integers(0, 255))
def test_a_damaged_reply_decodes_or_raises_bad_reply(at: int, value: int) -> None:
    damaged = IDENTIFIED[:at] + bytes([value]) + IDENTIFIED[at + 1 :]
    try:
        answer = mms.decode_answer(damaged, invoke=1, service=mms.IDENTIFY)
        if isinstance(answer, bytes):
            mms.decode_identification(answer)
    except BadReply:
        pass


def test_texts_are_bounded_and_lose_what_a_terminal_would_obey() -> None:
    reply = response(identified(vendor=b"A" * 120, model=b"\x1b[31mR", revision=b""))

    answer = mms.decode_answer(reply, invoke=1, service=mms.IDENTIFY)

    assert isinstance(answer, bytes)
    told = mms.decode_identification(answer)
    assert told == mms.Identification(vendor="A" * 120, model="[31mR", revision=None)
    assert mms.decode_text(b"A" * 5000) == "A" * mms.MAX_TEXT
