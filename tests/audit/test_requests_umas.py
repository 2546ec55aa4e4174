"""The auditor names UMAS: the five requests that read, and everything else as a write."""

from __future__ import annotations

import pytest

from scanner.audit.requests import name, readers
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["umas"]


def test_the_five_requests_read() -> None:
    (_, _, requests) = MODULE.HARMLESS["umas read"]

    named = [one for request in requests for one in name("umas", Tier.READ, request)]

    assert {one.verdict for one in named} == {"read", "session"}
    assert len({one.service for one in named}) == 5
    assert readers()["umas"].units_of(b"".join(requests)) == {0}


@pytest.mark.parametrize("offence", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
def test_everything_else_is_named_a_write(offence: str) -> None:
    *_, request = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[offence][2]
    if offence == "umas to a unit of its own":
        assert readers()["umas"].units_of(request) == {255}
        return

    assert [one.verdict for one in name("umas", Tier.LOGIN, request)] == ["write"]


def test_another_function_of_modbus_is_foreign() -> None:
    (named,) = name("umas", Tier.READ, bytes.fromhex("000100000006ff0600010003"))

    assert named.foreign
