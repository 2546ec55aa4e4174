"""The auditor reads the bottling line's protocols: injected writes are writes, reads are reads."""

from __future__ import annotations

import pytest

from scanner.audit import requests
from scanner.model import Tier
from tests.proof.judge.injected import MODULES

PROBES = {
    "codesys": "codesys",
    "codesys2": "codesys",
    "pcworx": "pcworx",
    "proconos": "proconos",
    "crimson": "crimson",
    "atg": "atg",
}
"""By module of injected offences."""


def cases(table: str) -> list[tuple[str, str, bytes]]:
    """(name, probe, the last request, which is the one that counts)."""
    return [
        (name, probe, sent[-1])
        for module, probe in PROBES.items()
        for name, (_, _, sent) in getattr(MODULES[module], table, {}).items()
    ]


@pytest.mark.parametrize(("name", "probe", "sent"), cases("WRITES"), ids=lambda one: str(one)[:40])
def test_an_injected_write_fails_the_certificate(name: str, probe: str, sent: bytes) -> None:
    (found,) = requests.name(probe, Tier.LOGIN, sent)

    assert found.verdict in ("write", "unknown"), name


@pytest.mark.parametrize(
    ("name", "probe", "sent"), cases("NOT_ONLY_READING"), ids=lambda one: str(one)[:40]
)
def test_what_is_no_part_of_reading_fails_it_too(name: str, probe: str, sent: bytes) -> None:
    assert {one.verdict for one in requests.name(probe, Tier.LOGIN, sent)} <= {"write", "unknown"}


@pytest.mark.parametrize(
    ("name", "probe", "sent"), cases("HARMLESS"), ids=lambda one: str(one)[:40]
)
def test_what_identifying_takes_is_a_read(name: str, probe: str, sent: bytes) -> None:
    assert [one.verdict for one in requests.name(probe, Tier.IDENTIFY, sent)] == ["read"]


@pytest.mark.parametrize("probe", sorted(set(PROBES.values())))
@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\xff" * 40])
def test_other_bytes_are_no_request_at_all(probe: str, sent: bytes) -> None:
    (found,) = requests.name(probe, Tier.READ, sent)

    assert (found.verdict, found.foreign) == ("unknown", True)
