"""The auditor names what DCP asks: Identify reads, everything else is a write or foreign."""

from __future__ import annotations

import pytest

from probes import dcp
from scanner.audit.requests import name
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["dcp"]
IDENTIFY = dcp.encode_identify(xid=7)
OFFENCES = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}


def test_an_identify_of_all_options_reads() -> None:
    (named,) = name("dcp", Tier.IDENTIFY, IDENTIFY)

    assert (named.service, named.verdict) == ("FrameID 0xfefe, service 5, type 0", "read")


@pytest.mark.parametrize("offence", [one for one in OFFENCES if one.startswith("dcp")])
def test_every_other_service_is_named_a_write(offence: str) -> None:
    (padded,) = OFFENCES[offence][2]
    request = padded[: 12 + int.from_bytes(padded[10:12], "big")]

    assert [one.verdict for one in name("dcp", Tier.LOGIN, request)] == ["write"]


@pytest.mark.parametrize("offence", [one for one in OFFENCES if one.startswith("profinet")])
def test_other_frames_of_profinet_are_foreign(offence: str) -> None:
    (request,) = OFFENCES[offence][2]

    (named,) = name("dcp", Tier.LOGIN, request)

    assert (named.verdict, named.foreign) == ("unknown", True)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\xfe", IDENTIFY[:-1], IDENTIFY + b"\0", IDENTIFY * 2]
)
def test_what_is_no_request_is_foreign(data: bytes) -> None:
    assert name("dcp", Tier.IDENTIFY, data)[0].foreign
