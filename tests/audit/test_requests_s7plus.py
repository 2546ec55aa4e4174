"""The auditor names S7comm-plus: a panel's seat, a session, a goodbye; all else is a write."""

from __future__ import annotations

import pytest

from scanner.audit.requests import name, readers
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["s7plus"]


def test_what_reading_takes_is_a_session_and_one_read() -> None:
    (_, _, requests) = MODULE.HARMLESS["s7plus ask"]

    named = [one for request in requests for one in name("s7plus", Tier.READ, request)]

    assert [one.verdict for one in named] == ["session", "read", "session"]
    assert not any(readers()["s7plus"].programs(request) for request in requests)


@pytest.mark.parametrize(
    "offence",
    [one for one in (*MODULE.WRITES, *MODULE.NOT_ONLY_READING) if "subscription" not in one],
)
def test_everything_else_is_named_a_write(offence: str) -> None:
    *_, request = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[offence][2]

    assert [one.verdict for one in name("s7plus", Tier.LOGIN, request)] == ["write"]


def test_an_engineering_station_s_seat_is_one() -> None:
    *_, request = MODULE.WRITES["s7plus seat of an engineering station"][2]

    assert readers()["s7plus"].programs(request)


def test_classic_s7_is_foreign() -> None:
    *_, request = injected.MODULES["s7"].HARMLESS["s7 identify"][2]

    assert name("s7plus", Tier.READ, request)[0].foreign
