"""The auditor names OPC UA's requests: what identifying takes, and what would break the promise."""

from __future__ import annotations

import pytest

from scanner.audit.requests import name, readers
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["opcua"]


def test_what_identifying_takes_is_a_session_and_one_read() -> None:
    (_, _, requests) = MODULE.HARMLESS["opcua identify"]

    named = [name("opcua", Tier.IDENTIFY, request)[0] for request in requests]

    assert [(one.service, one.verdict) for one in named] == [
        ("hello", "session"),
        ("open channel, None", "session"),
        ("GetEndpoints", "read"),
        ("close channel", "session"),
    ]
    assert readers()["opcua"].is_control


@pytest.mark.parametrize("offence", MODULE.WRITES)
def test_every_write_is_named_a_write(offence: str) -> None:
    *_, request = MODULE.WRITES[offence][2]

    assert [one.verdict for one in name("opcua", Tier.LOGIN, request)] == ["write"]


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"HELF\xff\0\0\0", b"MSGC\x0c\0\0\0abcd", b"ABCF\x0c\0\0\0abcd"],
)
def test_what_is_no_request_is_foreign(data: bytes) -> None:
    (named,) = name("opcua", Tier.IDENTIFY, data)

    assert named.foreign
    assert named.verdict == "unknown"
