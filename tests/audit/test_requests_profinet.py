"""The auditor names PROFINET's requests: a lookup reads, everything else is a write."""

from __future__ import annotations

import pytest

from scanner.audit.requests import name
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["profinet"]


def test_a_lookup_reads() -> None:
    ((request,),) = [requests for *_, requests in MODULE.HARMLESS.values()]

    (named,) = name("profinet", Tier.READ, request)

    assert (named.service, named.verdict) == ("endpoint mapper, operation 2", "read")


@pytest.mark.parametrize("offence", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
def test_everything_else_is_named_a_write(offence: str) -> None:
    (request,) = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[offence][2]

    assert [one.verdict for one in name("profinet", Tier.LOGIN, request)] == ["write"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x04", b"\x04" + bytes(90)])
def test_what_is_no_request_is_foreign(data: bytes) -> None:
    assert name("profinet", Tier.READ, data)[0].foreign
