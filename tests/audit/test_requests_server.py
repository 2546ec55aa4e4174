"""The auditor reads the server room's protocols: what acts is a write, what identifies is none."""

from __future__ import annotations

import pytest

from scanner.audit import requests
from scanner.model import Tier
from tests.proof.judge.injected import MODULES

PROBES = ("postgres", "redis", "mssql", "ldap", "ipmi", "nut")


def cases(table: str) -> list[tuple[str, str, bytes]]:
    """(name, probe, the last request, which is the one that counts)."""
    return [
        (name, probe, sent[-1])
        for probe in PROBES
        for name, (_, _, sent) in getattr(MODULES[probe], table, {}).items()
    ]


@pytest.mark.parametrize(("name", "probe", "sent"), cases("WRITES"), ids=lambda one: str(one)[:40])
def test_an_injected_write_fails_the_certificate(name: str, probe: str, sent: bytes) -> None:
    found = requests.name(probe, Tier.LOGIN, sent)

    assert {one.verdict for one in found} & {"write", "unknown"}, name


@pytest.mark.parametrize(
    ("name", "probe", "sent"), cases("HARMLESS"), ids=lambda one: str(one)[:40]
)
def test_what_identifying_and_reading_take_is_no_write(name: str, probe: str, sent: bytes) -> None:
    found = requests.name(probe, Tier.READ, sent)

    assert {one.verdict for one in found} <= {"read", "session"}, name
    assert not any(one.foreign for one in found)


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\xff" * 40])
def test_other_bytes_are_no_request_at_all(probe: str, sent: bytes) -> None:
    (found,) = requests.name(probe, Tier.READ, sent)

    assert (found.verdict, found.foreign) == ("unknown", True)
