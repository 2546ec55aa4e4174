"""LDAP: the root DSE as far as it was asked for, refusals, and what only resembles an answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import ldap
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

SEARCH = (
    bytes.fromhex("306c020101636704000a01000a0100020101020105010100870b")
    + b"objectClass\x30\x47\x04\x0avendorName\x04\x0dvendorVersion"
    + b"\x04\x14supportedLDAPVersion\x04\x14defaultNamingContext"
)
UNBIND = bytes.fromhex("30050201024200")


def ber(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    return bytes([tag, 0x84]) + size.to_bytes(4, "big") + content
    # four bytes of length, as Active Directory writes them


def message(carried: bytes, number: bytes = b"\x01") -> bytes:
    return ber(0x30, b"\x02\x01" + number, carried)


def done(code: int = 0) -> bytes:
    return message(ber(0x65, bytes([10, 1, code]), b"\x04\0\x04\0"))


def entry(*attributes: tuple[bytes, tuple[bytes, ...]], name: bytes = b"") -> bytes:
    pairs = (
        ber(0x30, ber(4, kind), ber(0x31, *(ber(4, value) for value in values)))
        for kind, values in attributes
    )
    return message(ber(0x64, b"\x04" + bytes([len(name)]) + name, ber(0x30, *pairs)))


async def facts(replay: Any, reply: bytes) -> ServiceAccess:
    session = replay(ldap.PROBE, lambda request: reply)
    (access,) = await ldap.run(session)
    assert session.sent == [SEARCH, UNBIND]
    assert isinstance(access, ServiceAccess)
    return access


async def test_a_domain_controller_tells_its_domain(replay: Any) -> None:
    told = await facts(
        replay,
        entry(
            (b"supportedLDAPVersion", (b"3", b"2")),
            (b"defaultNamingContext", (b"DC=plant,DC=example",)),
        )
        + done(),
    )

    assert told == ServiceAccess(
        protocol="ldap",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("supportedLDAPVersion", "3, 2"),
            ("defaultNamingContext", "DC=plant,DC=example"),
        ),
    )


async def test_a_vendor_is_a_detail_and_its_version_the_service_s(replay: Any) -> None:
    told = await facts(
        replay,
        entry((b"VENDORNAME", (b"389 Project",)), (b"vendorVersion", (b"389-Directory/2.4.5",)))
        + done(),
    )

    assert told.version == "389-Directory/2.4.5"
    assert dict(told.details)["vendorName"] == "389 Project"


@pytest.mark.parametrize("code", [8, 48, 49, 50])
async def test_a_directory_that_wants_a_login_first_is_said_to(replay: Any, code: int) -> None:
    told = await facts(replay, done(code))

    assert told.answers_without_login is False
    assert told.details == (("result", ldap.RESULTS[code]),)


@pytest.mark.parametrize("reply", [done(), done(51), done(99), entry() + done()])
async def test_what_tells_nothing_leaves_it_open(replay: Any, reply: bytes) -> None:
    assert (await facts(replay, reply)).answers_without_login is None


@pytest.mark.parametrize(
    "reply",
    [
        SEARCH,
        SEARCH + done(),
        message(ber(0x65, b"\x0a\x01\0\x04\0\x04\0"), number=b"\x02"),
        message(ber(0x78, b"\x0a\x01\x34\x04\0\x04\0"), number=b"\0"),  # notice of disconnection
        entry((b"vendorName", (b"x",)), name=b"dc=x") + done(),
        message(ber(0x61, b"\x0a\x01\0\x04\0\x04\0")),
        message(ber(0x65, b"")),
        b"\x30\x80" + bytes(8),
        b"\x30\x85" + bytes(9),
        b"\x30\x84\xff\xff\xff\xff",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("302902010004067075626c6963a21c"),  # SNMP
        message(ber(0x73, ber(4, b"ldap://x"))) * 9,
    ],
)
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises((BadReply, Silent)):
        await ldap.run(replay(ldap.PROBE, lambda request: reply))
    with pytest.raises(BadReply):
        ldap.decode_root_dse(reply)


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await ldap.run(replay(ldap.PROBE, answer))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    attribute = entry((b"vendorName", (data,))) + done()
    for candidate in (data, message(data), message(ber(0x64, data)) + done(), attribute):
        for decode in (ldap.reply_length, ldap.decode_root_dse):
            with suppress(BadReply):
                found = decode(candidate)
                if isinstance(found, ldap.RootDse):
                    for _, values in found.attributes or ():
                        for text in values:
                            assert len(text) <= ldap.MAX_TEXT
                            assert text.isprintable()


def test_its_questions_are_allowed() -> None:
    for question in ldap.PROBE.questions:
        assert open_guard("ldap").judge(question.sample, ldap.PROBE.tier) is None
    assert not ldap.PROBE.for_controllers


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_says_goodbye(governed: Any) -> None:
    said: list[bytes] = []

    async def directory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readexactly(len(SEARCH)))
        writer.write(entry((b"supportedLDAPVersion", (b"3",))) + done())
        said.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(directory, "127.0.0.1", 0)
    async with server, governed(ldap.PROBE, server.sockets[0].getsockname()[1]) as session:
        (access,) = await ldap.run(session)
        await session.finish()

    assert access.answers_without_login is True
    assert said == [SEARCH, UNBIND]
