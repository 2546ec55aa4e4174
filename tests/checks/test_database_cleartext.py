from __future__ import annotations

import pytest

from checks.database_cleartext import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize("protocol", ["postgres", "mssql", "redis"])
@pytest.mark.parametrize(
    ("encrypted", "verdict"),
    [(False, Verdict.FAIL), (True, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_clear_text_is_told_from_a_pass_and_from_what_was_not_learned(
    site, protocol, encrypted, verdict
):
    fact = ServiceAccess(protocol=protocol, encrypted=encrypted)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict


def test_a_service_that_is_no_database_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="fins", encrypted=False), site) == ()
