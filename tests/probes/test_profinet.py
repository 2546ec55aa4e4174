"""PROFINET's endpoint mapper: published annotations, both byte orders, refusals, hostile bytes."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import profinet
from scanner.errors import BadReply, Refused, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from tests.conftest import NOON

PUBLISHED = "published annotations of two controllers; frames checked by tshark in the lab's tests"
Answer = Callable[[bytes | None], bytes]
S7_1200 = b"S7-1200                   6ES7 212-1AE40-0XB0     14 V  4  5  1\0"
"""As nmap's profinet-cm-lookup printed it of a real S7-1200 (text 60818098288)."""
SOFTWARE = b"S7-1500                   6ES7 672-5DC01-0YA0      0 V  2  1  7\0"
"""From the same script's own description: a software controller."""


def reply_to(
    request: bytes,
    body: bytes,
    *,
    kind: int = 2,
    order: str = "little",
    activity: bytes | None = None,
    sequence: int = 0,
    interface: str = "e1af8308-5d1f-11c9-91a4-08002b14a0fa",
) -> bytes:
    """A PDU that belongs to a request of ours (which is little-endian)."""
    mark = "<" if order == "little" else ">"
    ours = uuid.UUID(bytes_le=activity or request[40:56])
    asked = uuid.UUID(interface)
    head = bytes([4, kind, 0x08, 0, 0x10 if order == "little" else 0, 0, 0, 0]) + bytes(16)
    for each in (asked, ours):
        head += each.bytes_le if order == "little" else each.bytes
    head += struct.pack(mark + "IIIHHHHHBB", 7, 3, sequence, 2, 0xFFFF, 0xFFFF, len(body), 0, 0, 0)
    return head + body


def entries(annotation: bytes | None, *, order: str = "little", length: int | None = None) -> bytes:
    mark = "<" if order == "little" else ">"
    if annotation is None:
        return bytes(20) + struct.pack(mark + "IIIII", 0, 1, 0, 0, 0x16C9A0D6)
    said = len(annotation) if length is None else length
    entry = bytes(16) + struct.pack(mark + "III", 3, 0, said) + annotation
    return bytes(20) + struct.pack(mark + "IIII", 1, 1, 0, 1) + entry + bytes(80)


def device(annotation: bytes | None, *, order: str = "little") -> Answer:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return reply_to(request, entries(annotation, order=order), order=order)

    return answer


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("annotation", "model", "order_number", "hardware", "firmware"),
    [
        (S7_1200, "S7-1200", "6ES7 212-1AE40-0XB0", "14", "V4.5.1"),
        (SOFTWARE, "S7-1500", "6ES7 672-5DC01-0YA0", "0", "V2.1.7"),
    ],
)
async def test_published_annotations_give_their_facts(
    replay, order, annotation, model, order_number, hardware, firmware
) -> None:
    session = replay(profinet.READ_PROBE, device(annotation, order=order))

    access, said, looked_up = await profinet.run_read(session)

    assert said == DeviceIdentity(
        model=model, order_number=order_number, hardware=hardware, firmware=firmware
    )
    assert looked_up == DeviceIdentity(vendor="Siemens", device_class="plc", basis="table")
    assert access == ServiceAccess(
        protocol="profinet",
        answers_without_login=True,
        encrypted=False,
        details=(("annotation", annotation[:-1].decode()),),
    )
    assert len(session.sent) == session.connections == 1


def test_the_request_is_the_one_that_peers_send_but_for_its_activity() -> None:
    """nmap's profinet-cm-lookup, field by field; its sequence number is 12 and ours 0."""
    sent = profinet.encode_lookup(activity=profinet.activity_of(NOON))

    assert sent[:8].hex() == "0400200010000000"
    assert sent[24:40].hex() == "0883afe11f5dc91191a408002b14a0fa"
    assert sent[56:64].hex() == "0000000003000000"
    assert sent[68:80].hex() == "0200ffffffff4c0000000000"
    assert sent[80:].hex() == (
        "0000000001000000" + "00" * 16 + "02000000" + "0100a0de976cd111827100a02442df7d"
        + "0100000001000000" + "00" * 20 + "01000000"
    )  # fmt: skip


def test_no_two_moments_have_the_same_activity() -> None:
    ids = {profinet.activity_of(NOON + timedelta(microseconds=n)) for n in range(100)}

    assert len(ids) == 100
    assert all(each.version == 1 for each in ids)


@pytest.mark.parametrize(
    ("annotation", "vendor", "device_class"),
    [
        (b"ET200SP                   6ES7 155-6AU01-0BN0      3 V  4  1  0\0", "Siemens", None),
        (b"SCALANCE X208             6GK5 208-0BA10-2AA3      2 V  5  2  4\0", "Siemens", None),
        (b"P-Net Sample App          12345 Abcdefghijk        1 V  0  1  0\0", None, None),
        (b"CPU 1516                  6ES7 516-3AN01-0AB0      6 V  2  8  3\0", "Siemens", "plc"),
    ],
)
async def test_a_vendor_is_named_by_its_own_order_numbers_only(
    replay, annotation, vendor, device_class
) -> None:
    facts = await profinet.run_read(replay(profinet.READ_PROBE, device(annotation)))

    looked_up = [f for f in facts if isinstance(f, DeviceIdentity) and f.basis == "table"]
    assert [(f.vendor, f.device_class) for f in looked_up] == (
        [(vendor, device_class)] if vendor else []
    )


@pytest.mark.parametrize(
    "annotation",
    [
        b"", b"something of its own\0", S7_1200[:-1], S7_1200 + b"\0",
        S7_1200.replace(b"  4  5", b"  4  x"), b"x" * 64, S7_1200[:25] + b"-" + S7_1200[26:],
        S7_1200.replace(b" V ", b" Q "),
    ],
)  # fmt: skip
async def test_an_annotation_of_another_form_is_kept_and_claims_nothing(
    replay, annotation: bytes
) -> None:
    facts = await profinet.run_read(replay(profinet.READ_PROBE, device(annotation)))

    assert [type(fact) for fact in facts] == [ServiceAccess]
    assert facts[0].answers_without_login is True


async def test_a_device_without_an_entry_is_seen_and_claims_nothing(replay) -> None:
    assert await profinet.run_read(replay(profinet.READ_PROBE, device(None))) == (
        ServiceAccess(protocol="profinet", answers_without_login=True, encrypted=False),
    )


@pytest.mark.parametrize("kind", [3, 6])
async def test_a_fault_or_a_rejection_is_a_refusal(replay, kind: int) -> None:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return reply_to(request, (0x1C010003).to_bytes(4, "little"), kind=kind)

    with pytest.raises(Refused, match="0x1C010003"):
        await profinet.run_read(replay(profinet.READ_PROBE, answer))


async def test_silence_is_not_followed_by_another_question(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        raise Silent("so it is")

    session = replay(profinet.READ_PROBE, answer)

    with pytest.raises(Silent):
        await profinet.run_read(session)
    assert len(session.sent) == 1


async def test_an_echo_of_our_own_bytes_is_no_device(replay) -> None:
    with pytest.raises(BadReply):
        await profinet.run_read(replay(profinet.READ_PROBE, lambda request: request))


def test_working_is_no_reply_yet() -> None:
    request = profinet.encode_lookup(activity=profinet.activity_of(NOON))

    assert profinet.datagram_length(reply_to(request, b"", kind=4)) is None
    assert profinet.datagram_length(reply_to(request, b"x")) == 81
    assert profinet.datagram_length(b"") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activity": bytes(16)}, "another activity"),
        ({"sequence": 9}, "another activity"),
        ({"interface": "dea00001-6c97-11d1-8271-00a02442df7d"}, "endpoint mapper"),
        ({"kind": 0}, "type 0"),
        ({"kind": 7}, "type 7"),
    ],
)
def test_what_is_no_reply_to_the_request_is_a_bad_reply(change: dict, words: str) -> None:
    activity = profinet.activity_of(NOON)
    request = profinet.encode_lookup(activity=activity)

    with pytest.raises(BadReply, match=words):
        profinet.decode_lookup(reply_to(request, entries(S7_1200), **change), activity=activity)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (entries(S7_1200)[:30], "Lookup"),
        (entries(S7_1200)[:62], "beyond"),
        (entries(S7_1200, length=257), "beyond"),
        (entries(S7_1200, length=200), "beyond"),
    ],
)
def test_a_reply_that_is_cut_or_lies_is_a_bad_reply(body: bytes, words: str) -> None:
    activity = profinet.activity_of(NOON)
    request = profinet.encode_lookup(activity=activity)

    with pytest.raises(BadReply, match=words):
        profinet.decode_lookup(reply_to(request, body), activity=activity)
    with pytest.raises(BadReply):
        profinet.decode_lookup(reply_to(request, body)[:79], activity=activity)


def test_device_text_is_printable_and_bounded() -> None:
    hostile = b"\x1b[2J\x07\x9b" + b"A" * 300

    annotation = profinet.decode_annotation(hostile)
    assert annotation.text.isprintable()
    assert len(annotation.text) <= profinet.MAX_ANNOTATION
    named = profinet.decode_annotation(b"\x1b[2J" + S7_1200[4:])
    assert named.device_type == "[2J200"


@given(st.binary(max_size=200), st.sampled_from(["little", "big"]))
def test_any_bytes_give_a_value_or_a_bad_reply(data: bytes, order: str) -> None:
    activity = profinet.activity_of(NOON)
    request = profinet.encode_lookup(activity=activity)
    for reply in (data, reply_to(request, data, order=order), request[:80] + data):
        try:
            found = profinet.decode_lookup(reply, activity=activity)
        except BadReply:
            continue
        if isinstance(found, bytes):
            profinet.facts_from(profinet.decode_annotation(found))
    profinet.decode_annotation(data)
